//! Nodes, sessions, volumes, snapshots: `SHOW FRONTENDS`, `SHOW COMPUTE NODES`, `SHOW PROCESSLIST`, `SHOW SNAPSHOTS`.

use std::sync::Arc;

use cairn_catalog::{Catalog, Snapshot};
use cairn_journal::Member;
use cairn_types::{Literal, SqlType};

use crate::jobs::SnapshotUsages;
use crate::node::{Node, VERSION};
use crate::rows::{Rows, boolean_text, int, text, time_text};
use crate::statement::partitions::size_text;
use crate::system::objects::{Contents, visible_tables};
use crate::system::sessions::{process, seen_by};
use crate::system::snapshots::{exclusive_bytes, maybe_time, size, storage_path, volume_name};
use crate::system::{WAREHOUSE, count};

const TEXT: SqlType = SqlType::String;
const LONG: SqlType = SqlType::BigInt;
const TIME: SqlType = SqlType::DateTime;

/// The id of the one compute node, which is this process. Below every id that a catalog gives out.
pub const COMPUTE_NODE_ID: u64 = cairn_types::id::FIRST_ID - 1;

/// `SHOW FRONTENDS`.
pub fn frontends(node: &Arc<Node>) -> Rows {
    let mut rows = Rows::new(&[
        ("Id", LONG),
        ("Name", TEXT),
        ("IP", TEXT),
        ("EditLogPort", LONG),
        ("HttpPort", LONG),
        ("QueryPort", LONG),
        ("RpcPort", LONG),
        ("Role", TEXT),
        ("ClusterId", TEXT),
        ("Join", TEXT),
        ("Alive", TEXT),
        ("ReplayedJournalId", LONG),
        ("LastHeartbeat", TEXT),
        ("IsHelper", TEXT),
        ("ErrMsg", TEXT),
        ("StartTime", TEXT),
        ("Version", TEXT),
    ]);
    let cluster = node.catalog().cluster().id.clone();
    let health = node.journal.health();
    for member in node.journal.members() {
        let (host, port) = host_and_port(node, &member);
        // Of the others only their names are known here.
        let own = |value: Literal| if member.is_self { value } else { Literal::Null };
        rows.push([
            int(member.id),
            text(format!("{host}_{port}_{}", member.id)),
            text(host),
            int(port),
            own(int(node.addresses.http.port())),
            own(int(node.addresses.mysql.port())),
            Literal::Null,
            text(member.role.to_string()),
            text(&cluster),
            boolean_text(true),
            own(boolean_text(health.is_ok())),
            own(int(node.journal.state().index)),
            own(time_text(node.env.now_ms())),
            boolean_text(member.is_self),
            text(health.as_ref().err().map(ToString::to_string).unwrap_or_default()),
            own(time_text(node.started_ms)),
            own(text(VERSION)),
        ]);
    }
    rows
}

/// Where a member is reached; a group of one needs no address.
fn host_and_port(node: &Node, member: &Member) -> (String, u16) {
    let split =
        member.address.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    split.unwrap_or_else(|| (node.addresses.mysql.ip().to_string(), 0))
}

/// `SHOW BACKENDS`: there are none, because the data lies in storage volumes.
pub fn backends() -> Rows {
    Rows::text(&[
        "BackendId",
        "IP",
        "HeartbeatPort",
        "BePort",
        "HttpPort",
        "BrpcPort",
        "LastStartTime",
        "LastHeartbeat",
        "Alive",
        "SystemDecommissioned",
        "ClusterDecommissioned",
        "TabletNum",
        "DataUsedCapacity",
        "AvailCapacity",
        "TotalCapacity",
        "UsedPct",
        "MaxDiskUsedPct",
        "ErrMsg",
        "Version",
        "Status",
        "DataTotalCapacity",
        "DataUsedPct",
        "CpuCores",
        "MemLimit",
        "NumRunningQueries",
        "MemUsedPct",
        "CpuUsedPct",
        "DataCacheMetrics",
        "Location",
        "StatusCode",
        "StarletPort",
        "WorkerId",
        "WarehouseName",
    ])
}

