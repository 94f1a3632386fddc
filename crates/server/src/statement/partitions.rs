//! `SHOW PARTITIONS`.

use cairn_catalog::{Bounds, Catalog, Distribution, OlapTable, Partition, Partitioning};
use cairn_sql::ast::{ShowOrder, TableName};
use cairn_types::{Error, Literal, Result, Schema, SqlType};

use super::show::filter;
use crate::analyze;
use crate::answer::Answer;
use crate::rows::{Rows, int, text, time_text};
use crate::session::Session;

/// `SHOW PARTITIONS FROM t …`.
///
/// # Errors
/// `UnknownTable`; `Analysis` for a view and for temporary partitions; what the filter meets.
pub async fn show(
    session: &Session,
    catalog: &Catalog,
    name: &TableName,
    temporary: bool,
    order: &ShowOrder,
) -> Result<Answer> {
    let (_, table) = analyze::find_table(catalog, name, &session.database)?;
    let olap = table
        .olap()
        .ok_or_else(|| Error::analysis(format!("'{}' is a view: only tables have partitions", table.name)))?;
    let mut rows = no_partitions(olap);
    if !temporary {
        fill(catalog, olap, &mut rows);
    }
    filter::ordered(session, rows, order).await
}

/// The visible partitions of a table as `SHOW PARTITIONS` lists them.
#[must_use]
pub fn rows(catalog: &Catalog, olap: &OlapTable) -> Rows {
    let mut rows = no_partitions(olap);
    fill(catalog, olap, &mut rows);
    rows
}

fn no_partitions(olap: &OlapTable) -> Rows {
    const TEXT: SqlType = SqlType::String;
    const NUMBER: SqlType = SqlType::BigInt;
    let by_list = matches!(olap.partitioning, Partitioning::List { .. } | Partitioning::Values { .. });
    // Numbers are numbers and not text as in StarRocks, so that WHERE and ORDER BY compare them as such.
    Rows::new(&[
        ("PartitionId", NUMBER),
        ("PartitionName", TEXT),
        ("VisibleVersion", NUMBER),
        ("VisibleVersionTime", TEXT),
        ("VisibleVersionHash", NUMBER),
        ("State", TEXT),
        ("PartitionKey", TEXT),
        (if by_list { "List" } else { "Range" }, TEXT),
        ("DistributionKey", TEXT),
        ("Buckets", NUMBER),
        ("ReplicationNum", NUMBER),
        ("StorageMedium", TEXT),
        ("CooldownTime", TEXT),
        ("LastConsistencyCheckTime", TEXT),
        ("DataSize", TEXT),
        ("StorageSize", TEXT),
        ("IsInMemory", TEXT),
        ("RowCount", NUMBER),
        ("DataVersion", NUMBER),
        ("VersionEpoch", NUMBER),
        ("VersionTxnType", TEXT),
    ])
}

fn fill(catalog: &Catalog, olap: &OlapTable, rows: &mut Rows) {
    for partition in in_order(catalog, olap) {
        let manifest = partition.visible().map(|v| &v.manifest);
        let (row_count, bytes) = manifest.map_or((0, 0), |m| (m.rows, m.bytes));
        rows.push([
            int(partition.id.0),
            text(&partition.name),
            int(partition.visible_version()),
            time_text(partition.visible_since().time_ms),
            int(0),
            text("NORMAL"),
            text(plain_columns(&olap.schema, olap.partitioning.columns())),
            text(bounds_text(olap, &partition.bounds)),
            text(distribution_columns(olap)),
            int(partition.buckets),
            int(1),
            text("HDD"),
            text("9999-12-31 23:59:59"),
            Literal::Null,
            text(size_text(bytes)),
            text(size_text(bytes)),
            text("false"),
            int(row_count),
            int(partition.visible_version()),
            int(catalog.cluster().epoch),
            text("TXN_NORMAL"),
        ]);
    }
}

/// The visible partitions of a table by their bounds; what has no lower bound is first.
#[must_use]
pub fn in_order<'a>(catalog: &'a Catalog, olap: &'a OlapTable) -> Vec<&'a Partition> {
    let mut partitions: Vec<&Partition> = catalog.partitions_of(olap).map(|partition| &**partition).collect();
    partitions.sort_by(|a, b| match (&a.bounds, &b.bounds) {
        (Bounds::Range { lower: a, .. }, Bounds::Range { lower: b, .. }) => a.cmp(b),
        _ => a.id.cmp(&b.id),
    });
    partitions
}

