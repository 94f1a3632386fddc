//! Queries: what StarRocks and MySQL write otherwise than the standard, and the tables of `FILES()`.

use cairn_sql::ast::{Hint, QueryStatement};
use cairn_sql::{
    Statement, bind_placeholders, count_placeholders, files_properties, is_default_value, parse_expression,
    parse_query, parse_statements,
};
use sqlparser::ast::{Expr, SetExpr, Value, VisitMut, VisitorMut};

use super::{check_roundtrip, one, refused};

fn query(sql: &str) -> QueryStatement {
    match one(sql) {
        Statement::Query(query) => *query,
        other => panic!("{sql} is {other:?}"),
    }
}

#[test]
fn every_form_prints_to_itself() {
    for sql in [
        "SELECT 1",
        "VALUES (1, 2), (3, 4)",
        "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 LIMIT 5, 10",
        "SELECT 'a\\\\b', \"it's\", 'it''s', 'a''''b', \"say \"\"x\"\"\", '\\'', '\\\\\\'', 'tab\\t', '', 'a' 'b'",
        "SELECT * FROM t WHERE a LIKE '50\\%' AND b NOT LIKE 'x\\_y' ESCAPE '!'",
        "SELECT `a``b`.`c d` AS \"x y\", t.* FROM `db`.`t` AS `a``b`, u",
        "SELECT a <=> b, a DIV 2 = 3, a MOD 3, MOD(a, 2), a % 2, 7 DIV b MOD c, !a = b, NOT a = b FROM t mod",
        "SELECT a RLIKE 'x', a NOT REGEXP 'y', x'4D', 0x4D, a ^ b | c & d << 1, ~a, a XOR b AND c",
        "SELECT a || b && c, @@version_comment, @@session.tx_read_only, @@global.x, @user, @a := 1 LIMIT 1",
        "SELECT dt + INTERVAL 1 DAY, date_add(dt, INTERVAL '2' MONTH), DATE '2020-01-01', INTERVAL a + 1 HOUR + dt FROM t",
        "SELECT CAST(a AS SIGNED), CAST(a AS UNSIGNED), CAST(a AS LARGEINT), CAST(a AS STRING), CAST(a AS DATETIME),
           CAST(a AS DECIMAL(10, 2)), CAST(a AS VARCHAR), CAST(a AS CHAR(3)), CAST(a AS DECIMAL128(38, 3)), CONVERT(a, SIGNED)",
        "SELECT COUNT(*), COUNT(DISTINCT a, b), SUM(a) FILTER (WHERE b > 0), GROUP_CONCAT(a ORDER BY b SEPARATOR ',') FROM t",
        "SELECT a, SUM(b) FROM t GROUP BY ROLLUP(a, b) HAVING SUM(b) > 1",
        "SELECT a FROM t GROUP BY GROUPING SETS ((a), (a, b), ())",
        "SELECT a, ROW_NUMBER() OVER (PARTITION BY b ORDER BY c DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) \
         FROM t QUALIFY 1 = 1",
        "SELECT LAG(a IGNORE NULLS) OVER (ORDER BY b) FROM t",
        "SELECT * EXCLUDE (a) FROM t",
        "SELECT CASE a WHEN 1 THEN 'x' ELSE 'y' END, CASE WHEN a THEN b END, IF(a = 1, 2, 3), IFNULL(a, b)",
        "SELECT * FROM a LEFT JOIN b ON a.x = b.x RIGHT JOIN c USING (y) CROSS JOIN d LEFT SEMI JOIN e ON 1 = 1 LEFT ANTI JOIN f ON 1 = 1",
        "SELECT * FROM t PARTITION (p1, p2) AS x WHERE EXISTS (SELECT 1 FROM u WHERE u.a = x.a) AND b IN (1, 2)",
        "SELECT * FROM FILES(\"path\"=\"file:///x/*.parquet\", \"format\" = \"parquet\") AS f JOIN t ON f.a = t.a",
        "SELECT * FROM a JOIN [SHUFFLE] b ON a.x = b.x LEFT JOIN [broadcast] c ON a.y[1] = c.y",
        "SELECT * FROM TABLE(generate_series(1, 10)) AS g",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r",
        "SELECT 1 EXCEPT SELECT 2 INTERSECT SELECT 3 MINUS SELECT 4",
        "SELECT /*+ SET_VAR(query_timeout = 5) */ a FROM t",
        "SELECT a AS `select`, 1 AS ümlaut, 'ü→' FROM `таблица`",
        "SELECT EXTRACT(YEAR FROM dt), SUBSTRING(a, 1, 2), SUBSTRING(a FROM 1 FOR 2), TRIM(BOTH 'x' FROM a), POSITION('a' IN b) FROM t",
    ] {
        check_roundtrip(sql);
    }
}

