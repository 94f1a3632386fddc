//! `SET`, `KILL`, transactions, prepared statements.

use cairn_types::{Error, Result};
use sqlparser::ast::Expr;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::unsupported::{not_yet, refusal};
use super::user;
use crate::ast::{
    Execute, Kill, KillTarget, SetItem, SetValue, Statement, TransactionAccess, VariableScope, VolumeName,
};

const SCOPES: [(&str, VariableScope); 3] = [
    ("GLOBAL", VariableScope::Global),
    ("SESSION", VariableScope::Session),
    ("LOCAL", VariableScope::Session),
];

const ACCESS: [(&str, TransactionAccess); 2] =
    [("READ ONLY", TransactionAccess::ReadOnly), ("READ WRITE", TransactionAccess::ReadWrite)];

const ISOLATION: [&str; 4] = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

pub(super) fn set(c: &mut Cursor<'_>) -> Result<Statement> {
    let assigns = c.peek_is(2, &Token::Eq) || c.peek_is(2, &Token::Assignment);
    if !assigns && let Some(refusal) = refusal(c) {
        return Err(refusal);
    }
    c.expect("SET")?;
    if c.is("PASSWORD") {
        c.expect("PASSWORD")?;
        return user::set_password(c);
    }
    if c.peek_word(1).is_some_and(|word| word.eq_ignore_ascii_case("AS")) {
        let name = c.ident("the name of a storage volume")?;
        c.expect("AS DEFAULT STORAGE VOLUME")?;
        return Ok(Statement::SetDefaultStorageVolume(VolumeName(name)));
    }
    c.separated(set_item).map(Statement::Set)
}

fn set_item(c: &mut Cursor<'_>) -> Result<SetItem> {
    if c.is("NAMES") && !c.peek_is(1, &Token::Eq) {
        c.expect("NAMES")?;
        let charset = charset(c)?;
        let collate = if c.eat("COLLATE") { Some(c.ident_or_string("a collation")?) } else { None };
        return Ok(SetItem::Names { charset, collate });
    }
    if c.eat("CHARACTER SET")
        || c.eat("CHAR SET")
        || (c.is("CHARSET") && !c.peek_is(1, &Token::Eq) && c.eat("CHARSET"))
    {
        return charset(c).map(SetItem::CharacterSet);
    }
    if let Some(name) = user_variable(c)? {
        assign_sign(c)?;
        return Ok(SetItem::User { name, value: Box::new(c.expr()?) });
    }
    let mut scope = VariableScope::Session;
    if !c.peek_is(1, &Token::Eq) && !c.peek_is(1, &Token::Assignment) {
        scope = c.eat_any(&SCOPES).unwrap_or_default();
    }
    if c.is("TRANSACTION") && !c.peek_is(1, &Token::Eq) {
        return transaction_item(c, scope);
    }
    let (scope, name) = variable_name(c, scope)?;
    assign_sign(c)?;
    Ok(SetItem::Variable { scope, name, value: set_value(c)? })
}

fn charset(c: &mut Cursor<'_>) -> Result<Option<String>> {
    if c.eat("DEFAULT") { Ok(None) } else { c.ident_or_string("a character set").map(Some) }
}

/// `@name`, `@'name'` or `` @`name` ``; `None` when something else comes.
fn user_variable(c: &mut Cursor<'_>) -> Result<Option<String>> {
    if c.eat_token(&Token::AtSign) {
        return c.ident_or_string("the name of a variable").map(Some);
    }
    let name = c.peek_word(0).and_then(|word| word.strip_prefix('@')).filter(|name| !name.starts_with('@'));
    let Some(name) = name.map(str::to_owned) else { return Ok(None) };
    c.parser.advance_token();
    if name.is_empty() { c.ident_or_string("the name of a variable").map(Some) } else { Ok(Some(name)) }
}

/// `name`, `@@name`, `@@global.name`; in lower case.
fn variable_name(c: &mut Cursor<'_>, scope: VariableScope) -> Result<(VariableScope, String)> {
    let Some(word) = c.peek_word(0).and_then(|word| word.strip_prefix("@@")).map(str::to_owned) else {
        let name = c.ident("the name of a variable")?;
        return Ok((scope, name.to_ascii_lowercase()));
    };
    c.parser.advance_token();
    let named = SCOPES.iter().find(|(scope, _)| word.eq_ignore_ascii_case(scope));
    match named {
        Some((_, scope)) if c.eat_token(&Token::Period) => {
            Ok((*scope, c.ident("the name of a variable")?.to_ascii_lowercase()))
        }
        _ => Ok((scope, word.to_ascii_lowercase())),
    }
}

fn assign_sign(c: &mut Cursor<'_>) -> Result<()> {
    if c.eat_token(&Token::Eq) || c.eat_token(&Token::Assignment) { Ok(()) } else { Err(c.unexpected("'='")) }
}

