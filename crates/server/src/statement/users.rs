//! Users and passwords.

use std::sync::Arc;

use cairn_catalog::{Catalog, Command, Object, ROOT, User};
use cairn_mysql::{native_hash, sha2_digest};
use cairn_sql::ast::{AlterUser, AuthOption, CreateUser, DropUser, SetPassword, UserName};
use cairn_types::{Error, Privilege, Result};

use crate::answer::Answer;
use crate::session::Session;

const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";

/// `CREATE USER`.
///
/// # Errors
/// `PrivilegeDenied`; `AlreadyExists`; `Unsupported` for a host or plugin.
pub async fn create(session: &Session, statement: &CreateUser) -> Result<Answer> {
    session.require_system(Privilege::Grant)?;
    let name = &statement.user.user;
    let user = match &statement.auth {
        Some(auth) => user(name, auth)?,
        None => User::without_password(name),
    };
    let host = Some(statement.user.host.clone()).filter(|host| host != "%" && !host.is_empty());
    let user = User { host, ..user };
    session.node.propose(Command::CreateUser { user, if_not_exists: statement.if_not_exists }).await?;
    Ok(Answer::done())
}

/// `ALTER USER`.
///
/// # Errors
/// `PrivilegeDenied` for another user's password; `NotFound`.
pub async fn alter(session: &Session, statement: &AlterUser) -> Result<Answer> {
    check_change(session, &statement.user.user)?;
    let catalog = session.catalog();
    match find(&catalog, &statement.user) {
        Err(_) if statement.if_exists => Ok(Answer::done()),
        user => change(session, &user?.name, &statement.auth).await,
    }
}

/// `SET PASSWORD`.
///
/// # Errors
/// As `ALTER USER`.
pub async fn set_password(session: &Session, statement: &SetPassword) -> Result<Answer> {
    let catalog = session.catalog();
    let name = match &statement.user {
        Some(user) => {
            check_change(session, &user.user)?;
            &find(&catalog, user)?.name
        }
        None => &session.user,
    };
    change(session, name, &statement.auth).await
}

/// That the session may know of user `name`: it is its own, or it may grant. Asked before it is looked whether there is
/// such a user.
///
/// # Errors
/// `PrivilegeDenied`.
pub fn of_oneself_or_granted(session: &Session, name: &str) -> Result<()> {
    match name == session.user {
        true => Ok(()),
        false => session.require_system(Privilege::Grant),
    }
}

fn check_change(session: &Session, name: &str) -> Result<()> {
    of_oneself_or_granted(session, name)?;
    // Who may grant is not root, and must not become root by another password.
    match name {
        ROOT => session.catalog().require(&session.user, Privilege::Impersonate, Object::User(ROOT)),
        _ => Ok(()),
    }
}

async fn change(session: &Session, name: &str, auth: &AuthOption) -> Result<Answer> {
    session.node.propose(Command::AlterUser { user: user(name, auth)? }).await?;
    Ok(Answer::done())
}

/// `DROP USER`, with the user's tasks and sessions.
///
/// # Errors
/// `PrivilegeDenied`; `NotFound`.
pub async fn drop(session: &Session, statement: &DropUser) -> Result<Answer> {
    session.require_system(Privilege::Grant)?;
    let name = match find(&session.catalog(), &statement.user) {
        Err(_) if statement.if_exists => return Ok(Answer::done()),
        user => user?.name.clone(),
    };
    let node = &session.node;
    // A later user of this name must not be served by what this one left.
    let catalog = session.catalog();
    for task in catalog.tasks().filter(|task| task.creator == name) {
        node.propose(Command::DropTask { name: task.name.clone(), if_exists: true }).await?;
    }
    node.propose(Command::DropUser { name: name.clone(), if_exists: statement.if_exists }).await?;
    node.sessions.close_of(&name);
    Ok(Answer::done())
}

/// The user that `name` means.
///
/// # Errors
/// `NotFound`, also when the user is one of another host.
pub fn find<'a>(catalog: &'a Catalog, name: &UserName) -> Result<&'a Arc<User>> {
    let host = if name.host.is_empty() { "%" } else { &name.host };
    match catalog.user(&name.user) {
        Some(user) if user.host() == host => Ok(user),
        Some(user) => Err(Error::not_found(format!("cannot find user {name}: there is {}", user.identity()))),
        None => Err(Error::not_found(format!("cannot find user {name}"))),
    }
}

fn user(name: &str, auth: &AuthOption) -> Result<User> {
    let mut user = User::without_password(name);
    match auth {
        AuthOption::Plain { plugin, password } => {
            user.plugin = self::plugin(plugin.as_deref())?.to_owned();
            if !password.is_empty() {
                user.native_hash = native_hash(password).to_string();
                user.sha2_digest = sha2_digest(password).to_string();
            }
        }
        AuthOption::Hash { plugin, hash } => {
            if self::plugin(plugin.as_deref())? != NATIVE {
                return Err(Error::unsupported("a hash can be given for mysql_native_password only"));
            }
            let hash: cairn_mysql::NativeHash = hash.parse()?;
            user.native_hash = hash.to_string();
        }
        AuthOption::Plugin(plugin) => user.plugin = self::plugin(Some(plugin))?.to_owned(),
    }
    Ok(user)
}

fn plugin(name: Option<&str>) -> Result<&'static str> {
    match name.map(str::to_ascii_lowercase).as_deref() {
        None | Some(NATIVE) => Ok(NATIVE),
        Some(CACHING_SHA2) => Ok(CACHING_SHA2),
        Some(other) => Err(Error::unsupported(format!(
            "authentication plugin {other} is not supported: use {NATIVE} or {CACHING_SHA2}"
        ))),
    }
}
