//! Users and what they may: `SHOW USERS`, `SHOW GRANTS`, `SHOW CREATE USER`, `SHOW PRIVILEGES`.

use cairn_catalog::{Catalog, GrantedOn, ROOT, User};
use cairn_exec::DEFAULT_CATALOG;
use cairn_sql::ast::UserName;
use cairn_types::{Error, Literal, ObjectKind, Privilege, Result};

use crate::rows::{Rows, text};
use crate::session::Session;
use crate::statement::users::{find, of_oneself_or_granted};

/// `SHOW USERS`.
///
/// # Errors
/// `PrivilegeDenied`.
pub fn users(session: &Session) -> Result<Rows> {
    session.require_system(Privilege::Grant)?;
    let mut rows = Rows::text(&["User"]);
    session.catalog().users().for_each(|user| rows.push([text(user.identity())]));
    Ok(rows)
}

/// `SHOW GRANTS [FOR u]`.
///
/// # Errors
/// `PrivilegeDenied` for another user's; `NotFound`.
pub fn grants(session: &Session, user: Option<&UserName>) -> Result<Rows> {
    let catalog = session.catalog();
    let user = match user {
        Some(user) => {
            of_oneself_or_granted(session, &user.user)?;
            find(&catalog, user)?
        }
        None => catalog.user(&session.user).ok_or_else(|| Error::not_found("the user was dropped"))?,
    };
    Ok(grants_of(&catalog, user))
}

/// `SHOW CREATE USER u`.
///
/// # Errors
/// As [`grants`].
pub fn create_user(session: &Session, user: &UserName) -> Result<Rows> {
    of_oneself_or_granted(session, &user.user)?;
    let catalog = session.catalog();
    let user = find(&catalog, user)?;
    let column = format!("CREATE USER for {}", user.identity());
    let mut rows = Rows::text(&[&column]);
    rows.push([text(create_statement(user))]);
    Ok(rows)
}

/// `SHOW PRIVILEGES`: what can be granted, and on what.
pub fn privileges() -> Rows {
    let mut rows = Rows::text(&["Privilege", "Context", "Comment"]);
    for kind in ObjectKind::ALL {
        for privilege in kind.privileges() {
            rows.push([text(privilege.name()), text(kind.name()), text(comment(*privilege))]);
        }
    }
    rows
}

/// What only some statements need, in a few words.
fn comment(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::Operate => {
            "Change settings, take and drop snapshots, use local files, see and stop everyone's statements"
        }
        Privilege::Node => "See and change the nodes of the cluster",
        Privilege::Grant => "Create, change and see users, and grant privileges to them",
        Privilege::CreateStorageVolume => "Create, change and drop storage volumes",
        Privilege::Impersonate => "Become the user by EXECUTE AS",
        Privilege::Delete => "DELETE and TRUNCATE",
        Privilege::Refresh => "Refresh a materialized view, and cancel that",
        _ => "",
    }
}

fn grants_of(catalog: &Catalog, user: &User) -> Rows {
    let identity = user.identity();
    let mut rows = Rows::text(&["UserIdentity", "Catalog", "Grants"]);
    if user.name == ROOT {
        rows.push([text(&identity), Literal::Null, text(format!("GRANT 'root' TO {identity}"))]);
        return rows;
    }
    for granted in user.granted() {
        let privileges: Vec<&str> = granted.privileges.iter().map(|privilege| privilege.name()).collect();
        let of_catalog = !matches!(granted.on, GrantedOn::System | GrantedOn::User(_));
        rows.push([
            text(&identity),
            if of_catalog { text(DEFAULT_CATALOG) } else { Literal::Null },
            text(format!(
                "GRANT {} ON {} TO USER {identity}",
                privileges.join(", "),
                catalog.describe_granted_on(&granted.on)
            )),
        ]);
    }
    rows
}

/// Passwords are kept as digests that nearly are the password: they are not told.
fn create_statement(user: &User) -> String {
    let mut sql = format!("CREATE USER {}", user.identity());
    if user.has_password() {
        sql.push_str(&format!(" IDENTIFIED WITH {} BY '***'", user.plugin));
    }
    sql
}

#[cfg(test)]
mod tests {
    use cairn_catalog::Command;

    use super::*;
    use crate::system::tests::{apply, database, sample, table};

    #[test]
    fn grants_say_what_is() {
        let mut catalog = sample();
        let lines = |catalog: &Catalog, user: &str| {
            let rows = grants_of(catalog, catalog.user(user).unwrap());
            rows.rows().iter().map(|r| r[2].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(lines(&catalog, "root"), ["GRANT 'root' TO 'root'@'%'"]);
        let nobody = UserName { user: "nobody".into(), host: "%".into() };
        assert!(find(&catalog, &nobody).unwrap_err().message().contains("'nobody'@'%'"));
        let elsewhere = UserName { user: "root".into(), host: "10.0.0.1".into() };
        assert!(find(&catalog, &elsewhere).unwrap_err().message().contains("there is 'root'@'%'"));
        let user = User::without_password("ann");
        apply(&mut catalog, 90, Command::CreateUser { user, if_not_exists: false });
        assert!(lines(&catalog, "ann").is_empty());
        let (db, orders) = (database(&catalog, "tpch"), table(&catalog, "tpch", "orders").id);
        let privileges = [Privilege::Insert, Privilege::Select].into();
        let on = vec![GrantedOn::AllIn { kind: ObjectKind::View, db }, GrantedOn::Table(orders)];
        apply(&mut catalog, 91, Command::Grant { user: "ann".into(), on, privileges });
        assert_eq!(
            lines(&catalog, "ann"),
            [
                "GRANT SELECT, INSERT ON TABLE tpch.orders TO USER 'ann'@'%'",
                "GRANT SELECT, INSERT ON ALL VIEWS IN DATABASE tpch TO USER 'ann'@'%'",
            ]
        );
    }

    #[test]
    fn passwords_are_not_told() {
        let mut user = User::without_password("ann");
        assert_eq!(create_statement(&user), "CREATE USER 'ann'@'%'");
        user.native_hash = "ABCDEF".into();
        assert_eq!(
            create_statement(&user),
            "CREATE USER 'ann'@'%' IDENTIFIED WITH mysql_native_password BY '***'"
        );
    }
}
