"""Restore: from the start of the process to the first answer, on the same storage volume, for two sizes of data."""

import statistics

import context
import report
import server
import snapshots

TITLE = "Restore of a cluster snapshot"
SECONDS_MAX = 2.0
ROUNDS = 3
SMALLER = 10
NAME = "bench_restore"


def run(bench):
    large, small = bench.options.sf, bench.options.sf / SMALLER
    times = {sf: restore(bench, sf) for sf in (large, small)}
    rows = [
        [f"scale factor {sf:g}", f"{statistics.median(values):.2f}", f"{max(values):.2f}", str(len(values))]
        for sf, values in times.items()
    ]
    goals = report.Goals()
    for sf, values in times.items():
        goals.at_most(f"serving after restore, scale factor {sf:g}, median", statistics.median(values), SECONDS_MAX, " s")
    table = report.Table(["data", "median s", "largest s", "count"], rows)
    note = "Each restored server counts the rows of lineitem, and must find as many as the one that took the snapshot."
    return report.Block(TITLE, [table, goals.table()], [note])


def restore(bench, sf):
    """Seconds of each restore. The source is stopped for good: a restore takes its volume over."""
    source = bench.tpch_server(sf)
    yaml = bench.folder(f"restore-sf{sf:g}") / "cluster_snapshot.yaml"
    with source.connect(context.DATABASE) as connection:
        expected = server.query(connection, "SELECT count(*) FROM lineitem")
        server.query(connection, f"CREATE SNAPSHOT {NAME}")
        snapshots.wait_until_finished(connection, NAME)
        snapshots.write_restore_file(connection, NAME, yaml)
    bench.servers.pop(sf).stop()
    times = []
    for number in range(ROUNDS):
        restored = server.Server(bench.binary, yaml.parent / str(number), "--cluster-snapshot", yaml)
        try:
            times.append(restored.ready_seconds)
            with restored.connect(context.DATABASE) as connection:
                found = server.query(connection, "SELECT count(*) FROM lineitem")
        finally:
            restored.stop()
        if found != expected:
            raise RuntimeError(f"the restored cluster has {found} rows of lineitem, the original had {expected}")
    return times
