//! Who may do what: `user_privileges`, and the narrower ones, which are empty until there are grants.

use super::{CATALOG_NAME, Scope, SystemTable, TEXT, empty};
use crate::rows::{Rows, text};

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "user_privileges",
        columns: &[
            ("GRANTEE", TEXT),
            ("TABLE_CATALOG", TEXT),
            ("PRIVILEGE_TYPE", TEXT),
            ("IS_GRANTABLE", TEXT),
        ],
        fill: user_privileges,
    },
    empty(
        "schema_privileges",
        &[
            ("GRANTEE", TEXT),
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("PRIVILEGE_TYPE", TEXT),
            ("IS_GRANTABLE", TEXT),
        ],
    ),
    empty(
        "table_privileges",
        &[
            ("GRANTEE", TEXT),
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("PRIVILEGE_TYPE", TEXT),
            ("IS_GRANTABLE", TEXT),
        ],
    ),
    empty(
        "column_privileges",
        &[
            ("GRANTEE", TEXT),
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("COLUMN_NAME", TEXT),
            ("PRIVILEGE_TYPE", TEXT),
            ("IS_GRANTABLE", TEXT),
        ],
    ),
];

/// Until there are grants, every user works with all databases; the cluster itself is root's.
fn user_privileges(scope: &Scope<'_>, rows: &mut Rows) {
    const OF_ALL: &[&str] =
        &["SELECT", "INSERT", "ALTER", "DROP", "CREATE TABLE", "CREATE VIEW", "CREATE DATABASE"];
    const OF_ROOT: &[&str] = &["OPERATE", "NODE", "USER_ADMIN", "CREATE STORAGE VOLUME"];
    for user in scope.catalog.users() {
        let grantee = format!("'{}'@'%'", user.name);
        let of_root = if user.name == "root" { OF_ROOT } else { &[] };
        for privilege in OF_ALL.iter().chain(of_root) {
            rows.push([text(&grantee), text(CATALOG_NAME), text(*privilege), text("NO")]);
        }
    }
}

#[cfg(test)]
mod tests {
    use cairn_catalog::{Command, User};

    use crate::system::tests::{apply, sample, values};

    #[test]
    fn only_root_operates() {
        let mut catalog = sample();
        let user = User::without_password("ann");
        apply(&mut catalog, 90, Command::CreateUser { user, if_not_exists: false });
        let grantees = values(&catalog, "user_privileges", "GRANTEE");
        let privileges = values(&catalog, "user_privileges", "PRIVILEGE_TYPE");
        let may =
            |user: &str, what: &str| grantees.iter().zip(&privileges).any(|(g, p)| g == user && p == what);
        assert!(may("'root'@'%'", "OPERATE") && may("'ann'@'%'", "SELECT"));
        assert!(!may("'ann'@'%'", "OPERATE"));
    }
}
