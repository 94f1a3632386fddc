//! What manifests list, from one snapshot to the next: a job reads only those that are new to it.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_catalog::ManifestRef;
use cairn_types::PartitionId;
use parking_lot::Mutex;

use crate::format::{FileSum, SegmentFile};

/// About as many bytes are kept; what is beyond is read anew by each snapshot.
const WEIGHT_MAX: usize = 64 << 20;

/// The files of a manifest that was read and checked once. Manifests never change, and the catalog names them with their
/// checksum, so what one lists is known for ever.
pub(crate) struct ManifestFiles {
    pub(crate) sum: FileSum,
    pub(crate) segments: Vec<SegmentFile>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    partition: PartitionId,
    manifest: String,
    checksum: u32,
}

impl Key {
    fn of(partition: PartitionId, named: &ManifestRef) -> Self {
        Self { partition, manifest: named.name.clone(), checksum: named.checksum }
    }
}

/// The lists of the last snapshot, for the next one.
#[derive(Default)]
pub struct FilesMemo {
    last: Mutex<HashMap<Key, Arc<ManifestFiles>>>,
}

impl FilesMemo {
    pub(crate) fn get(&self, partition: PartitionId, named: &ManifestRef) -> Option<Arc<ManifestFiles>> {
        self.last.lock().get(&Key::of(partition, named)).cloned()
    }

    /// Forgets everything that is not in `next`: what one snapshot did not reach, the following ones hardly will.
    pub(crate) fn replace(&self, next: NextFiles) {
        *self.last.lock() = next.kept;
    }
}

/// What a job that is under way saw.
#[derive(Default)]
pub(crate) struct NextFiles {
    kept: HashMap<Key, Arc<ManifestFiles>>,
    weight: usize,
}

impl NextFiles {
    pub(crate) fn add(&mut self, partition: PartitionId, named: &ManifestRef, files: &Arc<ManifestFiles>) {
        let weight = 200 + files.segments.iter().map(|s| s.file.len() + 48).sum::<usize>();
        if self.weight + weight <= WEIGHT_MAX {
            self.weight += weight;
            self.kept.insert(Key::of(partition, named), Arc::clone(files));
        }
    }
}
