//! Users and passwords.

use cairn_catalog::{Command, User};
use cairn_mysql::{native_hash, sha2_digest};
use cairn_sql::ast::{AlterUser, AuthOption, CreateUser, DropUser, SetPassword, UserName};
use cairn_types::{Error, Result};

use super::require_root;
use crate::answer::Answer;
use crate::session::Session;

const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";

/// `CREATE USER`.
///
/// # Errors
/// `PrivilegeDenied`; `AlreadyExists`; `Unsupported` for a host or plugin.
pub async fn create(session: &Session, statement: &CreateUser) -> Result<Answer> {
    require_root(session, "USER_ADMIN")?;
    let name = user_name(&statement.user)?;
    let user = match &statement.auth {
        Some(auth) => user(name, auth)?,
        None => User::without_password(name),
    };
    session.node.propose(Command::CreateUser { user, if_not_exists: statement.if_not_exists }).await?;
    Ok(Answer::done())
}

/// `ALTER USER`.
///
/// # Errors
/// `PrivilegeDenied` for another user's password; `NotFound`.
pub async fn alter(session: &Session, statement: &AlterUser) -> Result<Answer> {
    let name = user_name(&statement.user)?;
    if statement.if_exists && session.catalog().user(name).is_none() {
        return Ok(Answer::done());
    }
    change(session, name, &statement.auth).await
}

/// `SET PASSWORD`.
///
/// # Errors
/// As `ALTER USER`.
pub async fn set_password(session: &Session, statement: &SetPassword) -> Result<Answer> {
    let name = match &statement.user {
        Some(user) => user_name(user)?,
        None => &session.user,
    };
    change(session, name, &statement.auth).await
}

async fn change(session: &Session, name: &str, auth: &AuthOption) -> Result<Answer> {
    if name != session.user {
        require_root(session, "USER_ADMIN")?;
    }
    session.node.propose(Command::AlterUser { user: user(name, auth)? }).await?;
    Ok(Answer::done())
}

/// `DROP USER`.
///
/// # Errors
/// `PrivilegeDenied`; `NotFound`.
pub async fn drop(session: &Session, statement: &DropUser) -> Result<Answer> {
    require_root(session, "USER_ADMIN")?;
    let name = user_name(&statement.user)?.to_owned();
    session.node.propose(Command::DropUser { name, if_exists: statement.if_exists }).await?;
    Ok(Answer::done())
}

fn user_name(user: &UserName) -> Result<&str> {
    match user.host.as_str() {
        "%" | "" => Ok(&user.user),
        host => Err(Error::unsupported(format!(
            "users of one host ('{}'@'{host}') are not supported yet: use '%'",
            user.user
        ))),
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
