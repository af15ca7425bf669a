//! The situations that a search for bugs has to reach.

use core::fmt;

/// A coverage mark: a situation that a search for bugs has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoverageMark {
    /// A term with candidates and without a leader (section 5.2).
    SplitVote,
    /// Two nodes led at the same moment, in different terms.
    TwoLeaders,
    /// A follower overwrote entries that it had stored (section 5.3).
    Truncation,
    /// Entries of earlier terms became committed by one of the leader's own (section 5.4.2).
    OldTermsCommitted,
    /// A configuration was overwritten before it was committed (section 6).
    ConfigurationTruncated,
    /// A leader was elected whose configuration is joint.
    LeaderInJointChange,
    /// A leader was elected that is no member of its own configuration: it leads its own removal.
    LeaderOutsideItsConfiguration,
    /// A snapshot replaced a log that had entries beyond it or beside it (section 7).
    RestoreOverEntries,
    /// A node crashed while writes were pending.
    CrashInWrite,
    /// A leader crashed.
    LeaderCrash,
    /// Every node was down at the same moment.
    AllDown,
    /// More than half of the voters held an entry of an earlier term than their leader's that no
    /// node had committed. Counting its replicas must not commit it (section 5.4.2; Figure 8 (c)).
    /// This is checked for the last entry of a leader when it is elected, and for the last entry of
    /// a follower's log when it is of an earlier term.
    Figure8,
    /// Such an entry was overwritten (Figure 8 (d)).
    Figure8Overwritten,
    /// A chunk of a snapshot was sent while links were cut.
    SnapshotSentInPartition,
    /// A snapshot was installed while links were cut.
    SnapshotInstalledInPartition,
    /// A leader refused a read because its lease had run out, or was given up (thesis 6.4.1).
    LeaseExpired,
    /// Leadership was transferred on demand (thesis 3.10).
    LeadershipTransferred,
    /// A node stood still for a while, and its clock went on.
    NodePaused,
    /// A node's clock jumped.
    ClockJumped,
    /// A new node took over a machine whose disk was lost.
    NewIdentity,
    /// A crash left a part of a write on disk.
    TornWrite,
    /// A read from disk failed.
    ReadError,
    /// Bits on a disk changed by themselves.
    BitRot,
    /// A node started without the end of its log, which its storage had lost.
    LogDamaged,
    /// Records decayed on several disks at once, on each others.
    DisksDamagedAtOnce,
    /// A node fetched what its disk had lost from its peers, before it started.
    MendedFromPeers,
    /// A frame arrived with other bytes than it was sent with.
    FrameCorrupted,
    /// A process was killed, and the machine kept all that was written.
    ProcessKilled,
    /// A machine lost power while its process was down.
    PowerLostWhileDown,
    /// A service closed a session to make room for another one (thesis 6.3).
    SessionEvicted,
    /// A client repeated a command that had already run (thesis 6.3).
    CommandRepeated,
    /// A service refused a command whose session or answer it had dropped.
    CommandRefused,
    /// Only a majority of the machines healed, and had to go on without the others.
    QuorumOnlyHealed,
    /// A transport told its core that a peer is unreachable.
    UnreachableReported,
    /// ... though the link worked.
    UnreachableWrongly,
    /// A process started with a service that had saved more than the snapshot holds.
    ServiceAhead,
    /// A chunk of a snapshot could not be written.
    ChunkWriteFailed,
    /// A chunk of a snapshot was to be read, and the storage had no such snapshot.
    SnapshotGone,
    /// The disk answered a read, or a write of a chunk, later than an election timeout.
    ReadOverdue,
    /// Entries that were read for a peer came when it was sent other ones, or a snapshot.
    ReadOutlivedFlow,
    /// A leader refused commands because too many bytes were not committed.
    ProposalBoundReached,
    /// A node refused a read because too many waited.
    ReadBoundReached,
    /// Committed entries were not handed out because the service had too much to apply.
    ApplyBoundReached,
    /// A leader compacted its log while it sent a snapshot that is older.
    CompactionInTransfer,
    /// A stored snapshot was read with other bytes than were written.
    SnapshotDecayed,
    /// A process restarted with the seed that it had before.
    SeedRepeated,
    /// A node reached one other node, and no more.
    PartialPartition,
    /// A node came back under its own number with an empty disk.
    EmptyDiskUnderOwnNumber,
    /// A node came back under its own number with an old copy of its disk.
    OldCopyUnderOwnNumber,
    /// A server restarted with a newer release than before.
    Upgraded,
    /// A server restarted with an older release than before.
    Downgraded,
    /// A leader raised the level: all members read more than before.
    LevelRaised,
    /// A server whose release does not read the level in force stopped, and said so.
    LevelTooLow,
    /// A message arrived of a kind that only a newer release knows.
    NewerMessage,
}

