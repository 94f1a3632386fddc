"""Materialized views: what a refresh, a verdict, a rewrite and many candidates cost."""

import datetime
import statistics
import time

import context
import report
import server

TITLE = "Materialized views"
ONE_PARTITION_MAX = 0.03
INCREMENTAL_MAX = 0.05
REWRITE_MIN = 10.0
VERDICT_MS_MAX = 20.0
CANDIDATES_MS_MAX = 10.0
DATABASE = "bench_mview"
PARTITIONS = 100
ROWS_PER_PARTITION = 300_000
VERDICT_PARTITIONS = 10_000
# Partitions that one statement makes at most.
SERIES_MAX = 4_000
CANDIDATES = 200
PLANS = 30
FIRST_DAY = datetime.date(2024, 1, 1)
# Revenue by the columns of TPC-H's first query, and the query.
PRICING = """CREATE MATERIALIZED VIEW pricing DISTRIBUTED BY RANDOM REFRESH DEFERRED MANUAL AS
SELECT l_returnflag, l_linestatus, l_shipdate, sum(l_quantity) AS sum_qty, sum(l_extendedprice) AS sum_base_price,
  sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price,
  sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge,
  count(l_quantity) AS count_qty, count(l_extendedprice) AS count_price, sum(l_discount) AS sum_disc,
  count(l_discount) AS count_disc, count(*) AS count_order
FROM lineitem GROUP BY l_returnflag, l_linestatus, l_shipdate"""


def run(bench):
    options = bench.options
    goals, tables = report.Goals(), []
    process = bench.start("mview")
    try:
        with process.connect() as connection:
            server.query(connection, f"CREATE DATABASE {DATABASE}")
        with process.connect(DATABASE) as connection:
            tables.append(refreshes(connection, goals))
            goals.at_most(
                f"verdict over {VERDICT_PARTITIONS} base partitions (EXPLAIN REFRESH)",
                verdict_ms(connection),
                VERDICT_MS_MAX,
                " ms",
            )
            goals.at_most(
                f"planning with {CANDIDATES} candidates, more than with none",
                candidates_ms(connection),
                CANDIDATES_MS_MAX,
                " ms",
            )
    finally:
        process.stop()
    plain, rewritten = rewrite_ms(bench)
    tables.append(
        report.Table(
            ["TPC-H query 1", "median ms"], [["from lineitem", f"{plain:.1f}"], ["from a view", f"{rewritten:.1f}"]]
        )
    )
    goals.at_least("TPC-H query 1, from lineitem / from a view", plain / rewritten, REWRITE_MIN, " ×")
    return report.Block(f"{TITLE}, scale factor {options.sf:g} where TPC-H is meant", [*tables, goals.table()])


def refreshes(connection, goals):
    """Full, one partition of many, and incremental refreshes of an aggregate over a partitioned table."""
    server.query(
        connection,
        "CREATE TABLE facts (day DATE NOT NULL, k INT NOT NULL, v BIGINT NOT NULL) DUPLICATE KEY(day, k) "
        "PARTITION BY date_trunc('day', day) DISTRIBUTED BY HASH(k) BUCKETS 1",
    )
    for start in range(0, PARTITIONS, 10):
        server.query(connection, f"INSERT INTO facts {rows(start, 10, ROWS_PER_PARTITION)}")
    select = "SELECT day, k % 100 AS g, sum(v) AS s, count(*) AS n, max(v) AS m FROM facts GROUP BY day, k % 100"
    by_day = "PROPERTIES (\"partition_refresh_number\" = \"-1\")"
    server.query(
        connection,
        f"CREATE MATERIALIZED VIEW by_day PARTITION BY date_trunc('day', day) DISTRIBUTED BY RANDOM BUCKETS 1 "
        f"REFRESH DEFERRED MANUAL {by_day} AS {select}",
    )
    whole = "SELECT k % 100 AS g, sum(v) AS s, count(*) AS n, max(v) AS m FROM facts GROUP BY k % 100"
    for mode in ("full", "incremental"):
        server.query(
            connection,
            f"CREATE MATERIALIZED VIEW whole_{mode} DISTRIBUTED BY RANDOM BUCKETS 1 REFRESH DEFERRED MANUAL "
            f"PROPERTIES (\"refresh_mode\" = \"{mode}\") AS {whole}",
        )
        refresh(connection, f"whole_{mode}")
    refresh(connection, "by_day")
    full = timed(lambda: refresh(connection, "by_day", "FORCE"), 3)
    full_whole = timed(lambda: refresh(connection, "whole_full", "FORCE"), 3)
    one, incremental = [], []
    for number in range(9):
        # One percent of all rows, in one partition.
        server.query(connection, f"INSERT INTO facts {rows(number * 7, 1, ROWS_PER_PARTITION)}")
        one.append(timed(lambda: refresh(connection, "by_day"), 1))
        incremental.append(timed(lambda: refresh(connection, "whole_incremental"), 1))
    check(connection, "whole_incremental", whole)
    check(connection, "by_day", select)
    one, incremental = statistics.median(one), statistics.median(incremental)
    goals.at_most(f"refresh after a change of 1 of {PARTITIONS} partitions / of all", one / full, ONE_PARTITION_MAX, " ×")
    goals.at_most("incremental refresh after 1 % more rows / full", incremental / full_whole, INCREMENTAL_MAX, " ×")
    return report.Table(
        [f"refresh over {PARTITIONS * ROWS_PER_PARTITION / 1e6:g} million rows", "ms"],
        [
            [f"all {PARTITIONS} partitions", f"{full * 1e3:.0f}"],
            ["1 partition", f"{one * 1e3:.1f}"],
            ["unpartitioned, full", f"{full_whole * 1e3:.0f}"],
            ["unpartitioned, incremental, 1 % more rows", f"{incremental * 1e3:.1f}"],
        ],
    )


