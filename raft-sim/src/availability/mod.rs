//! Availability: what the cluster owes to its clients while conditions stay that are not perfect.
//!
//! [`liveness`](crate::liveness) asks whether a cluster recovers once everything works. That is the
//! least: real clusters have to serve while a link stays cut, a disk stays slow, or clients never
//! pause. So between the faults and the recovery, a part of the seeds has a phase under one
//! [`Condition`] that stays.
//!
//! # The claim
//!
//! Let T be `election_timeout_max`, t be `election_timeout_min`, and let a set of running machines
//! be such that
//!
//! * it has a majority of the voters of each configuration that may be in force (section 6), and
//!   all pairs in it reach each other in both directions;
//! * each of its syncs takes at most a fifth of t ([`SYNC_PART`]);
//! * messages in it take at most a tenth of t, and none is lost;
//! * without Pre-Vote: a sync and a message take at most an eighth of T - t together, in the mean
//!   ([`ROUND_PART`]).
//!
//! Whatever the other machines and links do, as long as it does not change, then:
//!
//! 1. **Commits.** At no time did the last commit happen more than [`COMMIT_BOUND`] T ago, if
//!    commands are proposed. If every majority of running machines has a member that needs a
//!    snapshot, then two transfers of one are added to that.
//! 2. **Quiet terms.** Once a leader has committed, and what faults had delayed has arrived
//!    ([`SETTLING`] T), at most [`SPARE_TERMS`] terms begin, and one more for each ten T.
//! 3. **A leader that is well stays.** A leader that has committed in its term, and that has been
//!    linked in both directions with a majority for two T, leads until it sends TimeoutNow. Claimed
//!    with Pre-Vote and CheckQuorum only.
//!
//! ## Why
//!
//! Some member of the set has a log that is at least as up to date as that of each other member
//! (section 5.4.1), and so can get the votes of all. The question is whether it gets the time. A
//! candidate writes its vote, and then its voters write theirs. Each of these writes may have to
//! wait for a sync that runs: that makes four syncs and a round trip, at most t. A voter that has
//! granted its vote waits for at least t (section 5.2), so a candidate that asks alone is elected.
//! Whether one asks alone is chance (section 9.3): the range of election timeouts, T - t, has room
//! for it. With five voters fewer than half of the rounds are split, and each takes at most T and
//! the wait of lower priorities: [`COMMIT_BOUND`] T leave one run in many thousands of millions
//! without a leader where disks are fast, and are a wide margin where they are not.
//!
//! With Pre-Vote, a node that asks for votes was heard before it writes anything, and pre-votes of
//! others are refused while a vote is on its way to a disk. Without, the others learn of a
//! candidate when its own vote is on its disk. If it is the only one that can win, and needs all
//! others of the set, then the round is lost when the timer of one of them elapses up to that time
//! later, or earlier by what that one's own sync and message take. With a sync and a message of w
//! (T - t) in the mean, each other timer is so unlucky with a probability of at most 2 w. At an
//! eighth, two others leave a candidate more than half of the rounds: (1 - 2/8)^2. [`COMMIT_BOUND`]
//! T hold at least 12 rounds: one such run in fifty thousand is late, and few runs are such. At a
//! half or more, hardly a round elects anybody, whatever the bound. A candidate whose configuration
//! does not name the better one yet does not ask it, and may always have the next term first. So it
//! gives way when the better one asks.
//!
//! The commit needs the entries before it on a majority. A member that lacks entries which the
//! leader's log does not hold any more gets a snapshot first (section 7), chunk after chunk,
//! however many T that takes. While nothing is committed, nothing is applied, and no service makes
//! another snapshot. So there are at most two transfers: of the snapshot that the leader was
//! sending when the last entry was committed, and of its latest one.
//!
//! The machines outside the set cannot prevent it, if nodes hold pre-votes and leaders check their
//! quorum:
//!
//! * *They cannot be elected against it*: a majority needs a member of the set. If one of them is
//!   elected nevertheless, then with a majority that it reaches, and the claim holds with it.
//! * *They cannot raise the terms*: each term begins with pre-votes of a majority (thesis 9.6), and
//!   members of the set refuse them while they hear a leader (thesis 4.2.3). So claims 2 and 3.
//! * *They cannot hold the voters*: a leader that a member hears, and that does not hear a majority
//!   itself, steps down after T (thesis 6.2). Without that step, the voters that it holds would
//!   refuse their votes for ever.
//!
//! ## What no Raft promises
//!
//! * Without Pre-Vote, a node that is cut off raises its term without end. Terms are not quiet, and
//!   each contact costs the cluster its leader (thesis 4.2.3, 9.6). Partitions are judged with
//!   Pre-Vote only.
//! * Without CheckQuorum and without Pre-Vote, Figure 2's leader that nobody answers leads for ever
//!   while every voter hears it: no election timer runs out (thesis 6.2).
//! * An entry that no majority takes is not committed. It comes into the log while limits differ
//!   between servers: those that took it were the majority then, or the leader had not heard the
//!   others yet. So before the phase, all servers are started with the greatest limits of any; the
//!   condition [`Limits`](Condition::Limits) then makes one that takes more than the others.
//! * A majority whose members each reach one common machine, but not each other, may elect nobody:
//!   the one that could get the votes may lack entries. The set has to be fully linked.
//! * "broadcastTime ≪ electionTimeout" (section 5.6), and the broadcast time includes the sync.
//!   With syncs of t and more, nodes with equal logs depose each other again and again.
//!
//! # Further claims, each under a condition of its own
//!
//! | condition | claim |
//! |---|---|
//! | [`Failover`](Condition::Failover) | the leader crashes: another one commits within [`DOWNTIME_BOUND`] T, and two transfers if a majority needs a snapshot |
//! | [`SlowCandidate`](Condition::SlowCandidate) | the only log that can win is on a disk with syncs of 1.5 T to 2 T: there is a leader within [`FIRST_LEADER_BOUND`] T. No Raft promises more than section 5.6; this core does, with Pre-Vote, since a candidate whose own vote is not written asks for no further term, and the others' pre-votes are refused |
//! | [`Priorities`](Condition::Priorities) | the voter of the greatest priority reaches one other voter only: claims 1 and 2 |
//! | [`BusyLeader`](Condition::BusyLeader) | a command every 20 to 90 ms: a voter of greater priority that has caught up leads within [`PRIORITY_BOUND`] T, ten T of which are the back-off after a handover. Each further handover to the same voter doubles it, so all servers forget theirs first: they are started anew. Not if it needs a snapshot and the leader keeps no log for the transfer: it may never catch up |
//! | [`Transfers`](Condition::Transfers) | at most one voter's disk stalls: each transfer without a target succeeds (thesis 3.10) |
//! | [`CatchUp`](Condition::CatchUp) | a member needs a snapshot while commands and snapshots go on: it gets at most [`MOST_SNAPSHOTS`] of them, and has what the leader's log held when the transfer began within four times what one transfer takes, and four T |
//! | [`DeafLeader`](Condition::DeafLeader) | the leader is heard and hears nobody, or, without CheckQuorum, one voter that makes no majority: claims 1 and 2, with Pre-Vote. Without CheckQuorum a voter that hears it notices after two T that nothing is committed, asks twice whether the leader hears it, and campaigns at most two T later |
//! | [`DecayedSnapshot`](Condition::DecayedSnapshot) | as `CatchUp`; the leader's first snapshot has decayed, later ones are sound. There are later ones if the leader commits: a majority does not need the first |
//! | [`Limits`](Condition::Limits) | one node takes longer entries than the others: claims 1 and 2 |
//! | [`Removed`](Condition::Removed) | a voter is removed while it is cut off or down; it asks nobody for votes from [`REMOVAL_BOUND`] T after its return on, since each voter that it asks tells it, and claims 1 to 3. Without Pre-Vote its first request is of a higher term: then claim 1, with CheckQuorum |
//!
//! # What is bounded, and what is only shown
//!
//! [`Figures`] are counted in every run; `raft-sim run` and `raft-sim bench` show them. Bounded, so
//! that a run fails: snapshots for one catch-up, elections while the leader is well, handovers of a
//! healthy cluster that fail, downtime after a crash, each under the conditions above. Only shown:
//! entries and bytes that are sent again, also in the phase of faults. Messages overtake each other
//! there, so no bound on them follows from the algorithm.

