//! Users and what is kept of their passwords.

use std::fmt;
use std::sync::Arc;

use cairn_types::Error;
use serde::{Deserialize, Serialize};

use crate::{Catalog, Outcome, Reply};

/// A user. Passwords are kept as the digests which the two MySQL plugins verify against, never in clear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub name: String,
    /// Upper-case hexadecimal SHA1(SHA1(password)); empty for an empty password.
    pub native_hash: String,
    /// Upper-case hexadecimal SHA256(SHA256(password)); empty when not known (made from a native hash) or for an
    /// empty password.
    pub sha2_digest: String,
    /// The plugin that is offered first: `mysql_native_password` or `caching_sha2_password`.
    pub plugin: String,
}

/// Digests are secrets: whoever has SHA1(SHA1(p)) needs little more.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

impl User {
    #[must_use]
    pub fn without_password(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            native_hash: String::new(),
            sha2_digest: String::new(),
            plugin: "mysql_native_password".to_owned(),
        }
    }

    #[must_use]
    pub fn has_password(&self) -> bool {
        !self.native_hash.is_empty() || !self.sha2_digest.is_empty()
    }
}

impl Catalog {
    pub(crate) fn create_user(&mut self, user: &User, if_not_exists: bool) -> Outcome {
        if self.users.contains_key(&user.name) {
            return match if_not_exists {
                true => Ok(Reply::Unchanged),
                false => Err(Error::already_exists(format!(
                    "Operation CREATE USER failed for '{}'@'%' : user already exists",
                    user.name
                ))),
            };
        }
        if user.name.is_empty() {
            return Err(Error::analysis("a user needs a name"));
        }
        self.users.insert(user.name.clone(), Arc::new(user.clone()));
        Ok(Reply::Done)
    }

    pub(crate) fn alter_user(&mut self, user: &User) -> Outcome {
        if !self.users.contains_key(&user.name) {
            return Err(Error::not_found(format!(
                "Operation ALTER USER failed for '{}'@'%' : user not exists",
                user.name
            )));
        }
        self.users.insert(user.name.clone(), Arc::new(user.clone()));
        Ok(Reply::Done)
    }

    pub(crate) fn drop_user(&mut self, name: &str, if_exists: bool) -> Outcome {
        if name == "root" {
            return Err(Error::analysis("user 'root' cannot be dropped"));
        }
        match (self.users.remove(name), if_exists) {
            (Some(_), _) => Ok(Reply::Done),
            (None, true) => Ok(Reply::Unchanged),
            (None, false) => Err(Error::not_found(format!(
                "Operation DROP USER failed for '{name}'@'%' : user not exists"
            ))),
        }
    }
}
