//! Which partitions, tablets and segments a filter can touch: what is left out here is never opened.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use cairn_catalog::{Bounds, Floor, OlapTable, Partition, Partitioning};
use cairn_storage::manifest::Segment;
use cairn_types::Literal;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{Guarantee, LiteralGuarantee};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::scalar::ScalarValue;

use crate::literal::scalar;

/// Combinations of bucket column values above which bucket pruning is not tried.
const BUCKET_KEYS_MAX: usize = 1_000;

/// Values of the first sort column up to which a filter counts as a look-up.
const LOOKUP_KEYS_MAX: usize = 16;

/// For each of `partitions`, whether rows that pass `filter` can be in it.
pub(crate) fn partitions(
    filter: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    olap: &OlapTable,
    partitions: &[Arc<Partition>],
) -> Result<Vec<bool>> {
    let predicate =
        PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(Arc::clone(filter))?;
    predicate.prune(&PartitionRanges { schema, partitioning: &olap.partitioning, partitions })
}

/// For each of `segments`, whether its zone maps allow rows that pass `filter`.
pub(crate) fn segments(
    filter: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    segments: &[Arc<Segment>],
) -> Result<Vec<bool>> {
    let predicate =
        PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(Arc::clone(filter))?;
    predicate.prune(&ZoneMaps { schema, segments })
}

/// The combinations of values that the bucket columns must have for a row to pass `filter`, one array a column;
/// `None`: any.
pub(crate) fn bucket_keys(
    filter: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    columns: &[usize],
) -> Result<Option<Vec<ArrayRef>>> {
    let guarantees = LiteralGuarantee::analyze(filter);
    let mut keys: Vec<Vec<ScalarValue>> = vec![Vec::new()];
    for column in columns {
        let field = schema.field(*column);
        let allowed =
            guarantees.iter().find(|g| g.guarantee == Guarantee::In && g.column.name() == field.name());
        let Some(allowed) = allowed else { return Ok(None) };
        if keys.len().saturating_mul(allowed.literals.len()) > BUCKET_KEYS_MAX || allowed.literals.is_empty()
        {
            return Ok(None);
        }
        let mut longer = Vec::new();
        for key in &keys {
            for literal in &allowed.literals {
                let Ok(value) = literal.cast_to(field.data_type()) else { return Ok(None) };
                longer.push(key.iter().cloned().chain([value]).collect());
            }
        }
        keys = longer;
    }
    let column_values = |at: usize| keys.iter().filter_map(move |key| key.get(at).cloned());
    (0..columns.len())
        .map(|at| ScalarValue::iter_to_array(column_values(at)))
        .collect::<Result<_>>()
        .map(Some)
}

/// Whether `filter` asks for few values of the first sort column. The other columns of most rows are then better not
/// decoded at all; for filters that keep more, evaluating them while decoding costs more than it saves.
pub(crate) fn is_lookup(filter: &Arc<dyn PhysicalExpr>, schema: &SchemaRef, sort_key: &[usize]) -> bool {
    let Some(first) = sort_key.first() else { return false };
    let name = schema.field(*first).name();
    LiteralGuarantee::analyze(filter).iter().any(|g| {
        g.guarantee == Guarantee::In && g.column.name() == name && g.literals.len() <= LOOKUP_KEYS_MAX
    })
}

/// Bounds of partitions as minima and maxima of the partition columns.
struct PartitionRanges<'a> {
    schema: &'a SchemaRef,
    partitioning: &'a Partitioning,
    partitions: &'a [Arc<Partition>],
}

