//! What a run cost, and for how long it was not available.

use core::time::Duration;
use raft_proto::{
    Action, AppendEntries, ENTRY_OVERHEAD, Index, InstallSnapshot, Message, NodeId, RequestId,
    RoleKind, SnapshotId, Term, TransferError,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Counts of one run, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Entries given to the network, each as often as it was sent.
    pub entries_sent: u64,
    /// Those of them that this leader had sent to this member before.
    pub entries_sent_again: u64,
    /// The bytes of entries given to the network.
    pub entry_bytes_sent: u64,
    /// Those of them that this leader had sent to this member before.
    pub entry_bytes_sent_again: u64,
    /// The bytes of snapshots given to the network.
    pub snapshot_bytes_sent: u64,
    /// Those of them that this leader had sent to this member before.
    pub snapshot_bytes_sent_again: u64,
    /// Members that needed a snapshot, each as often as it did.
    pub catch_ups: u64,
    /// The snapshots that were sent to them.
    pub snapshots_for_catch_ups: u64,
    /// The most that one of them got, until it got entries again.
    pub most_snapshots_for_one: u32,
    /// Phases under a condition that stays.
    pub phases: u64,
    /// Their length, in microseconds.
    pub phase_micros: u64,
    /// Terms that began in them.
    pub terms: u64,
    /// Leaders that were deposed in them, though they were well.
    pub deposed_while_well: u64,
    /// Handovers that the operator asked for in them.
    pub handovers: u64,
    /// Those that failed.
    pub handovers_failed: u64,
    /// Leaders that crashed in them.
    pub leader_crashes: u64,
    /// The time from those crashes to the next commits, in microseconds.
    pub downtime_micros: u64,
    /// The longest of those times.
    pub longest_downtime_micros: u64,
    /// The longest time without a commit in such a phase.
    pub longest_without_commit_micros: u64,
}

impl Figures {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Figures) {
        self.entries_sent += other.entries_sent;
        self.entries_sent_again += other.entries_sent_again;
        self.entry_bytes_sent += other.entry_bytes_sent;
        self.entry_bytes_sent_again += other.entry_bytes_sent_again;
        self.snapshot_bytes_sent += other.snapshot_bytes_sent;
        self.snapshot_bytes_sent_again += other.snapshot_bytes_sent_again;
        self.catch_ups += other.catch_ups;
        self.snapshots_for_catch_ups += other.snapshots_for_catch_ups;
        self.most_snapshots_for_one = self
            .most_snapshots_for_one
            .max(other.most_snapshots_for_one);
        self.phases += other.phases;
        self.phase_micros += other.phase_micros;
        self.terms += other.terms;
        self.deposed_while_well += other.deposed_while_well;
        self.handovers += other.handovers;
        self.handovers_failed += other.handovers_failed;
        self.leader_crashes += other.leader_crashes;
        self.downtime_micros += other.downtime_micros;
        self.longest_downtime_micros = self
            .longest_downtime_micros
            .max(other.longest_downtime_micros);
        self.longest_without_commit_micros = self
            .longest_without_commit_micros
            .max(other.longest_without_commit_micros);
    }

    /// The lines of a report.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let mut rows = vec![(
            "sent again",
            format!(
                "{} of {} entries, {} of {} bytes of entries, {} of {} bytes of snapshots",
                self.entries_sent_again,
                self.entries_sent,
                self.entry_bytes_sent_again,
                self.entry_bytes_sent,
                self.snapshot_bytes_sent_again,
                self.snapshot_bytes_sent
            ),
        )];
        if self.catch_ups > 0 {
            rows.push((
                "snapshots to catch up",
                format!(
                    "{} for {} members, {} at most for one",
                    self.snapshots_for_catch_ups, self.catch_ups, self.most_snapshots_for_one
                ),
            ));
        }
        if self.phases > 0 {
            rows.push((
                "under a condition",
                format!(
                    "{:.1} s: {} terms, at most {:.3} s without a commit, {} leaders deposed \
                     while well, {} of {} handovers failed",
                    seconds(self.phase_micros),
                    self.terms,
                    seconds(self.longest_without_commit_micros),
                    self.deposed_while_well,
                    self.handovers_failed,
                    self.handovers
                ),
            ));
        }
        if self.leader_crashes > 0 {
            let mean = seconds(self.downtime_micros) / self.leader_crashes as f64;
            rows.push((
                "crashes of the leader",
                format!(
                    "{}, after which nothing was committed for {mean:.3} s, at most {:.3} s",
                    self.leader_crashes,
                    seconds(self.longest_downtime_micros)
                ),
            ));
        }
        rows
    }

    /// The leader crashed, and it took so long until something was committed again.
    pub fn recovered_after(&mut self, downtime: Duration) {
        let micros = downtime.as_micros() as u64; // Some seconds.
        self.leader_crashes += 1;
        self.downtime_micros += micros;
        self.longest_downtime_micros = self.longest_downtime_micros.max(micros);
    }

    /// Nothing was committed for so long.
    pub fn without_commit_for(&mut self, time: Duration) {
        let micros = time.as_micros() as u64; // Some seconds.
        self.longest_without_commit_micros = self.longest_without_commit_micros.max(micros);
    }
}

/// What a leader has sent to a member in its term.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    term: Term,
    /// The last entry that was sent.
    last: Index,
    snapshot: Option<SnapshotId>,
    /// Up to here, the bytes of that snapshot were sent.
    chunks_end: u64,
    /// Snapshots since it got entries.
    snapshots: u32,
}

