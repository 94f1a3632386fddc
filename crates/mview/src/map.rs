//! How values of a base's partition column become values of the MV's.

use cairn_catalog::{Floor, PartitionLink, Transform};
use cairn_types::{Error, Literal, Result, SqlType};

use crate::bound::{Bound, BoundBase};
use crate::str2date;
use crate::time::{BEFORE_ALL_DATE, Round, Slicer, literal, micros};

/// `MV partition column = transform(base partition column)`. The transforms never turn the order of two values
/// around, except for `str2date`, which therefore has no bounds.
pub(crate) struct ColumnMap<'a> {
    /// Position in the base's partition key.
    pub from: usize,
    /// The slices of time that the base's list partitions hold of it.
    pub slices: Option<Floor>,
    pub transform: &'a Transform,
    /// The type of the MV's column.
    pub to: SqlType,
}

/// One map for each partition column of the MV.
///
/// # Errors
/// `Analysis` when the link names a column that does not decide about the base's partitions.
pub(crate) fn maps<'a>(
    bound: &Bound<'a>,
    base: &BoundBase<'a>,
    link: &'a PartitionLink,
) -> Result<Vec<ColumnMap<'a>>> {
    let columns = bound.mview.table.partitioning.columns();
    if columns.len() != link.columns.len() {
        return Err(Error::internal(format!("the link to {} has not one entry a column", base.name)));
    }
    let keys = base.olap.partitioning.columns();
    let mut maps = Vec::with_capacity(columns.len());
    for (column, entry) in columns.iter().zip(&link.columns) {
        let to = bound.mview.table.schema.columns.get(*column).map(|c| c.ty);
        let to = to.ok_or_else(|| Error::internal(format!("no column {column}")))?;
        let from = keys.iter().position(|key| *key == entry.column).ok_or_else(|| {
            let column = base.olap.schema.columns.get(entry.column).map_or("?", |c| c.name.as_str());
            Error::analysis(format!("{} is not partitioned by its column '{column}'", base.name))
        })?;
        let slices = base.olap.partitioning.floor(from);
        maps.push(ColumnMap { from, slices, transform: &entry.transform, to });
    }
    Ok(maps)
}

impl ColumnMap<'_> {
    pub(crate) fn is_same(&self) -> bool {
        *self.transform == Transform::Same
    }

    /// The value that the MV has for a base's value.
    pub(crate) fn point(&self, value: &Literal) -> Result<Literal> {
        match (self.transform, value) {
            (_, Literal::Null) => Ok(Literal::Null),
            (Transform::Same, value) => self.cast(value, Round::Down),
            (Transform::Floor { unit, step }, value) => {
                let start = Slicer { unit: *unit, step: *step }.floor(micros(value)?)?;
                literal(start, self.to, Round::Down)
            }
            (Transform::Date { format }, Literal::Str(text)) => match str2date::parse(text, format)? {
                Some(time) => literal(time, self.to, Round::Down),
                None => Err(Error::invalid_value(format!("str2date('{text}', '{format}') is no date"))),
            },
            (Transform::Date { .. }, other) => {
                Err(Error::analysis(format!("str2date needs text, and '{other}' is none")))
            }
        }
    }

    /// The one value that the MV has for all base values behind `key` of a list.
    ///
    /// # Errors
    /// `Analysis` when the base's slices are not within those of the MV: they have several.
    pub(crate) fn key(&self, key: &Literal) -> Result<Literal> {
        let value = self.point(key)?;
        let Some(floor) = self.slices.filter(|_| !key.is_null()) else { return Ok(value) };
        let last = match floor.end(key)? {
            Literal::Date(days) => Literal::Date(days.saturating_sub(1)),
            Literal::DateTime(micros) => Literal::DateTime(micros.saturating_sub(1)),
            other => other,
        };
        match self.point(&last)? == value {
            true => Ok(value),
            false => Err(Error::analysis(format!(
                "its slices by {} are not within the partitions of the materialized view",
                floor.unit.name()
            ))),
        }
    }

    /// The least value that the MV can have for base values of at least `bound`.
    pub(crate) fn lower(&self, bound: &Literal) -> Result<Literal> {
        self.refuse_text()?;
        if *bound == BEFORE_ALL_DATE { Ok(BEFORE_ALL_DATE) } else { self.point(bound) }
    }

    /// The least bound above all values that the MV can have for base values below `bound`.
    pub(crate) fn upper(&self, bound: &Literal) -> Result<Literal> {
        self.refuse_text()?;
        match self.transform {
            _ if *bound == BEFORE_ALL_DATE => Ok(BEFORE_ALL_DATE),
            Transform::Floor { unit, step } => {
                let end = Slicer { unit: *unit, step: *step }.ceil(micros(bound)?)?;
                literal(end, self.to, Round::Up)
            }
            _ => self.cast(bound, Round::Up),
        }
    }

    /// The smallest range that holds the MV's values for all base values behind `value` of a list, where the type has a
    /// next value.
    pub(crate) fn around(&self, value: &Literal) -> Result<(Option<Literal>, Option<Literal>)> {
        if let Some(floor) = self.slices.filter(|_| !value.is_null()) {
            return Ok((Some(self.lower(value)?), Some(self.upper(&floor.end(value)?)?)));
        }
        let lower = self.point(value)?;
        let upper = match (&lower, self.transform) {
            (Literal::Null, _) => return Ok((None, Some(above_null(self.to)?))),
            (start, Transform::Floor { unit, step }) => {
                let end = Slicer { unit: *unit, step: *step }.next(micros(start)?)?;
                literal(end, self.to, Round::Up)?
            }
            (Literal::Int(value), _) => Literal::Int(value.saturating_add(1)),
            (Literal::Date(days), _) => Literal::Date(days.saturating_add(1)),
            (Literal::DateTime(micros), _) => Literal::DateTime(micros.saturating_add(1)),
            (other, _) => {
                return Err(Error::analysis(format!("the single value '{other}' cannot be made a range")));
            }
        };
        Ok((Some(lower), Some(upper)))
    }

    fn cast(&self, value: &Literal, round: Round) -> Result<Literal> {
        match (value, self.to) {
            (Literal::Date(_), SqlType::DateTime) | (Literal::DateTime(_), SqlType::Date) => {
                literal(micros(value)?, self.to, round)
            }
            _ => Ok(value.clone()),
        }
    }

    fn refuse_text(&self) -> Result<()> {
        match self.transform {
            Transform::Date { .. } => {
                Err(Error::unsupported("str2date over ranges of text is not supported: its order may differ"))
            }
            _ => Ok(()),
        }
    }
}

/// What stands right above NULL in a column of this type.
fn above_null(ty: SqlType) -> Result<Literal> {
    match ty {
        SqlType::Date | SqlType::DateTime => Ok(BEFORE_ALL_DATE),
        ty if ty.is_integer() => Ok(Literal::Int(i128::MIN)),
        ty => Err(Error::analysis(format!("NULL of type {ty} cannot be made a range"))),
    }
}
