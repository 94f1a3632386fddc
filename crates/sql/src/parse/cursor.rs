//! Reading the tokens of one statement: words, names, literals, and whatever `sqlparser` reads for us.

use cairn_types::limits::IDENTIFIER_CHARS_MAX;
use cairn_types::{Error, Result};
use sqlparser::ast::{Expr, Query, TableWithJoins, VisitMut};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, Word};

use crate::ast::{BoundValue, DatabaseName, Hint, Property, TableName};
use crate::dialect::{self, StarRocksDialect};
use crate::error;
use crate::guard;
use crate::hints;
use crate::normalize::normalize;
use crate::partition_clause;
use crate::scan::RawStatement;

/// Levels of the parser's recursion. The guard bounds the depth already: this must only not be lower. (The parser
/// takes more stack from the heap when it needs it.)
const RECURSION_MAX: usize = 4 * guard::OPERATORS_MAX;

/// Unquoted words that are no names.
const RESERVED: [&str; 24] = [
    "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "UNION", "INTO", "VALUES", "CREATE", "TABLE",
    "INSERT", "AND", "OR", "NOT", "AS", "ON", "BY", "IN", "LIKE", "IS", "CASE", "WHEN", "WITH",
];

/// A place in the tokens of one statement.
pub(crate) struct Cursor<'a> {
    pub parser: Parser<'a>,
    /// The whole text, which all places are in.
    text: &'a str,
    /// The byte of `text` behind the statement's last token.
    end_byte: usize,
    /// The hints of the statement that were not taken yet, with their places.
    hints: Vec<(Location, Hint)>,
    /// Whether `INTO OUTFILE` stands anywhere: `sqlparser` would misread it.
    into_outfile: bool,
}