impl PartitionRanges<'_> {
    /// The position of `column` among the partition columns, and its type's typed NULL.
    fn position(&self, column: &Column) -> Option<(usize, &arrow::datatypes::DataType)> {
        let columns = self.partitioning.columns();
        let at = columns.iter().position(|c| self.schema.field(*c).name() == &column.name)?;
        Some((at, self.schema.field(*columns.get(at)?).data_type()))
    }

    fn collect(
        &self,
        column: &Column,
        value: impl Fn(&Bounds, usize) -> Option<Literal>,
    ) -> Option<ArrayRef> {
        let (at, ty) = self.position(column)?;
        let values =
            self.partitions.iter().map(|p| scalar(&value(&p.bounds, at).unwrap_or(Literal::Null), ty));
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for PartitionRanges<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.collect(column, |bounds, at| match bounds {
            // Only the first column of a multi-column range is bounded on its own.
            Bounds::Range { lower, .. } if at == 0 => lower.as_ref()?.first().cloned(),
            Bounds::List { keys } => keys.iter().filter_map(|k| k.get(at)).min().cloned(),
            _ => None,
        })
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.collect(column, |bounds, at| match bounds {
            Bounds::Range { upper, .. } if at == 0 => {
                let upper = upper.as_ref()?;
                upper.first().map(|last| if upper.len() == 1 { before(last) } else { last.clone() })
            }
            Bounds::List { keys } if !keys.iter().any(|k| k.get(at).is_some_and(Literal::is_null)) => {
                let last = keys.iter().filter_map(|k| k.get(at)).max()?;
                last_of(last, self.partitioning.floor(at))
            }
            _ => None,
        })
    }

    fn num_containers(&self) -> usize {
        self.partitions.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// The greatest value that stands behind `key` of a list: the last one of its slice, if the column is cut into slices.
fn last_of(key: &Literal, floor: Option<Floor>) -> Option<Literal> {
    match floor {
        Some(floor) => floor.end(key).ok().map(|end| before(&end)),
        None => Some(key.clone()),
    }
}

/// The greatest value below `upper`, for types where there is one: bounds exclude their upper end.
fn before(upper: &Literal) -> Literal {
    match upper {
        Literal::Int(i) => Literal::Int(i.saturating_sub(1)),
        Literal::Date(days) => Literal::Date(days.saturating_sub(1)),
        Literal::DateTime(micros) => Literal::DateTime(micros.saturating_sub(1)),
        other => other.clone(),
    }
}

/// Zone maps of segments.
struct ZoneMaps<'a> {
    schema: &'a SchemaRef,
    segments: &'a [Arc<Segment>],
}

