//! Where the time of an entry went: the leader's way, cut into stages.
//!
//! The way is followed backwards from the step in which the entry was committed. That step received
//! an answer, or the leader's own write had become durable: this completed the majority, and its
//! history is the entry's. Each stage ends where the next begins, so that the stages add up to the
//! whole. What the follower's clock says is used only for what lasted on that follower, and for how
//! the time on the wire is divided between there and back.

use super::Cluster;
use super::instance::{Completed, Instance, Proposed, Turn, Written};
use raft_proto::{EntryId, NodeId, RoleKind, Time};
use serde::Serialize;

/// A part of an entry's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Given to the driver, until the core took it.
    Queue,
    /// In the leader's core, until the append left: a full window makes it wait.
    Core,
    /// To the follower that completed the majority, its inbox included.
    WireOut,
    /// On that follower, until it was durable there.
    FollowerDisk,
    /// The follower's answer, until the leader's core took it.
    WireBack,
    /// The way over a follower of which there is no recording.
    Unrecorded,
    /// Nothing but the leader's own disk was missing.
    LeaderDisk,
    /// Its leader ceased to lead, until it learnt that another one had committed it.
    LeaderChange,
    /// Committed, until it was given to the state machine, other than for the leader's disk.
    HandOut,
    /// Until the state machine had applied it.
    Apply,
}

impl Stage {
    /// In the order of the way.
    pub const ALL: [Stage; 10] = [
        Stage::Queue,
        Stage::Core,
        Stage::WireOut,
        Stage::FollowerDisk,
        Stage::WireBack,
        Stage::Unrecorded,
        Stage::LeaderDisk,
        Stage::LeaderChange,
        Stage::HandOut,
        Stage::Apply,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Queue => "queue",
            Stage::Core => "core",
            Stage::WireOut => "wire out",
            Stage::FollowerDisk => "follower's disk",
            Stage::WireBack => "wire back",
            Stage::Unrecorded => "unrecorded",
            Stage::LeaderDisk => "leader's disk",
            Stage::LeaderChange => "leader change",
            Stage::HandOut => "hand out",
            Stage::Apply => "apply",
        }
    }
}

/// The nanoseconds of each stage, in the order of [`Stage::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times([u64; Stage::ALL.len()]);

impl Times {
    pub(super) fn get(&self, stage: Stage) -> u64 {
        let at = Stage::ALL.iter().position(|other| *other == stage);
        at.and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }

    fn add(&mut self, stage: Stage, begin: Time, end: Time) {
        self.add_nanos(stage, end.0.saturating_sub(begin.0));
    }

    fn add_nanos(&mut self, stage: Stage, nanos: u64) {
        let at = Stage::ALL.iter().position(|other| *other == stage);
        if let Some(time) = at.and_then(|at| self.0.get_mut(at)) {
            *time += nanos;
        }
    }

    /// The longest stage.
    pub(super) fn longest(&self) -> Stage {
        let stages = Stage::ALL.into_iter();
        stages
            .max_by_key(|stage| self.get(*stage))
            .unwrap_or(Stage::Core)
    }
}

/// The way of one entry from its proposal until it was applied on the node that proposed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) id: EntryId,
    /// The instance that proposed it.
    pub(super) leader: usize,
    /// When its oldest command was given to the driver, or else to the core.
    pub(super) begin: Time,
    /// When the core took it.
    pub(super) proposed: Time,
    pub(super) committed: Time,
    pub(super) handed_out: Time,
    pub(super) applied: Time,
    pub(super) completed: Completed,
    /// The follower that completed the majority.
    pub(super) follower: Option<FollowerWay>,
    pub(super) times: Times,
}

impl Way {
    /// From end to end.
    pub(super) fn total(&self) -> u64 {
        self.applied.0.saturating_sub(self.begin.0)
    }
}

/// The way of an entry over one follower.
#[derive(Clone, Copy, Debug)]
pub(super) struct FollowerWay {
    /// The follower's instance.
    pub(super) instance: usize,
    /// By the leader's clock.
    pub(super) sent: Time,
    /// By the follower's clock.
    pub(super) received: Time,
    /// The write that holds the entry.
    pub(super) write: Written,
    /// By the follower's clock.
    pub(super) durable: Option<Time>,
}

