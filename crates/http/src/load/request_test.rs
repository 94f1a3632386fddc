//! Tables of headers and what they mean.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use cairn_ingest::{Compression, CsvOptions, JsonOptions};
use cairn_types::{ErrorKind, Result};

use super::{LoadFormat, StreamLoadRequest};
use crate::load::columns::LoadColumn;

fn parse(pairs: &[(&str, &str)]) -> Result<StreamLoadRequest> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    StreamLoadRequest::parse("db", "t", &headers, || "made-up".to_owned())
}

fn csv(pairs: &[(&str, &str)]) -> CsvOptions {
    match parse(pairs).unwrap().format {
        LoadFormat::Csv(options) => options,
        LoadFormat::Json(_) => panic!("not CSV"),
    }
}

fn json(pairs: &[(&str, &str)]) -> JsonOptions {
    match parse(pairs).unwrap().format {
        LoadFormat::Json(options) => options,
        LoadFormat::Csv(_) => panic!("not JSON"),
    }
}

#[test]
fn no_headers_mean_the_defaults() {
    let found =
        parse(&[("user-agent", "curl"), ("expect", "100-continue"), ("content-type", "text/csv")]).unwrap();
    let expected = StreamLoadRequest {
        database: "db".to_owned(),
        table: "t".to_owned(),
        label: "made-up".to_owned(),
        format: LoadFormat::Csv(CsvOptions::default()),
        compression: None,
        columns: None,
        filter: None,
        partitions: None,
        max_filter_ratio: 0.0,
        timeout_seconds: 600,
        strict_mode: false,
        rejected_records_max: 0,
        body_bytes: None,
    };
    assert_eq!(found, expected);
}

#[test]
fn general_headers_are_read() {
    let found = parse(&[
        ("Label", "l-1_a.b:c"),
        ("columns", "a, b, c = a + b"),
        ("where", "a > 1"),
        ("partitions", "p1,p2"),
        ("max_filter_ratio", "0.25"),
        ("timeout", "259200"),
        ("strict_mode", "TRUE"),
        ("timezone", "UTC"),
        ("log_rejected_record_num", "-1"),
        ("content-length", "12"),
        ("compression", "GZIP"),
    ])
    .unwrap();
    assert_eq!(found.label, "l-1_a.b:c");
    assert_eq!(
        found.columns.unwrap()[2],
        LoadColumn::Computed { name: "c".into(), expression: "a + b".into() }
    );
    assert_eq!(found.filter.as_deref(), Some("a > 1"));
    assert_eq!(found.partitions, Some(vec!["p1".to_owned(), "p2".to_owned()]));
    assert_eq!((found.max_filter_ratio, found.timeout_seconds, found.strict_mode), (0.25, 259_200, true));
    assert_eq!((found.rejected_records_max, found.body_bytes), (u64::MAX, Some(12)));
    assert_eq!(found.compression, Some(Compression::Gzip));
}

#[test]
fn csv_headers_are_read() {
    let base = CsvOptions::default;
    let cases: [(&[(&str, &str)], CsvOptions); 8] = [
        (&[("column_separator", "|")], CsvOptions { column_separator: b"|".to_vec(), ..base() }),
        (&[("column_separator", "\\x01")], CsvOptions { column_separator: vec![1], ..base() }),
        (&[("column_separator", "，")], CsvOptions { column_separator: "，".into(), ..base() }),
        (
            &[("column_separator", ","), ("row_delimiter", "\\r\\n")],
            CsvOptions { column_separator: b",".to_vec(), row_delimiter: b"\r\n".to_vec(), ..base() },
        ),
        (&[("format", "CSV"), ("skip_header", "2")], CsvOptions { skip_header: 2, ..base() }),
        (&[("trim_space", "true")], CsvOptions { trim_space: true, ..base() }),
        (
            &[("enclose", "\""), ("escape", "\\")],
            CsvOptions { enclose: Some(b'"'), escape: Some(b'\\'), ..base() },
        ),
        (&[("enclose", "\\x27")], CsvOptions { enclose: Some(b'\''), ..base() }),
    ];
    for (headers, expected) in cases {
        assert_eq!(csv(headers), expected, "{headers:?}");
    }
}

