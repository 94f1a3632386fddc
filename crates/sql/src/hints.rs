//! `/*+ SET_VAR(name = value, …) */`. Other hints are left unread, as StarRocks does.

use std::ops::ControlFlow;

use cairn_types::{Error, Result};
use sqlparser::ast::{Query, Select, Visit, Visitor};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::ast::Hint;
use crate::dialect::StarRocksDialect;

/// The hints at the `SELECT`s of a query.
///
/// # Errors
/// `Parse` for a `SET_VAR` that cannot be read.
pub(crate) fn of_query(query: &Query) -> Result<Vec<Hint>> {
    let mut collector = Collector(Vec::new());
    match query.visit(&mut collector) {
        ControlFlow::Continue(()) => Ok(collector.0),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The hints anywhere in a statement, each with the place of its comment.
///
/// # Errors
/// `Parse` for a `SET_VAR` that cannot be read.
pub(crate) fn of_tokens(tokens: &[TokenWithSpan]) -> Result<Vec<(Location, Hint)>> {
    let mut placed = Vec::new();
    for token in tokens {
        if let Token::Whitespace(Whitespace::MultiLineComment(text)) = &token.token
            && let Some(text) = text.strip_prefix('+')
        {
            let mut hints = Vec::new();
            add(&mut hints, text)?;
            placed.extend(hints.into_iter().map(|hint| (token.span.start, hint)));
        }
    }
    Ok(placed)
}

/// `t [_SYNC_MV_]` reads a rollup, which Cairn does not have.
///
/// # Errors
/// `Unsupported` when it stands anywhere.
pub(crate) fn refuse_rollup_hint(tokens: &[TokenWithSpan]) -> Result<()> {
    let found = tokens.windows(3).any(|window| match window {
        [open, word, close] => {
            open.token == Token::LBracket
                && close.token == Token::RBracket
                && matches!(&word.token, Token::Word(word) if word.value.eq_ignore_ascii_case("_SYNC_MV_"))
        }
        _ => false,
    });
    if found {
        return Err(Error::unsupported(
            "The hint [_SYNC_MV_] is not supported: there are no synchronous materialized views (rollups); read the \
             base table, or an asynchronous materialized view",
        ));
    }
    Ok(())
}

struct Collector(Vec<Hint>);

impl Visitor for Collector {
    type Break = Error;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        for hint in &select.optimizer_hints {
            if let Err(error) = add(&mut self.0, &hint.text) {
                return ControlFlow::Break(error);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Reads every `SET_VAR(…)` of one comment. Equal hints are kept once.
fn add(hints: &mut Vec<Hint>, text: &str) -> Result<()> {
    let dialect = StarRocksDialect::default();
    let Ok(tokens) = Tokenizer::new(&dialect, text).tokenize() else { return Ok(()) };
    let mut tokens = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).peekable();
    while let Some(token) = tokens.next() {
        let is_set_var = matches!(&token, Token::Word(w) if w.value.eq_ignore_ascii_case("SET_VAR"));
        if !is_set_var || tokens.peek() != Some(&Token::LParen) {
            continue;
        }
        tokens.next();
        loop {
            let hint = assignment(&mut tokens).ok_or_else(|| malformed(text))?;
            if !hints.contains(&hint) {
                hints.push(hint);
            }
            match tokens.next() {
                Some(Token::Comma) => {}
                Some(Token::RParen) => break,
                _ => return Err(malformed(text)),
            }
        }
    }
    Ok(())
}

/// `name = value`; the value is a word, a number (with a sign) or a string.
fn assignment(tokens: &mut impl Iterator<Item = Token>) -> Option<Hint> {
    let Token::Word(name) = tokens.next()? else { return None };
    if tokens.next()? != Token::Eq {
        return None;
    }
    let (sign, token) = match tokens.next()? {
        Token::Minus => ("-", tokens.next()?),
        token => ("", token),
    };
    let value = match token {
        Token::Number(text, _) => format!("{sign}{text}"),
        Token::Word(word) if sign.is_empty() => word.value,
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) if sign.is_empty() => text,
        _ => return None,
    };
    Some(Hint { name: name.value.to_ascii_lowercase(), value })
}

fn malformed(text: &str) -> Error {
    Error::parse(format!(
        "The hint /*+{text}*/ cannot be read. Detail message: write it as /*+ SET_VAR(name = value, name = value) */"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>> {
        let mut hints = Vec::new();
        add(&mut hints, text)?;
        Ok(hints.into_iter().map(|h| (h.name, h.value)).collect())
    }

    #[test]
    fn set_var_is_read_and_other_hints_are_not() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let cases = [
            (" SET_VAR(query_timeout=300) ", vec![pair("query_timeout", "300")]),
            ("set_var(A = -1, b='x y')", vec![pair("a", "-1"), pair("b", "x y")]),
            ("SET_VAR(a=TRUE) SET_VAR(a=TRUE,b=1)", vec![pair("a", "TRUE"), pair("b", "1")]),
            (" NO_INDEX(t) 'unclosed", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        for text in ["SET_VAR()", "SET_VAR(a)", "SET_VAR(a=1", "SET_VAR(a=b c)"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
