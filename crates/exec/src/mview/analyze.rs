//! What `CREATE MATERIALIZED VIEW` must know of a query: its columns, what it reads, and how it can be cut.

use std::collections::HashSet;
use std::sync::Arc;

use cairn_catalog::{Base, Database, Definition, PartitionLink, Partitioning, Table, TableKind};
use cairn_types::{Column, Error, Result, Schema, limits};
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::{Expr, Query};

use super::bound::Bound;
use super::shape::{self, IncrementalShape};
use super::{deterministic, links, partials, partition_by, prepare};
use crate::engine::{Engine, QueryContext};
use crate::error::from_datafusion;
use crate::sql_types::stored_type;

/// What the query of an MV is.
#[derive(Clone, PartialEq, Debug)]
pub struct Analysis {
    /// The MV's columns, hidden ones last. None is a key: which are is the statement's to say.
    pub schema: Schema,
    /// Tables and MVs that the query reads, through views too; each once, in the order in which they are named.
    pub bases: Vec<Base>,
    /// Views that it reads.
    pub views: Vec<Base>,
    pub partitioning: Partitioning,
    /// Empty: it has one partition, made from everything.
    pub links: Vec<PartitionLink>,
    /// How new rows of its bases can be put into it; `None`: a cell is always computed as a whole.
    pub shape: Option<IncrementalShape>,
    /// The SQL text of the query, and the database that its names are looked up in.
    pub query: String,
    pub default_db: String,
    /// The text of the `PARTITION BY` clause.
    pub partition_by: String,
}

impl Analysis {
    /// The definition that the catalog keeps; `binding` counts how often it was bound.
    #[must_use]
    pub fn definition(&self, binding: u64) -> Definition {
        Definition {
            query: self.query.clone(),
            default_db: self.default_db.clone(),
            partition_by: self.partition_by.clone(),
            bases: self.bases.clone(),
            views: self.views.clone(),
            links: self.links.clone(),
            binding,
        }
    }
}

impl Engine {
    /// Analyzes `query`, written as `query_text`, as that of an MV with these column names (empty: the query's own)
    /// and this `PARTITION BY` clause.
    ///
    /// # Errors
    /// What planning finds; `Analysis` or `Unsupported` for what an MV cannot have, by name.
    pub async fn analyze_mview(
        &self,
        context: Arc<QueryContext>,
        query: &Query,
        query_text: &str,
        columns: &[String],
        partition_by: &[Expr],
    ) -> Result<Analysis> {
        deterministic::check_query(query, context.facts.as_ref())?;
        let planned = self.plan_as_written(&context, query).await?;
        let (bases, views) = bases(&context)?;
        let plan = prepare::prepare(&planned.state, planned.plan.clone()).map_err(from_datafusion)?;
        deterministic::check_plan(&plan)?;
        let mut schema = schema(&plan, &planned.names, columns)?;
        let (partitioning, links) = match partition_by {
            [] => (Partitioning::None, Vec::new()),
            exprs => {
                let found = links::find(&plan, &partition_by::read(exprs, &schema)?)?;
                (found.partitioning, found.links)
            }
        };
        let texts: Vec<String> = partition_by.iter().map(ToString::to_string).collect();
        let mut shape = shape::of(&plan);
        if shape.is_none()
            && let Some((extended, merged)) = partials::extended(&plan, &planned.state)
            && let Some(hidden) = partials::columns(&extended, schema.columns.len())
        {
            schema.columns.extend(hidden);
            shape = Some(merged);
        }
        Ok(Analysis {
            schema,
            bases,
            views,
            partitioning,
            links,
            shape,
            query: query_text.to_owned(),
            default_db: context.database.clone(),
            partition_by: texts.join(", "),
        })
    }
}

/// The tables and views that names were bound to. Their own texts are checked as the query's is.
fn bases(context: &QueryContext) -> Result<(Vec<Base>, Vec<Base>)> {
    let (mut bases, mut views) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for bound in context.bound.all() {
        let (db, table) = match bound {
            Bound::Table(db, table) => (db, table),
            Bound::System(name) => {
                return Err(Error::unsupported(format!(
                    "Materialized view on system table '{name}' is not supported"
                )));
            }
        };
        if !seen.insert(table.id) {
            continue;
        }
        match &table.kind {
            TableKind::View(view) => {
                let query = cairn_sql::parse_query(&view.query)?;
                deterministic::check_query(&query, context.facts.as_ref())
                    .map_err(|e| e.context(format!("view '{}'", table.name)))?;
                views.push(base(&db, &table));
            }
            TableKind::Olap(_) | TableKind::Mview(_) => bases.push(base(&db, &table)),
        }
    }
    match bases.is_empty() {
        true => Err(Error::analysis("Can not find base table in query statement")),
        false => Ok((bases, views)),
    }
}

fn base(db: &Database, table: &Table) -> Base {
    Base { id: table.id, db: db.name.clone(), name: table.name.clone() }
}

/// The columns that `plan` gives: types as `CREATE TABLE … AS SELECT` has them, names as given or the query's.
fn schema(plan: &LogicalPlan, planned: &[String], given: &[String]) -> Result<Schema> {
    let fields = plan.schema().fields();
    if !given.is_empty() && given.len() != fields.len() {
        return Err(Error::analysis(format!(
            "{} column names for {} columns of the materialized view's query",
            given.len(),
            fields.len()
        )));
    }
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(fields.len());
    for (at, field) in fields.iter().enumerate() {
        let name = given.get(at).or_else(|| planned.get(at)).cloned().unwrap_or_default();
        if !seen.insert(name.to_lowercase()) {
            return Err(Error::analysis(format!("Duplicate column name '{name}'")));
        }
        if name.is_empty() || name.chars().count() > limits::IDENTIFIER_CHARS_MAX {
            return Err(Error::analysis(format!("Incorrect column name '{name}': give it another with AS")));
        }
        columns.push(Column::new(name, stored_type(field.data_type())?, field.is_nullable()));
    }
    Ok(Schema { columns })
}
