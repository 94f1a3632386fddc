//! How members of a group reach each other. There are no peers yet: a group has one member, and whoever asks for
//! another is told so. A real network takes this module's place.

use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};

use crate::group::{Group, Node};
use crate::state::State;

/// Makes connections that refuse.
pub(crate) struct NoPeers;

/// A member that cannot be reached.
pub(crate) struct Refusal {
    text: String,
}

impl Refusal {
    fn unreachable<E: std::error::Error>(&self) -> RPCError<u64, Node, E> {
        let error = cairn_types::Error::unsupported(self.text.clone());
        RPCError::Unreachable(Unreachable::new(&error))
    }
}

impl<S: State> RaftNetworkFactory<Group<S>> for NoPeers {
    type Network = Refusal;

    async fn new_client(&mut self, target: u64, node: &Node) -> Refusal {
        let text = format!(
            "member {target} at {} cannot be reached: groups of more than one frontend are not supported yet",
            node.addr
        );
        Refusal { text }
    }
}

impl<S: State> RaftNetwork<Group<S>> for Refusal {
    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<Group<S>>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, Node, RaftError<u64>>> {
        Err(self.unreachable())
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest<Group<S>>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RPCError<u64, Node, RaftError<u64, InstallSnapshotError>>> {
        Err(self.unreachable())
    }

    async fn vote(
        &mut self,
        _: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, Node, RaftError<u64>>> {
        Err(self.unreachable())
    }
}