impl<'a> Cursor<'a> {
    /// Before the first of a statement's tokens.
    ///
    /// # Errors
    /// `Parse` when a hint or a clause is malformed, `Unsupported` for a hint that reads a rollup and for temporary
    /// partitions.
    pub fn new(text: &'a str, raw: RawStatement, dialect: &'a StarRocksDialect) -> Result<Self> {
        let RawStatement { mut tokens, bytes } = raw;
        let hints = hints::of_tokens(&tokens)?;
        hints::refuse_rollup_hint(&tokens)?;
        let into_outfile = tokens.windows(2).any(|pair| {
            let is = |n: usize, words: [&str; 2]| {
                let token = pair.get(n).map(|token| &token.token);
                matches!(token, Some(Token::Word(w)) if words.iter().any(|word| w.value.eq_ignore_ascii_case(word)))
            };
            is(0, ["INTO", "INTO"]) && is(1, ["OUTFILE", "DUMPFILE"])
        });
        dialect::drop_join_hints(&mut tokens);
        dialect::replace_operator_words(&mut tokens);
        partition_clause::prepare(text, &mut tokens)?;
        dialect.begin(tokens.len());
        let parser =
            Parser::new(dialect).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens);
        Ok(Self { parser, text, end_byte: bytes.end, hints, into_outfile })
    }

    fn token_at(&self, n: usize) -> &Token {
        &self.parser.peek_nth_token_ref(n).token
    }

    /// The `n`-th coming token as an unquoted word.
    pub fn peek_word(&self, n: usize) -> Option<&str> {
        match self.token_at(n) {
            Token::Word(Word { value, quote_style: None, .. }) => Some(value),
            _ => None,
        }
    }

    /// Whether the `n`-th coming token is this unquoted word.
    pub fn word_is(&self, n: usize, word: &str) -> bool {
        self.peek_word(n).is_some_and(|found| found.eq_ignore_ascii_case(word))
    }

    pub fn peek_is(&self, n: usize, token: &Token) -> bool {
        self.token_at(n) == token
    }

    pub fn at_end(&self) -> bool {
        self.token_at(0) == &Token::EOF
    }

    /// Whether the coming words are `words` (separated by blanks).
    pub fn is(&self, words: &str) -> bool {
        words.split(' ').enumerate().all(|(n, word)| self.word_is(n, word))
    }

    /// Reads `words` if they come next.
    pub fn eat(&mut self, words: &str) -> bool {
        let found = self.is(words);
        if found {
            for _ in words.split(' ') {
                self.parser.advance_token();
            }
        }
        found
    }

    /// Reads the first of `options` that comes next, and says which.
    pub fn eat_any<T: Copy>(&mut self, options: &[(&str, T)]) -> Option<T> {
        options.iter().find(|(words, _)| self.eat(words)).map(|(_, value)| *value)
    }

    pub fn expect(&mut self, words: &str) -> Result<()> {
        if self.eat(words) { Ok(()) } else { Err(self.unexpected(words)) }
    }

    pub fn eat_token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    pub fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.eat_token(token) { Ok(()) } else { Err(self.unexpected(&format!("'{token}'"))) }
    }

    /// The statement must end here.
    pub fn expect_end(&self) -> Result<()> {
        if self.at_end() { Ok(()) } else { Err(self.unexpected("the end of the statement")) }
    }

    /// A clause may be given once: `given` says whether it was before.
    pub fn once(&self, given: bool, what: &str) -> Result<()> {
        if given { Err(self.error(&format!("{what} is given twice"))) } else { Ok(()) }
    }

    /// The error that `expected` did not come.
    pub fn unexpected(&self, expected: &str) -> Error {
        let found = match self.token_at(0) {
            Token::EOF => "the end".to_owned(),
            token => format!("'{token}'"),
        };
        self.error(&format!("expected {expected}, found {found}"))
    }

    /// An error at the coming token.
    pub fn error(&self, detail: &str) -> Error {
        error::at(self.text, self.parser.peek_token_ref().span.start, detail)
    }

    fn located(&self, error: ParserError) -> Error {
        error::from_parser(self.text, error)
    }

    /// The byte of the whole text at which the coming token begins.
    pub fn byte(&self) -> usize {
        error::byte_offset(self.text, self.parser.peek_token_ref().span.start)
    }

    /// The text from the coming token to the statement's end.
    pub fn rest_text(&self) -> &'a str {
        self.text.get(self.byte()..self.end_byte).unwrap_or("")
    }

    /// The text from the byte `start` to the end of the token that was read last.
    pub fn text_since(&self, start: usize) -> &'a str {
        let end = error::byte_offset(self.text, self.parser.get_current_token().span.end);
        self.text.get(start..end).unwrap_or("")
    }

    /// Takes the hints that stand before the coming token, equal ones once.
    pub fn take_hints_before(&mut self) -> Vec<Hint> {
        let place = self.parser.peek_token_ref().span.start;
        let (before, behind) = std::mem::take(&mut self.hints).into_iter().partition(|(at, _)| *at < place);
        self.hints = behind;
        distinct(before)
    }

    /// Takes all hints that are left, equal ones once.
    pub fn take_hints(&mut self) -> Vec<Hint> {
        distinct(std::mem::take(&mut self.hints))
    }

    /// A name, in backticks or not.
    pub fn ident(&mut self, what: &str) -> Result<String> {
        match self.token_at(0) {
            Token::Word(word) if word.quote_style.is_some() || !is_reserved(&word.value) => {
                let name = word.value.clone();
                if name.is_empty() || name.chars().count() > IDENTIFIER_CHARS_MAX {
                    return Err(
                        self.error(&format!("{what} must have 1 to {IDENTIFIER_CHARS_MAX} characters"))
                    );
                }
                self.parser.advance_token();
                Ok(name)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// A name in quotes, in backticks or not quoted.
    pub fn ident_or_string(&mut self, what: &str) -> Result<String> {
        match self.peek_string() {
            Some(_) => self.string(what),
            None => self.ident(what),
        }
    }

    /// `(a, b, …)`.
    pub fn ident_list(&mut self, what: &str) -> Result<Vec<String>> {
        self.expect_token(&Token::LParen)?;
        let names = self.separated(|c| c.ident(what))?;
        self.expect_token(&Token::RParen)?;
        Ok(names)
    }

    /// One or more items with commas between them.
    pub fn separated<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// One to `max` parts of a dotted name, last part last.
    pub fn dotted(&mut self, what: &str, max: usize) -> Result<Vec<String>> {
        let mut parts = vec![self.ident(what)?];
        while parts.len() < max && self.eat_token(&Token::Period) {
            parts.push(self.ident(what)?);
        }
        Ok(parts)
    }

    /// `[[catalog.]db.]name`.
    pub fn table_name(&mut self) -> Result<TableName> {
        let mut parts = self.dotted("the name of a table", 3)?;
        let name = parts.pop().unwrap_or_default();
        let database = parts.pop();
        Ok(TableName { catalog: parts.pop(), database, name })
    }

    /// `[catalog.]db`, also in quotes.
    pub fn database_name(&mut self) -> Result<DatabaseName> {
        if self.peek_string().is_some() {
            return Ok(DatabaseName { catalog: None, name: self.string("the name of a database")? });
        }
        let mut parts = self.dotted("the name of a database", 2)?;
        let name = parts.pop().unwrap_or_default();
        Ok(DatabaseName { catalog: parts.pop(), name })
    }

    fn peek_string(&self) -> Option<&str> {
        match self.token_at(0) {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => Some(text),
            _ => None,
        }
    }

    /// A string in single or double quotes.
    pub fn string(&mut self, what: &str) -> Result<String> {
        match self.peek_string() {
            Some(text) => {
                let text = text.to_owned();
                self.parser.advance_token();
                Ok(text)
            }
            None => Err(self.unexpected(&format!("{what} in quotes"))),
        }
    }

    /// An unsigned integer.
    pub fn uint(&mut self, what: &str) -> Result<u64> {
        match self.token_at(0) {
            Token::Number(text, _) => match text.parse() {
                Ok(number) => {
                    self.parser.advance_token();
                    Ok(number)
                }
                Err(_) => Err(self.error(&format!("{what} is not a whole number up to 2^64 - 1"))),
            },
            _ => Err(self.unexpected(what)),
        }
    }

    /// A string, a number with its sign, `NULL` or `MAXVALUE`, as text.
    pub fn bound_value(&mut self) -> Result<BoundValue> {
        if self.eat("MAXVALUE") {
            return Ok(BoundValue::Max);
        }
        if self.eat("NULL") {
            return Ok(BoundValue::Null);
        }
        if self.peek_string().is_some() {
            return self.string("a value").map(BoundValue::Text);
        }
        self.number_text("a value").map(BoundValue::Text)
    }

    /// A number with its sign, as written.
    pub fn number_text(&mut self, what: &str) -> Result<String> {
        let negative = self.eat_token(&Token::Minus);
        match self.token_at(0) {
            Token::Number(text, _) => {
                let text = format!("{}{text}", if negative { "-" } else { "" });
                self.parser.advance_token();
                Ok(text)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// `("k" = "v", …)`.
    pub fn property_list(&mut self) -> Result<Vec<Property>> {
        self.expect_token(&Token::LParen)?;
        let items = self.separated(|c| {
            let key = c.string("a property's name")?;
            c.expect_token(&Token::Eq)?;
            Ok(Property { key, value: c.string("a property's value")? })
        })?;
        self.expect_token(&Token::RParen)?;
        if let Some(key) = duplicate(&items) {
            return Err(self.error(&format!("property \"{key}\" is given twice")));
        }
        Ok(items)
    }

    /// `PROPERTIES ("k" = "v", …)`, or nothing.
    pub fn properties(&mut self) -> Result<Vec<Property>> {
        if self.eat("PROPERTIES") { self.property_list() } else { Ok(Vec::new()) }
    }

    /// `COMMENT [=] 'text'`, or nothing.
    pub fn comment(&mut self) -> Result<Option<String>> {
        if !self.eat("COMMENT") {
            return Ok(None);
        }
        self.eat_token(&Token::Eq);
        self.string("a comment").map(Some)
    }

    pub fn if_exists(&mut self) -> bool {
        self.eat("IF EXISTS")
    }

    pub fn if_not_exists(&mut self) -> bool {
        self.eat("IF NOT EXISTS")
    }

    /// Whether a query begins here.
    pub fn at_query(&self) -> bool {
        if self.peek_is(0, &Token::LParen) {
            return (1..)
                .find(|n| !self.peek_is(*n, &Token::LParen))
                .is_some_and(|n| self.peek_word(n).is_some_and(is_query_word));
        }
        self.peek_word(0).is_some_and(is_query_word)
    }

    pub fn expr(&mut self) -> Result<Expr> {
        let expr = self.parser.parse_expr();
        self.finish(expr)
    }

    pub fn query(&mut self) -> Result<Query> {
        if self.into_outfile {
            return Err(Error::unsupported(
                "SELECT … INTO OUTFILE is not supported; use INSERT INTO FILES(\"path\" = …, \"format\" = …) SELECT …",
            ));
        }
        let query = self.parser.parse_query();
        self.finish(query).map(|query| *query)
    }

    /// Tables with their joins, as after FROM.
    pub fn tables(&mut self) -> Result<Vec<TableWithJoins>> {
        self.separated(|c| {
            let table = c.parser.parse_table_and_joins();
            c.finish(table)
        })
    }

    /// `WHERE condition`, or nothing.
    pub fn selection(&mut self) -> Result<Option<Expr>> {
        if self.eat("WHERE") { self.expr().map(Some) } else { Ok(None) }
    }

    /// Gives a parser's error its place, and corrects what it read.
    pub fn finish<T: VisitMut>(&self, read: Result<T, ParserError>) -> Result<T> {
        let mut node = read.map_err(|e| self.located(e))?;
        normalize(&mut node)?;
        Ok(node)
    }

    /// Like [`Self::finish`], for what holds no expressions.
    pub fn located_result<T>(&self, read: Result<T, ParserError>) -> Result<T> {
        read.map_err(|e| self.located(e))
    }
}

fn distinct(placed: Vec<(Location, Hint)>) -> Vec<Hint> {
    let mut hints = Vec::new();
    for (_, hint) in placed {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

fn is_query_word(word: &str) -> bool {
    ["SELECT", "WITH", "VALUES", "VALUE"].iter().any(|q| word.eq_ignore_ascii_case(q))
}

fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

fn duplicate(items: &[Property]) -> Option<&str> {
    let mut seen = std::collections::HashSet::new();
    items.iter().find(|item| !seen.insert(&item.key)).map(|item| item.key.as_str())
}
