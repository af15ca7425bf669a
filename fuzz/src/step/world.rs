//! One node with its disk and its service, and what must hold after each of its steps.

use super::choices::NODE;
use super::disk::Disk;
use arbitrary::Result;
use bytes::Bytes;
use raft_proto::wire::{self, Envelope, Limits};
use raft_proto::*;
use std::collections::{BTreeSet, VecDeque};

/// A chunk that the node wants to read: for whom, of what, from where, how much.
pub(super) type ChunkRead = (NodeId, SnapshotId, u64, u64);

pub(super) struct World {
    pub(super) raft: Raft,
    pub(super) now: Time,
    pub(super) disk: Disk,
    /// Whether writes happen, and are reported, as soon as they are issued.
    pub(super) instant: bool,
    /// The latest messages that went out.
    pub(super) sent: VecDeque<(NodeId, Message)>,
    /// The last message that came in.
    pub(super) received: Option<(NodeId, Message)>,
    pub(super) reads: VecDeque<ChunkRead>,
    pub(super) chunks: VecDeque<(SnapshotId, u64, Bytes)>,
    /// A snapshot that a leader sends, and where the node wants it continued.
    pub(super) transfer: Option<(SnapshotMeta, u64)>,
    pub(super) wake_at: Time,
    /// Entries that the storage was asked for.
    pub(super) entry_reads: VecDeque<(NodeId, EntryId, EntryId)>,
    /// Reads and handovers that are to be answered.
    requests: BTreeSet<RequestId>,
    next_request: u64,
    pub(super) handed_out: Index,
    released: BTreeSet<SnapshotId>,
    /// The greatest index that the disk held since the last report.
    on_disk: Index,
    /// Whether events and actions are printed.
    traced: bool,
}

impl World {
    pub(super) fn new(config: Config, recovered: Recovered) -> World {
        let mut disk = Disk::default();
        disk.stored = recovered.clone();
        if let Some(snapshot) = &recovered.snapshot {
            let (id, bytes) = super::choices::snapshot_of(snapshot.id.last, snapshot.id.size as u8);
            disk.snapshots.insert(id, bytes);
        }
        let raft = Raft::new(config, recovered).expect("a good config and a sound storage");
        World {
            now: Time::ZERO,
            instant: false,
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
            traced: std::env::var_os("RAFT_FUZZ_TRACE").is_some(),
            raft,
            disk,
        }
    }

