//! The unit and the meaning of each metric, as a recorder is told them.

use super::histograms::{SYNC_DURATION, SYNC_WRITES};
use ::metrics::{KeyName, Unit, with_recorder};

/// What a recorder is told of a metric.
struct Description {
    name: &'static str,
    unit: Option<Unit>,
    meaning: &'static str,
}

const fn describe(name: &'static str, unit: Option<Unit>, meaning: &'static str) -> Description {
    Description {
        name,
        unit,
        meaning,
    }
}

const GAUGES: [Description; 20] = [
    describe("raft_term", None, "currentTerm"),
    describe("raft_is_leader", None, "1 if the node leads, else 0"),
    describe("raft_commit_index", None, "commitIndex"),
    describe(
        "raft_apply_lag_entries",
        Some(Unit::Count),
        "Entries that are committed and not yet applied",
    ),
    describe(
        "raft_uncommitted_bytes",
        Some(Unit::Bytes),
        "Bytes in a leader's log that are not both committed and on its disk",
    ),
    describe(
        "raft_resident_log_bytes",
        Some(Unit::Bytes),
        "Bytes of the log in memory",
    ),
    describe(
        "raft_log_entries",
        Some(Unit::Count),
        "Entries in the log, those before the snapshot's end included",
    ),
    describe(
        "raft_snapshot_bytes",
        Some(Unit::Bytes),
        "Bytes of the newest snapshot",
    ),
    describe(
        "raft_waiting_reads",
        Some(Unit::Count),
        "Reads that wait for their index",
    ),
    describe(
        "raft_has_lease",
        None,
        "1 if the node serves reads under a lease, else 0",
    ),
    describe(
        "raft_foreign_incarnations",
        Some(Unit::Count),
        "Members under whose number another storage spoke, which does not count",
    ),
    describe(
        "raft_replaced",
        None,
        "1 if another storage has the node's number, else 0",
    ),
    describe(
        "raft_impaired",
        None,
        "1 if the storage has lost entries that the leader has yet to send, else 0",
    ),
    describe(
        "raft_diverged",
        None,
        "1 if the state is set aside as another one than the majority's, else 0",
    ),
    describe(
        "raft_differing_replicas",
        Some(Unit::Count),
        "Members whose state differs from this node's, as of the last comparison",
    ),
    describe(
        "raft_same_state_index",
        None,
        "The last entry after which the state was found to be that of the others",
    ),
    describe(
        "raft_missing_founders",
        Some(Unit::Count),
        "Founders that the founding waits for: not heard, or part of a cluster already",
    ),
    describe(
        "raft_peer_lag_entries",
        Some(Unit::Count),
        "Entries that the peer is not known to have",
    ),
    describe(
        "raft_decayed_files",
        Some(Unit::Count),
        "Files that were found not to be what was written, until they are replaced",
    ),
    describe(
        "raft_snapshot_transfers",
        Some(Unit::Count),
        "Peers that are being sent a snapshot",
    ),
];

const COUNTERS: [Description; 6] = [
    describe(
        "raft_proposals_total",
        Some(Unit::Count),
        "Commands given to the core",
    ),
    describe(
        "raft_elections_total",
        Some(Unit::Count),
        "Elections that the node started as a candidate",
    ),
    describe(
        "raft_rejected_messages_total",
        Some(Unit::Count),
        "Messages that no correct peer sends",
    ),
    describe(
        "raft_mended_entries_total",
        Some(Unit::Count),
        "Entries that the disk had lost at a start, and that peers have sent",
    ),
    describe(
        "raft_scrubbed_bytes_total",
        Some(Unit::Bytes),
        "Bytes that were read to find what has decayed",
    ),
    describe(
        "raft_snapshot_sent_bytes_total",
        Some(Unit::Bytes),
        "Bytes of snapshots that were sent to peers",
    ),
];

const OF_HISTOGRAMS: [Description; 2] = [
    describe(
        SYNC_DURATION,
        Some(Unit::Seconds),
        "How long a write of the storage took until it was durable",
    ),
    describe(
        SYNC_WRITES,
        Some(Unit::Count),
        "How many of the core's writes shared one sync",
    ),
];

/// Tells the recorder the unit and the meaning of each metric.
pub(super) fn describe_all() {
    with_recorder(|recorder| {
        for it in GAUGES {
            recorder.describe_gauge(KeyName::from(it.name), it.unit, it.meaning.into());
        }
        for it in COUNTERS {
            recorder.describe_counter(KeyName::from(it.name), it.unit, it.meaning.into());
        }
        for it in OF_HISTOGRAMS {
            recorder.describe_histogram(KeyName::from(it.name), it.unit, it.meaning.into());
        }
    });
}
