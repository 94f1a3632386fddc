//! `date_trunc(unit, time)`: of a DATE it is a DATE, of a DATETIME (or text) a DATETIME.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, plan_err};
use datafusion::functions::datetime;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::sql_types::DATETIME;

/// DataFusion's function with StarRocks' types: there, all times are timestamps.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateTrunc {
    signature: Signature,
    inner: Arc<ScalarUDF>,
}

impl DateTrunc {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), inner: datetime::date_trunc() }
    }
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        "date_trunc"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [unit, DataType::Date32] if unit.is_string() => Ok(vec![unit.clone(), DataType::Date32]),
            [unit, time]
                if unit.is_string() && (time.is_string() || time.is_temporal() || time.is_null()) =>
            {
                Ok(vec![unit.clone(), DATETIME])
            }
            _ => plan_err!("date_trunc takes a unit as text and a DATE or DATETIME, not {types:?}"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match types {
            [_, DataType::Date32] => DataType::Date32,
            _ => DATETIME,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [unit, time] = args.args.as_slice() else {
            return plan_err!("date_trunc takes two arguments, not {}", args.args.len());
        };
        let returned = args.return_type().clone();
        let name = |at: usize| args.arg_fields.get(at).map_or("", |field| field.name());
        let field = |at: usize, ty: DataType| Arc::new(Field::new(name(at), ty, true));
        let inner = ScalarFunctionArgs {
            arg_fields: vec![field(0, unit.data_type()), field(1, DATETIME)],
            args: vec![unit.clone(), time.cast_to(&DATETIME, None)?],
            number_rows: args.number_rows,
            return_field: Arc::new(Field::new(args.return_field.name(), DATETIME, true)),
            config_options: Arc::clone(&args.config_options),
        };
        self.inner.invoke_with_args(inner)?.cast_to(&returned, None)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }
}
