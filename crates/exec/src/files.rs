//! `FILES("path" = …, "format" = …)` as a table: Parquet and CSV files of a folder, a bucket, or one path.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use cairn_catalog::{Catalog, Object};
use cairn_ingest::{BatchOptions, CsvOptions, CsvReader, DISPLAY_NAME, Target, TypedTarget, parse_separator};
use cairn_objects::VolumeStore;
use cairn_sql::ast::Property;
use cairn_types::{Error, Privilege, Result, SqlType};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use sqlparser::ast::{Ident, ObjectName, Query, TableFactor, VisitMut, VisitorMut};

use crate::engine::QueryContext;
use crate::error::{from_datafusion, to_datafusion};
use crate::table::object_store_url;

/// Files that one `FILES()` may name.
const FILES_MAX: usize = 100_000;
/// Bytes of the first CSV file that its columns' types are guessed from.
const SAMPLE_BYTES: u64 = 1 << 20;
/// Rows of them.
const SAMPLE_ROWS: usize = 500;

/// How a file is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileFormat {
    Parquet,
    Csv,
}

/// The properties of `FILES()` that say where and how, and the rest for the storage.
#[derive(Clone, Debug)]
pub struct FilesLocation {
    pub path: String,
    pub format: FileFormat,
    pub csv: CsvOptions,
    /// `aws.s3.*` and the like.
    pub storage: BTreeMap<String, String>,
    /// What reading does not know: writing takes its own from here and refuses the rest.
    pub other: BTreeMap<String, String>,
}

impl FilesLocation {
    /// Reads the properties.
    ///
    /// # Errors
    /// `Analysis` for a missing path or a bad value, `Unsupported` for another format, by name.
    pub fn parse(properties: &[Property]) -> Result<Self> {
        let mut this = Self {
            path: String::new(),
            format: FileFormat::Parquet,
            csv: CsvOptions::default(),
            storage: BTreeMap::new(),
            other: BTreeMap::new(),
        };
        let mut format = None;
        for Property { key, value } in properties {
            match key.to_ascii_lowercase().as_str() {
                "path" => this.path.clone_from(value),
                "format" => format = Some(value.to_ascii_lowercase()),
                "csv.column_separator" => this.csv.column_separator = parse_separator(value)?,
                "csv.row_delimiter" => this.csv.row_delimiter = parse_separator(value)?,
                "csv.enclose" => this.csv.enclose = Some(one_byte(key, value)?),
                "csv.escape" => this.csv.escape = Some(one_byte(key, value)?),
                "csv.skip_header" => this.csv.skip_header = number(key, value)?,
                "csv.trim_space" => this.csv.trim_space = value.eq_ignore_ascii_case("true"),
                key if key.starts_with("aws.") => {
                    this.storage.insert(key.to_owned(), value.clone());
                }
                key => {
                    this.other.insert(key.to_owned(), value.clone());
                }
            }
        }
        if this.path.is_empty() {
            return Err(Error::analysis("FILES() needs a \"path\""));
        }
        this.format = match format.as_deref() {
            Some("parquet") => FileFormat::Parquet,
            Some("csv") => FileFormat::Csv,
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "FILES() format '{other}' is not supported: use parquet or csv"
                )));
            }
            None => return Err(Error::analysis("FILES() needs a \"format\": parquet or csv")),
        };
        Ok(this)
    }

    /// That `user` may read and write there: files of the machine itself, and what it reaches by credentials of its own,
    /// belong to who runs the cluster.
    ///
    /// # Errors
    /// `PrivilegeDenied`.
    pub fn check_access(&self, catalog: &Catalog, user: &str) -> Result<()> {
        let has = |key: &str, test: fn(&str) -> bool| self.storage.get(key).is_some_and(|value| test(value));
        let is_s3 = self.path.starts_with("s3://") || self.path.starts_with("s3a://");
        let own_key = has("aws.s3.access_key", |key| !key.is_empty());
        if is_s3 && own_key && !has("aws.s3.use_instance_profile", |value| value != "false") {
            return Ok(());
        }
        let what = if is_s3 { "without aws.s3.access_key" } else { "of a local path" };
        let denied = catalog.require(user, Privilege::Operate, Object::System);
        denied.map_err(|e| e.context(format!("FILES() {what}, '{}'", self.path)))
    }

    /// The store of the path, and the path within it.
    ///
    /// # Errors
    /// `Analysis` for anything but `file:///…` and `s3://bucket/…`; `Unavailable`.
    pub fn open(&self, env: &cairn_env::Env) -> Result<(VolumeStore, String)> {
        let (root, key) = split_root(&self.path)?;
        Ok((VolumeStore::open(&root, &self.storage, env)?, key))
    }
}

