//! `INSERT INTO FILES(…)`: rows out to Parquet and CSV files.

use bytes::Bytes;
use cairn_exec::files::{FileFormat, FilesLocation};
use cairn_ingest::{CsvWriteOptions, CsvWriter};
use cairn_objects::VolumeStore;
use cairn_sql::ast::Property;
use cairn_types::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::answer::ResultStream;
use crate::session::Session;

/// A file is closed and the next one begun at this size, unless told otherwise.
const FILE_BYTES_DEFAULT: usize = 256 << 20;

/// Writes the rows of `stream`; returns how many.
///
/// # Errors
/// `Unsupported` for a property by name; what the query or the storage meets.
pub async fn write(session: &Session, properties: &[Property], stream: ResultStream) -> Result<u64> {
    let mut location = FilesLocation::parse(properties)?;
    let options = Options::take(&mut location)?;
    location.check_access(&session.catalog(), &session.user)?;
    if location.path.starts_with("file://") && location.path.ends_with('/') {
        VolumeStore::create(&location.path, &location.storage, &session.node.env)?;
    }
    let (store, key) = location.open(&session.node.env)?;
    let mut files = Files { store, key, options, location, write: session.node.env.random_hex(), number: 0 };
    files.write_all(stream).await
}

struct Options {
    compression: Compression,
    file_bytes_max: usize,
    single: bool,
}

impl Options {
    fn take(location: &mut FilesLocation) -> Result<Self> {
        let mut this =
            Self { compression: Compression::SNAPPY, file_bytes_max: FILE_BYTES_DEFAULT, single: false };
        for (key, value) in std::mem::take(&mut location.other) {
            let bad = |what: &str| {
                Error::analysis(format!("FILES() property \"{key}\" must be {what}, not '{value}'"))
            };
            match key.as_str() {
                "compression" => {
                    this.compression = match value.to_ascii_lowercase().as_str() {
                        "uncompressed" => Compression::UNCOMPRESSED,
                        "snappy" => Compression::SNAPPY,
                        "zstd" => Compression::ZSTD(ZstdLevel::default()),
                        "lz4" => Compression::LZ4_RAW,
                        _ => return Err(bad("uncompressed, snappy, zstd or lz4")),
                    }
                }
                "target_max_file_size" => {
                    this.file_bytes_max =
                        value.parse().ok().filter(|n| *n > 0).ok_or_else(|| bad("a number of bytes"))?;
                }
                "single" => this.single = value.eq_ignore_ascii_case("true"),
                _ => {
                    return Err(Error::unsupported(format!(
                        "FILES() property \"{key}\" is not supported for writing"
                    )));
                }
            }
        }
        Ok(this)
    }
}

struct Files {
    store: VolumeStore,
    key: String,
    options: Options,
    location: FilesLocation,
    write: String,
    number: u32,
}

impl Files {
    async fn write_all(&mut self, mut stream: ResultStream) -> Result<u64> {
        let mut rows = 0;
        let mut file = None;
        let schema = named(&stream);
        while let Some(batch) = stream.next().await? {
            let batch = batch
                .with_schema(std::sync::Arc::clone(&schema))
                .map_err(|e| Error::internal(e.to_string()))?;
            rows += batch.num_rows() as u64;
            let mut current = match file.take() {
                Some(current) => current,
                None => self.begin(&schema)?,
            };
            current.write(&batch)?;
            match !self.options.single && current.bytes() >= self.options.file_bytes_max {
                true => self.put(current).await?,
                false => file = Some(current),
            }
        }
        if let Some(last) = file {
            self.put(last).await?;
        } else if self.number == 0 {
            let empty = self.begin(&schema)?;
            self.put(empty).await?;
        }
        Ok(rows)
    }

    fn begin(&self, schema: &arrow::datatypes::SchemaRef) -> Result<FileInMemory> {
        match self.location.format {
            FileFormat::Parquet => {
                let properties =
                    WriterProperties::builder().set_compression(self.options.compression).build();
                let writer =
                    ArrowWriter::try_new(Vec::new(), std::sync::Arc::clone(schema), Some(properties));
                Ok(FileInMemory::Parquet(Box::new(writer.map_err(|e| Error::unsupported(e.to_string()))?)))
            }
            FileFormat::Csv => {
                let csv = &self.location.csv;
                let options = CsvWriteOptions {
                    column_separator: csv.column_separator.clone(),
                    row_delimiter: csv.row_delimiter.clone(),
                    enclose: csv.enclose,
                    escape: csv.escape,
                    ..CsvWriteOptions::default()
                };
                Ok(FileInMemory::Csv(CsvWriter::new(options)?, Vec::new()))
            }
        }
    }

    async fn put(&mut self, file: FileInMemory) -> Result<()> {
        let extension = match self.location.format {
            FileFormat::Parquet => "parquet",
            FileFormat::Csv => "csv",
        };
        let key = match self.options.single || !(self.key.is_empty() || self.key.ends_with('/')) {
            // One file of exactly this name; `put_new` never replaces another.
            true if self.number == 0 => self.key.clone(),
            _ => format!("{}data_{}_{}.{extension}", self.key, self.write, self.number),
        };
        self.number += 1;
        self.store.put_new(&key, Bytes::from(file.finish()?)).await
    }
}

/// The rows' schema under the names that the user wrote.
fn named(stream: &ResultStream) -> arrow::datatypes::SchemaRef {
    let fields = stream.schema.fields().iter().zip(&stream.names);
    let fields =
        fields.map(|(field, name)| field.as_ref().clone().with_name(name).with_metadata(Default::default()));
    std::sync::Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
}

enum FileInMemory {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Csv(CsvWriter, Vec<u8>),
}

impl FileInMemory {
    fn write(&mut self, batch: &arrow::array::RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer) => {
                writer.write(batch).map_err(|e| Error::unsupported(format!("cannot write Parquet: {e}")))
            }
            Self::Csv(writer, out) => writer.write(batch, out),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Parquet(writer) => writer.bytes_written() + writer.in_progress_size(),
            Self::Csv(_, out) => out.len(),
        }
    }

    fn finish(self) -> Result<Vec<u8>> {
        match self {
            Self::Parquet(writer) => {
                writer.into_inner().map_err(|e| Error::internal(format!("cannot end a Parquet file: {e}")))
            }
            Self::Csv(_, out) => Ok(out),
        }
    }
}
