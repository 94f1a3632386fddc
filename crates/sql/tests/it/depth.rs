//! Deep and long statements: refused quickly where they are too deep, and at the bound everything that walks a
//! statement (parse, print, clone, compare, visit, drop) fits into a 2 MiB stack.

use cairn_sql::{count_placeholders, parse_statements};

use super::{one, refused};

const STACK_BYTES: usize = 2 << 20;

/// Runs `work` on a stack as small as a server thread's.
fn on_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    on_stack(STACK_BYTES, work)
}

fn on_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(bytes)
            .spawn_scoped(scope, work)
            .unwrap_or_else(|e| panic!("{e}"))
            .join()
            .unwrap_or_else(|_| panic!("the thread panicked"))
    })
}

/// `n` times nested or chained, in every way known to make trees deep.
fn shapes(n: usize) -> Vec<(&'static str, String)> {
    let chain = |sep: &str| format!("SELECT {}1", format!("1{sep}").repeat(n));
    let nested = |open: &str, close: &str| format!("SELECT {}1{}", open.repeat(n), close.repeat(n));
    vec![
        ("plus", chain(" + ")),
        ("or", chain(" OR ")),
        ("pipes", chain(" || ")),
        ("div", chain(" DIV ")),
        ("equal", chain(" = ")),
        ("like", format!("SELECT 'a'{}", " LIKE 'a'".repeat(n))),
        ("in", format!("SELECT 1{}", " IN (1)".repeat(n))),
        ("is null", format!("SELECT 1{}", " IS NULL".repeat(n))),
        ("is distinct", format!("SELECT 1{}", " IS DISTINCT FROM 1".repeat(n))),
        ("between", format!("SELECT 1{}", " BETWEEN 1 AND 2".repeat(n))),
        ("cast", format!("SELECT 1{}", "::INT".repeat(n))),
        ("collate", format!("SELECT 1{}", " COLLATE a".repeat(n))),
        ("not", format!("SELECT {}1", "NOT ".repeat(n))),
        ("bang", format!("SELECT {}1", "! ".repeat(n))),
        ("minus", format!("SELECT {}1", "- ".repeat(n))),
        ("tilde", format!("SELECT {}1", "~ ".repeat(n))),
        ("interval", format!("SELECT {}1{}", "INTERVAL ".repeat(n), " DAY".repeat(n))),
        ("binary", format!("SELECT {}1", "BINARY ".repeat(n))),
        ("dots", format!("SELECT {}a", "a.".repeat(n))),
        ("parentheses", nested("(", ")")),
        ("operands in front", nested("1 + (", ")")),
        ("all levels", nested("1 OR 1 AND 1 = 1 + 1 * (", ")")),
        ("brackets", nested("[", "]")),
        ("functions", nested("f(", ")")),
        ("case", nested("CASE WHEN 1 THEN ", " END")),
        ("open case", format!("SELECT {}1", "CASE ".repeat(n))),
        ("casts", nested("CAST(", " AS INT)")),
        ("windows", nested("SUM(1) OVER (ORDER BY ", ")")),
        ("filters", nested("SUM(1) FILTER (WHERE ", ")")),
        ("within", nested("f(1) WITHIN GROUP (ORDER BY ", ")")),
        ("substring", nested("SUBSTRING(", " FROM 1 FOR 2)")),
        ("trim", nested("TRIM(BOTH 'x' FROM ", ")")),
        ("extract", nested("EXTRACT(DAY FROM ", ")")),
        ("tuples", nested("(1, ", ")")),
        ("in lists", nested("1 IN (", ")")),
        ("in subqueries", nested("1 IN (SELECT ", ")")),
        ("any", nested("1 = ANY (SELECT ", ")")),
        ("cte in cte", format!("{}SELECT 1{}", "WITH a AS (".repeat(n), ") SELECT 1".repeat(n))),
        (
            "set operations in parentheses",
            format!("{}SELECT 1{}", "(SELECT 1 UNION ALL ".repeat(n), ")".repeat(n)),
        ),
        ("left set operations", format!("{}SELECT 1{}", "(".repeat(n), " UNION SELECT 1)".repeat(n))),
        ("exists", nested("EXISTS (SELECT ", ")")),
        ("scalar subquery", nested("(SELECT ", ")")),
        ("derived table", format!("{}SELECT 1{}", "SELECT * FROM (".repeat(n), ") t".repeat(n))),
        ("nested join", format!("SELECT * FROM {}a{}", "(".repeat(n), " JOIN b)".repeat(n))),
        ("table parentheses", format!("SELECT * FROM {}(SELECT 1) a JOIN b{}", "(".repeat(n), ")".repeat(n))),
        ("query parentheses", format!("{}SELECT 1{}", "(".repeat(n), ")".repeat(n))),
        ("unclosed", "(".repeat(n)),
        ("union", format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(n))),
        ("union distinct", format!("SELECT 1{}", " UNION SELECT 1".repeat(n))),
        ("mixed unions", format!("SELECT 1{}", " UNION SELECT 1 UNION ALL SELECT 1".repeat(n))),
        ("except", format!("SELECT 1{}", " EXCEPT SELECT 1".repeat(n))),
        ("mixed set operations", format!("SELECT 1{}", " EXCEPT SELECT 1 INTERSECT SELECT 1".repeat(n))),
        ("and", chain(" AND ")),
        ("and or", chain(" AND 2 OR ")),
        ("xor", chain(" XOR ")),
        ("ors of chains", chain(" OR 1 + 1 = 1 AND 2 = 2 OR ")),
        ("keywords and", format!("SELECT 1{}", " + and".repeat(n))),
        ("interval and", format!("SELECT 1{}", " + INTERVAL and DAY".repeat(n))),
        ("time zone and", format!("SELECT 1{}", " AT TIME ZONE and".repeat(n))),
        ("between and", format!("SELECT a{}", " BETWEEN and AND and".repeat(n))),
        ("distinct from and", format!("SELECT 1{}", " IS DISTINCT FROM and".repeat(n))),
        ("like escape", format!("SELECT 'a'{}", " LIKE 'a' ESCAPE 'b'".repeat(n))),
        ("intersect", format!("SELECT 1{}", " INTERSECT SELECT 1".repeat(n))),
        ("join", format!("SELECT * FROM a{}", " JOIN a".repeat(n))),
        ("left join", format!("SELECT * FROM a{}", " LEFT JOIN a ON 1".repeat(n))),
        ("comma join", format!("SELECT * FROM a{}", ", a".repeat(n))),
        ("pivot", format!("SELECT * FROM a{}", " PIVOT (SUM(a) FOR b IN (1))".repeat(n))),
        ("ctes", format!("WITH a AS (SELECT 1){} SELECT 1", ", a AS (SELECT * FROM a)".repeat(n))),
        ("types", format!("SELECT CAST(1 AS {}INT{})", "ARRAY<".repeat(n), ">".repeat(n))),
        ("array type brackets", format!("SELECT CAST(1 AS INT{})", "[]".repeat(n))),
        ("subscripts", format!("SELECT a{}", "[1]".repeat(n))),
        ("json path", format!("SELECT a{}", ":b".repeat(n))),
        ("arrows", format!("SELECT a{}", "->'b'".repeat(n))),
        ("keywords as names", format!("SELECT 1{}", " + on".repeat(n))),
        ("with group", format!("SELECT 1{}", " + f(a) WITHIN GROUP (ORDER BY a)".repeat(n))),
        ("explain", format!("{}SELECT 1", "EXPLAIN ".repeat(n))),
        ("insert", format!("INSERT INTO t SELECT {}1", "1 + ".repeat(n))),
        ("update", format!("UPDATE t SET a = {}1", "1 + ".repeat(n))),
        ("set", format!("SET a = {}1{}", "(".repeat(n), ")".repeat(n))),
        ("show where", format!("SHOW TABLES WHERE {}1", "1 OR ".repeat(n))),
        ("generated column", format!("CREATE TABLE t (a INT AS ({}1))", "1 + ".repeat(n))),
        (
            "partition by of a materialized view",
            format!(
                "CREATE MATERIALIZED VIEW v PARTITION BY {}a{} AS SELECT 1",
                "f(".repeat(n),
                ")".repeat(n)
            ),
        ),
        ("materialized view", format!("CREATE MATERIALIZED VIEW v AS SELECT {}1", "1 + ".repeat(n))),
        ("task", format!("SUBMIT TASK AS INSERT INTO t SELECT {}1", "1 + ".repeat(n))),
        ("partition by", format!("CREATE TABLE t (a INT) PARTITION BY {}a{}", "f(".repeat(n), ")".repeat(n))),
    ]
}

