"""Small statements over the MySQL port: SELECT 1, and rows by their sort key."""

import random
import statistics
import time

import context
import report
import server

TITLE = "Latency of small statements"
ONE_MS_MAX = 0.5
POINT_MS_MAX = 5.0
WARM = 50
ONE_COUNT = 2000
POINT_COUNT = 500
SEED = 1


def run(bench):
    process = bench.tpch_server(bench.options.sf)
    with process.connect(context.DATABASE) as connection:
        keys = sample_of_keys(connection)
        one = measure(connection, ["SELECT 1"] * ONE_COUNT)
        orders = measure(connection, [f"SELECT * FROM orders WHERE o_orderkey = {key}" for key in keys])
        lines = measure(connection, [f"SELECT * FROM lineitem WHERE l_orderkey = {key}" for key in keys])
    goals = report.Goals()
    goals.at_most("SELECT 1, median", statistics.median(one), ONE_MS_MAX, " ms")
    goals.at_most("row of orders by sort key, median", statistics.median(orders), POINT_MS_MAX, " ms")
    rows = [
        row("SELECT 1", one),
        row("row of orders by sort key", orders),
        row("rows of lineitem by sort key, every month's partition asked", lines),
    ]
    table = report.Table(["statement", "median ms", "99 % ms", "count"], rows)
    return report.Block(f"{TITLE}, scale factor {bench.options.sf:g}, one connection", [table, goals.table()])


def sample_of_keys(connection):
    """Keys that exist, in an order that the seed fixes."""
    found = server.query(connection, "SELECT o_orderkey FROM orders ORDER BY o_orderkey LIMIT 100000")
    return random.Random(SEED).choices([key for (key,) in found], k=POINT_COUNT)


def measure(connection, statements):
    """Milliseconds of each statement, after warming up with the first ones."""
    for statement in statements[:WARM]:
        server.query(connection, statement)
    times = []
    for statement in statements:
        started = time.perf_counter()
        rows = server.query(connection, statement)
        times.append((time.perf_counter() - started) * 1e3)
        if not rows:
            raise RuntimeError(f"no row: {statement}")
    return times


def row(name, times):
    slow = sorted(times)[int(len(times) * 0.99)]
    return [name, f"{statistics.median(times):.3f}", f"{slow:.3f}", str(len(times))]