/// Follows an entry. `None` if its way is not recorded to its end.
pub(super) fn follow(
    cluster: &Cluster,
    leader: usize,
    proposal: &Proposed,
    id: EntryId,
) -> Option<Way> {
    let instance = cluster.instances.get(leader)?;
    let handed = instance.handed_out.get(id)?;
    let commit = instance.commit_of(id.index)?;
    let reported = instance.applied_at(id.index)?;
    // The core is told later than it happened.
    let applied = instance.notes.applying(id.index).map(|it| it.end);
    let applied = applied.filter(|end| *end >= handed.at && *end <= reported);
    let applied = applied.unwrap_or(reported);
    let given = instance.notes.given(proposal.id);
    let begin = given.unwrap_or(proposal.at).min(proposal.at);
    let mut times = Times::default();
    times.add(Stage::Queue, begin, proposal.at);
    let mut follower = None;
    match commit.by {
        Completed::Peer { node, digest } => {
            let other = cluster.sender(node, instance.node, digest, leader, commit.at);
            let way = other.and_then(|other| over(cluster, leader, other, id, proposal.at));
            let until = way.and_then(|way| Some((way, way.durable?)));
            if let Some((way, durable)) = until {
                times.add(Stage::Core, proposal.at, way.sent);
                wire(cluster, leader, &way, durable, commit.at, &mut times);
                follower = Some(way);
            } else {
                times.add(Stage::Unrecorded, proposal.at, commit.at);
            }
        }
        Completed::OwnDisk => times.add(Stage::LeaderDisk, proposal.at, commit.at),
        Completed::Other if ceased_to_lead(instance, id, commit.at) => {
            times.add(Stage::LeaderChange, proposal.at, commit.at);
        }
        Completed::Other => times.add(Stage::Core, proposal.at, commit.at),
    }
    let waited_for = if handed.after_own_disk {
        Stage::LeaderDisk
    } else {
        Stage::HandOut
    };
    times.add(waited_for, commit.at, handed.at);
    times.add(Stage::Apply, handed.at, applied);
    Some(Way {
        id,
        leader,
        begin,
        proposed: proposal.at,
        committed: commit.at,
        handed_out: handed.at,
        applied,
        completed: commit.by,
        follower,
        times,
    })
}

/// Whether the proposer of an entry no longer led in the entry's term.
fn ceased_to_lead(instance: &Instance, id: EntryId, at: Time) -> bool {
    let ends = |turn: &Turn| turn.from == RoleKind::Leader && turn.before == id.term;
    instance
        .turns
        .iter()
        .any(|turn| ends(turn) && turn.at <= at)
}

/// The way of an entry over a follower, as far as it is recorded. An append that was sent before
/// `proposed` is not its.
pub(super) fn over(
    cluster: &Cluster,
    leader: usize,
    follower: usize,
    id: EntryId,
    proposed: Time,
) -> Option<FollowerWay> {
    let instance = cluster.instances.get(follower)?;
    let from = cluster.instances.get(leader)?;
    let write = instance.write_of(id)?;
    let (sender, digest) = write.from?;
    if sender != from.node {
        return None; // A later leader sent it.
    }
    let limit = cluster.clocks.common(follower, write.at);
    let limit = cluster.clocks.local(leader, limit);
    let sent = from.sent_at(instance.node, digest, limit)?;
    (sent >= proposed).then_some(FollowerWay {
        instance: follower,
        sent,
        received: write.at,
        write,
        durable: instance.durable_at(write.seq),
    })
}

/// Divides the time between sending and the answer's arrival. The sum is right whatever the clocks
/// say; only how the wire's time is divided depends on them.
fn wire(
    cluster: &Cluster,
    leader: usize,
    way: &FollowerWay,
    durable: Time,
    answered: Time,
    times: &mut Times,
) {
    let whole = answered.0.saturating_sub(way.sent.0);
    let disk = durable.0.saturating_sub(way.received.0).min(whole);
    let wire = whole - disk;
    let sent = cluster.clocks.common(leader, way.sent);
    let received = cluster.clocks.common(way.instance, way.received);
    let out = u64::try_from(received.saturating_sub(sent)).unwrap_or(0);
    let out = out.min(wire);
    times.add_nanos(Stage::WireOut, out);
    times.add_nanos(Stage::FollowerDisk, disk);
    times.add_nanos(Stage::WireBack, wire - out);
}

/// What a disk did between a write that was asked for and the report that it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DiskTimes {
    /// It was busy with earlier writes.
    pub(super) busy: u64,
    /// The sync.
    pub(super) sync: u64,
    /// The sync had ended, and the core had not taken the report.
    pub(super) report: u64,
}

/// Divides the time of a write. Without the driver's own times, the sync begins when the report of
/// the one before it came.
pub(super) fn disk_times(instance: &Instance, write: &Written, durable: Time) -> DiskTimes {
    let whole = durable.0.saturating_sub(write.at.0);
    if let Some(sync) = instance.notes.sync_of(write.seq) {
        let end = sync.end.0.clamp(write.at.0, durable.0);
        let begin = sync.begin.0.clamp(write.at.0, end);
        return DiskTimes {
            busy: begin - write.at.0,
            sync: end - begin,
            report: durable.0 - end,
        };
    }
    let done = instance.persisted.partition_point(|(_, at)| *at < durable);
    let before = done
        .checked_sub(1)
        .and_then(|at| instance.persisted.get(at));
    let busy = before.map_or(0, |(_, at)| at.0.saturating_sub(write.at.0));
    DiskTimes {
        busy,
        sync: whole - busy.min(whole),
        report: 0,
    }
}

/// When something that a peer is asked for reached the leader, per follower: for the table of one
/// entry and for the words of the slowest.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerWay {
    pub(super) node: NodeId,
    pub(super) way: Option<FollowerWay>,
    /// By the leader's clock.
    pub(super) answered: Option<Time>,
}
