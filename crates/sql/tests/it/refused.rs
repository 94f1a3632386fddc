//! What is refused: with its place when it does not parse, by its name when Cairn does not have it.

use cairn_sql::parse_statements;
use cairn_types::ErrorKind;

use super::refused;

#[test]
fn syntax_errors_name_their_place() {
    for (sql, expected) in [
        ("SELEC 1", "line 1, column 1, near 'SELEC 1'"),
        ("SELECT * FORM t", "line 1, column 10, near 'FORM t'"),
        ("SELECT 1;\n  SELECT FROM WHERE", "line 2, column"),
        ("SELECT (1", "at the end of the text"),
        ("SELECT 'abc", "line 1, column 8, near ''abc'"),
        ("CREATE TABLE t (a INT,)", "column 23, near ')'"),
        ("CREATE TABLE t (a INT b INT)", "column 23, near 'b INT)'"),
        (
            "CREATE TABLE t (a INT) DISTRIBUTED BY a",
            "column 39, near 'a'. Detail message: expected HASH (…) or RANDOM",
        ),
        ("CREATE TABLE t", "expected columns, or AS and a query"),
        ("CREATE TABLE t (a, b)", "the columns have no types"),
        ("CREATE TABLE t (a INT) COMMENT 'x' COMMENT 'y'", "COMMENT is given twice"),
        ("CREATE TABLE t (a INT) DISTRIBUTED BY RANDOM BUCKETS 0", "between 1 and 1024"),
        ("CREATE TABLE t (a INT) PROPERTIES (\"a\"=\"1\",\"a\"=\"2\")", "property \"a\" is given twice"),
        ("CREATE TABLE t (a INT) PROPERTIES (a = 1)", "a property's name in quotes"),
        ("DROP TABLE t u", "expected the end of the statement, found 'u'"),
        ("DROP TABLE select", "expected the name of a table, found 'select'"),
        ("ALTER TABLE t", "expected ADD, DROP"),
        ("SHOW", "expected something that can be shown, found the end"),
        ("SHOW NONSENSE", "found 'NONSENSE'"),
        ("SHOW FULL VARIABLES", "expected TABLES, COLUMNS or PROCESSLIST"),
        ("CREATE NONSENSE x", "expected what to CREATE, found 'NONSENSE'"),
        ("INSERT INTO t", "expected VALUES or a query, found the end"),
        ("SET a", "expected '='"),
        ("KILL x", "the id of a connection"),
        ("ADMIN ALTER AUTOMATED CLUSTER SNAPSHOT SET INTERVAL 0 DAY", "INTERVAL 0 DAY is no length of time"),
        ("ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON INTERVAL 1 MONTH", "INTERVAL 1 MONTH is no length of time"),
        ("EXPLAIN CREATE TABLE t (a INT)", "CREATE TABLE … AS"),
        (
            "EXPLAIN ALTER MATERIALIZED VIEW mv INACTIVE",
            "column 36, near 'INACTIVE'. Detail message: expected ACTIVE",
        ),
        ("EXPLAIN ANALYZE ALTER MATERIALIZED VIEW mv ACTIVE", "expected EXPLAIN ALTER MATERIALIZED VIEW"),
        ("SELECT 1 /* open", "line 1, column 10"),
        (
            "SELECT * FROM t PARTITION ()",
            "column 28, near ')'. Detail message: expected the name of a partition",
        ),
        ("SELECT 1 WITH", "line 1, column"),
        ("WITH a AS (SELECT 1) WITH b AS (SELECT 2) SELECT 1", "two WITH clauses"),
    ] {
        let message = refused(sql);
        assert!(message.contains(expected), "{sql}\n  {message}\n  lacks {expected}");
    }
}

