//! Times as microseconds since 1970-01-01, and slices of them.

use cairn_catalog::TimeUnit;
use cairn_types::{Error, Literal, Result, SqlType};
use chrono::{DateTime, Datelike};

pub(crate) const DAY: i64 = 86_400_000_000;

/// Stands below all times and above NULL; as a bound it is [`BEFORE_ALL_DATE`].
pub(crate) const BEFORE_ALL: i64 = i64::MIN;

/// The upper bound of the partition that holds NULL alone, for DATE and DATETIME columns alike.
pub(crate) const BEFORE_ALL_DATE: Literal = Literal::Date(i32::MIN);

/// `DATE_TRUNC` or `TIME_SLICE` by this many units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slicer {
    pub unit: TimeUnit,
    pub step: u32,
}

impl Slicer {
    pub(crate) fn floor(self, micros: i64) -> Result<i64> {
        let time = DateTime::from_timestamp_micros(micros)
            .map(|time| time.naive_utc())
            .filter(|time| (0..=10_000).contains(&time.year()))
            .ok_or_else(out_of_range)?;
        Ok(self.unit.floor(time, self.step).and_utc().timestamp_micros())
    }

    /// The start of the slice after the one that begins at `start`.
    pub(crate) fn next(self, start: i64) -> Result<i64> {
        let time = DateTime::from_timestamp_micros(start).ok_or_else(out_of_range)?.naive_utc();
        let next = self.unit.next(time, self.step).ok_or_else(out_of_range)?;
        Ok(next.and_utc().timestamp_micros())
    }

    pub(crate) fn ceil(self, micros: i64) -> Result<i64> {
        match self.floor(micros)? {
            start if start == micros => Ok(start),
            start => self.next(start),
        }
    }
}

/// Which way a time goes that a DATE cannot hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Round {
    Down,
    Up,
}

/// Microseconds of a DATE or DATETIME.
pub(crate) fn micros(value: &Literal) -> Result<i64> {
    match value {
        Literal::Date(i32::MIN) => Ok(BEFORE_ALL),
        Literal::Date(days) => i64::from(*days).checked_mul(DAY).ok_or_else(out_of_range),
        Literal::DateTime(micros) => Ok(*micros),
        other => Err(Error::analysis(format!("'{other}' is not a date"))),
    }
}

/// The value of a column of type `ty`.
pub(crate) fn literal(micros: i64, ty: SqlType, round: Round) -> Result<Literal> {
    match ty {
        _ if micros == BEFORE_ALL => Ok(BEFORE_ALL_DATE),
        SqlType::DateTime => Ok(Literal::DateTime(micros)),
        SqlType::Date => {
            let up = round == Round::Up && micros.rem_euclid(DAY) != 0;
            let days = micros.div_euclid(DAY) + i64::from(up);
            i32::try_from(days).map(Literal::Date).map_err(|_| out_of_range())
        }
        other => Err(Error::analysis(format!("a column of type {other} cannot be cut by time"))),
    }
}

fn out_of_range() -> Error {
    Error::analysis("a bound is outside of the years 0 to 9999")
}
