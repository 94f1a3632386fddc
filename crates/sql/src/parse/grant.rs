//! `GRANT` and `REVOKE`.

use cairn_types::{Error, ObjectKind, Privilege, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::unsupported::{no_roles, not_yet};
use super::user;
use crate::ast::{DatabaseName, Grant, GrantObject, Statement};

/// Words that StarRocks reserves, so behind ON they are never the name of a table.
const RESERVED_KINDS: [&str; 5] = ["SYSTEM", "DATABASE", "DATABASES", "TABLE", "TABLES"];

/// The kinds that StarRocks has and Cairn has not, the longer before the shorter.
const KINDS_NOT_YET: [&str; 14] = [
    "FUNCTION",
    "FUNCTIONS",
    "GLOBAL FUNCTION",
    "GLOBAL FUNCTIONS",
    "PIPE",
    "PIPES",
    "RESOURCE GROUP",
    "RESOURCE GROUPS",
    "RESOURCE",
    "RESOURCES",
    "STORAGE VOLUME",
    "STORAGE VOLUMES",
    "WAREHOUSE",
    "WAREHOUSES",
];

/// The privileges that StarRocks (or MySQL) has and Cairn has not, the longer before the shorter.
const PRIVILEGES_NOT_YET: [&str; 12] = [
    "BLACKLIST",
    "CREATE EXTERNAL CATALOG",
    "CREATE GLOBAL FUNCTION",
    "CREATE PIPE",
    "CREATE RESOURCE GROUP",
    "CREATE RESOURCE",
    "CREATE WAREHOUSE",
    "FILE",
    "GRANT OPTION",
    "PLUGIN",
    "REPOSITORY",
    "SECURITY",
];

/// What comes instead of a privilege's word that is none.
const A_PRIVILEGE: &str = "a privilege such as SELECT, or ALL alone";

pub(super) fn grant(c: &mut Cursor<'_>) -> Result<Statement> {
    read(c, "GRANT", "TO").map(|grant| Statement::Grant(Box::new(grant)))
}

pub(super) fn revoke(c: &mut Cursor<'_>) -> Result<Statement> {
    read(c, "REVOKE", "FROM").map(|grant| Statement::Revoke(Box::new(grant)))
}

/// `verb privileges ON object toward [USER] u`.
fn read(c: &mut Cursor<'_>, verb: &str, toward: &str) -> Result<Grant> {
    c.expect(verb)?;
    if c.is("ROLE") {
        return Err(no_roles(&format!("{verb} ROLE")));
    }
    let privileges = privileges(c, verb, toward)?;
    c.expect("ON")?;
    let on = object(c, verb)?;
    c.expect(toward)?;
    let user = user::after_word(c, &format!("{verb} … {toward} ROLE"))?;
    if c.is("WITH GRANT OPTION") {
        return Err(Error::unsupported(
            "WITH GRANT OPTION is not supported yet: the privilege GRANT ON SYSTEM lets a user grant",
        ));
    }
    let grant = Grant { privileges, on, user };
    check_fit(&grant, verb)?;
    Ok(grant)
}

/// `ALL [PRIVILEGES]` or a list. Roles stand at the same place: only what comes behind the list tells them.
fn privileges(c: &mut Cursor<'_>, verb: &str, toward: &str) -> Result<Option<Vec<Privilege>>> {
    if c.eat("ALL") {
        c.eat("PRIVILEGES");
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut unknown = None;
    c.separated(|c| {
        match privilege(c)? {
            Some(privilege) if found.contains(&privilege) => {}
            Some(privilege) => found.push(privilege),
            None => {
                // An error looks for its place in the whole text, so a long list must not make one for each word.
                if unknown.is_none() {
                    unknown = Some(c.unexpected(A_PRIVILEGE));
                }
                c.ident_or_string(A_PRIVILEGE)?;
            }
        }
        Ok(())
    })?;
    match unknown {
        Some(_) if c.is(toward) => Err(no_roles(&format!("{verb} role {toward}"))),
        Some(error) => Err(error),
        None => Ok(Some(found)),
    }
}

fn privilege(c: &mut Cursor<'_>) -> Result<Option<Privilege>> {
    if let Some(name) = PRIVILEGES_NOT_YET.iter().find(|name| c.is(name)) {
        return Err(not_yet(&format!("The privilege {name}")));
    }
    Ok(Privilege::ALL.iter().find(|privilege| c.eat(privilege.name())).copied())
}

/// Behind `ON`.
fn object(c: &mut Cursor<'_>, verb: &str) -> Result<GrantObject> {
    let all = !c.peek_is(1, &Token::Period) && c.eat("ALL");
    let unknown = KINDS_NOT_YET.iter().find(|words| if all { c.is(words) } else { is_kind(c, words) });
    match unknown {
        Some(words) => Err(not_yet(&format!("{verb} … ON {words}"))),
        None if all => all_of_kind(c),
        None => named(c),
    }
}

/// Behind `ON ALL`.
fn all_of_kind(c: &mut Cursor<'_>) -> Result<GrantObject> {
    let kinds = [
        ("TABLES", ObjectKind::Table),
        ("VIEWS", ObjectKind::View),
        ("MATERIALIZED VIEWS", ObjectKind::MaterializedView),
    ];
    if c.eat("CATALOGS") {
        return Ok(GrantObject::AllCatalogs);
    }
    if c.eat("DATABASES") {
        return Ok(GrantObject::AllDatabases);
    }
    if c.eat("USERS") {
        return Ok(GrantObject::AllUsers);
    }
    let Some(kind) = c.eat_any(&kinds) else {
        return Err(c.unexpected("CATALOGS, DATABASES, TABLES, VIEWS, MATERIALIZED VIEWS or USERS"));
    };
    let database = if c.eat("IN ALL DATABASES") {
        None
    } else if c.eat("IN DATABASE") {
        Some(c.database_name()?)
    } else {
        return Err(c.unexpected("IN DATABASE … or IN ALL DATABASES"));
    };
    Ok(GrantObject::AllIn { kind, database })
}

/// Behind `ON`, without `ALL`.
fn named(c: &mut Cursor<'_>) -> Result<GrantObject> {
    if eat_kind(c, "SYSTEM") {
        return Ok(GrantObject::System);
    }
    if eat_kind(c, "CATALOG") {
        return c.ident_or_string("the name of a catalog").map(GrantObject::Catalog);
    }
    if eat_kind(c, "DATABASE") || eat_kind(c, "DATABASES") {
        return c.separated(|c| c.database_name()).map(GrantObject::Databases);
    }
    if eat_kind(c, "USER") || eat_kind(c, "USERS") {
        return c.separated(user::user_name).map(GrantObject::Users);
    }
    let kind = if eat_kind(c, "VIEW") || eat_kind(c, "VIEWS") {
        ObjectKind::View
    } else if eat_kind(c, "MATERIALIZED VIEW") || eat_kind(c, "MATERIALIZED VIEWS") {
        ObjectKind::MaterializedView
    } else {
        if !eat_kind(c, "TABLE") {
            eat_kind(c, "TABLES");
        }
        ObjectKind::Table
    };
    match starred(c)? {
        Some(star) => Ok(GrantObject::AllIn { kind, database: star.database }),
        None => Ok(GrantObject::Named { kind, names: c.separated(|c| c.table_name())? }),
    }
}

/// Whether `words` say a kind here. `GRANT SELECT ON users TO u` and `… ON users.t TO u` name a table.
fn is_kind(c: &Cursor<'_>, words: &str) -> bool {
    let behind = words.split(' ').count();
    let ends_name =
        || c.peek_is(behind, &Token::Comma) || c.word_is(behind, "TO") || c.word_is(behind, "FROM");
    c.is(words) && !c.peek_is(behind, &Token::Period) && (RESERVED_KINDS.contains(&words) || !ends_name())
}

fn eat_kind(c: &mut Cursor<'_>, words: &str) -> bool {
    is_kind(c, words) && c.eat(words)
}

/// What stands before a star.
struct Star {
    /// `None`: a star too.
    database: Option<DatabaseName>,
}

/// `*.*`, `db.*`, `catalog.db.*`, as MySQL's users write it; `None` when something else comes.
fn starred(c: &mut Cursor<'_>) -> Result<Option<Star>> {
    let dot_star = |at: usize| c.peek_is(at, &Token::Period) && c.peek_is(at + 1, &Token::Mul);
    let parts = match (dot_star(1), c.peek_is(1, &Token::Period) && dot_star(3)) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => return Ok(None),
    };
    let database = if parts == 1 && c.eat_token(&Token::Mul) {
        None
    } else {
        let mut names = c.dotted("the name of a database", parts)?;
        let name = names.pop().unwrap_or_default();
        Some(DatabaseName { catalog: names.pop(), name })
    };
    c.expect_token(&Token::Period)?;
    c.expect_token(&Token::Mul)?;
    Ok(Some(Star { database }))
}

/// An object has only the privileges of its kind.
fn check_fit(grant: &Grant, verb: &str) -> Result<()> {
    let kind = grant.on.kind();
    let fitting = kind.privileges();
    let Some(other) = grant.privileges.iter().flatten().find(|privilege| !fitting.contains(privilege)) else {
        return Ok(());
    };
    let fitting: Vec<&str> = fitting.iter().map(|privilege| privilege.name()).collect();
    let places: Vec<&str> = ObjectKind::ALL
        .iter()
        .filter(|kind| kind.privileges().contains(other))
        .map(|kind| kind.name())
        .collect();
    Err(Error::analysis(format!(
        "Operation not permitted: {verb} {other} ON {kind}. Detail message: the privileges on {kind} are {}; {other} is \
         one on {}",
        fitting.join(", "),
        places.join(", "),
    )))
}