#[test]
fn materialized_views_are_refused_where_they_are_wrong() {
    for (clauses, expected) in [
        ("PARTITION BY a PARTITION BY b", "PARTITION BY is given twice"),
        ("DISTRIBUTED BY RANDOM DISTRIBUTED BY HASH(a)", "DISTRIBUTED BY is given twice"),
        ("ORDER BY (a) ORDER BY (a)", "ORDER BY is given twice"),
        ("REFRESH ASYNC REFRESH MANUAL", "REFRESH is given twice"),
        ("PROPERTIES ('a' = 'b') PROPERTIES ('a' = 'b')", "PROPERTIES is given twice"),
        ("REFRESH", "expected ASYNC, SCHEDULE, INCREMENTAL or MANUAL, found 'AS'"),
        ("REFRESH DEFERRED", "expected ASYNC, SCHEDULE, INCREMENTAL or MANUAL, found 'AS'"),
        ("REFRESH SCHEDULE", "expected EVERY, found 'AS'"),
        ("REFRESH ASYNC START('2030-01-01')", "expected EVERY, found 'AS'"),
        ("REFRESH ASYNC START(1) EVERY(INTERVAL 1 DAY)", "expected a time in quotes"),
        ("REFRESH ASYNC EVERY(INTERVAL 0 DAY)", "INTERVAL 0 DAY is no length of time"),
        ("REFRESH ASYNC EVERY(INTERVAL 1 MONTH)", "INTERVAL 1 MONTH is no length of time"),
        (
            "REFRESH ASYNC EVERY(INTERVAL 1 FORTNIGHT)",
            "expected a unit of time such as HOUR or DAY, found 'FORTNIGHT'",
        ),
        ("REFRESH ASYNC EVERY(INTERVAL -1 DAY)", "expected a number, found '-'"),
        ("REFRESH ASYNC EVERY(INTERVAL 18446744073709551615 DAY)", "is no length of time"),
        ("REFRESH ASYNC EVERY(1 DAY)", "expected INTERVAL, found '1'"),
        ("REFRESH MANUAL EVERY(INTERVAL 1 DAY)", "or AS and a query, found 'EVERY'"),
        ("REFRESH MANUAL COMMENT 'x'", "found 'COMMENT'"),
        ("(a INT)", "expected ',' or ')' behind a column, whose type comes from the query, found 'INT'"),
        ("PARTITION BY RANGE(a) ()", "has its partitions from its base tables"),
        ("PARTITION BY a, b", "found ','"),
        ("DISTRIBUTED BY RANDOM BUCKETS 0", "between 1 and"),
    ] {
        let message = refused(&format!("CREATE MATERIALIZED VIEW mv {clauses} AS SELECT 1"));
        assert!(message.contains(expected), "{clauses}\n  {message}\n  lacks {expected}");
    }
    for (sql, expected) in [
        ("CREATE MATERIALIZED VIEW mv REFRESH ASYNC", "or AS and a query, found the end"),
        ("CREATE MATERIALIZED VIEW mv REFRESH ASYNC AS", "at the end of the text"),
        ("CREATE MATERIALIZED VIEW mv REFRESH ASYNC AS SELECT ?", "no parameter"),
        (
            "CREATE /*+ SET_VAR(a = 1) */ MATERIALIZED VIEW mv REFRESH ASYNC AS SELECT 1",
            "SET_VAR belongs into",
        ),
        (
            "ALTER MATERIALIZED VIEW mv",
            "expected RENAME, REFRESH, ACTIVE, INACTIVE, SWAP WITH, SET or ORDER BY",
        ),
        ("ALTER MATERIALIZED VIEW mv ACTIVE WITH VALIDATION", "expected the end of the statement"),
        ("REFRESH MATERIALIZED VIEW mv PARTITION p", "expected START (…) END (…), or values in parentheses"),
        ("REFRESH MATERIALIZED VIEW mv PARTITION START ('a')", "expected END"),
        ("REFRESH MATERIALIZED VIEW mv PARTITION (MAXVALUE)", "MAXVALUE is no partition's value"),
        ("REFRESH MATERIALIZED VIEW mv PARTITION ()", "expected a value, found ')'"),
        ("REFRESH MATERIALIZED VIEW mv FORCE FORCE", "FORCE is given twice"),
        ("REFRESH MATERIALIZED VIEW mv WITH SYNC MODE WITH ASYNC MODE", "WITH … MODE is given twice"),
        ("REFRESH MATERIALIZED VIEW mv WITH PRIORITY 101", "a priority is between 0 and 100"),
        ("REFRESH MATERIALIZED VIEW mv WITH PRIORITY HIGH", "expected a priority, found 'HIGH'"),
        ("SUBMIT x", "expected TASK, found 'x'"),
        ("SUBMIT TASK x INSERT INTO t VALUES (1)", "expected AS, found 'INSERT'"),
        ("SUBMIT TASK AS SELECT 1", "expected INSERT or CREATE TABLE … AS, found 'SELECT'"),
        ("SUBMIT TASK AS CREATE TABLE t (a INT)", "column 16, near 'CREATE TABLE t (a INT)'"),
        ("SUBMIT TASK AS INSERT INTO t VALUES (?)", "no parameter"),
        (
            "SUBMIT TASK SCHEDULE EVERY (INTERVAL 1 DAY) SCHEDULE EVERY (INTERVAL 1 DAY) AS INSERT INTO t VALUES (1)",
            "SCHEDULE is given twice",
        ),
        ("SUBMIT TASK x SCHEDULE EVERY (INTERVAL 0 DAY) AS INSERT INTO t VALUES (1)", "INTERVAL 0 DAY"),
        ("DROP TASK", "expected the name of a task"),
        ("ADMIN PAUSE", "PAUSE | RESUME MATERIALIZED VIEWS"),
    ] {
        let message = refused(sql);
        assert!(message.contains(expected), "{sql}\n  {message}\n  lacks {expected}");
    }
}

