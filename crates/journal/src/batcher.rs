//! Group commit: commands that are proposed while an entry is being synced go into the next entry together, so that
//! many proposers share one sync. openraft writes one entry for one call and waits for it; so the sharing is done here.

use std::collections::VecDeque;

use openraft::Raft;
use tokio::sync::{mpsc, oneshot};

use cairn_types::{Error, Result};

use crate::errors::StopCause;
use crate::group::{Batch, Group, Proposal};
use crate::state::{Applied, State};

/// Commands of one log entry.
const COMMANDS_MAX: usize = 256;
/// Bytes of one log entry; a larger command goes alone.
const BYTES_MAX: usize = 8 << 20;
/// Commands that wait before proposers are held up.
pub(crate) const WAITING_MAX: usize = 1024;

/// A command and who waits for it.
pub(crate) struct Waiting<S: State> {
    pub proposal: Proposal<S>,
    pub bytes: usize,
    pub reply: oneshot::Sender<Result<Applied<S>>>,
}

/// Takes proposals until all senders are gone.
pub(crate) async fn run<S: State>(
    mut proposals: mpsc::Receiver<Waiting<S>>,
    raft: Raft<Group<S>>,
    cause: StopCause,
) {
    let mut waiting = VecDeque::new();
    let mut received = Vec::new();
    loop {
        if waiting.is_empty() {
            if proposals.recv_many(&mut received, WAITING_MAX).await == 0 {
                return;
            }
        } else {
            while received.len() < WAITING_MAX
                && let Ok(one) = proposals.try_recv()
            {
                received.push(one);
            }
        }
        waiting.extend(received.drain(..));
        let count = batch_len(waiting.iter().map(|w: &Waiting<S>| w.bytes));
        let (batch, replies): (Vec<_>, Vec<_>) =
            waiting.drain(..count).map(|w| (w.proposal, w.reply)).unzip();
        answer(replies, write(&raft, batch, &cause).await);
    }
}

/// How many of the waiting commands, by their sizes, go into one entry: at least one.
fn batch_len(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0_usize;
    let fitting = sizes.take(COMMANDS_MAX).take_while(|size| {
        bytes = bytes.saturating_add(*size);
        bytes <= BYTES_MAX
    });
    fitting.count().max(1)
}

async fn write<S: State>(
    raft: &Raft<Group<S>>,
    batch: Vec<Proposal<S>>,
    cause: &StopCause,
) -> Result<Vec<Applied<S>>> {
    match raft.client_write(Batch(batch)).await {
        Ok(response) => Ok(response.data.0),
        Err(error) => Err(cause.of_write(&error)),
    }
}

fn answer<S: State>(replies: Vec<oneshot::Sender<Result<Applied<S>>>>, result: Result<Vec<Applied<S>>>) {
    let answers = match result {
        Ok(applied) if applied.len() == replies.len() => applied.into_iter().map(Ok).collect(),
        Ok(applied) => {
            let (asked, got) = (replies.len(), applied.len());
            vec![Err(Error::internal(format!("the journal answered {got} of {asked} commands"))); asked]
        }
        Err(error) => vec![Err(error); replies.len()],
    };
    for (reply, answer) in replies.into_iter().zip(answers) {
        // Whoever went away does not want to know; the command counts all the same.
        let _ = reply.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_bounded_and_never_empty() {
        let check = |sizes: &[usize], expected: usize| {
            assert_eq!(batch_len(sizes.iter().copied()), expected, "{sizes:?}")
        };
        check(&[1], 1);
        check(&[1; 10], 10);
        check(&[1; 1000], COMMANDS_MAX);
        check(&[BYTES_MAX + 1, 1], 1);
        check(&[BYTES_MAX / 2, BYTES_MAX / 2, 1], 2);
        check(&[1, BYTES_MAX], 1);
    }
}