/// Chains whose tree is flat: any length is fine.
const FLAT: [&str; 1] = ["subscripts"];

#[test]
fn a_hundred_thousand_deep_is_refused() {
    for (name, sql) in shapes(100_000) {
        if FLAT.contains(&name) {
            on_small_stack(|| drop(parse_statements(&sql)));
            continue;
        }
        let error = on_small_stack(|| parse_statements(&sql).map(|_| ()).err());
        assert!(error.is_some_and(|e| e.kind() == cairn_types::ErrorKind::Parse), "{name} was read");
    }
}

#[test]
fn whatever_is_read_is_safe_to_walk() {
    for i in 0..shapes(1).len() {
        // The largest that is read, of each shape.
        let sql_of = |n: usize| shapes(n).swap_remove(i).1;
        let (mut read, mut refused) = (0, 10_000);
        while refused - read > 1 + read / 20 {
            let n = usize::midpoint(read, refused);
            let sql = sql_of(n);
            if on_small_stack(|| parse_statements(&sql).is_ok()) { read = n } else { refused = n }
        }
        let (name, sql) = (shapes(1).swap_remove(i).0, sql_of(read));
        // An overflow ends the whole test program: say before which shape it is.
        eprintln!("{name}: {read}");
        // Statements that hold expressions directly are cloned by code of this crate, and code which is not optimized
        // takes four times the stack. (Inside queries it is sqlparser's own code, which is always optimized.)
        let own_code = cfg!(debug_assertions)
            && ["update", "generated column", "partition by", "partition by of a materialized view"]
                .contains(&name);
        on_stack(if own_code { 4 * STACK_BYTES } else { STACK_BYTES }, || {
            let Some(parsed) = parse_statements(&sql).ok().and_then(|mut parsed| parsed.pop()) else {
                return;
            };
            let statement = parsed.statement;
            let copy = statement.clone();
            assert_eq!(copy, statement, "{name}");
            assert_eq!(count_placeholders(&copy), 0, "{name}");
            assert!(statement.to_string().len() >= read, "{name}");
            assert!(format!("{statement:?}").len() >= read, "{name}");
        });
    }
}

