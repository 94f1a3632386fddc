//! `GRANT`, `REVOKE` and `EXECUTE AS`.

use std::collections::BTreeSet;

use cairn_catalog::{Catalog, Command, GrantedOn, Object};
use cairn_exec::DEFAULT_CATALOG;
use cairn_sql::ast::{Grant, GrantObject, TableName, UserName};
use cairn_types::{Error, ObjectKind, Privilege, Result};

use super::users;
use crate::analyze;
use crate::answer::Answer;
use crate::session::Session;
use crate::system;

/// `GRANT … ON … TO u`.
///
/// # Errors
/// `PrivilegeDenied`; what is unknown; `Analysis` for an object of another kind.
pub async fn grant(session: &Session, statement: &Grant) -> Result<Answer> {
    let (user, on, privileges) = read(session, statement)?;
    session.node.propose(Command::Grant { user, on, privileges }).await?;
    Ok(Answer::done())
}

/// `REVOKE … ON … FROM u`.
///
/// # Errors
/// As `GRANT`; `Analysis` where a wider grant would still give what is revoked.
pub async fn revoke(session: &Session, statement: &Grant) -> Result<Answer> {
    let (user, on, privileges) = read(session, statement)?;
    session.node.propose(Command::Revoke { user, on, privileges }).await?;
    Ok(Answer::done())
}

fn read(session: &Session, statement: &Grant) -> Result<(String, Vec<GrantedOn>, BTreeSet<Privilege>)> {
    session.require_system(Privilege::Grant)?;
    let catalog = session.catalog();
    let user = users::find(&catalog, &statement.user)?.name.clone();
    let on = objects(&catalog, &statement.on, &session.database)?;
    let all = || statement.on.kind().privileges().to_vec();
    let privileges = statement.privileges.clone().unwrap_or_else(all);
    Ok((user, on, privileges.into_iter().collect()))
}

fn objects(catalog: &Catalog, on: &GrantObject, current: &str) -> Result<Vec<GrantedOn>> {
    match on {
        GrantObject::System => Ok(vec![GrantedOn::System]),
        GrantObject::Catalog(name) if name != DEFAULT_CATALOG => Err(Error::unsupported(format!(
            "catalog '{name}' is not supported: there is only {DEFAULT_CATALOG}"
        ))),
        GrantObject::Catalog(_) | GrantObject::AllCatalogs => Ok(vec![GrantedOn::Catalog]),
        GrantObject::Databases(names) => {
            let database = |name| {
                let name = analyze::database_name(name)?;
                analyze::find_database(catalog, name).map(|db| GrantedOn::Database(db.id))
            };
            names.iter().map(database).collect()
        }
        GrantObject::AllDatabases => Ok(vec![GrantedOn::All(ObjectKind::Database)]),
        GrantObject::Named { kind, names } => {
            let named = names.iter().map(|name| named(catalog, *kind, name, current));
            named.filter_map(Result::transpose).collect()
        }
        GrantObject::AllIn { kind, database: None } => Ok(vec![GrantedOn::All(*kind)]),
        GrantObject::AllIn { kind, database: Some(name) } => {
            let db = analyze::find_database(catalog, analyze::database_name(name)?)?.id;
            Ok(vec![GrantedOn::AllIn { kind: *kind, db }])
        }
        GrantObject::Users(named) => {
            let user = |user| Ok(GrantedOn::User(users::find(catalog, user)?.name.clone()));
            named.iter().map(user).collect()
        }
        GrantObject::AllUsers => Ok(vec![GrantedOn::All(ObjectKind::User)]),
    }
}

/// `None` for a table of the system: everyone may read it.
fn named(catalog: &Catalog, kind: ObjectKind, name: &TableName, current: &str) -> Result<Option<GrantedOn>> {
    let (database, table) = analyze::table_name(name, current)?;
    if system::is_system_database(database) {
        let unknown = || Error::unknown_table(&format!("{database}.{table}"));
        return system::find(database, table).map(|_| None).ok_or_else(unknown);
    }
    let (_, table) = analyze::find_table(catalog, name, current)?;
    let is = table.object_kind();
    match is == kind {
        true => Ok(Some(GrantedOn::Table(table.id))),
        false => Err(Error::analysis(format!("'{}' is a {is}: say ON {is} {0}", table.name))),
    }
}

/// `EXECUTE AS u WITH NO REVERT`: from here on the session is that user's.
///
/// # Errors
/// `PrivilegeDenied`; `NotFound`.
pub fn execute_as(session: &mut Session, user: &UserName) -> Result<Answer> {
    let catalog = session.catalog();
    catalog.require(&session.user, Privilege::Impersonate, Object::User(&user.user))?;
    let name = &users::find(&catalog, user)?.name;
    tracing::info!(from = %session.user, to = %name, "the session becomes another user's");
    session.user.clone_from(name);
    Ok(Answer::done())
}