/// Names of columns with commas between them, as the listings print them.
#[must_use]
pub fn plain_columns(schema: &Schema, positions: &[usize]) -> String {
    let names = positions.iter().filter_map(|at| schema.columns.get(*at)).map(|c| c.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// The columns by whose hash rows are spread; `ALL KEY` is StarRocks' word for at random.
#[must_use]
pub fn distribution_columns(olap: &OlapTable) -> String {
    match &olap.distribution {
        Distribution::Hash { columns, .. } => plain_columns(&olap.schema, columns),
        Distribution::Random { .. } => "ALL KEY".to_owned(),
    }
}

/// The bounds as StarRocks prints them: `[types: [DATE]; keys: [2024-01-01]; ..types: [DATE]; keys: [2025-01-01]; )` of a
/// range, `("a", "b")` of a list, nothing of the one partition of a table without partitions.
#[must_use]
pub fn bounds_text(olap: &OlapTable, bounds: &Bounds) -> String {
    match bounds {
        Bounds::All => String::new(),
        Bounds::Range { lower, upper } => {
            let end = |key: &Option<Vec<Literal>>, unbounded| range_end(olap, key.as_deref(), unbounded);
            format!("[{}; ..{}; )", end(lower, "MIN"), end(upper, "MAXVALUE"))
        }
        Bounds::List { keys } => {
            let quoted = |value: &Literal| match value {
                Literal::Null => "NULL".to_owned(),
                value => format!("\"{}\"", value.to_string().replace('"', "\\\"")),
            };
            let key = |key: &Vec<Literal>| match key.as_slice() {
                [single] => quoted(single),
                several => format!("({})", several.iter().map(quoted).collect::<Vec<_>>().join(", ")),
            };
            format!("({})", keys.iter().map(key).collect::<Vec<_>>().join(", "))
        }
    }
}

fn range_end(olap: &OlapTable, key: Option<&[Literal]>, unbounded: &str) -> String {
    let columns = olap.partitioning.columns().iter().filter_map(|at| olap.schema.columns.get(*at));
    let types: Vec<String> = columns.map(|c| c.ty.base_name().to_uppercase()).collect();
    let keys = key.map_or_else(
        || unbounded.to_owned(),
        |key| key.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    );
    format!("types: [{}]; keys: [{keys}]", types.join(", "))
}

/// Bytes as StarRocks' listings print them: `900B`, `1.5KB`.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut thousandths = u128::from(bytes) * 1000 / 1024;
    let mut unit = 0;
    while thousandths >= 1024 * 1000 && unit + 1 < UNITS.len() {
        thousandths /= 1024;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or("TB");
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    match rest {
        0 => format!("{whole}{unit}"),
        _ => format!("{whole}.{}{unit}", format!("{rest:03}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::{sample, table};

    #[test]
    fn partitions_tell_version_bounds_and_size() {
        let catalog = sample();
        let rows = rows(&catalog, table(&catalog, "tpch", "orders").olap().unwrap());
        let column = |name: &str| {
            let at = rows.columns().iter().position(|(n, _)| n == name).unwrap();
            rows.rows().iter().map(|row| row[at].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(column("PartitionName"), ["p1", "p2"]);
        assert_eq!(column("VisibleVersion"), ["1", "2"]);
        assert_eq!(column("VisibleVersionTime"), ["1970-01-01 00:00:03", "1970-01-01 00:00:06"]);
        let bounds = [
            "[types: [DATE]; keys: [MIN]; ..types: [DATE]; keys: [2024-01-01]; )",
            "[types: [DATE]; keys: [2024-01-01]; ..types: [DATE]; keys: [2025-01-01]; )",
        ];
        assert_eq!(column("Range"), bounds);
        assert_eq!(column("DataSize"), ["0B", "4.882KB"]);
        assert_eq!(column("RowCount"), ["0", "100"]);
    }

    #[test]
    fn lists_are_quoted() {
        let catalog = sample();
        let olap = table(&catalog, "tpch", "orders").olap().unwrap();
        let text = |s: &str| Literal::Str(s.into());
        let check = |keys, expected| assert_eq!(bounds_text(olap, &Bounds::List { keys }), expected);
        check(vec![vec![text("a")], vec![Literal::Null]], r#"("a", NULL)"#);
        check(vec![vec![text("a\"b"), Literal::Int(1)]], r#"(("a\"b", "1"))"#);
    }

    #[test]
    fn sizes_are_for_people() {
        let check = |bytes, expected| assert_eq!(size_text(bytes), expected);
        check(0, "0B");
        check(1023, "1023B");
        check(1024, "1KB");
        check(1536, "1.5KB");
        check(1 << 30, "1GB");
        check(u64::MAX, "16777215.999TB");
    }
}
