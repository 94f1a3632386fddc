//! Users and what they may: `SHOW USERS`, `SHOW GRANTS`, `SHOW CREATE USER`, `SHOW PRIVILEGES`.

use cairn_catalog::{Catalog, User};
use cairn_sql::ast::UserName;
use cairn_types::{Error, Literal, Result};

use crate::rows::{Rows, text};
use crate::session::Session;
use crate::statement::require_root;

/// `SHOW USERS`.
///
/// # Errors
/// `PrivilegeDenied`.
pub fn users(session: &Session) -> Result<Rows> {
    require_root(session, "USER_ADMIN")?;
    let mut rows = Rows::text(&["User"]);
    session.catalog().users().for_each(|user| rows.push([text(identity(&user.name))]));
    Ok(rows)
}

/// `SHOW GRANTS [FOR u]`.
///
/// # Errors
/// `PrivilegeDenied` for another user's; `NotFound`.
pub fn grants(session: &Session, user: Option<&UserName>) -> Result<Rows> {
    let name = user.map_or(session.user.as_str(), |user| user.user.as_str());
    if name != session.user {
        require_root(session, "USER_ADMIN")?;
    }
    grants_of(find(&session.catalog(), name)?)
}

/// `SHOW CREATE USER u`.
///
/// # Errors
/// As [`grants`].
pub fn create_user(session: &Session, user: &UserName) -> Result<Rows> {
    if user.user != session.user {
        require_root(session, "USER_ADMIN")?;
    }
    let catalog = session.catalog();
    let user = find(&catalog, &user.user)?;
    let column = format!("CREATE USER for {}", identity(&user.name));
    let mut rows = Rows::text(&[&column]);
    rows.push([text(create_statement(user))]);
    Ok(rows)
}

/// `SHOW PRIVILEGES`: what a user can be refused for the lack of.
pub fn privileges() -> Rows {
    let mut rows = Rows::text(&["Privilege", "Context", "Comment"]);
    for (privilege, context, comment) in [
        ("CREATE STORAGE VOLUME", "System", "Create storage volumes"),
        ("NODE", "System", "See and change the nodes of the cluster"),
        ("OPERATE", "System", "Change settings, take and drop snapshots, see and stop everyone's statements"),
        ("USER_ADMIN", "System", "Create, change and see users"),
    ] {
        rows.push([text(privilege), text(context), text(comment)]);
    }
    rows
}

fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a User> {
    let unknown = || Error::not_found(format!("cannot find user {}", identity(name)));
    catalog.user(name).map(|user| &**user).ok_or_else(unknown)
}

/// `'name'@'%'`: users come from anywhere.
fn identity(name: &str) -> String {
    UserName { user: name.to_owned(), host: "%".to_owned() }.to_string()
}

/// Until there are grants, everyone works with all databases, and the cluster is root's.
fn grants_of(user: &User) -> Result<Rows> {
    let identity = identity(&user.name);
    let mut rows = Rows::text(&["UserIdentity", "Catalog", "Grants"]);
    if user.name == "root" {
        rows.push([text(&identity), Literal::Null, text(format!("GRANT 'root' TO {identity}"))]);
        return Ok(rows);
    }
    for what in [
        "CREATE DATABASE ON CATALOG default_catalog",
        "ALL ON ALL DATABASES",
        "ALL ON ALL TABLES IN ALL DATABASES",
    ] {
        rows.push([text(&identity), text("default"), text(format!("GRANT {what} TO USER {identity}"))]);
    }
    Ok(rows)
}

/// Passwords are kept as digests that nearly are the password: they are not told.
fn create_statement(user: &User) -> String {
    let mut sql = format!("CREATE USER {}", identity(&user.name));
    if user.has_password() {
        sql.push_str(&format!(" IDENTIFIED WITH {} BY '***'", user.plugin));
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::sample;

    #[test]
    fn grants_say_what_is() {
        let lines = |user: &User| {
            grants_of(user).unwrap().rows().iter().map(|r| r[2].to_string()).collect::<Vec<_>>()
        };
        let catalog = sample();
        assert_eq!(lines(find(&catalog, "root").unwrap()), ["GRANT 'root' TO 'root'@'%'"]);
        let ann = User::without_password("ann");
        assert!(lines(&ann)[2].ends_with("TO USER 'ann'@'%'"));
        assert!(find(&catalog, "nobody").unwrap_err().message().contains("'nobody'@'%'"));
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
