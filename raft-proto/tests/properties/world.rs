//! A cluster whose every node, disk, service and message obeys a schedule, and nothing else.
//!
//! Each node has a clock of its own, so that a schedule may let any time pass on any node. The
//! drivers here keep their contract and use all the freedom that it gives them: they sync late,
//! answer late, and lose in a crash whatever was not synced.

use crate::checks::Ledger;
use crate::member::{Job, Member, State};
use crate::settings::{MAX_ENTRY, Pace, Service, Settings};
use bytes::Bytes;
use raft_proto::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How a driver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// Reads and writes of snapshots fail; what cannot fail is done.
    Failed,
}

#[derive(Clone, Debug)]
pub struct Packet {
    pub from: u64,
    pub to: u64,
    pub message: Message,
}

pub struct World {
    pub settings: Settings,
    pub members: Vec<Member>,
    pub network: Vec<Packet>,
    /// Members on one side of a partition.
    cut: BTreeSet<u64>,
    pub ledger: Ledger,
    requests: u64,
    /// Everything that happened, in the words of `trace`, for the report of a failure.
    pub story: Vec<String>,
}

/// So many messages at most are on their way; the oldest are lost.
const CAPACITY: usize = 300;

impl World {
    pub fn new(settings: &Settings) -> World {
        let mut world = World {
            settings: settings.clone(),
            members: (1..=settings.nodes)
                .map(|id| Member::new(id, settings.config(id)))
                .collect(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            ledger: Ledger::default(),
            requests: 0,
            story: Vec::new(),
        };
        for id in 1..=settings.nodes {
            world.restart(id);
        }
        world
    }

    pub fn member(&mut self, id: u64) -> &mut Member {
        &mut self.members[id as usize - 1]
    }

    fn is_up(&self, id: u64) -> bool {
        self.members[id as usize - 1].raft.is_some()
    }

    /// Who leads, by their own account.
    pub fn leaders(&self) -> Vec<u64> {
        let leads = |member: &&Member| {
            let role = member.raft.as_ref().map(Raft::role);
            role == Some(RoleKind::Leader)
        };
        self.members
            .iter()
            .filter(leads)
            .map(|member| member.id)
            .collect()
    }

    /// Gives a node an input, performs what comes out, and checks everything.
    pub fn input(&mut self, id: u64, input: Input) {
        let tells = !matches!(input, Input::Tick);
        let member = self.member(id);
        let at = member.clock;
        let Some(raft) = member.raft.as_mut() else {
            return;
        };
        let who = trace::Who {
            node: NodeId(id),
            term: raft.term(),
        };
        let mut lines = Vec::new();
        if tells {
            lines.push(trace::input(who, &input).to_string());
        }
        let before = raft.commit_index();
        let proposes = matches!(input, Input::Propose { .. });
        let actions = raft.step(Event { at, input });
        let who = trace::Who {
            term: raft.term(),
            ..who
        };
        let action = |action| trace::action(who, action).to_string();
        lines.extend(actions.iter().map(action));
        self.story.extend(lines);
        let outcomes = actions.iter().filter(|action| is_outcome(action)).count();
        assert_eq!(outcomes, usize::from(proposes), "one outcome a proposal");
        for action in actions {
            self.perform(id, action);
        }
        let member = &self.members[id as usize - 1];
        self.ledger.check(member, before, &self.members);
        if self.settings.driver == Pace::Instant {
            self.work(id, usize::MAX, Answer::Done);
        }
        if self.settings.disk == Pace::Instant {
            self.sync(id, usize::MAX);
        }
    }

    fn perform(&mut self, id: u64, action: Action) {
        let member = &mut self.members[id as usize - 1];
        match action {
            Action::Send { to, message } => {
                self.ledger.check_promise(member, to, &message);
                let to = to.0;
                assert_ne!(to, id, "a node sends nothing to itself");
                if self.cut.contains(&id) == self.cut.contains(&to) {
                    self.network.push(Packet {
                        from: id,
                        to,
                        message,
                    });
                }
                if self.network.len() > CAPACITY {
                    self.network.remove(0);
                }
            }
            Action::Persist(write) => {
                assert_eq!(
                    write.seq,
                    member.issued.next(),
                    "writes are numbered in turn"
                );
                member.issued = write.seq;
                if let Some(install) = &write.install {
                    member.complete_file(install.snapshot.id);
                }
                member.waiting.push_back(write);
            }
            Action::Apply { entries } => {
                for entry in &entries {
                    let (index, term) = (entry.index().0, entry.term().0);
                    assert!(
                        member.disk.holds(index, term),
                        "what is applied is on this node's disk"
                    );
                    member.state = member.state.apply(index, term, entry.payload());
                    member.states.insert(index, member.state);
                }
                self.ledger.check_state(id, member.state);
                let last = entries.last_id().expect("at least one entry");
                member.jobs.push_back(Job::Applied(last.index));
            }
            Action::Restore { snapshot } => {
                assert_eq!(
                    member.disk.snapshot.as_ref(),
                    Some(&snapshot),
                    "what is restored is on this node's disk"
                );
                let state = State::decode(&member.files[&snapshot.id]);
                assert!(state.index > member.state.index, "a restore goes forward");
                member.state = state;
                member.states.insert(state.index, state);
                self.ledger.check_state(id, member.state);
                member.jobs.push_back(Job::Applied(snapshot.id.last.index));
            }
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                let released = member.released.iter().any(|(_, id)| *id == snapshot);
                assert!(
                    member.files.contains_key(&snapshot) && !released,
                    "a snapshot that is sent was not released"
                );
                member.jobs.push_back(Job::Read {
                    peer,
                    snapshot,
                    offset,
                    length,
                });
            }
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                member.write_chunk(snapshot, offset, &data);
                member.jobs.push_back(Job::Written { snapshot, offset });
            }
            Action::ReleaseSnapshot { snapshot } => {
                let until = member.issued;
                member.released.push((until, snapshot));
                member.delete_released(Seq(until.0 - member.waiting.len() as u64));
            }
            Action::WakeAt(at) => member.wake_at = at,
            Action::Proposed { .. } | Action::RoleChanged { .. } | Action::LeaderChanged { .. } => {
            }
            Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::MembershipChanged { .. }
            | Action::ReadEntries { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::Faulted { .. } => panic!("n{id} among correct nodes: {action:?}"),
        }
    }

