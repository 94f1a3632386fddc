//! `CREATE TABLE` to a table specification.

use cairn_catalog::{Bounds, Distribution, PartitionSpec, Partitioning, TableModel, TableSpec};
use cairn_exec::mview::HIDDEN_PREFIX;
use cairn_sql::ast::{self, ColumnDef, DefaultValue, DistributionKind, KeyModel, TableClauses};
use cairn_types::{Column, ColumnDefault, DbId, Error, Literal, Result, Schema, SqlType, limits};

use super::partition;

/// Leading columns that are the key of a table which names none, as in StarRocks.
const KEY_COLUMNS_DEFAULT: usize = 3;
/// Buckets of a partition where the statement names none.
const BUCKETS_DEFAULT: u32 = 2;

/// Properties that change nothing here and that every StarRocks DDL has.
const ACCEPTED_PROPERTIES: &[&str] = &[
    "replication_num",
    "compression",
    "storage_volume",
    "datacache.enable",
    "enable_async_write_back",
    "in_memory",
    "enable_persistent_index",
    "fast_schema_evolution",
    "storage_format",
    "light_schema_change",
    "replicated_storage",
    "file_bundling",
];

/// Makes the specification of a table. The caller adds the volume.
///
/// # Errors
/// `Analysis` for what has no meaning, `Unsupported` for what Cairn does not have, by name.
pub fn specification(
    db: DbId,
    name: &str,
    columns: &[ColumnDef],
    clauses: &TableClauses,
) -> Result<TableSpec> {
    check_clauses(clauses)?;
    let model = model(clauses)?;
    let schema = schema(columns, clauses, model)?;
    let partitioning = match &clauses.partition_by {
        Some(clause) => partition::partitioning(clause, &schema)?,
        None => Partitioning::None,
    };
    let distribution = distribution(clauses, &schema, model)?;
    let sort_key = match clauses.order_by.is_empty() {
        true => (0..schema.columns.iter().filter(|c| c.key).count()).collect(),
        false => positions(&clauses.order_by, &schema, "ORDER BY")?,
    };
    let partitions = match &clauses.partition_by {
        Some(clause) => partition::specs(&clause.partitions, &partitioning, &schema, &[])?,
        // A table without partitions has one of its own name, as in StarRocks.
        None => vec![PartitionSpec { name: name.to_owned(), bounds: Bounds::All, buckets: None }],
    };
    Ok(TableSpec {
        db,
        name: name.to_owned(),
        model,
        schema,
        sort_key,
        partitioning,
        distribution,
        comment: clauses.comment.clone().unwrap_or_default(),
        properties: super::properties(&clauses.properties),
        volume: None,
        partitions,
    })
}

fn model(clauses: &TableClauses) -> Result<TableModel> {
    match clauses.key.as_ref().map(|key| key.model) {
        None | Some(KeyModel::Duplicate) => Ok(TableModel::Duplicate),
        Some(KeyModel::Unique) => Ok(TableModel::Unique),
        Some(KeyModel::Primary) => Ok(TableModel::Primary),
        Some(KeyModel::Aggregate) => {
            Err(Error::unsupported("AGGREGATE KEY tables are not supported yet: use DUPLICATE KEY"))
        }
    }
}

fn check_clauses(clauses: &TableClauses) -> Result<()> {
    if let Some(engine) = clauses.engine.as_deref().filter(|e| !e.eq_ignore_ascii_case("olap")) {
        return Err(Error::unsupported(format!("ENGINE = {engine} is not supported: use OLAP")));
    }
    if !clauses.rollups.is_empty() {
        return Err(Error::unsupported("ROLLUP is not supported"));
    }
    for property in &clauses.properties {
        let key = property.key.to_ascii_lowercase();
        if !ACCEPTED_PROPERTIES.contains(&key.as_str()) {
            return Err(Error::unsupported(format!("table property \"{}\" is not supported", property.key)));
        }
    }
    Ok(())
}

