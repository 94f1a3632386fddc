//! Refuses a statement that would become too deep a tree, before a tree exists.
//!
//! Trees are cloned, compared, printed and dropped by recursion that is not ours, on threads with 2 MiB of stack.
//! `a + a + a …` is read by a loop, so the parser's own limit on recursion does not see it, but it becomes a tree as
//! deep as it is long. This guard computes from the tokens alone an upper bound of the stack that a clone of the tree
//! needs, in [`Cost`]s measured with an optimized `sqlparser`, and refuses what passes [`COST_MAX`].
//!
//! It errs on the safe side. Terms are separated by commas, so `IN (1, 2, …)` and `VALUES (…), (…), …` may have any length;
//! by words that begin a clause; and by AND and OR, because [`crate::balance`] turns such chains into balanced trees, as
//! it does with equal set operations. Everything else of one term is taken to be nested.

mod frame;

use cairn_types::{Error, Result};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::error;
use frame::{
    BRACKET, CASE, COST_MAX, Cost, Frame, OPERATOR, Opener, SUBQUERY, SetKind, SetOperation, WRAPPED_TABLE,
    run_cost,
};

/// Parentheses, brackets, `CASE`s and subqueries inside each other.
pub const NESTING_MAX: usize = 200;
/// Operators in a row, other than AND and OR: what [`COST_MAX`] amounts to.
pub const OPERATORS_MAX: usize = COST_MAX / OPERATOR;
/// Dots of one name: each is one more level of the parser's recursion.
const DOTS_MAX: usize = 32;
/// Common table expressions of a statement: each may refer to the one before.
const CTES_MAX: usize = 1_000;

/// Which bound was passed.
enum Excess {
    Cost,
    Nesting,
    Dots,
    Ctes,
}

impl Excess {
    fn at(&self, text: &str, token: &TokenWithSpan) -> Error {
        let detail = match self {
            Self::Cost => {
                "too many operators, joins, set operations or subqueries in a row or inside each other; put \
                           alternatives into IN (…), or split the statement"
                    .to_owned()
            }
            Self::Nesting => {
                format!("more than {NESTING_MAX} parentheses, subqueries or CASEs inside each other")
            }
            Self::Dots => format!("more than {DOTS_MAX} dots in one name"),
            Self::Ctes => format!("more than {CTES_MAX} subqueries named by AS; split the statement"),
        };
        error::at(text, token.span.start, &detail)
    }
}

/// What matters of the token before.
#[derive(Clone, Copy, Default)]
struct Previous {
    period: bool,
    word_as: bool,
    /// `ARRAY`, `MAP` or `STRUCT`.
    type_word: bool,
    /// Whether it surely ends an operand.
    operand_end: bool,
}

impl Previous {
    fn of(token: &Token) -> Self {
        let keyword = match token {
            Token::Word(word) if word.quote_style.is_none() => word.keyword,
            _ => Keyword::NoKeyword,
        };
        Self {
            period: *token == Token::Period,
            word_as: keyword == Keyword::AS,
            type_word: matches!(keyword, Keyword::ARRAY | Keyword::MAP | Keyword::STRUCT),
            operand_end: surely_ends_operand(token),
        }
    }
}

/// Reads the tokens of one statement as they come.
pub(crate) struct Guard {
    /// Never empty: the first is the statement.
    frames: Vec<Frame>,
    previous: Previous,
    ctes: usize,
    /// Open `<` of `ARRAY<…>` and its like.
    angles: usize,
    /// Dots of the dotted name that is being read.
    dots: usize,
    /// The set operation whose ALL may come.
    set_word: Option<SetKind>,
}

impl Guard {
    /// Before the first token of a statement.
    pub(crate) fn new() -> Self {
        let frames = vec![Frame::new(Opener::Statement)];
        Self { frames, previous: Previous::default(), ctes: 0, angles: 0, dots: 0, set_word: None }
    }

