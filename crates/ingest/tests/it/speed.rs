//! Not a test of correctness: how fast a file like TPC-H's lineitem is parsed on one thread. Run it in release:
//! `cargo nextest run --release -p cairn-ingest --run-ignored only --no-capture speed`

use std::fmt::Write;

use cairn_ingest::{BatchOptions, CsvOptions, CsvReader};
use cairn_types::SqlType;

use crate::typed;

const ROWS: usize = 600_000;

fn lineitem() -> String {
    let mut text = String::new();
    for n in 0..ROWS {
        let (day, month, year) = (n % 28 + 1, n % 12 + 1, 1992 + n % 7);
        let date = format!("{year}-{month:02}-{day:02}");
        let _ = writeln!(
            text,
            "{}|{}|{}|{}|{}|{}.{:02}|0.0{}|0.0{}|N|O|{date}|{date}|{date}|DELIVER IN PERSON|TRUCK|egular courts above {n} the|",
            n / 4 + 1,
            n * 7 % 200_000,
            n * 3 % 10_000,
            n % 4 + 1,
            n % 50 + 1,
            n * 13 % 100_000,
            n % 100,
            n % 10,
            n % 9,
        );
    }
    text
}

#[test]
#[ignore = "measures, does not check; for release builds"]
fn lineitem_csv() {
    let money = SqlType::Decimal { precision: 15, scale: 2 };
    let types = [
        SqlType::BigInt,
        SqlType::Int,
        SqlType::Int,
        SqlType::Int,
        money,
        money,
        money,
        money,
        SqlType::Char(1),
        SqlType::Char(1),
        SqlType::Date,
        SqlType::Date,
        SqlType::Date,
        SqlType::Char(25),
        SqlType::Char(10),
        SqlType::Varchar(44),
    ];
    let targets = types.iter().enumerate().map(|(n, ty)| typed(&format!("c{n}"), *ty, false, true)).collect();
    let text = lineitem();
    let options = CsvOptions { column_separator: b"|".to_vec(), ..CsvOptions::default() };
    let mut reader = CsvReader::new(options, targets, BatchOptions::default()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a measurement is about real time")]
    let start = std::time::Instant::now();
    let mut rows = 0;
    for chunk in text.as_bytes().chunks(64 << 10) {
        rows += reader.push(chunk).unwrap().iter().map(|b| b.num_rows()).sum::<usize>();
    }
    rows += reader.finish().unwrap().iter().map(|b| b.num_rows()).sum::<usize>();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(rows, ROWS, "{:?}", reader.tally().rejected);
    let megabytes = text.len() as f64 / 1e6;
    println!("{megabytes:.0} MB, {rows} rows in {seconds:.3} s: {:.0} MB/s", megabytes / seconds);
}
