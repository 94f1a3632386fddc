//! Statements about privileges: what is granted on what, and what is refused.

use cairn_sql::ast::{DatabaseName, Grant, GrantObject, Show, Statement, TableName, UserName};
use cairn_sql::parse_statements;
use cairn_types::{ErrorKind, ObjectKind, Privilege};

use super::one;

fn granted(sql: &str) -> Grant {
    match one(sql) {
        Statement::Grant(grant) => *grant,
        other => panic!("{sql} is {other:?}"),
    }
}

fn user(user: &str, host: &str) -> UserName {
    UserName { user: user.into(), host: host.into() }
}

fn database(catalog: Option<&str>, name: &str) -> DatabaseName {
    DatabaseName { catalog: catalog.map(str::to_owned), name: name.into() }
}

/// `[[catalog.]db.]name` of names without dots.
fn table(text: &str) -> TableName {
    let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    let name = parts.pop().unwrap_or_default();
    let database = parts.pop();
    TableName { catalog: parts.pop(), database, name }
}

fn named(kind: ObjectKind, names: &[&str]) -> GrantObject {
    GrantObject::Named { kind, names: names.iter().map(|name| table(name)).collect() }
}

fn all_in(kind: ObjectKind, database: Option<DatabaseName>) -> GrantObject {
    GrantObject::AllIn { kind, database }
}

#[test]
fn objects_are_told_by_the_word_before_them() {
    use ObjectKind::{MaterializedView, Table, View};
    for (on, expected) in [
        ("SYSTEM", GrantObject::System),
        ("CATALOG default_catalog", GrantObject::Catalog("default_catalog".into())),
        ("CATALOG 'c'", GrantObject::Catalog("c".into())),
        ("ALL CATALOGS", GrantObject::AllCatalogs),
        ("DATABASE db", GrantObject::Databases(vec![database(None, "db")])),
        (
            "database a, c.b, 'd'",
            GrantObject::Databases(vec![database(None, "a"), database(Some("c"), "b"), database(None, "d")]),
        ),
        ("DATABASES db", GrantObject::Databases(vec![database(None, "db")])),
        ("ALL DATABASES", GrantObject::AllDatabases),
        ("t", named(Table, &["t"])),
        ("db.t, c.db.u", named(Table, &["db.t", "c.db.u"])),
        ("TABLE t, u", named(Table, &["t", "u"])),
        ("TABLES t", named(Table, &["t"])),
        ("VIEW v, w", named(View, &["v", "w"])),
        ("VIEWS db.v", named(View, &["db.v"])),
        ("MATERIALIZED VIEW mv", named(MaterializedView, &["mv"])),
        ("MATERIALIZED VIEWS mv, db.mv", named(MaterializedView, &["mv", "db.mv"])),
        ("ALL TABLES IN DATABASE db", all_in(Table, Some(database(None, "db")))),
        ("ALL TABLES IN ALL DATABASES", all_in(Table, None)),
        ("ALL VIEWS IN DATABASE c.db", all_in(View, Some(database(Some("c"), "db")))),
        ("ALL MATERIALIZED VIEWS IN ALL DATABASES", all_in(MaterializedView, None)),
        ("*.*", all_in(Table, None)),
        ("db.*", all_in(Table, Some(database(None, "db")))),
        ("`my db` . *", all_in(Table, Some(database(None, "my db")))),
        ("c.db.*", all_in(Table, Some(database(Some("c"), "db")))),
        ("TABLE *.*", all_in(Table, None)),
        ("VIEW db.*", all_in(View, Some(database(None, "db")))),
        ("USER 'v'@'h'", GrantObject::Users(vec![user("v", "h")])),
        ("USERS v, w@h", GrantObject::Users(vec![user("v", "%"), user("w", "h")])),
        ("ALL USERS", GrantObject::AllUsers),
    ] {
        let expected = Grant { privileges: None, on: expected, user: user("u", "%") };
        assert_eq!(granted(&format!("GRANT ALL ON {on} TO u")), expected, "{on}");
        assert_eq!(one(&format!("REVOKE ALL ON {on} FROM u")), Statement::Revoke(Box::new(expected)), "{on}");
    }
}