mod catch_up;
mod condition;
mod draw;
mod figures;
mod phase;
mod removal;
mod stages;
pub mod verdict;
mod violation;
mod watch;

pub use condition::Condition;
pub use draw::draw;
pub use figures::{Availability, Figures};
pub use phase::judge;
pub use violation::Unavailable;
pub use watch::{Bounds, Claims, LeaderView, View, Watch};

/// Each sync of the majority takes at most one part in so many of `election_timeout_min`.
pub const SYNC_PART: u32 = 5;

/// Without Pre-Vote, a sync and a message take at most one part in so many of the range from which
/// election timeouts are drawn.
pub const ROUND_PART: u32 = 8;

/// How many times `election_timeout_max` may pass without a commit.
pub const COMMIT_BOUND: u32 = 15;

/// How many times `election_timeout_max` a run waits for messages that faults have delayed.
pub const SETTLING: u32 = 4;

/// How many terms may begin after a leader has committed.
pub const SPARE_TERMS: u64 = 3;

/// How many times `election_timeout_max` may pass between the crash of a leader and the first
/// commit of its successor.
pub const DOWNTIME_BOUND: u32 = 12;

/// How many times `election_timeout_max` may pass until a candidate with a slow disk leads.
pub const FIRST_LEADER_BOUND: u32 = 15;

/// How many times `election_timeout_max` a healthy voter of greater priority may wait.
pub const PRIORITY_BOUND: u32 = 13;

/// How many times `election_timeout_max` a removed voter may ask for votes after its return.
pub const REMOVAL_BOUND: u32 = 6;

/// How many snapshots a member may need until it follows the log.
pub const MOST_SNAPSHOTS: u32 = 4;
