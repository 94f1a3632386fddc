//! From the types that `sqlparser` reads to StarRocks' scalar types.

use cairn_types::limits::{CHAR_BYTES_MAX, DECIMAL_PRECISION_MAX, VARCHAR_BYTES_MAX};
use cairn_types::{Error, Result, SqlType};
use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo};

/// The type of a `CAST`: text without a length has none, so it is `STRING`.
///
/// # Errors
/// `Unsupported` for a type that Cairn does not have (by its name); `Analysis` for a length or precision out of range.
pub fn sql_type(ty: &DataType) -> Result<SqlType> {
    convert(ty, None)
}

/// The type of a column: text without a length has one byte, as in StarRocks.
pub(crate) fn column_type(ty: &DataType) -> Result<SqlType> {
    convert(ty, Some(1))
}

fn convert(ty: &DataType, default_length: Option<u64>) -> Result<SqlType> {
    Ok(match ty {
        DataType::Bool | DataType::Boolean => SqlType::Boolean,
        DataType::TinyInt(_) => SqlType::TinyInt,
        DataType::SmallInt(_) => SqlType::SmallInt,
        DataType::Int(_) | DataType::Integer(_) => SqlType::Int,
        DataType::BigInt(_) | DataType::Signed | DataType::SignedInteger => SqlType::BigInt,
        DataType::Float(ExactNumberInfo::None) => SqlType::Float,
        DataType::Double(ExactNumberInfo::None) | DataType::DoublePrecision => SqlType::Double,
        DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => decimal(*info)?,
        DataType::Date => SqlType::Date,
        DataType::Datetime(digits) => datetime(*digits)?,
        DataType::Timestamp(digits, TimezoneInfo::None) => datetime(*digits)?,
        DataType::Char(length) | DataType::Character(length) => char(length.as_ref(), default_length)?,
        DataType::Varchar(length) | DataType::CharacterVarying(length) => {
            varchar(length.as_ref(), default_length)?
        }
        DataType::String(None) | DataType::Text => SqlType::String,
        DataType::Custom(name, modifiers) => custom(name, modifiers).unwrap_or_else(|| Err(unknown(ty)))?,
        _ => return Err(unknown(ty)),
    })
}

fn unknown(ty: &DataType) -> Error {
    Error::unsupported(format!(
        "Type {ty} is not supported; there are BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, LARGEINT, FLOAT, DOUBLE, \
         DECIMAL, DATE, DATETIME, CHAR, VARCHAR and STRING"
    ))
}

/// The names that `sqlparser` has no own type for.
fn custom(name: &ObjectName, modifiers: &[String]) -> Option<Result<SqlType>> {
    let [part] = name.0.as_slice() else { return None };
    let word = part.as_ident()?.value.to_ascii_uppercase();
    match (word.as_str(), modifiers) {
        // The argument is a display width, which means nothing.
        ("LARGEINT", [] | [_]) => Some(Ok(SqlType::LargeInt)),
        ("DECIMALV2" | "DECIMAL32" | "DECIMAL64" | "DECIMAL128", _) => {
            let digits_max = match word.as_str() {
                "DECIMAL32" => 9,
                "DECIMAL64" => 18,
                "DECIMALV2" => 27,
                _ => DECIMAL_PRECISION_MAX,
            };
            let number = |text: &String| text.parse::<u64>().ok();
            let info = match modifiers {
                [] => ExactNumberInfo::None,
                [p] => ExactNumberInfo::Precision(number(p)?),
                [p, s] => ExactNumberInfo::PrecisionAndScale(number(p)?, i64::try_from(number(s)?).ok()?),
                _ => return None,
            };
            Some(decimal(info).and_then(|ty| match ty {
                SqlType::Decimal { precision, .. } if precision > digits_max => Err(Error::analysis(
                    format!("{word} has at most {digits_max} digits, not {precision}; use DECIMAL(38, …)"),
                )),
                ty => Ok(ty),
            }))
        }
        _ => None,
    }
}

fn decimal(info: ExactNumberInfo) -> Result<SqlType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (10, 0),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let bad = |what: String| Error::analysis(format!("DECIMAL({precision}, {scale}): {what}"));
    let digits =
        u8::try_from(precision)
            .ok()
            .filter(|digits| (1..=DECIMAL_PRECISION_MAX).contains(digits))
            .ok_or_else(|| bad(format!("the precision must be between 1 and {DECIMAL_PRECISION_MAX}")))?;
    let scale = u8::try_from(scale)
        .ok()
        .filter(|scale| *scale <= digits)
        .ok_or_else(|| bad("the scale must be between 0 and the precision".to_owned()))?;
    Ok(SqlType::Decimal { precision: digits, scale })
}

