//! `LIKE`, `WHERE`, `ORDER BY` and `LIMIT` over rows that are already there. All but `LIKE` is a query like any other.

use std::sync::Arc;
use std::time::Duration;

use cairn_exec::{Engine, Planned, QueryContext};
use cairn_sql::ast::{ShowFilter, ShowOrder};
use cairn_types::Result;
use sqlparser::ast::{Query, SetExpr};

use crate::answer::Answer;
use crate::rows::Rows;
use crate::session::Session;
use crate::statement::query::{self, Prepared};
use crate::statement::show_create::quoted;

/// What the rows are called in the query; no one names a table like that.
const SOURCE: &str = "__shown_rows";

/// Keeps what `filter` chooses; `LIKE` looks at the column `like_column`.
///
/// # Errors
/// What planning a `WHERE` finds: an unknown column, a wrong type.
pub async fn filtered(
    session: &Session,
    mut rows: Rows,
    like_column: usize,
    filter: Option<&ShowFilter>,
) -> Result<Answer> {
    match filter {
        None => Ok(Answer::Rows(rows)),
        Some(ShowFilter::Like(pattern)) => {
            rows.keep_like(like_column, pattern);
            Ok(Answer::Rows(rows))
        }
        Some(ShowFilter::Where(condition)) => {
            let order = ShowOrder { selection: Some(condition.clone()), ..ShowOrder::default() };
            ordered(session, rows, &order).await
        }
    }
}

/// Keeps what `order` chooses, in its order.
///
/// # Errors
/// What planning finds.
pub async fn ordered(session: &Session, rows: Rows, order: &ShowOrder) -> Result<Answer> {
    if *order == ShowOrder::default() {
        return Ok(Answer::Rows(rows));
    }
    let (catalog, hold) = session.node.sessions.hold_newest(session.node.meta.as_ref());
    let (context, timeout_seconds) = session.context(&catalog, &[])?;
    let planned = plan(&session.node.engine, context, &rows, order).await?;
    let deadline = tokio::time::sleep(Duration::from_secs(timeout_seconds)).deadline();
    query::start(Prepared { planned, hold, deadline, timeout_seconds }).await.map(Answer::Stream)
}

async fn plan(engine: &Engine, context: QueryContext, rows: &Rows, order: &ShowOrder) -> Result<Planned> {
    context.add_table(SOURCE, Arc::new(rows.table()?));
    engine.plan(Arc::new(context), &select(order)?).await
}

