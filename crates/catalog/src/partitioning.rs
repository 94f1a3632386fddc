//! How a table is cut into partitions, and which partition a new row makes.

use std::borrow::Cow;

use cairn_types::value::{self, MICROS_PER_DAY};
use cairn_types::{Error, Literal, Result};
use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

use crate::{Bounds, Floor, PartitionSpec};

/// The `PARTITION BY` clause.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Partitioning {
    None,
    /// `RANGE(c…)`: partitions are declared.
    Range {
        columns: Vec<usize>,
    },
    /// `LIST(c…)`: partitions are declared.
    List {
        columns: Vec<usize>,
    },
    /// `date_trunc(unit, c)` or `time_slice(c, INTERVAL n unit)`: ranges, made when a row needs one.
    Time {
        column: usize,
        unit: TimeUnit,
        step: u32,
    },
    /// `(e…)`: one list partition a combination of values, made when a row needs one. Each expression is a column or
    /// a floor of one; [`Partitioning::values`] makes it.
    Values {
        columns: Vec<usize>,
        /// One a column, in their order; empty when no column has any.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        floors: Vec<Option<Floor>>,
    },
}

/// A unit of `date_trunc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TimeUnit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl TimeUnit {
    /// The unit of this name, in any case.
    ///
    /// # Errors
    /// `Unsupported` for any other.
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "year" => Self::Year,
            _ => {
                return Err(Error::unsupported(format!(
                    "partition unit '{name}' is not supported: use minute, hour, day, week, month, quarter or year"
                )));
            }
        })
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// The start of the slice of `step` units that holds `time`. Slices of more than one unit are counted from
    /// 0001-01-01, as StarRocks' `time_slice` does.
    #[must_use]
    pub fn floor(self, time: NaiveDateTime, step: u32) -> NaiveDateTime {
        let step = i64::from(step.max(1));
        let date = time.date();
        let day_start = date.and_time(chrono::NaiveTime::MIN);
        match self {
            Self::Minute | Self::Hour => {
                let seconds = if self == Self::Minute { 60 } else { 3600 } * step;
                let since = time.signed_duration_since(origin()).num_seconds();
                origin() + chrono::Duration::seconds(since.div_euclid(seconds) * seconds)
            }
            Self::Day if step == 1 => day_start,
            Self::Day => {
                let since = date.signed_duration_since(origin().date()).num_days();
                origin() + chrono::Duration::days(since.div_euclid(step) * step)
            }
            Self::Week => {
                let monday =
                    day_start - chrono::Duration::days(i64::from(date.weekday().num_days_from_monday()));
                let weeks = monday.signed_duration_since(origin()).num_weeks();
                monday - chrono::Duration::weeks(weeks.rem_euclid(step))
            }
            Self::Month | Self::Quarter | Self::Year => {
                let months = self.months() * step;
                let count = i64::from(date.year() - 1) * 12 + i64::from(date.month0());
                month_start(count.div_euclid(months) * months).unwrap_or(day_start)
            }
        }
    }

    /// The start of the next slice.
    #[must_use]
    pub fn next(self, start: NaiveDateTime, step: u32) -> Option<NaiveDateTime> {
        let step = step.max(1);
        match self {
            Self::Minute => start.checked_add_signed(chrono::Duration::minutes(step.into())),
            Self::Hour => start.checked_add_signed(chrono::Duration::hours(step.into())),
            Self::Day => start.checked_add_days(Days::new(step.into())),
            Self::Week => start.checked_add_days(Days::new(u64::from(step) * 7)),
            Self::Month | Self::Quarter | Self::Year => {
                start.checked_add_months(Months::new(u32::try_from(self.months()).ok()?.checked_mul(step)?))
            }
        }
    }

    fn months(self) -> i64 {
        match self {
            Self::Year => 12,
            Self::Quarter => 3,
            _ => 1,
        }
    }

    fn name_of(self, start: NaiveDateTime) -> String {
        format!("p{}", self.digits(start))
    }

    /// A time as digits down to this unit.
    pub(crate) fn digits(self, start: NaiveDateTime) -> String {
        let pattern = match self {
            Self::Minute => "%Y%m%d%H%M",
            Self::Hour => "%Y%m%d%H",
            Self::Day | Self::Week => "%Y%m%d",
            Self::Month | Self::Quarter => "%Y%m",
            Self::Year => "%Y",
        };
        start.format(pattern).to_string()
    }
}

fn origin() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN)
}

fn month_start(months_since_year_1: i64) -> Option<NaiveDateTime> {
    let year = i32::try_from(months_since_year_1.div_euclid(12)).ok()? + 1;
    let month = u32::try_from(months_since_year_1.rem_euclid(12)).ok()? + 1;
    Some(NaiveDate::from_ymd_opt(year, month, 1)?.and_time(chrono::NaiveTime::MIN))
}

