//! Results as text: aligned tables, CSV, JSON. Pure but for the writer.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::args::Format;

/// A column of a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub name: String,
    /// Its values are numbers: aligned to the right, and without quotes in JSON.
    pub numeric: bool,
}

/// A value as the server sent it; `None` is NULL.
pub type Value = Option<Vec<u8>>;

/// Prints one result, row by row.
pub struct Printer<W> {
    out: W,
    columns: Vec<Header>,
    kind: Kind,
    row_count: u64,
}

enum Kind {
    /// Widths are known only when all rows are.
    Table(Box<Table>),
    Csv,
    Json,
}

impl<W: Write> Printer<W> {
    /// Begins a result with `columns`.
    ///
    /// # Errors
    /// Those of `out`, as from all methods.
    pub fn begin(mut out: W, format: Format, columns: Vec<Header>) -> io::Result<Self> {
        let kind = match format {
            Format::Table => Kind::Table(Box::new(table(&columns))),
            Format::Csv => {
                csv_line(&mut out, columns.iter().map(|c| Some(c.name.as_bytes())))?;
                Kind::Csv
            }
            Format::Json => {
                out.write_all(b"[")?;
                Kind::Json
            }
        };
        Ok(Self { out, columns, kind, row_count: 0 })
    }

    /// Prints a row, which is as long as the columns.
    pub fn row(&mut self, values: &[Value]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Table(table) => {
                table.add_row(values.iter().map(|value| Cell::new(table_text(value.as_deref()))));
            }
            Kind::Csv => csv_line(&mut self.out, values.iter().map(Option::as_deref))?,
            Kind::Json => {
                self.out.write_all(if self.row_count == 0 { b"" } else { b",\n " })?;
                json_object(&mut self.out, &self.columns, values)?;
            }
        }
        self.row_count += 1;
        Ok(())
    }

    /// Ends the result; gives the number of its rows.
    pub fn end(mut self) -> io::Result<u64> {
        match self.kind {
            Kind::Table(table) => writeln!(self.out, "{table}")?,
            Kind::Csv => {}
            Kind::Json => self.out.write_all(b"]\n")?,
        }
        self.out.flush()?;
        Ok(self.row_count)
    }
}

fn table(columns: &[Header]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| Cell::new(printable(&column.name))));
    for (column, header) in table.column_iter_mut().zip(columns) {
        if header.numeric {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// NULL is shown as `NULL`.
fn table_text(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |bytes| printable(&String::from_utf8_lossy(bytes)))
}

/// Without what would move the cursor or colour the terminal; line ends stay.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Commas, quotes where they are needed; NULL is `\N`, and a text `\N` is quoted.
fn csv_line<'a>(out: &mut impl Write, values: impl Iterator<Item = Option<&'a [u8]>>) -> io::Result<()> {
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        match value {
            None => out.write_all(b"\\N")?,
            Some(bytes)
                if bytes == b"\\N" || bytes.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) =>
            {
                out.write_all(b"\"")?;
                for part in bytes.split_inclusive(|b| *b == b'"') {
                    out.write_all(part)?;
                    out.write_all(if part.ends_with(b"\"") { b"\"" } else { b"" })?;
                }
                out.write_all(b"\"")?;
            }
            Some(bytes) => out.write_all(bytes)?,
        }
    }
    out.write_all(b"\n")
}

fn json_object(out: &mut impl Write, columns: &[Header], values: &[Value]) -> io::Result<()> {
    out.write_all(b"{")?;
    for (at, (column, value)) in columns.iter().zip(values).enumerate() {
        out.write_all(if at == 0 { b"" } else { b"," })?;
        serde_json::to_writer(&mut *out, &column.name)?;
        out.write_all(b":")?;
        match value {
            None => out.write_all(b"null")?,
            // The digits as they came: decimals are not rounded to doubles.
            Some(bytes) if column.numeric && is_json_number(bytes) => out.write_all(bytes)?,
            Some(bytes) => serde_json::to_writer(&mut *out, &String::from_utf8_lossy(bytes))?,
        }
    }
    out.write_all(b"}")
}

/// Whether JSON accepts the text as a number (`nan`, `inf` and `007` it does not).
fn is_json_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    unsigned.first().is_some_and(u8::is_ascii_digit)
        && text.last().is_some_and(u8::is_ascii_digit)
        && serde_json::from_slice::<serde_json::Number>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(format: Format, rows: &[&[Option<&str>]]) -> String {
        let header = |name: &str, numeric| Header { name: name.to_owned(), numeric };
        let mut out = Vec::new();
        let columns = vec![header("n", true), header("a \"b\"", false)];
        let mut printer = Printer::begin(&mut out, format, columns).expect("memory");
        for row in rows {
            let row: Vec<Value> = row.iter().map(|v| v.map(|v| v.as_bytes().to_vec())).collect();
            printer.row(&row).expect("memory");
        }
        assert_eq!(printer.end().expect("memory"), rows.len() as u64);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn tables_are_aligned() {
        let found = print(
            Format::Table,
            &[&[Some("1"), Some("x")], &[Some("-23.5"), None], &[None, Some("a\x1bb\nc")]],
        );
        let expected = "\
+-------+-------+
|     n | a \"b\" |
+===============+
|     1 | x     |
| -23.5 | NULL  |
|  NULL | a\u{fffd}b   |
|       | c     |
+-------+-------+
";
        assert_eq!(found, expected);
    }

    #[test]
    fn csv_quotes_where_it_must() {
        let rows: [&[Option<&str>]; 5] = [
            &[Some("1"), Some("x y")],
            &[None, Some("")],
            &[Some("2"), Some("a,\"b\"\nc")],
            &[Some("3"), Some("\\N")],
            &[Some("4"), Some("\"")],
        ];
        let expected = "n,\"a \"\"b\"\"\"\n1,x y\n\\N,\n2,\"a,\"\"b\"\"\nc\"\n3,\"\\N\"\n4,\"\"\"\"\n";
        assert_eq!(print(Format::Csv, &rows), expected);
        assert_eq!(print(Format::Csv, &[]), "n,\"a \"\"b\"\"\"\n");
    }

    #[test]
    fn json_is_one_array_of_objects() {
        let rows: [&[Option<&str>]; 3] = [
            &[Some("12345678901234567890.123456789"), Some("x\"\n")],
            &[None, None],
            &[Some("nan"), Some("1")],
        ];
        let expected = concat!(
            r#"[{"n":12345678901234567890.123456789,"a \"b\"":"x\"\n"},"#,
            "\n ",
            r#"{"n":null,"a \"b\"":null},"#,
            "\n ",
            r#"{"n":"nan","a \"b\"":"1"}]"#,
            "\n"
        );
        let found = print(Format::Json, &rows);
        assert_eq!(found, expected);
        assert!(serde_json::from_str::<serde_json::Value>(&found).is_ok());
        assert_eq!(print(Format::Json, &[]), "[]\n");
    }

    #[test]
    fn json_numbers_are_told_from_texts() {
        let cases = [
            ("0", true),
            ("-1.5", true),
            ("1e30", true),
            ("170141183460469231731687303715884105727", true),
            ("", false),
            ("-", false),
            ("007", false),
            ("nan", false),
            ("inf", false),
            ("1 ", false),
            ("1.", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_json_number(text.as_bytes()), expected, "{text}");
        }
    }
}
