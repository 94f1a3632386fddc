//! What predicates on slices of time say of the times in them.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, col};
use datafusion::scalar::ScalarValue;

use super::cells::CellColumn;
use super::domain::Domain;

/// The name of slices while their predicate is read.
const SLICE: &str = "slice";

/// For predicates on slices (`date_trunc('month', t) = '2024-01-01'`) predicates on the times: true for all rows for which
/// those of `filters` are, so that ranges of partitions and segments can be compared with them.
pub(crate) fn implied(filters: &[Expr], schema: &DFSchema) -> Vec<Expr> {
    filters.iter().filter_map(|filter| times(filter, schema)).collect()
}

fn times(filter: &Expr, schema: &DFSchema) -> Option<Expr> {
    let (sliced, cell) = slice_in(filter, schema)?;
    let of_slices = filter.clone().transform_down(|e| {
        Ok(match e == sliced {
            true => Transformed::new(col(SLICE), true, TreeNodeRecursion::Jump),
            false => Transformed::no(e),
        })
    });
    let of_slices = of_slices.ok()?.data;
    let (column, domain) = Domain::of(&of_slices)?;
    // A slice at or after a time begins at or after the next start, and one before it ends before that.
    let up = |value: &ScalarValue| cell.start_after(value);
    // Neighbours become one.
    let times = Domain::none().union(&domain.cut(up, up)?)?;
    (column.name == SLICE).then(|| times.predicate(&cell.expr))
}

/// The first slice of a column in `filter`.
fn slice_in(filter: &Expr, schema: &DFSchema) -> Option<(Expr, CellColumn)> {
    let mut found = None;
    let walked = filter.apply(|e| {
        if !matches!(e, Expr::ScalarFunction(_) | Expr::Cast(_)) {
            return Ok(TreeNodeRecursion::Continue);
        }
        match CellColumn::of(e, schema, None) {
            Ok(cell) if cell.floor.is_some() && matches!(cell.expr, Expr::Column(_)) => {
                found = Some((e.clone(), cell));
                Ok(TreeNodeRecursion::Stop)
            }
            _ => Ok(TreeNodeRecursion::Continue),
        }
    });
    walked.ok()?;
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use datafusion::logical_expr::simplify::SimplifyContext;
    use datafusion::optimizer::simplify_expressions::ExprSimplifier;
    use datafusion::prelude::SessionContext;

    use super::*;

    /// What follows from `filter`, over a DATETIME `t`, a DATE `d` and a number `k`.
    #[track_caller]
    fn check(filter: &str, expected: &str) {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let fields = [("t", micros), ("d", DataType::Date32), ("k", DataType::Int32)];
        let fields: Vec<Field> = fields.map(|(name, ty)| Field::new(name, ty, true)).to_vec();
        let schema = DFSchema::try_from(Schema::new(fields)).unwrap();
        let context = SessionContext::new();
        let parsed = context.parse_sql_expr(filter, &schema).unwrap();
        // Types are coerced before filters reach a table.
        let info = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build();
        let simplifier = ExprSimplifier::new(info);
        let coerced = simplifier.coerce(parsed, &schema).unwrap();
        let coerced = simplifier.simplify(coerced).unwrap();
        let found = implied(&[coerced], &schema);
        let found: Vec<String> = found.iter().map(|e| e.human_display().to_string()).collect();
        assert_eq!(found.join("; "), expected, "{filter}");
    }

    /// Microseconds since 1970.
    fn at(time: &str) -> i64 {
        format!("{time}Z").parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    #[test]
    fn times_follow_from_slices() {
        check("date_trunc('month', d) = '2024-02-01'", "d >= 2024-02-01 AND d < 2024-03-01");
        check("date_trunc('month', d) IN ('2024-02-01', '2024-03-01')", "d >= 2024-02-01 AND d < 2024-04-01");
        check("date_trunc('month', d) = '2024-02-02'", "false");
        check("date_trunc('year', d) >= '2024-01-02'", "d >= 2025-01-01");
        check("date_trunc('year', d) > '2024-01-01'", "d >= 2025-01-01");
        check("date_trunc('year', d) <= '2024-05-01'", "d < 2025-01-01");
        check("date_trunc('year', d) < '2024-01-01'", "d < 2024-01-01");
        let (hour, next) = (at("2024-02-01T03:00:00"), at("2024-02-01T04:00:00"));
        check(
            "date_trunc('hour', t) = '2024-02-01 03:00:00' OR date_trunc('hour', t) IS NULL",
            &format!("t >= {hour} AND t < {next} OR t IS NULL"),
        );
        let (day, next) = (at("2024-02-01T00:00:00"), at("2024-02-02T00:00:00"));
        check("CAST(t AS DATE) = DATE '2024-02-01'", &format!("t >= {day} AND t < {next}"));
    }

    #[test]
    fn nothing_follows_from_other_predicates() {
        for filter in
            ["date_trunc('month', d) = d", "k = 1", "date_trunc('month', d) = '2024-02-01' OR k = 1"]
        {
            check(filter, "");
        }
    }
}
