//! How `sqlparser` reads StarRocks' expressions and queries: MySQL's way, with these differences.
//!
//! - `DIV`, `MOD`, `^`, `<<`, `>>`, `XOR`, `!` bind as in MySQL (`sqlparser` binds them elsewhere).
//! - `||` is OR and `&&` is AND, as with StarRocks' default `sql_mode`.
//! - `DIV` and `MOD` come as signs: [`replace_operator_words`] turns the words into tokens which `sqlparser` reads.
//! - `SELECT * EXCLUDE (…)`, `GROUP BY ROLLUP (…)` and `agg(…) FILTER (WHERE …)` are read.

use std::any::TypeId;
use std::cell::Cell;
use std::collections::HashSet;

use sqlparser::ast::{Expr, UnaryOperator};
use sqlparser::dialect::{Dialect, MySqlDialect, Precedence};
use sqlparser::keywords::{Keyword, RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_TABLE_ALIAS};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

const MYSQL: MySqlDialect = MySqlDialect {};

/// Binding power of `^`.
const PREC_CARET: u8 = 45;
/// Binding power of the prefix `!`.
const PREC_BANG: u8 = 48;
/// Binding power of `<<` and `>>`.
const PREC_SHIFT: u8 = 25;
/// Binding power of `XOR`.
const PREC_XOR: u8 = 7;

/// StarRocks' dialect. One parse uses one value: it counts the work, because `sqlparser` tries some forms twice, and
/// nested tries double at each level.
#[derive(Debug)]
pub struct StarRocksDialect {
    /// Expressions that may still be begun.
    work_left: Cell<usize>,
}

impl Default for StarRocksDialect {
    fn default() -> Self {
        Self { work_left: Cell::new(usize::MAX) }
    }
}

impl StarRocksDialect {
    /// Allows the work that a statement of `tokens` tokens can need, and some more.
    pub(crate) fn begin(&self, tokens: usize) {
        self.work_left.set(tokens.saturating_mul(8).saturating_add(100_000));
    }
}

/// What the word `DIV` becomes as a token and, until it is normalized, as an operator.
pub(crate) const DIV: &str = "DIV";

/// StarRocks' hints of how to distribute a join: `JOIN [SHUFFLE] t`.
const JOIN_HINTS: [&str; 5] = ["BROADCAST", "SHUFFLE", "BUCKET", "COLOCATE", "UNREORDER"];

/// Takes the hints behind JOIN out: they advise a planner which is not ours.
pub(crate) fn drop_join_hints(tokens: &mut Vec<TokenWithSpan>) {
    let is_hint = |window: &[TokenWithSpan]| match window {
        [join, open, hint, close] => {
            matches!(&join.token, Token::Word(word) if word.keyword == Keyword::JOIN)
                && open.token == Token::LBracket
                && close.token == Token::RBracket
                && matches!(&hint.token, Token::Word(word)
                    if JOIN_HINTS.iter().any(|known| word.value.eq_ignore_ascii_case(known)))
        }
        _ => false,
    };
    let begins: HashSet<usize> =
        tokens.windows(4).enumerate().filter(|(_, window)| is_hint(window)).map(|(i, _)| i + 1).collect();
    if begins.is_empty() {
        return;
    }
    let mut index = 0;
    tokens.retain(|_| {
        let drop = (0..3).any(|back| index >= back && begins.contains(&(index - back)));
        index += 1;
        !drop
    });
}

/// Turns the words `DIV` and `MOD` between operands into signs. (A dialect could parse them itself, but is given the
/// left side only to copy it, and copies of copies take quadratic time.)
pub(crate) fn replace_operator_words(tokens: &mut [TokenWithSpan]) {
    for i in 1..tokens.len() {
        let [before, this, after] = [i - 1, i, i + 1].map(|i| tokens.get(i).map(|t| &t.token));
        let Some(Token::Word(word)) = this else { continue };
        let sign = if word.quote_style.is_some() {
            continue;
        } else if word.keyword == Keyword::DIV {
            Token::CustomBinaryOperator(DIV.to_owned())
        } else if word.value.eq_ignore_ascii_case("MOD") {
            Token::Mod
        } else {
            continue;
        };
        if before.is_some_and(ends_operand)
            && after.is_some_and(begins_operand)
            && let Some(slot) = tokens.get_mut(i)
        {
            slot.token = sign;
        }
    }
}

