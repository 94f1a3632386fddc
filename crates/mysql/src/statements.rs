//! The answer to a prepared statement. Pure but for the buffer it goes to.

use crate::backend::Prepared;
use crate::channel::Output;
use crate::column::ColumnDef;
use crate::reply::{Endings, put_eof};
use cairn_types::{Error, Result};
use mysql_common::constants::{ColumnType, StatusFlags};

/// Writes the statement's number and its parameters' and columns' definitions.
pub(crate) fn put_prepared(
    output: &mut Output,
    id: u32,
    prepared: &Prepared,
    endings: Endings,
    status: StatusFlags,
) -> Result<()> {
    let columns = u16::try_from(prepared.columns.len()).map_err(|_| {
        let count = prepared.columns.len();
        Error::unsupported(format!("The statement has {count} columns; a prepared one can have 65,535"))
    })?;
    output.put(|out| {
        out.push(0);
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&columns.to_le_bytes());
        out.extend_from_slice(&prepared.parameters.to_le_bytes());
        out.extend_from_slice(&[0; 3]); // filler, warnings
    });
    let parameter = ColumnDef::new("?", ColumnType::MYSQL_TYPE_VAR_STRING);
    let parameters = std::iter::repeat_n(&parameter, usize::from(prepared.parameters));
    put_definitions(output, parameters, endings, status);
    put_definitions(output, prepared.columns.iter(), endings, status);
    Ok(())
}

fn put_definitions<'a>(
    output: &mut Output,
    definitions: impl ExactSizeIterator<Item = &'a ColumnDef>,
    endings: Endings,
    status: StatusFlags,
) {
    if definitions.len() == 0 {
        return;
    }
    definitions.for_each(|definition| output.put(|out| definition.put(out)));
    if endings.eof_after_columns() {
        output.put(|out| put_eof(out, status, 0));
    }
}
