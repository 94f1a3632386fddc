//! What was found out about definitions of MVs, until one changes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use cairn_catalog::{Catalog, Mview, Table};
use cairn_types::{Schema, TableId};
use parking_lot::Mutex;

/// Findings that are kept. Above that all are forgotten: MVs that were dropped are among them.
const KEPT_MAX: usize = 10_000;

/// Findings, which hold no catalog, by MV. The number says what they follow from.
pub(crate) struct Memo<T> {
    kept: Mutex<HashMap<TableId, (u64, T)>>,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self { kept: Mutex::default() }
    }
}

impl<T: Clone> Memo<T> {
    /// What is known of `table`, or what `find` finds. An error is not kept.
    ///
    /// # Errors
    /// `gone` when a table of its query is, and those of `find`.
    pub(super) async fn get<E>(
        &self,
        catalog: &Catalog,
        table: &Table,
        mview: &Mview,
        gone: impl FnOnce() -> E,
        find: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let key = key(catalog, mview).ok_or_else(gone)?;
        if let Some((known, kept)) = self.kept.lock().get(&table.id)
            && *known == key
        {
            return Ok(kept.clone());
        }
        let found = find.await?;
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(table.id, (key, found.clone()));
        Ok(found)
    }
}

/// A number of all that a definition is planned from: the query, the columns and names of its tables, the texts of its
/// views. `None` when one of them was dropped: its name may mean another by now.
fn key(catalog: &Catalog, mview: &Mview) -> Option<u64> {
    let definition = &mview.definition;
    let mut hasher = DefaultHasher::new();
    (&definition.query, &definition.default_db, definition.binding).hash(&mut hasher);
    mview.table.properties.hash(&mut hasher);
    columns(&mview.table.schema, &mut hasher);
    for base in definition.bases.iter().chain(&definition.views) {
        let table = catalog.table(base.id).filter(|table| catalog.is_visible(table))?;
        (base.id, table.db, &table.name).hash(&mut hasher);
        columns(table.schema(), &mut hasher);
        if let Some(view) = table.view() {
            (&view.query, &view.default_db).hash(&mut hasher);
        }
    }
    Some(hasher.finish())
}

fn columns(schema: &Schema, hasher: &mut DefaultHasher) {
    for column in &schema.columns {
        (&column.name, column.ty, column.nullable).hash(hasher);
    }
}
