//! What a test case draws once, and the config that follows from it.

use crate::support::storage::Service;
use raft_proto::*;
use std::time::Duration;

/// What a test case draws once.
#[derive(Clone, Debug)]
pub struct Settings {
    pub nodes: u64,
    pub noop: LeaderNoop,
    pub disk: Pace,
    pub driver: Pace,
    pub service: Service,
    pub commit_notice_delay: Duration,
    pub max_inflight_appends: u32,
    pub max_append_bytes: u64,
    pub max_unapplied_bytes: u64,
    pub snapshot_chunk_bytes: u64,
    pub trailing_entries: u64,
    pub seed: u64,
}

/// When the disk or the driver of a node answers: within the step, or when the schedule says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Instant,
    Late,
}

/// The length of the longest command that the cluster takes.
pub const MAX_ENTRY: u64 = 24;

impl Settings {
    pub fn config(&self, id: u64) -> Config {
        let voters = (1..=self.nodes).map(NodeId);
        let start = Start::voters(voters);
        let mut config = Config::new(ClusterId(9), NodeId(id), start, self.seed);
        let entry = MAX_ENTRY + ENTRY_OVERHEAD;
        config.leader_noop = self.noop;
        config.pre_vote = PreVoting::Off;
        config.check_quorum = CheckQuorum::Off;
        config.commit_notice_delay = self.commit_notice_delay;
        config.max_entry_bytes = MAX_ENTRY;
        config.max_append_bytes = self.max_append_bytes.max(entry);
        config.max_inflight_appends = self.max_inflight_appends;
        config.max_inflight_bytes = 2 * config.max_append_bytes;
        config.max_uncommitted_bytes = 40 * entry;
        config.max_unapplied_bytes = self.max_unapplied_bytes.max(entry);
        config.snapshot_chunk_bytes = self.snapshot_chunk_bytes;
        config.trailing_entries = self.trailing_entries;
        config
    }
}
