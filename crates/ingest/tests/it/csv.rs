//! CSV: splitting, filtering, cutting, and the way back.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringViewArray};
use cairn_ingest::{
    BatchOptions, CsvCutter, CsvOptions, CsvParser, CsvReader, CsvWriteOptions, CsvWriter, Tally, Target,
    find_last_row_end,
};
use cairn_types::{ErrorKind, SqlType};
use proptest::prelude::*;

use crate::{show, typed};

fn commas() -> CsvOptions {
    CsvOptions { column_separator: b",".to_vec(), ..CsvOptions::default() }
}

fn quotes() -> CsvOptions {
    CsvOptions { enclose: Some(b'"'), ..commas() }
}

fn int_and_text() -> Vec<Target> {
    vec![typed("k1", SqlType::Int, true, true), typed("v1", SqlType::Varchar(10), true, true)]
}

/// Rows and (row number, reason) of the rejected ones.
fn read(options: &CsvOptions, targets: Vec<Target>, text: &[u8]) -> (Vec<String>, Vec<(u64, String)>) {
    let (rows, tally) = read_chunks(options, targets, text, usize::MAX, 8192);
    (rows, tally.rejected.into_iter().map(|r| (r.row_number, r.reason)).collect())
}

fn read_chunks(
    options: &CsvOptions,
    targets: Vec<Target>,
    text: &[u8],
    chunk_bytes: usize,
    batch_rows: usize,
) -> (Vec<String>, Tally) {
    let batch = BatchOptions { batch_rows, ..BatchOptions::default() };
    let mut reader = CsvReader::new(options.clone(), targets, batch).unwrap();
    let mut batches = Vec::new();
    for chunk in text.chunks(chunk_bytes.min(text.len()).max(1)) {
        batches.extend(reader.push(chunk).unwrap());
    }
    batches.extend(reader.finish().unwrap());
    assert!(batches.iter().all(|b| b.num_rows() <= batch_rows));
    let rows = show(&batches);
    let tally = reader.tally().clone();
    assert_eq!(rows.len() as u64 + tally.rows_rejected, tally.rows_total, "every row is counted");
    (rows, tally)
}

fn check(options: &CsvOptions, text: &str, expected: &[&str]) {
    let (rows, rejected) = read(options, int_and_text(), text.as_bytes());
    assert_eq!((rows, rejected), (expected.iter().map(|s| s.to_string()).collect(), vec![]), "{text:?}");
}

fn check_rejected(options: &CsvOptions, targets: Vec<Target>, text: &[u8], expected: &[(u64, &str)]) {
    let (_, rejected) = read(options, targets, text);
    let expected: Vec<_> = expected.iter().map(|(row, reason)| (*row, reason.to_string())).collect();
    assert_eq!(rejected, expected, "{}", String::from_utf8_lossy(text));
}

#[test]
fn plain_rows() {
    check(&commas(), "1,a\n2,b\n", &["1|a", "2|b"]);
    check(&commas(), "1,a\n2,b", &["1|a", "2|b"]);
    check(&commas(), "\n\n1,a\n\n", &["1|a"]);
    check(&commas(), "", &[]);
    check(&commas(), "\\N,\\N\n1,\n", &["~|~", "1|"]);
    check(&commas(), "\u{feff}1,ä\n", &["1|ä"]);
    check(&commas(), "1,\"a\"\n", &["1|\"a\""]);
    check(&commas(), "1,a\r\n", &["1|a\r"]);
    check(&CsvOptions { row_delimiter: b"\r\n".to_vec(), ..commas() }, "1,a\r\n2,b\r\n", &["1|a", "2|b"]);
    check(&CsvOptions { trim_space: true, ..commas() }, " 1 , a b \n \\N, \n", &["1|a b", "~|"]);
    check(&CsvOptions { skip_header: 2, ..commas() }, "k,v\nx\n1,a\n", &["1|a"]);
    check(&CsvOptions { skip_header: 5, ..commas() }, "k,v\n", &[]);
    let wide = CsvOptions { column_separator: b"||".to_vec(), row_delimiter: b"##\n".to_vec(), ..commas() };
    check(&wide, "1||a|b##\n2||#\n##\n", &["1|a|b", "2|#\n"]);
    let odd = CsvOptions { column_separator: "，".as_bytes().to_vec(), ..commas() };
    check(&odd, "1，é\n", &["1|é"]);
    let bytes = CsvOptions { column_separator: vec![1], row_delimiter: vec![2], ..commas() };
    check(&bytes, "1\x01a\n\x022\x01b", &["1|a\n", "2|b"]);
}