fn ends_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_some() || word.keyword == Keyword::END || !ends_nothing(word.keyword)
        }
        Token::Number(..) | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => true,
        Token::HexStringLiteral(_) | Token::Placeholder(_) | Token::RParen | Token::RBracket => true,
        _ => false,
    }
}

fn begins_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_some()
                || word.keyword == Keyword::CASE
                || word.keyword == Keyword::INTERVAL
                || !ends_nothing(word.keyword)
        }
        Token::Number(..) | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => true,
        Token::HexStringLiteral(_) | Token::Placeholder(_) | Token::LParen => true,
        Token::Minus | Token::Plus | Token::Tilde => true,
        _ => false,
    }
}

/// Words that are no operand, so that a `MOD` beside them is a name: of the function, or an alias.
fn ends_nothing(keyword: Keyword) -> bool {
    const ALSO: [Keyword; 24] = [
        Keyword::DISTINCT,
        Keyword::ALL,
        Keyword::AS,
        Keyword::AND,
        Keyword::OR,
        Keyword::XOR,
        Keyword::NOT,
        Keyword::IN,
        Keyword::IS,
        Keyword::LIKE,
        Keyword::BETWEEN,
        Keyword::REGEXP,
        Keyword::RLIKE,
        Keyword::BY,
        Keyword::CASE,
        Keyword::WHEN,
        Keyword::THEN,
        Keyword::ELSE,
        Keyword::DIV,
        Keyword::INTERVAL,
        Keyword::SET,
        Keyword::VALUES,
        Keyword::DESC,
        Keyword::ASC,
    ];
    ALSO.contains(&keyword)
        || RESERVED_FOR_COLUMN_ALIAS.contains(&keyword)
        || RESERVED_FOR_TABLE_ALIAS.contains(&keyword)
}

impl Dialect for StarRocksDialect {
    /// `sqlparser` asks at many places "is this MySQL?"; it is.
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let Some(left) = self.work_left.get().checked_sub(1) else {
            return Some(Err(ParserError::RecursionLimitExceeded));
        };
        self.work_left.set(left);
        if parser.peek_token_ref().token != Token::ExclamationMark {
            return None;
        }
        parser.advance_token();
        // In parentheses, because NOT binds less than `!`: `!a = b` is `(NOT a) = b`.
        Some(parser.parse_subexpr(PREC_BANG).map(|expr| {
            Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }))
        }))
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let precedence = match &parser.peek_token_ref().token {
            Token::Word(word) if word.keyword == Keyword::XOR && word.quote_style.is_none() => PREC_XOR,
            Token::CustomBinaryOperator(_) => MYSQL.prec_value(Precedence::MulDivModOp),
            Token::StringConcat => MYSQL.prec_value(Precedence::Or),
            Token::Overlap => MYSQL.prec_value(Precedence::And),
            Token::Caret => PREC_CARET,
            Token::ShiftLeft | Token::ShiftRight => PREC_SHIFT,
            _ => return None,
        };
        Some(Ok(precedence))
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        MYSQL.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        MYSQL.is_identifier_part(ch)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        MYSQL.is_delimited_identifier_start(ch)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        MYSQL.identifier_quote_style(identifier)
    }

    fn is_table_factor_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        MYSQL.is_table_factor_alias(explicit, kw, parser)
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    fn supports_string_literal_concatenation(&self) -> bool {
        true
    }

    fn ignores_wildcard_escapes(&self) -> bool {
        true
    }

    fn supports_numeric_prefix(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    /// The scanner has resolved version comments before.
    fn supports_multiline_comment_hints(&self) -> bool {
        false
    }

    fn supports_comment_optimizer_hint(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }

    fn supports_limit_comma(&self) -> bool {
        true
    }

    fn supports_table_hints(&self) -> bool {
        true
    }

    fn requires_single_line_comment_whitespace(&self) -> bool {
        true
    }

    fn supports_match_against(&self) -> bool {
        true
    }

    fn supports_select_modifiers(&self) -> bool {
        true
    }

    fn supports_data_type_signed_suffix(&self) -> bool {
        true
    }

    fn supports_cross_join_constraint(&self) -> bool {
        true
    }

    fn supports_double_ampersand_operator(&self) -> bool {
        true
    }

    fn supports_binary_kw_as_cast(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }
}
