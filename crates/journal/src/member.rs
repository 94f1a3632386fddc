//! Who belongs to the group.

use std::fmt;

use openraft::RaftMetrics;

use crate::group::Node;

/// What a member is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Leader,
    /// Votes, does not lead.
    Follower,
    /// Has all the data and no vote.
    Observer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "LEADER",
            Self::Follower => "FOLLOWER",
            Self::Observer => "OBSERVER",
        })
    }
}

/// A member of the group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub id: u64,
    /// `host:port`.
    pub address: String,
    pub role: Role,
    /// Whether it is the member that says so.
    pub is_self: bool,
}

pub(crate) fn members(metrics: &RaftMetrics<u64, Node>) -> Vec<Member> {
    let voters: Vec<_> = metrics.membership_config.voter_ids().collect();
    let role = |id: u64| match metrics.current_leader {
        Some(leader) if leader == id => Role::Leader,
        _ if voters.contains(&id) => Role::Follower,
        _ => Role::Observer,
    };
    let member = |(id, node): (&u64, &Node)| Member {
        id: *id,
        address: node.addr.clone(),
        role: role(*id),
        is_self: *id == metrics.id,
    };
    metrics.membership_config.nodes().map(member).collect()
}