#[test]
fn unsupported_statements_are_refused_by_name() {
    for (sql, name) in [
        ("ALTER MATERIALIZED VIEW mv ADD INDEX i (a)", "ALTER MATERIALIZED VIEW … ADD INDEX"),
        ("ALTER MATERIALIZED VIEW mv DROP COLUMN a", "ALTER MATERIALIZED VIEW … DROP COLUMN"),
        ("ALTER MATERIALIZED VIEW mv COMMENT = 'x'", "ALTER MATERIALIZED VIEW … COMMENT"),
        ("SHOW ALTER MATERIALIZED VIEW FROM db", "SHOW ALTER MATERIALIZED VIEW"),
        ("SUBMIT TASK x AS CACHE SELECT * FROM t", "CACHE SELECT"),
        ("REFRESH EXTERNAL TABLE t", "REFRESH"),
        ("CANCEL ALTER TABLE COLUMN FROM t", "CANCEL"),
        ("SELECT * FROM r [_SYNC_MV_] ORDER BY a", "[_SYNC_MV_]"),
        ("CREATE ROLE r", "CREATE ROLE"),
        ("DROP ROLE r", "DROP ROLE"),
        ("SHOW ALL GRANTS", "SHOW ALL GRANTS"),
        ("EXECUTE SCRIPT ON FRONTEND 'x'", "EXECUTE SCRIPT"),
        ("LOCK TABLES t READ", "LOCK TABLES"),
        ("UNLOCK TABLES", "UNLOCK TABLES"),
        ("ALTER SYSTEM ADD FOLLOWER 'h:9010'", "ALTER SYSTEM ADD FOLLOWER"),
        ("SHOW ROLES", "SHOW ROLES"),
        ("SET ROLE ALL", "SET ROLE"),
        ("ALTER TABLE t ADD ROLLUP r (a)", "ADD ROLLUP"),
        ("INSERT IGNORE INTO t VALUES (1)", "INSERT IGNORE"),
        ("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1", "ON DUPLICATE KEY UPDATE"),
        ("REPLACE INTO t VALUES (1)", "REPLACE"),
        ("SELECT * FROM t INTO OUTFILE 'x'", "INTO OUTFILE"),
        ("SELECT 1 INTO OUTFILE 's3://x' FORMAT AS CSV", "INTO OUTFILE"),
        ("SELECT * INTO u FROM t", "SELECT … INTO"),
        ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "INSERT inside a query"),
        ("CREATE TABLE t (a JSON)", "Column 'a' (line 1, column 19): Type JSON"),
        ("CREATE TABLE t (a ARRAY<INT>)", "Type ARRAY<INT>"),
        ("CREATE TABLE t (a INT UNSIGNED)", "Type INT UNSIGNED"),
        ("CREATE USER u DEFAULT ROLE r", "DEFAULT ROLE"),
        ("BEGIN WITH LABEL l", "BEGIN WITH LABEL"),
        ("START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */", "WITH CONSISTENT SNAPSHOT"),
        ("SELECT * FROM a, db.t TEMPORARY PARTITION (p)", "TEMPORARY PARTITION"),
        ("INSERT INTO u SELECT * FROM t temporary partitions (p)", "TEMPORARY PARTITION"),
        ("SELECT * FROM t PARTITION (p) TABLET (10001, 10002)", "TABLET of a table in FROM"),
    ] {
        let error = parse_statements(sql).err();
        let told =
            error.as_ref().is_some_and(|e| e.message().contains(name) && e.kind() == ErrorKind::Unsupported);
        assert!(told, "{sql}: {error:?}");
    }
}

#[test]
fn garbage_never_panics() {
    for sql in [
        "\0",
        "'",
        "`",
        "\\",
        "(",
        ")",
        "((",
        "]",
        "SELECT",
        ";;;'",
        "/*",
        "/*!",
        "/*!4",
        "*/",
        "@",
        "@@",
        "@@.",
        "SET @",
        "SET @@",
        "SET @@global.",
        "CREATE USER @",
        "CREATE USER u@",
        "CREATE USER u@.",
        "GRANT",
        "REVOKE ALL ON",
        "GRANT SELECT ON *",
        "GRANT SELECT ON a.b.*",
        "GRANT SELECT ON .* TO u",
        "EXECUTE AS",
        "EXECUTE AS USER",
        "KILL 99999999999999999999",
        "SHOW TABLET 1e5",
        "SHOW WARNINGS LIMIT -1",
        "CREATE TABLE t (a DECIMAL(99999999999, 1))",
        "SELECT 1 1 1",
        "EXPLAIN",
        "DESC",
        "PREPARE p FROM",
        "\u{feff}",
        "SELECT '\u{0}'",
        "SELECT 🙂 FROM 🙂",
        "b'",
        "x'zz'",
        "SELECT x'zz'",
    ] {
        let _ = parse_statements(sql);
    }
}

#[test]
fn too_long_texts_are_refused_before_they_are_read() {
    let blanks = " ".repeat(cairn_types::limits::SQL_BYTES_MAX + 1);
    assert!(refused(&blanks).contains("bytes, more than"));
    let signs = "+".repeat(4_000_000);
    assert!(refused(&signs).contains("words and signs"));
}
