//! Users and what is kept of their passwords.

use std::fmt;
use std::sync::Arc;

use cairn_types::Error;
use serde::{Deserialize, Serialize};

use crate::grant::{Granted, ROOT};
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
    /// The address that the user must come from, with `%` and `_` as in LIKE. `None`: from anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// In the order of their objects. `None`: made before there were grants (see [`User::granted`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Granted>>,
}

/// Digests are secrets: whoever has SHA1(SHA1(p)) needs little more.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

impl User {
    /// A user without password and grants.
    #[must_use]
    pub fn without_password(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            native_hash: String::new(),
            sha2_digest: String::new(),
            plugin: "mysql_native_password".to_owned(),
            host: None,
            grants: Some(Vec::new()),
        }
    }

    /// As statements have it: `%` for anywhere.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("%")
    }

    /// `'name'@'host'`.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("'{}'@'{}'", self.name, self.host())
    }

    #[must_use]
    pub fn has_password(&self) -> bool {
        !self.native_hash.is_empty() || !self.sha2_digest.is_empty()
    }
}

impl Catalog {
    pub(crate) fn create_user(&mut self, user: &User, if_not_exists: bool) -> Outcome {
        if let Some(other) = self.users.get(&user.name) {
            return match if_not_exists && other.host == user.host {
                true => Ok(Reply::Unchanged),
                false => Err(Error::already_exists(format!(
                    "Operation CREATE USER failed for {} : user already exists, as {}",
                    user.identity(),
                    other.identity()
                ))),
            };
        }
        if user.name.is_empty() {
            return Err(Error::analysis("a user needs a name"));
        }
        self.put_user(user.clone());
        Ok(Reply::Done)
    }

    /// Another password: the host and what was granted stay.
    pub(crate) fn alter_user(&mut self, user: &User) -> Outcome {
        let Some(before) = self.users.get(&user.name) else {
            return Err(Error::not_found(format!(
                "Operation ALTER USER failed for '{}'@'%' : user not exists",
                user.name
            )));
        };
        let (host, grants) = (before.host.clone(), before.grants.clone());
        self.put_user(User { host, grants, ..user.clone() });
        Ok(Reply::Done)
    }

    pub(crate) fn put_user(&mut self, user: User) {
        self.users.insert(user.name.clone(), Arc::new(user));
    }

    pub(crate) fn drop_user(&mut self, name: &str, if_exists: bool) -> Outcome {
        if name == ROOT {
            return Err(Error::analysis("user 'root' cannot be dropped"));
        }
        match (self.users.remove(name), if_exists) {
            (Some(_), _) => {
                self.forget_grants_on_user(name);
                Ok(Reply::Done)
            }
            (None, true) => Ok(Reply::Unchanged),
            (None, false) => Err(Error::not_found(format!(
                "Operation DROP USER failed for '{name}'@'%' : user not exists"
            ))),
        }
    }
}
