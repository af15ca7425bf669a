//! A cluster in which every node, disk, service and message follows a schedule.
//!
//! Each node has a clock of its own, so that a schedule can let any time pass on any node. The
//! drivers keep their contract and use all the freedom that it gives them. They sync late, answer
//! late, and lose in a crash all that was not synced.

use crate::checker::Checker;
use crate::server::{DriverTask, Server, State};
use crate::settings::{MAX_ENTRY, Pace, Settings};
use crate::support::storage::Service;
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
    pub servers: Vec<Server>,
    pub network: Vec<Packet>,
    /// The servers on one side of the partition.
    side: BTreeSet<u64>,
    pub checker: Checker,
    requests: u64,
    /// All events and actions in the words of `trace`, for the report of a failure.
    pub trace_lines: Vec<String>,
}

/// How many messages can be on their way. Beyond that the oldest are lost.
const CAPACITY: usize = 300;

impl World {
    pub fn new(settings: &Settings) -> World {
        let mut world = World {
            settings: settings.clone(),
            servers: (1..=settings.nodes)
                .map(|id| Server::new(id, settings.config(id)))
                .collect(),
            network: Vec::new(),
            side: BTreeSet::new(),
            checker: Checker::default(),
            requests: 0,
            trace_lines: Vec::new(),
        };
        for id in 1..=settings.nodes {
            world.restart(id);
        }
        world
    }

    pub fn server(&mut self, id: u64) -> &mut Server {
        &mut self.servers[id as usize - 1]
    }

    fn is_up(&self, id: u64) -> bool {
        self.servers[id as usize - 1].raft.is_some()
    }

    /// The nodes that believe themselves the leader.
    pub fn leaders(&self) -> Vec<u64> {
        let leads = |server: &&Server| {
            let role = server.raft.as_ref().map(Raft::role);
            role == Some(RoleKind::Leader)
        };
        self.servers
            .iter()
            .filter(leads)
            .map(|server| server.id)
            .collect()
    }

    /// Gives a node an input, performs its actions, and checks everything.
    pub fn input(&mut self, id: u64, input: Input) {
        let is_traced = !matches!(input, Input::Tick);
        let server = self.server(id);
        let at = server.clock;
        let Some(raft) = server.raft.as_mut() else {
            return;
        };
        let node_at_term = trace::NodeAtTerm {
            node: NodeId(id),
            term: raft.term(),
        };
        let mut lines = Vec::new();
        if is_traced {
            lines.push(trace::input(node_at_term, &input).to_string());
        }
        let before = raft.commit_index();
        let is_proposal = matches!(input, Input::Propose { .. });
        let actions = raft.step(Event { at, input });
        let node_at_term = trace::NodeAtTerm {
            term: raft.term(),
            ..node_at_term
        };
        let action = |action| trace::action(node_at_term, action).to_string();
        lines.extend(actions.iter().map(action));
        self.trace_lines.extend(lines);
        let outcomes = actions.iter().filter(|action| is_outcome(action)).count();
        assert_eq!(
            outcomes,
            usize::from(is_proposal),
            "a proposal has one outcome"
        );
        for action in actions {
            self.perform(id, action);
        }
        let server = &self.servers[id as usize - 1];
        self.checker.check(server, before, &self.servers);
        if self.settings.driver == Pace::Instant {
            self.run_driver(id, usize::MAX, Answer::Done);
        }
        if self.settings.disk == Pace::Instant {
            self.sync(id, usize::MAX);
        }
    }

