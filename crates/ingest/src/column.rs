//! One column under construction: text cells in, an Arrow array out.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, BooleanBuilder, PrimitiveBuilder, StringViewBuilder};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, i256,
};
use cairn_types::SqlType;

use crate::arrow_types::arrow_type;
use crate::scalar::{self, DecimalRule};
use crate::tally::Why;

/// What becomes of one field of the input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// It is not needed.
    Skip,
    /// It is a column of the table.
    Typed(TypedTarget),
    /// It stays text (nullable `Utf8View` of this name), for expressions that come later.
    Raw { name: String },
}

/// A field that becomes a column of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypedTarget {
    pub name: String,
    pub ty: SqlType,
    pub nullable: bool,
    /// Whether a value that is none of `ty` rejects the row. Otherwise it becomes NULL in a nullable column.
    pub strict: bool,
    /// What a JSON row without this key gets; `None`: NULL. CSV does not use it.
    pub when_missing: Option<String>,
}

impl Target {
    /// The field of this target in the batches; `None` for [`Target::Skip`].
    #[must_use]
    pub fn field(&self) -> Option<Field> {
        match self {
            Self::Skip => None,
            Self::Typed(t) => Some(Field::new(&t.name, arrow_type(t.ty), t.nullable)),
            Self::Raw { name } => Some(Field::new(name, DataType::Utf8View, true)),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Skip => "",
            Self::Typed(t) => &t.name,
            Self::Raw { name } => name,
        }
    }

    pub(crate) fn ty(&self) -> Option<SqlType> {
        match self {
            Self::Typed(t) => Some(t.ty),
            Self::Skip | Self::Raw { .. } => None,
        }
    }
}

/// A refused cell: its place among the cells of one call, and the reason.
pub(crate) type CellFailure = (usize, Why);

/// Builds the array of one target.
pub(crate) struct ColumnBuilder {
    rule: Rule,
    values: Values,
}

/// What a column does with NULL and with bad values.
#[derive(Clone, Copy)]
struct Rule {
    nullable: bool,
    strict: bool,
}

enum Values {
    Bool(BooleanBuilder),
    I8(PrimitiveBuilder<Int8Type>),
    I16(PrimitiveBuilder<Int16Type>),
    I32(PrimitiveBuilder<Int32Type>),
    I64(PrimitiveBuilder<Int64Type>),
    Large(PrimitiveBuilder<Decimal256Type>),
    F32(PrimitiveBuilder<Float32Type>),
    F64(PrimitiveBuilder<Float64Type>),
    Decimal(PrimitiveBuilder<Decimal128Type>, DecimalRule),
    Date(PrimitiveBuilder<Date32Type>),
    DateTime(PrimitiveBuilder<TimestampMicrosecondType>),
    /// With the most bytes a value may have.
    Text(StringViewBuilder, usize),
}

impl ColumnBuilder {
    /// A builder with room for `rows` cells; `None` for [`Target::Skip`].
    pub(crate) fn new(target: &Target, rows: usize) -> Option<Self> {
        match target {
            Target::Skip => None,
            Target::Raw { .. } => Some(Self {
                rule: Rule { nullable: true, strict: false },
                values: Values::Text(StringViewBuilder::with_capacity(rows), usize::MAX),
            }),
            Target::Typed(t) => Some(Self::typed(t.ty, t.nullable, t.strict, rows)),
        }
    }

    pub(crate) fn typed(ty: SqlType, nullable: bool, strict: bool, rows: usize) -> Self {
        let data_type = arrow_type(ty);
        let values = match ty {
            SqlType::Boolean => Values::Bool(BooleanBuilder::with_capacity(rows)),
            SqlType::TinyInt => Values::I8(primitive(rows, &data_type)),
            SqlType::SmallInt => Values::I16(primitive(rows, &data_type)),
            SqlType::Int => Values::I32(primitive(rows, &data_type)),
            SqlType::BigInt => Values::I64(primitive(rows, &data_type)),
            SqlType::LargeInt => Values::Large(primitive(rows, &data_type)),
            SqlType::Float => Values::F32(primitive(rows, &data_type)),
            SqlType::Double => Values::F64(primitive(rows, &data_type)),
            SqlType::Decimal { precision, scale } => {
                Values::Decimal(primitive(rows, &data_type), DecimalRule::new(precision, scale))
            }
            SqlType::Date => Values::Date(primitive(rows, &data_type)),
            SqlType::DateTime => Values::DateTime(primitive(rows, &data_type)),
            SqlType::Char(_) | SqlType::Varchar(_) | SqlType::String => Values::Text(
                StringViewBuilder::with_capacity(rows),
                ty.bytes_max().map_or(usize::MAX, |n| n as usize),
            ),
        };
        Self { rule: Rule { nullable, strict }, values }
    }

