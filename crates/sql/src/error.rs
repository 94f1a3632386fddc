//! Parse errors with their place, in the words of StarRocks.

use cairn_types::Error;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::Location;

/// Characters of the text that an error quotes.
const NEAR_CHARS_MAX: usize = 40;

/// An error at `place` of `text` (line and column count characters from 1; line 0 means the end of the text).
pub(crate) fn at(text: &str, place: Location, detail: &str) -> Error {
    let place = if place.line == 0 { end_of(text) } else { place };
    let near = near(text, place);
    let near = if near.is_empty() { "at the end of the text".to_owned() } else { format!("near '{near}'") };
    Error::parse(format!(
        "Getting syntax error at line {}, column {}, {near}. Detail message: {detail}",
        place.line, place.column
    ))
}

/// What `sqlparser` reports, with its place taken out of the message's end.
pub(crate) fn from_parser(text: &str, error: ParserError) -> Error {
    let message = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        ParserError::RecursionLimitExceeded => {
            return Error::parse(
                "The statement nests too deeply to be read. Detail message: split it into smaller ones, or put \
                 long lists of alternatives into IN (…)",
            );
        }
    };
    let (detail, place) = split_place(&message);
    at(text, place, detail)
}

/// Splits `… at Line: 1, Column: 8` into the message and its place; no place is line 0.
fn split_place(message: &str) -> (&str, Location) {
    let nowhere = Location { line: 0, column: 0 };
    let Some((detail, place)) = message.rsplit_once(" at Line: ") else { return (message, nowhere) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (message, nowhere) };
    match (line.parse(), column.parse()) {
        (Ok(line), Ok(column)) => (detail, Location { line, column }),
        _ => (message, nowhere),
    }
}

/// The byte at which `place` lies in `text`; the text's length when it lies behind the end.
pub(crate) fn byte_offset(text: &str, place: Location) -> usize {
    let (mut line, mut column) = (1, 1);
    for (byte, c) in text.char_indices() {
        if (line, column) >= (place.line, place.column) {
            return byte;
        }
        if c == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    text.len()
}

fn near(text: &str, place: Location) -> String {
    let rest = text.get(byte_offset(text, place)..).unwrap_or("");
    rest.lines().next().unwrap_or("").chars().take(NEAR_CHARS_MAX).collect::<String>().trim_end().to_owned()
}

fn end_of(text: &str) -> Location {
    let lines = text.matches('\n').count() as u64;
    let last = text.rsplit('\n').next().unwrap_or("");
    Location { line: lines + 1, column: last.chars().count() as u64 + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_by_line_and_column_in_characters() {
        let text = "SELECT 'ü'\n  FORM t";
        let message = at(text, Location { line: 2, column: 3 }, "x").message().to_owned();
        assert_eq!(message, "Getting syntax error at line 2, column 3, near 'FORM t'. Detail message: x");
        assert_eq!(byte_offset(text, Location { line: 1, column: 10 }), "SELECT 'ü".len());
    }

    #[test]
    fn the_end_of_the_text_is_a_place_too() {
        let error = from_parser("SELECT\n1 +", ParserError::ParserError("Expected: y, found: EOF".into()));
        assert!(error.message().contains("line 2, column 4, at the end of the text"), "{error}");
    }

    #[test]
    fn the_place_leaves_the_message() {
        let error = from_parser("a b", ParserError::ParserError("oops at Line: 1, Column: 3".into()));
        assert!(error.message().ends_with("column 3, near 'b'. Detail message: oops"), "{error}");
    }
}