/// `SHOW COMPUTE NODES`: this process.
pub fn compute_nodes(node: &Arc<Node>) -> Rows {
    let mut rows = Rows::text(&[
        "ComputeNodeId",
        "IP",
        "HeartbeatPort",
        "BePort",
        "HttpPort",
        "BrpcPort",
        "LastStartTime",
        "LastHeartbeat",
        "Alive",
        "SystemDecommissioned",
        "ClusterDecommissioned",
        "ErrMsg",
        "Version",
        "CpuCores",
        "MemLimit",
        "NumRunningQueries",
        "MemUsedPct",
        "CpuUsedPct",
        "DataCacheMetrics",
        "HasStoragePath",
        "StatusCode",
        "StarletPort",
        "WorkerId",
        "WarehouseName",
        "TabletNum",
    ]);
    let number = |n: u64| text(n.to_string());
    let limit_bytes = node.limits.query_bytes_max as u64;
    let used_percent = node.engine.memory_bytes() as f64 * 100.0 / limit_bytes.max(1) as f64;
    let cache = node.limits.cache_bytes_max as u64;
    let id = number(COMPUTE_NODE_ID);
    rows.push([
        id.clone(),
        text(node.addresses.http.ip().to_string()),
        // In one process nodes talk by calls, not over ports.
        Literal::Null,
        Literal::Null,
        number(node.addresses.http.port().into()),
        Literal::Null,
        time_text(node.started_ms),
        time_text(node.env.now_ms()),
        boolean_text(true),
        boolean_text(false),
        boolean_text(false),
        text(""),
        text(VERSION),
        number(node.limits.parallelism as u64),
        text(size_text(limit_bytes)),
        number(running(node)),
        text(format!("{used_percent:.2} %")),
        Literal::Null,
        text(format!("MemCapacity: {}", size_text(cache))),
        boolean_text(true),
        text("OK"),
        Literal::Null,
        id,
        text(WAREHOUSE),
        number(tablets(&node.catalog())),
    ]);
    rows
}

/// Sessions that run a statement now.
fn running(node: &Node) -> u64 {
    node.sessions.list().iter().filter(|entry| !entry.activity().statement.is_empty()).count() as u64
}

fn tablets(catalog: &Catalog) -> u64 {
    let olap_tables = visible_tables(catalog).filter_map(|(_, table)| Some((table, table.olap()?)));
    olap_tables.map(|(table, olap)| Contents::of(catalog, table, olap).tablets).sum()
}

/// `SHOW STATUS`: what this process knows of itself.
pub fn status(node: &Arc<Node>) -> Rows {
    let mut rows = Rows::text(&["Variable_name", "Value"]);
    let uptime_seconds = node.env.now_ms().saturating_sub(node.started_ms) / 1_000;
    for (name, value) in [
        ("Threads_connected", node.sessions.list().len() as u64),
        ("Threads_running", running(node)),
        ("Uptime", uptime_seconds),
    ] {
        rows.push([text(name), text(value.to_string())]);
    }
    rows
}

/// `SHOW [FULL] PROCESSLIST`, as `user` may see it.
pub fn processlist(node: &Arc<Node>, user: &str, full: bool) -> Rows {
    let mut rows = Rows::new(&[
        ("ServerName", TEXT),
        ("Id", LONG),
        ("User", TEXT),
        ("Host", TEXT),
        ("Db", TEXT),
        ("Command", TEXT),
        ("ConnectionStartTime", TEXT),
        ("Time", LONG),
        ("State", TEXT),
        ("Info", TEXT),
        ("IsPending", TEXT),
        ("Warehouse", TEXT),
        ("Catalog", TEXT),
        ("QueryId", TEXT),
    ]);
    let now_ms = node.env.now_ms();
    for entry in seen_by(&node.sessions.list(), &node.catalog(), user) {
        rows.push(process(entry, node.addresses, now_ms, full));
    }
    rows
}

/// `SHOW STORAGE VOLUMES`.
pub fn volumes(catalog: &Catalog) -> Rows {
    let mut rows = Rows::text(&["Storage Volume"]);
    let mut names: Vec<&str> = catalog.volumes().map(|volume| volume.name.as_str()).collect();
    names.sort_unstable();
    names.into_iter().for_each(|name| rows.push([text(name)]));
    rows
}

/// `SHOW SNAPSHOTS`: all that the catalog remembers, oldest first.
pub fn snapshots(catalog: &Catalog, usage: &SnapshotUsages) -> Rows {
    let mut rows = Rows::new(&[
        ("SNAPSHOT_NAME", TEXT),
        ("TYPE", TEXT),
        ("STATE", TEXT),
        ("CREATED_TIME", TIME),
        ("FINISHED_TIME", TIME),
        ("EXPIRES_TIME", TIME),
        ("PINNED", TEXT),
        ("JOURNAL_ID", LONG),
        ("STORAGE_VOLUME", TEXT),
        ("STORAGE_PATH", TEXT),
        ("SIZE_BYTES", LONG),
        ("FILES", LONG),
        ("EXCLUSIVE_BYTES", LONG),
        ("COMMENT", TEXT),
    ]);
    catalog.snapshots().for_each(|snapshot| rows.push(snapshot_row(catalog, usage, snapshot)));
    rows
}