impl CoverageMark {
    /// All of them.
    pub const ALL: [CoverageMark; 54] = [
        CoverageMark::SplitVote,
        CoverageMark::TwoLeaders,
        CoverageMark::Truncation,
        CoverageMark::OldTermsCommitted,
        CoverageMark::ConfigurationTruncated,
        CoverageMark::LeaderInJointChange,
        CoverageMark::LeaderOutsideItsConfiguration,
        CoverageMark::RestoreOverEntries,
        CoverageMark::CrashInWrite,
        CoverageMark::LeaderCrash,
        CoverageMark::AllDown,
        CoverageMark::Figure8,
        CoverageMark::Figure8Overwritten,
        CoverageMark::SnapshotSentInPartition,
        CoverageMark::SnapshotInstalledInPartition,
        CoverageMark::LeaseExpired,
        CoverageMark::LeadershipTransferred,
        CoverageMark::NodePaused,
        CoverageMark::ClockJumped,
        CoverageMark::NewIdentity,
        CoverageMark::TornWrite,
        CoverageMark::ReadError,
        CoverageMark::BitRot,
        CoverageMark::LogDamaged,
        CoverageMark::DisksDamagedAtOnce,
        CoverageMark::MendedFromPeers,
        CoverageMark::FrameCorrupted,
        CoverageMark::ProcessKilled,
        CoverageMark::PowerLostWhileDown,
        CoverageMark::SessionEvicted,
        CoverageMark::CommandRepeated,
        CoverageMark::CommandRefused,
        CoverageMark::QuorumOnlyHealed,
        CoverageMark::UnreachableReported,
        CoverageMark::UnreachableWrongly,
        CoverageMark::ServiceAhead,
        CoverageMark::ChunkWriteFailed,
        CoverageMark::SnapshotGone,
        CoverageMark::ReadOverdue,
        CoverageMark::ReadOutlivedFlow,
        CoverageMark::ProposalBoundReached,
        CoverageMark::ReadBoundReached,
        CoverageMark::ApplyBoundReached,
        CoverageMark::CompactionInTransfer,
        CoverageMark::SnapshotDecayed,
        CoverageMark::SeedRepeated,
        CoverageMark::PartialPartition,
        CoverageMark::EmptyDiskUnderOwnNumber,
        CoverageMark::OldCopyUnderOwnNumber,
        CoverageMark::Upgraded,
        CoverageMark::Downgraded,
        CoverageMark::LevelRaised,
        CoverageMark::LevelTooLow,
        CoverageMark::NewerMessage,
    ];
}

impl fmt::Display for CoverageMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CoverageMark::SplitVote => "a split vote",
            CoverageMark::TwoLeaders => "two leaders at once",
            CoverageMark::Truncation => "stored entries overwritten",
            CoverageMark::OldTermsCommitted => "earlier terms' entries committed",
            CoverageMark::ConfigurationTruncated => "a configuration overwritten",
            CoverageMark::LeaderInJointChange => "a leader elected in a joint change",
            CoverageMark::LeaderOutsideItsConfiguration => "a leader elected to remove itself",
            CoverageMark::RestoreOverEntries => "a snapshot restored over entries",
            CoverageMark::CrashInWrite => "a crash in the middle of a write",
            CoverageMark::LeaderCrash => "a leader crashed",
            CoverageMark::AllDown => "all nodes down at once",
            CoverageMark::Figure8 => "a majority's old entry not committed",
            CoverageMark::Figure8Overwritten => "a majority's old entry overwritten",
            CoverageMark::SnapshotSentInPartition => "a snapshot sent while links were cut",
            CoverageMark::SnapshotInstalledInPartition => {
                "a snapshot installed while links were cut"
            }
            CoverageMark::LeaseExpired => "a lease expired",
            CoverageMark::LeadershipTransferred => "leadership transferred",
            CoverageMark::NodePaused => "a node paused",
            CoverageMark::ClockJumped => "a clock jumped",
            CoverageMark::NewIdentity => "a server began anew under a new id",
            CoverageMark::TornWrite => "a write torn",
            CoverageMark::ReadError => "a read from disk failed",
            CoverageMark::BitRot => "bits on a disk flipped",
            CoverageMark::LogDamaged => "a storage lost the end of its log",
            CoverageMark::DisksDamagedAtOnce => "disks damaged in different places at once",
            CoverageMark::MendedFromPeers => "a log mended before the start",
            CoverageMark::FrameCorrupted => "a frame corrupted",
            CoverageMark::ProcessKilled => "a process killed",
            CoverageMark::PowerLostWhileDown => "power lost while a process was down",
            CoverageMark::SessionEvicted => "a session evicted",
            CoverageMark::CommandRepeated => "a command repeated",
            CoverageMark::CommandRefused => "a command refused by its session",
            CoverageMark::QuorumOnlyHealed => "only a majority healed",
            CoverageMark::UnreachableReported => "a peer reported unreachable",
            CoverageMark::UnreachableWrongly => "a peer wrongly reported unreachable",
            CoverageMark::ServiceAhead => "a service ahead of its snapshot at a start",
            CoverageMark::ChunkWriteFailed => "a chunk of a snapshot not written",
            CoverageMark::SnapshotGone => "a snapshot gone when it was read",
            CoverageMark::ReadOverdue => "a read from disk longer than an election",
            CoverageMark::ReadOutlivedFlow => "a read from disk outlived its purpose",
            CoverageMark::ProposalBoundReached => "the bound of uncommitted bytes reached",
            CoverageMark::ReadBoundReached => "the bound of waiting reads reached",
            CoverageMark::ApplyBoundReached => "the bound of unapplied bytes reached",
            CoverageMark::CompactionInTransfer => "a log compacted while a snapshot was sent",
            CoverageMark::SnapshotDecayed => "a snapshot decayed",
            CoverageMark::SeedRepeated => "a restart with the same seed",
            CoverageMark::PartialPartition => "a node that reached only one other",
            CoverageMark::EmptyDiskUnderOwnNumber => "a server began anew under its own id",
            CoverageMark::OldCopyUnderOwnNumber => "a server came back with an old copy",
            CoverageMark::Upgraded => "a server restarted with a newer release",
            CoverageMark::Downgraded => "a server restarted with an older release",
            CoverageMark::LevelRaised => "a release level raised",
            CoverageMark::LevelTooLow => "a server of a release too old stopped",
            CoverageMark::NewerMessage => "a message of a newer release not known",
        })
    }
}
