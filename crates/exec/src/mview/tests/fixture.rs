//! Tables with rows, views over them, and queries that are answered with and without the views.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, FieldRef, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, TableSource};

use super::*;
use crate::mview::prepare::prepare;
use crate::mview::rewrite::{Candidate, Definition, ViewRows, rewrite};
use crate::mview::{partials, shape};
use crate::{MviewOptions, Planned, stored_type};

/// Tables in memory, and an engine.
pub(crate) struct Fixture {
    engine: Arc<Engine>,
    catalog: Arc<Catalog>,
    tables: Vec<TestTable>,
    next_id: u64,
}

/// How a view is cut, and which cells are fresh. What is not fresh has rows that are wrong.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    pub partitioning: Partitioning,
    pub bounds: Vec<(Bounds, bool)>,
}

/// A view's rows.
pub(crate) struct TestRows {
    table: TestTable,
    cells: Option<Vec<(PartitionId, Bounds)>>,
    pub rows: Option<u64>,
}

impl ViewRows for TestRows {
    fn source(&self, only: Option<Vec<PartitionId>>) -> Arc<dyn TableSource> {
        provider_as_source(Arc::new(TestTable { only, ..self.table.clone() }))
    }

    fn cells(&self) -> Option<Vec<(PartitionId, Bounds)>> {
        self.cells.clone()
    }

    fn count(&self, _: Option<&[PartitionId]>) -> Option<u64> {
        self.rows
    }
}

/// What became of a query.
#[derive(Debug)]
pub(crate) struct Answered {
    pub used: Vec<String>,
    pub rejected: Vec<(String, String)>,
    pub plan: String,
}

impl Fixture {
    pub(crate) fn new(world: &World) -> Self {
        let (engine, catalog) = world.engine();
        Self { engine, catalog, tables: Vec::new(), next_id: 1_000_000 }
    }

    /// Puts rows into a table of the catalog, from the query of literals `sql`.
    pub(crate) async fn fill(&mut self, name: &str, sql: &str) {
        let db = self.catalog.database_named("db").unwrap().id;
        let table = Arc::clone(self.catalog.table_named(db, name).unwrap());
        let planned = self.planned(sql).await.unwrap();
        let batches = collect(&planned, planned.plan.clone()).await;
        let schema = arrow_schema(table.schema());
        let batches = batches.iter().map(|b| cast_to(b, &schema)).collect();
        self.tables.push(TestTable { table, rows: [(PartitionId(1), batches)].into(), only: None });
    }

    pub(crate) async fn planned(&self, sql: &str) -> Result<Planned> {
        let context = context(&self.engine, &self.catalog);
        for table in &self.tables {
            context.add_table(&table.table.name, Arc::new(table.clone()));
        }
        let query = cairn_sql::parse_query(sql)?;
        self.engine.plan(Arc::new(context), &query).await
    }

