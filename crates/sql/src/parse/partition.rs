//! `PARTITION BY` and single partitions.

use cairn_types::Result;
use sqlparser::ast::Expr;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::ast::{
    BoundValue, ListPartition, PartitionBy, PartitionDef, PartitionKind, Property, RangeBounds,
    RangePartition, RangeSeries, TimeUnit,
};

/// Behind `PARTITION BY`.
pub(super) fn partition_by(c: &mut Cursor<'_>) -> Result<PartitionBy> {
    let kind = if c.is("RANGE") && c.peek_is(1, &Token::LParen) {
        PartitionKind::Range
    } else if c.is("LIST") && c.peek_is(1, &Token::LParen) {
        PartitionKind::List
    } else {
        PartitionKind::Expression
    };
    if kind != PartitionKind::Expression {
        // RANGE or LIST.
        c.parser.advance_token();
    }
    let exprs = if c.eat_token(&Token::LParen) {
        let exprs = c.separated(Cursor::expr)?;
        c.expect_token(&Token::RParen)?;
        exprs
    } else {
        c.separated(Cursor::expr)?
    };
    let listed = c.eat_token(&Token::LParen);
    let mut partitions = Vec::new();
    if listed && !c.eat_token(&Token::RParen) {
        partitions = c.separated(partition_def)?;
        c.expect_token(&Token::RParen)?;
    }
    Ok(PartitionBy { kind, exprs: exprs.into_iter().map(unparenthesized).collect(), partitions })
}

/// Without the parentheses around the whole.
pub(super) fn unparenthesized(expr: Expr) -> Expr {
    let mut expr = expr;
    while let Expr::Nested(inner) = expr {
        expr = *inner;
    }
    expr
}

/// `PARTITION p VALUES …` or `START … END … EVERY …`.
pub(super) fn partition_def(c: &mut Cursor<'_>) -> Result<PartitionDef> {
    if c.is("START") {
        return series(c).map(PartitionDef::Series);
    }
    c.expect("PARTITION")?;
    let if_not_exists = c.if_not_exists();
    let name = c.ident("the name of a partition")?;
    c.expect("VALUES")?;
    if c.eat("IN") {
        let values = list_values(c)?;
        let properties = own_properties(c)?;
        return Ok(PartitionDef::List(ListPartition { if_not_exists, name, values, properties }));
    }
    let bounds = range_bounds(c)?;
    let properties = own_properties(c)?;
    Ok(PartitionDef::Range(RangePartition { if_not_exists, name, bounds, properties }))
}

fn own_properties(c: &mut Cursor<'_>) -> Result<Vec<Property>> {
    if c.peek_is(0, &Token::LParen) { c.property_list() } else { Ok(Vec::new()) }
}

fn range_bounds(c: &mut Cursor<'_>) -> Result<RangeBounds> {
    if c.eat("LESS THAN") {
        if c.eat("MAXVALUE") {
            return Ok(RangeBounds::LessThan(vec![BoundValue::Max]));
        }
        return bound_row(c).map(RangeBounds::LessThan);
    }
    if !c.eat_token(&Token::LBracket) {
        return Err(c.unexpected("LESS THAN, IN or [(…), (…))"));
    }
    let lower = bound_row(c)?;
    c.expect_token(&Token::Comma)?;
    let upper = bound_row(c)?;
    c.expect_token(&Token::RParen)?;
    Ok(RangeBounds::Fixed { lower, upper })
}

/// `(value, …)`.
fn bound_row(c: &mut Cursor<'_>) -> Result<Vec<BoundValue>> {
    c.expect_token(&Token::LParen)?;
    let values = c.separated(Cursor::bound_value)?;
    c.expect_token(&Token::RParen)?;
    Ok(values)
}

/// `('a', 'b')` for one column, `(('a', 1), ('b', 2))` for several.
pub(super) fn list_values(c: &mut Cursor<'_>) -> Result<Vec<Vec<BoundValue>>> {
    c.expect_token(&Token::LParen)?;
    let rows =
        c.separated(
            |c| {
                if c.peek_is(0, &Token::LParen) { bound_row(c) } else { Ok(vec![c.bound_value()?]) }
            },
        )?;
    c.expect_token(&Token::RParen)?;
    Ok(rows)
}

/// `START ("a") END ("b") EVERY (…)`.
pub(super) fn series(c: &mut Cursor<'_>) -> Result<RangeSeries> {
    c.expect("START")?;
    let start = series_bound(c)?;
    c.expect("END")?;
    let end = series_bound(c)?;
    c.expect("EVERY")?;
    c.expect_token(&Token::LParen)?;
    let with_unit = c.eat("INTERVAL");
    let every = c.uint("the step of EVERY")?;
    let unit = if with_unit { Some(time_unit(c)?) } else { None };
    c.expect_token(&Token::RParen)?;
    if every == 0 {
        return Err(c.error("the step of EVERY must be positive"));
    }
    Ok(RangeSeries { start, end, every, unit, properties: Vec::new() })
}

/// `(value)`.
pub(super) fn series_bound(c: &mut Cursor<'_>) -> Result<String> {
    c.expect_token(&Token::LParen)?;
    let BoundValue::Text(text) = c.bound_value()? else {
        return Err(c.error("START and END need a value"));
    };
    c.expect_token(&Token::RParen)?;
    Ok(text)
}

pub(super) fn time_unit(c: &mut Cursor<'_>) -> Result<TimeUnit> {
    let found = TimeUnit::ALL.iter().find(|(_, word)| c.is(word)).map(|(unit, _)| *unit);
    let Some(unit) = found else { return Err(c.unexpected("a unit of time such as HOUR or DAY")) };
    c.parser.advance_token();
    Ok(unit)
}