    fn perform(&mut self, id: u64, action: Action) {
        let server = &mut self.servers[id as usize - 1];
        match action {
            Action::Send { to, message } => {
                self.checker.check_promise(server, to, &message);
                self.send(id, to.0, message);
            }
            Action::Persist(write) => server.queue(write),
            Action::Apply { entries } => {
                server.apply(&entries);
                self.checker.check_state(id, server.state);
            }
            Action::Restore { snapshot } => {
                server.restore(&snapshot);
                self.checker.check_state(id, server.state);
            }
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                assert!(
                    server.is_readable(snapshot),
                    "a snapshot that is sent is not released"
                );
                server.tasks.push_back(DriverTask::ReadChunk {
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
                server.write_chunk(snapshot, offset, &data);
                server
                    .tasks
                    .push_back(DriverTask::ReportWritten { snapshot, offset });
            }
            Action::ReleaseSnapshot { snapshot } => server.release(snapshot),
            Action::WakeAt(at) => server.wake_at = at,
            Action::Proposed { .. } | Action::RoleChanged { .. } | Action::LeaderChanged { .. } => {
            }
            Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::Overdue(_)
            | Action::MembershipChanged { .. }
            | Action::ReadEntries { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::SnapshotDamaged { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Faulted { .. } => panic!("n{id} does this among correct nodes: {action:?}"),
        }
    }

    fn send(&mut self, from: u64, to: u64, message: Message) {
        assert_ne!(to, from, "a node sends nothing to itself");
        if self.side.contains(&from) == self.side.contains(&to) {
            self.network.push(Packet { from, to, message });
        }
        if self.network.len() > CAPACITY {
            self.network.remove(0);
        }
    }

    /// Completes the oldest `count` writes of a node, and reports them.
    pub fn sync(&mut self, id: u64, count: usize) {
        let server = self.server(id);
        let count = count.min(server.waiting.len());
        if count == 0 || server.raft.is_none() {
            return;
        }
        let mut seq = Seq(0);
        for write in server.waiting.drain(..count).collect::<Vec<_>>() {
            seq = write.seq;
            server.store(&write);
        }
        server.delete_released(seq);
        self.input(id, Input::Persisted { seq });
    }

    /// A node's driver answers its oldest `count` tasks.
    pub fn run_driver(&mut self, id: u64, count: usize, answer: Answer) {
        for _ in 0..count {
            let server = self.server(id);
            let Some(task) = server.tasks.pop_front() else {
                return;
            };
            let input = match task {
                DriverTask::ReportApplied(index) => Input::Applied { index },
                DriverTask::ReadChunk {
                    peer,
                    snapshot,
                    offset,
                    length,
                } => {
                    let result = match answer {
                        Answer::Done => server.read(&snapshot, offset, length),
                        Answer::Failed => Err(SnapshotReadFailed::Failed),
                    };
                    Input::SnapshotRead {
                        peer,
                        snapshot,
                        offset,
                        result,
                    }
                }
                DriverTask::ReportWritten { snapshot, offset } => Input::SnapshotWritten {
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

    /// A node crashes. Of its unsynced writes, the oldest `keep` survive.
    pub fn crash(&mut self, id: u64, keep: usize) {
        if !self.is_up(id) {
            return;
        }
        let kept = keep.min(self.server(id).waiting.len());
        self.trace_lines
            .push(format!("n{id} crashes, keeps {kept}"));
        let server = self.server(id);
        for write in server.waiting.drain(..kept).collect::<Vec<_>>() {
            server.store(&write);
        }
        server.waiting.clear();
        server.tasks.clear();
        server.partial = None;
        server.complete.clear();
        server.released.clear();
        server.raft = None;
        server.wake_at = Time::NEVER;
    }

    pub fn restart(&mut self, id: u64) {
        if self.is_up(id) {
            return;
        }
        self.trace_lines.push(format!("n{id} starts"));
        let service = self.settings.service;
        let server = self.server(id);
        let snapshot = server.disk.snapshot.as_ref().map(|snapshot| snapshot.id);
        let loaded = match snapshot {
            Some(id) => State::decode(
                server
                    .files
                    .get(&id)
                    .expect("the file of the snapshot is there"),
            ),
            None => State::default(),
        };
        let applied = match service {
            Service::Durable => {
                if loaded.index > server.state.index {
                    server.state = loaded;
                }
                Some(Index(server.state.index))
            }
            Service::Volatile => {
                server.state = loaded;
                None
            }
        };
        server.states = BTreeMap::from([(server.state.index, server.state)]);
        server.config.seed = server.config.seed.wrapping_add(1);
        server.issued = Seq(0);
        // At a start, a driver deletes all files but that of the snapshot in use.
        server.files.retain(|id, _| Some(*id) == snapshot);
        let recovered = server.disk.recovered(applied);
        let raft = Raft::new(server.config.clone(), recovered);
        server.raft = Some(raft.expect("a sound storage"));
        self.checker.restarted(id);
        self.input(id, Input::Tick);
    }

    /// The service makes a snapshot that ends `back` entries before the last one applied.
    pub fn compact(&mut self, id: u64, back: u64) {
        let server = self.server(id);
        let index = server.state.index.saturating_sub(back);
        let Some(state) = server.states.get(&index).copied() else {
            return;
        };
        let Some(term) = server.raft.as_ref().and_then(|raft| {
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
        server.files.insert(snapshot, bytes);
        server
            .released
            .retain(|released| released.snapshot != snapshot);
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
            self.input(
                to,
                Input::Receive {
                    from,
                    message,
                    incarnation: None,
                },
            );
        }
    }

    /// A node's clock goes on to its deadline, and the timer fires.
    pub fn timeout(&mut self, id: u64) {
        let server = self.server(id);
        if server.wake_at != Time::NEVER {
            server.clock = server.clock.max(server.wake_at);
            server.wake_at = Time::NEVER;
        }
        self.input(id, Input::Tick);
    }

    /// Time passes on all nodes, and due timers fire.
    pub fn advance_time(&mut self, time: Duration) {
        for id in 1..=self.settings.nodes {
            let server = self.server(id);
            server.clock = server.clock.after(time);
            if server.wake_at <= server.clock {
                server.wake_at = Time::NEVER;
                self.input(id, Input::Tick);
            }
        }
    }

    /// Messages between the servers of `side` and the others are lost from now on.
    pub fn partition(&mut self, side: BTreeSet<u64>) {
        self.trace_lines.push(format!("partition: {side:?}"));
        self.network
            .retain(|packet| side.contains(&packet.from) == side.contains(&packet.to));
        self.side = side;
    }

    /// For a while, disks, drivers and the network do all that waits, within the partition.
    pub fn run_undisturbed(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.advance_time(Duration::from_millis(20));
            // The number of deliveries is bounded. The next round delivers what is left.
            for _ in 0..2_000 {
                for id in 1..=self.settings.nodes {
                    self.run_driver(id, usize::MAX, Answer::Done);
                    self.sync(id, usize::MAX);
                }
                if self.network.is_empty() {
                    break;
                }
                self.deliver(0);
            }
        }
    }

    /// A node is replaced by its checkpoint.
    pub fn checkpoint(&mut self, id: u64) {
        if let Some(raft) = self.server(id).raft.as_mut() {
            let copy = Raft::from_checkpoint(&raft.checkpoint()).expect("its own checkpoint");
            assert_eq!(&copy, raft, "a checkpoint is the whole state");
            *raft = copy;
        }
    }
}

fn is_outcome(action: &Action) -> bool {
    matches!(action, Action::Proposed { .. })
}