    /// Completes the oldest writes of a node, and reports them.
    pub fn sync(&mut self, id: u64, count: usize) {
        let member = self.member(id);
        let count = count.min(member.waiting.len());
        if count == 0 || member.raft.is_none() {
            return;
        }
        let mut seq = Seq(0);
        for write in member.waiting.drain(..count).collect::<Vec<_>>() {
            seq = write.seq;
            member.store(&write);
        }
        member.delete_released(seq);
        self.input(id, Input::Persisted { seq });
    }

    /// A node's driver answers the oldest of what it was asked.
    pub fn work(&mut self, id: u64, count: usize, answer: Answer) {
        for _ in 0..count {
            let member = self.member(id);
            let Some(job) = member.jobs.pop_front() else {
                return;
            };
            let input = match job {
                Job::Applied(index) => Input::Applied { index },
                Job::Read {
                    peer,
                    snapshot,
                    offset,
                    length,
                } => {
                    let result = match answer {
                        Answer::Done => member.read(&snapshot, offset, length),
                        Answer::Failed => Err(SnapshotReadFailed::Failed),
                    };
                    Input::SnapshotRead {
                        peer,
                        snapshot,
                        offset,
                        result,
                    }
                }
                Job::Written { snapshot, offset } => Input::SnapshotWritten {
                    snapshot,
                    offset,
                    result: match answer {
                        Answer::Done => Ok(()),
                        Answer::Failed => Err(SnapshotWriteFailed),
                    },
                },
            };
            self.input(id, input);
        }
    }

    /// A node loses its memory and all writes but the first `keep` of those not synced.
    pub fn crash(&mut self, id: u64, keep: usize) {
        if !self.is_up(id) {
            return;
        }
        let kept = keep.min(self.member(id).waiting.len());
        self.story.push(format!("n{id} crashes, keeps {kept}"));
        let member = self.member(id);
        for write in member.waiting.drain(..kept).collect::<Vec<_>>() {
            member.store(&write);
        }
        member.waiting.clear();
        member.jobs.clear();
        member.partial = None;
        member.complete.clear();
        member.released.clear();
        member.raft = None;
        member.wake_at = Time::NEVER;
    }

