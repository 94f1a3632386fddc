"""Loading lineitem as CSV: Stream Load against DuckDB's COPY of the same file, and the memory it takes."""

import statistics
import time

import context
import data as tpch_data
import peers
import report
import server

TITLE = "Loading lineitem from CSV"
RATIO_MAX = 3.0
PEAK_BYTES_MAX = 2 << 30
RUNS_MAX = 3
# DuckDB's column types, in the order of the file.
DUCKDB_TYPES = (
    "BIGINT BIGINT BIGINT INTEGER DECIMAL(15,2) DECIMAL(15,2) DECIMAL(15,2) DECIMAL(15,2) VARCHAR VARCHAR DATE DATE DATE"
    " VARCHAR VARCHAR VARCHAR"
)


def run(bench):
    options = bench.options
    path = bench.data().csv("lineitem")
    runs = min(options.runs, RUNS_MAX)
    pick = min if options.stat == "best" else statistics.median
    megabytes = path.stat().st_size / 1e6
    theirs = pick(duckdb_times(path, runs, options.cores, bench.folder("duckdb-load")))
    rows, tables = [row("DuckDB COPY", theirs, megabytes, "–")], []
    if not options.peers_only:
        times, peak_bytes, count = cairn_times(bench, path, runs)
        ours = pick(times)
        rows.insert(0, row("Cairn Stream Load", ours, megabytes, f"{peak_bytes / (1 << 20):.0f} MiB"))
        goals = report.Goals()
        goals.at_most("Stream Load / COPY", ours / theirs, RATIO_MAX, " ×")
        goals.at_most("peak memory of the process", peak_bytes / (1 << 30), PEAK_BYTES_MAX / (1 << 30), " GiB")
        tables = [goals.table()]
        rows[0][0] += f" ({count} rows)"
    tables.insert(0, report.Table(["loader", "seconds", "MB/s", "peak memory"], rows))
    return report.Block(f"{TITLE}, scale factor {options.sf:g}, {megabytes:.0f} MB", tables)


def row(name, seconds, megabytes, memory):
    return [name, f"{seconds:.2f}", f"{megabytes / seconds:.0f}", memory]


def duckdb_times(path, runs, cores, folder):
    """Seconds of COPY into an empty table of a database file, the checkpoint included: on disk, as ours."""
    columns = zip(tpch_data.COLUMNS["lineitem"].split(), DUCKDB_TYPES.split())
    schema = ", ".join(f"{name} {kind} NOT NULL" for name, kind in columns)
    times = []
    for number in range(runs):
        connection = peers.duck(str(folder / f"load{number}.duckdb"), cores)
        connection.execute(f"CREATE TABLE lineitem ({schema})")
        started = time.perf_counter()
        connection.execute(f"COPY lineitem FROM '{path}' (FORMAT csv, DELIMITER '|', HEADER false)")
        connection.execute("CHECKPOINT")
        times.append(time.perf_counter() - started)
        connection.close()
    return times


def cairn_times(bench, path, runs):
    """(seconds of each load, peak bytes of the process over all of them, rows of one load), on a server of its own."""
    process = bench.start("load")
    try:
        times, counts = [], set()
        for number in range(runs):
            database = f"load{number}"
            context.create_tables(process, database, bench.bench)
            times.append(process.stream_load(database, "lineitem", path))
            with process.connect(database) as connection:
                counts.add(server.query(connection, "SELECT count(*) FROM lineitem")[0][0])
                server.query(connection, f"DROP DATABASE {database} FORCE")
        if len(counts) != 1:
            raise RuntimeError(f"the same file gave different numbers of rows: {sorted(counts)}")
        return times, process.peak_bytes(), counts.pop()
    finally:
        process.stop()