#[test]
fn json_headers_are_read() {
    assert_eq!(json(&[("format", "json")]), JsonOptions::default());
    let all = json(&[
        ("format", "JSON"),
        ("jsonpaths", r#"["$.a", "$.b[0]"]"#),
        ("json_root", "$.rows"),
        ("strip_outer_array", "true"),
        ("ignore_json_size", "true"),
    ]);
    let expected = JsonOptions {
        strip_outer_array: true,
        jsonpaths: Some(vec!["$.a".to_owned(), "$.b[0]".to_owned()]),
        json_root: Some("$.rows".to_owned()),
        ignore_json_size: true,
    };
    assert_eq!(all, expected);
}

#[test]
fn compression_is_read_from_either_header() {
    let cases = [
        ("compression", "zstd", Some(Compression::Zstd)),
        ("Content-Encoding", "gzip", Some(Compression::Gzip)),
        ("Content-Encoding", "identity", None),
        ("compression", "lz4_frame", Some(Compression::Lz4Frame)),
    ];
    for (name, value, expected) in cases {
        assert_eq!(parse(&[(name, value)]).unwrap().compression, expected, "{name}: {value}");
    }
}

#[test]
fn bad_values_are_refused_with_header_and_value() {
    let long = "l".repeat(129);
    let cases: [(&str, &str); 26] = [
        ("label", "with space"),
        ("label", "ü"),
        ("label", &long),
        ("format", "parquet"),
        ("columns", "a,,b"),
        ("columns", ""),
        ("where", ""),
        ("partitions", "p1 p2"),
        ("max_filter_ratio", "1.1"),
        ("max_filter_ratio", "-0.1"),
        ("max_filter_ratio", "NaN"),
        ("max_filter_ratio", "x"),
        ("timeout", "0"),
        ("timeout", "259201"),
        ("timeout", "1.5"),
        ("timeout", "-1"),
        ("strict_mode", "yes"),
        ("timezone", "Asia Shanghai"),
        ("log_rejected_record_num", "-2"),
        ("column_separator", "\\xzz"),
        ("row_delimiter", ""),
        ("skip_header", "-1"),
        ("trim_space", "1"),
        ("enclose", "ab"),
        ("compression", "bzip2"),
        ("Content-Encoding", "br"),
    ];
    for (name, value) in cases {
        let error = parse(&[(name, value)]).expect_err(name);
        let shown: String = value.chars().take(100).collect();
        assert!(error.message().contains(name), "{name}: {value}: {error}");
        assert!(error.message().contains(&shown), "{name}: {value}: {error}");
    }
}

#[test]
fn deletes_by_load_are_refused_by_name() {
    for columns in ["k,v,__op", "k,__OP='delete'", "__op=1,k"] {
        let error = parse(&[("columns", columns)]).unwrap_err();
        assert!(error.message().contains("'__op'"), "{columns}: {error}");
    }
    let request = parse(&[("columns", "k,__op=0")]).unwrap();
    assert_eq!(request.columns.unwrap().len(), 1);
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("compression", "gzip"), ("content-encoding", "gzip")], "both"),
        (&[("format", "json"), ("column_separator", ",")], "column_separator"),
        (&[("jsonpaths", "[\"$.a\"]")], "jsonpaths"),
        (&[("format", "json"), ("jsonpaths", "$.a")], "jsonpaths"),
        (&[("column_separator", "\\n")], "row_delimiter"),
        (&[("label", "a"), ("label", "b")], "more than once"),
    ];
    for (headers, expected) in cases {
        let error = parse(headers).expect_err(expected);
        assert!(error.message().contains(expected), "{headers:?}: {error}");
    }
}

#[test]
fn headers_that_are_not_honoured_are_refused_by_name() {
    let cases = [
        ("negative", "true"),
        ("temporary_partitions", "tp"),
        ("partial_update", "true"),
        ("partial_update_mode", "row"),
        ("merge_condition", "v"),
        ("load_mem_limit", "1000"),
        ("exec_mem_limit", "1000"),
        ("load_dop", "4"),
        ("transmission_compression_type", "LZ4"),
        ("enable_replicated_storage", "true"),
        ("enable_merge_commit", "true"),
        ("merge_commit_async", "true"),
        ("merge_commit_interval_ms", "10"),
        ("merge_commit_parallel", "2"),
        ("warehouse", "w2"),
        ("idle_transaction_timeout", "5"),
        ("channel_id", "1"),
        ("txn_id", "1"),
        ("two_phase_commit", "true"),
    ];
    let unknown = parse(&[("colum_separator", ",")]).expect_err("misspelled");
    assert!(unknown.message().contains("'colum_separator' is not known"), "{unknown}");
    for computed in [("where", "a > 1"), ("columns", "a, b = now()")] {
        let error = parse(&[("timezone", "Asia/Shanghai"), computed]).expect_err("another zone");
        assert!(error.message().contains("timezone"), "{error}");
        assert!(parse(&[("timezone", "UTC"), computed]).is_ok());
    }
    assert!(parse(&[("timezone", "Asia/Shanghai"), ("columns", "a, b")]).is_ok());
    for (name, value) in cases {
        let error = parse(&[(name, value)]).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
        assert!(error.message().contains(name) && error.message().contains(value), "{error}");
    }
    let harmless = [
        ("negative", "false"),
        ("partial_update", "False"),
        ("enable_merge_commit", "false"),
        ("warehouse", "default_warehouse"),
        ("load_mem_limit", "0"),
        ("transmission_compression_type", "NO_COMPRESSION"),
    ];
    for (name, value) in harmless {
        assert!(parse(&[(name, value)]).is_ok(), "{name}: {value} asks for nothing");
    }
}