#[test]
fn partitions_of_a_table_are_named_in_two_ways() {
    for (sql, same_as) in [
        ("SELECT * FROM t PARTITIONS (p1, `p 2`) x", "SELECT * FROM t PARTITION (p1, `p 2`) x"),
        (
            "SELECT * FROM u JOIN c.db.t partitions ('p') ON 1 = 1",
            "SELECT * FROM u JOIN c.db.t PARTITION ('p') ON 1 = 1",
        ),
        ("SELECT (SELECT 1 FROM u, t PARTITIONS (p))", "SELECT (SELECT 1 FROM u, t PARTITION (p))"),
        ("SELECT * FROM (t PARTITIONS (p) JOIN u)", "SELECT * FROM (t PARTITION (p) JOIN u)"),
        ("INSERT INTO u SELECT * FROM t PARTITIONS (p)", "INSERT INTO u SELECT * FROM t PARTITION (p)"),
    ] {
        assert_eq!(one(sql), one(same_as), "{sql}");
    }
    // Names are left alone.
    for sql in [
        "SELECT * FROM t AS partitions (a, b)",
        "WITH partitions (a) AS (SELECT 1), temporary (b) AS (SELECT 2) SELECT a FROM partitions, temporary",
        "SELECT partitions(a) FROM t temporary",
    ] {
        check_roundtrip(sql);
        assert!(!one(sql).to_string().contains("PARTITION ("), "{sql}");
    }
}

#[test]
fn operators_bind_as_in_mysql() {
    for (sql, same_as) in [
        ("a DIV 2 = 3", "(a DIV 2) = 3"),
        ("a + b DIV 2", "a + (b DIV 2)"),
        ("a MOD 2 + 1", "(a MOD 2) + 1"),
        ("a || b AND c", "a OR (b AND c)"),
        ("a && b OR c", "(a AND b) OR c"),
        ("a = 1 && b = 2", "(a = 1) AND (b = 2)"),
        ("a XOR b AND c", "a XOR (b AND c)"),
        ("a OR b XOR c", "a OR (b XOR c)"),
        ("1 + 2 << 3", "(1 + 2) << 3"),
        ("2 * 3 ^ 4", "2 * (3 ^ 4)"),
        ("a | b & c", "a | (b & c)"),
        ("NOT a = b", "NOT (a = b)"),
        ("!a = b", "(NOT a) = b"),
        ("a BETWEEN 1 AND 2 AND b", "(a BETWEEN 1 AND 2) AND b"),
    ] {
        let bare = |sql: &str| strip(parse_expression(sql).unwrap_or_else(|e| panic!("{sql}: {e}")));
        assert_eq!(bare(sql), bare(same_as), "{sql}");
    }
}