#[test]
fn a_separator_that_is_no_utf8_splits_too() {
    let options = CsvOptions { column_separator: vec![0xa9], ..commas() };
    let (rows, rejected) = read(&options, int_and_text(), b"1\xa9x\n2\xa9\xc3\n");
    assert_eq!(rows, ["1|x"]);
    assert_eq!(rejected, [(2, "Invalid UTF-8 row".to_owned())]);
}

#[test]
fn one_separator_too_many_at_the_end_is_allowed_on_request() {
    check(&commas(), "1,a,\n2,,\n", &["1|a", "2|"]);
    let strict = CsvOptions { allow_trailing_separator: false, ..commas() };
    let reason = "Value count does not match column count. Expected: 2, but got: 3";
    check_rejected(&strict, int_and_text(), b"1,a,\n", &[(1, reason)]);
    check_rejected(&commas(), int_and_text(), b"1,a,x\n", &[(1, reason)]);
}

#[test]
fn enclosed_and_escaped_fields() {
    check(&quotes(), "1,\"a,b\"\n2,\"x\ny\"\n", &["1|a,b", "2|x\ny"]);
    check(&quotes(), "1,\"say \"\"hi\"\"\"\n", &["1|say \"hi\""]);
    check(&quotes(), "\"1\",\"\"\n", &["1|"]);
    check(&quotes(), "1,\"\\N\"\n2,\\N\n", &["1|\\N", "2|~"]);
    check(&quotes(), "1,a\"b\"\n", &["1|a\"b\""]);
    check(&quotes(), "1,\"a\"b\n", &["1|ab"]);
    check(&quotes(), "1,\"a\"", &["1|a"]);
    check(&quotes(), "\n1,a\n\n", &["1|a"]);
    let both = CsvOptions { escape: Some(b'\\'), trim_space: true, ..quotes() };
    check(&both, "1, \"a\\\"b \" \n2,x\\,y\n3,\\N\n4,\\\\N\n", &["1|a\"b ", "2|x,y", "3|~", "4|\\N"]);
    let escape = CsvOptions { escape: Some(b'\\'), ..commas() };
    check(&escape, "1,a\\\nb\n2,\\", &["1|a\nb", "2|\\"]);
    let header = CsvOptions { skip_header: 1, ..quotes() };
    check(&header, "\"k\n1\",v\n1,a\n", &["1|a"]);
    let open = "The row ends inside an enclosed field. Check the enclose and escape characters";
    check_rejected(&quotes(), int_and_text(), b"1,a\n2,\"b\n", &[(2, open)]);
}

#[test]
fn rejected_rows_say_why() {
    let not_null =
        vec![typed("k1", SqlType::Int, false, false), typed("v1", SqlType::Varchar(3), false, true)];
    let text = b"1,a\n2\n\n3,x,y\n\\N,a\n4,\\N\nz,a\n5,abcd\n6,\xff\n99999999999,a\n,a\n";
    let expected = [
        (2, "Value count does not match column count. Expected: 2, but got: 1"),
        (4, "Value count does not match column count. Expected: 2, but got: 3"),
        (5, "NULL value in non-nullable column 'k1'"),
        (6, "NULL value in non-nullable column 'v1'"),
        (7, "Value 'z' is out of range. The type of 'k1' is INT"),
        (8, "Value 'abcd' of 4 bytes is too long. The type of 'v1' is VARCHAR(3)"),
        (9, "Invalid UTF-8 row"),
        (10, "Value '99999999999' is out of range. The type of 'k1' is INT"),
        (11, "Value '' is out of range. The type of 'k1' is INT"),
    ];
    check_rejected(&commas(), not_null.clone(), text, &expected);
    let (rows, tally) = read_chunks(&commas(), not_null, text, 3, 2);
    assert_eq!(rows, ["1|a"]);
    assert_eq!((tally.rows_total, tally.rows_rejected, tally.lines), (10, 9, 11));
    assert_eq!(tally.rejected[6].text, "6,\u{fffd}");
}

#[test]
fn without_strict_mode_bad_values_become_null() {
    let loose = vec![typed("k1", SqlType::Int, true, false), typed("d", SqlType::Date, true, false)];
    let (rows, rejected) = read(&commas(), loose, b"x,2024-02-30\n1,2024-02-29\n,\n");
    assert_eq!((rows, rejected.len()), (vec!["~|~".into(), "1|2024-02-29".into(), "~|~".into()], 0));
}