fn one_byte(key: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::analysis(format!("\"{key}\" must be one character, not '{value}'"))),
    }
}

fn number(key: &str, value: &str) -> Result<u64> {
    value.parse().map_err(|_| Error::analysis(format!("\"{key}\" must be a number, not '{value}'")))
}

/// `s3://bucket/a/b` is `s3://bucket` and `a/b`; `file:///a/b*` is `file:///a` and `b*`.
fn split_root(path: &str) -> Result<(String, String)> {
    let bad = || Error::analysis(format!("FILES() path '{path}' must be file:///… or s3://bucket/…"));
    let (scheme, rest) = path.split_once("://").ok_or_else(bad)?;
    match scheme {
        "s3" | "s3a" => {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            Ok((format!("s3://{bucket}"), key.to_owned()))
        }
        "file" => {
            let fixed = rest.find(['*', '?', '{', '[']).map_or(rest, |at| rest.get(..at).unwrap_or(rest));
            let cut = fixed.rfind('/').ok_or_else(bad)?;
            let (folder, _) = fixed.split_at_checked(cut).ok_or_else(bad)?;
            Ok((
                format!("file://{}", if folder.is_empty() { "/" } else { folder }),
                rest.get(cut + 1..).unwrap_or_default().to_owned(),
            ))
        }
        _ => Err(bad()),
    }
}

/// Makes a table of every `FILES()` in `query` and puts its name there.
pub(crate) async fn register(context: &QueryContext, query: &mut Query) -> Result<()> {
    let mut found = Found::default();
    if let ControlFlow::Break(error) = query.visit(&mut found) {
        return Err(error);
    }
    for (name, location) in found.0 {
        let table = table(context, &location).await?;
        context.files.lock().insert(name, table);
    }
    Ok(())
}

/// The table that `FILES()` at `location` is.
///
/// # Errors
/// `NotFound` when no file is there; `Corrupt` when the first one cannot be read.
pub async fn table(context: &QueryContext, location: &FilesLocation) -> Result<Arc<dyn TableProvider>> {
    if let Some(key) = location.other.keys().next() {
        return Err(Error::unsupported(format!("FILES() property \"{key}\" is not supported for reading")));
    }
    location.check_access(&context.catalog, &context.user)?;
    let env = context.engine.tablets.env();
    let (store, pattern) = location.open(env)?;
    let files = list(&store, &pattern, &location.path).await?;
    match location.format {
        FileFormat::Parquet => parquet_table(store, files).await,
        FileFormat::Csv => csv_table(store, files, &location.csv).await,
    }
}

#[derive(Default)]
struct Found(Vec<(String, FilesLocation)>);

