//! Storage volumes.

use cairn_types::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::ast::{
    AlterStorageVolume, AlterVolumeOp, CreateStorageVolume, DropStorageVolume, Statement, VolumeName,
};

/// The name of a volume, also in quotes.
pub(super) fn name(c: &mut Cursor<'_>) -> Result<VolumeName> {
    c.ident_or_string("the name of a storage volume").map(VolumeName)
}

/// Behind `CREATE STORAGE VOLUME`.
pub(super) fn create(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = c.if_not_exists();
    let name = name(c)?;
    c.expect("TYPE")?;
    c.expect_token(&Token::Eq)?;
    let kind = c.ident_or_string("the type of a storage volume")?.to_ascii_uppercase();
    c.expect("LOCATIONS")?;
    c.expect_token(&Token::Eq)?;
    c.expect_token(&Token::LParen)?;
    let locations = c.separated(|c| c.string("a location"))?;
    c.expect_token(&Token::RParen)?;
    let comment = c.comment()?;
    let properties = c.properties()?;
    Ok(Statement::CreateStorageVolume(CreateStorageVolume {
        if_not_exists,
        name,
        kind,
        locations,
        comment,
        properties,
    }))
}

/// Behind `ALTER STORAGE VOLUME`.
pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Statement> {
    let name = name(c)?;
    let op = if c.eat("SET") {
        AlterVolumeOp::Set(c.property_list()?)
    } else if let Some(text) = c.comment()? {
        AlterVolumeOp::Comment(text)
    } else {
        return Err(c.unexpected("SET (…) or COMMENT = '…'"));
    };
    Ok(Statement::AlterStorageVolume(AlterStorageVolume { name, op }))
}

/// Behind `DROP STORAGE VOLUME`.
pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = c.if_exists();
    Ok(Statement::DropStorageVolume(DropStorageVolume { if_exists, name: name(c)? }))
}
