//! The properties, each with a checker of its own. The [`judge`](crate::judge) owns the checkers.
//!
//! The five properties of Figure 3 are checked after every step of every node:
//!
//! | property | file | what the checker watches |
//! |---|---|---|
//! | Election Safety (5.2) | [`election_safety`] | the leader of each term |
//! | Leader Append-Only (5.3) | [`leader_append_only`] | changes of a leader's own log |
//! | Log Matching (5.3) | [`log_matching`] | each entry that enters any log |
//! | Leader Completeness (5.4) | [`leader_completeness`] | commits, and each new leader's log |
//! | State Machine Safety (5.4.3) | [`state_machine_safety`] | the entries that each service gets |
//!
//! Further checkers watch what is not in Figure 3:
//!
//! | property | file | what the checker watches |
//! |---|---|---|
//! | Membership Safety (6) | [`membership_safety`] | which nodes could be elected |
//! | Leader Completeness, predicted | [`electable`] | which nodes could be elected at a commit |
//! | Membership Safety (7) | [`snapshot_members`] | the configurations in snapshots |
//! | Election Safety: votes (5.2) | [`election_quorum`] | the votes for a new leader |
//! | Durability (Figure 2) | [`durability`] | which disks hold committed entries |
//! | Exactly Once (thesis 6.3) | [`exactly_once`] | each command that ran |
//! | Election timeout (5.2) | [`election_timeout`] | when nodes start elections |
//! | CheckQuorum (thesis 6.2) | [`check_quorum`] | which voters each leader has heard, also when it steps down |
//! | Leader stickiness (thesis 4.2.3) | [`leader_stickiness`] | votes despite a live leader |
//! | Lease bound (thesis 6.4.1) | [`lease`] | how long voters are bound to a leader |
//! | Lease bound (thesis 3.10) | [`handover_lease`] | reads of a leader that has sent TimeoutNow |
//! | Election Safety: one vote (5.2) | [`one_vote`] | each vote that leaves a node |
//! | A leader is followed (5.2) | [`leader_followed`] | each message of a leader |
//! | Durability (thesis 10.2.1) | [`own_disk`] | what a node takes for durable, or hands out |
//! | Membership Safety (6) | [`configuration_in_force`] | the last configuration of each log |
//! | Terms of members (5.1) | [`strangers`] | replies of a greater term |
//! | A removed node is quiet (6) | [`removed`] | requests of nodes that were told |
//! | Changes of members as answered (6) | [`membership_changes`] | each answer, and the configuration |
//! | Bounded state and work | [`bounds`] | what a node holds, and sends in a step |
//! | | [`pacing`] | entries that a leader holds back though there is room |
//! | Entries are sent once (thesis 10.2.1) | [`sent_again`] | appends of entries already sent |
//! | No storms | [`storm`] | messages under way, and in each second |
//!
//! Two checks stand elsewhere: [`liveness`](crate::liveness), once all faults are over, and
//! [`linearizability`](crate::linearizability), of the results that clients saw.
//!
//! A check after every step is affordable only if its cost follows from what the step changed. The
//! core tells exactly that: whatever changes in its log leaves the same step as a
//! [`Write`](raft_proto::Write). [`ObservedCluster`] applies those writes to a picture of each log
//! (terms and fingerprints, no payloads) and compares the picture's end with the core's own. A log
//! that changed without a write, which no restart would find again, is itself a violation. The
//! properties then look at what is new. No checker trusts another's result, except where the
//! paper's own argument does: a log that holds one entry of another log holds all before it
//! (Log Matching), so comparing the last one is enough.
//!
//! Everything here works on plain [`Observation`]s, so that a test can show each checker a
//! history that breaks its property, which no correct core would produce.
//!
//! Memory: entries that lie more than [`MARGIN`] below the log of every node are forgotten.

pub mod bounds;
pub mod check_quorum;
pub mod configuration_in_force;
pub mod disk_identity;
mod disk_identity_broken;
pub mod durability;
pub mod electable;
pub mod election_quorum;
pub mod election_safety;
pub mod election_timeout;
pub mod exactly_once;
pub mod handover_lease;
pub mod leader_append_only;
pub mod leader_completeness;
mod leader_contact;
pub mod leader_followed;
pub mod leader_stickiness;
pub mod lease;
pub mod levels;
pub mod log_matching;
pub mod membership_changes;
pub mod membership_safety;
mod nodes;
mod observation;
pub mod one_vote;
pub mod own_disk;
pub mod pacing;
mod property;
pub mod quorum;
pub mod removed;
pub mod replicas;
pub mod sent_again;
pub mod settings_in_force;
pub mod snapshot_members;
pub mod state_machine_safety;
pub mod storm;
pub mod strangers;
pub mod violation;
mod wait_reason;
mod window;