#[test]
fn a_kinds_word_can_be_a_name() {
    for (on, names) in [
        ("users", &["users"][..]),
        ("users, views", &["users", "views"]),
        ("user.t", &["user.t"]),
        ("system.t", &["system.t"]),
        ("database.`table`", &["database.table"]),
        ("`system`", &["system"]),
        ("`all`", &["all"]),
        ("TABLE system", &["system"]),
        ("function, pipe.warehouse", &["function", "pipe.warehouse"]),
        ("materialized", &["materialized"]),
    ] {
        let expected = named(ObjectKind::Table, names);
        assert_eq!(granted(&format!("GRANT SELECT ON {on} TO u")).on, expected, "{on}");
        let Statement::Revoke(revoked) = one(&format!("REVOKE SELECT ON {on} FROM u")) else {
            panic!("{on}")
        };
        assert_eq!(revoked.on, expected, "{on}");
    }
    let on = granted("GRANT ALL ON users.* TO u").on;
    assert_eq!(on, all_in(ObjectKind::Table, Some(database(None, "users"))));
}

#[test]
fn privileges_keep_their_order_and_come_once() {
    use Privilege::{CreateMaterializedView, CreateView, Drop, Insert, Select};
    for (sql, expected) in [
        ("GRANT ALL ON t TO u", None),
        ("GRANT ALL PRIVILEGES ON t TO u", None),
        ("GRANT insert, SELECT, INSERT, select ON t TO u", Some(vec![Insert, Select])),
        (
            "GRANT CREATE VIEW, CREATE MATERIALIZED VIEW, DROP ON DATABASE db TO u",
            Some(vec![CreateView, CreateMaterializedView, Drop]),
        ),
    ] {
        assert_eq!(granted(sql).privileges, expected, "{sql}");
    }
}

#[test]
fn every_privilege_is_read_on_its_kind_and_on_no_other() {
    for (on, kind) in [
        ("SYSTEM", ObjectKind::System),
        ("CATALOG c", ObjectKind::Catalog),
        ("DATABASE db", ObjectKind::Database),
        ("t", ObjectKind::Table),
        ("ALL VIEWS IN ALL DATABASES", ObjectKind::View),
        ("MATERIALIZED VIEW mv", ObjectKind::MaterializedView),
        ("USER v", ObjectKind::User),
    ] {
        for privilege in Privilege::ALL {
            let sql = format!("GRANT {privilege} ON {on} TO u");
            if kind.privileges().contains(privilege) {
                let grant = granted(&sql);
                assert_eq!((grant.privileges, grant.on.kind()), (Some(vec![*privilege]), kind), "{sql}");
            } else {
                let error = parse_statements(&sql).err();
                let told = error.as_ref().is_some_and(|e| {
                    e.kind() == ErrorKind::Analysis
                        && e.message().contains(&format!("GRANT {privilege} ON {kind}."))
                });
                assert!(told, "{sql}: {error:?}");
            }
        }
    }
}

#[test]
fn the_word_user_is_read_only_before_a_name() {
    for (written, expected) in [
        ("u", user("u", "%")),
        ("USER u", user("u", "%")),
        ("USER `u`@h", user("u", "h")),
        ("USER 'u'", user("u", "%")),
        ("USER user", user("user", "%")),
        ("user", user("user", "%")),
        ("user@h", user("user", "h")),
        ("user @h", user("user", "h")),
        ("USER 'user'@'h'", user("user", "h")),
        ("`user`", user("user", "%")),
        ("role", user("role", "%")),
        ("USER role", user("role", "%")),
        ("role@'%'", user("role", "%")),
    ] {
        assert_eq!(granted(&format!("GRANT ALL ON t TO {written}")).user, expected, "{written}");
        let become_it = one(&format!("EXECUTE AS {written} WITH NO REVERT"));
        assert_eq!(become_it, Statement::ExecuteAs(expected.clone()), "{written}");
        let shown = one(&format!("SHOW GRANTS FOR {written}"));
        assert_eq!(shown, Statement::Show(Box::new(Show::Grants(Some(expected)))), "{written}");
    }
}

