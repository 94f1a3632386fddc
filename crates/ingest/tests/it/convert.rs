//! Foreign columns into table columns.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Int32Type, i256};
use cairn_ingest::arrow_types::arrow_type;
use cairn_ingest::{BadValue, ConvertOptions, convert};
use cairn_types::{Column, ErrorKind, Schema, SqlType};

use crate::show;

fn column(name: &str, ty: SqlType, nullable: bool) -> Column {
    Column::new(name, ty, nullable)
}

fn one(array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("x", array, true)]).unwrap()
}

fn options(bad_value: BadValue) -> ConvertOptions {
    ConvertOptions { bad_value, ..ConvertOptions::default() }
}

/// Converts in NULL mode and shows what comes out.
fn check(array: impl Array + 'static, ty: SqlType, expected: &[&str]) {
    let schema = Schema { columns: vec![column("c", ty, true)] };
    let batch = one(Arc::new(array));
    let source = batch.column(0).data_type().clone();
    let (done, _) = convert(&batch, &schema, &options(BadValue::Null)).unwrap();
    assert_eq!(done.column(0).data_type(), &arrow_type(ty));
    assert_eq!(show(&[done]), expected, "{source} to {ty}");
}

fn check_refused(array: impl Array + 'static, ty: SqlType) {
    let schema = Schema { columns: vec![column("c", ty, true)] };
    let error = convert(&one(Arc::new(array)), &schema, &options(BadValue::Null)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("Column 'c'"), "{error}");
}

const DECIMAL: SqlType = SqlType::Decimal { precision: 5, scale: 2 };

#[test]
fn numbers() {
    check(Int64Array::from(vec![1, 300, -129]), SqlType::TinyInt, &["1", "~", "~"]);
    check(UInt64Array::from(vec![u64::MAX, 5]), SqlType::BigInt, &["~", "5"]);
    check(Float64Array::from(vec![1.9, -1.9, f64::NAN, 1e20]), SqlType::Int, &["1", "-1", "~", "~"]);
    check(Float64Array::from(vec![1.5, 1e300, f64::INFINITY]), SqlType::Float, &["1.5", "~", "~"]);
    check(Float64Array::from(vec![f64::NAN, 2.0]), SqlType::Double, &["~", "2"]);
    check(Int32Array::from(vec![0, 1, 7]), SqlType::Boolean, &["0", "1", "1"]);
    check(BooleanArray::from(vec![true, false]), SqlType::Int, &["1", "0"]);
    check(BooleanArray::from(vec![true]), DECIMAL, &["1.00"]);
    check(Int32Array::from(vec![999, 1000]), DECIMAL, &["999.00", "~"]);
    check(Float64Array::from(vec![1.125, 12345.0]), DECIMAL, &["1.13", "~"]);
    let wide = Decimal128Array::from(vec![12_345, 99_999_999]).with_precision_and_scale(20, 3).unwrap();
    check(wide.clone(), DECIMAL, &["12.35", "~"]);
    check(wide.clone(), SqlType::BigInt, &["12", "99999"]);
    check(wide, SqlType::Boolean, &["1", "1"]);
    let lying = Decimal128Array::from(vec![1_000_000, 1]).with_precision_and_scale(5, 2).unwrap();
    check(lying, DECIMAL, &["~", "0.01"]);
}

#[test]
fn large_integers() {
    let large = SqlType::LargeInt;
    check(Int64Array::from(vec![i64::MIN]), large, &["-9223372036854775808"]);
    check(UInt64Array::from(vec![u64::MAX]), large, &["18446744073709551615"]);
    let beyond = i256::from_i128(i128::MAX) + i256::ONE;
    let values = Decimal256Array::from(vec![i256::from_i128(i128::MAX), beyond]);
    let values = values.with_precision_and_scale(60, 0).unwrap();
    check(values, large, &["170141183460469231731687303715884105727", "~"]);
    let fractions = Decimal128Array::from(vec![12_34]).with_precision_and_scale(38, 2).unwrap();
    check(fractions, large, &["12"]);
    check(Float64Array::from(vec![1e20, 1e39, -1.5]), large, &["100000000000000000000", "~", "-1"]);
    let text = StringArray::from(vec!["170141183460469231731687303715884105727", "x"]);
    check(text, large, &["170141183460469231731687303715884105727", "~"]);
}

#[test]
fn texts() {
    check(StringArray::from(vec![Some("5"), Some("x"), None]), SqlType::Int, &["5", "~", "~"]);
    check(StringArray::from(vec!["2024/1/2"]), SqlType::Date, &["2024-01-02"]);
    check(LargeStringArray::from(vec!["ab"]), SqlType::Varchar(2), &["ab"]);
    let dictionary: DictionaryArray<Int32Type> = [Some("x"), None].into_iter().collect();
    check(dictionary, SqlType::String, &["x", "~"]);
    check(BinaryArray::from(vec![&b"ok"[..], b"\xff"]), SqlType::String, &["ok", "~"]);
    check(Float64Array::from(vec![1.5, 1e20]), SqlType::String, &["1.5", "1e+20"]);
    check(BooleanArray::from(vec![true]), SqlType::String, &["1"]);
    check(Date32Array::from(vec![0]), SqlType::String, &["1970-01-01"]);
    check(NullArray::new(1), SqlType::Int, &["~"]);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)])]);
    check(list.clone(), SqlType::String, &["[1]"]);
    check_refused(list, SqlType::Int);
}

