//! JSON paths, as far as loads use them: `$`, `$.key`, `$."a key"`, `$["key"]`, `$[0]`, and chains of these.

use cairn_types::{Error, Result};
use serde_json::value::RawValue;

use crate::json::value::{element, member};

/// One step into a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// Reads a path.
///
/// # Errors
/// `Analysis` naming the path and what is wrong; `Unsupported` for wildcards, slices and filters.
pub(crate) fn parse_path(path: &str) -> Result<Vec<Step>> {
    let bad = |what: &str| Error::analysis(format!("Invalid JSON path '{path}': {what}"));
    let trimmed = path.trim();
    let mut rest = trimmed.strip_prefix('$').ok_or_else(|| bad("it must begin with $"))?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, behind) = if let Some(key) = rest.strip_prefix('.') {
            if key.starts_with(['*', '.']) {
                return Err(unsupported(path));
            }
            match key.strip_prefix('"') {
                Some(quoted) => {
                    let (key, behind) = quoted.split_once('"').ok_or_else(|| bad("a quote is not closed"))?;
                    (Step::Key(key.to_owned()), behind)
                }
                None => {
                    let (key, behind) = key.split_at(key.find(['.', '[']).unwrap_or(key.len()));
                    (Step::Key(key.to_owned()), behind)
                }
            }
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (inner, behind) = inner.split_once(']').ok_or_else(|| bad("a bracket is not closed"))?;
            (bracket(inner.trim(), path)?, behind)
        } else {
            return Err(bad("after $ come .key and [index]"));
        };
        if step == Step::Key(String::new()) {
            return Err(bad("a key is empty"));
        }
        steps.push(step);
        rest = behind;
    }
    Ok(steps)
}

fn unsupported(path: &str) -> Error {
    Error::unsupported(format!(
        "JSON path '{path}' uses a wildcard, slice or filter. Loads can use keys and single positions only"
    ))
}

fn bracket(inner: &str, path: &str) -> Result<Step> {
    let quoted = |quote: char| inner.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(key) = quoted('"').or_else(|| quoted('\'')) {
        return Ok(Step::Key(key.to_owned()));
    }
    match inner.parse() {
        Ok(index) => Ok(Step::Index(index)),
        Err(_) => Err(unsupported(path)),
    }
}

/// The value at the end of `steps`; `None` when there is none.
pub(crate) fn walk<'a>(mut value: &'a RawValue, steps: &[Step]) -> Option<&'a RawValue> {
    for step in steps {
        value = match step {
            Step::Key(key) => member(value, key)?,
            Step::Index(index) => element(value, *index)?,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_walked() {
        let text = r#"{"a":{"b":[10,{"c d":"x"}]},"e.f":1}"#;
        let value: &RawValue = serde_json::from_str(text).unwrap();
        for (path, expected) in [
            ("$", Some(text)),
            ("$.a.b[0]", Some("10")),
            ("$.a.b[1].\"c d\"", Some("\"x\"")),
            ("$['a'][\"b\"][1]['c d']", Some("\"x\"")),
            ("$.\"e.f\"", Some("1")),
            ("$.a.b[2]", None),
            ("$.a.x", None),
            ("$.a[0]", None),
        ] {
            let steps = parse_path(path).unwrap();
            assert_eq!(walk(value, &steps).map(RawValue::get), expected, "{path}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for path in ["", "a", "$a", "$.", "$.a[", "$.a[*]", "$..a", "$.*", "$.a[1:2]", "$.\"a", "$[]"] {
            let error = parse_path(path).unwrap_err();
            assert!(error.message().contains(path), "{error}");
        }
    }
}