/// The answer to a transfer that the operator asked for.
pub(super) type TransferOutcome = (RequestId, Result<NodeId, TransferError>);

/// Watches every core's actions, and counts.
#[derive(Clone, Debug, Default)]
pub struct Availability {
    /// The counts.
    pub figures: Figures,
    /// By leader and member.
    streams: BTreeMap<(NodeId, NodeId), Stream>,
    /// By leader, the last term in which it sent TimeoutNow.
    handed_over: BTreeMap<NodeId, Term>,
    /// Answers to transfers. They are kept in phases only.
    pub(super) transfers: Vec<TransferOutcome>,
    /// Whether a phase under a condition goes on.
    is_in_phase: bool,
}

impl Availability {
    /// A phase under a condition begins.
    pub fn begin_phase(&mut self) {
        self.is_in_phase = true;
    }

    /// The phase is over.
    pub fn end_phase(&mut self) {
        self.is_in_phase = false;
        self.transfers.clear();
    }

    /// A node gives a message to the network.
    #[inline]
    pub fn sent(&mut self, from: NodeId, to: NodeId, message: &Message) {
        match message {
            Message::AppendEntries(append) if !append.entries.is_empty() => {
                self.entries_sent(from, to, append);
            }
            Message::InstallSnapshot(chunk) => self.chunk_sent(from, to, chunk),
            Message::TimeoutNow(request) => {
                self.handed_over.insert(from, request.term);
            }
            Message::AppendEntries(_)
            | Message::RequestVote(_)
            | Message::RequestVoteReply(_)
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshotReply(_)
            | Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexReply(_) => {}
        }
    }

    fn stream(&mut self, from: NodeId, to: NodeId, term: Term) -> &mut Stream {
        let stream = self.streams.entry((from, to)).or_default();
        if stream.term != term {
            *stream = Stream {
                term,
                ..Stream::default()
            };
        }
        stream
    }

    fn entries_sent(&mut self, from: NodeId, to: NodeId, append: &AppendEntries) {
        let entries = &append.entries;
        let (Some(first), Some(last)) = (entries.first_index(), entries.last_id()) else {
            return;
        };
        let stream = self.stream(from, to, append.term);
        let sent_before = stream.last;
        stream.last = sent_before.max(last.index);
        stream.snapshots = 0;
        self.figures.entries_sent += entries.len() as u64;
        self.figures.entry_bytes_sent += entries.bytes();
        if first <= sent_before {
            let again = entries
                .iter()
                .take_while(|entry| entry.index() <= sent_before);
            for entry in again {
                self.figures.entries_sent_again += 1;
                self.figures.entry_bytes_sent_again +=
                    entry.payload().len() as u64 + ENTRY_OVERHEAD;
            }
        }
    }

    fn chunk_sent(&mut self, from: NodeId, to: NodeId, chunk: &InstallSnapshot) {
        let (id, length) = (chunk.snapshot.id, chunk.data.len() as u64);
        let stream = self.stream(from, to, chunk.term);
        let is_new = stream.snapshot != Some(id);
        if is_new {
            stream.snapshot = Some(id);
            stream.chunks_end = 0;
            stream.snapshots += 1;
        }
        let snapshots = stream.snapshots;
        let again = stream.chunks_end.saturating_sub(chunk.offset).min(length);
        stream.chunks_end = stream.chunks_end.max(chunk.offset + length);
        self.figures.snapshot_bytes_sent += length;
        self.figures.snapshot_bytes_sent_again += again;
        if is_new {
            self.figures.catch_ups += u64::from(snapshots == 1);
            self.figures.snapshots_for_catch_ups += 1;
            let most = self.figures.most_snapshots_for_one;
            self.figures.most_snapshots_for_one = most.max(snapshots);
        }
    }

    /// A node has done something other than to send.
    #[inline]
    pub fn observe(&mut self, action: &Action) {
        if !self.is_in_phase {
            return;
        }
        match action {
            Action::RoleChanged {
                role: RoleKind::Candidate,
                ..
            } => self.figures.terms += 1,
            Action::Transferred { id, outcome } => self.transfers.push((*id, *outcome)),
            Action::RoleChanged { .. }
            | Action::Send { .. }
            | Action::Persist(_)
            | Action::Apply { .. }
            | Action::Restore { .. }
            | Action::Read { .. }
            | Action::ReadSnapshot { .. }
            | Action::ReadEntries { .. }
            | Action::WriteSnapshot { .. }
            | Action::ReleaseSnapshot { .. }
            | Action::WakeAt(_)
            | Action::Proposed { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::Overdue(_)
            | Action::MembershipChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::SnapshotDamaged { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Faulted { .. } => {}
        }
    }

    /// Whether this leader has asked another node to campaign in its term.
    pub(super) fn has_handed_over(&self, leader: NodeId, term: Term) -> bool {
        self.handed_over.get(&leader) == Some(&term)
    }

    /// The snapshots that a leader has sent to a member since it last sent it entries.
    pub(super) fn snapshots_since_entries(&self, from: NodeId, to: NodeId, term: Term) -> u32 {
        let stream = self.streams.get(&(from, to));
        let stream = stream.filter(|stream| stream.term == term);
        stream.map_or(0, |stream| stream.snapshots)
    }
}
