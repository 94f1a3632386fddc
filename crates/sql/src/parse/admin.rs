//! `ADMIN …`, `ALTER SYSTEM …` and cluster snapshots.

use cairn_types::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::interval::interval;
use super::{unsupported, volume};
use crate::ast::{Admin, CreateSnapshot, DropSnapshot, Statement};

pub(super) fn admin(c: &mut Cursor<'_>) -> Result<Statement> {
    let admin = if c.eat("ADMIN SET FRONTEND CONFIG") {
        let settings = c.property_list()?;
        Admin::SetFrontendConfig { settings, persistent: c.eat("WITH PERSISTENT") }
    } else if c.eat("ADMIN SHOW FRONTEND CONFIG") {
        let pattern = if c.eat("LIKE") { Some(c.string("a pattern")?) } else { None };
        Admin::ShowFrontendConfig { pattern }
    } else if c.eat("ADMIN SET AUTOMATED CLUSTER SNAPSHOT OFF") {
        Admin::AutomatedSnapshotOff
    } else if c.eat("ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON") {
        let interval = if c.is("INTERVAL") { Some(interval(c)?) } else { None };
        let volume = if c.eat("STORAGE VOLUME") { Some(volume::name(c)?) } else { None };
        Admin::AutomatedSnapshotOn { interval, volume }
    } else if c.eat("ADMIN ALTER AUTOMATED CLUSTER SNAPSHOT SET") {
        Admin::AlterAutomatedSnapshot { interval: interval(c)? }
    } else if c.eat("ADMIN SHOW AUTOMATED CLUSTER SNAPSHOT") {
        Admin::ShowAutomatedSnapshot
    } else if c.eat("ADMIN PAUSE MATERIALIZED VIEWS") {
        Admin::PauseMaterializedViews
    } else if c.eat("ADMIN RESUME MATERIALIZED VIEWS") {
        Admin::ResumeMaterializedViews
    } else {
        return Err(unsupported::refusal(c).unwrap_or_else(|| {
            c.eat("ADMIN");
            c.unexpected(
                "SET FRONTEND CONFIG, SHOW FRONTEND CONFIG, … AUTOMATED CLUSTER SNAPSHOT or PAUSE | RESUME \
                 MATERIALIZED VIEWS",
            )
        }));
    };
    Ok(Statement::Admin(admin))
}

pub(super) fn alter_system(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.eat("ALTER SYSTEM CREATE IMAGE") {
        return Ok(Statement::Admin(Admin::CreateImage));
    }
    c.expect("ALTER SYSTEM")?;
    let words: Vec<&str> = (0..3).map_while(|n| c.peek_word(n)).collect();
    Err(unsupported::not_yet(format!("ALTER SYSTEM {}", words.join(" ")).to_ascii_uppercase().trim_end()))
}

/// Behind `CREATE SNAPSHOT`.
pub(super) fn create_snapshot(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = c.if_not_exists();
    let unnamed = c.at_end() || (c.is("PROPERTIES") && c.peek_is(1, &Token::LParen));
    let name = if unnamed { None } else { Some(c.ident_or_string("the name of a snapshot")?) };
    let properties = c.properties()?;
    Ok(Statement::CreateSnapshot(CreateSnapshot { if_not_exists, name, properties }))
}

/// Behind `DROP SNAPSHOT`.
pub(super) fn drop_snapshot(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = c.if_exists();
    let name = c.ident_or_string("the name of a snapshot")?;
    Ok(Statement::DropSnapshot(DropSnapshot { if_exists, name }))
}
