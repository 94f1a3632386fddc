//! Finds the partition of each row of a batch. Pure.
//!
//! Partitions stand here as *slots*, small numbers that the caller gives out. Single columns with ordinals (dates, times,
//! integers, decimals) and single string columns are looked up without making a value per row; everything else
//! goes through [`Literal`]s.

use std::collections::{BTreeMap, HashMap};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use cairn_catalog::{Bounds, Partitioning};
use cairn_types::{Literal, Result};

use crate::literal::{literal_at, literal_of_ordinal, ordinal_of_literal, visit_ordinals, visit_strings};

/// The slot of a row that no partition takes.
pub const NO_SLOT: u32 = u32::MAX;

/// Partition bounds, arranged for look-up.
pub struct PartitionIndex {
    /// Says what bounds are asked for about a row.
    partitioning: Partitioning,
    /// All bounds that were added: what look-up by [`Literal`]s uses, and the truth the rest is made from.
    ranges: Vec<(Bounds, u32)>,
    keys: BTreeMap<Vec<Literal>, u32>,
    fast: Fast,
    /// A value of the column's type, when a single column with ordinals decides: bounds are compared with it by type.
    sample: Literal,
    /// The slot of a NULL in a single column.
    null: u32,
}

enum Fast {
    /// One partition holds everything.
    All(u32),
    /// Of a single column with ordinals, sorted by lower bound. They do not overlap.
    Intervals(Vec<Interval>),
    Ordinals(HashMap<i128, u32>),
    Strings(HashMap<String, u32>),
    None,
}

/// `lower <= ordinal < upper`; no upper bound when `None`.
#[derive(Clone, Copy, Debug)]
struct Interval {
    lower: i128,
    upper: Option<i128>,
    slot: u32,
}

impl Interval {
    fn contains(&self, ordinal: i128) -> bool {
        self.lower <= ordinal && self.upper.is_none_or(|upper| ordinal < upper)
    }
}

impl PartitionIndex {
    /// An index without partitions for a table cut by `partitioning`, whose columns have these Arrow types.
    #[must_use]
    pub fn new(partitioning: &Partitioning, types: &[DataType]) -> Self {
        let single = match types {
            [one] => Some(one),
            _ => None,
        };
        let floored = (0..types.len()).any(|at| partitioning.floor(at).is_some());
        let fast = match (partitioning, single) {
            (Partitioning::None, _) => Fast::All(NO_SLOT),
            // Keys are not the rows' own values.
            _ if floored => Fast::None,
            (Partitioning::Range { .. } | Partitioning::Time { .. }, Some(ty)) if has_ordinals(ty) => {
                Fast::Intervals(Vec::new())
            }
            (Partitioning::List { .. } | Partitioning::Values { .. }, Some(ty)) if has_ordinals(ty) => {
                Fast::Ordinals(HashMap::new())
            }
            (Partitioning::List { .. } | Partitioning::Values { .. }, Some(DataType::Utf8View)) => {
                Fast::Strings(HashMap::new())
            }
            _ => Fast::None,
        };
        let sample = single.map_or(Literal::Null, |ty| literal_of_ordinal(ty, 0));
        let partitioning = partitioning.clone();
        Self { partitioning, ranges: Vec::new(), keys: BTreeMap::new(), fast, sample, null: NO_SLOT }
    }

    /// Adds the partition of `slot`.
    pub fn add(&mut self, bounds: &Bounds, slot: u32) {
        match bounds {
            Bounds::All => self.fast = Fast::All(slot),
            Bounds::Range { lower, upper } => {
                if let Fast::Intervals(intervals) = &mut self.fast {
                    match interval(&self.sample, lower.as_deref(), upper.as_deref(), slot) {
                        Some(new) => {
                            let at = intervals.partition_point(|i| i.lower < new.lower);
                            intervals.insert(at, new);
                        }
                        // Bounds of other types than the column: the slow way compares them rightly.
                        None => self.fast = Fast::None,
                    }
                }
                self.ranges.push((bounds.clone(), slot));
            }
            Bounds::List { keys } => {
                for key in keys {
                    self.add_key(key, slot);
                }
            }
        }
        if bounds.contains(&[Literal::Null]) {
            self.null = slot;
        }
    }

