//! Answers to queries and prepared statements, as a client library reads them.

use crate::raw::{Raw, error, old_flags};
use crate::{running, server_error};
use mysql_async::consts::ColumnFlags;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Row, Value};
use mysql_common::constants::CapabilityFlags;

#[tokio::test]
async fn text_and_binary_rows() {
    let server = running().await;
    let mut conn = server.ann().await;
    let expected = |n: i64| (n, (n % 2 == 1).then(|| format!("row {n}")));
    let rows: Vec<(i64, Option<String>)> = conn.query("rows 1000").await.unwrap();
    assert_eq!(rows, (0..1000).map(expected).collect::<Vec<_>>());
    let rows: Vec<(i64, Option<String>)> = conn.exec("rows 1000", ()).await.unwrap();
    assert_eq!(rows, (0..1000).map(expected).collect::<Vec<_>>());
    let none: Vec<Row> = conn.query("rows 0").await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test]
async fn every_type_in_both_protocols() {
    let server = running().await;
    let mut conn = server.ann().await;
    let text: Row = conn.query_first("types").await.unwrap().unwrap();
    let bytes = |text: &str| Value::Bytes(text.as_bytes().to_vec());
    assert_eq!(
        text.unwrap(),
        [
            bytes("-128"),
            bytes("-32768"),
            bytes("-2147483648"),
            bytes("-9223372036854775808"),
            bytes("1.5"),
            bytes("-0.1"),
            bytes("-12345678901234567890.123456"),
            bytes("2024-02-29"),
            bytes("2024-02-29 23:59:58.000001"),
            bytes("-49:02:03"),
            Value::Bytes(vec![0, 0xFF, 0xFB]),
            Value::NULL,
            bytes("18446744073709551615"),
        ]
    );
    let binary: Row = conn.exec_first("types", ()).await.unwrap().unwrap();
    assert!(binary.columns_ref()[12].flags().contains(ColumnFlags::UNSIGNED_FLAG));
    assert_eq!(
        binary.unwrap(),
        [
            Value::Int(-128),
            Value::Int(-32_768),
            Value::Int(i64::from(i32::MIN)),
            Value::Int(i64::MIN),
            Value::Float(1.5),
            Value::Double(-0.1),
            bytes("-12345678901234567890.123456"),
            Value::Date(2024, 2, 29, 0, 0, 0, 0),
            Value::Date(2024, 2, 29, 23, 59, 58, 1),
            Value::Time(true, 2, 1, 2, 3, 0),
            Value::Bytes(vec![0, 0xFF, 0xFB]),
            Value::NULL,
            Value::UInt(u64::MAX),
        ]
    );
}

#[tokio::test]
async fn parameters_of_prepared_statements() {
    let server = running().await;
    let mut conn = server.ann().await;
    let statement = conn.prep("echo ? ? ? ? ?").await.unwrap();
    assert_eq!((statement.num_params(), statement.num_columns()), (5, 5));
    for round in 0..3_i64 {
        let parameters = (round - 1, u64::MAX, "grüße", Value::NULL, 2.5);
        let row: (String, String, String, String, String) =
            conn.exec_first(&statement, parameters).await.unwrap().unwrap();
        assert_eq!(row.0, format!("Int({})", round - 1));
        assert_eq!(row.1, "UInt(18446744073709551615)");
        assert_eq!(row.2, format!("Bytes({:?})", "grüße".as_bytes()));
        assert_eq!((row.3.as_str(), row.4.as_str()), ("Null", "Double(2.5)"));
    }
    conn.close(statement.clone()).await.unwrap();
    assert_eq!(server_error(conn.exec_drop(&statement, (1, 2, 3, 4, 5)).await).0, 1243);
    assert_eq!(server_error(conn.prep("fail").await).0, 1064);
}

/// Parameters that do not fit one packet come as long data.
#[tokio::test]
async fn long_data() {
    let server = running().await;
    let mut conn = server.ann().await;
    let long = "l".repeat(17 << 20);
    let row: (String, String) = conn.exec_first("echo ? ?", (long, 7)).await.unwrap().unwrap();
    assert_eq!(row.0.matches("108").count(), 17 << 20);
    assert_eq!(row.1, "Int(7)");
}

#[tokio::test]
async fn values_and_queries_of_more_than_one_chunk() {
    let server = running().await;
    let mut conn = server.ann().await;
    let chunk = 0xFF_FFFF_usize;
    // The row's payload is its length (4 bytes) and the value: one below, at and above the border of a chunk.
    for length in [chunk - 5, chunk - 4, chunk - 3, 2 * chunk - 4, 40_000_000] {
        let value: String = conn.query_first(format!("big {length}")).await.unwrap().unwrap();
        assert_eq!(value.len(), length);
    }
    for length in [chunk - 8, chunk, 20_000_000] {
        let sql = format!("length {}", "q".repeat(length));
        let value: String = conn.query_first(sql).await.unwrap().unwrap();
        assert_eq!(value, length.to_string());
    }
}

