//! JSON: where rows are found, where their values are, and what is rejected.

use cairn_ingest::{BatchOptions, JsonOptions, JsonReader, Tally, Target, TypedTarget};
use cairn_types::{Result, SqlType};
use proptest::prelude::*;

use crate::{show, typed};

fn targets() -> Vec<Target> {
    vec![typed("k", SqlType::Int, false, true), typed("v", SqlType::String, true, true)]
}

fn read(
    options: &JsonOptions,
    targets: Vec<Target>,
    text: &[u8],
    chunk_bytes: usize,
) -> Result<(Vec<String>, Tally)> {
    let batch = BatchOptions { batch_rows: 2, ..BatchOptions::default() };
    let mut reader = JsonReader::new(options, targets, batch)?;
    let mut batches = Vec::new();
    for chunk in text.chunks(chunk_bytes) {
        batches.extend(reader.push(chunk)?);
    }
    batches.extend(reader.finish()?);
    let rows = show(&batches);
    let tally = reader.tally().clone();
    assert_eq!(rows.len() as u64 + tally.rows_rejected, tally.rows_total, "every row is counted");
    Ok((rows, tally))
}

fn check(options: &JsonOptions, text: &str, expected: &[&str]) {
    for chunk_bytes in [1, 5, 1000] {
        let (rows, tally) = read(options, targets(), text.as_bytes(), chunk_bytes).unwrap();
        assert_eq!(rows, expected, "{text}: {:?}", tally.rejected);
        assert_eq!(tally.rejected, []);
    }
}

fn check_rejected(options: &JsonOptions, text: &[u8], expected: &[(u64, &str)]) {
    let (_, tally) = read(options, targets(), text, 7).unwrap();
    let text = String::from_utf8_lossy(text);
    assert_eq!(tally.rejected.len(), expected.len(), "{text}: {:?}", tally.rejected);
    for (rejected, (row, reason)) in tally.rejected.iter().zip(expected) {
        assert_eq!(rejected.row_number, *row, "{text}");
        assert!(rejected.reason.contains(reason), "{text}: {}", rejected.reason);
    }
}