    /// Appends every cell (`None` is NULL). A refused cell is appended as NULL, so that columns stay equally
    /// long, and reported in `failures`: its row has to be filtered out.
    #[inline]
    pub(crate) fn append_all<'a>(
        &mut self,
        cells: impl Iterator<Item = Option<&'a str>>,
        failures: &mut Vec<CellFailure>,
    ) {
        let rule = self.rule;
        match &mut self.values {
            Values::Bool(b) => fill(cells, rule, failures, scalar::boolean, |v| b.append_option(v)),
            Values::I8(b) => fill(cells, rule, failures, scalar::integer, |v| put(b, v)),
            Values::I16(b) => fill(cells, rule, failures, scalar::integer, |v| put(b, v)),
            Values::I32(b) => fill(cells, rule, failures, scalar::integer, |v| put(b, v)),
            Values::I64(b) => fill(cells, rule, failures, scalar::integer, |v| put(b, v)),
            Values::Large(b) => fill(cells, rule, failures, scalar::large_integer, |v| {
                put(b, v.map(i256::from_i128));
            }),
            Values::F32(b) => fill(cells, rule, failures, scalar::float, |v| put(b, v)),
            Values::F64(b) => fill(cells, rule, failures, scalar::double, |v| put(b, v)),
            Values::Decimal(b, decimal) => {
                fill(cells, rule, failures, |text| decimal.parse(text), |v| put(b, v));
            }
            Values::Date(b) => fill(cells, rule, failures, scalar::date, |v| put(b, v)),
            Values::DateTime(b) => fill(cells, rule, failures, scalar::datetime, |v| put(b, v)),
            Values::Text(b, bytes_max) => fill_text(b, *bytes_max, cells, rule, failures),
        }
    }

    /// The array of all cells; the builder is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Bool(b) => Arc::new(b.finish()),
            Values::I8(b) => Arc::new(b.finish()),
            Values::I16(b) => Arc::new(b.finish()),
            Values::I32(b) => Arc::new(b.finish()),
            Values::I64(b) => Arc::new(b.finish()),
            Values::Large(b) => Arc::new(b.finish()),
            Values::F32(b) => Arc::new(b.finish()),
            Values::F64(b) => Arc::new(b.finish()),
            Values::Decimal(b, _) => Arc::new(b.finish()),
            Values::Date(b) => Arc::new(b.finish()),
            Values::DateTime(b) => Arc::new(b.finish()),
            Values::Text(b, _) => Arc::new(b.finish()),
        }
    }
}

/// The one rule for cells of all types but text. Text that is no value: NULL where that is allowed.
#[inline]
fn fill<'a, T>(
    cells: impl Iterator<Item = Option<&'a str>>,
    rule: Rule,
    failures: &mut Vec<CellFailure>,
    parse: impl Fn(&str) -> Option<T>,
    mut append: impl FnMut(Option<T>),
) {
    // `for_each`, not `for`: it is compiled as one loop with the iterator's own.
    cells.enumerate().for_each(|(at, cell)| {
        let value = cell.and_then(&parse);
        if value.is_none() {
            match cell {
                Some(_) if rule.strict || !rule.nullable => failures.push((at, Why::Value)),
                None if !rule.nullable => failures.push((at, Why::Null)),
                _ => {}
            }
        }
        append(value);
    });
}

