//! What users may do: privileges on objects (RFC 0005).
//!
//! A grant names its object by id: it survives a rename and a restore, and never counts for a later object of the same
//! name. `root` may do everything and has no grants.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cairn_types::{DbId, Error, ObjectKind, Privilege, Result, TableId};
use serde::{Deserialize, Serialize};

use crate::{Catalog, Database, Outcome, Reply, Table, TableKind, User};

/// The user who may do everything.
pub const ROOT: &str = "root";

/// What a grant is on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum GrantedOn {
    System,
    Catalog,
    Database(DbId),
    /// One table, view or materialized view.
    Table(TableId),
    User(String),
    /// All tables, views or materialized views of a database, those made later too.
    AllIn {
        kind: ObjectKind,
        db: DbId,
    },
    /// All objects of a kind in the cluster, those made later too.
    All(ObjectKind),
}

/// Privileges on one object, or on all of a kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    pub on: GrantedOn,
    pub privileges: BTreeSet<Privilege>,
}

/// What somebody wants to do something to.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    System,
    Catalog,
    Database(&'a Database),
    /// A table, view or materialized view.
    Table(&'a Table),
    User(&'a str),
}

impl Object<'_> {
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::System => ObjectKind::System,
            Self::Catalog => ObjectKind::Catalog,
            Self::Database(_) => ObjectKind::Database,
            Self::Table(table) => table.object_kind(),
            Self::User(_) => ObjectKind::User,
        }
    }

    /// `TABLE t`, `SYSTEM`: as an error names it.
    fn described(&self) -> String {
        let kind = self.kind();
        match self {
            Self::System | Self::Catalog => kind.name().to_owned(),
            Self::Database(db) => format!("{kind} {}", db.name),
            Self::Table(table) => format!("{kind} {}", table.name),
            Self::User(name) => format!("{kind} {name}"),
        }
    }
}

impl Table {
    #[must_use]
    pub fn object_kind(&self) -> ObjectKind {
        match self.kind {
            TableKind::Olap(_) => ObjectKind::Table,
            TableKind::View(_) => ObjectKind::View,
            TableKind::Mview(_) => ObjectKind::MaterializedView,
        }
    }
}

impl GrantedOn {
    /// Whether a grant on this counts for `object`.
    fn covers(&self, object: Object<'_>) -> bool {
        match (self, object) {
            (Self::System, Object::System) | (Self::Catalog, Object::Catalog) => true,
            (Self::Database(id), Object::Database(db)) => *id == db.id,
            (Self::Table(id), Object::Table(table)) => *id == table.id,
            (Self::User(name), Object::User(user)) => name == user,
            (Self::AllIn { kind, db }, Object::Table(table)) => {
                *db == table.db && *kind == table.object_kind()
            }
            (Self::All(kind), object) => *kind == object.kind(),
            _ => false,
        }
    }

    /// Whether a grant on this is one on `other`, too, and on more.
    fn includes(&self, other: &Self, catalog: &Catalog) -> bool {
        let table = |id: &TableId| catalog.table(*id).map(|table| (table.object_kind(), table.db));
        match (self, other) {
            (Self::All(kind), Self::AllIn { kind: other, .. }) => kind == other,
            (Self::All(kind), Self::Database(_)) => *kind == ObjectKind::Database,
            (Self::All(kind), Self::User(_)) => *kind == ObjectKind::User,
            (Self::All(kind), Self::Table(id)) => table(id).is_some_and(|(of, _)| of == *kind),
            (Self::AllIn { kind, db }, Self::Table(id)) => table(id) == Some((*kind, *db)),
            _ => false,
        }
    }

    fn exists(&self, catalog: &Catalog) -> bool {
        match self {
            Self::System | Self::Catalog | Self::All(_) => true,
            Self::Database(db) | Self::AllIn { db, .. } => catalog.database(*db).is_some(),
            Self::Table(table) => catalog.table(*table).is_some(),
            Self::User(name) => catalog.user(name).is_some(),
        }
    }
}