#[test]
fn prints_say_the_verb() {
    for (sql, printed) in [
        ("grant select on db.* to u", "GRANT SELECT ON ALL TABLES IN DATABASE `db` TO USER 'u'@'%'"),
        ("revoke all privileges on view v from 'u'@'h'", "REVOKE ALL ON VIEW `v` FROM USER 'u'@'h'"),
        (
            "REVOKE SELECT, DROP ON ALL MATERIALIZED VIEWS IN ALL DATABASES FROM u",
            "REVOKE SELECT, DROP ON ALL MATERIALIZED VIEWS IN ALL DATABASES FROM USER 'u'@'%'",
        ),
        ("EXECUTE AS USER u WITH NO REVERT", "EXECUTE AS 'u'@'%' WITH NO REVERT"),
    ] {
        assert_eq!(one(sql).to_string(), printed, "{sql}");
    }
}

#[test]
fn what_does_not_parse_names_its_place() {
    for (sql, expected) in [
        ("GRANT", "expected a privilege such as SELECT, or ALL alone, found the end"),
        (
            "GRANT SELECT, FLY ON t TO u",
            "column 15, near 'FLY ON t TO u'. Detail message: expected a privilege such as SELECT, or ALL alone, \
             found 'FLY'",
        ),
        ("GRANT FLY HIGH ON t TO u", "column 7, near 'FLY HIGH"),
        ("GRANT CREATE x ON t TO u", "found 'CREATE'"),
        ("GRANT SELECT, ALL ON t TO u", "SELECT, or ALL alone, found 'ALL'"),
        ("GRANT ALL, SELECT ON t TO u", "expected ON, found ','"),
        ("GRANT SELECT (a) ON t TO u", "expected ON, found '('"),
        ("GRANT SELECT TO u", "expected ON, found 'TO'"),
        ("GRANT SELECT ON t FROM u", "expected TO, found 'FROM'"),
        ("REVOKE SELECT ON t TO u", "expected FROM, found 'TO'"),
        ("GRANT SELECT ON t", "expected TO, found the end"),
        ("GRANT SELECT ON t TO", "expected the name of a user, found the end"),
        ("GRANT SELECT ON t TO u, v", "expected the end of the statement, found ','"),
        ("GRANT SELECT ON TABLE TO u", "column 26, near 'u'. Detail message: expected TO, found 'u'"),
        ("GRANT SELECT ON * TO u", "expected the name of a table, found '*'"),
        ("GRANT SELECT ON t, db.* TO u", "expected the name of a table, found '*'"),
        ("GRANT SELECT ON db.*, t TO u", "expected TO, found ','"),
        ("GRANT SELECT ON *.t TO u", "expected the name of a table, found '*'"),
        ("GRANT SELECT ON a.b.c.* TO u", "expected TO, found '.'"),
        ("GRANT USAGE ON CATALOG a, b TO u", "expected TO, found ','"),
        ("GRANT ALL ON ALL TO u", "expected CATALOGS, DATABASES, TABLES, VIEWS, MATERIALIZED VIEWS or USERS"),
        ("GRANT ALL ON ALL TABLES TO u", "expected IN DATABASE … or IN ALL DATABASES, found 'TO'"),
        ("GRANT ALL ON ALL TABLES IN db TO u", "expected IN DATABASE … or IN ALL DATABASES, found 'IN'"),
        ("EXECUTE AS", "expected the name of a user, found the end"),
        ("EXECUTE AS u WITH REVERT", "expected WITH NO REVERT, found 'WITH'"),
        ("EXECUTE AS u WITH NO REVERT NOW", "expected the end of the statement, found 'NOW'"),
    ] {
        let error = parse_statements(sql).err();
        let told =
            error.as_ref().is_some_and(|e| e.message().contains(expected) && e.kind() == ErrorKind::Parse);
        assert!(told, "{sql}\n  {error:?}\n  lacks {expected}");
    }
}

