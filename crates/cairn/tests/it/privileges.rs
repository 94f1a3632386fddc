//! What users may do, over the wire.

use std::process::Command;

use mysql_async::Conn;

use crate::harness::{Server, Start, error, one, rows, run, snapshot};

/// A database `d` with a table, a view and a materialized view, a secret database, and `ann`, who may nothing yet.
async fn sample(server: &Server) -> (Conn, Conn) {
    let mut root = server.connect().await;
    for statement in [
        "CREATE DATABASE d",
        "CREATE DATABASE hidden",
        "CREATE TABLE d.t (k INT, v INT) PARTITION BY (k) DISTRIBUTED BY HASH(k) BUCKETS 1",
        "CREATE TABLE d.u (k INT, v INT) PARTITION BY (k) DISTRIBUTED BY HASH(k) BUCKETS 1",
        "INSERT INTO d.t VALUES (1, 2), (3, 4)",
        "CREATE VIEW d.w AS SELECT sum(v) AS s FROM d.t",
        "CREATE MATERIALIZED VIEW d.mv REFRESH MANUAL AS SELECT k, v FROM d.t",
        "REFRESH MATERIALIZED VIEW d.mv WITH SYNC MODE",
        "CREATE TABLE hidden.x (k INT) DISTRIBUTED BY HASH(k) BUCKETS 1",
        "CREATE USER ann IDENTIFIED BY 'pw'",
    ] {
        run(&mut root, statement).await;
    }
    let ann = server.connect_as("ann", "pw").await.unwrap();
    (root, ann)
}

