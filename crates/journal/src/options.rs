//! Settings of a journal.

use cairn_types::{Error, Result};

/// Settings of one journal. All have defaults that suit a real cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// This member's number in the group; kept in the journal from its making on.
    pub member_id: u64,
    /// `host:port` under which other members find this one.
    pub address: String,
    /// An image is made when this many commands came after the newest one.
    pub image_every_entries: u64,
    /// Log entries kept although the older kept image holds them already (for members that lag).
    pub entries_kept: u64,
    /// Bytes of one command as JSON; a larger one is refused.
    pub command_bytes_max: usize,
    /// How often a leader tells that it lives.
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for a random time between these two stands for election.
    pub election_timeout_min_ms: u64,
    /// See `election_timeout_min_ms`.
    pub election_timeout_max_ms: u64,
    /// How long [`crate::Journal::open`] waits until a group of one serves.
    pub start_timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            member_id: 1,
            address: "127.0.0.1:9010".to_owned(),
            image_every_entries: 50_000,
            entries_kept: 1_000,
            command_bytes_max: 64 << 20,
            heartbeat_ms: 250,
            election_timeout_min_ms: 1_000,
            election_timeout_max_ms: 2_000,
            start_timeout_ms: 30_000,
        }
    }
}

impl Options {
    /// # Errors
    /// `Analysis`, naming the setting that cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        if self.image_every_entries == 0 {
            return Err(Error::analysis("image_every_entries must be at least 1"));
        }
        if self.heartbeat_ms == 0
            || self.heartbeat_ms >= self.election_timeout_min_ms
            || self.election_timeout_min_ms >= self.election_timeout_max_ms
        {
            return Err(Error::analysis(format!(
                "journal timeouts must rise: 0 < heartbeat_ms ({}) < election_timeout_min_ms ({}) < election_timeout_max_ms ({})",
                self.heartbeat_ms, self.election_timeout_min_ms, self.election_timeout_max_ms
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_are_named() {
        let check = |change: fn(&mut Options), named: Option<&str>| {
            let mut options = Options::default();
            change(&mut options);
            let got = options.check();
            match named {
                None => got.unwrap(),
                Some(name) => assert!(got.unwrap_err().message().contains(name), "{name}"),
            }
        };
        check(|_| (), None);
        check(|o| o.image_every_entries = 0, Some("image_every_entries"));
        check(|o| o.heartbeat_ms = 1_000, Some("heartbeat_ms (1000)"));
        check(|o| o.election_timeout_max_ms = 1_000, Some("election_timeout_max_ms (1000)"));
    }
}
