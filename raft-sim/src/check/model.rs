//! What a model explores: a cluster, where it starts, and what may happen how often.

use super::canonical::{Reads, Times};
use super::node::Disks;
use super::outcome::Mark;
use super::world::World;
use raft_proto::{
    CheckQuorum, Config, Index, Lease, MembershipChange, NodeId, PreVoting, ReadMode, Term,
};

/// A model: a small cluster and the bounds of what happens to it.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it explores, in a line.
    pub about: &'static str,
    /// The settings of each node, of the nodes 1 and so on.
    pub configs: Vec<Config>,
    /// How soon writes are durable.
    pub disks: Disks,
    /// What is done before the exploration begins.
    pub opening: fn(&mut World<'_>),
    /// How often things happen.
    pub bounds: Bounds,
    /// What operators may do, each once.
    pub operations: Vec<Operation>,
    /// What must be reached, or the model is too small.
    pub reaches: &'static [Mark],
    /// Which states are not looked at.
    pub reductions: Reductions,
    /// How many states there are, if that was ever found out.
    pub states: Option<u64>,
}

/// Which states are not looked at, since others stand for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reductions {
    /// States that differ only in the names of the nodes are the same. The core compares ids only
    /// for equality, apart from the order of lists, which is no matter (`canonical.rs`): nodes that
    /// exchange their ids exchange their behaviour. Not so if the opening or an operation names a
    /// node, or if an id is in the bytes of an entry, or read.
    pub names: bool,
    /// Replies that their addressee has outlived are forgotten (`choice.rs`).
    pub outlived: bool,
    /// Steps that change nothing but that a message, or a part of a bound, is gone, are not taken.
    /// Whatever can happen after such a step can happen without it, too.
    pub idle: bool,
}

impl Reductions {
    /// All of them.
    pub const ALL: Reductions = Reductions {
        names: true,
        outlived: true,
        idle: true,
    };
    /// All that hold where nodes are named.
    pub const OF_NAMED: Reductions = Reductions {
        names: false,
        ..Reductions::ALL
    };
    /// None.
    pub const NONE: Reductions = Reductions {
        names: false,
        outlived: false,
        idle: false,
    };
}

/// How large a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Seconds, even without optimisation.
    Short,
    /// Minutes.
    Full,
}

/// How often things happen, in all nodes together. Messages may always be lost, and are delivered
/// in any order: they need no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The greatest term: no election begins in it.
    pub max_term: u64,
    /// Election timeouts.
    pub timeouts: u8,
    /// Election timeouts that pass without a tick: nodes that vote, but do not campaign.
    pub waits: u8,
    /// Heartbeats of leaders.
    pub wakes: u8,
    /// Power failures.
    pub crashes: u8,
    /// Messages that arrive twice.
    pub repeats: u8,
    /// Commands.
    pub proposals: u8,
    /// Reads.
    pub reads: u8,
    /// Snapshots.
    pub snapshots: u8,
}

/// Something that an operator does, or a client in a way of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asks a leader to hand over.
    Transfer(Option<NodeId>),
    /// Asks a leader to change the members.
    Change(MembershipChange),
    /// Loses the end of the log of a disk.
    Damage(Index),
    /// Loses a whole disk, and starts the node with an empty one.
    Replace(NodeId),
}

/// What of the bounds is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget(pub(super) [u8; Budget::KINDS]);

/// What something costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    Timeout,
    Wait,
    Wake,
    Crash,
    Repeat,
    Proposal,
    Read,
    Snapshot,
    /// Which operation.
    Operation(u8),
}

impl Budget {
    const KINDS: usize = 12;
    const OPERATIONS: usize = 8;
    /// How many operations a model may have.
    pub const MAX_OPERATIONS: usize = Budget::KINDS - Budget::OPERATIONS;

    /// All of a model's.
    pub fn of(model: &Model) -> Budget {
        let bounds = &model.bounds;
        let mut left = [0; Budget::KINDS];
        let fixed = [
            bounds.timeouts,
            bounds.waits,
            bounds.wakes,
            bounds.crashes,
            bounds.repeats,
            bounds.proposals,
            bounds.reads,
            bounds.snapshots,
        ];
        let operations = model.operations.iter().map(|_| 1);
        for (to, from) in left.iter_mut().zip(fixed.into_iter().chain(operations)) {
            *to = from;
        }
        Budget(left)
    }

    fn place(cost: Cost) -> usize {
        match cost {
            Cost::Timeout => 0,
            Cost::Wait => 1,
            Cost::Wake => 2,
            Cost::Crash => 3,
            Cost::Repeat => 4,
            Cost::Proposal => 5,
            Cost::Read => 6,
            Cost::Snapshot => 7,
            Cost::Operation(which) => Budget::OPERATIONS + which as usize,
        }
    }

    /// How often this may still happen.
    pub(super) fn left(&self, cost: Cost) -> u8 {
        self.0.get(Budget::place(cost)).copied().unwrap_or(0)
    }

    /// After it has happened once more.
    pub(super) fn without(mut self, cost: Cost) -> Budget {
        if let Some(left) = self.0.get_mut(Budget::place(cost)) {
            *left = left.saturating_sub(1);
        }
        self
    }

    pub(super) fn words(self) -> [u32; 3] {
        let word = |at: usize| {
            let mut bytes = [0; 4];
            for (to, from) in bytes.iter_mut().zip(self.0.iter().skip(4 * at)) {
                *to = *from;
            }
            u32::from_le_bytes(bytes)
        };
        [word(0), word(1), word(2)]
    }

    pub(super) fn from_words(words: [u32; 3]) -> Budget {
        let mut left = [0; Budget::KINDS];
        let bytes = words.into_iter().flat_map(u32::to_le_bytes);
        for (to, from) in left.iter_mut().zip(bytes) {
            *to = from;
        }
        Budget(left)
    }
}

impl Model {
    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.configs.len()
    }

    /// The greatest term, in which no election begins.
    pub(super) fn max_term(&self) -> Term {
        Term(self.bounds.max_term)
    }

    /// Which instants matter.
    pub(super) fn times(&self) -> Times {
        let is_bare = |config: &Config| {
            config.pre_vote == PreVoting::Off
                && config.check_quorum == CheckQuorum::Off
                && config.lease == Lease::Off
        };
        if self.configs.iter().all(is_bare) && self.reads() == Reads::None {
            Times::OfLeaders
        } else {
            Times::All
        }
    }

    /// Whether clients read.
    pub(super) fn reads(&self) -> Reads {
        if self.bounds.reads > 0 {
            Reads::Served
        } else {
            Reads::None
        }
    }

    /// How clients read.
    pub(super) fn read_mode(&self) -> ReadMode {
        let leases = |config: &Config| config.lease != Lease::Off;
        if self.configs.iter().any(leases) {
            ReadMode::Lease
        } else {
            ReadMode::Quorum
        }
    }
}
