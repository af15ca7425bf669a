//! Settings that change while a node runs.
//!
//! | settings | may they change? |
//! |---|---|
//! | limits on memory, on what is in flight, on what waits; what compaction keeps | yes: each step reads them anew, and what is beyond a lowered limit drains |
//! | `max_entry_bytes` | yes: a leader takes it at once, followers tell it with their next reply (`limits.rs`) |
//! | `heartbeat_interval`, `append_timeout`, `commit_notice_delay` | yes: pauses of this node's own |
//! | `election_timeout_max` | yes: timing alone, from the next timeout on; leases rest on the least timeout only |
//! | `max_append_bytes`, `snapshot_chunk_bytes` | as long as the longest frame stays what the transport was given ([`wire::Limits`](crate::wire::Limits)): in any case up to 16 MiB |
//! | `election_timeout_min`, `check_quorum`, `lease` | no: leases of *other* nodes rest on them, in an order over restarts ([`Lease::On`](crate::Lease::On)) |
//! | `lease_promise` | no: this node's lease may rest on a round that asked for the promise before |
//! | `pre_vote`, `leader_noop` | no: other nodes, and the service that counts indexes, have seen the effect already |
//! | ids, `start`, `incarnation` | no: they name the node and its storage |
//! | `seed` | no: the timeouts are one stream |
//!
//! Priority is no setting of a node but of the membership:
//! [`NodeChange::Update`](crate::NodeChange::Update).

use crate::action::Action;
use crate::config::Config;
use crate::error::{FixedSetting, ReconfigureError};
use crate::raft::Raft;
use crate::types::RequestId;
use crate::wire::Limits;
use alloc::vec::Vec;

impl Config {
    /// The first setting that differs from `next` and cannot change while the node runs.
    fn first_fixed(&self, next: &Config) -> Option<FixedSetting> {
        let same = [
            (
                FixedSetting::ClusterId,
                self.cluster_id == next.cluster_id && self.group_id == next.group_id,
            ),
            (FixedSetting::NodeId, self.node_id == next.node_id),
            (FixedSetting::Start, self.start == next.start),
            (
                FixedSetting::Incarnation,
                self.incarnation == next.incarnation,
            ),
            (FixedSetting::Seed, self.seed == next.seed),
            (
                FixedSetting::ElectionTimeoutMin,
                self.election_timeout_min == next.election_timeout_min,
            ),
            (
                FixedSetting::CheckQuorum,
                self.check_quorum == next.check_quorum,
            ),
            (FixedSetting::Lease, self.lease == next.lease),
            (
                FixedSetting::LeasePromise,
                self.lease_promise == next.lease_promise,
            ),
            (FixedSetting::PreVote, self.pre_vote == next.pre_vote),
            (
                FixedSetting::LeaderNoop,
                self.leader_noop == next.leader_noop,
            ),
            (
                FixedSetting::FrameBytes,
                Limits::for_config(self) == Limits::for_config(next),
            ),
        ];
        let differs = same.into_iter().find(|(_, is_same)| !is_same);
        differs.map(|(setting, _)| setting)
    }
}

impl Raft {
    /// The driver changes this node's settings.
    #[cold]
    pub(crate) fn reconfigure_node(
        &mut self,
        id: RequestId,
        config: Config,
        actions: &mut Vec<Action>,
    ) {
        let outcome = match self.config.first_fixed(&config) {
            Some(setting) => Err(ReconfigureError::Fixed(setting)),
            None if config.validate().is_err() => Err(ReconfigureError::Invalid),
            None => Ok(()),
        };
        actions.push(Action::Reconfigured { id, outcome });
        if outcome.is_err() {
            return;
        }
        self.config = config;
        self.limit_commands();
        self.drop_payloads();
        // The next reset of a follower's timer uses a timeout in the new range.
        self.redraw_timeout();
    }
}
