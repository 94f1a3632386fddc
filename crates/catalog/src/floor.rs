//! Partition columns that are cut into slices of time.

use cairn_types::value::MICROS_PER_DAY;
use cairn_types::{Column, Error, Literal, Result, SqlType};
use chrono::{Datelike, NaiveDateTime};
use serde::{Deserialize, Serialize};

use crate::TimeUnit;
use crate::partitioning::{micros, time_of};

const SECONDS_PER_DAY: i64 = 86_400;

/// Units of one slice: more would leave the times that can be reckoned with, and no partition needs them.
const STEP_MAX: u32 = 1_000_000;

/// What `date_trunc(unit, c)` or `time_slice(c, INTERVAL step unit)` makes of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    pub unit: TimeUnit,
    pub step: u32,
}

/// How long a slice is. All slices are counted from 0001-01-01, a Monday.
enum Length {
    Months(i64),
    Seconds(i64),
}

impl Floor {
    /// Whether values of `column` can be cut so.
    ///
    /// # Errors
    /// `Analysis` for a column that is no time, a DATE in slices of less than a day, or a step that is too great.
    pub fn check(self, column: &Column) -> Result<()> {
        let refuse =
            |why: &str| Err(Error::analysis(format!("PARTITION BY {}: {why}", self.sql(&column.name))));
        match (column.ty, self.unit) {
            _ if self.step == 0 || self.step > STEP_MAX => {
                refuse(&format!("the interval must be 1 to {STEP_MAX} units"))
            }
            (SqlType::Date, TimeUnit::Minute | TimeUnit::Hour) => {
                refuse("a DATE column cannot be cut into slices of less than a day")
            }
            (SqlType::Date | SqlType::DateTime, _) => Ok(()),
            _ => refuse("needs a DATE or DATETIME column"),
        }
    }

    /// Whether each of these slices is made of whole slices of `fine`.
    #[must_use]
    pub fn is_made_of(self, fine: Self) -> bool {
        match (self.length(), fine.length()) {
            (Length::Months(coarse), Length::Months(fine)) => coarse % fine == 0,
            (Length::Seconds(coarse), Length::Seconds(fine)) => coarse % fine == 0,
            // A month begins with a day.
            (Length::Months(_), Length::Seconds(fine)) => SECONDS_PER_DAY % fine == 0,
            (Length::Seconds(_), Length::Months(_)) => false,
        }
    }

    fn length(self) -> Length {
        let step = i64::from(self.step.max(1));
        match self.unit {
            TimeUnit::Minute => Length::Seconds(step * 60),
            TimeUnit::Hour => Length::Seconds(step * 3_600),
            TimeUnit::Day => Length::Seconds(step * SECONDS_PER_DAY),
            TimeUnit::Week => Length::Seconds(step * 7 * SECONDS_PER_DAY),
            TimeUnit::Month => Length::Months(step),
            TimeUnit::Quarter => Length::Months(step * 3),
            TimeUnit::Year => Length::Months(step * 12),
        }
    }

    /// The start of the slice that holds `value`. NULL stays NULL: it is a slice of its own.
    ///
    /// # Errors
    /// `InvalidValue` for what is no time, and for a slice that begins before year 0.
    pub fn start(self, value: &Literal) -> Result<Literal> {
        if value.is_null() {
            return Ok(Literal::Null);
        }
        let out_of_range = || self.out_of_range(value);
        let start = self.unit.floor(time_of(value).ok_or_else(out_of_range)?, self.step);
        match start.year() {
            0.. => like(value, start).ok_or_else(out_of_range),
            _ => Err(out_of_range()),
        }
    }

    /// The start of the slice after the one that begins at `start`.
    ///
    /// # Errors
    /// `InvalidValue` for NULL, which nothing follows, and past the times that can be reckoned with.
    pub fn end(self, start: &Literal) -> Result<Literal> {
        let next = time_of(start).and_then(|time| self.unit.next(time, self.step));
        next.and_then(|next| like(start, next)).ok_or_else(|| self.out_of_range(start))
    }

    fn out_of_range(self, value: &Literal) -> Error {
        Error::invalid_value(format!("no {} partition can hold '{value}'", self.unit.name()))
    }

    /// The expression over `column`, which stands as it is.
    #[must_use]
    pub fn sql(self, column: &str) -> String {
        match self.step {
            1 => format!("date_trunc('{}', {column})", self.unit.name()),
            step => format!("time_slice({column}, INTERVAL {step} {})", self.unit.name().to_uppercase()),
        }
    }

    /// The part of a partition's name that says the slice which begins at `start`; `None` for what begins none.
    pub(crate) fn name(self, start: &Literal) -> Option<String> {
        time_of(start).map(|start| self.unit.digits(start))
    }
}