/// `SELECT * FROM` the rows, with the clauses of `order`.
fn select(order: &ShowOrder) -> Result<Query> {
    let mut sql = format!("SELECT * FROM {}", quoted(SOURCE));
    let direction = |ascending: &bool| if *ascending { "ASC" } else { "DESC" };
    let columns: Vec<String> = order
        .order_by
        .iter()
        .map(|(column, ascending)| format!("{} {}", quoted(column), direction(ascending)))
        .collect();
    if !columns.is_empty() {
        sql.push_str(&format!(" ORDER BY {}", columns.join(", ")));
    }
    if let Some(limit) = order.limit {
        sql.push_str(&format!(" LIMIT {limit} OFFSET {}", order.offset));
    }
    let mut query = cairn_sql::parse_query(&sql)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.selection.clone_from(&order.selection);
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use async_trait::async_trait;
    use cairn_catalog::{Catalog, Command, Reply};
    use cairn_env::Env;
    use cairn_exec::names::SessionFacts;
    use cairn_exec::{EngineOptions, SystemTables, Tablets};
    use cairn_sql::ast::{Show, Statement};
    use cairn_storage::{Meta, StorageContext, StorageOptions};
    use cairn_types::Error;
    use datafusion::datasource::MemTable;
    use futures::TryStreamExt;
    use sqlparser::ast::Value;

    use super::*;
    use crate::rows::{int, text};
    use crate::system::tests::sample;

    /// A catalog that never changes, no system tables, no facts.
    struct Fixed(Arc<Catalog>);

    #[async_trait]
    impl Meta for Fixed {
        fn catalog(&self) -> Arc<Catalog> {
            Arc::clone(&self.0)
        }

        async fn propose(&self, _: Command) -> Result<Reply> {
            Err(Error::unavailable("read only"))
        }
    }

    impl SystemTables for Fixed {
        fn is_system_database(&self, _: &str) -> bool {
            false
        }

        fn table(&self, _: &Arc<Catalog>, _: &str, _: &str, _: &str) -> Result<Option<MemTable>> {
            Ok(None)
        }
    }

    impl SessionFacts for Fixed {
        fn variable(&self, _: &str) -> Option<Value> {
            None
        }

        fn function(&self, _: &str) -> Option<Value> {
            None
        }
    }

    fn engine(catalog: &Arc<Catalog>, spill_dir: &Path) -> Arc<Engine> {
        let (env, _) = Env::simulated(1, 0);
        let meta = Arc::new(Fixed(Arc::clone(catalog)));
        let storage = StorageContext::new(env, meta, StorageOptions::default());
        let options = EngineOptions {
            memory_bytes_max: 64 << 20,
            spill_dir: spill_dir.to_owned(),
            spill_bytes_max: 1 << 20,
            threads: 2,
        };
        Engine::new(&options, Arc::new(Tablets::new(storage)), Arc::new(Fixed(Arc::clone(catalog)))).unwrap()
    }

    /// What stands behind `SHOW LOAD`.
    fn order(sql: &str) -> ShowOrder {
        let parsed = cairn_sql::parse_statements(&format!("SHOW LOAD {sql}")).unwrap().remove(0);
        match parsed.statement {
            Statement::Show(show) => match *show {
                Show::Load { order, .. } => order,
                other => panic!("{other}"),
            },
            other => panic!("{other}"),
        }
    }

    async fn names(sql: &str) -> Result<(Vec<String>, Vec<String>)> {
        let spill = tempfile::tempdir().unwrap();
        let catalog = Arc::new(sample());
        let engine = engine(&catalog, spill.path());
        let facts = Arc::new(Fixed(Arc::clone(&catalog)));
        let mut rows =
            Rows::new(&[("Label", cairn_types::SqlType::String), ("Job Id", cairn_types::SqlType::BigInt)]);
        for (label, id) in [("b", 2), ("a", 10), ("c", 9)] {
            rows.push([text(label), int(id)]);
        }
        // Without a database, as right after a login.
        let context = engine.context(catalog, "", "root", facts);
        let planned = plan(&engine, context, &rows, &order(sql)).await?;
        let batches =
            planned.execute().await?.try_collect::<Vec<_>>().await.map_err(cairn_exec::from_datafusion)?;
        let texts = query::texts(&batches)?;
        Ok((planned.names, texts.into_iter().map(|mut row| row.remove(0).unwrap_or_default()).collect()))
    }

    #[tokio::test]
    async fn rows_are_chosen_and_ordered() {
        let check = async |sql: &str, expected: &[&str]| {
            let (header, labels) = names(sql).await.unwrap();
            assert_eq!(header, ["Label", "Job Id"]);
            assert_eq!(labels, expected, "{sql}");
        };
        check("ORDER BY `Job Id` DESC", &["a", "c", "b"]).await;
        check("ORDER BY label LIMIT 1, 1", &["b"]).await;
        check("WHERE LABEL = 'c' OR `job id` < 3 ORDER BY `job id`", &["b", "c"]).await;
        check("WHERE Label LIKE 'x%'", &[]).await;
    }

    #[tokio::test]
    async fn unknown_columns_are_named() {
        let error = names("WHERE nonsense = 1").await.unwrap_err();
        assert!(error.message().contains("nonsense"), "{error}");
    }
}
