//! The operations of the nemesis, and how files write them.

mod parse;
mod setting;
mod text;

pub use setting::NodeSetting;

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// The place of a machine, from 0 on: `n1` begins in place 0. A node that takes over a machine
/// under a new identity has the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Place, ()> {
        let number = text.strip_prefix('n').ok_or(())?;
        let number: usize = number.parse().map_err(|_| ())?;
        number.checked_sub(1).map(Place).ok_or(())
    }
}

/// The machine that an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The machine in this place.
    Node(Place),
    /// The machine of the node that leads at that moment, if there is a leader.
    Leader,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(place) => place.fmt(f),
            Target::Leader => f.write_str("leader"),
        }
    }
}

impl FromStr for Target {
    type Err = ();

    fn from_str(text: &str) -> Result<Target, ()> {
        match text {
            "leader" => Ok(Target::Leader),
            node => node.parse().map(Target::Node),
        }
    }
}

/// The links that a cut concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// All links between one machine and the others.
    Around(Target),
    /// All links between these machines and the others.
    Between(Vec<Place>),
    /// One link, in one direction.
    One(Place, Place),
    /// All links between the first machine and the others, except those with the second one: a
    /// partial partition, in which the second machine reaches all and the first only that one.
    AllBut(Place, Place),
}

/// The disk with which a machine comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacementDisk {
    /// An empty one, and the node on it has a new identity.
    NewNode,
    /// An empty one, and the node keeps its number.
    Empty,
    /// The same, whether the cluster can do without the disk or not. Only disks with incarnations
    /// are lost so: no algorithm survives the loss of a majority, but this one must notice it.
    EmptyAnyway,
    /// The copy that [`NemesisOperation::Backup`] made last, and the node keeps its number.
    OldCopy,
}

/// The role that a node is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetRole {
    /// A voter.
    Voter,
    /// A learner.
    Learner,
    /// A learner that the leader makes a voter once it has caught up.
    Staging,
    /// None: it is no member.
    NonMember,
}

/// An operation of the nemesis.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "`time` is how long it lasts, and `of` is the machine that it concerns"
)]
pub enum NemesisOperation {
    /// So many of a thousand messages, on any link, are lost, arrive twice, are delayed by up to
    /// `by`, or have bytes changed.
    Noise {
        loss: u32,
        duplicate: u32,
        late: u32,
        corrupt: u32,
        by: Duration,
        time: Duration,
    },
    /// Links carry nothing.
    Cut { links: Links, time: Duration },
    /// A link loses `loss` of a thousand messages.
    Flaky {
        from: Place,
        to: Place,
        loss: u32,
        time: Duration,
    },
    /// Messages on a link take longer by `by`.
    SlowLink {
        from: Place,
        to: Place,
        by: Duration,
        time: Duration,
    },
    /// The machine loses power: what was not synced may be lost, and the last write may be torn.
    /// The process restarts after `time`. If the process is down already, what it left unsynced may
    /// be lost.
    Crash { of: Target, time: Duration },
    /// The process ends, and the machine goes on: all that was written is there, synced or not. The
    /// process restarts after `time`, and its storage syncs what it finds.
    Kill { of: Target, time: Duration },
    /// The machine stands still; messages wait.
    Pause { of: Target, time: Duration },
    /// Each step takes the machine `by`.
    SlowNode {
        of: Target,
        by: Duration,
        time: Duration,
    },
    /// Each sync takes longer by up to `by`.
    SlowDisk {
        of: Target,
        by: Duration,
        time: Duration,
    },
    /// The next sync fails. The process restarts after `time` with whatever the disk holds.
    FailWrite { of: Target, time: Duration },
    /// Reads of entries and snapshots from disk fail.
    FailRead { of: Target, time: Duration },
    /// Stored bytes decay. The storage notices, the process ends, and the storage does not open
    /// again. A new node takes over the machine.
    Rot { of: Target },
    /// Stored records decay, and the process ends. After `time` it starts with the entries before
    /// them, about `kept` of a thousand, and its storage says what is lost.
    Damage {
        of: Target,
        kept: u32,
        time: Duration,
    },
    /// All machines lose power, and stored records decay on each, in other places on each: about
    /// `lost` of a thousand entries. After `time` or more they start, and fetch what they lack.
    DamageAll { lost: u32, time: Duration },
    /// The disk is lost. After `time` the machine comes back with another one.
    ///
    /// A node that keeps its number has forgotten votes that it gave and entries that it
    /// acknowledged. If the cluster tells disks apart, it survives that as long as it can do without
    /// the lost disk, and the operator takes the empty one in as a learner. Otherwise, and with old
    /// copies, no cluster survives that of a voter: of the majority that committed an entry, one
    /// fewer then holds it. So the operation changes nothing unless no configuration that may
    /// be in force names the node: it was removed, and every other node knows that, or it was never
    /// a member. An old copy must also not hold a configuration by which the node could be elected.
    /// The node can be added again later.
    Replace {
        of: Target,
        with: ReplacementDisk,
        time: Duration,
    },
    /// A copy of the disk is made, as it is without power, and put aside.
    Backup { of: Target },
    /// The clock jumps ahead by `by`.
    Jump { of: Target, by: Duration },
    /// The clock stands still.
    Freeze { of: Target, time: Duration },
    /// The operator asks the leader to transfer its leadership, to `to` or to any node.
    Transfer { to: Option<Place> },
    /// The operator asks the leader to change the members so that nodes have these roles. Roles
    /// that make no sense at that moment are left out. If `is_for_next`, or if there is no leader,
    /// the next leader is asked as soon as it is elected. With `seen_by` the change is made for the
    /// configuration that this node knows then, and refused if the leader has another one.
    Change {
        roles: Vec<(Place, TargetRole)>,
        is_forced: bool,
        is_for_next: bool,
        seen_by: Option<Place>,
    },
    /// The service makes a snapshot.
    Snapshot { of: Target },
    /// The service makes a snapshot after each `every`, if it has applied anything since.
    Compact {
        of: Target,
        every: Duration,
        time: Duration,
    },
    /// The transport of the first machine says so many times that its messages for the second one
    /// are lost, evenly over `time`, whether they are or not.
    Unreachable {
        from: Place,
        to: Place,
        times: u32,
        time: Duration,
    },
    /// Reads of entries, and reads and writes of chunks of snapshots, are answered later by up to
    /// `by`, also out of order.
    SlowRead {
        of: Target,
        by: Duration,
        time: Duration,
    },
    /// Of a thousand reads of entries, and reads and writes of chunks of snapshots, `failed` fail.
    /// Of a thousand reads of chunks, `gone` more find no snapshot.
    FlakyDisk {
        of: Target,
        failed: u32,
        gone: u32,
        time: Duration,
    },
    /// The service takes longer by up to `by` for what it is given to apply.
    SlowService {
        of: Target,
        by: Duration,
        time: Duration,
    },
    /// Reads of the snapshot in use return other bytes than were written, as long as the process
    /// lives: no fault ends that, only a newer snapshot, which the service makes after `time`.
    /// Changes nothing if the service has applied nothing beyond the snapshot.
    Decay { of: Target, time: Duration },
    /// The operator asks the node to campaign at once.
    Campaign { of: Target },
    /// The operator asks the node to give up its leadership.
    StepDown { of: Target },
    /// The operator changes a setting of the node while it runs, until the faults end.
    Reconfigure {
        of: Target,
        setting: NodeSetting,
        value: u64,
    },
    /// The operator asks the leader to give a member this priority, and another context.
    Update { of: Place, priority: u8 },
}