impl VisitorMut for Found {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let Some(properties) = cairn_sql::files_properties(factor) else { return ControlFlow::Continue(()) };
        match properties.and_then(|p| FilesLocation::parse(&p)) {
            Ok(location) => {
                let table_name = format!("__files_{}", self.0.len());
                if let TableFactor::Table { name, args, .. } = factor {
                    *name = ObjectName::from(vec![Ident::with_quote('`', &table_name)]);
                    *args = None;
                }
                self.0.push((table_name, location));
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// The files that `pattern` (a path, a folder with `/` at the end, or with `*` and `?` in its last part) names.
async fn list(store: &VolumeStore, pattern: &str, shown: &str) -> Result<Vec<ObjectMeta>> {
    let objects = store.object_store();
    let fixed = pattern.find(['*', '?']).map_or(pattern, |at| pattern.get(..at).unwrap_or(pattern));
    let folder = fixed.rfind('/').map_or("", |at| fixed.get(..at).unwrap_or(""));
    let prefix = object_store::path::Path::from(folder);
    let unreachable = |e: object_store::Error| Error::unavailable(format!("cannot list {shown}: {e}"));
    let is_pattern = fixed.len() < pattern.len();
    if !is_pattern && !pattern.is_empty() && !pattern.ends_with('/') {
        let path = object_store::path::Path::from(pattern);
        return match objects.head(&path).await {
            Ok(meta) => Ok(vec![meta]),
            Err(object_store::Error::NotFound { .. }) => Err(Error::not_found(format!("no file at {shown}"))),
            Err(other) => Err(unreachable(other)),
        };
    }
    let mut files = Vec::new();
    let mut listed = objects.list(Some(&prefix));
    while let Some(meta) = listed.try_next().await.map_err(unreachable)? {
        if !is_pattern || matches_glob(pattern.as_bytes(), meta.location.as_ref().as_bytes()) {
            files.push(meta);
        }
        if files.len() > FILES_MAX {
            return Err(Error::resource_exhausted(format!("{shown} names more than {FILES_MAX} files")));
        }
    }
    files.retain(|f| f.size > 0);
    files.sort_by(|a, b| a.location.cmp(&b.location));
    match files.is_empty() {
        true => Err(Error::not_found(format!("no file at {shown}"))),
        false => Ok(files),
    }
}

/// `*` is any text without `/`, `?` any character but `/`.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if matches_glob(rest, text) => true,
        (Some((b'*', _)), Some((c, text_rest))) if *c != b'/' => matches_glob(pattern, text_rest),
        (Some((b'?', rest)), Some((c, text_rest))) if *c != b'/' => matches_glob(rest, text_rest),
        (Some((p, rest)), Some((c, text_rest))) if p == c => matches_glob(rest, text_rest),
        _ => false,
    }
}

async fn parquet_table(store: VolumeStore, files: Vec<ObjectMeta>) -> Result<Arc<dyn TableProvider>> {
    let objects = store.object_store();
    let Some(first) = files.first() else { return Err(Error::internal("no file to read")) };
    let read = DFParquetMetadata::new(objects.as_ref(), first).fetch_schema().await;
    let found =
        read.map_err(|e| Error::corrupt(format!("{} is no readable Parquet file: {e}", first.location)))?;
    let schema = Arc::new(view_strings(&found));
    let table = Arc::new(ExternalParquet { schema, objects, files });
    lower_names(table)
}

/// Strings as views, as in our own tables.
fn view_strings(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
        }
        DataType::Binary | DataType::LargeBinary => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::BinaryView))
        }
        _ => Arc::clone(field),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// Columns are compared without regard to case: the files' own names stay as what is shown.
