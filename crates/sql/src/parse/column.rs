//! One column of `CREATE TABLE` or `ADD COLUMN`.

use cairn_types::Result;
use sqlparser::ast::{BinaryLength, CharacterLength, DataType};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::partition::unparenthesized;
use crate::ast::{ColumnDef, DefaultValue};
use crate::types::column_type;

/// Words that say how values of one key are merged.
const AGGREGATES: [&str; 12] = [
    "SUM",
    "MAX",
    "MIN",
    "REPLACE",
    "REPLACE_IF_NOT_NULL",
    "HLL_UNION",
    "BITMAP_UNION",
    "PERCENTILE_UNION",
    "AVG",
    "COUNT",
    "ARRAY_AGG",
    "NONE",
];

/// `name type [KEY] [aggregate] [NULL | NOT NULL] [DEFAULT …] [AUTO_INCREMENT] [AS expr] [COMMENT '…']`; what stands
/// behind the type may come in any order, each once.
pub(super) fn column_def(c: &mut Cursor<'_>) -> Result<ColumnDef> {
    let name = c.ident("the name of a column")?;
    let at_type = c.parser.peek_token_ref().span.start;
    let parsed = c.parser.parse_data_type();
    let ty = c.located_result(parsed)?;
    let ty = column_type(&strip_display_width(ty)).map_err(|e| {
        e.context(format!("Column '{name}' (line {}, column {})", at_type.line, at_type.column))
    })?;
    let mut column = ColumnDef {
        name,
        ty,
        key: false,
        aggregate: None,
        nullable: None,
        default: None,
        auto_increment: false,
        generated: None,
        comment: None,
    };
    while option(c, &mut column)? {}
    Ok(column)
}

/// `LARGEINT(40)` and the like are read by `sqlparser` as they are; nothing else needs it.
fn strip_display_width(ty: DataType) -> DataType {
    match ty {
        DataType::Varbinary(Some(BinaryLength::Max)) => DataType::Varbinary(None),
        DataType::Varchar(Some(CharacterLength::Max)) => DataType::Text,
        other => other,
    }
}

/// Reads one option; `false` when none comes.
fn option(c: &mut Cursor<'_>, column: &mut ColumnDef) -> Result<bool> {
    if c.eat("KEY") {
        c.once(column.key, "KEY")?;
        column.key = true;
    } else if c.eat("NOT NULL") {
        c.once(column.nullable.is_some(), "NULL or NOT NULL")?;
        column.nullable = Some(false);
    } else if c.eat("NULL") {
        c.once(column.nullable.is_some(), "NULL or NOT NULL")?;
        column.nullable = Some(true);
    } else if c.eat("DEFAULT") {
        c.once(column.default.is_some(), "DEFAULT")?;
        column.default = Some(default_value(c)?);
    } else if c.eat("AUTO_INCREMENT") {
        c.once(column.auto_increment, "AUTO_INCREMENT")?;
        column.auto_increment = true;
    } else if c.eat("GENERATED ALWAYS AS") || c.eat("AS") {
        c.once(column.generated.is_some(), "AS")?;
        column.generated = Some(unparenthesized(c.expr()?));
    } else if c.is("COMMENT") {
        c.once(column.comment.is_some(), "COMMENT")?;
        column.comment = c.comment()?;
    } else if let Some(aggregate) = AGGREGATES.iter().find(|word| c.is(word)) {
        c.once(column.aggregate.is_some(), "the aggregate")?;
        c.parser.advance_token();
        column.aggregate = Some((*aggregate).to_owned());
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Behind `DEFAULT`.
fn default_value(c: &mut Cursor<'_>) -> Result<DefaultValue> {
    if c.eat("NULL") {
        return Ok(DefaultValue::Null);
    }
    if c.eat("CURRENT_TIMESTAMP") || c.eat("NOW") {
        if c.eat_token(&Token::LParen) && !c.eat_token(&Token::RParen) {
            c.uint("the digits of a second")?;
            c.expect_token(&Token::RParen)?;
        }
        return Ok(DefaultValue::CurrentTimestamp);
    }
    for word in ["TRUE", "FALSE"] {
        if c.eat(word) {
            return Ok(DefaultValue::Text(word.to_ascii_lowercase()));
        }
    }
    if c.eat_token(&Token::LParen) {
        let function = c.ident("a function")?.to_ascii_lowercase();
        c.expect_token(&Token::LParen)?;
        c.expect_token(&Token::RParen)?;
        c.expect_token(&Token::RParen)?;
        return Ok(DefaultValue::Function(function));
    }
    match c.bound_value()? {
        crate::ast::BoundValue::Text(text) => Ok(DefaultValue::Text(text)),
        _ => Err(c.error("DEFAULT needs a value")),
    }
}