pub use bounds::{Bounds, OutOfBounds};
pub use check_quorum::QuorumContact;
pub use configuration_in_force::{ConfigurationsInForce, StoredConfigurations};
pub use disk_identity::DiskIdentity;
pub use disk_identity_broken::DiskIdentityBroken;
pub use durability::{Durability, Holds};
pub use election_safety::ElectionSafety;
pub use election_timeout::ElectionTimeouts;
pub use exactly_once::ExactlyOnce;
pub use handover_lease::HandoverLeases;
pub use leader_append_only::LeaderAppendOnly;
pub use leader_completeness::LeaderCompleteness;
pub use leader_followed::LeaderFollowed;
pub use leader_stickiness::LeaderStickiness;
pub use lease::Leases;
pub use levels::{LevelBroken, Levels};
pub use log_matching::LogMatching;
pub use membership_changes::{ChangeBroken, MembershipChanges};
pub use membership_safety::MemberView;
pub use observation::{
    Fingerprint, LogChange, Observation, ObservedCluster, ObservedLog, Started, StateBefore, Step,
};
pub use one_vote::OneVote;
pub use own_disk::OwnDisk;
pub use pacing::Pacing;
pub use property::Property;
pub use removed::Removed;
pub use replicas::{ReplicaEvent, Replicas, ReplicasDiffer};
pub use sent_again::SentAgain;
pub use settings_in_force::{SettingsBroken, SettingsInForce};
pub use snapshot_members::SnapshotMembers;
pub use state_machine_safety::StateMachineSafety;
pub use storm::{Storm, StormGuard, StormLimits};
pub use strangers::Strangers;
pub use violation::{Nodes, Violation};
pub use wait_reason::WaitReason;
pub use window::Window;

use raft_proto::NodeId;

/// How many entries below the lowest beginning of any log are remembered. A node that loses an
/// unsynced compaction in a crash comes back with a log that begins earlier.
pub const MARGIN: u64 = 4096;

/// The five properties of Figure 3.
#[derive(Debug, Default)]
pub struct Figure3Checker {
    cluster: ObservedCluster,
    election_safety: ElectionSafety,
    leader_append_only: LeaderAppendOnly,
    log_matching: LogMatching,
    leader_completeness: LeaderCompleteness,
    state_machine_safety: StateMachineSafety,
    until_forget: u32,
}

impl Figure3Checker {
    /// Steps between two prunings: rare enough to cost nothing.
    const FORGET_EVERY: u32 = 1024;

    /// A checker that has seen nothing.
    pub fn new() -> Figure3Checker {
        Figure3Checker::default()
    }

    /// A node starts, for the first time or again, with what its storage held.
    ///
    /// # Errors
    ///
    /// The property that its log breaks.
    pub fn started(&mut self, started: &Started) -> Result<(), Violation> {
        self.cluster.started(started);
        self.state_machine_safety
            .started(started.node, started.applied);
        let Some(log) = self.cluster.log(started.node) else {
            return Ok(()); // started above
        };
        self.log_matching
            .entered(started.node, log, log.base().index.next())
    }

    /// A node has stopped: it does not lead any more.
    pub fn stopped(&mut self, node: NodeId) {
        self.cluster.stopped(node);
    }

    /// A node that has stopped never comes back. Nothing has to be remembered for its log.
    pub fn gone(&mut self, node: NodeId) {
        self.cluster.gone(node);
    }

    /// A node has taken a step.
    ///
    /// # Errors
    ///
    /// The first violation found.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Result<(), Violation> {
        let step = self.cluster.observe(observation)?;
        self.election_safety.observe(&step)?;
        self.leader_append_only.observe(&step)?;
        self.log_matching.observe(&step)?;
        self.leader_completeness.observe(&step)?;
        self.state_machine_safety.observe(&step)?;
        self.until_forget = self.until_forget.saturating_sub(1);
        if self.until_forget == 0 {
            self.until_forget = Self::FORGET_EVERY;
            self.forget();
        }
        Ok(())
    }

    /// The last entry that a node has committed.
    pub fn last_committed(&self) -> Option<raft_proto::EntryId> {
        self.leader_completeness.last_committed()
    }

    /// The greatest index that any node has committed.
    pub fn commit_index(&self) -> raft_proto::Index {
        self.leader_completeness.commit_index()
    }

    /// Forgets the entries that no log reaches back to.
    fn forget(&mut self) {
        let floor = self.cluster.lowest_base();
        let floor = raft_proto::Index(floor.0.saturating_sub(MARGIN));
        self.log_matching.forget_before(floor);
        self.leader_completeness.forget_before(floor);
        self.state_machine_safety.forget_before(floor);
    }
}