fn lower_names(table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let mut seen = HashSet::new();
    let mut columns = Vec::new();
    for field in schema.fields() {
        let lower = field.name().to_lowercase();
        if !seen.insert(lower.clone()) {
            return Err(Error::unsupported(format!(
                "the files have two columns '{lower}' that differ in case only"
            )));
        }
        let metadata = [(DISPLAY_NAME.to_owned(), field.name().clone())];
        let metadata = std::collections::HashMap::from(metadata).into();
        let column = Expr::Column(datafusion::common::Column::new_unqualified(field.name()));
        columns.push(column.alias_with_metadata(lower, Some(metadata)));
    }
    let plan = LogicalPlanBuilder::scan("files", provider_as_source(table), None)
        .and_then(|b| b.project(columns))
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Parquet files that others wrote.
struct ExternalParquet {
    schema: SchemaRef,
    objects: Arc<dyn ObjectStore>,
    files: Vec<ObjectMeta>,
}

impl fmt::Debug for ExternalParquet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalParquet").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for ExternalParquet {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let readers = Arc::new(DefaultParquetFileReaderFactory::new(Arc::clone(&self.objects)));
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(readers);
        let files = self.files.iter().cloned().map(PartitionedFile::new_from_meta).collect();
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(object_store_url()?, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

async fn csv_table(
    store: VolumeStore,
    files: Vec<ObjectMeta>,
    options: &CsvOptions,
) -> Result<Arc<dyn TableProvider>> {
    let objects = store.object_store();
    let Some(first) = files.first() else { return Err(Error::internal("no file to read")) };
    let end = first.size.min(SAMPLE_BYTES);
    let sample = objects
        .get_range(&first.location, 0..end)
        .await
        .map_err(|e| Error::unavailable(format!("cannot read {}: {e}", first.location)))?;
    let targets = guess_targets(options, &sample)?;
    let schema = CsvReader::new(options.clone(), targets.clone(), BatchOptions::default())?.schema();
    let partitions = files.into_iter().map(|file| {
        let part = CsvFile {
            schema: Arc::clone(&schema),
            objects: Arc::clone(&objects),
            file,
            options: options.clone(),
            targets: targets.clone(),
        };
        Arc::new(part) as Arc<dyn PartitionStream>
    });
    let table =
        StreamingTable::try_new(Arc::clone(&schema), partitions.collect()).map_err(from_datafusion)?;
    Ok(Arc::new(table))
}

/// Columns `$1`, `$2`… with the narrowest of BIGINT, DOUBLE, DATE, DATETIME, STRING that fits the first rows.
fn guess_targets(options: &CsvOptions, sample: &[u8]) -> Result<Vec<Target>> {
    let whole_rows = cairn_ingest::find_last_row_end(options, sample).unwrap_or(sample.len());
    let rows = sample.get(..whole_rows).unwrap_or(sample);
    let first_row = rows
        .split(|b| Some(b) == options.row_delimiter.last())
        .nth(usize::try_from(options.skip_header).unwrap_or(0));
    let columns = count_fields(options, first_row.unwrap_or_default());
    let raw = |at: usize| Target::Raw { name: format!("${}", at + 1) };
    let mut reader =
        CsvReader::new(options.clone(), (0..columns).map(raw).collect(), BatchOptions::default())?;
    let mut batches = reader.push(rows)?;
    batches.extend(reader.finish()?);
    let ty = |at: usize| {
        let values = batches.iter().filter_map(|b| b.columns().get(at)).flat_map(|array| {
            use arrow::array::AsArray;
            array.as_string_view().iter().flatten()
        });
        let values: Vec<&str> = values.take(SAMPLE_ROWS).collect();
        let fits = |ty: SqlType| {
            !values.is_empty() && values.iter().all(|v| cairn_types::Literal::parse(v, ty).is_ok())
        };
        let candidates = [SqlType::BigInt, SqlType::Double, SqlType::Date, SqlType::DateTime];
        let is_time = |ty| matches!(ty, SqlType::Date);
        candidates
            .into_iter()
            .find(|ty| fits(*ty) && !(is_time(*ty) && values.iter().any(|v| v.len() > 10)))
            .unwrap_or(SqlType::Varchar(cairn_types::limits::VARCHAR_BYTES_MAX))
    };
    let typed = |at: usize| TypedTarget {
        name: format!("${}", at + 1),
        ty: ty(at),
        nullable: true,
        strict: false,
        when_missing: None,
    };
    Ok((0..columns).map(|at| Target::Typed(typed(at))).collect())
}

fn count_fields(options: &CsvOptions, row: &[u8]) -> usize {
    let mut fields = 1;
    let mut rest = row;
    let mut enclosed = false;
    while let Some((byte, after)) = rest.split_first() {
        if Some(*byte) == options.enclose {
            enclosed = !enclosed;
        } else if !enclosed && rest.starts_with(&options.column_separator) {
            fields += 1;
            rest = rest.get(options.column_separator.len()..).unwrap_or_default();
            continue;
        }
        rest = after;
    }
    fields
}

/// One CSV file, read as a stream of bounded memory.
struct CsvFile {
    schema: SchemaRef,
    objects: Arc<dyn ObjectStore>,
    file: ObjectMeta,
    options: CsvOptions,
    targets: Vec<Target>,
}

impl fmt::Debug for CsvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvFile").field("file", &self.file.location).finish_non_exhaustive()
    }
}

