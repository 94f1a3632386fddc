"""CREATE SNAPSHOT: how long it takes, whether that grows with the data, and what it costs the writers beside it."""

import multiprocessing
import statistics
import time

import report
import server
import snapshots

TITLE = "Cluster snapshots"
LATENCY_MS_MAX = 20.0
GROWTH_MAX = 1.5
RATE_MIN = 0.9
COUNT = 30
ROUNDS = 3
SMALLER = 10


def run(bench):
    options = bench.options
    large, small = options.sf, options.sf / SMALLER
    times = {sf: latencies(bench.tpch_server(sf)) for sf in (large, small)}
    plain, beside, taken = insert_rates(bench.tpch_server(large), options.insert_seconds)
    medians = {sf: statistics.median(values) for sf, values in times.items()}
    rows = [latency_row(f"CREATE SNAPSHOT, scale factor {sf:g}", values) for sf, values in times.items()]
    rates = [
        ["INSERT alone", f"{plain:.0f}", "–"],
        ["INSERT while snapshots are taken in a loop", f"{beside:.0f}", f"{taken:.1f}"],
    ]
    goals = report.Goals()
    goals.at_most(f"CREATE SNAPSHOT, scale factor {large:g}, median", medians[large], LATENCY_MS_MAX, " ms")
    goals.at_most(f"scale factor {large:g} / {small:g}", medians[large] / medians[small], GROWTH_MAX, " ×")
    goals.at_least("INSERT rate beside snapshots / alone", beside / plain, RATE_MIN, " ×")
    tables = [
        report.Table(["statement", "median ms", "largest ms", "count"], rows),
        report.Table(["one connection, single rows", "INSERTs/s", "snapshots/s"], rates),
        goals.table(),
    ]
    return report.Block(TITLE, tables)


def latency_row(name, times):
    return [name, f"{statistics.median(times):.2f}", f"{max(times):.2f}", str(len(times))]


def latencies(process):
    """Milliseconds until CREATE SNAPSHOT returns; each is finished, and dropped, before the next."""
    times = []
    with process.connect() as connection:
        for number in range(COUNT + 1):
            name = f"bench_latency_{number}"
            started = time.perf_counter()
            server.query(connection, f"CREATE SNAPSHOT {name}")
            times.append((time.perf_counter() - started) * 1e3)
            snapshots.wait_until_finished(connection, name)
            server.query(connection, f"DROP SNAPSHOT {name}")
    return times[1:]


def insert_rates(process, seconds):
    """(INSERTs/s alone, INSERTs/s beside snapshots, snapshots/s): medians of rounds that take turns, so that a change of
    the machine's mood meets both."""
    with process.connect() as connection:
        server.query(connection, "CREATE DATABASE bench_insert")
    with process.connect("bench_insert") as connection:
        create = "CREATE TABLE ticks (k BIGINT NOT NULL, v BIGINT) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k) BUCKETS 1"
        server.query(connection, create)
        insert_for(connection, min(seconds, 1.0))
        plain, beside, taken = [], [], []
        for _ in range(ROUNDS):
            plain.append(insert_for(connection, seconds))
            with SnapshotLoop(process.mysql_port) as loop:
                beside.append(insert_for(connection, seconds))
            taken.append(loop.count / loop.seconds)
        server.query(connection, "DROP DATABASE bench_insert FORCE")
    return statistics.median(plain), statistics.median(beside), statistics.median(taken)


def insert_for(connection, seconds):
    """Single-row INSERTs per second over that time."""
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        server.query(connection, f"INSERT INTO ticks VALUES ({count}, {count})")
        count += 1
    return count / passed


class SnapshotLoop:
    """Takes snapshots without a pause in a process of its own, so that it does not hold this one's interpreter lock."""

    def __init__(self, mysql_port):
        spawn = multiprocessing.get_context("spawn")
        self.stop, self.ready, self.results = spawn.Event(), spawn.Event(), spawn.Queue()
        self.process = spawn.Process(target=take, args=(mysql_port, self.ready, self.stop, self.results), daemon=True)
        self.count, self.seconds = 0, 0.0

    def __enter__(self):
        self.process.start()
        if not self.ready.wait(60):
            raise RuntimeError("the snapshot loop did not start within 60 s")
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.count, self.seconds, problem = self.results.get(timeout=120)
        self.process.join()
        if problem:
            raise RuntimeError(f"the snapshot loop failed: {problem}")


def take(mysql_port, ready, stop, results):
    """Creates, waits for and drops snapshots until told to stop; reports (count, seconds, problem)."""
    count, started, problem = 0, time.perf_counter(), None
    try:
        with server.connect(mysql_port) as connection:
            ready.set()
            while not stop.is_set():
                name = f"bench_loop_{time.time_ns()}"
                server.query(connection, f"CREATE SNAPSHOT {name}")
                snapshots.wait_until_finished(connection, name)
                server.query(connection, f"DROP SNAPSHOT {name}")
                count += 1
    except Exception as error:  # Handed to the parent, which ends the run with it.
        problem = f"{type(error).__name__}: {error}"
        ready.set()
    results.put((count, time.perf_counter() - started, problem))
