//! A cluster that a script directs: every message, sync and crash happens when the script says
//! so, and everything that happens is written down in the words of `raft_proto::trace`.
#![allow(dead_code, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::storage::Storage;
use bytes::Bytes;
use raft_proto::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Whether writes complete in the step that asks for them, or at `sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Instant,
    Slow,
}

pub struct Actor {
    config: Config,
    disk: Disk,
    pub raft: Option<Raft>,
    /// Each has a clock of its own, so that one can time out alone.
    clock: Time,
    wake_at: Time,
    stored: Storage,
    waiting: VecDeque<Write>,
    /// The state machine: the commands applied.
    pub applied: Vec<String>,
    applied_index: Index,
    files: BTreeMap<SnapshotId, Bytes>,
    partial: Vec<u8>,
    /// Whether its log cannot be read back.
    pub unreadable: bool,
}

#[derive(Clone, Debug)]
pub struct Parcel {
    pub from: u64,
    pub to: u64,
    /// The sender's term when it sent this.
    term: Term,
    pub message: Message,
}

/// Which messages a command means: those between these nodes, all if none are named.
#[derive(Clone, Copy, Debug, Default)]
pub struct Route {
    pub from: Option<u64>,
    pub to: Option<u64>,
}

impl Route {
    pub fn takes(self, parcel: &Parcel) -> bool {
        self.from.is_none_or(|from| from == parcel.from) && self.to.is_none_or(|to| to == parcel.to)
    }
}

#[derive(Default)]
pub struct Stage {
    actors: BTreeMap<u64, Actor>,
    network: Vec<Parcel>,
    requests: u64,
    /// What happened since it was last taken.
    lines: Vec<String>,
}

/// The settings of a script's cluster: small numbers that a reader can follow.
pub fn config(id: u64, nodes: u64) -> Config {
    let voters = (1..=nodes).map(NodeId);
    let mut config = Config::new(ClusterId(7), NodeId(id), Start::voters(voters), 42);
    config.leader_noop = LeaderNoop::Off;
    // What Figure 2 says, and no more; the rest has tests of its own.
    config.pre_vote = PreVoting::Off;
    config.check_quorum = CheckQuorum::Off;
    config.trailing_entries = 0;
    config
}

impl Stage {
    /// `spare` nodes more than the cluster begins with are to join it later.
    pub fn new(nodes: u64, spare: u64, disk: Disk, change: impl Fn(&mut Config)) -> Stage {
        let mut stage = Stage::default();
        for id in 1..=nodes + spare {
            let mut config = config(id, nodes);
            if id > nodes {
                config.start = Start::Join;
            }
            change(&mut config);
            let actor = Actor {
                config,
                disk,
                raft: None,
                clock: Time::ZERO,
                wake_at: Time::NEVER,
                stored: Storage::default(),
                waiting: VecDeque::new(),
                applied: Vec::new(),
                applied_index: Index::ZERO,
                files: BTreeMap::new(),
                partial: Vec::new(),
                unreadable: false,
            };
            stage.actors.insert(id, actor);
            stage.restart(id);
        }
        stage
    }

    /// What happened since the last call, one fact a line.
    pub fn take_lines(&mut self) -> String {
        let lines: Vec<String> = std::mem::take(&mut self.lines);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub fn actor(&mut self, id: u64) -> &mut Actor {
        self.actors.get_mut(&id).expect("the script names a node")
    }

    pub fn raft(&self, id: u64) -> &Raft {
        let actor = self.actors.get(&id).expect("the script names a node");
        actor.raft.as_ref().expect("the node is up")
    }

    pub fn applied(&mut self, id: u64) -> &[String] {
        &self.actor(id).applied
    }

    pub fn set_disk(&mut self, id: u64, disk: Disk) {
        self.actor(id).disk = disk;
    }

    pub fn input(&mut self, id: u64, input: Input) {
        let actor = self.actor(id);
        let at = actor.clock;
        let Some(raft) = actor.raft.as_mut() else {
            return;
        };
        let node = NodeId(id);
        let term = raft.term();
        let line = trace::input(trace::Who { node, term }, &input).to_string();
        let actions = raft.step(Event {
            at,
            input: input.clone(),
        });
        let term = raft.term();
        let silent = |action: &&Action| !matches!(action, Action::WakeAt(_));
        let told: Vec<String> = actions
            .iter()
            .filter(silent)
            .map(|action| trace::action(trace::Who { node, term }, action).to_string())
            .collect();
        // Time that passes without consequence, and the obedience of the state machine, are not
        // worth a line.
        let worth = match input {
            Input::Tick | Input::Applied { .. } => !told.is_empty(),
            _ => true,
        };
        if worth {
            self.lines.push(line);
        }
        self.lines.extend(told);
        for action in actions {
            self.perform(id, term, action);
        }
        if self.actor(id).disk == Disk::Instant {
            self.sync(id, usize::MAX);
        }
    }

    fn perform(&mut self, id: u64, term: Term, action: Action) {
        let actor = self.actor(id);
        match action {
            Action::Send { to, message } => self.network.push(Parcel {
                from: id,
                to: to.0,
                term,
                message,
            }),
            Action::Persist(write) => actor.waiting.push_back(write),
            Action::Apply { entries } => {
                for entry in &entries {
                    if entry.kind() == EntryKind::Command {
                        let text = String::from_utf8_lossy(entry.payload());
                        actor.applied.push(text.into_owned());
                    }
                }
                actor.applied_index = entries.last_id().expect("at least one entry").index;
                let index = actor.applied_index;
                self.input(id, Input::Applied { index });
            }
            Action::Restore { snapshot } => {
                actor.load(snapshot.id);
                let index = snapshot.id.last.index;
                self.input(id, Input::Applied { index });
            }
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                let range = offset as usize..(offset + length) as usize;
                let result = match actor.files.get(&snapshot) {
                    Some(file) => Ok(file.slice(range)),
                    None => Err(SnapshotReadFailed::Gone),
                };
                self.input(
                    id,
                    Input::SnapshotRead {
                        peer,
                        snapshot,
                        offset,
                        result,
                    },
                );
            }
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                actor.partial.truncate(offset as usize);
                actor.partial.extend_from_slice(&data);
                if actor.partial.len() as u64 == snapshot.size {
                    let file = std::mem::take(&mut actor.partial);
                    actor.files.insert(snapshot, file.into());
                }
                let result = Ok(());
                self.input(
                    id,
                    Input::SnapshotWritten {
                        snapshot,
                        offset,
                        result,
                    },
                );
            }
            Action::ReleaseSnapshot { snapshot } => {
                actor.files.remove(&snapshot);
            }
            Action::WakeAt(at) => actor.wake_at = at,
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => {
                let entries = match actor.unreadable {
                    true => None,
                    false => actor.stored.read(from.index, to.index, max_bytes),
                };
                self.input(
                    id,
                    Input::EntriesRead {
                        peer,
                        from,
                        entries,
                    },
                );
            }
            Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::MembershipChanged { .. }
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::Faulted { .. } => {}
        }
    }

    /// Completes the oldest `count` writes of a node, in one sync.
    pub fn sync(&mut self, id: u64, count: usize) {
        let actor = self.actor(id);
        let count = count.min(actor.waiting.len());
        let mut last = None;
        for write in actor.waiting.drain(..count) {
            actor.stored.write(&write);
            last = Some(write.seq);
        }
        if let Some(seq) = last {
            self.input(id, Input::Persisted { seq });
        }
    }

    /// A node's timer fires: its clock goes to its deadline, until it campaigns.
    pub fn campaign(&mut self, id: u64) {
        let before = self.raft(id).term();
        // Deadlines are lazy: the first tick may only name the next one.
        for _ in 0..4 {
            let actor = self.actor(id);
            assert_ne!(actor.wake_at, Time::NEVER, "the node has no deadline");
            actor.clock = actor.clock.max(actor.wake_at);
            self.input(id, Input::Tick);
            if self.raft(id).term() != before {
                return;
            }
        }
        panic!("n{id} does not campaign");
    }

    /// A node's timer fires: its clock goes to its deadline, until it stands for election.
    pub fn stand(&mut self, id: u64) {
        for _ in 0..4 {
            let actor = self.actor(id);
            assert_ne!(actor.wake_at, Time::NEVER, "the node has no deadline");
            actor.clock = actor.clock.max(actor.wake_at);
            self.input(id, Input::Tick);
            if self.raft(id).role() != RoleKind::Follower {
                return;
            }
        }
        panic!("n{id} does not stand for election");
    }

    /// The number of the next request.
    pub fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    pub fn tick(&mut self, id: u64) {
        self.input(id, Input::Tick);
    }

    /// Time passes for all, or for one; timers fire that are due then.
    pub fn wait(&mut self, time: Duration, only: Option<u64>) {
        let ids: Vec<u64> = self.actors.keys().copied().collect();
        for id in ids {
            if only.is_none_or(|only| only == id) {
                let actor = self.actor(id);
                actor.clock = actor.clock.after(time);
                if actor.wake_at <= actor.clock {
                    self.input(id, Input::Tick);
                }
            }
        }
    }

    /// The messages on their way, oldest first.
    pub fn on_their_way(&self, route: Route) -> usize {
        self.network
            .iter()
            .filter(|parcel| route.takes(parcel))
            .count()
    }

    /// Takes the `skip + 1`th message of the route out of the network.
    pub fn take(&mut self, route: Route, skip: usize) -> Option<Parcel> {
        let mut taken = (0..self.network.len()).filter(|at| route.takes(&self.network[*at]));
        let at = taken.nth(skip)?;
        Some(self.network.remove(at))
    }

    pub fn hand_over(&mut self, parcel: Parcel) {
        let Parcel {
            from, to, message, ..
        } = parcel;
        let from = NodeId(from);
        if self.actor(to).raft.is_none() {
            self.lines.push(format!("n{to} is down: a message is lost"));
        }
        self.input(to, Input::Receive { from, message });
    }

    /// Loses a message.
    pub fn lose(&mut self, parcel: &Parcel) {
        let line = parcel.line();
        self.lines.push(format!("{line} (dropped)"));
    }

    /// A copy of a message will arrive as well.
    pub fn repeat(&mut self, parcel: Parcel) {
        let line = parcel.line();
        self.lines.push(format!("{line} (duplicated)"));
        self.network.push(parcel);
    }

    pub fn crash(&mut self, id: u64) {
        let actor = self.actor(id);
        let lost = actor.waiting.len();
        actor.raft = None;
        actor.waiting.clear();
        actor.partial.clear();
        actor.wake_at = Time::NEVER;
        self.lines
            .push(format!("n{id} crashes: {lost} writes lost"));
    }

    pub fn restart(&mut self, id: u64) {
        let actor = self.actor(id);
        actor.applied.clear();
        actor.applied_index = Index::ZERO;
        if let Some(snapshot) = &actor.stored.snapshot {
            actor.load(snapshot.id);
        }
        actor.config.seed += 1;
        let recovered = actor.stored.recovered(None);
        let raft = Raft::new(actor.config.clone(), recovered).expect("a faithful storage");
        actor.raft = Some(raft);
        self.input(id, Input::Tick);
    }

    pub fn propose(&mut self, id: u64, commands: &[String]) {
        let request = self.request();
        let commands: Vec<Bytes> = commands.iter().cloned().map(Bytes::from).collect();
        let commands = Commands::from(commands);
        let id_of_request = request;
        self.input(
            id,
            Input::Propose {
                id: id_of_request,
                commands,
            },
        );
    }

    /// The service makes a snapshot of all that it has applied up to `index`.
    pub fn compact(&mut self, id: u64, index: u64) {
        let term = self.raft(id).term_at(Index(index)).expect("an entry there");
        let log = self.raft(id).entries(Index(1), Index(index));
        let actor = self.actor(id);
        // What an earlier snapshot stands for, and the commands behind it.
        let later = log
            .iter()
            .filter(|entry| entry.kind() == EntryKind::Command);
        let later: Vec<String> = later
            .map(|entry| String::from_utf8_lossy(entry.payload()).into_owned())
            .collect();
        let commands_left = actor.applied_index.since(Index(index)) as usize;
        let end = actor.applied.len().saturating_sub(commands_left);
        assert!(actor.applied[..end].ends_with(&later), "as applied");
        let bytes = Bytes::from(actor.applied[..end].join(","));
        let snapshot = SnapshotId {
            last: EntryId::new(index, term.0),
            size: bytes.len() as u64,
            checksum: Checksum::of(&bytes),
        };
        actor.files.insert(snapshot, bytes);
        self.input(id, Input::Compact { snapshot });
    }
}

impl Parcel {
    /// The line that its sending was.
    fn line(&self) -> String {
        let who = trace::Who {
            node: NodeId(self.from),
            term: self.term,
        };
        let (to, message) = (NodeId(self.to), self.message.clone());
        trace::action(who, &Action::Send { to, message }).to_string()
    }
}

impl Actor {
    /// The state machine becomes what the snapshot says.
    fn load(&mut self, snapshot: SnapshotId) {
        let bytes = &self.files[&snapshot];
        let text = String::from_utf8_lossy(bytes);
        self.applied = text.split(',').map(str::to_owned).collect();
        self.applied_index = snapshot.last.index;
    }
}