#[test]
fn dates_and_times() {
    let datetime = SqlType::DateTime;
    check(
        TimestampNanosecondArray::from(vec![1_500_000_999, -1]),
        datetime,
        &["1970-01-01 00:00:01.500000", "1969-12-31 23:59:59.999999"],
    );
    check(TimestampSecondArray::from(vec![86_400, i64::MAX]), datetime, &["1970-01-02 00:00:00", "~"]);
    check(TimestampMillisecondArray::from(vec![-1]), SqlType::Date, &["1969-12-31"]);
    check(Date32Array::from(vec![1, i32::MAX]), datetime, &["1970-01-02 00:00:00", "~"]);
    check(Date32Array::from(vec![1, i32::MAX]), SqlType::Date, &["1970-01-02", "~"]);
    check(Int32Array::from(vec![20240229, 5]), SqlType::Date, &["2024-02-29", "~"]);
    check_refused(Time64MicrosecondArray::from(vec![1]), datetime);
    check_refused(BooleanArray::from(vec![true]), SqlType::Date);
    check_refused(Date32Array::from(vec![1]), SqlType::Int);
}

#[test]
fn timestamps_with_a_zone_become_local() {
    let schema = Schema {
        columns: vec![
            column("t", SqlType::DateTime, true),
            column("d", SqlType::Date, true),
            column("s", SqlType::String, true),
        ],
    };
    let array: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0]).with_timezone("Asia/Shanghai"));
    let batch =
        RecordBatch::try_from_iter([("a", array.clone()), ("b", array.clone()), ("c", array)]).unwrap();
    let east = ConvertOptions { utc_offset_seconds: -3600, ..ConvertOptions::default() };
    let (done, _) = convert(&batch, &schema, &east).unwrap();
    assert_eq!(show(&[done]), ["1969-12-31 23:00:00|1969-12-31|1969-12-31 23:00:00"]);
}

#[test]
fn bad_values_end_an_insert_and_are_named() {
    let schema = Schema { columns: vec![column("k1", SqlType::TinyInt, true)] };
    let batch = one(Arc::new(Int64Array::from(vec![1, 300])));
    let after_ten = ConvertOptions { rows_before: 10, ..ConvertOptions::default() };
    let error = convert(&batch, &schema, &after_ten).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidValue);
    assert_eq!(error.message(), "Value '300' is out of range. The type of 'k1' is TINYINT (row 12)");
}

#[test]
fn rows_are_rejected_whole() {
    let schema = Schema {
        columns: vec![column("a", SqlType::TinyInt, false), column("b", SqlType::Varchar(2), true)],
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(300), None, Some(4), Some(5)]));
    let texts: ArrayRef =
        Arc::new(StringArray::from(vec![Some("x"), Some("yyy"), Some("z"), Some("long"), None]));
    let batch = RecordBatch::try_from_iter_with_nullable([("a", numbers, true), ("b", texts, true)]).unwrap();
    for mode in [BadValue::Reject, BadValue::Null] {
        let (done, tally) = convert(&batch, &schema, &options(mode)).unwrap();
        assert_eq!(show(&[done]), ["1|x", "5|~"]);
        let reasons: Vec<_> = tally.rejected.iter().map(|r| (r.row_number, r.reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                (2, "Value '300' is out of range. The type of 'a' is TINYINT"),
                (3, "NULL value in non-nullable column 'a'"),
                (4, "Value 'long' of 4 bytes is too long. The type of 'b' is VARCHAR(2)"),
            ]
        );
        assert_eq!(tally.rejected[0].text, "300\tyyy");
        assert_eq!((tally.rows_total, tally.rows_rejected), (5, 3));
    }
}

#[test]
fn columns_must_be_as_many() {
    let schema = Schema { columns: vec![column("a", SqlType::Int, true); 2] };
    let error =
        convert(&one(Arc::new(Int32Array::from(vec![1]))), &schema, &options(BadValue::Fail)).unwrap_err();
    assert!(error.message().contains("Expected: 2, but got: 1"), "{error}");
}

#[test]
fn what_is_right_already_stays() {
    let types = [
        SqlType::Boolean,
        SqlType::Int,
        SqlType::LargeInt,
        DECIMAL,
        SqlType::Date,
        SqlType::DateTime,
        SqlType::String,
    ];
    for ty in types {
        let array = new_null_array(&arrow_type(ty), 2);
        let schema = Schema { columns: vec![column("c", ty, true)] };
        let (done, _) = convert(&one(array), &schema, &options(BadValue::Fail)).unwrap();
        assert_eq!(show(&[done]), ["~", "~"]);
    }
    assert_eq!(arrow_type(SqlType::LargeInt), DataType::Decimal256(39, 0));
}