fn datetime(digits: Option<u64>) -> Result<SqlType> {
    match digits {
        None | Some(0..=6) => Ok(SqlType::DateTime),
        Some(digits) => {
            Err(Error::analysis(format!("DATETIME({digits}): a DATETIME has at most 6 digits of a second")))
        }
    }
}

fn char(length: Option<&CharacterLength>, default_length: Option<u64>) -> Result<SqlType> {
    match bytes(length)?.or(default_length) {
        None => Ok(SqlType::String),
        Some(n) => bounded("CHAR", n, CHAR_BYTES_MAX).map(SqlType::Char),
    }
}

fn varchar(length: Option<&CharacterLength>, default_length: Option<u64>) -> Result<SqlType> {
    match bytes(length)?.or(default_length) {
        None => Ok(SqlType::String),
        Some(n) => bounded("VARCHAR", n, VARCHAR_BYTES_MAX).map(SqlType::Varchar),
    }
}

fn bytes(length: Option<&CharacterLength>) -> Result<Option<u64>> {
    match length {
        None => Ok(None),
        Some(CharacterLength::IntegerLength { length, unit: None }) => Ok(Some(*length)),
        Some(other) => Err(Error::unsupported(format!(
            "Length '{other}' of a text type is not supported; give a number of bytes"
        ))),
    }
}

fn bounded(name: &str, length: u64, max: u32) -> Result<u32> {
    u32::try_from(length)
        .ok()
        .filter(|n| (1..=max).contains(n))
        .ok_or_else(|| Error::analysis(format!("{name}({length}): the length must be between 1 and {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::parser::Parser;

    fn read(text: &str) -> Result<DataType, String> {
        let dialect = crate::StarRocksDialect::default();
        Parser::new(&dialect)
            .try_with_sql(text)
            .and_then(|mut p| p.parse_data_type())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn every_scalar_type_is_read() {
        let decimal = |precision, scale| SqlType::Decimal { precision, scale };
        let cases = [
            ("BOOLEAN", SqlType::Boolean, SqlType::Boolean),
            ("bool", SqlType::Boolean, SqlType::Boolean),
            ("tinyint(4)", SqlType::TinyInt, SqlType::TinyInt),
            ("INT(11)", SqlType::Int, SqlType::Int),
            ("INTEGER", SqlType::Int, SqlType::Int),
            ("BIGINT", SqlType::BigInt, SqlType::BigInt),
            ("SIGNED", SqlType::BigInt, SqlType::BigInt),
            ("LARGEINT", SqlType::LargeInt, SqlType::LargeInt),
            ("largeint(40)", SqlType::LargeInt, SqlType::LargeInt),
            ("FLOAT", SqlType::Float, SqlType::Float),
            ("DOUBLE", SqlType::Double, SqlType::Double),
            ("DECIMAL", decimal(10, 0), decimal(10, 0)),
            ("DECIMAL(38,10)", decimal(38, 10), decimal(38, 10)),
            ("NUMERIC(5)", decimal(5, 0), decimal(5, 0)),
            ("DECIMAL64(18,2)", decimal(18, 2), decimal(18, 2)),
            ("DATE", SqlType::Date, SqlType::Date),
            ("DATETIME", SqlType::DateTime, SqlType::DateTime),
            ("DATETIME(6)", SqlType::DateTime, SqlType::DateTime),
            ("CHAR(10)", SqlType::Char(10), SqlType::Char(10)),
            ("CHAR", SqlType::Char(1), SqlType::String),
            ("VARCHAR", SqlType::Varchar(1), SqlType::String),
            ("VARCHAR(1048576)", SqlType::Varchar(1_048_576), SqlType::Varchar(1_048_576)),
            ("STRING", SqlType::String, SqlType::String),
        ];
        for (text, column, cast) in cases {
            let ty = read(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(column_type(&ty), Ok(column), "column {text}");
            assert_eq!(sql_type(&ty), Ok(cast), "cast {text}");
        }
    }

    #[test]
    fn other_types_are_refused_by_name() {
        for (text, expected) in [
            ("JSON", "Type JSON"),
            ("BITMAP", "Type BITMAP"),
            ("HLL", "Type HLL"),
            ("ARRAY<INT>", "Type ARRAY<INT>"),
            ("INT UNSIGNED", "Type INT UNSIGNED"),
            ("DECIMAL(39,0)", "between 1 and 38"),
            ("DECIMAL(5,6)", "scale"),
            ("DECIMAL32(10,0)", "at most 9 digits"),
            ("CHAR(256)", "between 1 and 255"),
            ("VARCHAR(0)", "between 1 and 1048576"),
            ("DATETIME(7)", "at most 6"),
        ] {
            let error = sql_type(&read(text).unwrap_or_else(|e| panic!("{text}: {e}"))).err();
            assert!(error.as_ref().is_some_and(|e| e.message().contains(expected)), "{text}: {error:?}");
        }
    }
}