/// What users could do before there were grants: everything but run the cluster.
static BEFORE_GRANTS: LazyLock<Vec<Granted>> = LazyLock::new(|| {
    let kinds = [ObjectKind::Database, ObjectKind::Table, ObjectKind::View, ObjectKind::MaterializedView];
    let all = |on, kind: ObjectKind| Granted { on, privileges: kind.privileges().iter().copied().collect() };
    std::iter::once(all(GrantedOn::Catalog, ObjectKind::Catalog))
        .chain(kinds.map(|kind| all(GrantedOn::All(kind), kind)))
        .collect()
});

impl User {
    /// What was granted to the user, in the order of objects; nothing for `root`, who needs none.
    #[must_use]
    pub fn granted(&self) -> &[Granted] {
        match &self.grants {
            _ if self.name == ROOT => &[],
            Some(grants) => grants,
            None => &BEFORE_GRANTS,
        }
    }

    fn any_grant(&self, matches: impl Fn(&Granted) -> bool) -> bool {
        self.name == ROOT || self.granted().iter().any(matches)
    }
}

impl Catalog {
    /// Whether `user` may do `privilege` to `object`. A user who was dropped may nothing.
    #[must_use]
    pub fn may(&self, user: &str, privilege: Privilege, object: Object<'_>) -> bool {
        let covers = |granted: &Granted| granted.privileges.contains(&privilege) && granted.on.covers(object);
        self.user(user).is_some_and(|user| user.any_grant(covers))
    }

    /// That `user` may do `privilege` to `object`.
    ///
    /// # Errors
    /// `PrivilegeDenied`, with the privilege and the object.
    pub fn require(&self, user: &str, privilege: Privilege, object: Object<'_>) -> Result<()> {
        match self.may(user, privilege, object) {
            true => Ok(()),
            false => Err(denied(privilege, &object.described())),
        }
    }

    /// Whether `user` may do anything at all to `table`, and so may know of it.
    #[must_use]
    pub fn sees_table(&self, user: &str, table: &Table) -> bool {
        self.user(user).is_some_and(|user| user.any_grant(|granted| granted.on.covers(Object::Table(table))))
    }

    /// Whether `user` may do anything at all to `db` or to what is in it.
    #[must_use]
    pub fn sees_database(&self, user: &str, db: &Database) -> bool {
        let reaches = |granted: &Granted| match &granted.on {
            GrantedOn::Database(id) | GrantedOn::AllIn { db: id, .. } => *id == db.id,
            GrantedOn::Table(id) => self.table(*id).is_some_and(|table| table.db == db.id),
            GrantedOn::All(kind) => *kind != ObjectKind::User,
            GrantedOn::System | GrantedOn::Catalog | GrantedOn::User(_) => false,
        };
        self.user(user).is_some_and(|user| user.any_grant(reaches))
    }

    pub(crate) fn grant(
        &mut self,
        name: &str,
        on: &[GrantedOn],
        privileges: &BTreeSet<Privilege>,
    ) -> Outcome {
        let (mut user, mut grants) = self.granted_of(name, "GRANT")?;
        if name == ROOT {
            return Ok(Reply::Unchanged);
        }
        if let Some(gone) = on.iter().find(|on| !on.exists(self)) {
            return Err(Error::conflict(format!("what is granted on is gone: {gone:?}")));
        }
        for on in on {
            match grants.iter_mut().find(|granted| granted.on == *on) {
                Some(granted) => granted.privileges.extend(privileges),
                None => grants.push(Granted { on: on.clone(), privileges: privileges.clone() }),
            }
        }
        grants.sort_by(|left, right| left.on.cmp(&right.on));
        user.grants = Some(grants);
        self.put_user(user);
        Ok(Reply::Done)
    }

