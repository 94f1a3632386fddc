//! Two functions that only rewritten plans have.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, PrimitiveArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, DecimalType, Field, FieldRef, Float64Type, Int64Type, i256,
};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, cast,
};

/// `avg(x)` from `sum(x)` and `count(x)`, of the type and with the digits that `avg` gives.
pub(crate) fn average(sum: Expr, count: Expr, ty: &DataType) -> Expr {
    let sum = match ty {
        DataType::Float64 => cast(sum, DataType::Float64),
        _ => sum,
    };
    let function =
        ScalarUDF::from(Average { ty: ty.clone(), signature: Signature::any(2, Volatility::Immutable) });
    function.call(vec![sum, cast(count, DataType::Int64)])
}

/// `expr`, which has the type of `field`, with its nullability and metadata. The caller knows that no NULL is there
/// when the field says so.
pub(crate) fn with_field(expr: Expr, field: &FieldRef) -> Expr {
    let field = Arc::clone(field);
    ScalarUDF::from(WithField { field, signature: Signature::any(1, Volatility::Immutable) }).call(vec![expr])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WithField {
    field: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for WithField {
    fn name(&self) -> &str {
        "mv_column"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match <[ColumnarValue; 1]>::try_from(args.args) {
            Ok([value]) => Ok(value),
            Err(_) => internal_err!("mv_column takes one value"),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    ty: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Average {
    fn name(&self) -> &str {
        "mv_avg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.ty.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), self.ty.clone(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [sums, counts] = arrays.as_slice() else {
            return internal_err!("mv_avg takes a sum and a count");
        };
        let Some(counts) = counts.as_primitive_opt::<Int64Type>() else {
            return internal_err!("mv_avg takes a count");
        };
        let averages: ArrayRef = match (sums.data_type(), &self.ty) {
            (DataType::Float64, DataType::Float64) => Arc::new(floats(sums, counts)),
            (DataType::Decimal128(_, from), DataType::Decimal128(p, s)) => {
                let values =
                    decimals(sums.as_primitive::<Decimal128Type>(), counts, *from, *s, i256::from_i128);
                let narrow = |v: i256| {
                    v.to_i128().filter(|v| Decimal128Type::validate_decimal_precision(*v, *p, *s).is_ok())
                };
                let values = values?.into_iter().map(|v| v.map(|v| fits(narrow(v))).transpose());
                let array: PrimitiveArray<Decimal128Type> = values.collect::<Result<_>>()?;
                Arc::new(array.with_precision_and_scale(*p, *s)?)
            }
            (DataType::Decimal256(_, from), DataType::Decimal128(p, s)) => {
                let values = decimals(sums.as_primitive::<Decimal256Type>(), counts, *from, *s, |v| v);
                let narrow = |v: i256| {
                    v.to_i128().filter(|v| Decimal128Type::validate_decimal_precision(*v, *p, *s).is_ok())
                };
                let values = values?.into_iter().map(|v| v.map(|v| fits(narrow(v))).transpose());
                let array: PrimitiveArray<Decimal128Type> = values.collect::<Result<_>>()?;
                Arc::new(array.with_precision_and_scale(*p, *s)?)
            }
            (from, to) => return internal_err!("mv_avg does not make {to} of {from}"),
        };
        Ok(ColumnarValue::Array(averages))
    }
}

fn fits<T>(value: Option<T>) -> Result<T> {
    match value {
        Some(value) => Ok(value),
        None => exec_err!("Arithmetic Overflow in avg"),
    }
}

fn floats(sums: &ArrayRef, counts: &PrimitiveArray<Int64Type>) -> Float64Array {
    #[allow(clippy::cast_precision_loss, reason = "avg divides by the count as a DOUBLE")]
    let divide = |(sum, count): (Option<f64>, Option<i64>)| Some(sum? / count.filter(|c| *c != 0)? as f64);
    sums.as_primitive::<Float64Type>().iter().zip(counts.iter()).map(divide).collect()
}

/// Sums with more places, divided by counts; what is left over is cut, as `avg` does.
fn decimals<T: DecimalType>(
    sums: &PrimitiveArray<T>,
    counts: &PrimitiveArray<Int64Type>,
    from: i8,
    to: i8,
    widen: impl Fn(T::Native) -> i256,
) -> Result<Vec<Option<i256>>> {
    let places = u32::try_from(i32::from(to) - i32::from(from));
    let Ok(places) = places else { return exec_err!("Arithmetic Overflow in avg") };
    let factor = fits(i256::from_i128(10).checked_pow(places))?;
    let divide = |(sum, count): (Option<T::Native>, Option<i64>)| {
        let (Some(sum), Some(count)) = (sum, count.filter(|c| *c != 0)) else { return Ok(None) };
        let scaled = widen(sum).checked_mul(factor);
        fits(scaled.and_then(|v| v.checked_div(i256::from_i128(count.into())))).map(Some)
    };
    sums.iter().zip(counts.iter()).map(divide).collect()
}
