//! `FROM t PARTITION (p, …)`. `sqlparser` reads this form; it takes `PARTITIONS (…)`, `TABLET (…)` and `TEMPORARY` for
//! aliases, and an empty list for none.

use cairn_types::{Error, Result};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error;

/// Brings the clauses behind tables in FROM into the form that is read.
///
/// # Errors
/// `Parse` for a clause that names no partition, `Unsupported` for temporary partitions and for tablets.
pub(crate) fn prepare(text: &str, tokens: &mut [TokenWithSpan]) -> Result<()> {
    for at in 1..tokens.len() {
        let token = |n: usize| tokens.get(n).map(|t| &t.token);
        let is = |words: [&str; 2]| words.iter().any(|word| is_word(token(at), word));
        if token(at + 1) != Some(&Token::LParen) {
            continue;
        }
        if is(["TABLET", "TABLETS"]) && matches!(token(at + 2), Some(Token::Number(..))) {
            return Err(Error::unsupported(
                "TABLET of a table in FROM is not supported yet: put a condition on its columns into WHERE",
            ));
        }
        if !is(["PARTITION", "PARTITIONS"]) {
            continue;
        }
        if is_word(token(at - 1), "TEMPORARY") && follows_table(tokens, at - 1) {
            return Err(Error::unsupported("TEMPORARY PARTITION: temporary partitions are not supported"));
        }
        if !follows_table(tokens, at) {
            continue;
        }
        if let Some(close) = tokens.get(at + 2).filter(|t| t.token == Token::RParen) {
            return Err(error::at(text, close.span.start, "expected the name of a partition, found ')'"));
        }
        if let Some(clause) = tokens.get_mut(at) {
            clause.token = Token::make_keyword("PARTITION");
        }
    }
    Ok(())
}

fn is_word(token: Option<&Token>, word: &str) -> bool {
    matches!(token, Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Whether the tokens before `at` are `FROM t`, `JOIN db.t`, `, t` or `(t`.
fn follows_table(tokens: &[TokenWithSpan], mut at: usize) -> bool {
    let before = |at: usize| at.checked_sub(1).and_then(|at| tokens.get(at)).map(|t| &t.token);
    loop {
        let Some(Token::Word(_)) = before(at) else { return false };
        if before(at - 1) != Some(&Token::Period) {
            break;
        }
        at -= 2;
    }
    match before(at - 1) {
        Some(Token::Comma | Token::LParen) => true,
        Some(Token::Word(word)) => matches!(word.keyword, Keyword::FROM | Keyword::JOIN),
        _ => false,
    }
}
