//! The `columns` header: `k1, k2, tmp, v = tmp + 1`. Plain names are the fields of the data in their order, the others
//! are computed from them. Expressions stay text: the query engine reads them.

use cairn_types::{Error, Result};

use crate::load::headers::shown;

/// One item of the `columns` header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadColumn {
    /// A field of the data: a column of the table, or a name for expressions to use.
    Field(String),
    /// A column of the table that is computed from fields.
    Computed { name: String, expression: String },
}

/// Reads the `columns` header.
///
/// # Errors
/// `Parse` naming the item that is not understood.
pub(crate) fn parse_columns(text: &str) -> Result<Vec<LoadColumn>> {
    split_list("columns", text)?.into_iter().map(parse_column).collect()
}

/// Reads a list of names, as in the `partitions` header.
///
/// # Errors
/// `Parse` naming the item that is not a name.
pub(crate) fn parse_names(header: &str, text: &str) -> Result<Vec<String>> {
    let names = split_list(header, text)?.into_iter().map(|item| match leading_name(item) {
        Some((name, "")) => Ok(name),
        _ => Err(bad(header, item, "it is not a name; unusual names need backticks")),
    });
    names.collect()
}

fn bad(header: &str, item: &str, what: &str) -> Error {
    Error::parse(format!("Invalid item '{}' in header '{header}': {what}", shown(item)))
}

fn parse_column(item: &str) -> Result<LoadColumn> {
    let (name, rest) = leading_name(item).ok_or_else(|| {
        bad("columns", item, "it must be a name or name = expression; unusual names need backticks")
    })?;
    if rest.is_empty() {
        return Ok(LoadColumn::Field(name));
    }
    let expression = rest.strip_prefix('=').filter(|rest| !rest.starts_with('='));
    let expression = expression
        .ok_or_else(|| bad("columns", item, "after the name comes nothing, or = and an expression"))?;
    let expression = expression.trim().to_owned();
    if expression.is_empty() {
        return Err(bad("columns", item, "the expression after = is missing"));
    }
    Ok(LoadColumn::Computed { name, expression })
}

/// The name that `item` begins with, and what follows it without space around.
fn leading_name(item: &str) -> Option<(String, &str)> {
    let (name, rest) = match item.strip_prefix('`') {
        Some(quoted) => quoted_name(quoted)?,
        None => {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@');
            let end = item.find(|c| !plain(c)).unwrap_or(item.len());
            let (name, rest) = item.split_at_checked(end)?;
            (name.to_owned(), rest)
        }
    };
    (!name.is_empty()).then(|| (name, rest.trim()))
}

/// A name up to its closing backtick (a doubled one is part of it), and the rest.
fn quoted_name(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (part, behind) = rest.split_once('`')?;
        name.push_str(part);
        match behind.strip_prefix('`') {
            Some(behind) => {
                name.push('`');
                rest = behind;
            }
            None => return Some((name, behind)),
        }
    }
}

/// Splits at commas that are outside of parentheses and quotes; the items come without space around.
fn split_list<'a>(header: &str, text: &'a str) -> Result<Vec<&'a str>> {
    let mut items = Vec::new();
    let (mut start, mut depth, mut quote) = (0_usize, 0_usize, None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('`'), '\\') => {}
            (Some(_), '\\') => _ = chars.next(),
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| bad(header, text, "a bracket is closed but not open"))?;
            }
            (None, ',') if depth == 0 => {
                items.push(text.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    if quote.is_some() || depth > 0 {
        return Err(bad(header, text, "a quote or bracket is not closed"));
    }
    items.push(text.get(start..).unwrap_or_default().trim());
    if items.iter().any(|item| item.is_empty()) {
        return Err(bad(header, text, "there is nothing before or after a comma"));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> LoadColumn {
        LoadColumn::Field(name.to_owned())
    }

    fn computed(name: &str, expression: &str) -> LoadColumn {
        LoadColumn::Computed { name: name.to_owned(), expression: expression.to_owned() }
    }

    #[test]
    fn columns_are_split_outside_of_parentheses_and_quotes() {
        let cases = [
            ("a", vec![field("a")]),
            (" a , `b c`,d", vec![field("a"), field("b c"), field("d")]),
            ("a,b=a+1", vec![field("a"), computed("b", "a+1")]),
            ("b = concat(a, ',', \"),\")", vec![computed("b", "concat(a, ',', \"),\")")]),
            ("`x``y`=1,z", vec![computed("x`y", "1"), field("z")]),
            ("b=a=1", vec![computed("b", "a=1")]),
            ("c='it\\'s, so',d", vec![computed("c", "'it\\'s, so'"), field("d")]),
            ("c='it''s, so',d", vec![computed("c", "'it''s, so'"), field("d")]),
            ("`a\\`,b", vec![field("a\\"), field("b")]),
            ("größe, __op = 0", vec![field("größe"), computed("__op", "0")]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_columns(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn broken_columns_are_refused() {
        let cases = [
            ("", "nothing before or after a comma"),
            ("a,,b", "nothing before or after a comma"),
            ("a,", "nothing before or after a comma"),
            ("a=", "expression after = is missing"),
            ("=1", "must be a name"),
            ("a b", "after the name"),
            ("a==1", "after the name"),
            ("a>=1", "after the name"),
            ("f(a)", "after the name"),
            ("a=f(b", "not closed"),
            ("a=b)", "not open"),
            ("a='b", "not closed"),
            ("a='b\\'", "not closed"),
            ("`a", "not closed"),
            ("``", "must be a name"),
        ];
        for (text, expected) in cases {
            let error = parse_columns(text).expect_err(text);
            assert!(error.message().contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn partitions_are_names() {
        assert_eq!(parse_names("partitions", "p1, `p 2`"), Ok(vec!["p1".to_owned(), "p 2".to_owned()]));
        for text in ["p1 p2", "p1=1", "(p1)", "", "p1,"] {
            assert!(parse_names("partitions", text).is_err(), "{text}");
        }
    }
}