    /// A number for a request, which is answered once.
    pub(super) fn new_request(&mut self) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.requests.insert(id);
        id
    }

    pub(super) fn step(&mut self, input: Input) {
        self.step_at(self.now, input);
    }

    /// The node takes `input`; what comes out is checked and performed.
    pub(super) fn step_at(&mut self, at: Time, input: Input) {
        // "An event older than the one before is treated as happening at that one's time."
        self.now = self.now.max(at);
        let before = self.raft.clone();
        let is_tick = matches!(input, Input::Tick);
        let fired = is_tick && self.now >= self.wake_at;
        if fired {
            self.wake_at = Time::NEVER;
        }
        if let Input::Receive { from, message } = &input {
            self.received = Some((*from, message.clone()));
        }
        self.tell(|who| eprintln!("{at} {}", trace::input(who, &input)));
        let actions = self.raft.step(Event { at, input });
        for action in &actions {
            self.tell(|who| eprintln!("{at}   {}", trace::action(who, action)));
        }
        self.check_state(&before);
        self.check_unchanged(&before, &actions);
        for action in actions {
            self.perform(action);
        }
        assert_eq!(self.raft.handed_out_index(), self.handed_out);
        let voters: Vec<NodeId> = self.raft.membership().voters().collect();
        let alone = self.raft.role() == RoleKind::Leader && voters == [NODE];
        let has_timer = self.raft.membership().is_voter(NODE) && !alone;
        if has_timer && self.raft.fault().is_none() && self.now < Time(u64::MAX / 2) {
            assert!(self.wake_at != Time::NEVER, "nothing will wake it");
            assert!(
                !is_tick || self.wake_at > self.now,
                "a tick leaves nothing due"
            );
        }
        if self.instant {
            self.persist(usize::MAX);
        }
    }

    /// The oldest `count` writes happen and are reported.
    pub(super) fn persist(&mut self, count: usize) {
        let seq = self.write(count);
        if let Some(seq) = seq {
            self.step(Input::Persisted { seq });
        }
    }

    /// The oldest `count` writes happen; nobody is told.
    pub(super) fn write(&mut self, count: usize) -> Option<Seq> {
        self.on_disk = self.disk.last_index();
        let mut last = None;
        for _ in 0..count {
            let Some(seq) = self.disk.happen() else { break };
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
            "all that was stored is there"
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
        self.step(Input::Tick);
    }

    fn check_state(&self, before: &Raft) {
        let raft = &self.raft;
        assert!(raft.term() >= before.term(), "currentTerm fell");
        if raft.term() == before.term() {
            let (old, new) = (before.voted_for(), raft.voted_for());
            assert!(
                old.is_none() || old == new,
                "votedFor changed within a term"
            );
        }
        assert!(
            raft.commit_index() >= before.commit_index(),
            "commitIndex fell"
        );
        assert!(raft.commit_index() <= raft.last_log().index);
        assert!(raft.durable_index() <= raft.last_log().index);
        assert!(raft.log_base().index <= raft.commit_index());
        let reachable = raft.commit_index().min(raft.durable_index());
        assert!(raft.handed_out_index() <= reachable.max(before.handed_out_index()));
        assert!(raft.applied_index() <= raft.handed_out_index());
        self.check_committed(before);
        self.check_log();
    }

    /// What was committed stays as it was.
    fn check_committed(&self, before: &Raft) {
        let from = after(&self.raft).max(after(before));
        let committed = before.commit_index();
        if from < committed {
            let old = before.entries(from.next(), committed);
            assert_eq!(self.raft.entries(from.next(), committed), old);
        }
    }

    /// The log has no gaps, its terms never fall, and it is on disk as far as it says.
    fn check_log(&self) {
        let raft = &self.raft;
        let index = after(raft);
        let term = raft.term_at(index).expect("the log knows its terms");
        let mut last = EntryId { index, term };
        for entry in &raft.entries(last.index.next(), raft.last_log().index) {
            assert_eq!(entry.index(), last.index.next());
            assert!(entry.term() >= last.term, "terms fall at {}", entry.id());
            last = entry.id();
            if entry.index() <= raft.durable_index() {
                let stored = self.disk.term_at(entry.index());
                let in_snapshot = entry.index() <= self.disk.snapshot_end().index;
                let there = stored == Some(entry.term()) || (stored.is_none() && in_snapshot);
                assert!(there, "{} is not on disk", entry.id());
            }
        }
        assert_eq!(last, raft.last_log());
        assert!(last.term <= raft.term(), "an entry of a later term");
    }

    /// What was rejected or refused changed nothing, and a node that faulted does nothing.
    fn check_unchanged(&self, before: &Raft, actions: &[Action]) {
        let out = |action: &Action| match action {
            // A read that went wrong has failed.
            Action::Refused {
                reason: Refusal::OtherEntries { .. },
            } => false,
            Action::Rejected { .. } | Action::Refused { .. } => true,
            Action::Proposed { outcome, .. } => outcome.is_err(),
            Action::ChangeProposed { outcome, .. } => outcome.is_err(),
            _ => false,
        };
        if before.fault().is_some() {
            let ended = |action: &Action| {
                out(action) || matches!(action, Action::Read { .. } | Action::Transferred { .. })
            };
            assert!(actions.iter().all(ended), "{actions:?}");
        }
        if !actions.iter().any(out) {
            return;
        }
        let alone = |action: &Action| out(action) || matches!(action, Action::WakeAt(_));
        assert!(actions.iter().all(alone), "rejected, but {actions:?}");
        let without_alarms = |raft: &Raft| Status {
            rejected: 0,
            safety_violations: 0,
            ..raft.status()
        };
        assert_eq!(without_alarms(&self.raft), without_alarms(before));
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send { to, message } => {
                self.check_message(to, &message);
                self.sent.push_back((to, message));
                if self.sent.len() > 16 {
                    self.sent.pop_front();
                }
            }
            Action::Persist(write) => self.disk.issue(write),
            Action::Apply { entries } => self.apply(&entries),
            Action::Restore { snapshot } => {
                let last = snapshot.id.last;
                assert!(last.index > self.handed_out, "never back");
                assert_eq!(self.disk.snapshot_end(), last, "on disk first");
                self.handed_out = last.index;
            }
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                assert!(self.is_readable(snapshot), "asks for {snapshot:?}");
                assert!(offset + length <= snapshot.size);
                assert!(length <= self.raft.config().snapshot_chunk_bytes);
                self.reads.push_back((peer, snapshot, offset, length));
            }
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                assert!(self.chunks.is_empty(), "one chunk at a time");
                let mut waiting = self.disk.waiting.iter();
                let installing = waiting.any(|write| write.install.is_some());
                assert!(!installing, "the partial file is being installed");
                self.chunks.push_back((snapshot, offset, data));
            }
            Action::ReleaseSnapshot { snapshot } => {
                assert!(self.is_readable(snapshot), "released twice");
                let current = self.raft.snapshot().map(|current| current.id);
                assert_ne!(current, Some(snapshot), "released what is in use");
                let stored = self.disk.stored.snapshot.as_ref();
                let stored = stored.map(|stored| stored.id);
                assert_ne!(stored, Some(snapshot), "released what a restart needs");
                self.released.insert(snapshot);
            }
            Action::WakeAt(at) => self.wake_at = at,
            Action::Proposed { outcome, .. } => {
                if let Ok(proposal) = outcome {
                    assert_eq!(proposal.last_index(), self.raft.last_log().index);
                    assert_eq!(proposal.first.term, self.raft.term());
                }
            }
            Action::RoleChanged { term, .. } | Action::LeaderChanged { term, .. } => {
                assert!(term <= self.raft.term());
            }
            Action::Read { id, .. } | Action::Transferred { id, .. } => {
                assert!(self.requests.remove(&id), "{id} is answered once");
            }
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => {
                assert!(max_bytes > 0 && from.index <= to.index);
                self.entry_reads.push_back((peer, from, to));
            }
            Action::ChangeProposed { outcome, .. } => {
                if let Ok(entry) = outcome {
                    assert_eq!(entry.term, self.raft.term());
                }
            }
            Action::MembershipChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::Faulted { .. } => {}
        }
    }

    pub(super) fn is_readable(&self, id: SnapshotId) -> bool {
        self.disk.snapshots.contains_key(&id) && !self.released.contains(&id)
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

    fn check_message(&self, to: NodeId, message: &Message) {
        assert_ne!(to, NODE, "sent to itself");
        let config = self.raft.config();
        let envelope = Envelope::new(config, to);
        let frame = wire::encode(&envelope, message);
        let decoded = wire::decode(frame, &Limits::for_config(config));
        assert_eq!(decoded, Ok((envelope, message.clone())));
        let stored = self.disk.stored.hard_state;
        let own_vote = HardState {
            term: message.term(),
            voted_for: Some(NODE),
        };
        match message {
            Message::RequestVote(_) => assert_eq!(stored, own_vote, "asked before it voted"),
            Message::RequestVoteReply(reply) => {
                if reply.vote == Vote::Granted {
                    let vote = HardState {
                        term: reply.term,
                        voted_for: Some(to),
                    };
                    assert_eq!(stored, vote, "a vote that is not on disk");
                }
            }
            // They promise nothing.
            Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexReply(_) => {}
            Message::TimeoutNow(_) => {
                assert_eq!(stored, own_vote, "leads without a vote of its own on disk");
            }
            Message::AppendEntries(append) => {
                assert_eq!(stored, own_vote, "leads without a vote of its own on disk");
                self.check_append(append);
            }
            Message::AppendEntriesReply(reply) => {
                if let AppendOutcome::Accepted { match_index, .. } = reply.outcome {
                    assert!(match_index <= self.on_disk, "acknowledged, not on disk");
                }
            }
            Message::InstallSnapshot(_) => assert_eq!(stored, own_vote),
            Message::InstallSnapshotReply(reply) => {
                if reply.outcome == SnapshotOutcome::Installed {
                    assert!(reply.last.index <= self.on_disk, "installed, not on disk");
                }
            }
        }
    }

    fn check_append(&self, append: &AppendEntries) {
        let raft = &self.raft;
        assert!(append.leader_commit <= raft.commit_index());
        // The log holds it; or a snapshot does that is on its way, and older than the newest.
        let sent = raft
            .status()
            .peers
            .into_iter()
            .any(|peer| match peer.state {
                PeerState::Snapshot { snapshot, .. } => snapshot.last == append.prev_log,
                PeerState::Probe | PeerState::Replicate { .. } => false,
            });
        let known = raft.term_at(append.prev_log.index);
        assert!(sent || known == Some(append.prev_log.term));
        let Some(last) = append.entries.last_id() else {
            return;
        };
        // What is no longer in memory was read from the disk: its terms must be those of the log.
        for entry in &append.entries {
            assert_eq!(raft.term_at(entry.index()), Some(entry.term()));
        }
        let first = append.prev_log.index.next();
        if first > after(raft) {
            let held = raft.entries(first, last.index);
            assert_eq!(held, append.entries, "sent what is not in the log");
        }
        let limit = raft.config().max_append_bytes;
        assert!(append.entries.bytes() <= limit, "an append over the limit");
    }

    fn tell(&self, print: impl FnOnce(trace::Who)) {
        if self.traced {
            print(trace::Who {
                node: NODE,
                term: self.raft.term(),
            });
        }
    }

    /// The round trip of the whole state.
    pub(super) fn checkpoint(&self) -> Result<()> {
        let restored = Raft::from_checkpoint(&self.raft.checkpoint());
        assert_eq!(restored.as_ref(), Ok(&self.raft));
        Ok(())
    }
}

/// The last entry whose payload is not in memory.
fn after(raft: &Raft) -> Index {
    let last = raft.last_log().index;
    let first = raft.entries(Index(0), last).first_index();
    first.map_or(last, Index::previous)
}
