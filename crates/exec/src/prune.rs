//! Which partitions, tablets and segments a filter can touch: what is left out here is never opened.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use cairn_catalog::{Bounds, OlapTable, Partition};
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
    predicate.prune(&PartitionRanges { schema, columns: olap.partitioning.columns(), partitions })
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
    columns: &'a [usize],
    partitions: &'a [Arc<Partition>],
}

impl PartitionRanges<'_> {
    /// The position of `column` among the partition columns, and its type's typed NULL.
    fn position(&self, column: &Column) -> Option<(usize, &arrow::datatypes::DataType)> {
        let at = self.columns.iter().position(|c| self.schema.field(*c).name() == &column.name)?;
        Some((at, self.schema.field(*self.columns.get(at)?).data_type()))
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
                keys.iter().filter_map(|k| k.get(at)).max().cloned()
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