    pub fn restart(&mut self, id: u64) {
        if self.is_up(id) {
            return;
        }
        self.story.push(format!("n{id} starts"));
        let service = self.settings.service;
        let member = self.member(id);
        let snapshot = member.disk.snapshot.as_ref().map(|snapshot| snapshot.id);
        let loaded = match snapshot {
            Some(id) => State::decode(member.files.get(&id).expect("the snapshot is there")),
            None => State::default(),
        };
        let applied = match service {
            Service::Durable => {
                if loaded.index > member.state.index {
                    member.state = loaded;
                }
                Some(Index(member.state.index))
            }
            Service::Volatile => {
                member.state = loaded;
                None
            }
        };
        member.states = BTreeMap::from([(member.state.index, member.state)]);
        member.config.seed = member.config.seed.wrapping_add(1);
        member.issued = Seq(0);
        // A fresh file system check: only the snapshot in use is left.
        member.files.retain(|id, _| Some(*id) == snapshot);
        let recovered = member.disk.recovered(applied);
        let raft = Raft::new(member.config.clone(), recovered);
        member.raft = Some(raft.expect("a storage that did as it was told"));
        self.ledger.restarted(id);
        self.input(id, Input::Tick);
    }

    /// The service makes a snapshot `back` entries before the last that it has applied.
    pub fn compact(&mut self, id: u64, back: u64) {
        let member = self.member(id);
        let index = member.state.index.saturating_sub(back);
        let Some(state) = member.states.get(&index).copied() else {
            return;
        };
        let Some(term) = member.raft.as_ref().and_then(|raft| {
            let term = raft.term_at(Index(index));
            term.filter(|_| index > 0)
        }) else {
            return;
        };
        let bytes = state.encode();
        let snapshot = SnapshotId {
            last: EntryId::new(index, term.0),
            size: bytes.len() as u64,
            checksum: Checksum::of(&bytes),
        };
        member.files.insert(snapshot, bytes);
        member
            .released
            .retain(|(_, released)| *released != snapshot);
        self.input(id, Input::Compact { snapshot });
    }

    pub fn propose(&mut self, id: u64, count: usize, size: usize) {
        self.requests += 1;
        let request = self.requests;
        let command = |at: usize| {
            let mut bytes = request.to_le_bytes().to_vec();
            bytes.push(at as u8);
            bytes.resize(bytes.len().max(size.min(MAX_ENTRY as usize)), 0);
            Bytes::from(bytes)
        };
        let commands = Commands::from((0..count).map(command).collect::<Vec<_>>());
        let request = RequestId(request);
        self.input(
            id,
            Input::Propose {
                id: request,
                commands,
            },
        );
    }

    pub fn deliver(&mut self, at: usize) {
        if at < self.network.len() {
            let Packet { from, to, message } = self.network.remove(at);
            let from = NodeId(from);
            self.input(to, Input::Receive { from, message });
        }
    }

    /// A node's timer fires, however long that takes.
    pub fn timeout(&mut self, id: u64) {
        let member = self.member(id);
        if member.wake_at != Time::NEVER {
            member.clock = member.clock.max(member.wake_at);
            member.wake_at = Time::NEVER;
        }
        self.input(id, Input::Tick);
    }

    /// So much time passes everywhere.
    pub fn pass(&mut self, time: Duration) {
        for id in 1..=self.settings.nodes {
            let member = self.member(id);
            member.clock = member.clock.after(time);
            if member.wake_at <= member.clock {
                member.wake_at = Time::NEVER;
                self.input(id, Input::Tick);
            }
        }
    }

    /// Messages between the members of `side` and the others are lost from now on.
    pub fn partition(&mut self, side: BTreeSet<u64>) {
        self.story.push(format!("cut off: {side:?}"));
        self.network
            .retain(|packet| side.contains(&packet.from) == side.contains(&packet.to));
        self.cut = side;
    }

    /// A while in which everything works, within the partition that there is.
    pub fn calm(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.pass(Duration::from_millis(20));
            // Bounded: what one round leaves is delivered in the next.
            for _ in 0..2_000 {
                for id in 1..=self.settings.nodes {
                    self.work(id, usize::MAX, Answer::Done);
                    self.sync(id, usize::MAX);
                }
                if self.network.is_empty() {
                    break;
                }
                self.deliver(0);
            }
        }
    }

    /// A node goes on from its own checkpoint.
    pub fn checkpoint(&mut self, id: u64) {
        if let Some(raft) = self.member(id).raft.as_mut() {
            let copy = Raft::from_checkpoint(&raft.checkpoint()).expect("its own checkpoint");
            assert_eq!(&copy, raft, "a checkpoint is the whole state");
            *raft = copy;
        }
    }
}

fn is_outcome(action: &Action) -> bool {
    matches!(action, Action::Proposed { .. })
}