    fn add_key(&mut self, key: &[Literal], slot: u32) {
        match (&mut self.fast, key) {
            (Fast::Ordinals(map), [value]) => {
                if let Some(ordinal) = ordinal_of_literal(value) {
                    map.insert(ordinal, slot);
                }
            }
            (Fast::Strings(map), [Literal::Str(text)]) => {
                map.insert(text.clone(), slot);
            }
            _ => {}
        }
        self.keys.insert(key.to_vec(), slot);
    }

    /// The slot of a row with these values. There is none for values that no partition can hold.
    #[must_use]
    pub fn find(&self, values: &[Literal]) -> Option<u32> {
        if let Fast::All(slot) = self.fast {
            return (slot != NO_SLOT).then_some(slot);
        }
        let key = self.partitioning.key(values).ok()?;
        let listed = self.keys.get(&*key).copied();
        listed.or_else(|| self.ranges.iter().find(|(bounds, _)| bounds.contains(&key)).map(|(_, slot)| *slot))
    }

    /// The slot of each row; [`NO_SLOT`] for rows that no partition takes. `columns` are those that decide.
    ///
    /// # Errors
    /// `Internal` when a column has an Arrow type that no table column has.
    pub fn locate(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut slots = vec![NO_SLOT; rows];
        let mut put = |row: usize, slot: u32| {
            if let Some(entry) = slots.get_mut(row) {
                *entry = slot;
            }
        };
        let null = self.null;
        let done = match (&self.fast, columns) {
            (Fast::All(slot), _) => {
                slots.fill(*slot);
                true
            }
            (Fast::Intervals(intervals), [column]) => {
                // Neighbouring rows mostly share a partition: the last one is tried first.
                let mut last: Option<Interval> = None;
                visit_ordinals(column, |row, value| {
                    let Some(ordinal) = value else { return put(row, null) };
                    if !last.is_some_and(|i| i.contains(ordinal)) {
                        last = search(intervals, ordinal);
                    }
                    put(row, last.map_or(NO_SLOT, |i| i.slot));
                })
            }
            (Fast::Ordinals(map), [column]) => visit_ordinals(column, |row, value| {
                put(row, value.map_or(null, |v| map.get(&v).copied().unwrap_or(NO_SLOT)));
            }),
            (Fast::Strings(map), [column]) => visit_strings(column, |row, value| {
                put(row, value.map_or(null, |v| map.get(v).copied().unwrap_or(NO_SLOT)));
            }),
            _ => false,
        };
        if !done {
            self.locate_by_literals(columns, &mut slots)?;
        }
        Ok(slots)
    }

    fn locate_by_literals(&self, columns: &[ArrayRef], slots: &mut [u32]) -> Result<()> {
        let mut last: Option<(Vec<Literal>, u32)> = None;
        for (row, slot) in slots.iter_mut().enumerate() {
            let key = key_at(columns, row)?;
            *slot = match &last {
                Some((same, slot)) if *same == key => *slot,
                _ => self.find(&key).unwrap_or(NO_SLOT),
            };
            last = Some((key, *slot));
        }
        Ok(())
    }
}

/// The values of `columns` at `row`.
///
/// # Errors
/// `Internal` when a column has an Arrow type that no table column has.
pub fn key_at(columns: &[ArrayRef], row: usize) -> Result<Vec<Literal>> {
    columns.iter().map(|column| literal_at(column, row)).collect()
}

fn has_ordinals(data_type: &DataType) -> bool {
    visit_ordinals(&arrow::array::new_empty_array(data_type), |_, _| {})
}

fn search(intervals: &[Interval], ordinal: i128) -> Option<Interval> {
    let after = intervals.partition_point(|i| i.lower <= ordinal);
    intervals.get(after.checked_sub(1)?).copied().filter(|i| i.contains(ordinal))
}

