//! The nemesis operations that there are.

/// A nemesis operation. The report lists them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    Kill,
    KillAll,
    Pause,
    Cut,
    CutOneWay,
    Isolate,
    Hold,
    Slow,
    Flaky,
    CutClients,
    Transfer,
    Join,
    Leave,
    Snapshot,
    FillDisk,
}

impl Fault {
    /// All of them, and their weights in the draw.
    pub(crate) const ALL: [(Fault, u64); 15] = [
        (Fault::Kill, 34),
        (Fault::KillAll, 3),
        (Fault::Pause, 10),
        (Fault::Cut, 5),
        (Fault::CutOneWay, 6),
        (Fault::Isolate, 6),
        (Fault::Hold, 6),
        (Fault::Slow, 5),
        (Fault::Flaky, 5),
        (Fault::CutClients, 3),
        (Fault::Transfer, 8),
        (Fault::Join, 4),
        (Fault::Leave, 4),
        (Fault::Snapshot, 4),
        (Fault::FillDisk, 3),
    ];

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Fault::Kill => "servers killed (SIGKILL) and restarted",
            Fault::KillAll => "all servers killed at once",
            Fault::Pause => "servers paused (SIGSTOP, SIGCONT)",
            Fault::Cut => "links cut, both ways",
            Fault::CutOneWay => "links cut, one way",
            Fault::Isolate => "servers isolated from all others",
            Fault::Hold => "links held up, then all messages late",
            Fault::Slow => "links slowed",
            Fault::Flaky => "links that tear their connections",
            Fault::CutClients => "ports for forwarded requests cut",
            Fault::Transfer => "leadership transfers requested",
            Fault::Join => "servers joined",
            Fault::Leave => "servers left",
            Fault::Snapshot => "snapshots requested",
            Fault::FillDisk => "disks filled",
        }
    }
}
