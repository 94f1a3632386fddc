//! Refuses a statement that would become too deep a tree, before a tree exists.
//!
//! Trees are walked, cloned and dropped by recursion, and some of that recursion is not ours. `a + a + a …` is read
//! by a loop, so the parser's own limit on recursion does not see it, but it becomes a tree as deep as it is long.
//! This guard bounds from the tokens alone how deep the tree can be. It errs on the safe side: in a list, commas
//! separate terms; nothing else does. So `IN (1, 2, …)` and `VALUES (…), (…), …` may have any length, and `a OR b OR …`
//! has [`CHAIN_MAX`] operators.

use cairn_types::{Error, Result};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::error;

/// Operators on one way from the top of the tree to a leaf, joins and set operations included.
pub const CHAIN_MAX: usize = 2_000;
/// Parentheses, brackets, `CASE`s and subqueries inside each other.
pub const NESTING_MAX: usize = 200;

/// Checks the tokens of one statement; `text` is for the error's place.
///
/// # Errors
/// `Parse` when a bound is passed.
pub(crate) fn check(tokens: &[TokenWithSpan], text: &str) -> Result<()> {
    let mut guard = Guard { frames: vec![Frame::new(Opener::Statement)], previous: None, ctes: 0, angles: 0 };
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_)) {
            continue;
        }
        guard.read(&token.token).map_err(|excess| excess.at(text, token))?;
        guard.previous = Some(&token.token);
    }
    Ok(())
}

/// Which bound was passed.
enum Excess {
    Chain,
    Nesting,
}