#[test]
fn skipped_and_raw_fields() {
    let targets =
        vec![Target::Skip, Target::Raw { name: "r".into() }, typed("k", SqlType::BigInt, true, true)];
    let (rows, rejected) = read(&commas(), targets, b"x,anything,5\ny,\\N,6\n");
    assert_eq!((rows, rejected.len()), (vec!["anything|5".into(), "~|6".into()], 0));
}

#[test]
fn only_the_first_rejected_rows_are_kept() {
    let batch = BatchOptions { rejected_kept: 3, ..BatchOptions::default() };
    let header = CsvOptions { skip_header: 1, ..commas() };
    let mut reader = CsvReader::new(header, int_and_text(), batch).unwrap();
    reader.push("bad\n".repeat(5000).as_bytes()).unwrap();
    assert!(reader.finish().unwrap().is_empty());
    let numbers: Vec<_> = reader.tally().rejected.iter().map(|r| r.row_number).collect();
    assert_eq!((numbers, reader.tally().rows_rejected), (vec![2, 3, 4], 4999));
}

#[test]
fn a_row_that_is_too_long_is_an_error_that_names_it() {
    let batch = BatchOptions { row_bytes_max: 100, ..BatchOptions::default() };
    let text = format!("1,a\n2,{}\n", "x".repeat(200));
    for options in [commas(), quotes()] {
        let parser = CsvParser::new(options.clone(), int_and_text(), batch).unwrap();
        let error = parser.parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
        assert!(error.message().contains("Row 2 is longer than 100 bytes"), "{error}");
        let mut cutter = CsvCutter::new(options, batch, 10).unwrap();
        let mut result = Ok(None);
        for chunk in text.as_bytes().chunks(20) {
            result = result.and_then(|_| cutter.push(chunk));
        }
        assert!(result.unwrap_err().message().contains("starts at byte 4"));
    }
}

#[test]
fn pieces_can_be_parsed_apart() {
    let text: String =
        (0..5000).map(|n| format!("{n},v{}\n", if n % 1000 == 0 { "," } else { "" })).collect();
    let options = CsvOptions { skip_header: 1, allow_trailing_separator: false, ..commas() };
    let text = format!("head\n{text}");
    let mut cutter = CsvCutter::new(options.clone(), BatchOptions::default(), 4096).unwrap();
    let parser = CsvParser::new(options, int_and_text(), BatchOptions::default()).unwrap();
    let mut pieces: Vec<_> = text.as_bytes().chunks(1000).filter_map(|c| cutter.push(c).unwrap()).collect();
    pieces.extend(cutter.finish());
    assert!(pieces.len() > 5);
    let mut tally = parser.tally();
    let mut rows = Vec::new();
    for piece in &pieces {
        let (batches, part) = parser.parse(piece).unwrap();
        rows.extend(show(&batches));
        tally.absorb(part);
    }
    assert_eq!((rows.len(), tally.rows_total), (4995, 5000));
    let numbers: Vec<_> = tally.rejected.iter().map(|r| r.row_number).collect();
    assert_eq!(numbers, [2, 1002, 2002, 3002, 4002]);
}

#[test]
fn row_ends_are_found() {
    assert_eq!(find_last_row_end(&commas(), b"a\nb\nc"), Some(4));
    assert_eq!(find_last_row_end(&commas(), b"abc"), None);
    assert_eq!(find_last_row_end(&quotes(), b"\"a\nb\"\n\"c\n"), Some(6));
    let double = CsvOptions { row_delimiter: b"\n\n".to_vec(), ..commas() };
    assert_eq!(find_last_row_end(&double, b"a\n\n\n"), Some(3), "not the last two");
}