    /// Reads the next token; `text` is for the error's place.
    ///
    /// # Errors
    /// `Parse` when a bound is passed.
    pub(crate) fn check(&mut self, token: &TokenWithSpan, text: &str) -> Result<()> {
        if matches!(token.token, Token::Whitespace(_)) {
            return Ok(());
        }
        self.read(&token.token).map_err(|excess| excess.at(text, token))?;
        self.previous = Previous::of(&token.token);
        Ok(())
    }

    fn read(&mut self, token: &Token) -> Result<(), Excess> {
        match token {
            Token::Period => {
                self.dots += 1;
                return if self.dots > DOTS_MAX { Err(Excess::Dots) } else { Ok(()) };
            }
            // A word goes on with a name behind a dot only.
            Token::Word(_) if self.previous.period => {}
            _ => self.dots = 0,
        }
        self.begin(token);
        if let Some(kind) = self.set_word.take() {
            let all = matches!(token, Token::Word(word) if word.keyword == Keyword::ALL && word.quote_style.is_none());
            self.set_operation(SetOperation { kind, all })?;
        }
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                self.ctes += usize::from(self.previous.word_as);
                if self.ctes > CTES_MAX { Err(Excess::Ctes) } else { self.open(Opener::Bracket) }
            }
            Token::RParen | Token::RBracket | Token::RBrace => self.close_bracket(),
            Token::Comma => self.comma(),
            Token::Word(word) if word.quote_style.is_none() => self.word(word),
            Token::Lt if self.previous.type_word => {
                self.angles += 1;
                if self.angles > NESTING_MAX { Err(Excess::Nesting) } else { self.add(BRACKET) }
            }
            Token::Gt => self.close_angles(1),
            Token::ShiftRight => self.close_angles(2),
            Token::Overlap | Token::StringConcat => self.logical(),
            // Read as `(NOT …)`.
            Token::ExclamationMark => self.add(3 * OPERATOR),
            token if is_operand(token) => Ok(()),
            _ => self.add(OPERATOR),
        }
    }

    fn top(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }

    /// Notes whether a query begins with this token.
    fn begin(&mut self, token: &Token) {
        let Some(frame) = self.top() else { return };
        if frame.begun || matches!(token, Token::LParen) {
            return;
        }
        frame.begun = true;
        frame.query = matches!(token, Token::Word(word) if word.quote_style.is_none()
            && matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::VALUE | Keyword::TABLE));
    }

    fn close_angles(&mut self, count: usize) -> Result<(), Excess> {
        self.angles = self.angles.saturating_sub(count);
        self.add(OPERATOR)
    }

    fn word(&mut self, word: &Word) -> Result<(), Excess> {
        // `t.case` is a name.
        if self.previous.period {
            return Ok(());
        }
        match word.keyword {
            Keyword::CASE => self.open(Opener::Case),
            Keyword::END if self.frames.last().is_some_and(|frame| frame.opener == Opener::Case) => {
                self.close();
                self.check_cost()
            }
            Keyword::FROM => {
                self.set_in_from(true);
                Ok(())
            }
            Keyword::WHERE | Keyword::HAVING => {
                self.clause();
                self.set_in_from(false);
                Ok(())
            }
            Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE => {
                self.clause();
                Ok(())
            }
            Keyword::GROUP | Keyword::ORDER | Keyword::LIMIT | Keyword::SELECT => {
                self.set_in_from(false);
                Ok(())
            }
            Keyword::UNION => self.set_word(SetKind::Union),
            Keyword::INTERSECT => self.set_word(SetKind::Intersect),
            Keyword::EXCEPT | Keyword::MINUS => self.set_word(SetKind::Except),
            Keyword::JOIN | Keyword::STRAIGHT_JOIN | Keyword::APPLY => self.chain(OPERATOR),
            Keyword::PIVOT | Keyword::UNPIVOT | Keyword::MATCH_RECOGNIZE => self.chain(WRAPPED_TABLE),
            Keyword::AND | Keyword::OR => self.logical_word(word.keyword),
            _ if is_operator_word(word) => self.operator_word(word.keyword),
            _ => Ok(()),
        }
    }

    fn set_in_from(&mut self, in_from: bool) {
        if let Some(frame) = self.top() {
            frame.in_from = in_from;
        }
    }

    /// A word that begins another clause, unless it is a name here (`1 + on`).
    fn clause(&mut self) {
        if self.previous.operand_end
            && let Some(frame) = self.top()
        {
            frame.end_expression();
        }
    }

    fn operator_word(&mut self, keyword: Keyword) -> Result<(), Excess> {
        if keyword == Keyword::BETWEEN
            && let Some(frame) = self.top()
        {
            frame.betweens += 1;
        }
        self.add(OPERATOR)
    }

    fn logical_word(&mut self, keyword: Keyword) -> Result<(), Excess> {
        if keyword == Keyword::AND
            && let Some(frame) = self.top()
            && frame.betweens > 0
        {
            frame.betweens -= 1;
            return self.add(OPERATOR);
        }
        self.logical()
    }

    /// AND, OR, `&&`, `||`: a new term, if what stands before surely ends one.
    fn logical(&mut self) -> Result<(), Excess> {
        let ends_term = self.previous.operand_end;
        match self.top() {
            Some(frame) if ends_term => {
                frame.end_term();
                self.check_cost()
            }
            _ => self.add(OPERATOR),
        }
    }

    fn add(&mut self, cost: Cost) -> Result<(), Excess> {
        if let Some(frame) = self.top() {
            frame.term += cost;
        }
        self.check_cost()
    }

    fn chain(&mut self, cost: Cost) -> Result<(), Excess> {
        if let Some(frame) = self.top() {
            frame.chain += cost;
        }
        self.check_cost()
    }

    fn set_word(&mut self, kind: SetKind) -> Result<(), Excess> {
        self.clause();
        self.set_in_from(false);
        self.set_word = Some(kind);
        Ok(())
    }

    fn set_operation(&mut self, operation: SetOperation) -> Result<(), Excess> {
        if let Some(frame) = self.top() {
            match &mut frame.set_run {
                Some((running, length)) if *running == operation => *length += 1,
                run => {
                    frame.sets += run_cost(run.take());
                    *run = Some((operation, 1));
                }
            }
        }
        self.check_cost()
    }

    fn comma(&mut self) -> Result<(), Excess> {
        if let Some(frame) = self.top() {
            frame.end_expression();
            frame.betweens = 0;
            if frame.in_from {
                frame.chain += OPERATOR;
            }
        }
        self.check_cost()
    }

    fn open(&mut self, opener: Opener) -> Result<(), Excess> {
        self.frames.push(Frame::new(opener));
        if self.frames.len() > NESTING_MAX + 1 { Err(Excess::Nesting) } else { Ok(()) }
    }

    /// Closes the innermost bracket and the CASEs left open in it.
    fn close_bracket(&mut self) -> Result<(), Excess> {
        while self.frames.last().is_some_and(|frame| frame.opener == Opener::Case) {
            self.close();
        }
        if self.frames.len() > 1 {
            self.close();
        }
        self.check_cost()
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        let own = match frame.opener {
            Opener::Case => CASE,
            _ if frame.query => SUBQUERY,
            _ => BRACKET,
        };
        let cost = frame.cost() + own;
        if let Some(parent) = self.top() {
            parent.inner = parent.inner.max(cost);
            // Parentheses around a query's parentheses are a query again.
            if !parent.begun {
                parent.begun = true;
                parent.query = frame.query;
            }
        }
    }

    fn check_cost(&self) -> Result<(), Excess> {
        let cost = self.frames.last().map_or(0, Frame::cost);
        if cost > COST_MAX { Err(Excess::Cost) } else { Ok(()) }
    }
}

/// Whether an AND behind this token joins two terms, and is no name itself (`1 + and`).
fn surely_ends_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_some()
                || matches!(
                    word.keyword,
                    Keyword::NoKeyword | Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::END
                )
        }
        Token::RParen | Token::RBracket => true,
        token => is_operand(token),
    }
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
            | Token::SemiColon
            | Token::EOF
    )
}

/// Words that make a tree one deeper, before, between or behind operands.
fn is_operator_word(word: &Word) -> bool {
    const WORDS: [Keyword; 24] = [
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