fn snapshot_row(catalog: &Catalog, usage: &SnapshotUsages, snapshot: &Snapshot) -> [Literal; 14] {
    let [bytes, files] = size(snapshot);
    [
        text(&snapshot.name),
        text(snapshot.kind.name()),
        text(snapshot.state.name()),
        maybe_time(Some(snapshot.created.time_ms)),
        maybe_time(snapshot.finished.map(|stamp| stamp.time_ms)),
        maybe_time(snapshot.expires_ms()),
        boolean_text(snapshot.pinned),
        int(snapshot.created.index),
        volume_name(catalog, snapshot),
        storage_path(catalog, snapshot),
        bytes,
        files,
        exclusive_bytes(usage, snapshot),
        text(&snapshot.comment),
    ]
}

/// `SHOW PROC '/images'`.
pub fn images(node: &Arc<Node>) -> Rows {
    let mut rows = Rows::new(&[("Index", LONG), ("Size", LONG), ("Time", TEXT), ("Checksum", TEXT)]);
    for image in node.journal.images() {
        let checksum = text(format!("{:08x}", image.checksum));
        rows.push([int(image.index), int(image.bytes), time_text(image.time_ms), checksum]);
    }
    rows
}

/// `SHOW PROC '/current_queries'`.
pub fn current_queries(node: &Arc<Node>) -> Rows {
    let mut rows = Rows::text(&[
        "StartTime",
        "feIp",
        "QueryId",
        "ConnectionId",
        "Database",
        "User",
        "ScanBytes",
        "ScanRows",
        "MemoryUsage",
        "DiskSpillSize",
        "CPUTime",
        "ExecTime",
        "Warehouse",
        "CustomQueryId",
        "ResourceGroup",
    ]);
    let now_ms = node.env.now_ms();
    for entry in node.sessions.list() {
        let activity = entry.activity();
        if activity.statement.is_empty() {
            continue;
        }
        let seconds = now_ms.saturating_sub(activity.since_ms) as f64 / 1_000.0;
        // What a query has read and used so far is not counted by session.
        let unknown = || Literal::Null;
        rows.push([
            time_text(activity.since_ms),
            text(node.addresses.mysql.ip().to_string()),
            text(activity.query_id),
            text(entry.id.to_string()),
            text(activity.database),
            text(&entry.user),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            text(format!("{seconds:.3} s")),
            text(WAREHOUSE),
            text(""),
            text(""),
        ]);
    }
    rows
}

/// `SHOW PROC '/statistic'`.
pub fn statistic(catalog: &Catalog) -> Rows {
    let mut rows = Rows::text(&[
        "DbId",
        "DbName",
        "TableNum",
        "PartitionNum",
        "IndexNum",
        "TabletNum",
        "ReplicaNum",
        "UnhealthyTabletNum",
        "InconsistentTabletNum",
        "CloningTabletNum",
        "ErrorStateTabletNum",
    ]);
    let databases = crate::system::visible_databases(catalog);
    let mut total = [0; 3];
    let row = |id: Literal, name: Literal, [tables, partitions, tablets]: [u64; 3]| {
        // Every table is its one index, and every tablet lies once.
        let numbers =
            [tables, partitions, tables, tablets, tablets, 0, 0, 0, 0].map(|n: u64| text(n.to_string()));
        [id, name].into_iter().chain(numbers)
    };
    for db in &databases {
        let mut sum = [0; 3];
        for table in catalog.tables_of(db.id) {
            let Some(olap) = table.olap() else { continue };
            let contents = Contents::of(catalog, table, olap);
            for (to, add) in sum.iter_mut().zip([1, contents.partitions, contents.tablets]) {
                *to += add;
            }
        }
        for (to, add) in total.iter_mut().zip(sum) {
            *to += add;
        }
        rows.push(row(text(db.id.to_string()), text(&db.name), sum));
    }
    rows.push(row(text("Total"), text(count(databases.len()).to_string()), total));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::sample;

    fn texts(rows: &Rows) -> Vec<Vec<String>> {
        rows.rows().iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn snapshots_tell_their_state() {
        let rows = texts(&snapshots(&sample(), &SnapshotUsages::new()));
        assert_eq!(rows[0][..3], ["good", "MANUAL", "FINISHED"]);
        assert_eq!(
            rows[0][6..10],
            ["false", "10", "builtin_storage_volume", "file:///vol/c1/meta/image/good"]
        );
        assert_eq!(rows[1][..3], ["bad", "MANUAL", "ERROR"]);
        assert_eq!(rows[2][1..3], ["AUTOMATED", "INITIALIZING"]);
    }

    #[test]
    fn statistics_end_with_the_total() {
        let rows = texts(&statistic(&sample()));
        let numbers = |at: usize| rows[at][1..7].join(" ");
        assert_eq!(numbers(0), "other 0 0 0 0 0");
        assert_eq!(numbers(1), "tpch 2 3 2 10 10");
        assert_eq!(numbers(2), "2 2 3 2 10 10");
        assert_eq!(rows[2][0], "Total");
    }

    #[test]
    fn volumes_are_named() {
        assert_eq!(texts(&volumes(&sample())), [["builtin_storage_volume"]]);
    }
}