fn sample_batch(numbers: &[Option<i32>], texts: &[Option<String>]) -> RecordBatch {
    let floats: Vec<_> = numbers.iter().map(|n| n.map(|n| f64::from(n) / 7.0)).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("n", Arc::new(Int32Array::from(numbers.to_vec()))),
        ("t", Arc::new(StringViewArray::from_iter(texts.iter().map(|t| t.as_deref())))),
        ("f", Arc::new(Float64Array::from(floats))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn sample_targets() -> Vec<Target> {
    vec![
        typed("n", SqlType::Int, true, true),
        typed("t", SqlType::String, true, true),
        typed("f", SqlType::Double, true, true),
    ]
}

#[test]
fn a_writer_without_marks_refuses_what_cannot_be_read_back() {
    let options = CsvWriteOptions { column_separator: b"||".to_vec(), ..CsvWriteOptions::default() };
    for (text, good) in
        [("a", true), ("a|b", true), ("a||b", false), ("a|", false), ("a\n", false), ("\\N", false)]
    {
        let mut writer = CsvWriter::new(options.clone()).unwrap();
        let result = writer.write(&sample_batch(&[Some(1)], &[Some(text.into())]), &mut Vec::new());
        assert_eq!(result.is_ok(), good, "{text:?}");
        if let Err(error) = result {
            assert!(error.message().contains("column 't'") && error.message().contains("row 1"), "{error}");
        }
    }
}

#[test]
fn the_header_is_written_once() {
    let options =
        CsvWriteOptions { column_separator: b",".to_vec(), header: true, ..CsvWriteOptions::default() };
    let mut writer = CsvWriter::new(options).unwrap();
    let mut out = Vec::new();
    for _ in 0..2 {
        writer.write(&sample_batch(&[Some(7)], &[None]), &mut out).unwrap();
    }
    assert_eq!(String::from_utf8(out).unwrap(), "n,t,f\n7,\\N,1\n7,\\N,1\n");
}

/// Settings of all kinds for the random tests.
fn any_options() -> impl Strategy<Value = CsvOptions> {
    let separators = prop_oneof![Just(","), Just("||"), Just("\x01"), Just("é")];
    let delimiters = prop_oneof![Just("\n"), Just("\r\n"), Just("##")];
    let marks = prop_oneof![
        Just((None, None)),
        Just((Some(b'"'), None)),
        Just((None, Some(b'\\'))),
        Just((Some(b'"'), Some(b'\\'))),
        Just((Some(b'\''), Some(b'^'))),
    ];
    (separators, delimiters, marks, any::<bool>()).prop_map(
        |(separator, delimiter, (enclose, escape), trim)| CsvOptions {
            column_separator: separator.into(),
            row_delimiter: delimiter.into(),
            enclose,
            escape,
            trim_space: trim,
            ..CsvOptions::default()
        },
    )
}

proptest! {
    #[test]
    fn cutting_does_not_matter(
        options in any_options(),
        text in "[a1,|\\\\\"'^#\r\né\x01 N]{0,300}",
        chunk_bytes in 1usize..40,
        batch_rows in 1usize..5,
    ) {
        let targets = vec![typed("a", SqlType::String, true, true), typed("b", SqlType::String, true, true)];
        let (whole_rows, whole) = read_chunks(&options, targets.clone(), text.as_bytes(), usize::MAX, 8192);
        let batch = BatchOptions { batch_rows, ..BatchOptions::default() };
        let mut cutter = CsvCutter::new(options.clone(), batch, chunk_bytes).unwrap();
        let parser = CsvParser::new(options, targets, batch).unwrap();
        let mut pieces = Vec::new();
        for chunk in text.as_bytes().chunks(chunk_bytes) {
            pieces.extend(cutter.push(chunk).unwrap());
        }
        pieces.extend(cutter.finish());
        let (mut rows, mut tally) = (Vec::new(), parser.tally());
        for piece in pieces {
            let (batches, part) = parser.parse(&piece).unwrap();
            rows.extend(show(&batches));
            tally.absorb(part);
        }
        prop_assert_eq!(rows, whole_rows);
        prop_assert_eq!(tally, whole);
    }

    #[test]
    fn what_is_written_reads_back(
        options in any_options(),
        rows in prop::collection::vec(
            (any::<Option<i32>>(), prop::option::of("[a,|\\\\\"'^#\r\né\x01 N]{0,8}")), 1..20),
    ) {
        let options = CsvOptions { trim_space: false, ..options };
        let (numbers, texts): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let batch = sample_batch(&numbers, &texts);
        let mut writer = CsvWriter::new(CsvWriteOptions {
            column_separator: options.column_separator.clone(),
            row_delimiter: options.row_delimiter.clone(),
            enclose: options.enclose,
            escape: options.escape,
            header: false,
        }).unwrap();
        let mut out = Vec::new();
        match writer.write(&batch, &mut out) {
            Ok(()) => {
                let (rows, tally) = read_chunks(&options, sample_targets(), &out, 7, 3);
                prop_assert_eq!(tally.rejected, vec![]);
                prop_assert_eq!(rows, show(&[batch]));
            }
            Err(_) => prop_assert!(!options.is_quoted(), "with marks everything can be written"),
        }
    }

    #[test]
    fn garbage_never_panics(
        options in any_options(),
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'\n'), Just(b'"')], 0..400),
    ) {
        read_chunks(&options, int_and_text(), &bytes, 11, 4);
    }
}
