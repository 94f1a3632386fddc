//! The headers of a load, read one by one, with errors that name header and value.

use std::str::FromStr;

use axum::http::HeaderMap;
use cairn_types::{Error, Result};

/// Characters of a value that an error shows.
const SHOWN_CHARS_MAX: usize = 100;

/// The headers of one request.
#[derive(Clone, Copy)]
pub(crate) struct LoadHeaders<'a>(pub &'a HeaderMap);

impl<'a> LoadHeaders<'a> {
    /// The value of `name`, which may be given once.
    pub fn text(self, name: &str) -> Result<Option<&'a str>> {
        let mut values = self.0.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Error::analysis(format!(
                "The header '{name}' is given more than once. Give it once"
            )));
        }
        let text = std::str::from_utf8(value.as_bytes())
            .map_err(|_| Error::analysis(format!("The header '{name}' is not valid UTF-8")))?;
        Ok(Some(text))
    }

    /// As [`Self::text`], but what is given must not be empty.
    pub fn nonempty(self, name: &str) -> Result<Option<&'a str>> {
        let text = self.text(name)?;
        if text.is_some_and(str::is_empty) {
            return Err(Error::analysis(format!(
                "The header '{name}' is empty. Give it a value or leave it out"
            )));
        }
        Ok(text)
    }

    /// `true` or `false`, in any case.
    pub fn flag(self, name: &str) -> Result<Option<bool>> {
        self.text(name)?.map(|value| flag(name, value)).transpose()
    }

    /// A number that `accepts`; `expected` says which those are.
    pub fn number<T: FromStr>(
        self,
        name: &str,
        expected: &str,
        accepts: impl Fn(&T) -> bool,
    ) -> Result<Option<T>> {
        let Some(value) = self.text(name)? else { return Ok(None) };
        match value.trim().parse::<T>() {
            Ok(number) if accepts(&number) => Ok(Some(number)),
            _ => Err(invalid(name, value, expected)),
        }
    }
}

fn flag(name: &str, value: &str) -> Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(name, value, "it must be true or false")),
    }
}

/// The error for a value that does not fit; `expected` is a sentence without its full stop.
pub(crate) fn invalid(name: &str, value: &str, expected: &str) -> Error {
    Error::analysis(format!("Invalid value '{}' of header '{name}': {expected}", shown(value)))
}

/// `value`, or its beginning.
pub(crate) fn shown(value: &str) -> String {
    let mut chars = value.chars();
    let head: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() { format!("{head}...") } else { head }
}
