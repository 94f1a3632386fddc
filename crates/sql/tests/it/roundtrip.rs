//! One line a form: each must parse, print, and parse to an equal statement again.

use super::check_roundtrip;

fn all(statements: &[&str]) {
    for sql in statements {
        check_roundtrip(sql);
    }
}

#[test]
fn databases() {
    all(&[
        "CREATE DATABASE db",
        "create schema if not exists default_catalog.`we``ird` CHARACTER SET utf8mb4 COLLATE = utf8mb4_bin",
        "CREATE DATABASE db PROPERTIES(\"storage_volume\"=\"v\")",
        "DROP DATABASE IF EXISTS db FORCE",
        "DROP SCHEMA c.db",
        "USE db",
        "USE default_catalog.`my db`",
        "USE 'default_catalog.db'",
        "RECOVER DATABASE db",
        "RECOVER TABLE db.t AS t2",
        "RECOVER PARTITION p20250101 FROM db.t",
    ]);
}

#[test]
fn tables() {
    all(&[
        "CREATE TABLE t (a INT)",
        "CREATE TABLE IF NOT EXISTS c.db.t (a BIGINT KEY NOT NULL COMMENT 'it''s', b VARCHAR(10) NULL DEFAULT \"x\\\\y\",
           c DECIMAL(38, 10) DEFAULT -1.50, d DATETIME(6) DEFAULT CURRENT_TIMESTAMP, e STRING DEFAULT (uuid()),
           f LARGEINT SUM DEFAULT '0', g BIGINT NOT NULL AUTO_INCREMENT, h INT AS (a + 1) COMMENT 'gen', i INT AS a + 2,
           j BOOLEAN DEFAULT true, k DATE DEFAULT NULL, l CHAR(3) REPLACE_IF_NOT_NULL, m DOUBLE, n FLOAT, o TINYINT(4),
           INDEX i1 (b) USING BITMAP COMMENT 'x', INDEX i2 (b) USING GIN (\"parser\" = \"english\"))
         ENGINE=OLAP DUPLICATE KEY(a, b) COMMENT \"c\" PARTITION BY RANGE(d) (
           PARTITION p1 VALUES LESS THAN (\"2024-01-01\"), PARTITION IF NOT EXISTS p2 VALUES LESS THAN MAXVALUE)
         DISTRIBUTED BY HASH(a, b) BUCKETS 4 ORDER BY (b, a) ROLLUP (r1 (a, b) DUPLICATE KEY (a) FROM t PROPERTIES (\"k\"=\"v\"))
         PROPERTIES (\"replication_num\" = \"1\", \"compression\" = \"zstd(3)\")",
        "CREATE TABLE t (a INT) PRIMARY KEY(a) DISTRIBUTED BY HASH(a)",
        "CREATE TABLE t (a INT, b INT SUM) AGGREGATE KEY(a) DISTRIBUTED BY RANDOM BUCKETS 1",
        "CREATE TABLE t (a INT, `key` INT) UNIQUE KEY(a)",
        "CREATE EXTERNAL TABLE t (a INT) ENGINE = mysql PROPERTIES (\"host\" = \"h\")",
        "CREATE TEMPORARY TABLE t (a INT)",
        "CREATE TABLE t LIKE db.u",
        "CREATE TABLE IF NOT EXISTS t DISTRIBUTED BY RANDOM PROPERTIES (\"a\" = \"b\") LIKE u",
        "CREATE TABLE t AS SELECT 1 AS a",
        "CREATE TABLE t (a, b) PRIMARY KEY (a) PARTITION BY date_trunc('day', b) DISTRIBUTED BY HASH(a)
           AS WITH x AS (SELECT 1, 2) SELECT * FROM x",
        "CREATE TABLE t (a, INDEX i (a)) AS (SELECT 1)",
        "DROP TABLE IF EXISTS db.t FORCE",
        "DROP TEMPORARY TABLE t",
        "TRUNCATE TABLE t",
        "TRUNCATE t PARTITION (p1, p2)",
        "ANALYZE TABLE t",
        "ANALYZE SAMPLE TABLE db.t (a, b) WITH ASYNC MODE PROPERTIES(\"a\"=\"1\")",
        "ANALYZE FULL TABLE t WITH SYNC MODE",
    ]);
}

#[test]
fn partitions() {
    for partition_by in [
        "RANGE(a, b) (PARTITION p VALUES [(\"1\", -2), (\"3\", MAXVALUE)))",
        "RANGE(a) (PARTITION p VALUES [(\"2024-01-01\"), (\"2024-02-01\")) (\"replication_num\" = \"1\"))",
        "RANGE(a) ()",
        "RANGE(a) (START (\"2024-01-01\") END (\"2024-12-01\") EVERY (INTERVAL 1 MONTH), PARTITION p VALUES LESS THAN (\"2030-01-01\"))",
        "RANGE(date_trunc('month', dt)) (START (\"1\") END (\"100\") EVERY (10))",
        "LIST (a) (PARTITION p VALUES IN ('x', 'y', NULL), PARTITION q VALUES IN ('z'))",
        "LIST (a, b) (PARTITION p VALUES IN (('x', '1'), ('y', '2')))",
        "date_trunc('day', dt)",
        "date_trunc('day', dt) (START (\"2024-01-01\") END (\"2024-02-01\") EVERY (INTERVAL 1 DAY))",
        "time_slice(dt, INTERVAL 5 minute)",
        "date_trunc('month', dt), city",
        "(city, dt)",
        "city",
        "from_unixtime(ts, '%Y%m%d')",
    ] {
        check_roundtrip(&format!("CREATE TABLE t (a INT) PARTITION BY {partition_by} DISTRIBUTED BY RANDOM"));
    }
}

#[test]
fn alter_table() {
    for op in [
        "ADD PARTITION p VALUES [(\"a\"), (\"b\"))",
        "ADD PARTITION IF NOT EXISTS p VALUES LESS THAN (\"5\") (\"k\" = \"v\") DISTRIBUTED BY HASH(a) BUCKETS 3",
        "ADD TEMPORARY PARTITION p VALUES LESS THAN (\"5\") PROPERTIES (\"k\" = \"v\")",
        "ADD PARTITIONS START (\"2024-01-01\") END (\"2024-02-01\") EVERY (INTERVAL 1 WEEK)",
        "ADD PARTITION p VALUES IN ('a', 'b')",
        "DROP PARTITION p",
        "DROP TEMPORARY PARTITION p",
        "DROP PARTITION IF EXISTS p FORCE",
        "RENAME u",
        "RENAME PARTITION p q",
        "RENAME COLUMN a TO b",
        "SET (\"replication_num\" = \"3\")",
        "COMMENT = \"new\"",
        "COMMENT 'new'",
        "SWAP WITH u",
        "ADD COLUMN c INT KEY NOT NULL DEFAULT \"0\" COMMENT 'x' AFTER a",
        "ADD COLUMN c INT FIRST",
        "ADD COLUMN (c INT, d STRING)",
        "ADD COLUMN c INT, DROP COLUMN d, MODIFY COLUMN e BIGINT AFTER c",
        "DROP COLUMN `c d`",
        "MODIFY COLUMN a VARCHAR(20) NULL",
    ] {
        check_roundtrip(&format!("ALTER TABLE db.t {op}"));
    }
}

#[test]
fn views() {
    all(&[
        "CREATE VIEW v AS SELECT 1",
        "CREATE OR REPLACE VIEW db.v (a COMMENT 'x', b) COMMENT 'c' AS SELECT a, b FROM t WHERE c LIKE 'a\\\\_%'",
        "CREATE VIEW IF NOT EXISTS v AS WITH x AS (SELECT 1) SELECT * FROM x UNION ALL SELECT 2",
        "ALTER VIEW v AS SELECT 2",
        "ALTER VIEW d.v SET SECURITY INVOKER",
        "ALTER VIEW d.v SET SECURITY NONE",
        "CREATE VIEW v COMMENT 'c' SECURITY INVOKER AS SELECT 1",
        "CREATE OR REPLACE VIEW v (a) SECURITY NONE AS SELECT 1",
        "ALTER VIEW v (x) AS SELECT 2",
        "DROP VIEW IF EXISTS c.db.v",
    ]);
}

#[test]
fn materialized_views() {
    all(&[
        "CREATE MATERIALIZED VIEW mv AS SELECT 1",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS c.db.mv (a COMMENT 'it''s', `sum(b)`, INDEX i (a) USING BITMAP COMMENT 'x')
           COMMENT \"c\" PARTITION BY (date_trunc('day', dt), city) DISTRIBUTED BY HASH(a, `sum(b)`) BUCKETS 8
           ORDER BY (`sum(b)`, a) REFRESH DEFERRED ASYNC START(\"2030-01-01 00:00:00\") EVERY(INTERVAL 3 MINUTE)
           PROPERTIES (\"partition_ttl\" = \"2 MONTH\", 'session.query_timeout' = '10')
           AS WITH x AS (SELECT 1) SELECT * FROM x WHERE c LIKE 'a\\\\_%' UNION ALL SELECT /*+ SET_VAR(a = 1) */ 2",
        "CREATE MATERIALIZED VIEW mv REFRESH ASYNC PARTITION BY time_slice(dt, INTERVAL 5 minute) AS (SELECT dt FROM t)",
        "CREATE MATERIALIZED VIEW mv DISTRIBUTED BY RANDOM AS SELECT 1",
        "CREATE MATERIALIZED VIEW mv REFRESH SCHEDULE EVERY (INTERVAL 1 WEEK) AS SELECT 1",
        "DROP MATERIALIZED VIEW mv",
        "DROP MATERIALIZED VIEW IF EXISTS db.mv FORCE",
        "REFRESH MATERIALIZED VIEW db.mv",
        "REFRESH MATERIALIZED VIEW mv PARTITION START ('it''s') END ('b') FORCE WITH SYNC MODE WITH PRIORITY 80 CASCADE",
        "REFRESH MATERIALIZED VIEW mv PARTITION (('a', '1'), ('b\\\\', NULL)) WITH ASYNC MODE",
        "CANCEL REFRESH MATERIALIZED VIEW mv",
        "CANCEL REFRESH MATERIALIZED VIEW db.mv FORCE",
        "EXPLAIN REFRESH MATERIALIZED VIEW mv PARTITION ('a') FORCE",
        "EXPLAIN ANALYZE REFRESH MATERIALIZED VIEW mv WITH SYNC MODE",
        "DESC COSTS REFRESH MATERIALIZED VIEW mv",
        "EXPLAIN ALTER MATERIALIZED VIEW mv ACTIVE WITH NO_VALIDATION",
    ]);
    for op in [
        "RENAME `new name`",
        "REFRESH MANUAL",
        "REFRESH IMMEDIATE ASYNC EVERY (INTERVAL 1 DAY)",
        "ACTIVE",
        "ACTIVE WITH NO_VALIDATION",
        "INACTIVE",
        "SWAP WITH other",
        "SET (\"query_rewrite_consistency\" = \"loose\", 'a' = '')",
        "ORDER BY (a, `b c`)",
    ] {
        check_roundtrip(&format!("ALTER MATERIALIZED VIEW db.mv {op}"));
    }
}

#[test]
fn tasks() {
    all(&[
        "SUBMIT TASK AS INSERT INTO t SELECT * FROM u",
        "SUBMIT /*+ SET_VAR(query_timeout = 10) */ TASK db.`a-b` SCHEDULE START('2030-01-01 00:00:00') EVERY(INTERVAL 2 HOUR)
           PROPERTIES ('session.a' = 'b') AS INSERT /*+ SET_VAR(x = 'y') */ OVERWRITE t SELECT 1",
        "SUBMIT TASK x AS CREATE TABLE t PROPERTIES ('a' = 'b') AS SELECT 1 AS a",
        "DROP TASK x",
        "DROP TASK IF EXISTS db.`mv-12` FORCE",
    ]);
}

#[test]
fn writes() {
    all(&[
        "INSERT INTO t VALUES (1, DEFAULT), (-2, 'x')",
        "INSERT INTO TABLE db.t (a, b) SELECT * FROM u",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t ((SELECT 1) UNION ALL (SELECT 2))",
        "INSERT OVERWRITE t PARTITION (p1, p2) WITH LABEL l1 (a) PROPERTIES(\"timeout\"=\"10\") SELECT 1",
        "INSERT INTO t TEMPORARY PARTITION (tp) BY NAME SELECT 1 AS a",
        "INSERT /*+ SET_VAR(dynamic_overwrite = TRUE) */ OVERWRITE t SELECT /*+ SET_VAR(query_timeout=3) */ 1",
        "INSERT INTO FILES(\"path\"=\"file:///x/\", \"format\"=\"parquet\") SELECT * FROM t",
        "INSERT INTO BLACKHOLE() SELECT * FROM t",
        "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x",
        "INSERT INTO files VALUES (1)",
        "DELETE FROM t WHERE a = 1 AND b IN (SELECT b FROM u)",
        "DELETE FROM db.t AS x PARTITION (p1, p2) USING u JOIN v ON u.a = v.a WHERE x.a = u.a",
        "DELETE FROM t PARTITION p WHERE a > 1",
        "WITH w AS (SELECT 1 AS a) DELETE FROM t WHERE a IN (SELECT a FROM w)",
        "UPDATE t SET a = 1, b = DEFAULT WHERE c = 'x\\\\'",
        "UPDATE db.t x SET a = u.a + 1 FROM u WHERE u.b = x.b",
        "WITH w AS (SELECT 1 AS a) UPDATE t SET a = 2",
    ]);
}

#[test]
fn show() {
    for what in [
        "DATABASES",
        "DATABASES LIKE 'a%'",
        "SCHEMAS FROM default_catalog",
        "DATABASES WHERE `Database` = 'x'",
        "CATALOGS",
        "TABLES",
        "FULL TABLES FROM c.db LIKE 'a\\\\_b'",
        "TABLES IN db WHERE x = 1",
        "TABLE STATUS FROM db LIKE 't'",
        "MATERIALIZED VIEWS",
        "MATERIALIZED VIEWS FROM c.db LIKE 'a%'",
        "MATERIALIZED VIEW IN db WHERE NAME = 'x'",
        "CREATE MATERIALIZED VIEW db.mv",
        "OPEN TABLES",
        "COLUMNS FROM t",
        "FULL COLUMNS FROM t FROM db LIKE 'a'",
        "FULL FIELDS IN db.t",
        "CREATE TABLE db.t",
        "CREATE VIEW v",
        "CREATE DATABASE db",
        "CREATE USER 'u'@'h'",
        "INDEX FROM t",
        "INDEXES IN t IN db",
        "KEYS FROM db.t",
        "VARIABLES",
        "GLOBAL VARIABLES LIKE 'a'",
        "SESSION VARIABLES WHERE Variable_name IN ('a', 'b')",
        "LOCAL STATUS",
        "STATUS",
        "PROCESSLIST",
        "FULL PROCESSLIST",
        "PARTITIONS FROM db.t WHERE PartitionName = 'p' ORDER BY PartitionId DESC LIMIT 2, 10",
        "TEMPORARY PARTITIONS FROM t",
        "PROC '/images'",
        "FRONTENDS",
        "BACKENDS",
        "COMPUTE NODES",
        "STORAGE VOLUMES",
        "STORAGE VOLUMES LIKE 'a'",
        "SNAPSHOTS",
        "USERS",
        "GRANTS",
        "GRANTS FOR u",
        "GRANTS FOR 'u'@'%'",
        "GRANTS FOR USER u",
        "GRANTS FOR user",
        "WARNINGS",
        "WARNINGS LIMIT 5",
        "ERRORS",
        "COUNT(*) WARNINGS",
        "COUNT(*) ERRORS",
        "ENGINES",
        "STORAGE ENGINES",
        "CHARSET",
        "CHARACTER SET LIKE 'utf%'",
        "COLLATION WHERE x = 1",
        "PLUGINS",
        "PRIVILEGES",
        "DATA",
        "DATA FROM db.t",
        "TABLET 10",
        "TABLET FROM t PARTITION (p) LIMIT 1",
        "TABLETS FROM t ORDER BY TabletId, Version ASC LIMIT 5 OFFSET 2",
        "TRANSACTION WHERE id = 4",
        "TRANSACTION FROM db WHERE label = 'x'",
        "LOAD",
        "LOAD FROM db WHERE label = 'x' LIMIT 1",
        "ALTER TABLE COLUMN",
        "ALTER TABLE COLUMN FROM db ORDER BY CreateTime DESC LIMIT 1",
        "TRIGGERS",
        "EVENTS FROM db",
        "PROCEDURE STATUS WHERE Db = 'x'",
        "FUNCTION STATUS LIKE 'x'",
    ] {
        check_roundtrip(&format!("SHOW {what}"));
    }
}

#[test]
fn cluster() {
    all(&[
        "ADMIN SET FRONTEND CONFIG (\"a\" = \"b\")",
        "ADMIN SET FRONTEND CONFIG (\"a\" = \"b\") WITH PERSISTENT",
        "ADMIN SHOW FRONTEND CONFIG",
        "ADMIN SHOW FRONTEND CONFIG LIKE 'run_mode'",
        "ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON",
        "ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON INTERVAL 10 MINUTE STORAGE VOLUME v",
        "ADMIN SET AUTOMATED CLUSTER SNAPSHOT OFF",
        "ADMIN ALTER AUTOMATED CLUSTER SNAPSHOT SET INTERVAL 2 hour",
        "ADMIN SHOW AUTOMATED CLUSTER SNAPSHOT",
        "ADMIN PAUSE MATERIALIZED VIEWS",
        "ADMIN RESUME MATERIALIZED VIEWS",
        "ALTER SYSTEM CREATE IMAGE",
        "CREATE SNAPSHOT",
        "CREATE SNAPSHOT before_upgrade",
        "CREATE SNAPSHOT IF NOT EXISTS s PROPERTIES(\"ttl\"=\"1d\",\"comment\"=\"x\")",
        "CREATE SNAPSHOT PROPERTIES(\"ttl\"=\"1d\")",
        "DROP SNAPSHOT IF EXISTS s",
        "CREATE STORAGE VOLUME IF NOT EXISTS v TYPE = S3 LOCATIONS = ('s3://b/', 's3://c') COMMENT 'x' PROPERTIES (\"enabled\"=\"true\")",
        "CREATE STORAGE VOLUME v TYPE = file LOCATIONS = (\"file:///x\")",
        "ALTER STORAGE VOLUME v SET (\"enabled\" = \"false\")",
        "ALTER STORAGE VOLUME v COMMENT = 'y'",
        "DROP STORAGE VOLUME IF EXISTS v",
        "SET v AS DEFAULT STORAGE VOLUME",
        "DESC STORAGE VOLUME v",
    ]);
}

#[test]
fn users() {
    all(&[
        "CREATE USER u",
        "CREATE USER IF NOT EXISTS 'u'@'10.%'",
        "CREATE USER u IDENTIFIED WITH mysql_native_password",
        "DROP USER IF EXISTS 'u'@'h'",
        "DROP USER root@localhost",
        "DROP USER u@'%'",
    ]);
}

#[test]
fn privileges() {
    for on in [
        "OPERATE, GRANT, NODE, CREATE STORAGE VOLUME ON SYSTEM",
        "ALL ON SYSTEM",
        "USAGE, CREATE DATABASE ON CATALOG default_catalog",
        "ALL PRIVILEGES ON ALL CATALOGS",
        "CREATE TABLE, CREATE VIEW, CREATE MATERIALIZED VIEW, CREATE FUNCTION ON DATABASE db",
        "ALTER, DROP ON DATABASES db, default_catalog.`my db`",
        "ALL ON ALL DATABASES",
        "SELECT ON t",
        "SELECT, INSERT, UPDATE, DELETE, REFRESH, EXPORT ON TABLE db.t, c.db.`u v`",
        "select on tables t, u",
        "SELECT ON VIEW v",
        "SELECT, DROP ON VIEWS v, db.w",
        "REFRESH ON MATERIALIZED VIEW mv",
        "ALL ON MATERIALIZED VIEWS mv, db.mv2",
        "SELECT ON ALL TABLES IN DATABASE db",
        "SELECT ON ALL TABLES IN ALL DATABASES",
        "ALTER ON ALL VIEWS IN DATABASE c.db",
        "ALL ON ALL MATERIALIZED VIEWS IN ALL DATABASES",
        "SELECT ON *.*",
        "SELECT ON db.*",
        "SELECT ON TABLE c.db.*",
        "SELECT ON VIEW db.*",
        "IMPERSONATE ON USER 'v'@'10.%', w@h",
        "IMPERSONATE ON USERS v, w",
        "ALL ON ALL USERS",
    ] {
        for user in ["u", "'u'@'h'", "USER u", "USER u@h.example.com", "user", "`user`@'h'"] {
            check_roundtrip(&format!("GRANT {on} TO {user}"));
            check_roundtrip(&format!("REVOKE {on} FROM {user}"));
        }
    }
    all(&[
        "EXECUTE AS u WITH NO REVERT",
        "execute as user 'u'@'h' with no revert",
        "EXECUTE AS USER WITH NO REVERT",
    ]);
}

#[test]
fn sessions() {
    all(&[
        "SET a = 1",
        "SET GLOBAL a = 'x', SESSION b = ON, @@c = 2, @@global.d = DEFAULT, @@session.e := 3, LOCAL f = -1.5",
        "SET NAMES utf8mb4",
        "SET NAMES 'utf8' COLLATE 'utf8_general_ci', autocommit=1",
        "SET NAMES DEFAULT",
        "SET CHARACTER SET utf8",
        "SET character_set_results = NULL",
        "SET sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')",
        "SET sql_mode='a', @OLD = @@sql_mode, @`x y` = (SELECT 1)",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET TRANSACTION READ WRITE",
        "SET names = 'x'",
        "SET tx_isolation = 'READ-COMMITTED'",
        "KILL 5",
        "KILL QUERY 5",
        "KILL CONNECTION 18446744073709551615",
        "KILL QUERY 'a1b2-c3'",
        "BEGIN",
        "BEGIN WORK",
        "START TRANSACTION",
        "START TRANSACTION READ ONLY",
        "COMMIT",
        "COMMIT WORK",
        "ROLLBACK",
        "SYNC",
        "PREPARE p FROM 'SELECT ? + \\'x\\''",
        "PREPARE p FROM SELECT ?",
        "EXECUTE p",
        "EXECUTE p USING @a, @`b c`",
        "DEALLOCATE PREPARE p",
        "DROP PREPARE p",
    ]);
}

#[test]
fn explain_and_describe() {
    all(&[
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN VERBOSE (SELECT 1)",
        "DESC COSTS WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN LOGICAL INSERT INTO t SELECT 1",
        "EXPLAIN UPDATE t SET a = 1",
        "EXPLAIN DELETE FROM t WHERE a = 1",
        "EXPLAIN CREATE TABLE t AS SELECT 1",
        "DESC t",
        "DESCRIBE db.t ALL",
        "EXPLAIN c.db.t",
        "DESC verbose",
        "DESC FILES(\"path\"=\"file:///x\", \"format\"=\"parquet\")",
    ]);
}
