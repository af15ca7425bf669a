//! One node with its disk and its service: it takes events, and its actions are performed.
//! What must hold after each step is in [`super::checks`].

use super::disk::Disk;
use super::start::{NODE, snapshot_of};
use bytes::Bytes;
use raft_proto::*;
use std::collections::{BTreeSet, VecDeque};

/// A message to a peer or from one.
#[derive(Clone)]
pub(super) struct PeerMessage {
    pub(super) peer: NodeId,
    pub(super) message: Message,
}

/// A chunk that the node asked its driver to read.
pub(super) struct ChunkRead {
    pub(super) peer: NodeId,
    pub(super) snapshot: SnapshotId,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A chunk that the node asked its driver to write.
pub(super) struct ChunkWrite {
    pub(super) snapshot: SnapshotId,
    pub(super) offset: u64,
    pub(super) data: Bytes,
}

/// Entries that the node asked its storage for.
pub(super) struct EntryRead {
    pub(super) peer: NodeId,
    pub(super) from: EntryId,
    pub(super) to: EntryId,
}

/// A snapshot that a leader sends to the node, and the offset of its next chunk.
#[derive(Clone)]
pub(super) struct Transfer {
    pub(super) snapshot: SnapshotMeta,
    pub(super) offset: u64,
}

/// Whether a write takes effect, and is reported, in the step that issues it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WritePace {
    Immediate,
    Delayed,
}

impl WritePace {
    pub(super) fn other(self) -> WritePace {
        match self {
            WritePace::Immediate => WritePace::Delayed,
            WritePace::Delayed => WritePace::Immediate,
        }
    }
}

pub(super) struct World {
    pub(super) raft: Raft,
    pub(super) now: Time,
    pub(super) disk: Disk,
    pub(super) writes: WritePace,
    /// The last messages that the node sent.
    pub(super) sent: VecDeque<PeerMessage>,
    /// The last message that the node received.
    pub(super) received: Option<PeerMessage>,
    pub(super) reads: VecDeque<ChunkRead>,
    pub(super) chunks: VecDeque<ChunkWrite>,
    pub(super) transfer: Option<Transfer>,
    pub(super) wake_at: Time,
    pub(super) entry_reads: VecDeque<EntryRead>,
    /// Reads and leadership transfers without an outcome yet.
    requests: BTreeSet<RequestId>,
    next_request: u64,
    pub(super) handed_out: Index,
    released: BTreeSet<SnapshotId>,
    /// The greatest index that the disk has held since the last report.
    pub(super) on_disk: Index,
    /// A voter has told the node since it started that it is no member: it may campaign no more.
    pub(super) told_of_removal: bool,
    /// Whether events and actions are printed.
    traced: bool,
}

impl World {
    pub(super) fn new(config: Config, recovered: Recovered) -> World {
        let mut disk = Disk::default();
        disk.stored = recovered.clone();
        if let Some(snapshot) = &recovered.snapshot {
            let (id, bytes) = snapshot_of(snapshot.id.last, snapshot.id.size as u8);
            disk.snapshots.insert(id, bytes);
        }
        let raft = Raft::new(config, recovered).expect("a good config and a sound storage");
        World {
            now: Time::ZERO,
            writes: WritePace::Delayed,
            sent: VecDeque::new(),
            received: None,
            reads: VecDeque::new(),
            chunks: VecDeque::new(),
            transfer: None,
            wake_at: Time::NEVER,
            entry_reads: VecDeque::new(),
            requests: BTreeSet::new(),
            next_request: 0,
            handed_out: disk.snapshot_end().index,
            released: BTreeSet::new(),
            on_disk: disk.last_index(),
            told_of_removal: false,
            traced: std::env::var_os("RAFT_FUZZ_TRACE").is_some(),
            raft,
            disk,
        }
    }

