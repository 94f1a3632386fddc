//! Where MySQL's operators and types mean something else than DataFusion's.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use cairn_ingest::arrow_type;
use datafusion::common::{DFSchema, Result};
use datafusion::functions::expr_fn::nullif;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, TypePlanner};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, lit};
use sqlparser::ast::BinaryOperator;

/// `a / b` of integers is a DOUBLE; dividing by zero gives NULL; `DIV` cuts to an integer.
#[derive(Debug)]
pub(crate) struct Arithmetic;

impl ExprPlanner for Arithmetic {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (op, as_double, as_integer) = match expr.op {
            BinaryOperator::Divide => (Operator::Divide, true, false),
            BinaryOperator::Modulo => (Operator::Modulo, false, false),
            BinaryOperator::MyIntegerDivide => (Operator::Divide, false, true),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let (left_type, right_type) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        if matches!(left_type, DataType::Interval(_)) || matches!(right_type, DataType::Interval(_)) {
            return Ok(PlannerResult::Original(expr));
        }
        let (mut left, mut right) = (expr.left, expr.right);
        if as_double && left_type.is_integer() && right_type.is_integer() {
            (left, right) = (cast(left, DataType::Float64), cast(right, DataType::Float64));
        }
        let right = if is_nonzero_literal(&right) { right } else { nullif(right, lit(0)) };
        let divided = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
        Ok(PlannerResult::Planned(if as_integer { cast(divided, DataType::Int64) } else { divided }))
    }
}

fn is_nonzero_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            !value.is_null()
                && datafusion::scalar::ScalarValue::new_zero(&value.data_type())
                    .is_ok_and(|zero| zero != *value)
        }
        Expr::Cast(cast) => is_nonzero_literal(&cast.expr),
        _ => false,
    }
}

/// StarRocks' type names in `CAST` are our column types, so that a CAST and a column of one name are one type.
#[derive(Debug)]
pub(crate) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &sqlparser::ast::DataType) -> Result<Option<FieldRef>> {
        match cairn_sql::sql_type(sql_type) {
            Ok(ty) => Ok(Some(Arc::new(Field::new("", arrow_type(ty), true)))),
            // Types that only queries have (INTERVAL, arrays…) are DataFusion's.
            Err(_) => Ok(None),
        }
    }
}
