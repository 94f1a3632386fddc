//! What users may do.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_catalog::{Command, GrantedOn, Object, Reply, Table, User, View, image};
use cairn_types::{DbId, ObjectKind, Privilege, Schema, TableId};

use crate::common::*;

/// A table `d.t`, a view `d.w`, a materialized view `d.mv`, an empty database `e`, and a user `u` without grants.
struct Sample {
    c: Cluster1,
    d: DbId,
    e: DbId,
    t: TableId,
    w: TableId,
    mv: TableId,
}

impl Sample {
    fn new() -> Self {
        let (mut c, d, t, _) = Cluster1::with_table();
        let mv = c.mview(d, "mv", &[t], &[]);
        let view = View {
            schema: Schema::default(),
            query: "SELECT 1".into(),
            default_db: "d".into(),
            security_invoker: false,
        };
        let (name, comment) = ("w".into(), String::new());
        let Reply::Table(w) = c.ok(Command::CreateView { db: d, name, view, comment, or_replace: false })
        else {
            panic!()
        };
        let Reply::Database(e) = c.ok(Command::CreateDatabase { name: "e".into(), if_not_exists: false })
        else {
            panic!()
        };
        c.ok(Command::CreateUser { user: User::without_password("u"), if_not_exists: false });
        Self { c, d, e, t, w, mv }
    }

    fn grant(&mut self, on: GrantedOn, privilege: Privilege) {
        let privileges = BTreeSet::from([privilege]);
        self.c.ok(Command::Grant { user: "u".into(), on: vec![on], privileges });
    }

    fn revoke(&self, on: GrantedOn, privilege: Privilege) -> Command {
        Command::Revoke { user: "u".into(), on: vec![on], privileges: BTreeSet::from([privilege]) }
    }

    fn table(&self, id: TableId) -> &Table {
        self.c.catalog.table(id).unwrap()
    }

    /// Of `t`, `w` and `mv` those that `u` may select from, then which databases `u` sees.
    fn reach(&self) -> (String, String) {
        let catalog = &self.c.catalog;
        let may = |id: TableId| catalog.may("u", Privilege::Select, Object::Table(self.table(id)));
        let tables = [("t", self.t), ("w", self.w), ("mv", self.mv)].map(|(n, id)| (n, may(id)));
        let sees = |id: DbId| catalog.sees_database("u", catalog.database(id).unwrap());
        let databases = [("d", self.d), ("e", self.e)].map(|(n, id)| (n, sees(id)));
        let names = |of: &[(&str, bool)]| {
            of.iter().filter(|(_, yes)| *yes).map(|(n, _)| *n).collect::<Vec<_>>().join(" ")
        };
        (names(&tables), names(&databases))
    }
}

#[test]
fn a_grant_reaches_its_object_or_all_of_its_kind() {
    let check = |on: &dyn Fn(&Sample) -> GrantedOn, tables: &str, databases: &str| {
        let mut sample = Sample::new();
        assert_eq!(sample.reach(), (String::new(), String::new()), "nothing at first");
        let on = on(&sample);
        sample.grant(on.clone(), Privilege::Select);
        assert_eq!(sample.reach(), (tables.to_owned(), databases.to_owned()), "{on:?}");
        let revoke = sample.revoke(on.clone(), Privilege::Select);
        assert_eq!(sample.c.ok(revoke.clone()), Reply::Done);
        assert_eq!(sample.reach(), (String::new(), String::new()), "revoked {on:?}");
        assert_eq!(sample.c.ok(revoke), Reply::Unchanged, "revoked twice");
    };
    check(&|s| GrantedOn::Table(s.t), "t", "d");
    check(&|s| GrantedOn::Table(s.mv), "mv", "d");
    check(&|s| GrantedOn::AllIn { kind: ObjectKind::Table, db: s.d }, "t", "d");
    check(&|s| GrantedOn::AllIn { kind: ObjectKind::View, db: s.d }, "w", "d");
    check(&|s| GrantedOn::AllIn { kind: ObjectKind::Table, db: s.e }, "", "e");
    check(&|_| GrantedOn::All(ObjectKind::Table), "t", "d e");
    check(&|_| GrantedOn::All(ObjectKind::MaterializedView), "mv", "d e");
    check(&|s| GrantedOn::Database(s.e), "", "e");
    check(&|_| GrantedOn::System, "", "");
    check(&|_| GrantedOn::User("root".into()), "", "");
}

#[test]
fn a_grant_is_of_one_privilege() {
    let mut sample = Sample::new();
    sample.grant(GrantedOn::Table(sample.t), Privilege::Insert);
    let (catalog, table) = (&sample.c.catalog, sample.table(sample.t));
    assert!(catalog.may("u", Privilege::Insert, Object::Table(table)));
    assert!(catalog.sees_table("u", table));
    let error = catalog.require("u", Privilege::Select, Object::Table(table)).unwrap_err();
    assert!(error.message().contains("SELECT privilege(s) on TABLE t for"), "{error}");
    assert!(catalog.may("root", Privilege::Select, Object::Table(table)), "root may everything");
    assert!(!catalog.may("nobody", Privilege::Insert, Object::Table(table)));
}

#[test]
fn what_a_wider_grant_gives_is_not_revoked_in_silence() {
    let mut sample = Sample::new();
    let wide = GrantedOn::AllIn { kind: ObjectKind::Table, db: sample.d };
    sample.grant(wide, Privilege::Select);
    let narrow = sample.revoke(GrantedOn::Table(sample.t), Privilege::Select);
    assert!(sample.c.refused(narrow).contains("a grant on ALL TABLES IN DATABASE d, revoke that"));
    let other = sample.revoke(GrantedOn::Table(sample.w), Privilege::Select);
    assert_eq!(sample.c.ok(other), Reply::Unchanged, "a view is no table");
}