#[test]
fn objects_by_name() {
    let options = JsonOptions::default();
    check(&options, "{\"k\":1,\"v\":\"a\"}\n{\"V\":\"b\",\"K\":2}{\"k\":3}", &["1|a", "2|b", "3|~"]);
    check(&options, r#"{"k":"7","v":{"x": [1, 2.50]},"other":1e999}"#, &[r#"7|{"x":[1,2.50]}"#]);
    check(&options, r#"{"k":1,"v":"ü\u00e9\n"}{"\u006b":2,"v":null}"#, &["1|üé\n", "2|~"]);
    check(&options, r#"{"k":1,"k":2}"#, &["1|~"]);
    check(&options, "", &[]);
}

#[test]
fn arrays_and_roots() {
    let array = JsonOptions { strip_outer_array: true, ..JsonOptions::default() };
    check(&array, r#"[{"k":1},{"k":2},{"k":3}]"#, &["1|~", "2|~", "3|~"]);
    let root = JsonOptions { json_root: Some("$.data".into()), ..JsonOptions::default() };
    check(&root, r#"{"data":{"k":1}} {"n":0,"data":{"k":2}}"#, &["1|~", "2|~"]);
    let both = JsonOptions { strip_outer_array: true, ..root };
    check(&both, r#"{"data":[{"k":1},{"k":2}]}"#, &["1|~", "2|~"]);
}

#[test]
fn paths() {
    let by = |paths: [&str; 2]| JsonOptions {
        jsonpaths: Some(paths.map(String::from).to_vec()),
        ..JsonOptions::default()
    };
    check(&by(["$.a.b[1]", "$.c"]), r#"{"a":{"b":[0,5]},"c":"x"}"#, &["5|x"]);
    check(&by(["$.a[0]", "$.a"]), r#"{"a":[5]}"#, &["5|[5]"]);
    let rows = JsonOptions { strip_outer_array: true, ..by(["$[0]", "$[1]"]) };
    check(&rows, r#"[[1,"a"],[2,"b"]]"#, &["1|a", "2|b"]);
    let few = JsonOptions { jsonpaths: Some(vec!["$.a".into()]), ..JsonOptions::default() };
    assert!(JsonReader::new(&few, targets(), BatchOptions::default()).is_err());
}

#[test]
fn missing_keys_take_the_default() {
    let with_default = Target::Typed(TypedTarget {
        name: "k".into(),
        ty: SqlType::Int,
        nullable: false,
        strict: true,
        when_missing: Some("42".into()),
    });
    let (rows, _) = read(&JsonOptions::default(), vec![with_default], b"{}{\"k\":1}", 100).unwrap();
    assert_eq!(rows, ["42", "1"]);
}

#[test]
fn decimals_do_not_pass_through_floats() {
    let decimal = SqlType::Decimal { precision: 38, scale: 10 };
    let text = br#"{"d":1234567890123456789012345.0123456789}"#;
    let (rows, _) = read(&JsonOptions::default(), vec![typed("d", decimal, true, true)], text, 100).unwrap();
    assert_eq!(rows, ["1234567890123456789012345.0123456789"]);
}

#[test]
fn rejected_rows_say_why() {
    let options = JsonOptions::default();
    check_rejected(&options, br#"{"v":"x"}"#, &[(1, "NULL value in non-nullable column 'k'")]);
    check_rejected(
        &options,
        br#"{"k":1}{"k":"x"}"#,
        &[(2, "Value 'x' is out of range. The type of 'k' is INT")],
    );
    check_rejected(&options, br#"{"k":3000000000}"#, &[(1, "out of range")]);
    check_rejected(&options, br#"{"k":1.5}"#, &[(1, "out of range")]);
    check_rejected(&options, br#"{"k":[1]}"#, &[(1, "out of range")]);
    check_rejected(&options, b"{\"k\":1,,}{\"k\":2}{k:3}", &[(1, "no valid JSON"), (3, "no valid JSON")]);
    check_rejected(&options, b"{\"k\":1,\"v\":\"\xff\"}", &[(1, "Invalid UTF-8 row")]);
    check_rejected(&options, br#"[{"k":1}]"#, &[(1, "strip_outer_array")]);
    let array = JsonOptions { strip_outer_array: true, ..options };
    check_rejected(
        &array,
        br#"[1,{"k":1},"x"]"#,
        &[(1, "no valid JSON object"), (3, "no valid JSON object")],
    );
    let root = JsonOptions { json_root: Some("$.d".into()), ..array };
    check_rejected(&root, br#"{}{"d":1}"#, &[(1, "json_root"), (2, "json_root")]);
}

#[test]
fn data_that_is_no_json_ends_the_load() {
    for text in ["k=1", "{\"k\":1", "{\"k\":1},{\"k\":2}"] {
        let error = read(&JsonOptions::default(), targets(), text.as_bytes(), 3).unwrap_err();
        assert!(error.message().contains("row"), "{error}");
    }
}

#[test]
fn large_rows_need_a_word() {
    let batch = BatchOptions { row_bytes_max: 50, ..BatchOptions::default() };
    let text = format!("{{\"k\":1,\"v\":\"{}\"}}", "x".repeat(60));
    let mut options = JsonOptions::default();
    let mut reader = JsonReader::new(&options, targets(), batch).unwrap();
    let result = text.as_bytes().chunks(10).try_for_each(|c| reader.push(c).map(|_| ()));
    assert!(result.unwrap_err().message().contains("ignore_json_size"));
    options.ignore_json_size = true;
    let mut reader = JsonReader::new(&options, targets(), batch).unwrap();
    text.as_bytes().chunks(10).for_each(|c| assert!(reader.push(c).is_ok()));
    assert_eq!(reader.finish().unwrap().len(), 1);
}

proptest! {
    #[test]
    fn garbage_never_panics(text in "[\\[\\]{}:,\"\\\\k1 truefalsn.-é]{0,80}", chunk_bytes in 1usize..20, strip in any::<bool>()) {
        let options = JsonOptions { strip_outer_array: strip, ..JsonOptions::default() };
        let _ = read(&options, targets(), text.as_bytes(), chunk_bytes);
    }

    #[test]
    fn cutting_does_not_matter(
        rows in prop::collection::vec((any::<i32>(), "[a\"\\\\{}\\[\\],é\n]{0,8}"), 0..10),
        chunk_bytes in 1usize..30,
    ) {
        let text: String = rows.iter().map(|(k, v)| serde_json::json!({"k": k, "v": v}).to_string()).collect();
        let (read_rows, _) = read(&JsonOptions::default(), targets(), text.as_bytes(), chunk_bytes).unwrap();
        let expected: Vec<_> = rows.iter().map(|(k, v)| format!("{k}|{v}")).collect();
        prop_assert_eq!(read_rows, expected);
    }
}
