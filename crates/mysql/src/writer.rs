//! Result sets: what a session writes its answers with.

use crate::backend::{OkInfo, SessionStatus};
use crate::channel::Output;
use crate::column::ColumnDef;
use crate::primitive::put_lenenc_int;
use crate::reply::{Endings, ErrorReply, put_eof, put_ok, status_flags};
use crate::row::{Format, RowBuf, WireType};
use cairn_types::{Error, ErrorKind, Result};
use mysql_common::constants::CapabilityFlags;

/// Writes the results of one command, one after the other: each is either [`ok`](Self::ok), or
/// [`columns`](Self::columns) and then [`row`](Self::row)s. Beginning the next result ends the one before. The bytes
/// gather in one buffer that is sent whenever it has 64 KiB; a client which is gone, or takes nothing for the write
/// timeout, makes the call an error of kind `Cancelled`, and the session should stop.
pub struct ResultWriter<'a> {
    output: &'a mut Output,
    terms: Terms,
    status: SessionStatus,
    state: State,
    columns: Vec<WireType>,
    rows: u64,
}

/// What the client and the command allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) capabilities: CapabilityFlags,
    pub(crate) format: Format,
    /// The client may send several statements in one query.
    pub(crate) multi_statements: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing written yet.
    Empty,
    /// Columns are written, rows may follow.
    Rows,
    /// A result is complete but for its last packet, which says whether another result follows.
    Ended(Ending),
}

#[derive(Debug)]
enum Ending {
    Ok(OkInfo),
    Rows { warnings: u16 },
}

impl<'a> ResultWriter<'a> {
    pub(crate) fn new(output: &'a mut Output, terms: Terms, status: SessionStatus) -> Self {
        Self { output, terms, status, state: State::Empty, columns: Vec::new(), rows: 0 }
    }

    /// How rows are written: as text, or in binary for prepared statements.
    #[must_use]
    pub fn format(&self) -> Format {
        self.terms.format
    }

    /// Whether a query may hold several statements; where not, a second statement is an error of the SQL.
    #[must_use]
    pub fn multi_statements_allowed(&self) -> bool {
        self.terms.multi_statements
    }