/// Bounds as an interval of ordinals of values like `sample`; `None` when they cannot be one.
fn interval(
    sample: &Literal,
    lower: Option<&[Literal]>,
    upper: Option<&[Literal]>,
    slot: u32,
) -> Option<Interval> {
    let lower = match lower {
        None => i128::MIN,
        Some([value]) => threshold(sample, value)?,
        Some(_) => return None,
    };
    let upper = match upper {
        None => None,
        Some([value]) => Some(threshold(sample, value)?),
        Some(_) => return None,
    };
    Some(Interval { lower, upper, slot })
}

/// A bound as an ordinal. A bound of a type that sorts below all values like `sample` (NULL; a date, among times) is
/// the lowest ordinal.
fn threshold(sample: &Literal, bound: &Literal) -> Option<i128> {
    let same_scale = match (sample, bound) {
        (Literal::Decimal(_, a), Literal::Decimal(_, b)) => a == b,
        _ => std::mem::discriminant(sample) == std::mem::discriminant(bound),
    };
    match same_scale {
        true => ordinal_of_literal(bound),
        false => (bound < sample && !matches!(bound, Literal::Decimal(..))).then_some(i128::MIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{Date32Array, Int32Array, StringViewArray, TimestampMicrosecondArray};
    use cairn_catalog::TimeUnit;

    fn range(lower: Option<i32>, upper: Option<i32>) -> Bounds {
        let bound = |v: Option<i32>| v.map(|v| vec![Literal::Int(v.into())]);
        Bounds::Range { lower: bound(lower), upper: bound(upper) }
    }

    /// Both ways of looking up must agree.
    fn check(index: &PartitionIndex, columns: &[ArrayRef], expected: &[u32]) {
        assert_eq!(index.locate(columns, expected.len()).unwrap(), expected);
        for (row, slot) in expected.iter().enumerate() {
            let found = index.find(&key_at(columns, row).unwrap()).unwrap_or(NO_SLOT);
            assert_eq!(found, *slot, "row {row} by literals");
        }
    }

    #[test]
    fn ranges_of_one_column() {
        let mut index = PartitionIndex::new(&Partitioning::Range { columns: vec![0] }, &[DataType::Int32]);
        index.add(&range(Some(20), None), 2);
        index.add(&range(None, Some(10)), 0);
        index.add(&range(Some(10), Some(15)), 1);
        let column: ArrayRef = Arc::new(Int32Array::from(vec![
            Some(i32::MIN),
            Some(9),
            Some(10),
            Some(14),
            Some(15),
            Some(19),
            Some(20),
            Some(i32::MAX),
            None,
        ]));
        check(&index, &[column], &[0, 0, 1, 1, NO_SLOT, NO_SLOT, 2, 2, 0]);
    }

    #[test]
    fn ranges_of_two_columns() {
        let key = |a: i128, b: &str| Some(vec![Literal::Int(a), Literal::Str(b.into())]);
        let partitioning = Partitioning::Range { columns: vec![0, 1] };
        let mut index = PartitionIndex::new(&partitioning, &[DataType::Int32, DataType::Utf8View]);
        index.add(&Bounds::Range { lower: None, upper: key(1, "m") }, 0);
        index.add(&Bounds::Range { lower: key(1, "m"), upper: key(2, "") }, 1);
        let columns: [ArrayRef; 2] = [
            Arc::new(Int32Array::from(vec![Some(1), Some(1), Some(2), None])),
            Arc::new(StringViewArray::from(vec![Some("a"), Some("m"), Some(""), None])),
        ];
        check(&index, &columns, &[0, 1, NO_SLOT, 0]);
    }

    #[test]
    fn lists_of_one_and_two_columns() {
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("b"), None, Some("c")]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(1), Some(1)]));
        let text = |t: &str| Literal::Str(t.into());
        let mut index = PartitionIndex::new(&Partitioning::List { columns: vec![0] }, &[DataType::Utf8View]);
        index.add(&Bounds::List { keys: vec![vec![text("a")], vec![Literal::Null]] }, 0);
        index.add(&Bounds::List { keys: vec![vec![text("c")]] }, 1);
        check(&index, &[Arc::clone(&texts)], &[0, NO_SLOT, 0, 1]);

        let mut index = PartitionIndex::new(&Partitioning::List { columns: vec![0] }, &[DataType::Int32]);
        index.add(&Bounds::List { keys: vec![vec![Literal::Int(1)]] }, 0);
        check(&index, &[Arc::clone(&numbers)], &[0, NO_SLOT, 0, 0]);

        let partitioning = Partitioning::values(vec![0, 1]);
        let mut index = PartitionIndex::new(&partitioning, &[DataType::Utf8View, DataType::Int32]);
        index.add(&Bounds::List { keys: vec![vec![text("a"), Literal::Int(1)]] }, 0);
        index.add(&Bounds::List { keys: vec![vec![text("b"), Literal::Null]] }, 1);
        check(&index, &[texts, numbers], &[0, 1, NO_SLOT, NO_SLOT]);
    }

    #[test]
    fn lists_of_slices_take_every_value_of_a_slice() {
        let floor = |unit| Some(cairn_catalog::Floor { unit, step: 1 });
        let by = [(0, floor(TimeUnit::Month)), (1, None)];
        let partitioning = Partitioning::floored_values(by.to_vec());
        let day = |text: &str| match Literal::parse(text, cairn_types::SqlType::Date).unwrap() {
            Literal::Date(days) => Some(days),
            _ => None,
        };
        let days = [day("2024-02-01"), day("2024-02-29"), None, day("2024-03-01"), day("2024-02-07")];
        let days: ArrayRef = Arc::new(Date32Array::from(days.to_vec()));
        let texts = StringViewArray::from(vec![Some("a"), Some("a"), Some("a"), Some("a"), None]);
        let columns = [days, Arc::new(texts) as ArrayRef];
        let mut index = PartitionIndex::new(&partitioning, &[DataType::Date32, DataType::Utf8View]);
        for (slot, row) in [(0, 1), (1, 2)] {
            let values = key_at(&columns, row).unwrap();
            index.add(&partitioning.automatic(&values).unwrap().unwrap().bounds, slot);
        }
        check(&index, &columns, &[0, 0, 1, NO_SLOT, NO_SLOT]);

        // One column alone as well, where other lists are looked up by ordinals.
        let partitioning = Partitioning::floored_values(by.get(..1).unwrap().to_vec());
        let mut index = PartitionIndex::new(&partitioning, &[DataType::Date32]);
        for (slot, row) in [(0, 1), (1, 2)] {
            let values = key_at(columns.get(..1).unwrap(), row).unwrap();
            index.add(&partitioning.automatic(&values).unwrap().unwrap().bounds, slot);
        }
        check(&index, columns.get(..1).unwrap(), &[0, 0, 1, NO_SLOT, 0]);
    }

    #[test]
    fn automatic_time_partitions_take_nulls_apart() {
        let partitioning = Partitioning::Time { column: 0, unit: TimeUnit::Day, step: 1 };
        let day = 86_400_000_000i64;
        for data_type in
            [DataType::Date32, DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)]
        {
            let column: ArrayRef = match data_type {
                DataType::Date32 => Arc::new(Date32Array::from(vec![Some(5), None, Some(-700_000)])),
                _ => Arc::new(TimestampMicrosecondArray::from(vec![
                    Some(5 * day + 1),
                    None,
                    Some(-700_000 * day),
                ])),
            };
            let mut index = PartitionIndex::new(&partitioning, &[data_type]);
            for (slot, row) in [(0, 0), (1, 1)] {
                let key = key_at(std::slice::from_ref(&column), row).unwrap();
                index.add(&partitioning.automatic(&key).unwrap().unwrap().bounds, slot);
            }
            check(&index, &[column], &[0, 1, NO_SLOT]);
        }
    }

    #[test]
    fn an_unpartitioned_table_takes_all() {
        let mut index = PartitionIndex::new(&Partitioning::None, &[]);
        assert_eq!(index.locate(&[], 2).unwrap(), [NO_SLOT, NO_SLOT]);
        index.add(&Bounds::All, 3);
        assert_eq!(index.locate(&[], 2).unwrap(), [3, 3]);
    }
}
