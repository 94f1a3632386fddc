"""Cluster snapshots as a client sees them: waiting for one, and the file that restores it."""

import json
import time

import server

FINISH_SECONDS_MAX = 120
# Each look is a query beside those that are measured.
POLL_SECONDS = 0.05


def wait_until_finished(connection, name):
    """Returns when the snapshot can be restored; raises when its job ended otherwise."""
    end = time.monotonic() + FINISH_SECONDS_MAX
    statement = (
        "SELECT STATE, ERROR_MESSAGE FROM information_schema.cluster_snapshot_jobs"
        f" WHERE SNAPSHOT_NAME = '{name}' ORDER BY JOB_ID DESC LIMIT 1"
    )
    while time.monotonic() < end:
        rows = server.query(connection, statement)
        state, message = rows[0] if rows else ("not listed yet", "")
        if state == "FINISHED":
            return
        if state in ("ERROR", "EXPIRED", "DELETED"):
            raise RuntimeError(f"snapshot {name} is {state}: {message}")
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"snapshot {name} is not finished after {FINISH_SECONDS_MAX} s, its state is {state}")


def write_restore_file(connection, name, path):
    """Writes `cluster_snapshot.yaml` for a snapshot; JSON is YAML too."""
    found = "SELECT * FROM information_schema.cluster_snapshots WHERE SNAPSHOT_NAME = %s"
    snapshot = server.query_dicts(connection, found, (name,))[0]
    volume = snapshot["STORAGE_VOLUME"]
    described = server.query_dicts(connection, f"DESC STORAGE VOLUME {volume}")[0]
    location = {"name": volume, "type": described["TYPE"], "location": described["LOCATION"]}
    content = {
        "cluster_snapshot": {
            "cluster_snapshot_path": snapshot["STORAGE_PATH"],
            "storage_volume_name": volume,
        },
        "storage_volumes": [location],
    }
    path.write_text(json.dumps(content, indent=2))