impl ZoneMaps<'_> {
    fn collect(
        &self,
        column: &Column,
        pick: impl Fn(&cairn_storage::manifest::ColumnStats) -> Option<Literal>,
    ) -> Option<ArrayRef> {
        let ty = self.schema.field_with_name(&column.name).ok()?.data_type();
        let stats = |s: &Segment| {
            s.columns.iter().find(|c| c.name.eq_ignore_ascii_case(&column.name)).and_then(&pick)
        };
        let values = self.segments.iter().map(|s| scalar(&stats(s).unwrap_or(Literal::Null), ty));
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for ZoneMaps<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.collect(column, |c| c.min.clone())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.collect(column, |c| c.max.clone())
    }

    fn num_containers(&self) -> usize {
        self.segments.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let nulls = |s: &Arc<Segment>| {
            s.columns.iter().find(|c| c.name.eq_ignore_ascii_case(&column.name)).map(|c| c.nulls)
        };
        Some(Arc::new(self.segments.iter().map(nulls).collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.segments.iter().map(|s| Some(s.rows)).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, RecordBatch};
    use cairn_catalog::{PartitionSpec, TimeUnit};
    use cairn_ingest::arrow_schema;
    use cairn_types::SqlType;
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::{Expr, col, lit};
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::mview::tests::World;

    fn value(text: &str, ty: SqlType) -> Literal {
        if text == "NULL" { Literal::Null } else { Literal::parse(text, ty).unwrap() }
    }

    /// Every combination of some days, times, texts and a number.
    fn rows() -> Vec<Vec<Literal>> {
        let days =
            ["NULL", "2023-12-31", "2024-01-01", "2024-01-31", "2024-02-01", "2024-02-29", "2024-03-01"];
        let times = [
            "NULL",
            "2024-01-31 23:59:59.999999",
            "2024-02-01 00:00:00",
            "2024-02-01 11:59:59",
            "2024-02-01 12:00:00",
        ];
        let mut rows = Vec::new();
        for day in days {
            for time in times {
                for text in ["NULL", "a", "b", "c"] {
                    let row = [
                        value(day, SqlType::Date),
                        value(time, SqlType::DateTime),
                        value(text, SqlType::String),
                    ];
                    rows.push(row.into_iter().chain([Literal::Int(1)]).collect());
                }
            }
        }
        rows
    }

    fn batch(rows: &[Vec<Literal>], schema: &SchemaRef) -> RecordBatch {
        let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
            let values = rows.iter().map(|row| scalar(&row[at], field.data_type()));
            ScalarValue::iter_to_array(values).unwrap()
        };
        let columns = schema.fields().iter().enumerate().map(column).collect();
        RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
    }

    fn day(text: &str) -> Expr {
        lit(scalar(&value(text, SqlType::Date), &arrow::datatypes::DataType::Date32))
    }

    fn time(text: &str) -> Expr {
        let ty = arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
        lit(scalar(&value(text, SqlType::DateTime), &ty))
    }

    fn text(text: &str) -> Expr {
        lit(ScalarValue::Utf8View(Some(text.into())))
    }

    /// Filters, and how many of the partitions by month of `d` and by `s` are kept: there are 20, of five months and four
    /// texts, where NULL counts as one. What holds NULL is not left out for that column's sake.
    fn filters() -> Vec<(Expr, usize)> {
        vec![
            (col("d").eq(day("2024-01-31")), 8),
            (col("d").eq(day("2024-02-29")), 8),
            (col("d").eq(day("2022-02-02")), 4),
            (col("d").gt(day("2024-01-31")), 12),
            (col("d").gt_eq(day("2024-02-01")), 12),
            (col("d").lt(day("2024-02-01")), 12),
            (col("d").lt_eq(day("2024-02-01")), 16),
            (col("d").between(day("2024-01-15"), day("2024-01-16")), 8),
            (col("d").in_list(vec![day("2023-12-01"), day("2024-03-31")], false), 12),
            (col("d").not_eq(day("2024-01-01")), 20),
            (col("d").is_null(), 20),
            (col("d").is_not_null(), 20),
            (col("s").eq(text("b")), 10),
            (col("s").gt_eq(text("b")), 15),
            (col("s").is_null(), 20),
            (col("d").eq(day("2024-01-31")).and(col("s").eq(text("c"))), 4),
            (col("d").eq(day("2024-01-31")).or(col("s").eq(text("c"))), 14),
            (col("v").eq(lit(1)), 20),
            (col("t").gt(time("2024-02-01 06:00:00")), 20),
            (col("t").lt(time("2024-02-01 00:00:00")).and(col("s").not_eq(text("a"))), 15),
        ]
    }

    /// The table that `rows` make, its partitions, and each row's place among them.
    fn made(by: Partitioning, rows: &[Vec<Literal>]) -> (OlapTable, Vec<Arc<Partition>>, Vec<usize>) {
        let mut specs: Vec<PartitionSpec> = Vec::new();
        let mut bounds = Vec::new();
        for row in rows {
            let values: Vec<Literal> = by.columns().iter().map(|c| row[*c].clone()).collect();
            let spec = by.automatic(&values).unwrap().unwrap();
            bounds.push(spec.bounds.clone());
            if specs.iter().all(|known| known.bounds != spec.bounds) {
                specs.push(spec);
            }
        }
        let mut world = World::new();
        let id = world.table("x", "d date, t datetime, s varchar, v int", by, specs);
        let olap = world.catalog.table(id).unwrap().olap().unwrap().clone();
        let partitions: Vec<Arc<Partition>> = world.catalog.partitions_of(&olap).cloned().collect();
        let place = |bounds: &Bounds| partitions.iter().position(|p| p.bounds == *bounds).unwrap();
        let places = bounds.iter().map(place).collect();
        (olap, partitions, places)
    }

    /// For each filter the number of partitions that are kept. A partition with a row that passes must be one.
    fn kept(partitioning: Partitioning) -> Vec<(usize, usize)> {
        let rows = rows();
        let (olap, partitions, places) = made(partitioning, &rows);
        let schema = arrow_schema(&olap.schema);
        let batch = batch(&rows, &schema);
        let planner = SessionContext::new();
        let df_schema = DFSchema::try_from(Arc::clone(&schema)).unwrap();
        let mut kept = Vec::new();
        for (filter, expected) in filters() {
            let physical = planner.create_physical_expr(filter.clone(), &df_schema).unwrap();
            let keep = super::partitions(&physical, &schema, &olap, &partitions).unwrap();
            let passed = physical.evaluate(&batch).unwrap().into_array(rows.len()).unwrap();
            let passed = passed.as_boolean();
            for (row, place) in places.iter().enumerate() {
                let passes = passed.is_valid(row) && passed.value(row);
                assert!(!passes || keep[*place], "{filter}: {:?} of {}", rows[row], partitions[*place].name);
            }
            kept.push((keep.iter().filter(|k| **k).count(), expected));
        }
        kept
    }

    #[test]
    fn lists_of_slices_are_left_out_by_whole_slices() {
        let floor = |unit, step| Some(Floor { unit, step });
        let month = floor(TimeUnit::Month, 1);
        for ((kept, expected), (filter, _)) in
            kept(Partitioning::floored_values(vec![(0, month), (2, None)])).into_iter().zip(filters())
        {
            assert_eq!(kept, expected, "{filter}");
        }
        // Other slices and orders leave out other partitions, but none with rows that pass.
        for unit in [TimeUnit::Day, TimeUnit::Week, TimeUnit::Quarter, TimeUnit::Year] {
            kept(Partitioning::floored_values(vec![(2, None), (0, floor(unit, 1))]));
        }
        for (unit, step) in
            [(TimeUnit::Minute, 15), (TimeUnit::Hour, 1), (TimeUnit::Hour, 5), (TimeUnit::Day, 10)]
        {
            kept(Partitioning::floored_values(vec![(1, floor(unit, step)), (0, month), (2, None)]));
        }
        kept(Partitioning::values(vec![0, 2]));
        kept(Partitioning::Time { column: 1, unit: TimeUnit::Hour, step: 6 });
    }
}