/// `time` as a literal of the type of `value`.
fn like(value: &Literal, time: NaiveDateTime) -> Option<Literal> {
    match value {
        Literal::Date(_) => i32::try_from(micros(time).div_euclid(MICROS_PER_DAY)).ok().map(Literal::Date),
        _ => Some(Literal::DateTime(micros(time))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(unit: &str, step: u32) -> Floor {
        Floor { unit: TimeUnit::parse(unit).unwrap(), step }
    }

    #[test]
    fn slices_have_a_start_an_end_and_a_name() {
        let check = |floor: Floor, ty, text: &str, expected: &str| {
            let value = Literal::parse(text, ty).unwrap();
            let start = floor.start(&value).unwrap();
            let end = floor.end(&start).unwrap();
            let name = floor.name(&start).unwrap();
            assert_eq!(format!("{name} [{start}, {end})"), expected);
            assert!(start <= value && value < end);
            assert_eq!(floor.start(&start).unwrap(), start);
        };
        use SqlType::{Date, DateTime};
        check(floor("day", 1), Date, "2024-02-29", "20240229 [2024-02-29, 2024-03-01)");
        check(floor("week", 1), Date, "2024-03-03", "20240226 [2024-02-26, 2024-03-04)");
        check(floor("month", 1), Date, "2024-02-29", "202402 [2024-02-01, 2024-03-01)");
        check(floor("year", 1), Date, "9999-12-31", "9999 [9999-01-01, +10000-01-01)");
        check(floor("day", 7), Date, "0001-01-08", "00010108 [0001-01-08, 0001-01-15)");
        let hour = "2024022923 [2024-02-29 23:00:00, 2024-03-01 00:00:00)";
        check(floor("hour", 1), DateTime, "2024-02-29 23:59:59.9", hour);
        let quarter = "202401 [2024-01-01 00:00:00, 2024-04-01 00:00:00)";
        check(floor("quarter", 1), DateTime, "2024-02-29 12:00:00", quarter);
    }

    /// What is said of slices is so for the starts of slices all over the calendar.
    #[test]
    fn slices_are_made_of_slices() {
        let units = ["minute", "hour", "day", "week", "month", "quarter", "year"];
        let floors: Vec<Floor> = units.iter().flat_map(|u| [1, 2, 3, 7, 12].map(|n| floor(u, n))).collect();
        let whole = |coarse: Floor, fine: Floor| {
            let mut start = coarse.start(&Literal::DateTime(-1_000_000_000_000_000)).unwrap();
            (0..300).all(|_| {
                start = coarse.end(&start).unwrap();
                fine.start(&start).unwrap() == start
            })
        };
        for coarse in &floors {
            for fine in &floors {
                assert_eq!(coarse.is_made_of(*fine), whole(*coarse, *fine), "{coarse:?} of {fine:?}");
            }
        }
        assert!(floor("week", 1).is_made_of(floor("day", 7)) && floor("day", 7).is_made_of(floor("week", 1)));
        assert!(!floor("month", 1).is_made_of(floor("week", 1)));
    }

    #[test]
    fn null_is_its_own_slice_and_what_no_slice_holds_is_refused() {
        let day = floor("day", 1);
        assert_eq!(day.start(&Literal::Null).unwrap(), Literal::Null);
        assert!(day.end(&Literal::Null).is_err());
        let first = Literal::parse("0000-01-01", SqlType::Date).unwrap();
        let message = floor("week", 1).start(&first).unwrap_err().message().to_owned();
        assert_eq!(message, "no week partition can hold '0000-01-01'");
        assert!(day.start(&Literal::Date(i32::MIN)).is_err());
        assert!(day.start(&Literal::Int(3)).is_err());
    }

    #[test]
    fn columns_that_cannot_be_cut_are_refused() {
        let check = |floor: Floor, ty, expected: &str| {
            let column = Column::new("c", ty, true);
            let found = floor.check(&column).map_or_else(|e| e.message().to_owned(), |()| String::new());
            assert_eq!(found, expected);
        };
        check(floor("day", 1), SqlType::Date, "");
        check(floor("minute", 15), SqlType::DateTime, "");
        let less =
            "PARTITION BY date_trunc('hour', c): a DATE column cannot be cut into slices of less than a day";
        check(floor("hour", 1), SqlType::Date, less);
        check(
            floor("day", 2),
            SqlType::Int,
            "PARTITION BY time_slice(c, INTERVAL 2 DAY): needs a DATE or DATETIME column",
        );
        let step =
            "PARTITION BY time_slice(c, INTERVAL 4000000000 DAY): the interval must be 1 to 1000000 units";
        check(floor("day", 4_000_000_000), SqlType::Date, step);
    }
}