impl Excess {
    fn at(&self, text: &str, token: &TokenWithSpan) -> Error {
        let detail = match self {
            Self::Chain => format!(
                "more than {CHAIN_MAX} operators, joins or set operations in a row; put alternatives into IN (…), \
                 or split the statement"
            ),
            Self::Nesting => {
                format!("more than {NESTING_MAX} parentheses, subqueries or CASEs inside each other")
            }
        };
        error::at(text, token.span.start, &detail)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Opener {
    Statement,
    Bracket,
    Case,
}

/// An open parenthesis, bracket or CASE.
struct Frame {
    opener: Opener,
    /// Joins, set operations: these go on past commas.
    chain: usize,
    /// Operators since the last comma.
    operators: usize,
    /// The depth of the deepest closed frame since the last comma.
    inner: usize,
    /// The deepest of the terms before the last comma.
    widest: usize,
    /// Between FROM and the next clause a comma is a join.
    in_from: bool,
}

impl Frame {
    fn new(opener: Opener) -> Self {
        Self { opener, chain: 0, operators: 0, inner: 0, widest: 0, in_from: false }
    }

    fn depth(&self) -> usize {
        self.chain + self.widest.max(self.operators + self.inner)
    }
}

struct Guard<'a> {
    /// Never empty: the first is the statement.
    frames: Vec<Frame>,
    previous: Option<&'a Token>,
    /// `name AS (`: common table expressions refer to each other in a chain.
    ctes: usize,
    /// Open `<` of `ARRAY<…>` and its like.
    angles: usize,
}

impl<'a> Guard<'a> {
    fn read(&mut self, token: &'a Token) -> Result<(), Excess> {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                if is_word(self.previous, Keyword::AS) {
                    self.ctes += 1;
                }
                self.open(Opener::Bracket)
            }
            Token::RParen | Token::RBracket | Token::RBrace => self.close_bracket(),
            Token::Comma => {
                self.comma();
                self.check()
            }
            Token::Word(word) if word.quote_style.is_none() => self.word(word),
            Token::Lt if self.follows_type() => {
                self.angles += 1;
                if self.angles > NESTING_MAX { Err(Excess::Nesting) } else { self.operator() }
            }
            Token::Gt => {
                self.angles = self.angles.saturating_sub(1);
                self.operator()
            }
            Token::ShiftRight => {
                self.angles = self.angles.saturating_sub(2);
                self.operator()
            }
            token if is_operand(token) => Ok(()),
            _ => self.operator(),
        }
    }

    fn top(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }

    fn follows_type(&self) -> bool {
        let Some(Token::Word(word)) = self.previous else { return false };
        matches!(word.keyword, Keyword::ARRAY | Keyword::MAP | Keyword::STRUCT)
    }

    fn word(&mut self, word: &Word) -> Result<(), Excess> {
        // `t.case` is a name.
        if self.previous == Some(&Token::Period) {
            return Ok(());
        }
        match word.keyword {
            Keyword::CASE => self.open(Opener::Case),
            Keyword::END if self.frames.last().is_some_and(|frame| frame.opener == Opener::Case) => {
                self.close();
                self.check()
            }
            Keyword::FROM => {
                self.set_in_from(true);
                Ok(())
            }
            Keyword::WHERE | Keyword::GROUP | Keyword::HAVING | Keyword::ORDER | Keyword::LIMIT | Keyword::SELECT => {
                self.set_in_from(false);
                Ok(())
            }
            Keyword::UNION | Keyword::EXCEPT | Keyword::MINUS | Keyword::INTERSECT => {
                self.set_in_from(false);
                self.chain()
            }
            Keyword::JOIN
            | Keyword::STRAIGHT_JOIN
            | Keyword::APPLY
            | Keyword::PIVOT
            | Keyword::UNPIVOT
            | Keyword::MATCH_RECOGNIZE => self.chain(),
            _ if is_operator_word(word) => self.operator(),
            _ => Ok(()),
        }
    }

    fn set_in_from(&mut self, in_from: bool) {
        if let Some(frame) = self.top() {
            frame.in_from = in_from;
        }
    }

    fn operator(&mut self) -> Result<(), Excess> {
        if let Some(frame) = self.top() {
            frame.operators += 1;
        }
        self.check()
    }

    fn chain(&mut self) -> Result<(), Excess> {
        if let Some(frame) = self.top() {
            frame.chain += 1;
        }
        self.check()
    }

    fn comma(&mut self) {
        if let Some(frame) = self.top() {
            frame.widest = frame.widest.max(frame.operators + frame.inner);
            frame.operators = 0;
            frame.inner = 0;
            if frame.in_from {
                frame.chain += 1;
            }
        }
    }

    fn open(&mut self, opener: Opener) -> Result<(), Excess> {
        self.frames.push(Frame::new(opener));
        if self.frames.len() > NESTING_MAX + 1 { Err(Excess::Nesting) } else { self.check() }
    }

    /// Closes the innermost bracket and the CASEs left open in it.
    fn close_bracket(&mut self) -> Result<(), Excess> {
        while self.frames.last().is_some_and(|frame| frame.opener == Opener::Case) {
            self.close();
        }
        if self.frames.len() > 1 {
            self.close();
        }
        self.check()
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        let depth = frame.depth() + 1;
        if let Some(parent) = self.top() {
            parent.inner = parent.inner.max(depth);
        }
    }

    fn check(&self) -> Result<(), Excess> {
        let depth = self.frames.last().map_or(0, Frame::depth);
        if depth > CHAIN_MAX || self.ctes > CHAIN_MAX { Err(Excess::Chain) } else { Ok(()) }
    }
}

fn is_word(token: Option<&Token>, keyword: Keyword) -> bool {
    matches!(token, Some(Token::Word(word)) if word.keyword == keyword && word.quote_style.is_none())
}

/// Tokens that neither join nor nest.
fn is_operand(token: &Token) -> bool {
    matches!(
        token,
        Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::SemiColon
            | Token::EOF
    )
}

/// Words that make a tree one deeper, before, between or behind operands.
fn is_operator_word(word: &Word) -> bool {
    const WORDS: [Keyword; 26] = [
        Keyword::AND,
        Keyword::OR,
        Keyword::XOR,
        Keyword::NOT,
        Keyword::NOTNULL,
        Keyword::IS,
        Keyword::IN,
        Keyword::BETWEEN,
        Keyword::LIKE,
        Keyword::ILIKE,
        Keyword::RLIKE,
        Keyword::REGEXP,
        Keyword::MATCH,
        Keyword::SIMILAR,
        Keyword::MEMBER,
        Keyword::OPERATOR,
        Keyword::OVERLAPS,
        Keyword::DIV,
        Keyword::MOD,
        Keyword::AT,
        Keyword::COLLATE,
        Keyword::INTERVAL,
        Keyword::BINARY,
        Keyword::PRIOR,
        Keyword::EXISTS,
        Keyword::EXPLAIN,
    ];
    WORDS.contains(&word.keyword)
}