/// Without any parentheses.
fn strip(mut expr: Expr) -> Expr {
    struct Strip;
    impl VisitorMut for Strip {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
            while let Expr::Nested(inner) = expr {
                *expr = (**inner).clone();
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let _ = expr.visit(&mut Strip);
    expr
}

#[test]
fn double_quotes_make_strings() {
    let text = |sql| match parse_expression(sql) {
        Ok(Expr::Value(value)) => value.value,
        other => panic!("{sql} is {other:?}"),
    };
    for (sql, expected) in [
        ("\"a\"", "a"),
        ("'a'", "a"),
        ("\"it's\"", "it's"),
        ("\"a\"\"b\"", "a\"b"),
        ("'a\\nb\\\\'", "a\nb\\"),
        ("'\\%'", "\\%"),
        ("N'a'", "a"),
    ] {
        assert_eq!(text(sql), Value::SingleQuotedString(expected.to_owned()), "{sql}");
    }
}

#[test]
fn hints_are_collected_from_every_select() {
    let hint = |name: &str, value: &str| Hint { name: name.to_owned(), value: value.to_owned() };
    let sql = "SELECT /*+ SET_VAR(a=1, b='x') */ * FROM (SELECT /*+SET_VAR(c=TRUE)*/ 1) t";
    assert_eq!(query(sql).hints, [hint("a", "1"), hint("b", "x"), hint("c", "TRUE")]);
    assert_eq!(query("SELECT /*+ NO_SUCH_HINT */ 1").hints, []);
    assert!(refused("SELECT /*+ SET_VAR(a) */ 1").contains("SET_VAR"), "a hint that sets nothing");
}

#[test]
fn files_is_a_table_with_properties() {
    let parsed = query("SELECT * FROM FILES(\"path\" = 'p', 'aws.s3.secret_key' = \"k\") f");
    let SetExpr::Select(select) = *parsed.query.body else { panic!("no select") };
    let table = &select.from[0].relation;
    let properties = files_properties(table).and_then(Result::ok).unwrap_or_default();
    let pairs: Vec<(&str, &str)> = properties.iter().map(|p| (p.key.as_str(), p.value.as_str())).collect();
    assert_eq!(pairs, [("path", "p"), ("aws.s3.secret_key", "k")]);

    let parsed = query("SELECT * FROM FILES('path', 'x') f");
    let SetExpr::Select(select) = *parsed.query.body else { panic!("no select") };
    assert!(files_properties(&select.from[0].relation).is_some_and(|p| p.is_err()));
}

#[test]
fn default_is_told_from_a_column() {
    let Statement::Insert(insert) = one("INSERT INTO t VALUES (DEFAULT, `default`, 1)") else { panic!() };
    let SetExpr::Values(values) = *insert.source.body else { panic!() };
    let told: Vec<bool> = values.rows[0].content.iter().map(is_default_value).collect();
    assert_eq!(told, [true, false, false]);
}

#[test]
fn texts_hold_several_statements() {
    let sql = "-- first\nSELECT 1; ;\n/*!40101 SET NAMES utf8 */;\n  select ';' # end\n;";
    let texts: Vec<String> =
        parse_statements(sql).unwrap_or_default().into_iter().map(|parsed| parsed.text).collect();
    assert_eq!(texts, ["SELECT 1", "SET NAMES utf8", "select ';'"]);
    assert_eq!(parse_statements(" ; -- x\n /* y */ ;").map(|s| s.len()), Ok(0));
}

#[test]
fn a_view_keeps_its_own_text() {
    let sql = "SELECT 1; CREATE VIEW v AS SELECT  a -- keep\n FROM t ; SELECT 2";
    let parsed = parse_statements(sql).unwrap_or_default();
    let Statement::CreateView(view) = &parsed[1].statement else { panic!() };
    assert_eq!(view.query_text, "SELECT  a -- keep\n FROM t");
    assert_eq!(parse_query(&view.query_text).as_ref(), Ok(&view.query));
}

fn number(n: u32) -> Expr {
    Expr::Value(Value::Number(n.to_string(), false).into())
}

#[test]
fn placeholders_are_bound_in_the_order_of_the_text() {
    for (sql, expected) in [
        ("SELECT ?, a FROM t WHERE b = ? LIMIT ?", "SELECT 1, a FROM t WHERE b = 2 LIMIT 3"),
        ("SELECT TRIM(BOTH ? FROM ?), ?", "SELECT TRIM(BOTH 1 FROM 2), 3"),
        ("SELECT ?\n, ?", "SELECT 1, 2"),
        ("INSERT INTO t VALUES (?, ?), (?, 'x')", "INSERT INTO t VALUES (1, 2), (3, 'x')"),
        ("UPDATE t SET a = ? WHERE b IN (?, ?)", "UPDATE t SET a = 1 WHERE b IN (2, 3)"),
        ("DELETE FROM t WHERE a = ?", "DELETE FROM t WHERE a = 1"),
        ("SET a = ?", "SET a = 1"),
        ("SHOW TABLES WHERE x = ?", "SHOW TABLES WHERE x = 1"),
        ("SHOW MATERIALIZED VIEWS WHERE name = ?", "SHOW MATERIALIZED VIEWS WHERE name = 1"),
        ("SELECT 1", "SELECT 1"),
    ] {
        let mut statement = one(sql);
        let count = u32::try_from(count_placeholders(&statement)).unwrap_or_default();
        let bound = bind_placeholders(&mut statement, (1..=count).map(number).collect());
        assert_eq!(bound, Ok(()), "{sql}");
        assert_eq!(statement, one(expected), "{sql}");
    }
    let mut statement = one("SELECT ?");
    let error = bind_placeholders(&mut statement, vec![]).err().map(|e| e.message().to_owned());
    assert_eq!(error.as_deref(), Some("The statement has 1 parameters, but 0 values were given"));
}