def rows(first_day, days, count):
    """A SELECT of `count` rows for each of `days` days."""
    list_of_days = ", ".join(f"('{FIRST_DAY + datetime.timedelta(days=first_day + day)}')" for day in range(days))
    return (
        f"SELECT cast(d.day AS DATE), cast(n.value AS INT), n.value * 7 FROM (VALUES {list_of_days}) d(day), "
        f"generate_series(1, {count}) n"
    )


def refresh(connection, name, force=""):
    server.query(connection, f"REFRESH MATERIALIZED VIEW {name} {force} WITH SYNC MODE")


def timed(work, runs):
    """Median seconds of `work`."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def check(connection, name, select):
    """The view says what its query says."""
    plain = f"SELECT /*+ SET_VAR(enable_materialized_view_rewrite=false) */ count(*), sum(s), sum(n), sum(m) FROM"
    expected = server.query(connection, f"{plain} ({select}) q")
    found = server.query(connection, f"{plain} {name}")
    if expected != found:
        raise RuntimeError(f"{name} has {found}, its query {expected}")


def verdict_ms(connection):
    """Milliseconds in which a view over a table of many partitions is found fresh."""
    server.query(
        connection,
        "CREATE TABLE wide (day DATE NOT NULL, v INT) PARTITION BY RANGE(day) () DISTRIBUTED BY RANDOM BUCKETS 1",
    )
    first = datetime.date(2000, 1, 1)
    for start in range(0, VERDICT_PARTITIONS, SERIES_MAX):
        days = min(SERIES_MAX, VERDICT_PARTITIONS - start)
        begin, end = (first + datetime.timedelta(days=day) for day in (start, start + days))
        series = f'START ("{begin}") END ("{end}") EVERY (INTERVAL 1 DAY)'
        server.query(connection, f"ALTER TABLE wide ADD PARTITIONS {series}")
    server.query(
        connection,
        "CREATE MATERIALIZED VIEW wide_month PARTITION BY date_trunc('month', day) DISTRIBUTED BY RANDOM BUCKETS 1 "
        "REFRESH DEFERRED MANUAL PROPERTIES (\"partition_refresh_number\" = \"-1\") AS "
        "SELECT day, sum(v) AS s FROM wide GROUP BY day",
    )
    refresh(connection, "wide_month")
    explain = "EXPLAIN REFRESH MATERIALIZED VIEW wide_month"
    return statistics.median(timed(lambda: server.query(connection, explain), 1) for _ in range(10)) * 1e3


def candidates_ms(connection):
    """How much longer planning takes when many views could answer and none does."""
    server.query(connection, "CREATE TABLE planned (a INT, b INT, c BIGINT) DISTRIBUTED BY HASH(a) BUCKETS 1")
    server.query(connection, "INSERT INTO planned VALUES (1, 2, 3)")
    query = "EXPLAIN SELECT a, sum(c) FROM planned WHERE b > 5 GROUP BY a"
    plans = lambda: statistics.median(timed(lambda: server.query(connection, query), 1) for _ in range(PLANS)) * 1e3
    plans()
    none = plans()
    for number in range(CANDIDATES):
        name = f"candidate_{number}"
        server.query(
            connection,
            f"CREATE MATERIALIZED VIEW {name} DISTRIBUTED BY RANDOM BUCKETS 1 REFRESH DEFERRED MANUAL AS "
            f"SELECT a, b, sum(c) AS s FROM planned WHERE b = {number + 1_000} GROUP BY a, b",
        )
        refresh(connection, name)
    plans()
    return plans() - none


def rewrite_ms(bench):
    """Median milliseconds of TPC-H's first query without and with a view that answers it."""
    process, query = bench.tpch_server(bench.options.sf), bench.queries()[1]
    with process.connect(context.DATABASE) as connection:
        server.query(connection, PRICING)
        refresh(connection, "pricing")
        plain_query = query.replace("select", "select /*+ SET_VAR(enable_materialized_view_rewrite=false) */", 1)
        plan = server.query(connection, f"EXPLAIN {query}")
        if not any("TABLE: pricing" in line for (line,) in plan):
            raise RuntimeError("TPC-H query 1 is not answered from the view:\n" + "\n".join(line for (line,) in plan))
        times = []
        for statement in (plain_query, query):
            server.query(connection, statement)
            times.append(timed(lambda: server.query(connection, statement), bench.options.runs) * 1e3)
        server.query(connection, "DROP MATERIALIZED VIEW pricing")
    return times