fn schema(definitions: &[ColumnDef], clauses: &TableClauses, model: TableModel) -> Result<Schema> {
    if definitions.is_empty() {
        return Err(Error::analysis("A table must have at least one column"));
    }
    let mut columns = definitions.iter().map(column).collect::<Result<Vec<Column>>>()?;
    let key_names: Vec<String> = match &clauses.key {
        Some(key) => key.columns.clone(),
        None => definitions.iter().filter(|d| d.key).map(|d| d.name.clone()).collect(),
    };
    let key_count = if key_names.is_empty() && clauses.key.is_none() {
        let can_be_key = |c: &&Column| !c.ty.is_float() && c.ty != SqlType::String;
        columns.iter().take(KEY_COLUMNS_DEFAULT).take_while(can_be_key).count()
    } else {
        key_names.len()
    };
    for (at, name) in key_names.iter().enumerate() {
        let position = columns.iter().position(|c| c.name.eq_ignore_ascii_case(name));
        let Some(position) = position else {
            return Err(Error::analysis(format!("Key column '{name}' does not exist")));
        };
        if position != at {
            return Err(Error::analysis(
                "Key columns must be the first few columns of the schema, in the same order",
            ));
        }
    }
    for (column, definition) in columns.iter_mut().zip(definitions).take(key_count) {
        if column.ty.is_float() {
            return Err(Error::analysis(format!(
                "Invalid data type of key column '{}': '{}'",
                column.name, column.ty
            )));
        }
        column.key = true;
        // Where nothing is said, a column of a primary key is NOT NULL.
        column.nullable &= model != TableModel::Primary || definition.nullable == Some(true);
    }
    Ok(Schema { columns })
}

fn column(definition: &ColumnDef) -> Result<Column> {
    let name = &definition.name;
    let refuse = |what: &str| Err(Error::unsupported(format!("column '{name}': {what} is not supported")));
    if definition.aggregate.is_some() {
        return refuse("an aggregate type (of AGGREGATE KEY tables)");
    }
    if definition.auto_increment {
        return refuse("AUTO_INCREMENT");
    }
    if definition.generated.is_some() {
        return refuse("a generated column");
    }
    if name.is_empty() || name.chars().count() > limits::IDENTIFIER_CHARS_MAX {
        return Err(Error::analysis(format!("Incorrect column name '{name}'")));
    }
    if ["__op", "__row", HIDDEN_PREFIX].iter().any(|reserved| name.to_ascii_lowercase().starts_with(reserved))
    {
        return Err(Error::analysis(format!("Column name '{name}' is reserved")));
    }
    let nullable = definition.nullable.unwrap_or(true);
    let default = match &definition.default {
        None => None,
        Some(DefaultValue::Null) if nullable => Some(ColumnDefault::Null),
        Some(DefaultValue::Null) => {
            return Err(Error::analysis(format!("Invalid default value NULL for NOT NULL column '{name}'")));
        }
        Some(DefaultValue::CurrentTimestamp) if definition.ty == SqlType::DateTime => {
            Some(ColumnDefault::CurrentTimestamp)
        }
        Some(DefaultValue::CurrentTimestamp) => {
            return refuse("DEFAULT CURRENT_TIMESTAMP on another type than DATETIME");
        }
        Some(DefaultValue::Text(text)) => {
            Literal::parse(text, definition.ty)
                .map_err(|e| Error::analysis(format!("Invalid default value for '{name}': {e}")))?;
            Some(ColumnDefault::Text(text.clone()))
        }
        Some(DefaultValue::Function(function)) => return refuse(&format!("DEFAULT {function}()")),
    };
    let comment = definition.comment.clone().unwrap_or_default();
    let (key, column) = (definition.key, Column::new(name, definition.ty, nullable));
    Ok(Column { key, default, comment, ..column })
}

fn distribution(clauses: &TableClauses, schema: &Schema, model: TableModel) -> Result<Distribution> {
    let Some(ast::Distribution { kind, buckets }) = &clauses.distribution else {
        let key = schema.columns.iter().take_while(|column| column.key).count();
        return Ok(match model.is_keyed() {
            true => Distribution::Hash { columns: (0..key).collect(), buckets: BUCKETS_DEFAULT },
            false => Distribution::Random { buckets: BUCKETS_DEFAULT },
        });
    };
    let buckets = buckets.unwrap_or(BUCKETS_DEFAULT);
    match kind {
        DistributionKind::Random => Ok(Distribution::Random { buckets }),
        DistributionKind::Hash(names) => {
            let columns = positions(names, schema, "DISTRIBUTED BY HASH")?;
            let float = columns.iter().filter_map(|at| schema.columns.get(*at)).find(|c| c.ty.is_float());
            match float {
                Some(c) => Err(Error::analysis(format!(
                    "{} column '{}' can not be distribution column",
                    c.ty, c.name
                ))),
                None => Ok(Distribution::Hash { columns, buckets }),
            }
        }
    }
}

fn positions(names: &[String], schema: &Schema, clause: &str) -> Result<Vec<usize>> {
    let position = |name: &String| {
        schema
            .position(name)
            .ok_or_else(|| Error::analysis(format!("{clause} column '{name}' does not exist")))
    };
    names.iter().map(position).collect()
}