impl Partitioning {
    /// One list partition a combination of the columns' values.
    #[must_use]
    pub fn values(columns: Vec<usize>) -> Self {
        Self::Values { columns, floors: Vec::new() }
    }

    /// One list partition a combination of values, of columns that may be cut into slices of time.
    #[must_use]
    pub fn floored_values(columns: Vec<(usize, Option<Floor>)>) -> Self {
        let (columns, floors): (_, Vec<_>) = columns.into_iter().unzip();
        // One way to write it: partitionings are compared.
        let floors = if floors.iter().all(Option::is_none) { Vec::new() } else { floors };
        Self::Values { columns, floors }
    }

    /// Positions of the columns whose values decide.
    #[must_use]
    pub fn columns(&self) -> &[usize] {
        match self {
            Self::None => &[],
            Self::Range { columns } | Self::List { columns } | Self::Values { columns, .. } => columns,
            Self::Time { column, .. } => std::slice::from_ref(column),
        }
    }

    /// The floor of the partition column at this place among [`Partitioning::columns`]: the keys of its list partitions
    /// hold starts of slices.
    #[must_use]
    pub fn floor(&self, at: usize) -> Option<Floor> {
        match self {
            Self::Values { floors, .. } => floors.get(at).copied().flatten(),
            _ => None,
        }
    }

    /// What bounds are asked for about a row with these values of [`Partitioning::columns`].
    ///
    /// # Errors
    /// `InvalidValue` when a value is outside of what a partition can hold.
    pub fn key<'v>(&self, values: &'v [Literal]) -> Result<Cow<'v, [Literal]>> {
        match self {
            Self::Values { floors, .. } if !floors.is_empty() => {
                let start = |(at, value)| match self.floor(at) {
                    Some(floor) => floor.start(value),
                    None => Ok(Literal::clone(value)),
                };
                values.iter().enumerate().map(start).collect::<Result<_>>().map(Cow::Owned)
            }
            _ => Ok(Cow::Borrowed(values)),
        }
    }

    /// Whether a row without partition makes one.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        matches!(self, Self::Time { .. } | Self::Values { .. })
    }

    /// The partition that a row with these values of [`Partitioning::columns`] makes; `None` when partitions are
    /// declared by hand.
    ///
    /// # Errors
    /// `InvalidValue` when the value is outside of what a partition can hold.
    pub fn automatic(&self, key: &[Literal]) -> Result<Option<PartitionSpec>> {
        match self {
            Self::None | Self::Range { .. } | Self::List { .. } => Ok(None),
            Self::Time { unit, step, .. } => time_partition(key, *unit, *step).map(Some),
            Self::Values { .. } => {
                let key = self.key(key)?.into_owned();
                let name = self.values_name(&key);
                Ok(Some(PartitionSpec { name, bounds: Bounds::List { keys: vec![key] }, buckets: None }))
            }
        }
    }

    /// `p` and the values; characters that a name cannot have stand as `_` and their code, so names never collide.
    fn values_name(&self, key: &[Literal]) -> String {
        let mut name = String::from("p");
        for (at, value) in key.iter().enumerate() {
            if at > 0 {
                name.push('_');
            }
            if matches!(value, Literal::Str(text) if text == "NULL") {
                // The text is not the value NULL.
                name.push_str("_4e_ULL");
                continue;
            }
            let slice = self.floor(at).and_then(|floor| floor.name(value));
            let text = match (slice, value) {
                (Some(slice), _) => slice,
                (None, Literal::Date(days)) => value::format_date(*days).replace('-', ""),
                (None, other) => other.to_string(),
            };
            for c in text.chars() {
                match c {
                    c if c.is_alphanumeric() => name.push(c),
                    c => name.push_str(&format!("_{:x}_", u32::from(c))),
                }
            }
        }
        name
    }
}

fn time_partition(key: &[Literal], unit: TimeUnit, step: u32) -> Result<PartitionSpec> {
    let value = key.first().unwrap_or(&Literal::Null);
    let out_of_range = || Error::invalid_value(format!("no {} partition can hold '{value}'", unit.name()));
    let time = match value {
        // Dates begin at year 0: what is below is NULL alone, so NULL has a partition of its own.
        Literal::Null => {
            let upper = Some(vec![Literal::Date(i32::MIN)]);
            return Ok(PartitionSpec {
                name: "pNULL".into(),
                bounds: Bounds::Range { lower: None, upper },
                buckets: None,
            });
        }
        _ => time_of(value),
    }
    .ok_or_else(out_of_range)?;
    let start = unit.floor(time, step);
    let end = unit.next(start, step).ok_or_else(out_of_range)?;
    let bound = |time: NaiveDateTime| match value {
        Literal::Date(_) => i32::try_from(micros(time).div_euclid(MICROS_PER_DAY))
            .map(Literal::Date)
            .map_err(|_| out_of_range()),
        _ => Ok(Literal::DateTime(micros(time))),
    };
    let bounds = Bounds::Range { lower: Some(vec![bound(start)?]), upper: Some(vec![bound(end)?]) };
    Ok(PartitionSpec { name: unit.name_of(start), bounds, buckets: None })
}