async fn denied(conn: &mut Conn, sql: &str, privilege: &str, object: &str) {
    let (code, text) = error(conn, sql).await;
    let expected = format!("the {privilege} privilege(s) on {object} for this operation");
    assert!(code == 5203 && text.contains(&expected), "{sql}: {code} {text}, not {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_asks_for_its_privilege() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let (mut root, mut ann) = sample(&server).await;
    let check =
        async |root: &mut Conn, ann: &mut Conn, sql: &str, privilege: &str, object: &str, on: &str| {
            denied(ann, sql, privilege, object).await;
            run(root, &format!("GRANT {privilege} ON {on} TO USER ann")).await;
            run(ann, sql).await;
            run(root, &format!("REVOKE {privilege} ON {on} FROM USER ann")).await;
            denied(ann, sql, privilege, object).await;
        };
    for sql in [
        "SELECT * FROM d.t",
        "SELECT * FROM d.t PARTITION (p1)",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM d.t)",
        "WITH c AS (SELECT k FROM d.t) SELECT * FROM c",
        "EXPLAIN SELECT * FROM d.t",
        "EXPLAIN ANALYZE SELECT * FROM d.t",
        "ANALYZE TABLE d.t",
    ] {
        check(&mut root, &mut ann, sql, "SELECT", "TABLE t", "TABLE d.t").await;
    }
    for (sql, privilege, object, on) in [
        ("SELECT * FROM d.w", "SELECT", "VIEW w", "VIEW d.w"),
        ("SELECT * FROM d.mv", "SELECT", "MATERIALIZED VIEW mv", "MATERIALIZED VIEW d.mv"),
        ("INSERT INTO d.t VALUES (5, 6)", "INSERT", "TABLE t", "ALL TABLES IN DATABASE d"),
        ("INSERT OVERWRITE d.u VALUES (5, 6)", "INSERT", "TABLE u", "ALL TABLES IN ALL DATABASES"),
        ("TRUNCATE TABLE d.u", "DELETE", "TABLE u", "d.*"),
        ("ALTER TABLE d.t COMMENT = 'mine'", "ALTER", "TABLE t", "d.t"),
        ("ALTER VIEW d.w AS SELECT 1 AS s", "ALTER", "VIEW w", "ALL VIEWS IN DATABASE d"),
        ("REFRESH MATERIALIZED VIEW d.mv", "REFRESH", "MATERIALIZED VIEW mv", "MATERIALIZED VIEW d.mv"),
        (
            "ALTER MATERIALIZED VIEW d.mv REFRESH MANUAL",
            "ALTER",
            "MATERIALIZED VIEW mv",
            "ALL MATERIALIZED VIEWS IN DATABASE d",
        ),
        ("ADMIN SHOW FRONTEND CONFIG", "OPERATE", "SYSTEM", "SYSTEM"),
        ("SHOW FRONTENDS", "NODE", "SYSTEM", "SYSTEM"),
        ("SHOW USERS", "GRANT", "SYSTEM", "SYSTEM"),
    ] {
        check(&mut root, &mut ann, sql, privilege, object, on).await;
    }
    // What can be done only once.
    for (sql, privilege, object, on) in [
        ("DROP VIEW d.w", "DROP", "VIEW w", "VIEW d.w"),
        ("DROP MATERIALIZED VIEW d.mv", "DROP", "MATERIALIZED VIEW mv", "MATERIALIZED VIEW d.mv"),
        ("ALTER TABLE d.t SWAP WITH u", "ALTER", "TABLE u", "TABLES d.t, d.u"),
        ("DROP TABLE d.t", "DROP", "TABLE t", "TABLE d.t"),
        ("CREATE TABLE d.n (k INT) DISTRIBUTED BY HASH(k)", "CREATE TABLE", "DATABASE d", "DATABASE d"),
        ("CREATE VIEW d.nv AS SELECT 1 AS k", "CREATE VIEW", "DATABASE d", "DATABASE d"),
        ("DROP DATABASE d FORCE", "DROP", "DATABASE d", "DATABASE d"),
        ("CREATE DATABASE e", "CREATE DATABASE", "CATALOG", "CATALOG default_catalog"),
        ("CREATE USER ben", "GRANT", "SYSTEM", "SYSTEM"),
        ("CREATE SNAPSHOT s", "OPERATE", "SYSTEM", "SYSTEM"),
    ] {
        denied(&mut ann, sql, privilege, object).await;
        run(&mut root, &format!("GRANT {privilege} ON {on} TO ann")).await;
        run(&mut ann, sql).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_from_tables_needs_a_privilege_on_them_and_is_not_made_without() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let (mut root, mut ann) = sample(&server).await;
    run(&mut root, "GRANT ALL ON DATABASE d TO USER ann").await;
    run(&mut root, "GRANT INSERT ON TABLE d.u TO USER ann").await;
    let local = format!("FILES(\"path\" = \"file://{}/out/\", \"format\" = \"csv\")", dir.path().display());
    for sql in [
        "CREATE MATERIALIZED VIEW d.n REFRESH ASYNC AS SELECT k, count(*) AS c FROM d.t GROUP BY k",
        "CREATE VIEW d.n AS SELECT k FROM d.t",
        "CREATE TABLE d.n AS SELECT k FROM d.t",
        "CREATE TABLE d.n LIKE d.t",
        "INSERT INTO d.u SELECT * FROM d.t",
    ] {
        denied(&mut ann, sql, "SELECT", "TABLE t").await;
    }
    denied(&mut ann, "SUBMIT TASK x AS INSERT INTO d.t SELECT 1, 2", "INSERT", "TABLE t").await;
    denied(&mut ann, &format!("INSERT INTO {local} SELECT 1"), "OPERATE", "SYSTEM").await;
    denied(&mut ann, &format!("SELECT * FROM {local}"), "OPERATE", "SYSTEM").await;
    assert_eq!(rows(&mut root, "SHOW TABLES FROM d").await, [["mv"], ["t"], ["u"], ["w"]]);
    assert_eq!(one(&mut root, "SELECT count(*) FROM d.u").await, "0");
    assert_eq!(
        one(&mut root, "SELECT count(*) FROM information_schema.tasks WHERE task_name = 'x'").await,
        "0"
    );

    // With it, all of them are; and a task runs with what its user may when it runs.
    run(&mut root, "GRANT SELECT ON d.t TO USER ann").await;
    run(
        &mut ann,
        "CREATE MATERIALIZED VIEW d.n REFRESH MANUAL AS SELECT k, count(*) AS c FROM d.t GROUP BY k",
    )
    .await;
    run(&mut ann, "INSERT INTO d.u SELECT * FROM d.t").await;
    run(&mut root, "REVOKE SELECT ON d.t FROM USER ann").await;
    run(&mut root, "REFRESH MATERIALIZED VIEW d.n WITH SYNC MODE").await;
    assert_eq!(one(&mut root, "SELECT count(*) FROM d.n").await, "2", "made once, it is refreshed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_opens_its_tables_or_asks_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let (mut root, mut ann) = sample(&server).await;
    run(&mut root, "CREATE VIEW d.asks SECURITY INVOKER AS SELECT k FROM d.t").await;
    run(&mut root, "CREATE VIEW d.over SECURITY INVOKER AS SELECT k FROM d.asks").await;
    run(&mut root, "CREATE VIEW d.opens AS SELECT k FROM d.asks").await;
    run(&mut root, "GRANT SELECT, ALTER ON ALL VIEWS IN DATABASE d TO USER ann").await;
    assert_eq!(one(&mut ann, "SELECT count(*) FROM d.opens").await, "2");
    denied(&mut ann, "SELECT * FROM d.asks", "SELECT", "TABLE t").await;
    denied(&mut ann, "SELECT * FROM d.over", "SELECT", "TABLE t").await;
    denied(&mut ann, "ALTER VIEW d.asks SET SECURITY NONE", "GRANT", "SYSTEM").await;
    run(&mut ann, "ALTER VIEW d.opens SET SECURITY INVOKER").await;
    denied(&mut ann, "SELECT * FROM d.opens", "SELECT", "TABLE t").await;
    run(&mut root, "ALTER VIEW d.asks SET SECURITY NONE").await;
    assert_eq!(one(&mut ann, "SELECT count(*) FROM d.over").await, "2");
    let created = rows(&mut root, "SHOW CREATE VIEW d.over").await;
    assert!(created[0][1].contains("\nSECURITY INVOKER\nAS "), "{created:?}");
}

/// What an adversary found in the first version.
#[tokio::test(flavor = "multi_thread")]
async fn side_doors_are_shut() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let (mut root, mut ann) = sample(&server).await;
    run(&mut root, "CREATE VIEW d.part AS SELECT k FROM d.t PARTITION (p1)").await;
    run(&mut root, "CREATE MATERIALIZED VIEW d.above REFRESH MANUAL AS SELECT k FROM d.mv").await;
    run(&mut root, "GRANT SELECT ON VIEW d.part TO ann").await;
    run(&mut root, "GRANT REFRESH ON MATERIALIZED VIEW d.mv TO ann").await;
    assert_eq!(one(&mut ann, "SELECT count(*) FROM d.part").await, "1");
    error(&mut ann, "SELECT s.* FROM d.part, zz.`t PARTITION (p1)#0` AS s").await;
    run(&mut ann, "REFRESH MATERIALIZED VIEW d.mv").await;
    denied(&mut ann, "REFRESH MATERIALIZED VIEW d.mv CASCADE", "REFRESH", "MATERIALIZED VIEW above").await;
    for statement in ["PREPARE p FROM 'EXECUTE p'", "PREPARE p FROM 'PREPARE q FROM \\'SELECT 1\\''"] {
        assert!(error(&mut ann, statement).await.1.contains("cannot be prepared"), "{statement}");
    }
    for keys in ["", ", \"aws.s3.access_key\" = \"a\", \"aws.s3.use_instance_profile\" = \"true\""] {
        let files = format!("FILES(\"path\" = \"s3://b/f.csv\", \"format\" = \"csv\"{keys})");
        denied(&mut ann, &format!("SELECT * FROM {files}"), "OPERATE", "SYSTEM").await;
    }
    assert_eq!(error(&mut ann, "SUBMIT TASK hidden.x AS INSERT INTO BLACKHOLE() SELECT 1").await.0, 5501);
    denied(&mut ann, "ALTER USER nobody IDENTIFIED BY 'x'", "GRANT", "SYSTEM").await;

    run(&mut ann, "SUBMIT TASK d.mine SCHEDULE EVERY(INTERVAL 1 DAY) AS INSERT INTO BLACKHOLE() SELECT 1")
        .await;
    run(&mut root, "DROP USER ann").await;
    let tasks = "SELECT count(*) FROM information_schema.tasks WHERE task_name = 'mine'";
    assert_eq!(one(&mut root, tasks).await, "0");
    assert!(mysql_async::prelude::Queryable::ping(&mut ann).await.is_err(), "the session has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_of_what_is_not_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let (mut root, mut ann) = sample(&server).await;
    let listed = "SELECT table_name FROM information_schema.tables WHERE table_schema NOT IN \
                  ('information_schema', 'sys') ORDER BY 1";
    assert_eq!(rows(&mut ann, "SHOW DATABASES").await, [["information_schema"], ["sys"]]);
    assert!(rows(&mut ann, listed).await.is_empty());
    assert_eq!(error(&mut ann, "USE d").await.0, 5501);
    assert_eq!(error(&mut ann, "SHOW TABLES FROM hidden").await.0, 5501);
    assert_eq!(rows(&mut ann, "SHOW GRANTS").await.len(), 0);
    assert_eq!(error(&mut ann, "SHOW GRANTS FOR root").await.0, 5203);
    assert_eq!(error(&mut ann, "GRANT SELECT ON hidden.x TO ann").await.0, 5203);

    run(&mut root, "GRANT SELECT, INSERT ON TABLE d.t TO USER ann").await;
    run(&mut ann, "USE d").await;
    assert_eq!(rows(&mut ann, "SHOW TABLES").await, [["t"]]);
    assert_eq!(rows(&mut ann, listed).await, [["t"]]);
    assert_eq!(rows(&mut ann, "DESC t").await.len(), 2);
    for sql in
        ["DESC u", "SHOW CREATE TABLE u", "SHOW PARTITIONS FROM u", "SHOW TABLET FROM u", "SHOW DATA FROM u"]
    {
        assert_eq!(error(&mut ann, sql).await.0, 5502, "{sql}");
    }
    assert!(rows(&mut ann, "SHOW MATERIALIZED VIEWS").await.is_empty());
    run(&mut root, "CREATE MATERIALIZED VIEW d.low REFRESH MANUAL AS SELECT k FROM d.t WHERE v < 12345")
        .await;
    let explain = "EXPLAIN VERBOSE SELECT k + 1 FROM t WHERE v > 0";
    for (conn, is_told) in [(&mut root, true), (&mut ann, false)] {
        run(conn, "USE d").await;
        let text = rows(conn, explain).await.concat().join("\n");
        assert_eq!(text.contains("low: not used"), is_told, "{text}");
    }
    assert_eq!(one(&mut ann, "SELECT count(*) FROM information_schema.task_runs").await, "0");
    let grants = rows(&mut ann, "SHOW GRANTS").await;
    assert_eq!(grants[0][2], "GRANT SELECT, INSERT ON TABLE d.t TO USER 'ann'@'%'");
    // A prepared statement asks again each time.
    run(&mut ann, "PREPARE p FROM 'SELECT count(*) FROM t'").await;
    run(&mut ann, "EXECUTE p").await;
    run(&mut root, "REVOKE SELECT ON d.t FROM ann").await;
    denied(&mut ann, "EXECUTE p", "SELECT", "TABLE t").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_asks_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let (mut root, _ann) = sample(&server).await;
    let file = dir.path().join("rows.csv");
    std::fs::write(&file, "7\t8\n").unwrap();
    let curl = |path: &str, args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--location-trusted", "-u", "ann:pw"]).args(args).arg(server.http(path));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let load = || curl("/api/d/t/_stream_load", &["-H", "Expect:100-continue", "-T", file.to_str().unwrap()]);
    let query = |sql: &str| {
        let body = serde_json::json!({ "query": sql }).to_string();
        curl("/api/v1/catalogs/default_catalog/sql", &["-X", "POST", "-d", &body])
    };
    assert!(load().contains("the INSERT privilege(s) on TABLE t"), "{}", load());
    assert!(query("SELECT * FROM d.t;").contains("the SELECT privilege(s) on TABLE t"));
    let proc = curl("/api/show_proc?path=/vacuum", &[]);
    assert!(proc.contains("the OPERATE privilege(s) on SYSTEM"), "{proc}");
    run(&mut root, "GRANT INSERT, SELECT ON d.t TO ann").await;
    assert!(load().contains("\"Status\": \"Success\"") || load().contains("Success"));
    assert!(query("SELECT v FROM d.t WHERE k = 7;").contains('8'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_becomes_another_users_and_a_restore_keeps_what_was_granted() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}", dir.path().join("bucket").display());
    let server = Start::default().storage(&storage).run(&dir.path().join("one"));
    let (mut root, mut ann) = sample(&server).await;
    run(&mut root, "CREATE USER ben").await;
    run(&mut root, "GRANT SELECT ON d.t TO ben").await;
    denied(&mut ann, "EXECUTE AS ben WITH NO REVERT", "IMPERSONATE", "USER ben").await;
    run(&mut root, "GRANT IMPERSONATE ON USER ben TO ann").await;
    run(&mut ann, "EXECUTE AS ben WITH NO REVERT").await;
    assert_eq!(one(&mut ann, "SELECT current_user()").await, "'ben'@'%'");
    assert_eq!(one(&mut ann, "SELECT count(*) FROM d.t").await, "2");
    denied(&mut ann, "EXECUTE AS root WITH NO REVERT", "IMPERSONATE", "USER root").await;
    run(&mut root, "GRANT GRANT ON SYSTEM TO ann").await;
    let mut granting = server.connect_as("ann", "pw").await.unwrap();
    run(&mut granting, "SET PASSWORD FOR ben = PASSWORD('')").await;
    denied(&mut granting, "SET PASSWORD FOR root = PASSWORD('x')", "IMPERSONATE", "USER root").await;
    run(&mut root, "EXECUTE AS ann WITH NO REVERT").await;
    denied(&mut root, "SELECT * FROM d.t", "SELECT", "TABLE t").await;

    let mut root = server.connect().await;
    snapshot(&mut root, "s").await;
    run(&mut root, "REVOKE SELECT ON d.t FROM ben").await;
    drop(server);
    let new = dir.path().join("new");
    crate::harness::cairn_ok(&["snapshot", "restore", &storage, "--data-dir", new.to_str().unwrap()]);
    let server = Start::default().run(&new);
    let mut ben = server.connect_as("ben", "").await.unwrap();
    assert_eq!(one(&mut ben, "SELECT count(*) FROM d.t").await, "2");
    denied(&mut ben, "INSERT INTO d.t VALUES (1, 1)", "INSERT", "TABLE t").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_one_host_comes_from_there_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut root = server.connect().await;
    run(&mut root, "CREATE USER far@'10.9.9.9' IDENTIFIED BY 'pw'").await;
    run(&mut root, "CREATE USER near@'127.0.0.%' IDENTIFIED BY 'pw'").await;
    assert!(server.connect_as("far", "pw").await.is_err());
    let mut near = server.connect_as("near", "pw").await.unwrap();
    assert_eq!(one(&mut near, "SELECT current_user()").await, "'near'@'127.0.0.%'");
    let (_, text) = error(&mut root, "GRANT OPERATE ON SYSTEM TO near").await;
    assert!(text.contains("cannot find user 'near'@'%': there is 'near'@'127.0.0.%'"), "{text}");
    assert!(error(&mut root, "CREATE USER far IDENTIFIED BY 'x'").await.1.contains("as 'far'@'10.9.9.9'"));
    run(&mut root, "ALTER USER near@'127.0.0.%' IDENTIFIED BY 'other'").await;
    assert!(server.connect_as("near", "pw").await.is_err());
    run(&mut root, "DROP USER near@'127.0.0.%'").await;
    assert!(server.connect_as("near", "other").await.is_err());
}