#[test]
fn grants_follow_their_object_and_end_with_it() {
    let mut sample = Sample::new();
    sample.grant(GrantedOn::Table(sample.t), Privilege::Select);
    sample.c.ok(Command::RenameTable { table: sample.t, name: "renamed".into() });
    assert_eq!(sample.reach().0, "t", "a rename changes nothing");
    sample.c.ok(Command::DropTable { db: sample.d, name: "renamed".into(), force: true });
    sample.c.trim();
    let again = sample.c.table(sample.d, "renamed", cairn_catalog::Partitioning::None);
    let (catalog, table) = (&sample.c.catalog, sample.table(again));
    assert!(!catalog.may("u", Privilege::Select, Object::Table(table)), "another table of that name");
    // What is gone is forgotten when the grants change next.
    sample.grant(GrantedOn::Database(sample.d), Privilege::CreateTable);
    assert_eq!(sample.c.catalog.user("u").unwrap().granted().len(), 1);
}

#[test]
fn another_password_changes_no_grant_and_another_user_has_none() {
    let mut sample = Sample::new();
    sample.grant(GrantedOn::Table(sample.t), Privilege::Select);
    sample.c.ok(Command::AlterUser { user: User::without_password("u") });
    assert_eq!(sample.reach().0, "t");
    sample.c.ok(Command::CreateUser { user: User::without_password("v"), if_not_exists: false });
    sample.c.ok(Command::Grant {
        user: "v".into(),
        on: vec![GrantedOn::User("u".into())],
        privileges: BTreeSet::from([Privilege::Impersonate]),
    });
    assert!(sample.c.catalog.may("v", Privilege::Impersonate, Object::User("u")));
    sample.c.ok(Command::DropUser { name: "u".into(), if_exists: false });
    sample.c.ok(Command::CreateUser { user: User::without_password("u"), if_not_exists: false });
    assert_eq!(sample.reach().0, "");
    assert!(
        !sample.c.catalog.may("v", Privilege::Impersonate, Object::User("u")),
        "another user of that name"
    );
}

/// Users of clusters that had no grants keep what they could, until somebody says what it shall be.
#[test]
fn users_from_before_grants_may_all_but_run_the_cluster() {
    let mut sample = Sample::new();
    let old = r#"{"name":"old","native_hash":"","sha2_digest":"","plugin":"mysql_native_password"}"#;
    let old: User = serde_json::from_str(old).unwrap();
    sample.c.ok(Command::CreateUser { user: old, if_not_exists: false });
    let may = |s: &Sample, privilege, object: Object<'_>| s.c.catalog.may("old", privilege, object);
    assert!(may(&sample, Privilege::Insert, Object::Table(sample.table(sample.t))));
    assert!(may(&sample, Privilege::CreateDatabase, Object::Catalog));
    assert!(!may(&sample, Privilege::Operate, Object::System));
    let on = vec![GrantedOn::All(ObjectKind::Table)];
    let privileges = BTreeSet::from([Privilege::Insert]);
    sample.c.ok(Command::Revoke { user: "old".into(), on, privileges });
    assert!(!may(&sample, Privilege::Insert, Object::Table(sample.table(sample.t))));
    assert!(may(&sample, Privilege::Select, Object::Table(sample.table(sample.t))));
}

#[test]
fn grants_need_a_user_and_an_object() {
    let mut sample = Sample::new();
    let privileges = BTreeSet::from([Privilege::Select]);
    let grant =
        |user: &str, on| Command::Grant { user: user.into(), on: vec![on], privileges: privileges.clone() };
    assert!(sample.c.refused(grant("x", GrantedOn::System)).contains("user not exists"));
    assert!(sample.c.refused(grant("u", GrantedOn::Table(TableId(999_999)))).contains("gone"));
    assert_eq!(sample.c.ok(grant("root", GrantedOn::System)), Reply::Unchanged);
    let revoke = Command::Revoke { user: "root".into(), on: vec![GrantedOn::System], privileges };
    assert!(sample.c.refused(revoke).contains("may do everything"));
}

#[test]
fn an_image_holds_grants_and_hosts() {
    let mut sample = Sample::new();
    sample.grant(GrantedOn::AllIn { kind: ObjectKind::View, db: sample.d }, Privilege::Select);
    let far = User { host: Some("10.0.0.%".into()), ..User::without_password("far") };
    sample.c.ok(Command::CreateUser { user: far, if_not_exists: false });
    let bytes = image::encode(&sample.c.catalog, 7);
    assert_eq!(image::decode(&bytes).unwrap(), (7, sample.c.catalog.clone()));
}

/// Whoever may read one table learns of nothing else.
#[test]
fn the_catalog_that_a_user_sees_is_what_was_granted() {
    let mut sample = Sample::new();
    sample.grant(GrantedOn::Table(sample.t), Privilege::Select);
    let whole = Arc::new(sample.c.catalog.clone());
    let seen = whole.seen_by("u");
    let names: Vec<_> = seen.tables().map(|t| t.name.clone()).collect();
    assert_eq!(names, ["t"]);
    assert!(seen.database_named("d").is_some() && seen.database_named("e").is_none());
    assert!(seen.table_named(sample.d, "t").is_some() && seen.table_named(sample.d, "mv").is_none());
    assert!(seen.partitions().all(|p| p.table == sample.t));
    assert_eq!(seen.users().map(|u| u.name.clone()).collect::<Vec<_>>(), ["u"]);
    assert!(Arc::ptr_eq(&whole.seen_by("root"), &whole), "root sees everything, at no cost");
    assert_eq!(whole.seen_by("nobody").tables().count(), 0);
}
