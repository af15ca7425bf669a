//! The numbers that stand in the columns of a timeline for kinds of things.

use raft_proto::{Action, Input, RoleKind};

/// What happens in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A process starts.
    Start,
    /// A process ends.
    Stop,
    /// A timer of a node is due.
    Timer,
    /// A message is received.
    Receive,
    /// A message is sent.
    Send,
    /// A node is given commands.
    Propose,
    /// A node is asked for a read.
    Read,
    /// A write is issued.
    Write,
    /// A write is durable.
    Durable,
    /// A write, or a read from the disk, fails.
    DiskFault,
    /// The disk is asked, or answers.
    Disk,
    /// Entries, or a snapshot, go to the service.
    Apply,
    /// The service has applied them.
    Applied,
    /// The service has made a snapshot.
    Snapshot,
    /// A node changes its role.
    Role,
    /// A node learns of another leader.
    Leader,
    /// A node uses another configuration.
    Members,
    /// The operator asks a node for something.
    Operator,
    /// A transport says that messages are lost.
    Unreachable,
    /// A node answers a client or the operator.
    Answer,
    /// A node rejects a message, refuses something, or says that something is wrong.
    Complaint,
    /// The nemesis does something.
    Nemesis,
    /// Anything else in the world.
    World,
}

impl EventKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [EventKind; 23] = [
        EventKind::Start,
        EventKind::Stop,
        EventKind::Timer,
        EventKind::Receive,
        EventKind::Send,
        EventKind::Propose,
        EventKind::Read,
        EventKind::Write,
        EventKind::Durable,
        EventKind::DiskFault,
        EventKind::Disk,
        EventKind::Apply,
        EventKind::Applied,
        EventKind::Snapshot,
        EventKind::Role,
        EventKind::Leader,
        EventKind::Members,
        EventKind::Operator,
        EventKind::Unreachable,
        EventKind::Answer,
        EventKind::Complaint,
        EventKind::Nemesis,
        EventKind::World,
    ];

    /// Its name, as the page shows it.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Start => "start",
            EventKind::Stop => "stop",
            EventKind::Timer => "timer",
            EventKind::Receive => "receive",
            EventKind::Send => "send",
            EventKind::Propose => "propose",
            EventKind::Read => "read",
            EventKind::Write => "write",
            EventKind::Durable => "durable",
            EventKind::DiskFault => "disk fault",
            EventKind::Disk => "disk",
            EventKind::Apply => "apply",
            EventKind::Applied => "applied",
            EventKind::Snapshot => "snapshot",
            EventKind::Role => "role",
            EventKind::Leader => "leader",
            EventKind::Members => "members",
            EventKind::Operator => "operator",
            EventKind::Unreachable => "unreachable",
            EventKind::Answer => "answer",
            EventKind::Complaint => "complaint",
            EventKind::Nemesis => "nemesis",
            EventKind::World => "world",
        }
    }

    /// The kind of what a node is given.
    pub fn of_input(input: &Input) -> EventKind {
        match input {
            Input::Tick => EventKind::Timer,
            Input::Receive { .. } => EventKind::Receive,
            Input::Propose { .. } => EventKind::Propose,
            Input::Read { .. } => EventKind::Read,
            Input::Persisted { .. } => EventKind::Durable,
            Input::PersistFailed { .. } => EventKind::DiskFault,
            Input::Applied { .. } => EventKind::Applied,
            Input::Compact { .. } => EventKind::Snapshot,
            Input::EntriesRead { .. }
            | Input::SnapshotRead { .. }
            | Input::SnapshotWritten { .. } => EventKind::Disk,
            Input::Unreachable { .. } => EventKind::Unreachable,
            Input::TransferLeadership { .. }
            | Input::ChangeMembership { .. }
            | Input::Campaign { .. }
            | Input::StepDown { .. }
            | Input::Reconfigure { .. } => EventKind::Operator,
        }
    }

    /// The kind of what a node asks for, or says.
    pub fn of_action(action: &Action) -> EventKind {
        match action {
            Action::Send { .. } => EventKind::Send,
            Action::Persist(_) => EventKind::Write,
            Action::Apply { .. } | Action::Restore { .. } => EventKind::Apply,
            Action::ReadEntries { .. }
            | Action::ReadSnapshot { .. }
            | Action::WriteSnapshot { .. }
            | Action::ReleaseSnapshot { .. } => EventKind::Disk,
            Action::RoleChanged { .. } => EventKind::Role,
            Action::LeaderChanged { .. } => EventKind::Leader,
            Action::MembershipChanged { .. } => EventKind::Members,
            Action::WakeAt(_) => EventKind::Timer,
            Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. } => EventKind::Answer,
            Action::Overdue(_)
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::SnapshotDamaged { .. }
            | Action::LostState { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Faulted { .. } => EventKind::Complaint,
        }
    }
}

/// What the network does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFate {
    /// It arrives. Nobody receives it if the addressee is down by then.
    Arrives,
    /// It is lost.
    Lost,
    /// It arrives, and is the first of two copies.
    FirstCopy,
    /// It arrives, and is the second of two copies.
    SecondCopy,
    /// It arrives with other bytes, and the receiver discards it.
    Damaged,
}

/// The number that a role has in the column; 0 stands for a node that is down.
pub(super) fn role_number(role: RoleKind) -> u8 {
    match role {
        RoleKind::Follower => 1,
        RoleKind::PreCandidate => 2,
        RoleKind::Candidate => 3,
        RoleKind::Leader => 4,
    }
}
