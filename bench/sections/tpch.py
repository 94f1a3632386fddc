"""TPC-H: the 22 queries, hot, one engine after the other within each query, answers compared with DuckDB's."""

import statistics
import time

import answers
import context
import peers
import report

TITLE = "TPC-H queries"
RATIO_MAX = 1.2
# The engine whose answers are taken for right.
REFERENCE = peers.DuckDbTables.name


def run(bench):
    options, files = bench.options, bench.data()
    engines = [
        peers.DataFusionParquet(files, options.cores),
        peers.DuckDbTables(files, options.cores, bench.folder("duckdb-tables")),
        peers.DuckDbParquet(files, options.cores),
    ]
    if not options.peers_only:
        engines.insert(0, peers.Cairn(bench.tpch_server(options.sf), context.DATABASE))
    try:
        queries = bench.queries()
        measured = {number: [measure(engine, sql, options) for engine in engines] for number, sql in queries.items()}
    finally:
        for engine in engines:
            engine.close()
    names = [engine.name for engine in engines]
    return report.Block(
        f"{TITLE}, scale factor {options.sf:g}, seconds", tables(names, measured), problems(names, measured)
    )


def measure(engine, sql, options):
    """(seconds, rows, None), or (None, None, message) when the engine fails."""
    try:
        rows = engine.rows(engine.run(sql))
        times = [timed(engine, sql) for _ in range(options.runs)]
    except Exception as error:  # An engine that refuses a query is a result, to be shown in the table.
        return None, None, f"{type(error).__name__}: {error}"
    pick = min if options.stat == "best" else statistics.median
    return pick(times), rows, None


def timed(engine, sql):
    started = time.perf_counter()
    engine.run(sql)
    return time.perf_counter() - started


def tables(names, measured):
    rows = [[f"Q{number}", *(cell(seconds) for seconds, _, _ in line)] for number, line in measured.items()]
    totals = [total(measured, index) for index in range(len(names))]
    rows.append(["total", *map(cell, totals)])
    result = [report.Table(["query", *names], rows)]
    if peers.Cairn.name in names:
        goals, ours = report.Goals(), totals[names.index(peers.Cairn.name)]
        name = f"total / {peers.DataFusionParquet.name}"
        theirs = totals[names.index(peers.DataFusionParquet.name)]
        if ours is None or theirs is None:
            goals.unknown(name, "not every query ran")
        else:
            goals.at_most(name, ours / theirs, RATIO_MAX, " ×")
        result.append(goals.table())
    return result


def total(measured, index):
    """The sum of an engine's seconds; None when one query is missing, because a shorter sum would flatter it."""
    times = [line[index][0] for line in measured.values()]
    return None if None in times else sum(times)


def cell(seconds):
    return "failed" if seconds is None else f"{seconds:.3f}"


def problems(names, measured):
    """Sentences about failures and wrong answers; one that says so when there is none."""
    found, reference = [], names.index(REFERENCE)
    for number, line in measured.items():
        for name, (_, rows, message) in zip(names, line):
            if message:
                found.append(f"Q{number}, {name}: failed: {message}")
            elif line[reference][1] is not None:
                difference = answers.difference(line[reference][1], rows)
                found += [f"Q{number}, {name}: wrong answer: {difference}"] if difference else []
    return found or [f"All answers are equal to those of {REFERENCE}."]