    /// The id of a request that must have one outcome.
    pub(super) fn new_request(&mut self) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.requests.insert(id);
        id
    }

    pub(super) fn step(&mut self, input: Input) {
        self.step_at(self.now, input);
    }

    /// The node takes `input`. Its actions are checked and performed.
    pub(super) fn step_at(&mut self, at: Time, input: Input) {
        // "An event older than the one before is treated as happening at that one's time."
        self.now = self.now.max(at);
        let before = self.raft.clone();
        let is_tick = matches!(input, Input::Tick);
        if is_tick && self.now >= self.wake_at {
            self.wake_at = Time::NEVER;
        }
        if let Input::Receive { from, message, .. } = &input {
            self.received = Some(PeerMessage {
                peer: *from,
                message: message.clone(),
            });
        }
        self.print(|node_at_term| eprintln!("{at} {}", trace::input(node_at_term, &input)));
        let actions = self.raft.step(Event { at, input });
        for action in &actions {
            self.print(|node_at_term| eprintln!("{at}   {}", trace::action(node_at_term, action)));
        }
        self.check_state(&before);
        self.check_unchanged(&before, &actions);
        for action in actions {
            self.perform(action);
        }
        assert_eq!(self.raft.handed_out_index(), self.handed_out);
        if self.needs_timer() {
            assert!(
                self.wake_at != Time::NEVER,
                "a node with a timer names a deadline"
            );
            assert!(
                !is_tick || self.wake_at > self.now,
                "a tick leaves nothing due"
            );
        }
        if self.writes == WritePace::Immediate {
            self.persist(usize::MAX);
        }
    }

    /// The oldest `count` writes take effect and are reported.
    pub(super) fn persist(&mut self, count: usize) {
        let seq = self.write(count);
        if let Some(seq) = seq {
            self.step(Input::Persisted { seq });
        }
    }

    /// The oldest `count` writes take effect without a report.
    pub(super) fn write(&mut self, count: usize) -> Option<Seq> {
        self.on_disk = self.disk.last_index();
        let mut last = None;
        for _ in 0..count {
            let Some(seq) = self.disk.write_oldest() else {
                break;
            };
            last = Some(seq);
            self.on_disk = self.on_disk.max(self.disk.last_index());
        }
        last
    }

    /// A crash, and a new instance with what the disk held.
    pub(super) fn restart(&mut self) {
        let config = self.raft.config().clone();
        let recovered = self.disk.crash();
        let last = self.disk.last_index();
        self.raft = Raft::new(config, recovered).expect("a prefix of its writes is sound");
        assert_eq!(
            self.raft.last_log().index,
            last,
            "the node found all that was stored"
        );
        self.sent.clear();
        self.reads.clear();
        self.chunks.clear();
        self.transfer = None;
        self.entry_reads.clear();
        self.requests.clear();
        self.wake_at = Time::NEVER;
        self.handed_out = self.disk.snapshot_end().index;
        let kept = self
            .disk
            .stored
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.id);
        // "After a restart, delete all snapshots but the recovered one."
        self.disk.snapshots.retain(|id, _| Some(*id) == kept);
        self.released.clear();
        self.told_of_removal = false;
        self.step(Input::Tick);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send { to, message } => {
                self.check_message(to, &message);
                self.send(to, message);
            }
            Action::Persist(write) => self.disk.issue(write),
            Action::Apply { entries } => self.apply(&entries),
            Action::Restore { snapshot } => self.restore(snapshot.id.last),
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => self.read_chunk(ChunkRead {
                peer,
                snapshot,
                offset,
                length,
            }),
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => self.write_chunk(ChunkWrite {
                snapshot,
                offset,
                data,
            }),
            Action::ReleaseSnapshot { snapshot } => self.release(snapshot),
            Action::WakeAt(at) => self.wake_at = at,
            Action::Proposed { outcome, .. } => self.proposed(outcome),
            Action::RoleChanged { term, .. } | Action::LeaderChanged { term, .. } => {
                assert!(term <= self.raft.term());
            }
            Action::Read { id, .. }
            | Action::Transferred { id, .. }
            | Action::Campaigning { id, .. }
            | Action::SteppedDown { id, .. }
            | Action::Reconfigured { id, .. } => {
                assert!(self.requests.remove(&id), "{id} has one outcome");
            }
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => {
                assert!(max_bytes > 0 && from.index <= to.index);
                self.entry_reads.push_back(EntryRead { peer, from, to });
            }
            Action::ChangeProposed {
                outcome: Ok(at), ..
            } => assert_eq!(at.term, self.raft.term()),
            Action::Removed { .. } | Action::Replaced { .. } => self.told_of_removal = true,
            Action::MembershipChanged { .. }
            | Action::Rejected { .. }
            | Action::ForeignIncarnation(_)
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::SnapshotDamaged { .. }
            | Action::EntryRefused { .. }
            | Action::Overdue(_)
            | Action::ChangeProposed { .. }
            | Action::Faulted { .. } => {}
        }
    }

    fn read_chunk(&mut self, read: ChunkRead) {
        let ChunkRead {
            snapshot,
            offset,
            length,
            ..
        } = read;
        assert!(self.is_readable(snapshot), "reads {snapshot:?}");
        assert!(offset + length <= snapshot.size);
        assert!(length <= self.raft.config().snapshot_chunk_bytes);
        self.reads.push_back(read);
    }

    fn proposed(&self, outcome: Result<Proposal, ProposeError>) {
        if let Ok(proposal) = outcome {
            assert_eq!(proposal.last_index(), self.raft.last_log().index);
            assert_eq!(proposal.first.term, self.raft.term());
        }
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.sent.push_back(PeerMessage { peer: to, message });
        if self.sent.len() > 16 {
            self.sent.pop_front();
        }
    }

    fn write_chunk(&mut self, chunk: ChunkWrite) {
        if let Some(before) = self.chunks.back() {
            let end = before.offset + before.data.len() as u64;
            let (expected, found) = ((before.snapshot, end), (chunk.snapshot, chunk.offset));
            assert_eq!(expected, found, "the chunks of one file, in order");
        }
        let mut waiting = self.disk.waiting.iter();
        let installing = waiting.any(|write| write.install.is_some());
        assert!(!installing, "the partial file is being installed");
        self.chunks.push_back(chunk);
    }

    fn release(&mut self, snapshot: SnapshotId) {
        assert!(self.is_readable(snapshot), "released twice");
        let current = self.raft.snapshot().map(|current| current.id);
        assert_ne!(
            current,
            Some(snapshot),
            "released a snapshot that is in use"
        );
        let stored = self.disk.stored.snapshot.as_ref();
        let stored = stored.map(|stored| stored.id);
        assert_ne!(
            stored,
            Some(snapshot),
            "released a snapshot that a restart needs"
        );
        self.released.insert(snapshot);
    }

    pub(super) fn is_readable(&self, id: SnapshotId) -> bool {
        self.disk.snapshots.contains_key(&id) && !self.released.contains(&id)
    }

    fn restore(&mut self, last: EntryId) {
        assert!(last.index > self.handed_out, "a restore goes forward");
        assert_eq!(
            self.disk.snapshot_end(),
            last,
            "restored before it is on disk"
        );
        self.handed_out = last.index;
    }

    fn apply(&mut self, entries: &Entries) {
        assert!(!entries.is_empty());
        for entry in entries {
            assert_eq!(entry.index(), self.handed_out.next(), "a gap");
            self.handed_out = entry.index();
            let stored = self.disk.term_at(entry.index());
            assert_eq!(stored, Some(entry.term()), "applied before it is on disk");
        }
        assert!(self.handed_out <= self.raft.commit_index());
    }

    fn print(&self, print: impl FnOnce(trace::NodeAtTerm)) {
        if self.traced {
            print(trace::NodeAtTerm {
                node: NODE,
                term: self.raft.term(),
            });
        }
    }
}