    /// Rows written so far, of all results.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.rows
    }

    /// The session's flags as of now, told with the results before the last; the last one asks the session itself.
    pub fn set_status(&mut self, status: SessionStatus) {
        self.status = status;
    }

    /// A result without rows.
    ///
    /// # Errors
    /// `Unsupported` when it is a second result and the client takes only one.
    pub async fn ok(&mut self, info: OkInfo) -> Result<()> {
        self.begin_result()?;
        self.state = State::Ended(Ending::Ok(info));
        self.flush_if_full().await
    }

    /// Begins a result with rows.
    ///
    /// # Errors
    /// `Internal` without any column; `Unsupported` when it is a second result and the client takes only one.
    pub async fn columns(&mut self, columns: &[ColumnDef]) -> Result<()> {
        if columns.is_empty() {
            return Err(Error::internal("A result with rows needs columns; write OK instead (a bug)"));
        }
        self.begin_result()?;
        self.columns = columns.iter().map(WireType::of).collect();
        self.output.put(|out| put_lenenc_int(out, columns.len() as u64));
        for column in columns {
            self.output.put(|out| column.put(out));
        }
        if Endings::of(self.terms.capabilities).eof_after_columns() {
            let status = status_flags(self.status, false);
            self.output.put(|out| put_eof(out, status, 0));
        }
        self.state = State::Rows;
        self.flush_if_full().await
    }

    /// Writes one row: `write` puts a value for each column.
    ///
    /// # Errors
    /// What `write` returns; `Internal` when the values do not fit the columns. The row is not sent then.
    pub async fn row(&mut self, write: impl FnOnce(&mut RowBuf<'_>) -> Result<()> + Send) -> Result<()> {
        self.push_row(write)?;
        self.flush_if_full().await
    }

    /// Writes `count` rows: `write` puts the values of the row whose number, from 0, it is given.
    ///
    /// # Errors
    /// As [`Self::row`].
    pub async fn rows(
        &mut self,
        count: usize,
        mut write: impl FnMut(usize, &mut RowBuf<'_>) -> Result<()> + Send,
    ) -> Result<()> {
        for number in 0..count {
            self.push_row(|row| write(number, row))?;
            self.flush_if_full().await?;
        }
        Ok(())
    }

    /// Ends a result with rows, telling a number of warnings; without it, it is ended with none.
    pub fn end_rows(&mut self, warnings: u16) {
        if let State::Rows = self.state {
            self.state = State::Ended(Ending::Rows { warnings });
        }
    }

    /// Sends what has gathered, for a result that should be seen while it is made.
    ///
    /// # Errors
    /// `Cancelled` when the client does not take it.
    pub async fn flush(&mut self) -> Result<()> {
        self.output.flush().await.map_err(|error| {
            Error::new(ErrorKind::Cancelled, format!("The client does not take its result: {error}"))
        })
    }

    fn push_row(&mut self, write: impl FnOnce(&mut RowBuf<'_>) -> Result<()>) -> Result<()> {
        if !matches!(self.state, State::Rows) {
            return Err(Error::internal("A row was written outside a result with columns (a bug)"));
        }
        let (columns, format) = (&self.columns, self.terms.format);
        self.output.packet(|out| {
            let mut row = RowBuf::new(out, columns, format);
            write(&mut row)?;
            row.finish()
        })?;
        self.rows += 1;
        Ok(())
    }

    async fn flush_if_full(&mut self) -> Result<()> {
        if self.output.is_full() { self.flush().await } else { Ok(()) }
    }

    /// Ends the result before, now that another one follows.
    fn begin_result(&mut self) -> Result<()> {
        self.end_rows(0);
        let State::Ended(ending) = &self.state else { return Ok(()) };
        let needed = match self.terms.format {
            Format::Text => CapabilityFlags::CLIENT_MULTI_RESULTS,
            Format::Binary => CapabilityFlags::CLIENT_PS_MULTI_RESULTS,
        };
        if !self.terms.capabilities.contains(needed) {
            return Err(Error::unsupported(
                "The statement gives several results, which this client did not say it can read; \
                 connect with multiple results on",
            ));
        }
        put_ending(self.output, self.terms.capabilities, ending, self.status, true);
        self.state = State::Empty;
        Ok(())
    }

    /// Writes the last packet: the end of the last result, or the error which `outcome` is.
    pub(crate) fn finish(mut self, outcome: Result<()>, status: SessionStatus) {
        self.output.discard_torn();
        match outcome {
            Ok(()) => {
                self.end_rows(0);
                let ending = match self.state {
                    State::Ended(ending) => ending,
                    State::Empty | State::Rows => Ending::Ok(OkInfo::default()),
                };
                put_ending(self.output, self.terms.capabilities, &ending, status, false);
            }
            Err(error) => {
                if let State::Ended(ending) = &self.state {
                    put_ending(self.output, self.terms.capabilities, ending, self.status, true);
                }
                self.output.err(&ErrorReply::from(&error));
            }
        }
    }
}

fn put_ending(
    output: &mut Output,
    capabilities: CapabilityFlags,
    ending: &Ending,
    status: SessionStatus,
    more_results: bool,
) {
    let flags = status_flags(status, more_results);
    output.put(|out| match ending {
        Ending::Ok(info) => put_ok(out, flags, info),
        Ending::Rows { warnings } => Endings::of(capabilities).put_end(out, flags, *warnings),
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::channel::Channel;
    use mysql_common::constants::ColumnType;
    use std::time::Duration;
    use tokio::io::AsyncReadExt as _;

    /// The payloads that a client with `capabilities` gets of what `write` wrote.
    async fn sent(
        capabilities: CapabilityFlags,
        outcome: Result<()>,
        write: impl AsyncFnOnce(&mut ResultWriter<'_>),
    ) -> Vec<Vec<u8>> {
        let (ours, mut client) = tokio::io::duplex(1 << 20);
        let mut channel = Channel::new(Box::new(ours), 100, Duration::from_secs(1));
        channel.output.send_sql_states();
        let terms = Terms { capabilities, format: Format::Text, multi_statements: true };
        let mut writer = ResultWriter::new(&mut channel.output, terms, SessionStatus::default());
        write(&mut writer).await;
        writer.finish(outcome, SessionStatus { autocommit: true, ..SessionStatus::default() });
        channel.output.flush().await.unwrap();
        drop(channel);
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        let (mut rest, mut payloads) = (&all[..], Vec::new());
        while let Some((&[length, 0, 0, number], tail)) = rest.split_first_chunk::<4>() {
            assert_eq!(usize::from(number), payloads.len(), "packets are numbered");
            payloads.push(tail[..usize::from(length)].to_vec());
            rest = &tail[usize::from(length)..];
        }
        payloads
    }

    async fn one_row(out: &mut ResultWriter<'_>) {
        out.columns(&[ColumnDef::new("c", ColumnType::MYSQL_TYPE_LONG)]).await.unwrap();
        out.row(|row| {
            row.int(7);
            Ok(())
        })
        .await
        .unwrap();
    }

    const MULTI: CapabilityFlags = CapabilityFlags::CLIENT_MULTI_RESULTS;

    #[tokio::test]
    async fn a_result_set_ends_as_the_client_likes_it() {
        let old = sent(MULTI, Ok(()), async |out| one_row(out).await).await;
        assert_eq!(old[0], [1]);
        assert_eq!(old[2..], [vec![0xFE, 0, 0, 0, 0], vec![1, b'7'], vec![0xFE, 0, 0, 2, 0]]);
        let new = sent(CapabilityFlags::CLIENT_DEPRECATE_EOF, Ok(()), async |out| one_row(out).await).await;
        assert_eq!(new[2..], [vec![1, b'7'], vec![0xFE, 0, 0, 2, 0, 0, 0]]);
    }

    #[tokio::test]
    async fn all_results_but_the_last_announce_another() {
        let payloads = sent(MULTI, Ok(()), async |out| {
            out.ok(OkInfo { affected_rows: 3, ..OkInfo::default() }).await.unwrap();
            one_row(out).await;
            out.end_rows(4);
            out.ok(OkInfo::default()).await.unwrap();
        })
        .await;
        assert_eq!(payloads[0], [0, 3, 0, 8, 0, 0, 0]);
        assert_eq!(payloads[5], [0xFE, 4, 0, 8, 0]);
        assert_eq!(payloads[6], [0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(payloads.len(), 7);
    }

    #[tokio::test]
    async fn nothing_written_is_an_ok() {
        assert_eq!(sent(MULTI, Ok(()), async |_| ()).await, [[0, 0, 0, 2, 0, 0, 0]]);
    }

    #[tokio::test]
    async fn an_error_comes_behind_what_was_complete_and_instead_of_what_was_not() {
        let failed = || Err(Error::parse("no"));
        let after_ok = sent(MULTI, failed(), async |out| out.ok(OkInfo::default()).await.unwrap()).await;
        assert_eq!(after_ok[0], [0, 0, 0, 8, 0, 0, 0], "the first statement did succeed");
        assert_eq!(after_ok[1], b"\xFF\x28\x04#HY000no");
        let amid_rows = sent(MULTI, failed(), async |out| one_row(out).await).await;
        assert_eq!(amid_rows.len(), 5);
        assert_eq!(amid_rows[4], b"\xFF\x28\x04#HY000no");
    }

    #[tokio::test]
    async fn a_client_for_one_result_gets_no_second_one() {
        let payloads = sent(CapabilityFlags::empty(), Ok(()), async |out| {
            out.ok(OkInfo::default()).await.unwrap();
            assert_eq!(out.ok(OkInfo::default()).await.unwrap_err().kind(), ErrorKind::Unsupported);
        })
        .await;
        assert_eq!(payloads.len(), 1);
    }

    #[tokio::test]
    async fn misuse_is_an_error_and_leaves_no_bytes() {
        let payloads = sent(MULTI, Ok(()), async |out| {
            assert_eq!(out.columns(&[]).await.unwrap_err().kind(), ErrorKind::Internal);
            assert_eq!(out.row(|_| Ok(())).await.unwrap_err().kind(), ErrorKind::Internal);
            one_row(out).await;
            let failed = out.row(|row| {
                row.int(1);
                Err(Error::invalid_value("of the caller"))
            });
            assert_eq!(failed.await.unwrap_err().message(), "of the caller");
            assert_eq!(out.rows_written(), 1);
        })
        .await;
        assert_eq!(payloads.len(), 5);
    }
}