    /// Takes back what was granted on exactly these objects.
    pub(crate) fn revoke(
        &mut self,
        name: &str,
        on: &[GrantedOn],
        privileges: &BTreeSet<Privilege>,
    ) -> Outcome {
        let (mut user, mut grants) = self.granted_of(name, "REVOKE")?;
        if name == ROOT {
            return Err(Error::analysis("user 'root' may do everything: nothing can be revoked"));
        }
        let before = grants.clone();
        for granted in grants.iter_mut().filter(|granted| on.contains(&granted.on)) {
            granted.privileges.retain(|privilege| !privileges.contains(privilege));
        }
        grants.retain(|granted| !granted.privileges.is_empty());
        if grants == before {
            return self.nothing_revoked(name, &grants, on, privileges);
        }
        user.grants = Some(grants);
        self.put_user(user);
        Ok(Reply::Done)
    }

    /// A user is named by name: a later one must not be open to whoever could become this one.
    pub(crate) fn forget_grants_on_user(&mut self, name: &str) {
        let on = |granted: &Granted| matches!(&granted.on, GrantedOn::User(user) if user == name);
        let holds = |user: &User| user.grants.iter().flatten().any(on);
        let holders: Vec<User> = self.users().filter(|user| holds(user)).map(|u| User::clone(u)).collect();
        for mut holder in holders {
            holder.grants.iter_mut().for_each(|grants| grants.retain(|granted| !on(granted)));
            self.put_user(holder);
        }
    }

    /// Nobody should believe that something was taken away while a wider grant still gives it.
    fn nothing_revoked(
        &self,
        name: &str,
        grants: &[Granted],
        on: &[GrantedOn],
        privileges: &BTreeSet<Privilege>,
    ) -> Outcome {
        let gives = |granted: &&Granted| {
            !granted.privileges.is_disjoint(privileges) && on.iter().any(|on| granted.on.includes(on, self))
        };
        match grants.iter().find(gives) {
            None => Ok(Reply::Unchanged),
            Some(wider) => Err(Error::analysis(format!(
                "Nothing was revoked: '{name}' has it by a grant on {}, revoke that",
                self.describe_granted_on(&wider.on)
            ))),
        }
    }

    /// As a statement names it: `TABLE d.t`, `ALL VIEWS IN DATABASE d`, `SYSTEM`.
    #[must_use]
    pub fn describe_granted_on(&self, on: &GrantedOn) -> String {
        let database = |id: &DbId| self.database(*id).map_or_else(|| format!("#{id}"), |db| db.name.clone());
        match on {
            GrantedOn::System => ObjectKind::System.to_string(),
            GrantedOn::Catalog => format!("{} default_catalog", ObjectKind::Catalog),
            GrantedOn::Database(id) => format!("{} {}", ObjectKind::Database, database(id)),
            GrantedOn::Table(id) => match self.table(*id) {
                Some(table) => format!("{} {}.{}", table.object_kind(), database(&table.db), table.name),
                None => format!("{} #{id}", ObjectKind::Table),
            },
            GrantedOn::User(name) => {
                let identity = self.user(name).map(|user| user.identity());
                format!("{} {}", ObjectKind::User, identity.unwrap_or_else(|| name.clone()))
            }
            GrantedOn::AllIn { kind, db } => format!("ALL {kind}S IN DATABASE {}", database(db)),
            GrantedOn::All(kind @ (ObjectKind::Database | ObjectKind::User)) => format!("ALL {kind}S"),
            GrantedOn::All(kind) => format!("ALL {kind}S IN ALL DATABASES"),
        }
    }

    /// The user and what they were granted on what still exists.
    fn granted_of(&self, name: &str, operation: &str) -> Result<(User, Vec<Granted>)> {
        let user = self.user(name).ok_or_else(|| {
            Error::not_found(format!("Operation {operation} failed for '{name}'@'%' : user not exists"))
        })?;
        let mut grants = user.granted().to_vec();
        grants.retain(|granted| granted.on.exists(self));
        Ok((User::clone(user), grants))
    }
}

fn denied(privilege: Privilege, object: &str) -> Error {
    Error::new(
        cairn_types::ErrorKind::PrivilegeDenied,
        format!(
            "Access denied; you need (at least one of) the {privilege} privilege(s) on {object} for this operation. \
             Please ask the admin to grant permission(s) or try activating existing roles using <set [default] role>. \
             Current role(s): NONE. Inactivated role(s): NONE."
        ),
    )
}
