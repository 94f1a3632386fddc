//! Delete vectors: which rows of a segment do not count any more.

use std::fmt;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roaring::RoaringBitmap;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Positions of rows in their segment, from 0. In a manifest: Roaring's portable form, as base64.
#[derive(Clone, PartialEq, Default)]
pub struct DeleteVector(RoaringBitmap);

impl DeleteVector {
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn contains(&self, row: u32) -> bool {
        self.0.contains(row)
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.0 |= &other.0;
    }

    pub(crate) fn insert(&mut self, row: u32) {
        self.0.insert(row);
    }

    /// The last deleted row.
    pub(crate) fn last(&self) -> Option<u32> {
        self.0.max()
    }

    /// Of the first `rows` rows those that count. Sharing it costs nothing.
    #[must_use]
    pub fn live_mask(&self, rows: usize) -> BooleanBuffer {
        let mut mask = BooleanBufferBuilder::new(rows);
        mask.append_n(rows, true);
        for row in self.0.iter().map(|row| row as usize).take_while(|row| *row < rows) {
            mask.set_bit(row, false);
        }
        mask.finish()
    }
}

impl FromIterator<u32> for DeleteVector {
    fn from_iter<T: IntoIterator<Item = u32>>(rows: T) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl fmt::Debug for DeleteVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter()).finish()
    }
}

impl Serialize for DeleteVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Rows that are loaded again often stand beside each other: as runs they take next to nothing.
        let mut runs = self.0.clone();
        runs.optimize();
        let mut bytes = Vec::with_capacity(runs.serialized_size());
        runs.serialize_into(&mut bytes).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for DeleteVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        RoaringBitmap::deserialize_from(bytes.as_slice()).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_deleted_counts() {
        let check = |dead: &[u32], rows: usize, expected: &[usize]| {
            let mask = dead.iter().copied().collect::<DeleteVector>().live_mask(rows);
            assert_eq!(mask.len(), rows);
            assert_eq!(mask.set_indices().collect::<Vec<_>>(), expected, "{dead:?} of {rows}");
        };
        check(&[], 0, &[]);
        check(&[], 3, &[0, 1, 2]);
        check(&[0, 1, 2], 3, &[]);
        check(&[1, 4, 5], 8, &[0, 2, 3, 6, 7]);
        check(&[1, 9], 3, &[0, 2]);
    }

    #[test]
    fn damage_is_an_error() {
        for text in ["\"*\"", "\"AAAA\"", "\"\"", "7"] {
            assert!(serde_json::from_str::<DeleteVector>(text).is_err(), "{text}");
        }
        let vector: DeleteVector = (0..100_000).step_by(3).collect();
        let text = serde_json::to_string(&vector).unwrap();
        assert_eq!(serde_json::from_str::<DeleteVector>(&text).unwrap(), vector);
    }
}