#[tokio::test]
async fn several_results() {
    let server = running().await;
    let mut conn = server.ann().await;
    let mut results = conn.query_iter("affected 5; echo one; rows 2; nothing; begin").await.unwrap();
    assert_eq!((results.affected_rows(), results.warnings()), (5, 3));
    assert_eq!((results.last_insert_id(), results.info().as_ref()), (Some(9), "Rows matched"));
    assert_eq!(results.collect::<Row>().await.unwrap().len(), 0);
    assert_eq!(results.collect::<String>().await.unwrap(), ["one"]);
    assert_eq!(results.collect::<(i64, Option<String>)>().await.unwrap().len(), 2);
    assert_eq!(results.collect::<Row>().await.unwrap().len(), 0);
    assert!(results.is_empty());
}

#[tokio::test]
async fn errors_before_amid_and_behind_results() {
    let server = running().await;
    let mut conn = server.ann().await;
    assert_eq!(server_error(conn.query_drop("fail t1").await), (5502, "Unknown table 't1'".into()));
    let amid: mysql_async::Result<Vec<String>> = conn.query("fail_amid").await;
    assert_eq!(server_error(amid), (5024, "amid".into()));
    let mut results = conn.query_iter("echo one; fail t2; echo three").await.unwrap();
    let first: mysql_async::Result<Vec<String>> = results.collect().await;
    // The library reads ahead, so either call may be the one that meets the error.
    let outcome = match first {
        Ok(rows) => {
            assert_eq!(rows, ["one"]);
            results.collect::<String>().await
        }
        failed => failed,
    };
    assert_eq!(server_error(outcome), (5502, "Unknown table 't2'".into()));
    drop(results);
    let still: Option<String> = conn.query_first("echo alive").await.unwrap();
    assert_eq!(still.as_deref(), Some("alive"));
}

#[tokio::test]
async fn a_client_without_deprecate_eof() {
    let server = running().await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    assert_eq!(raw.command(b"\x03echo hi").await, [1]);
    raw.read().await.unwrap();
    assert_eq!(raw.read().await.unwrap(), [0xFE, 0, 0, 2, 0]);
    assert_eq!(raw.read().await.unwrap(), b"\x02hi");
    assert_eq!(raw.read().await.unwrap(), [0xFE, 0, 0, 2, 0]);

    // A prepared statement: two parameters and two columns, an EOF behind each kind.
    let head = raw.command(b"\x16echo ? ?").await;
    assert_eq!(head, [0, 1, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0]);
    for eof in [false, false, true, false, false, true] {
        assert_eq!(raw.read().await.unwrap()[0] == 0xFE, eof);
    }
}

/// Several results are for clients which said that they read them.
#[tokio::test]
async fn several_results_must_be_wished_for() {
    let server = running().await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    let ok = raw.command(b"\x03affected 1; affected 2").await;
    assert_eq!(ok[..5], [0, 1, 9, 8 | 2, 0], "the first statement was done");
    let reply = raw.read().await.unwrap();
    assert!(error(&reply).2.contains("several results"), "{:?}", error(&reply));

    assert_eq!(raw.command(b"\x1b\0\0").await, [0xFE, 0, 0, 2, 0], "multiple statements on");
    assert_eq!(raw.command(b"\x03affected 1; affected 2").await[3], 8 | 2);
    assert_eq!(raw.read().await.unwrap()[3], 2);
}

#[tokio::test]
async fn small_commands() {
    let server = running().await;
    let mut raw = Raw::root(server.address, old_flags() | CapabilityFlags::CLIENT_DEPRECATE_EOF).await;
    let ok = [0, 0, 0, 2, 0, 0, 0];
    assert_eq!(raw.command(b"\x0e").await, ok, "ping");
    assert_eq!(raw.command(b"\x09").await, b"Uptime: 1");
    assert_eq!(raw.command(b"\x02tpch").await, ok, "use");
    assert_eq!(error(&raw.command(b"\x02nowhere").await), (5501, "3F000", "Unknown database 'nowhere'"));
    assert_eq!(error(&raw.command(b"\x0c\x63\0\0\0").await).2, "Unknown thread id: 99");
    let first = raw.command(b"\x04t\0%").await;
    assert!(first.starts_with(b"\x03def") && first.ends_with(&[0, 0, 0xFB]), "{first:?}");
    raw.read().await.unwrap();
    assert_eq!(raw.read().await.unwrap(), [0xFE, 0, 0, 2, 0, 0, 0]);
    assert_eq!(raw.command(b"\x1f").await, ok, "reset");
    assert_eq!(error(&raw.command(b"\x1a\x05\0\0\0").await).0, 1243);
    assert_eq!(error(&raw.command(b"\x1c\x05\0\0\0\x01\0\0\0").await).0, 1047);
    assert_eq!(error(&raw.command(b"\x00").await).0, 1047);
    assert_eq!(error(&raw.command(b"\x03echo \xff").await).0, 1300);
    assert_eq!(raw.command(b"\x03begin").await, [0, 0, 0, 3, 0, 0, 0], "in a transaction now");
    assert_eq!(raw.command(b"\x1f").await, ok, "and not any more");
    raw.sequence = 255;
    raw.write(b"\x01").await;
    assert_eq!(raw.read().await, None, "goodbye");
}

/// Commands that were sent without waiting are answered in order.
#[tokio::test]
async fn pipelined_commands() {
    let server = running().await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    raw.bytes(b"\x0b\0\0\0\x03affected 1\x0b\0\0\0\x03affected 2\x0b\0\0\0\x03affected 3").await;
    for expected in 1..=3 {
        assert_eq!(raw.read().await.unwrap()[1], expected);
    }
}
