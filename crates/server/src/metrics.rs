//! Counters of this process, in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the classes of the latency histogram, in milliseconds.
const LATENCY_MS: [u64; 10] = [1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 30_000];

/// All counters. Gauges are read when they are asked for.
#[derive(Default)]
pub struct Metrics {
    statements: AtomicU64,
    statement_errors: AtomicU64,
    statement_ms_sum: AtomicU64,
    latency: [AtomicU64; LATENCY_MS.len() + 1],
    rows_loaded: AtomicU64,
    loads: AtomicU64,
    load_errors: AtomicU64,
    load_bytes: AtomicU64,
    compactions: AtomicU64,
    snapshots: AtomicU64,
    snapshot_errors: AtomicU64,
    vacuum_files: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// A value that is read now.
pub struct Gauge {
    pub name: &'static str,
    pub help: &'static str,
    pub value: u64,
}

impl Metrics {
    /// A statement that took `elapsed` until its first row or its end.
    pub fn statement(&self, elapsed: Duration, ok: bool) {
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let class = LATENCY_MS.iter().position(|max| ms <= *max).unwrap_or(LATENCY_MS.len());
        add(&self.statements, 1);
        add(&self.statement_ms_sum, ms);
        self.latency.get(class).into_iter().for_each(|c| add(c, 1));
        if !ok {
            add(&self.statement_errors, 1);
        }
    }

    pub fn rows_loaded(&self, rows: u64) {
        add(&self.rows_loaded, rows);
    }

    pub fn load(&self, ok: bool, bytes: u64) {
        add(&self.loads, 1);
        add(&self.load_bytes, bytes);
        if !ok {
            add(&self.load_errors, 1);
        }
    }

    pub fn compaction(&self) {
        add(&self.compactions, 1);
    }

    pub fn snapshot(&self, ok: bool) {
        add(if ok { &self.snapshots } else { &self.snapshot_errors }, 1);
    }

    pub fn vacuumed(&self, files: u64) {
        add(&self.vacuum_files, files);
    }

    /// All of it as text, `gauges` too.
    #[must_use]
    pub fn text(&self, gauges: &[Gauge]) -> String {
        let counters = [
            ("cairn_statements_total", "Statements run", &self.statements),
            ("cairn_statement_errors_total", "Statements that failed", &self.statement_errors),
            ("cairn_rows_loaded_total", "Rows made visible by loads and inserts", &self.rows_loaded),
            ("cairn_stream_loads_total", "Stream loads", &self.loads),
            ("cairn_stream_load_errors_total", "Stream loads that failed", &self.load_errors),
            ("cairn_stream_load_bytes_total", "Bytes received by stream loads", &self.load_bytes),
            ("cairn_compactions_total", "Tablets compacted", &self.compactions),
            ("cairn_snapshots_total", "Cluster snapshots finished", &self.snapshots),
            ("cairn_snapshot_errors_total", "Cluster snapshots that failed", &self.snapshot_errors),
            ("cairn_vacuum_files_total", "Files deleted by the vacuum", &self.vacuum_files),
        ];
        let mut out = String::new();
        for (name, help, counter) in counters {
            sample(&mut out, name, help, "counter", counter.load(Ordering::Relaxed));
        }
        for gauge in gauges {
            sample(&mut out, gauge.name, gauge.help, "gauge", gauge.value);
        }
        self.histogram(&mut out);
        out
    }

    fn histogram(&self, out: &mut String) {
        let name = "cairn_statement_duration_ms";
        let _ = writeln!(
            out,
            "# HELP {name} Time until a statement's first row or its end\n# TYPE {name} histogram"
        );
        let mut count = 0;
        for (class, counter) in self.latency.iter().enumerate() {
            count += counter.load(Ordering::Relaxed);
            let end = LATENCY_MS.get(class).map_or("+Inf".to_owned(), u64::to_string);
            let _ = writeln!(out, "{name}_bucket{{le=\"{end}\"}} {count}");
        }
        let sum = self.statement_ms_sum.load(Ordering::Relaxed);
        let _ = writeln!(out, "{name}_sum {sum}\n{name}_count {count}");
    }
}

/// Writing into a String cannot fail.
fn sample(out: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}