impl NemesisOperation {
    /// The machines that it names.
    pub fn places(&self) -> Vec<Place> {
        let node = |target: &Target| match target {
            Target::Node(place) => vec![*place],
            Target::Leader => Vec::new(),
        };
        match self {
            NemesisOperation::Noise { .. } | NemesisOperation::DamageAll { .. } => Vec::new(),
            NemesisOperation::Cut { links, .. } => match links {
                Links::Around(target) => node(target),
                Links::Between(places) => places.clone(),
                Links::One(from, to) | Links::AllBut(from, to) => vec![*from, *to],
            },
            NemesisOperation::Flaky { from, to, .. }
            | NemesisOperation::SlowLink { from, to, .. }
            | NemesisOperation::Unreachable { from, to, .. } => vec![*from, *to],
            NemesisOperation::Crash { of, .. }
            | NemesisOperation::Kill { of, .. }
            | NemesisOperation::Pause { of, .. }
            | NemesisOperation::SlowNode { of, .. }
            | NemesisOperation::SlowDisk { of, .. }
            | NemesisOperation::FailWrite { of, .. }
            | NemesisOperation::FailRead { of, .. }
            | NemesisOperation::Rot { of }
            | NemesisOperation::Damage { of, .. }
            | NemesisOperation::Replace { of, .. }
            | NemesisOperation::Jump { of, .. }
            | NemesisOperation::Freeze { of, .. }
            | NemesisOperation::Backup { of }
            | NemesisOperation::Snapshot { of }
            | NemesisOperation::Compact { of, .. }
            | NemesisOperation::SlowRead { of, .. }
            | NemesisOperation::FlakyDisk { of, .. }
            | NemesisOperation::SlowService { of, .. }
            | NemesisOperation::Decay { of, .. }
            | NemesisOperation::Campaign { of }
            | NemesisOperation::StepDown { of }
            | NemesisOperation::Reconfigure { of, .. } => node(of),
            NemesisOperation::Update { of, .. } => vec![*of],
            NemesisOperation::Transfer { to } => to.iter().copied().collect(),
            NemesisOperation::Change { roles, seen_by, .. } => {
                let places = roles.iter().map(|(place, _)| *place);
                places.chain(*seen_by).collect()
            }
        }
    }
}