    /// A view named `name` over the query `sql`, filled.
    pub(crate) async fn view(&mut self, name: &str, sql: &str, cells: Option<Cells>) -> Candidate {
        let planned = self.planned(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let plan = prepare(&planned.state, planned.plan.clone()).unwrap();
        let plan = match shape::of(&plan) {
            None => partials::extended(&plan, &planned.state).map_or(plan, |(extended, _)| extended),
            Some(_) => plan,
        };
        let batches = collect(&planned, plan.clone()).await;
        let column = |(field, name): (&FieldRef, &String)| {
            Column::new(name, stored_type(field.data_type()).unwrap(), field.is_nullable())
        };
        let mut columns: Vec<Column> =
            plan.schema().fields().iter().zip(&planned.names).map(column).collect();
        columns.extend(partials::columns(&plan, columns.len()).unwrap());
        let schema = Schema { columns };
        let table = self.table(name, schema);
        let arrow = arrow_schema(table.schema());
        let definition = Definition::of(&plan, arrow.fields().iter().cloned().collect());
        let definition = definition.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let batches: Vec<RecordBatch> = batches.iter().map(|b| cast_to(b, &arrow)).collect();
        let (rows, fresh) = match &cells {
            None => ([(PartitionId(1), batches)].into(), None),
            Some(cells) => split(&batches, cells),
        };
        let table = TestTable { table, rows, only: None };
        self.tables.push(table.clone());
        Candidate {
            name: name.to_owned(),
            definition: Arc::new(definition),
            partitioning: cells.map_or(Partitioning::None, |c| c.partitioning),
            rows: Arc::new(TestRows { table, cells: fresh, rows: None }),
        }
    }

    /// A table that only its rows' schema is asked of.
    fn table(&mut self, name: &str, schema: Schema) -> Arc<Table> {
        let like = self.tables.first().expect("a table").table.clone();
        let mut table = Table::clone(&like);
        self.next_id += 1;
        table.id = TableId(self.next_id);
        table.name = name.to_owned();
        if let cairn_catalog::TableKind::Olap(olap) = &mut table.kind {
            olap.schema = schema;
        }
        Arc::new(table)
    }

    /// Answers `sql` with and without `views`, and compares.
    pub(crate) async fn answer(&self, sql: &str, views: &[Candidate]) -> Result<Answered, String> {
        let planned = self.planned(sql).await.map_err(|e| format!("{sql}: {e}"))?;
        let prepared = prepare(&planned.state, planned.plan.clone()).map_err(|e| format!("{sql}: {e}"))?;
        let schema = Arc::clone(prepared.schema());
        let outcome = rewrite(prepared.clone(), views, &MviewOptions::forced(), &|_| None).unwrap();
        let shown = outcome.plan.display_indent().to_string();
        if !outcome.used.is_empty() {
            let columns = |s: &datafusion::common::DFSchema| {
                s.iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect::<Vec<_>>()
            };
            if columns(outcome.plan.schema()) != columns(&schema) {
                return Err(format!(
                    "{sql}: other columns\n{}\nfrom {schema:?}\nto {:?}",
                    shown,
                    outcome.plan.schema()
                ));
            }
            let expected = rows(&collect(&planned, prepared.clone()).await);
            let actual = rows(&collect(&planned, outcome.plan.clone()).await);
            if expected != actual {
                let before = prepared.display_indent();
                return Err(format!(
                    "{sql}: other rows\n{before}\nbecame\n{shown}\n{expected:#?}\nbecame\n{actual:#?}"
                ));
            }
        }
        Ok(Answered { used: outcome.used, rejected: outcome.rejected, plan: shown })
    }
}

pub(crate) async fn collect(planned: &Planned, plan: LogicalPlan) -> Vec<RecordBatch> {
    let physical = planned.state.create_physical_plan(&plan).await;
    let physical = physical.unwrap_or_else(|e| panic!("{}\n{e}", plan.display_indent()));
    datafusion::physical_plan::collect(physical, planned.task_context())
        .await
        .unwrap_or_else(|e| panic!("{}\n{e}", plan.display_indent()))
}

/// All rows as text, sorted.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    rows.sort();
    rows
}

pub(crate) fn cast_to(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap())
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

type Rows = BTreeMap<PartitionId, Vec<RecordBatch>>;

/// Spreads rows over cells. Rows of stale ones are doubled: a query that reads them gives too much.
fn split(batches: &[RecordBatch], cells: &Cells) -> (Rows, Option<Vec<(PartitionId, Bounds)>>) {
    let (mut all, mut fresh) = (Rows::new(), Vec::new());
    for (at, (bounds, is_fresh)) in cells.bounds.iter().enumerate() {
        let id = PartitionId(10 + at as u64);
        let mut rows = Vec::new();
        for batch in batches {
            let key = |row: usize| -> Vec<Literal> {
                let columns = cells.partitioning.columns().iter();
                let values: Vec<_> = columns.map(|c| literal(batch.column(*c).as_ref(), row)).collect();
                cells.partitioning.key(&values).unwrap().into_owned()
            };
            let inside = (0..batch.num_rows()).map(|row| Some(bounds.contains(&key(row))));
            let inside: arrow::array::BooleanArray = inside.collect();
            rows.push(arrow::compute::filter_record_batch(batch, &inside).unwrap());
        }
        if *is_fresh {
            fresh.push((id, bounds.clone()));
        } else {
            rows.extend(batches.to_vec());
        }
        all.insert(id, rows);
    }
    (all, Some(fresh))
}

pub(crate) fn literal(array: &dyn Array, row: usize) -> Literal {
    if array.is_null(row) {
        return Literal::Null;
    }
    match array.data_type() {
        DataType::Int32 => Literal::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Literal::Int(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::Date32 => Literal::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(..) => {
            Literal::DateTime(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Utf8View => Literal::Str(array.as_string_view().value(row).to_owned()),
        other => panic!("{other}"),
    }
}
