//! What a statement gives: rows that exist, rows to come, or a confirmation. And how they go over MySQL's wire.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef,
    TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use cairn_exec::from_datafusion;
use cairn_ingest::text::ColumnText;
use cairn_mysql::{ColumnDef, ColumnType, Format, OkInfo, ResultWriter, RowBuf};
use cairn_types::{Error, Result};
use chrono::{Datelike, Timelike};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use crate::queries::Hold;
use crate::rows::Rows;

/// The result of one statement.
pub enum Answer {
    Ok(OkInfo),
    Rows(Rows),
    Stream(ResultStream),
}

impl Answer {
    /// Nothing to tell.
    #[must_use]
    pub fn done() -> Self {
        Self::Ok(OkInfo::default())
    }

    /// So many rows were written.
    #[must_use]
    pub fn affected(rows: u64, info: String) -> Self {
        Self::Ok(OkInfo { affected_rows: rows, info, ..OkInfo::default() })
    }
}

/// Rows of a running query.
pub struct ResultStream {
    pub names: Vec<String>,
    pub schema: SchemaRef,
    pub batches: SendableRecordBatchStream,
    /// Keeps the catalog state that the query reads.
    pub hold: Hold,
    /// Seconds that the query may still take.
    pub deadline: tokio::time::Instant,
    pub timeout_seconds: u64,
}

impl ResultStream {
    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// What the query meets, or `Timeout`.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match tokio::time::timeout_at(self.deadline, self.batches.next()).await {
            Ok(Some(batch)) => batch.map(Some).map_err(from_datafusion),
            Ok(None) => Ok(None),
            Err(_) => Err(timeout(self.timeout_seconds)),
        }
    }
}

/// The error of a query that took too long.
#[must_use]
pub fn timeout(seconds: u64) -> Error {
    Error::new(
        cairn_types::ErrorKind::Timeout,
        format!("Query exceeded time limit of {seconds} seconds: raise it by SET query_timeout = …"),
    )
}

/// Writes `answer` as one result.
///
/// # Errors
/// What the query meets; a client that is gone.
pub async fn write(answer: Answer, out: &mut ResultWriter<'_>) -> Result<()> {
    match answer {
        Answer::Ok(info) => out.ok(info).await,
        Answer::Rows(rows) => {
            let batch = rows.batch()?;
            let names: Vec<String> = rows.columns().iter().map(|(name, _)| name.clone()).collect();
            out.columns(&columns(&names, &batch.schema())).await?;
            write_batch(&batch, out).await
        }
        Answer::Stream(mut stream) => {
            // The first batch comes first, so that a query which fails at once is an error and not half a result.
            let mut next = stream.next().await?;
            out.columns(&columns(&stream.names, &stream.schema)).await?;
            while let Some(batch) = next {
                write_batch(&batch, out).await?;
                next = stream.next().await?;
            }
            Ok(())
        }
    }
}

/// The columns of a result as MySQL describes them.
#[must_use]
pub fn columns(names: &[String], schema: &SchemaRef) -> Vec<ColumnDef> {
    names.iter().zip(schema.fields()).map(|(name, field)| column(name, field.data_type())).collect()
}

fn column(name: &str, ty: &DataType) -> ColumnDef {
    let kind = match ty {
        DataType::Boolean | DataType::Int8 | DataType::UInt8 => ColumnType::MYSQL_TYPE_TINY,
        DataType::Int16 | DataType::UInt16 => ColumnType::MYSQL_TYPE_SHORT,
        DataType::Int32 | DataType::UInt32 => ColumnType::MYSQL_TYPE_LONG,
        DataType::Int64 | DataType::UInt64 => ColumnType::MYSQL_TYPE_LONGLONG,
        DataType::Float32 => ColumnType::MYSQL_TYPE_FLOAT,
        DataType::Float16 | DataType::Float64 => ColumnType::MYSQL_TYPE_DOUBLE,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
            ColumnType::MYSQL_TYPE_NEWDECIMAL
        }
        DataType::Date32 | DataType::Date64 => ColumnType::MYSQL_TYPE_DATE,
        DataType::Timestamp(..) => ColumnType::MYSQL_TYPE_DATETIME,
        DataType::Null => ColumnType::MYSQL_TYPE_NULL,
        // LARGEINT (Decimal256) too: MySQL has no integer of 128 bits.
        _ => ColumnType::MYSQL_TYPE_VAR_STRING,
    };
    let definition = ColumnDef::new(name, kind);
    match ty {
        DataType::Decimal128(_, scale) => definition.with_decimals(u8::try_from(*scale).unwrap_or(0)),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => definition.unsigned(),
        _ => definition,
    }
}

async fn write_batch(batch: &RecordBatch, out: &mut ResultWriter<'_>) -> Result<()> {
    let arrays = batch.columns();
    let texts = arrays.iter().map(ColumnText::new).collect::<Result<Vec<ColumnText>>>()?;
    let binary = out.format() == Format::Binary;
    let mut text = Vec::new();
    out.rows(batch.num_rows(), |row, to| {
        for (array, column) in arrays.iter().zip(&texts) {
            if column.is_null(row) {
                to.null();
            } else if !(binary && put_binary(array, row, to)) {
                text.clear();
                column.append(row, &mut text);
                to.bytes(&text);
            }
        }
        Ok(())
    })
    .await
}

/// Puts a value in its binary form; `false` when it travels as text.
fn put_binary(array: &ArrayRef, row: usize, to: &mut RowBuf<'_>) -> bool {
    match array.data_type() {
        DataType::Boolean => to.int(i64::from(array.as_boolean().value(row))),
        DataType::Int8 => to.int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => to.int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => to.int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => to.int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => to.uint(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => to.uint(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => to.uint(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => to.uint(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => to.float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => to.double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => {
            let Some(date) = array.as_primitive::<Date32Type>().value_as_date(row) else { return false };
            let (Ok(year), Ok(month), Ok(day)) =
                (u16::try_from(date.year()), u8::try_from(date.month()), u8::try_from(date.day()))
            else {
                return false;
            };
            to.date(year, month, day);
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let Some(time) = array.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row) else {
                return false;
            };
            let byte = |n: u32| u8::try_from(n).unwrap_or(0);
            let Ok(year) = u16::try_from(time.year()) else { return false };
            let clock = (byte(time.hour()), byte(time.minute()), byte(time.second()));
            to.datetime((year, byte(time.month()), byte(time.day())), clock, time.nanosecond() / 1_000);
        }
        _ => return false,
    }
    true
}
