//! The operations of the nemesis, and how files write them.

mod link;
mod machine;
mod parse;
mod setting;
mod text;

pub use link::{LinkOperation, Links};
pub use machine::{MachineOperation, ReplacementDisk};
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
    /// On links.
    AtLinks(LinkOperation),
    /// On one machine.
    AtMachine {
        of: Target,
        operation: MachineOperation,
    },
    /// All machines lose power, and stored records decay on each, in other places on each: about
    /// `lost` of a thousand entries. After `time` or more they start, and fetch what they lack.
    DamageAll { lost: u32, time: Duration },
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
    /// The operator asks the leader to give a member this priority, and another context.
    Update { of: Place, priority: u8 },
}

impl NemesisOperation {
    /// The operation on this machine.
    pub fn at(of: Target, operation: MachineOperation) -> NemesisOperation {
        NemesisOperation::AtMachine { of, operation }
    }

    /// The machines that it names.
    pub fn places(&self) -> Vec<Place> {
        let node = |target: &Target| match target {
            Target::Node(place) => vec![*place],
            Target::Leader => Vec::new(),
        };
        match self {
            NemesisOperation::AtLinks(operation) => match operation {
                LinkOperation::Noise { .. } => Vec::new(),
                LinkOperation::Cut { links, .. } => match links {
                    Links::Around(target) => node(target),
                    Links::Between(places) => places.clone(),
                    Links::One(from, to) | Links::AllBut(from, to) => vec![*from, *to],
                },
                LinkOperation::Flaky { from, to, .. }
                | LinkOperation::SlowLink { from, to, .. }
                | LinkOperation::Unreachable { from, to, .. } => vec![*from, *to],
            },
            NemesisOperation::AtMachine { of, .. } => node(of),
            NemesisOperation::DamageAll { .. } => Vec::new(),
            NemesisOperation::Update { of, .. } => vec![*of],
            NemesisOperation::Transfer { to } => to.iter().copied().collect(),
            NemesisOperation::Change { roles, seen_by, .. } => {
                let places = roles.iter().map(|(place, _)| *place);
                places.chain(*seen_by).collect()
            }
        }
    }
}
