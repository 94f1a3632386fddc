//! Users and passwords. `Display` prints `***` for every password and its hash; `Debug` does too.

use std::fmt;

use super::name::{MASK, UserName, literal, quoted, when};

/// `CREATE USER [IF NOT EXISTS] u [IDENTIFIED …]`.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateUser {
    pub if_not_exists: bool,
    pub user: UserName,
    /// `None`: an empty password.
    pub auth: Option<AuthOption>,
}

/// `ALTER USER [IF EXISTS] u IDENTIFIED …`.
#[derive(Clone, PartialEq, Debug)]
pub struct AlterUser {
    pub if_exists: bool,
    pub user: UserName,
    pub auth: AuthOption,
}

/// `DROP USER [IF EXISTS] u`.
#[derive(Clone, PartialEq, Debug)]
pub struct DropUser {
    pub if_exists: bool,
    pub user: UserName,
}

/// `SET PASSWORD [FOR u] = PASSWORD('plain') | 'hash'`.
#[derive(Clone, PartialEq, Debug)]
pub struct SetPassword {
    /// `None`: one's own.
    pub user: Option<UserName>,
    pub auth: AuthOption,
}

/// How a user proves who they are.
#[derive(Clone, PartialEq)]
pub enum AuthOption {
    /// `IDENTIFIED [WITH plugin] BY 'password'`, `PASSWORD('password')`.
    Plain { plugin: Option<String>, password: String },
    /// `IDENTIFIED BY PASSWORD '*hash'`, `IDENTIFIED WITH plugin AS '*hash'`.
    Hash { plugin: Option<String>, hash: String },
    /// `IDENTIFIED WITH plugin` and nothing more.
    Plugin(String),
}

impl fmt::Debug for AuthOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthOption({self})")
    }
}

impl fmt::Display for AuthOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = literal(MASK);
        match self {
            Self::Plain { plugin: None, .. } => write!(f, "IDENTIFIED BY {mask}"),
            Self::Plain { plugin: Some(p), .. } => write!(f, "IDENTIFIED WITH {} BY {mask}", quoted(p)),
            Self::Hash { plugin: None, .. } => write!(f, "IDENTIFIED BY PASSWORD {mask}"),
            Self::Hash { plugin: Some(p), .. } => write!(f, "IDENTIFIED WITH {} AS {mask}", quoted(p)),
            Self::Plugin(plugin) => write!(f, "IDENTIFIED WITH {}", quoted(plugin)),
        }
    }
}

impl fmt::Display for CreateUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE USER {}{}", when(self.if_not_exists, "IF NOT EXISTS "), self.user)?;
        match &self.auth {
            Some(auth) => write!(f, " {auth}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AlterUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER USER {}{} {}", when(self.if_exists, "IF EXISTS "), self.user, self.auth)
    }
}

impl fmt::Display for DropUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP USER {}{}", when(self.if_exists, "IF EXISTS "), self.user)
    }
}

impl fmt::Display for SetPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SET PASSWORD")?;
        if let Some(user) = &self.user {
            write!(f, " FOR {user}")?;
        }
        match &self.auth {
            AuthOption::Plain { .. } => write!(f, " = PASSWORD({})", literal(MASK)),
            AuthOption::Hash { .. } | AuthOption::Plugin(_) => write!(f, " = {}", literal(MASK)),
        }
    }
}
