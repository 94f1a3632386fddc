"""PRIMARY KEY tables beside DUPLICATE KEY tables with the same rows: what it costs that a key has one row."""

import statistics
import time

import report
import server

TITLE = "PRIMARY KEY beside DUPLICATE KEY"
ROWS = 5_000_000
SPREAD = 100
SMALL_COUNT = 100
RUNS = 5
QUERY_MAX = 1.5
DATABASE = "bench_keys"
MODELS = ["DUPLICATE", "PRIMARY"]


def run(bench):
    process = bench.start("keys")
    try:
        with process.connect() as connection:
            server.query(connection, f"CREATE DATABASE {DATABASE}")
        with process.connect(DATABASE) as connection:
            times = {model: measure(connection, model) for model in MODELS}
            check(connection)
    finally:
        process.stop()
    names = [
        f"INSERT of {ROWS / 1e6:g} million rows, ms",
        "INSERT of single rows, new keys, median ms",
        "INSERT of single rows, old keys, median ms",
        f"INSERT of every {SPREAD}th key again, ms",
        "sum over all rows then, median ms",
    ]
    rows = [[name] + [f"{value:.1f}" for value in values] for name, *values in zip(names, *times.values())]
    duplicate, primary = (times[model][-1] for model in MODELS)
    goals = report.Goals()
    goals.at_most("query with replaced rows, PRIMARY KEY / DUPLICATE KEY", primary / duplicate, QUERY_MAX, " ×")
    return report.Block(TITLE, [report.Table(["statement", *MODELS], rows), goals.table()])


def measure(connection, model):
    """Milliseconds of each statement."""
    table = model.lower()
    server.query(
        connection,
        f"CREATE TABLE {table} (k BIGINT NOT NULL, v BIGINT, s VARCHAR(20)) {model} KEY(k) "
        "DISTRIBUTED BY HASH(k) BUCKETS 4",
    )
    series = "SELECT value, value * 7, concat('text ', value % 1000) FROM generate_series({}, {}, {})"
    insert = lambda *bounds: timed(connection, f"INSERT INTO {table} {series.format(*bounds)}")
    load = insert(1, ROWS, 1)
    row = lambda key: timed(connection, f"INSERT INTO {table} VALUES ({key}, 0, 'one')")
    new = statistics.median(row(ROWS + 1 + number) for number in range(SMALL_COUNT))
    old = statistics.median(row(1 + number * (ROWS // SMALL_COUNT)) for number in range(SMALL_COUNT))
    spread = insert(1, ROWS, SPREAD)
    query = f"SELECT sum(v), max(s) FROM {table}"
    server.query(connection, query)
    return load, new, old, spread, statistics.median(timed(connection, query) for _ in range(RUNS))


def timed(connection, statement):
    started = time.perf_counter()
    server.query(connection, statement)
    return (time.perf_counter() - started) * 1e3


def check(connection):
    """Each key has one row, the last one."""
    replaced = sum(1 for number in range(SMALL_COUNT) if number * (ROWS // SMALL_COUNT) % SPREAD)
    expected = [(ROWS + SMALL_COUNT, ROWS + SMALL_COUNT, SMALL_COUNT + replaced)]
    found = server.query(connection, "SELECT count(*), count(DISTINCT k), sum(CAST(s = 'one' AS INT)) FROM `primary`")
    if [tuple(int(value) for value in row) for row in found] != expected:
        raise RuntimeError(f"the PRIMARY KEY table has {found}, not {expected}")