/// The time that a date or time begins; `None` for other values, and outside of the years 0 to 9999.
pub(crate) fn time_of(value: &Literal) -> Option<NaiveDateTime> {
    let micros = match value {
        Literal::Date(days) => i64::from(*days).checked_mul(MICROS_PER_DAY)?,
        Literal::DateTime(micros) => *micros,
        _ => return None,
    };
    let time = chrono::DateTime::from_timestamp_micros(micros)?.naive_utc();
    (0..=9999).contains(&time.year()).then_some(time)
}

pub(crate) fn micros(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp_micros()
}

/// The partitions of `START (…) END (…) EVERY (INTERVAL n unit)`.
///
/// # Errors
/// `Analysis` when the range is empty or makes more than `partitions_max`.
pub fn every(
    start: &Literal,
    end: &Literal,
    unit: TimeUnit,
    step: u32,
    partitions_max: usize,
) -> Result<Vec<PartitionSpec>> {
    let bad = |what: &str| {
        Error::analysis(format!("START ({start}) END ({end}) EVERY ({step} {}): {what}", unit.name()))
    };
    let (mut at, stop) = (time_of(start).zip(time_of(end))).ok_or_else(|| bad("bounds must be dates"))?;
    let literal = |time: NaiveDateTime| match start {
        Literal::Date(_) => {
            Literal::Date(i32::try_from(micros(time).div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX))
        }
        _ => Literal::DateTime(micros(time)),
    };
    let mut specs = Vec::new();
    while at < stop {
        if specs.len() == partitions_max {
            return Err(bad(&format!("makes more than {partitions_max} partitions")));
        }
        let next = unit.next(at, step).ok_or_else(|| bad("is out of range"))?.min(stop);
        let bounds = Bounds::Range { lower: Some(vec![literal(at)]), upper: Some(vec![literal(next)]) };
        specs.push(PartitionSpec { name: unit.name_of(at), bounds, buckets: None });
        at = next;
    }
    match specs.is_empty() {
        true => Err(bad("is empty")),
        false => Ok(specs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_types::SqlType;

    fn check(unit: &str, step: u32, text: &str, ty: SqlType, expected: &str) {
        let unit = TimeUnit::parse(unit).unwrap();
        let partitioning = Partitioning::Time { column: 0, unit, step };
        let key = [Literal::parse(text, ty).unwrap()];
        let spec = partitioning.automatic(&key).unwrap().unwrap();
        let Bounds::Range { lower, upper } = &spec.bounds else { panic!("not a range") };
        let shown = format!("{} [{}, {})", spec.name, lower.as_ref().unwrap()[0], upper.as_ref().unwrap()[0]);
        assert_eq!(shown, expected);
        assert!(spec.bounds.contains(&key));
    }

    #[test]
    fn rows_make_partitions() {
        check("day", 1, "2024-02-29", SqlType::Date, "p20240229 [2024-02-29, 2024-03-01)");
        check("month", 1, "2024-02-29", SqlType::Date, "p202402 [2024-02-01, 2024-03-01)");
        check("quarter", 1, "2024-12-31", SqlType::Date, "p202410 [2024-10-01, 2025-01-01)");
        check("year", 1, "1999-07-01", SqlType::Date, "p1999 [1999-01-01, 2000-01-01)");
        check("week", 1, "2024-03-03", SqlType::Date, "p20240226 [2024-02-26, 2024-03-04)");
        let hour = "p2024022923 [2024-02-29 23:00:00, 2024-03-01 00:00:00)";
        check("hour", 1, "2024-02-29 23:59:59.9", SqlType::DateTime, hour);
        check(
            "month",
            1,
            "2024-02-29 12:00:00",
            SqlType::DateTime,
            "p202402 [2024-02-01 00:00:00, 2024-03-01 00:00:00)",
        );
        check("day", 7, "0001-01-08", SqlType::Date, "p00010108 [0001-01-08, 0001-01-15)");
    }

    #[test]
    fn null_has_a_partition_of_its_own() {
        let partitioning = Partitioning::Time { column: 0, unit: TimeUnit::Day, step: 1 };
        let spec = partitioning.automatic(&[Literal::Null]).unwrap().unwrap();
        assert!(spec.bounds.contains(&[Literal::Null]));
        assert!(!spec.bounds.contains(&[Literal::parse("0000-01-01", SqlType::Date).unwrap()]));
    }

    #[test]
    fn what_no_partition_can_hold_is_refused() {
        let partitioning = |unit| Partitioning::Time { column: 0, unit, step: 1 };
        let check = |unit: TimeUnit, value: Literal| {
            let error = partitioning(unit).automatic(std::slice::from_ref(&value)).unwrap_err();
            let expected = format!("no {} partition can hold", unit.name());
            assert!(error.message().contains(&expected), "{value:?}: {error}");
        };
        for value in [i32::MIN, i32::MAX, -800_000, 3_000_000] {
            check(TimeUnit::Day, Literal::Date(value));
        }
        for value in [i64::MIN, i64::MAX] {
            check(TimeUnit::Hour, Literal::DateTime(value));
        }
        check(TimeUnit::Year, Literal::Int(1));
    }

    #[test]
    fn value_partitions_have_different_names() {
        let partitioning = Partitioning::values(vec![0, 1]);
        let name = |a: &str, b: &str| {
            let key = [Literal::Str(a.into()), Literal::Str(b.into())];
            partitioning.automatic(&key).unwrap().unwrap().name
        };
        assert_eq!(name("bei jing", "x"), "pbei_20_jing_x");
        assert_ne!(name("a_", "b"), name("a", "_b"));
    }

    /// By day, by the value, by month of a time.
    fn floored() -> Partitioning {
        let floor = |unit| Some(Floor { unit, step: 1 });
        Partitioning::floored_values(vec![(2, floor(TimeUnit::Day)), (0, None), (1, floor(TimeUnit::Month))])
    }

    #[test]
    fn rows_of_one_slice_share_a_partition() {
        let check = |date: &str, text: &str, time: &str, expected: &str| {
            let literal = |text: &str, ty| match text {
                "NULL" => Literal::Null,
                text => Literal::parse(text, ty).unwrap(),
            };
            let row = [
                literal(date, SqlType::Date),
                literal(text, SqlType::String),
                literal(time, SqlType::DateTime),
            ];
            let spec = floored().automatic(&row).unwrap().unwrap();
            let Bounds::List { keys } = &spec.bounds else { panic!("not a list") };
            let key = keys[0].iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            assert_eq!(format!("{} ({key})", spec.name), expected);
            assert!(spec.bounds.contains(&floored().key(&row).unwrap()));
        };
        let march = "p20240229_bei_20_jing_202403 (2024-02-29, bei jing, 2024-03-01 00:00:00)";
        check("2024-02-29", "bei jing", "2024-03-01 00:00:00", march);
        check("2024-02-29", "bei jing", "2024-03-31 23:59:59", march);
        check("NULL", "a", "2024-12-31 01:00:00", "pNULL_a_202412 (NULL, a, 2024-12-01 00:00:00)");
        check("2024-01-01", "NULL", "NULL", "p20240101_NULL_NULL (2024-01-01, NULL, NULL)");
    }

    #[test]
    fn the_text_null_has_a_name_of_its_own() {
        let name = |value| Partitioning::values(vec![0]).automatic(&[value]).unwrap().unwrap().name;
        assert_eq!(name(Literal::Null), "pNULL");
        assert_eq!(name(Literal::Str("NULL".into())), "p_4e_ULL");
        assert_eq!(name(Literal::Str("null".into())), "pnull");
    }

    #[test]
    fn without_floors_it_is_written_as_ever() {
        let check = |partitioning: Partitioning, json: &str| {
            assert_eq!(serde_json::to_string(&partitioning).unwrap(), json);
            assert_eq!(serde_json::from_str::<Partitioning>(json).unwrap(), partitioning);
        };
        check(Partitioning::values(vec![0, 1]), r#"{"Values":{"columns":[0,1]}}"#);
        check(Partitioning::floored_values(vec![(1, None)]), r#"{"Values":{"columns":[1]}}"#);
        let floors = r#"[{"unit":"Day","step":1},null,{"unit":"Month","step":1}]"#;
        check(floored(), &format!(r#"{{"Values":{{"columns":[2,0,1],"floors":{floors}}}}}"#));
    }

    #[test]
    fn every_cuts_a_range() {
        let date = |text| Literal::parse(text, SqlType::Date).unwrap();
        let names = |start, end, max| {
            every(&date(start), &date(end), TimeUnit::Month, 1, max)
                .map(|s| s.iter().map(|p| p.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(names("2024-11-01", "2025-01-01", 9).unwrap(), ["p202411", "p202412"]);
        assert!(names("2024-11-01", "2024-11-01", 9).is_err());
        assert!(names("2024-01-01", "2025-01-01", 9).unwrap_err().message().contains("more than 9"));
    }
}