#[test]
fn privileges_that_do_not_fit_are_refused_with_those_that_do() {
    for (sql, expected) in [
        (
            "GRANT SELECT, INSERT ON VIEW v TO u",
            "Operation not permitted: GRANT INSERT ON VIEW. Detail message: the privileges on VIEW are SELECT, ALTER, \
             DROP; INSERT is one on TABLE",
        ),
        (
            "REVOKE SELECT ON SYSTEM FROM u",
            "Operation not permitted: REVOKE SELECT ON SYSTEM. Detail message: the privileges on SYSTEM are OPERATE, \
             NODE, GRANT, CREATE STORAGE VOLUME; SELECT is one on TABLE, VIEW, MATERIALIZED VIEW",
        ),
        (
            "GRANT CREATE TABLE ON db.* TO u",
            "GRANT CREATE TABLE ON TABLE. Detail message: the privileges on TABLE are SELECT, INSERT, UPDATE, DELETE, \
             ALTER, DROP, REFRESH, EXPORT; CREATE TABLE is one on DATABASE",
        ),
    ] {
        let error = parse_statements(sql).err();
        let told =
            error.as_ref().is_some_and(|e| e.message().contains(expected) && e.kind() == ErrorKind::Analysis);
        assert!(told, "{sql}\n  {error:?}\n  lacks {expected}");
    }
}

#[test]
fn what_starrocks_has_besides_is_refused_by_name() {
    let on_kinds = [
        "RESOURCE r",
        "FUNCTION db.f(INT)",
        "GLOBAL FUNCTION f(INT)",
        "RESOURCE GROUP g",
        "STORAGE VOLUME v",
        "PIPE p",
        "WAREHOUSE w",
    ]
    .map(|kind| (format!("GRANT USAGE ON {kind} TO u"), format!("GRANT … ON {}", upper_words(kind))));
    let on_all = [
        "RESOURCES",
        "FUNCTIONS",
        "GLOBAL FUNCTIONS",
        "RESOURCE GROUPS",
        "STORAGE VOLUMES",
        "PIPES",
        "WAREHOUSES",
    ]
    .map(|kind| (format!("REVOKE ALL ON ALL {kind} FROM u"), format!("REVOKE … ON {kind}")));
    let privileges = [
        "PLUGIN",
        "REPOSITORY",
        "BLACKLIST",
        "FILE",
        "SECURITY",
        "CREATE RESOURCE",
        "CREATE RESOURCE GROUP",
        "CREATE EXTERNAL CATALOG",
        "CREATE GLOBAL FUNCTION",
        "CREATE WAREHOUSE",
        "CREATE PIPE",
        "GRANT OPTION",
    ]
    .map(|name| (format!("GRANT OPERATE, {name} ON SYSTEM TO u"), format!("The privilege {name}")));
    for (sql, name) in on_kinds.iter().chain(&on_all).chain(&privileges) {
        refused_as(sql, &format!("{name} is not supported yet"));
    }
    refused_as(
        "GRANT SELECT ON t TO u WITH GRANT OPTION",
        "WITH GRANT OPTION is not supported yet: the privilege GRANT ON SYSTEM lets a user grant",
    );
    refused_as("EXECUTE AS u", "EXECUTE AS without WITH NO REVERT is not supported");
}

#[test]
fn roles_are_refused() {
    for (sql, name) in [
        ("GRANT SELECT ON t TO ROLE r", "GRANT … TO ROLE"),
        ("GRANT SELECT ON t TO ROLE 'r'", "GRANT … TO ROLE"),
        ("REVOKE SELECT ON t FROM ROLE r", "REVOKE … FROM ROLE"),
        ("GRANT r TO u", "GRANT role TO"),
        ("GRANT a, 'b', `c` TO USER u", "GRANT role TO"),
        ("GRANT a TO ROLE b", "GRANT role TO"),
        ("GRANT ROLE r TO u", "GRANT ROLE"),
        ("REVOKE a, b FROM USER u", "REVOKE role FROM"),
        ("REVOKE ROLE r FROM u", "REVOKE ROLE"),
        ("SHOW GRANTS FOR ROLE r", "SHOW GRANTS FOR ROLE"),
    ] {
        refused_as(sql, &format!("{name}: roles are not supported yet: grant privileges to users"));
    }
}

/// The words in capitals that `text` begins with.
fn upper_words(text: &str) -> String {
    let capital = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase());
    text.split(' ').take_while(capital).collect::<Vec<_>>().join(" ")
}

fn refused_as(sql: &str, message: &str) {
    let error = parse_statements(sql).err();
    let told = error.as_ref().is_some_and(|e| e.message() == message && e.kind() == ErrorKind::Unsupported);
    assert!(told, "{sql}\n  {error:?}\n  is not {message}");
}
