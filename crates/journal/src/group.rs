//! The types with which openraft runs a group over a state. They stay inside this crate.

use std::fmt;
use std::io::Cursor;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::state::{Applied, State};

pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type Node = openraft::BasicNode;
pub(crate) type Membership = openraft::Membership<u64, Node>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, Node>;
pub(crate) type ImageMark = openraft::SnapshotMeta<u64, Node>;
pub(crate) type StorageError = openraft::StorageError<u64>;
pub(crate) type Entry<S> = openraft::Entry<Group<S>>;

/// Names openraft's types for the state `S`.
pub(crate) struct Group<S>(PhantomData<fn() -> S>);

// By hand: a derive would ask the same traits of `S`.
impl<S> Clone for Group<S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S> Copy for Group<S> {}
impl<S> Default for Group<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<S> fmt::Debug for Group<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group")
    }
}
impl<S> PartialEq for Group<S> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<S> Eq for Group<S> {}
impl<S> PartialOrd for Group<S> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<S> Ord for Group<S> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl<S: State> openraft::RaftTypeConfig for Group<S> {
    type D = Batch<S>;
    type R = Outcomes<S>;
    type NodeId = u64;
    type Node = Node;
    type Entry = Entry<S>;
    type SnapshotData = Cursor<Vec<u8>>;
    type AsyncRuntime = openraft::TokioRuntime;
    type Responder = openraft::impls::OneshotResponder<Self>;
}

/// A command on its way into the journal.
#[derive(Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub(crate) struct Proposal<S: State> {
    /// The proposer's clock; applying never lets time go back, whatever stands here.
    pub time_ms: u64,
    pub command: Arc<S::Command>,
    /// The command as a sealed journal entry, when the proposer made it already.
    #[serde(skip)]
    pub frame: Option<Arc<[u8]>>,
}

impl<S: State> Clone for Proposal<S> {
    fn clone(&self) -> Self {
        Self { time_ms: self.time_ms, command: Arc::clone(&self.command), frame: self.frame.clone() }
    }
}

/// The commands of one log entry: what was proposed while the entry before it was being synced.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Batch<S: State>(pub Vec<Proposal<S>>);

impl<S: State> Clone for Batch<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: State> fmt::Debug for Batch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} commands)", self.0.len())
    }
}

/// What the commands of one log entry did, in their order; empty for entries of the group itself.
pub(crate) struct Outcomes<S: State>(pub Vec<Applied<S>>);

impl<S: State> fmt::Debug for Outcomes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outcomes({})", self.0.len())
    }
}

// openraft asks for serde on answers, for groups that forward them; ours go to the proposer in the same process.
impl<S: State> Serialize for Outcomes<S> {
    fn serialize<Z: Serializer>(&self, _: Z) -> Result<Z::Ok, Z::Error> {
        Err(Z::Error::custom("outcomes stay in the process that proposed the commands"))
    }
}

impl<'de, S: State> Deserialize<'de> for Outcomes<S> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("outcomes stay in the process that proposed the commands"))
    }
}
