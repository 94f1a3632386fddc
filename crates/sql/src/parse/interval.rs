//! Lengths of time.

use cairn_types::Result;

use super::cursor::Cursor;
use super::partition::time_unit;
use crate::ast::Interval;

/// `INTERVAL n unit` of a fixed, positive length.
pub(super) fn interval(c: &mut Cursor<'_>) -> Result<Interval> {
    c.expect("INTERVAL")?;
    let count = c.uint("a number")?;
    let unit = time_unit(c)?;
    if unit.seconds(count).is_none_or(|seconds| seconds == 0) {
        return Err(c.error(&format!(
            "INTERVAL {count} {unit} is no length of time; give a positive number of SECOND, MINUTE, HOUR, DAY or WEEK"
        )));
    }
    Ok(Interval { count, unit })
}