impl PartitionStream for CsvFile {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (objects, file) = (Arc::clone(&self.objects), self.file.clone());
        let reader = CsvReader::new(self.options.clone(), self.targets.clone(), BatchOptions::default());
        let batches = futures::stream::once(async move {
            let reader = reader.map_err(to_datafusion)?;
            let path = file.location.clone();
            let bytes = objects.get(&path).await?.into_stream();
            Ok::<_, DataFusionError>(read_all(
                reader,
                bytes.map_err(DataFusionError::from).boxed(),
                path.to_string(),
            ))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches.try_flatten()))
    }
}

type Chunks = futures::stream::BoxStream<'static, datafusion::common::Result<bytes::Bytes>>;

/// The batches of a CSV file; a row that does not fit is an error that names it.
fn read_all(
    reader: CsvReader,
    chunks: Chunks,
    path: String,
) -> impl futures::Stream<Item = datafusion::common::Result<arrow::array::RecordBatch>> {
    let state = (reader, Some(chunks), path);
    futures::stream::try_unfold(state, |(mut reader, chunks, path)| async move {
        let Some(mut chunks) = chunks else { return Ok(None) };
        let (batches, more) = match chunks.try_next().await? {
            Some(chunk) => (reader.push(&chunk).map_err(to_datafusion)?, Some(chunks)),
            None => (reader.finish().map_err(to_datafusion)?, None),
        };
        if let Some(row) = reader.tally().rejected.first() {
            return Err(to_datafusion(Error::invalid_value(format!(
                "{path}, row {}: {}",
                row.row_number, row.reason
            ))));
        }
        let batches = futures::stream::iter(batches.into_iter().map(Ok));
        Ok(Some((batches, (reader, more, path))))
    })
    .try_flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files() {
        let check = |pattern: &str, text: &str, expected| {
            assert_eq!(matches_glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        };
        check("a/*.csv", "a/b.csv", true);
        check("a/*.csv", "a/b/c.csv", false);
        check("a/?.csv", "a/bc.csv", false);
        check("a/**", "a/", true);
    }

    #[test]
    fn paths_are_cut_into_store_and_key() {
        let check = |path: &str, root: &str, key: &str| {
            assert_eq!(split_root(path).unwrap(), (root.to_owned(), key.to_owned()), "{path}");
        };
        check("s3://b/x/y.parquet", "s3://b", "x/y.parquet");
        check("file:///d/e/f.csv", "file:///d/e", "f.csv");
        check("file:///d/*/f.csv", "file:///d", "*/f.csv");
        assert!(split_root("hdfs://x/y").is_err());
    }

    #[test]
    fn csv_columns_get_the_narrowest_type() {
        let options = CsvOptions { column_separator: b",".to_vec(), ..CsvOptions::default() };
        let targets = guess_targets(
            &options,
            b"1,1.5,2024-01-01,2024-01-01 00:00:00,x\n2,2,2024-01-02,2024-01-02 00:00:00,\\N\n",
        )
        .unwrap();
        let reader = CsvReader::new(options, targets, BatchOptions::default()).unwrap();
        let types: Vec<DataType> = reader.schema().fields().iter().map(|f| f.data_type().clone()).collect();
        let expected = [SqlType::BigInt, SqlType::Double, SqlType::Date, SqlType::DateTime, SqlType::String];
        assert_eq!(types, expected.map(cairn_ingest::arrow_types::arrow_type));
    }
}
