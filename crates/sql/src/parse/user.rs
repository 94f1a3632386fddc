//! Users and passwords.

use cairn_types::{Error, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::unsupported::no_roles;
use crate::ast::{AlterUser, AuthOption, CreateUser, DropUser, SetPassword, Statement, UserName};

/// The host of a user that names none.
const ANY_HOST: &str = "%";

/// Behind `CREATE USER`.
pub(super) fn create(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = c.if_not_exists();
    let user = user_name(c)?;
    let auth = if c.is("IDENTIFIED") { Some(auth_option(c)?) } else { None };
    if c.is("DEFAULT ROLE") {
        return Err(Error::unsupported(
            "CREATE USER … DEFAULT ROLE is not supported yet: there are no roles",
        ));
    }
    Ok(Statement::CreateUser(CreateUser { if_not_exists, user, auth }))
}

/// Behind `ALTER USER`.
pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = c.if_exists();
    let user = user_name(c)?;
    if c.is("DEFAULT ROLE") {
        return Err(Error::unsupported("ALTER USER … DEFAULT ROLE is not supported yet: there are no roles"));
    }
    Ok(Statement::AlterUser(AlterUser { if_exists, user, auth: auth_option(c)? }))
}

/// Behind `DROP USER`.
pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = c.if_exists();
    Ok(Statement::DropUser(DropUser { if_exists, user: user_name(c)? }))
}

/// Behind `SET PASSWORD`.
pub(super) fn set_password(c: &mut Cursor<'_>) -> Result<Statement> {
    let user = if c.eat("FOR") { Some(user_name(c)?) } else { None };
    c.expect_token(&Token::Eq)?;
    let auth = if c.eat("PASSWORD") {
        c.expect_token(&Token::LParen)?;
        let password = c.string("a password")?;
        c.expect_token(&Token::RParen)?;
        AuthOption::Plain { plugin: None, password }
    } else {
        AuthOption::Hash { plugin: None, hash: c.string("the hash of a password")? }
    };
    Ok(Statement::SetPassword(SetPassword { user, auth }))
}

fn auth_option(c: &mut Cursor<'_>) -> Result<AuthOption> {
    c.expect("IDENTIFIED")?;
    if c.eat("BY PASSWORD") {
        return Ok(AuthOption::Hash { plugin: None, hash: c.string("the hash of a password")? });
    }
    if c.eat("BY") {
        return Ok(AuthOption::Plain { plugin: None, password: c.string("a password")? });
    }
    c.expect("WITH")?;
    let plugin = c.ident_or_string("the name of an authentication plugin")?.to_ascii_lowercase();
    if c.eat("BY") {
        return Ok(AuthOption::Plain { plugin: Some(plugin), password: c.string("a password")? });
    }
    if c.eat("AS") {
        return Ok(AuthOption::Hash { plugin: Some(plugin), hash: c.string("the hash of a password")? });
    }
    Ok(AuthOption::Plugin(plugin))
}

/// `user`, `'user'@'host'`, `user@host`, `user@'%'`. The tokenizer makes `@` a part of a word, where it stands beside one.
pub(super) fn user_name(c: &mut Cursor<'_>) -> Result<UserName> {
    let bare = c.peek_word(0).is_some();
    let first = c.ident_or_string("the name of a user")?;
    if bare && let Some((user, host)) = first.split_once('@') {
        let (user, host) = (user.to_owned(), host.to_owned());
        return Ok(UserName { user, host: host_behind_at(c, host)? });
    }
    if c.eat_token(&Token::AtSign) {
        return Ok(UserName { user: first, host: host_behind_at(c, String::new())? });
    }
    let at = c.peek_word(0).and_then(|word| word.strip_prefix('@')).map(str::to_owned);
    let Some(host) = at else { return Ok(UserName { user: first, host: ANY_HOST.to_owned() }) };
    c.parser.advance_token();
    Ok(UserName { user: first, host: host_behind_at(c, host)? })
}

/// `[USER] u`; `role_form` is the statement that `ROLE r` would make of it.
pub(super) fn after_word(c: &mut Cursor<'_>, role_form: &str) -> Result<UserName> {
    if says_what_follows(c, "ROLE") {
        return Err(no_roles(role_form));
    }
    if says_what_follows(c, "USER") {
        c.expect("USER")?;
    }
    user_name(c)
}

/// Whether `word` comes, and a name behind it. Without one it is itself the name of a user.
fn says_what_follows(c: &Cursor<'_>, word: &str) -> bool {
    c.is(word)
        && match &c.parser.peek_nth_token_ref(1).token {
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => true,
            Token::Word(next) if next.quote_style.is_some() => true,
            // The tokenizer makes the `@` before a host a part of the host's word.
            Token::Word(next) => !next.value.starts_with('@') && !next.value.eq_ignore_ascii_case("WITH"),
            _ => false,
        }
}

/// The host, of which `begun` stood in one word with the `@`.
fn host_behind_at(c: &mut Cursor<'_>, begun: String) -> Result<String> {
    if !begun.is_empty() {
        // An address or a domain: 127.0.0.1 is no word, so it must be in quotes.
        let mut host = begun;
        while c.eat_token(&Token::Period) {
            host = format!("{host}.{}", c.ident("the next part of a host's name")?);
        }
        return Ok(host);
    }
    if c.eat_token(&Token::Mod) {
        return Ok(ANY_HOST.to_owned());
    }
    c.ident_or_string("the name of a host")
}
