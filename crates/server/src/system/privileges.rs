//! Who may do what: on everything (`user_privileges`), on databases, on tables. Nothing is granted on columns.

use cairn_catalog::{GrantedOn, ROOT};
use cairn_types::Privilege;

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
    SystemTable {
        name: "schema_privileges",
        columns: &[
            ("GRANTEE", TEXT),
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("PRIVILEGE_TYPE", TEXT),
            ("IS_GRANTABLE", TEXT),
        ],
        fill: schema_privileges,
    },
    SystemTable {
        name: "table_privileges",
        columns: &[
            ("GRANTEE", TEXT),
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("PRIVILEGE_TYPE", TEXT),
            ("IS_GRANTABLE", TEXT),
        ],
        fill: table_privileges,
    },
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

/// Every grant: who has which privilege on what.
fn each_grant(scope: &Scope<'_>, mut row: impl FnMut(&str, &GrantedOn, Privilege)) {
    for user in scope.catalog.users() {
        let grantee = user.identity();
        for granted in user.granted() {
            granted.privileges.iter().for_each(|privilege| row(&grantee, &granted.on, *privilege));
        }
    }
}

/// What reaches beyond one database; all there is for root.
fn user_privileges(scope: &Scope<'_>, rows: &mut Rows) {
    let mut push = |grantee: &str, privilege: Privilege| {
        rows.push([text(grantee), text(CATALOG_NAME), text(privilege.name()), text("NO")]);
    };
    if scope.catalog.user(ROOT).is_some() {
        Privilege::ALL.iter().for_each(|privilege| push("'root'@'%'", *privilege));
    }
    each_grant(scope, |grantee, on, privilege| {
        if matches!(on, GrantedOn::System | GrantedOn::Catalog | GrantedOn::All(_)) {
            push(grantee, privilege);
        }
    });
}

fn schema_privileges(scope: &Scope<'_>, rows: &mut Rows) {
    each_grant(scope, |grantee, on, privilege| {
        let (GrantedOn::Database(db) | GrantedOn::AllIn { db, .. }) = on else { return };
        if let Some(db) = scope.catalog.database(*db) {
            let name = text(privilege.name());
            rows.push([text(grantee), text(CATALOG_NAME), text(&db.name), name, text("NO")]);
        }
    });
}

fn table_privileges(scope: &Scope<'_>, rows: &mut Rows) {
    each_grant(scope, |grantee, on, privilege| {
        let GrantedOn::Table(id) = on else { return };
        let Some(table) = scope.catalog.table(*id) else { return };
        if let Some(db) = scope.catalog.database(table.db) {
            let name = text(privilege.name());
            let place = [text(CATALOG_NAME), text(&db.name), text(&table.name)];
            rows.push(std::iter::once(text(grantee)).chain(place).chain([name, text("NO")]));
        }
    });
}

#[cfg(test)]
mod tests {
    use cairn_catalog::{Command, GrantedOn, User};
    use cairn_types::Privilege;

    use crate::system::tests::{apply, database, sample, table, values};

    #[test]
    fn grants_are_listed_by_how_far_they_reach() {
        let mut catalog = sample();
        let user = User::without_password("ann");
        apply(&mut catalog, 90, Command::CreateUser { user, if_not_exists: false });
        let on = vec![
            GrantedOn::System,
            GrantedOn::Database(database(&catalog, "tpch")),
            GrantedOn::Table(table(&catalog, "tpch", "orders").id),
        ];
        let privileges = [Privilege::Operate].into();
        apply(&mut catalog, 91, Command::Grant { user: "ann".into(), on, privileges });
        let of_ann = |name: &str| {
            let grantees = values(&catalog, name, "GRANTEE");
            let privileges = values(&catalog, name, "PRIVILEGE_TYPE");
            let both = grantees.into_iter().zip(privileges).filter(|(who, _)| who == "'ann'@'%'");
            both.map(|(_, privilege)| privilege).collect::<Vec<_>>()
        };
        assert_eq!(of_ann("user_privileges"), ["OPERATE"]);
        assert_eq!(of_ann("schema_privileges"), ["OPERATE"]);
        assert_eq!(of_ann("table_privileges"), ["OPERATE"]);
        assert_eq!(values(&catalog, "table_privileges", "TABLE_NAME"), ["orders"]);
        let of_root = values(&catalog, "user_privileges", "GRANTEE");
        assert!(of_root.iter().any(|who| who == "'root'@'%'"));
    }
}
