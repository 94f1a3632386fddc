//! The catalog as one user may know it.

use std::sync::Arc;

use cairn_types::Privilege;
use imbl::OrdMap;

use crate::{Catalog, Object, ROOT, TaskOf};

impl Catalog {
    /// The catalog without the databases, tables, loads, tasks and users that `user` may do nothing to: what is listed or
    /// described from it tells nothing that `user` must not know. Time and memory grow with the number of objects, but
    /// not for `root`.
    #[must_use]
    pub fn seen_by(self: &Arc<Self>, user: &str) -> Arc<Self> {
        if user == ROOT {
            return Arc::clone(self);
        }
        let mut seen = Self::clone(self);
        keep(&mut seen.databases, |db| self.sees_database(user, db));
        keep(&mut seen.tables, |table| self.sees_table(user, table));
        keep(&mut seen.partitions, |partition| seen.tables.contains_key(&partition.table));
        keep(&mut seen.txns, |txn| seen.databases.contains_key(&txn.db));
        keep(&mut seen.tasks, |task| task.creator == user || self.sees_all_tasks(user));
        keep(&mut seen.task_runs, |run| match run.task {
            TaskOf::Task(task) => seen.tasks.contains_key(&task),
            TaskOf::Mview(mview) => seen.tables.contains_key(&mview),
        });
        if !self.may(user, Privilege::Grant, Object::System) {
            keep(&mut seen.users, |other| other.name == user);
        }
        seen.rebuild_names();
        Arc::new(seen)
    }

    /// Whether `user` may see and drop what others submitted.
    #[must_use]
    pub fn sees_all_tasks(&self, user: &str) -> bool {
        self.may(user, Privilege::Operate, Object::System)
    }
}

fn keep<K: Ord + Clone, V>(map: &mut OrdMap<K, Arc<V>>, stays: impl Fn(&V) -> bool) {
    *map = map.iter().filter(|(_, value)| stays(value)).map(|(k, v)| (k.clone(), Arc::clone(v))).collect();
}