fn set_value(c: &mut Cursor<'_>) -> Result<SetValue> {
    if c.eat("DEFAULT") {
        return Ok(SetValue::Default);
    }
    let alone = c.peek_is(1, &Token::Comma) || c.peek_is(1, &Token::EOF);
    let word = c.peek_word(0).filter(|word| {
        !word.starts_with('@') && !["TRUE", "FALSE", "NULL"].iter().any(|w| word.eq_ignore_ascii_case(w))
    });
    match word.map(str::to_owned) {
        Some(word) if alone => {
            c.parser.advance_token();
            Ok(SetValue::Word(word))
        }
        _ => match c.expr()? {
            Expr::Identifier(ident) if ident.quote_style == Some('`') => Ok(SetValue::Word(ident.value)),
            expr => Ok(SetValue::Expr(Box::new(expr))),
        },
    }
}

/// `TRANSACTION [ISOLATION LEVEL …] [, READ ONLY]`.
fn transaction_item(c: &mut Cursor<'_>, scope: VariableScope) -> Result<SetItem> {
    c.expect("TRANSACTION")?;
    let (mut isolation, mut access) = (None, None);
    loop {
        if c.eat("ISOLATION LEVEL") {
            let level = ISOLATION.iter().find(|level| c.eat(level));
            isolation = Some(level.ok_or_else(|| c.unexpected("an isolation level"))?.to_string());
        } else if let Some(found) = c.eat_any(&ACCESS) {
            access = Some(found);
        } else {
            return Err(c.unexpected("ISOLATION LEVEL …, READ ONLY or READ WRITE"));
        }
        let goes_on = c.peek_is(0, &Token::Comma)
            && c.peek_word(1)
                .is_some_and(|w| w.eq_ignore_ascii_case("ISOLATION") || w.eq_ignore_ascii_case("READ"));
        if !goes_on {
            return Ok(SetItem::Transaction { scope, isolation, access });
        }
        c.expect_token(&Token::Comma)?;
    }
}

pub(super) fn kill(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("KILL")?;
    if c.is("ANALYZE") {
        return Err(not_yet("KILL ANALYZE"));
    }
    let query_only = c.eat_any(&[("QUERY", true), ("CONNECTION", false)]).unwrap_or(false);
    let target = if matches!(c.parser.peek_token_ref().token, Token::Number(..)) {
        KillTarget::Connection(c.uint("the id of a connection")?)
    } else {
        KillTarget::QueryId(c.string("the id of a connection, or of a query")?)
    };
    Ok(Statement::Kill(Kill { query_only, target }))
}

pub(super) fn transaction(c: &mut Cursor<'_>) -> Result<Statement> {
    if let Some(refusal) = refusal(c) {
        return Err(refusal);
    }
    let statement = if c.eat("START TRANSACTION") {
        if c.is("WITH CONSISTENT SNAPSHOT") {
            return Err(Error::unsupported(
                "START TRANSACTION WITH CONSISTENT SNAPSHOT is not supported: each query reads the state of its own start",
            ));
        }
        Statement::Begin(c.eat_any(&ACCESS))
    } else if c.eat("BEGIN") {
        Statement::Begin(None)
    } else if c.eat("COMMIT") {
        Statement::Commit
    } else if c.eat("ROLLBACK") {
        Statement::Rollback
    } else {
        c.eat("START");
        return Err(c.unexpected("TRANSACTION"));
    };
    c.eat("WORK");
    if c.is("WITH LABEL") {
        return Err(not_yet("BEGIN WITH LABEL"));
    }
    if c.is("AND CHAIN") || c.is("RELEASE") {
        return Err(Error::unsupported(
            "AND CHAIN and RELEASE are not supported; begin or quit by a statement",
        ));
    }
    Ok(statement)
}

/// `PREPARE`, `EXECUTE`, `DEALLOCATE PREPARE`, `DROP PREPARE`; `EXECUTE AS`, which begins like them.
pub(super) fn prepared(c: &mut Cursor<'_>) -> Result<Statement> {
    if let Some(refusal) = refusal(c) {
        return Err(refusal);
    }
    let what = "the name of a prepared statement";
    if c.eat("PREPARE") {
        let name = c.ident(what)?;
        c.expect("FROM")?;
        let text = if c.peek_word(0).is_some() { rest(c) } else { c.string("a statement")? };
        return Ok(Statement::Prepare { name, text });
    }
    if c.eat("DEALLOCATE PREPARE") || c.eat("DROP PREPARE") {
        return Ok(Statement::Deallocate { name: c.ident(what)? });
    }
    if c.eat("EXECUTE AS") {
        return execute_as(c);
    }
    c.expect("EXECUTE")?;
    let name = c.ident(what)?;
    let using = if c.eat("USING") {
        c.separated(|c| user_variable(c)?.ok_or_else(|| c.unexpected("a variable @name")))?
    } else {
        Vec::new()
    };
    Ok(Statement::Execute(Execute { name, using }))
}

/// Behind `EXECUTE AS`.
fn execute_as(c: &mut Cursor<'_>) -> Result<Statement> {
    let user = user::after_word(c, "EXECUTE AS ROLE")?;
    if c.eat("WITH NO REVERT") {
        return Ok(Statement::ExecuteAs(user));
    }
    if c.at_end() {
        return Err(Error::unsupported("EXECUTE AS without WITH NO REVERT is not supported"));
    }
    Err(c.unexpected("WITH NO REVERT"))
}

/// Everything up to the end, as text.
fn rest(c: &mut Cursor<'_>) -> String {
    let text = c.rest_text().to_owned();
    while !c.at_end() {
        c.parser.advance_token();
    }
    text
}
