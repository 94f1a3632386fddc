//! `decimal_divide(a, b)`: the quotient of two DECIMALs with StarRocks' digits, rounded half away from zero. What has no
//! quotient, or one of more than 38 digits, is NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use cairn_types::limits::DECIMAL_PRECISION_MAX;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

#[derive(Debug, PartialEq, Eq, Hash)]
struct DecimalDivide {
    signature: Signature,
}

/// `left / right`, both of which are DECIMALs.
pub(crate) fn decimal_divide(left: Expr, right: Expr) -> Expr {
    ScalarUDF::from(DecimalDivide { signature: Signature::any(2, Volatility::Immutable) })
        .call(vec![left, right])
}

impl ScalarUDFImpl for DecimalDivide {
    fn name(&self) -> &str {
        "decimal_divide"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, right] if scale(right).is_some() => match scale(left) {
                Some(own) => Ok(DataType::Decimal128(DECIMAL_PRECISION_MAX, quotient_scale(own))),
                None => plan_err!("{left} is no DECIMAL"),
            },
            _ => plan_err!("two DECIMALs are divided"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [left, right] = arrays.as_slice() else { return exec_err!("two DECIMALs are divided") };
        Ok(ColumnarValue::Array(Arc::new(divide(left, right)?)))
    }
}

fn scale(ty: &DataType) -> Option<i8> {
    match ty {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    }
}

/// Digits after the point of a quotient whose dividend has `scale` of them.
fn quotient_scale(scale: i8) -> i8 {
    match scale {
        ..=6 => scale + 6,
        7..=12 => 12,
        more => more,
    }
}

fn divide(left: &ArrayRef, right: &ArrayRef) -> Result<Decimal128Array> {
    let (Some(s1), Some(s2)) = (scale(left.data_type()), scale(right.data_type())) else {
        return exec_err!("two DECIMALs are divided");
    };
    let scale = quotient_scale(s1);
    let digits = u32::try_from(i32::from(scale) - i32::from(s1) + i32::from(s2)).unwrap_or(0);
    let quotients: Decimal128Array = match (left.data_type(), right.data_type()) {
        (DataType::Decimal128(..), DataType::Decimal128(..)) => {
            let (left, right) =
                (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
            left.iter().zip(right).map(|(a, b)| quotient(a?, b?, digits)).collect()
        }
        _ => {
            let (left, right) = (wide(left, s1)?, wide(right, s2)?);
            let rows =
                left.as_primitive::<Decimal256Type>().iter().zip(right.as_primitive::<Decimal256Type>());
            rows.map(|(a, b)| wide_quotient(a?, b?, digits)).collect()
        }
    };
    debug_assert_eq!(quotients.len(), left.len());
    Ok(quotients.with_precision_and_scale(DECIMAL_PRECISION_MAX, scale)?)
}

fn wide(values: &ArrayRef, scale: i8) -> Result<ArrayRef> {
    Ok(cast(values, &DataType::Decimal256(76, scale))?)
}

/// `a * 10^digits / b`.
fn quotient(a: i128, b: i128, digits: u32) -> Option<i128> {
    let Some(dividend) = 10_i128.checked_pow(digits).and_then(|power| a.checked_mul(power)) else {
        return wide_quotient(i256::from_i128(a), i256::from_i128(b), digits);
    };
    let (cut, rest) = (dividend.checked_div(b)?, dividend.checked_rem(b)?);
    // Half of an odd divisor is cut, so a rest of more than it is more than a half.
    let rounds = rest.unsigned_abs() > (b.unsigned_abs() - 1) / 2;
    let away = if (dividend < 0) == (b < 0) { 1 } else { -1 };
    fits(if rounds { cut.checked_add(away)? } else { cut })
}

fn wide_quotient(a: i256, b: i256, digits: u32) -> Option<i128> {
    if b == i256::ZERO {
        return None;
    }
    let dividend = i256::from_i128(10).checked_pow(digits).and_then(|power| a.checked_mul(power))?;
    let (cut, rest) = (dividend.checked_div(b)?, dividend.checked_rem(b)?);
    let half = b.checked_abs()?.checked_sub(i256::ONE)?.checked_div(i256::from_i128(2))?;
    let rounds = rest.checked_abs()? > half;
    let away = if dividend.is_negative() == b.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    fits(if rounds { cut.checked_add(away)? } else { cut }.to_i128()?)
}

fn fits(quotient: i128) -> Option<i128> {
    let limit = 10_u128.checked_pow(u32::from(DECIMAL_PRECISION_MAX))?;
    (quotient.unsigned_abs() < limit).then_some(quotient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_round_half_away_from_zero() {
        let check = |a: i128, b: i128, digits: u32, expected: Option<i128>| {
            assert_eq!(quotient(a, b, digits), expected, "{a} / {b}");
            let wide = wide_quotient(i256::from_i128(a), i256::from_i128(b), digits);
            assert_eq!(wide, expected, "{a} / {b}");
        };
        check(1, 3, 6, Some(333_333));
        check(2, 3, 6, Some(666_667));
        check(-2, 3, 6, Some(-666_667));
        check(2, -3, 0, Some(-1));
        check(5, 2, 0, Some(3));
        check(-5, 2, 0, Some(-3));
        check(4, 3, 0, Some(1));
        check(5, 3, 0, Some(2));
        check(1, 0, 6, None);
        check(i128::MAX, 10, 1, None);
        check(10_i128.pow(37), 10_i128.pow(30), 20, Some(10_i128.pow(27)));
        check(10_i128.pow(37), 1, 1, None);
        check(0, 7, 30, Some(0));
    }
}
