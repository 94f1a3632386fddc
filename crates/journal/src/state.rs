//! What the journal carries: a deterministic state, and the values that come out of it.

use std::fmt::Debug;

use cairn_types::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A deterministic state: what `apply` does depends on its arguments alone.
pub trait State: Clone + Send + Sync + 'static {
    /// One change. Its JSON is what the journal keeps, so its old forms must stay readable.
    type Command: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static;
    /// What a change did; a refusal is an outcome too.
    type Outcome: Clone + Debug + Send + Sync + 'static;

    /// Changes the state by `command`, which is number `index` of the journal and was made at `time_ms`
    /// (milliseconds since 1970-01-01 UTC; never less than that of an earlier command).
    fn apply(&mut self, index: u64, time_ms: u64, command: &Self::Command) -> Self::Outcome;

    /// The whole state at `index` as image bytes. The format is the state's own and checks itself.
    fn encode_image(&self, index: u64) -> Vec<u8>;

    /// Reads [`State::encode_image`] back: the index and the state.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are damaged; any other kind when they are whole but not understood.
    fn decode_image(bytes: &[u8]) -> Result<(u64, Self)>;
}

/// The state after one command.
#[derive(Clone, Debug)]
pub struct Versioned<S> {
    /// Number of the last command in `state`.
    pub index: u64,
    /// When that command was made (milliseconds since 1970-01-01 UTC).
    pub time_ms: u64,
    pub state: S,
}

/// What became of a proposed command.
#[derive(Debug)]
pub struct Applied<S: State> {
    /// The command's number in the journal.
    pub index: u64,
    /// Its time as all replicas see it (milliseconds since 1970-01-01 UTC).
    pub time_ms: u64,
    pub outcome: S::Outcome,
}

impl<S: State> Clone for Applied<S> {
    fn clone(&self) -> Self {
        Self { index: self.index, time_ms: self.time_ms, outcome: self.outcome.clone() }
    }
}