#[test]
fn depth_adds_up_over_levels() {
    // Each level is far below the bounds; together they are not.
    let mut sql = "1".to_owned();
    for _ in 0..50 {
        sql = format!("({sql}){}", " + 1".repeat(100));
    }
    assert!(refused(&format!("SELECT {sql}")).contains("too many operators"));
}

#[test]
fn tries_do_not_multiply() {
    // Each of these makes the parser read the inner part twice at every level, and then fail.
    for (name, level, end) in [
        ("joins around subqueries", "SELECT * FROM ((SELECT 1 FROM (", " x"),
        ("derived tables", "SELECT * FROM ((", "SELECT 1 x y z"),
        ("intervals", "SELECT INTERVAL INTERVAL INTERVAL ", "1"),
    ] {
        let sql = format!("{}{end}", level.repeat(60));
        let error = on_small_stack(|| parse_statements(&sql).map(|_| ()).err());
        assert!(error.is_some(), "{name}");
    }
    let good = format!("{}SELECT 1{}", "SELECT * FROM ((".repeat(12), ") a JOIN b)".repeat(12));
    let _ = on_small_stack(|| parse_statements(&good).map(|_| ()));
}

#[test]
fn long_lists_are_read() {
    let numbers: Vec<String> = (0..100_000).map(|i| i.to_string()).collect();
    one(&format!("SELECT * FROM t WHERE a IN ({})", numbers.join(", ")));
    let rows: Vec<String> = (0..100_000).map(|i| format!("({i}, 'x{i}', -{i}, {i} + 1)")).collect();
    one(&format!("INSERT INTO t VALUES {}", rows.join(",")));
    let columns: Vec<String> = (0..10_000).map(|i| format!("CASE WHEN a = {i} THEN 1 END AS c{i}")).collect();
    one(&format!("SELECT {}", columns.join(", ")));
    let whens: Vec<String> =
        (0..20_000).map(|i| format!("WHEN b = {i} AND c > 1 THEN 'x' || '{i}'")).collect();
    one(&format!("SELECT CASE {} END", whens.join(" ")));
    let joins: Vec<String> =
        (0..500).map(|i| format!("JOIN t{i} ON t{i}.a = t.a AND t{i}.b = t.b")).collect();
    one(&format!("SELECT * FROM t {}", joins.join(" ")));
    // Each name has a dot of its own.
    let joins: Vec<String> = (0..60).map(|i| format!("CROSS JOIN d.t s{i}")).collect();
    one(&format!("SELECT * FROM d.t s {}", joins.join(" ")));
    let ors: Vec<String> = (0..4_000).map(|i| format!("a = {i}")).collect();
    one(&format!("SELECT * FROM t WHERE {}", ors.join(" OR ")));
    let unions = vec!["SELECT a, b FROM t WHERE c = 1"; 2_000];
    one(&unions.join(" UNION ALL "));
}
