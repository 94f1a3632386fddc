//! Which tablet a row belongs to: a hash of its distribution columns that must never change.
//!
//! Rows already on disk were placed by it and queries prune by it, so the definition is fixed for ever (a golden test
//! holds it): starting from 0, each column's value is hashed with XXH3-64 under the hash so far as seed. The bytes of a
//! value do not depend on its Arrow encoding or on the width of its column:
//!
//! - integers, booleans, days, microseconds, unscaled decimals: 8 bytes little-endian when they fit, else 16;
//! - floats: the bits of the `f64`, with one zero and one NaN;
//! - strings: their bytes; NULL: one zero byte.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use cairn_types::{Error, Literal, Result};
use twox_hash::XxHash3_64;

use crate::literal::{ordinal_of_literal, visit_floats, visit_ordinals, visit_strings};

/// The tablet, below `buckets`, of a row whose distribution columns hash to `hash`.
#[must_use]
pub fn bucket_of_hash(hash: u64, buckets: u32) -> u32 {
    u32::try_from(hash % u64::from(buckets.max(1))).unwrap_or(0)
}

/// The tablet of a row with these values of the distribution columns. The literals must be of the columns' types.
#[must_use]
pub fn bucket_of(values: &[Literal], buckets: u32) -> u32 {
    let hash = values.iter().fold(0, |hash, value| match value {
        Literal::Null => hash_null(hash),
        Literal::Str(text) => mix(hash, text.as_bytes()),
        Literal::Double(number) => hash_float(hash, *number),
        other => hash_ordinal(hash, ordinal_of_literal(other).unwrap_or(0)),
    });
    bucket_of_hash(hash, buckets)
}

/// The hash of each row over `columns`.
///
/// # Errors
/// `Unsupported` for an Arrow type that no column has.
pub fn hash_rows(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![0u64; rows];
    for column in columns {
        hash_column(column, &mut hashes)?;
    }
    Ok(hashes)
}

fn hash_column(column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    if let DataType::Dictionary(_, values) = column.data_type() {
        let plain = arrow::compute::cast(column, values).map_err(crate::arrow_error)?;
        return hash_column(&plain, hashes);
    }
    let mut update = |row: usize, hashed: &dyn Fn(u64) -> u64| {
        if let Some(hash) = hashes.get_mut(row) {
            *hash = hashed(*hash);
        }
    };
    let known = visit_ordinals(column, |row, v| {
        update(row, &|h| v.map_or_else(|| hash_null(h), |v| hash_ordinal(h, v)))
    }) || visit_strings(column, |row, v| {
        update(row, &|h| v.map_or_else(|| hash_null(h), |v| mix(h, v.as_bytes())))
    }) || visit_floats(column, |row, v| {
        update(row, &|h| v.map_or_else(|| hash_null(h), |v| hash_float(h, v)))
    });
    match known {
        true => Ok(()),
        false => Err(Error::unsupported(format!(
            "rows cannot be distributed by the Arrow type {}",
            column.data_type()
        ))),
    }
}

fn mix(hash: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(hash, bytes)
}

fn hash_null(hash: u64) -> u64 {
    mix(hash, &[0])
}

fn hash_ordinal(hash: u64, ordinal: i128) -> u64 {
    match i64::try_from(ordinal) {
        Ok(short) => mix(hash, &short.to_le_bytes()),
        Err(_) => mix(hash, &ordinal.to_le_bytes()),
    }
}

fn hash_float(hash: u64, number: f64) -> u64 {
    let canonical = if number == 0.0 {
        0.0
    } else if number.is_nan() {
        f64::NAN
    } else {
        number
    };
    mix(hash, &canonical.to_bits().to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{
        Decimal256Array, DictionaryArray, Float32Array, Float64Array, Int8Array, Int64Array,
        LargeStringArray, StringArray, StringViewArray,
    };
    use arrow::datatypes::{Int32Type, i256};

    fn hashes(column: impl Array + 'static) -> Vec<u64> {
        let rows = column.len();
        hash_rows(&[Arc::new(column) as ArrayRef], rows).unwrap()
    }

    /// Changing any of these numbers moves rows that are on disk to other tablets.
    #[test]
    fn golden_hashes_never_change() {
        let golden = include_str!("../tests/golden/bucket-hash-v1.txt");
        let values: Vec<(&str, Vec<Literal>)> = vec![
            ("null", vec![Literal::Null]),
            ("0", vec![Literal::Int(0)]),
            ("1", vec![Literal::Int(1)]),
            ("-1", vec![Literal::Int(-1)]),
            ("i64 max", vec![Literal::Int(i64::MAX.into())]),
            ("i128 min", vec![Literal::Int(i128::MIN)]),
            ("true", vec![Literal::Bool(true)]),
            ("empty", vec![Literal::Str(String::new())]),
            ("text", vec![Literal::Str("stone".into())]),
            ("long text", vec![Literal::Str("stone".repeat(100))]),
            ("1.5", vec![Literal::Double(1.5)]),
            ("date", vec![Literal::Date(19_000)]),
            ("datetime", vec![Literal::DateTime(1_700_000_000_000_000)]),
            ("decimal", vec![Literal::Decimal(12_345, 2)]),
            ("two columns", vec![Literal::Int(1), Literal::Str("a".into())]),
            ("two columns, null", vec![Literal::Null, Literal::Null]),
        ];
        let actual: String = values
            .iter()
            .map(|(name, v)| format!("{name}: {} {}\n", bucket_of(v, 1024), bucket_of(v, 7)))
            .collect();
        assert_eq!(actual, golden);
    }

    #[test]
    fn one_value_has_one_hash_whatever_the_encoding() {
        assert_eq!(
            hashes(Int8Array::from(vec![Some(7), None])),
            hashes(Int64Array::from(vec![Some(7), None]))
        );
        let large = Decimal256Array::from(vec![Some(i256::from_i128(7)), None])
            .with_precision_and_scale(39, 0)
            .unwrap();
        assert_eq!(hashes(large), hashes(Int64Array::from(vec![Some(7), None])));
        let texts = vec![Some("a"), None, Some(""), Some("a text of more than twelve bytes")];
        let views = hashes(StringViewArray::from(texts.clone()));
        assert_eq!(views, hashes(StringArray::from(texts.clone())));
        assert_eq!(views, hashes(LargeStringArray::from(texts.clone())));
        assert_eq!(views, hashes(texts.into_iter().collect::<DictionaryArray<Int32Type>>()));
        assert_eq!(hashes(Float32Array::from(vec![-0.0, 0.5])), hashes(Float64Array::from(vec![0.0, 0.5])));
        assert_eq!(hashes(Float64Array::from(vec![-f64::NAN])), hashes(Float64Array::from(vec![f64::NAN])));
    }

    #[test]
    fn literals_and_columns_agree() {
        let columns: [ArrayRef; 2] =
            [Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringViewArray::from(vec![Some("x"), None]))];
        let rows = hash_rows(&columns, 2).unwrap();
        assert_eq!(bucket_of_hash(rows[0], 13), bucket_of(&[Literal::Int(1), Literal::Str("x".into())], 13));
        assert_eq!(bucket_of_hash(rows[1], 13), bucket_of(&[Literal::Int(2), Literal::Null], 13));
    }

    #[test]
    fn successive_keys_spread_evenly() {
        let rows = hashes(Int64Array::from_iter_values(0..10_000));
        let mut counts = [0; 8];
        rows.iter().for_each(|h| counts[bucket_of_hash(*h, 8) as usize] += 1);
        assert!(counts.iter().all(|c| (1_100..1_400).contains(c)), "{counts:?}");
    }
}