/// Strings are never shortened nor made NULL: one that is too long is refused in every mode.
#[inline]
fn fill_text<'a>(
    builder: &mut StringViewBuilder,
    bytes_max: usize,
    cells: impl Iterator<Item = Option<&'a str>>,
    rule: Rule,
    failures: &mut Vec<CellFailure>,
) {
    cells.enumerate().for_each(|(at, cell)| {
        let refused = match cell {
            Some(text) if text.len() > bytes_max => Some(Why::TooLong),
            Some(text) => match builder.try_append_value(text) {
                Ok(()) => return,
                Err(_) => Some(Why::TooLong),
            },
            None if !rule.nullable => Some(Why::Null),
            None => None,
        };
        failures.extend(refused.map(|why| (at, why)));
        builder.append_null();
    });
}

#[inline]
fn put<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>, value: Option<T::Native>) {
    builder.append_option(value);
}

fn primitive<T: ArrowPrimitiveType>(rows: usize, data_type: &DataType) -> PrimitiveBuilder<T> {
    PrimitiveBuilder::<T>::with_capacity(rows).with_data_type(data_type.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::ColumnText;

    fn check(
        ty: SqlType,
        nullable: bool,
        strict: bool,
        cell: Option<&str>,
        expected: Result<Option<&str>, Why>,
    ) {
        let mut column = ColumnBuilder::typed(ty, nullable, strict, 1);
        let mut failures = Vec::new();
        column.append_all(std::iter::once(cell), &mut failures);
        let array = column.finish();
        assert_eq!(array.len(), 1, "a refused cell still takes its place");
        let mut out = Vec::new();
        let shown = ColumnText::new(&array).unwrap().append(0, &mut out);
        let shown = shown.then(|| String::from_utf8(out).unwrap());
        let actual = match failures.first() {
            Some((0, why)) => Err(*why),
            _ => Ok(shown.as_deref()),
        };
        assert_eq!(actual, expected, "{cell:?} as {ty}, nullable {nullable}, strict {strict}");
    }

    #[test]
    fn values_that_do_not_fit_follow_strict_mode() {
        let int = SqlType::Int;
        check(int, true, false, Some("5"), Ok(Some("5")));
        check(int, true, false, Some("x"), Ok(None));
        check(int, true, true, Some("x"), Err(Why::Value));
        check(int, false, false, Some("x"), Err(Why::Value));
        check(int, true, false, Some(""), Ok(None));
        check(int, true, true, Some(""), Err(Why::Value));
        check(int, true, true, None, Ok(None));
        check(int, false, true, None, Err(Why::Null));
        check(int, true, false, Some("2147483648"), Ok(None));
    }

    #[test]
    fn strings_are_never_cut() {
        check(SqlType::Varchar(3), true, false, Some("abc"), Ok(Some("abc")));
        check(SqlType::Varchar(3), true, false, Some("abcd"), Err(Why::TooLong));
        check(SqlType::Varchar(3), true, false, Some("ää"), Err(Why::TooLong));
        check(SqlType::Varchar(3), true, true, Some(""), Ok(Some("")));
        check(SqlType::Char(2), false, true, None, Err(Why::Null));
    }

    #[test]
    fn every_type_reads_its_text() {
        let cases = [
            (SqlType::Boolean, "TRUE", "1"),
            (SqlType::TinyInt, "-128", "-128"),
            (SqlType::SmallInt, "32767", "32767"),
            (SqlType::BigInt, "-9223372036854775808", "-9223372036854775808"),
            (
                SqlType::LargeInt,
                "170141183460469231731687303715884105727",
                "170141183460469231731687303715884105727",
            ),
            (SqlType::Float, "1.5", "1.5"),
            (SqlType::Double, "1e3", "1000"),
            (SqlType::Decimal { precision: 38, scale: 2 }, "1.005", "1.01"),
            (SqlType::Date, "2024-02-29", "2024-02-29"),
            (SqlType::DateTime, "2024-02-29 01:02:03.5", "2024-02-29 01:02:03.500000"),
            (SqlType::String, "é", "é"),
        ];
        for (ty, text, expected) in cases {
            check(ty, false, true, Some(text), Ok(Some(expected)));
        }
    }
}
