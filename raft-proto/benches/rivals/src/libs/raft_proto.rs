//! This core, behind the smallest driver that keeps its contract. A write is durable as soon as it
//! is asked for, since it stays in memory as with every other library here. Entries are applied as
//! soon as they are handed out.
use crate::cluster::{Cluster, Sink, payload};
use bytes::Bytes;
use raft_proto::{
    Action, Checksum, ClusterId, Commands, Config, Entries, EntryId, EntryKind, Event, Index,
    Input, Message, NodeId, Raft, Recovered, RequestId, RoleKind, Seq, SnapshotId, Start, Time,
};
use std::time::Duration;

/// How many entries a node applies before it reports them.
const REPORT_EVERY: u64 = 64;
const HEARTBEAT: Duration = Duration::from_millis(100);

/// When idle followers learn the commit index.
#[derive(Clone, Copy)]
pub enum CommitNotice {
    /// With the next append or heartbeat, as raft-rs does with `skip_bcast_commit`.
    Lazy,
    /// At once, by a message of its own.
    Eager,
}

struct Node {
    raft: Raft,
    sink: Sink,
    /// The last entry applied.
    applied: EntryId,
    /// Up to here, `Applied` was reported.
    reported: Index,
}

impl Node {
    /// Applies the entries, and returns an index if that is to be reported. `Applied` is cumulative
    /// and only makes room to hand out more, so a driver need not report each entry by itself.
    fn apply(&mut self, entries: &Entries) -> Option<Index> {
        for entry in entries {
            if entry.kind() == EntryKind::Command {
                self.sink.apply(entry.payload());
            }
        }
        // Nothing is handed out without an entry.
        self.applied = entries.last_id().unwrap();
        let index = self.applied.index;
        (index.since(self.reported) >= REPORT_EVERY).then(|| {
            self.reported = index;
            index
        })
    }
}

/// What a step asked for, was done at once, and is to be reported.
#[derive(Default)]
struct Done {
    written: Option<Seq>,
    applied: Option<Index>,
}

/// A message on its way between two slots of `nodes`.
struct Delivery {
    from: usize,
    to: usize,
    message: Message,
}

pub struct Nodes {
    /// `nodes[i]` has the id `i + 1`.
    nodes: Vec<Node>,
    queue: Vec<Delivery>,
    /// The messages that were delivered last; empty, kept for its memory.
    delivered: Vec<Delivery>,
    disconnected: Vec<bool>,
    messages: u64,
    /// One clock for all nodes. It only moves by `tick`.
    now: Time,
    /// The actions of a step; empty between steps, kept for its memory.
    actions: Vec<Action>,
}

fn id(slot: usize) -> NodeId {
    NodeId(slot as u64 + 1)
}

fn slot(id: NodeId) -> usize {
    id.0 as usize - 1
}

fn config(slot: usize, nodes: usize, notice: CommitNotice) -> Config {
    let voters = (0..nodes).map(id);
    let mut config = Config::new(ClusterId(1), id(slot), Start::voters(voters), 1);
    config.heartbeat_interval = HEARTBEAT;
    config.commit_notice_delay = match notice {
        CommitNotice::Lazy => HEARTBEAT,
        CommitNotice::Eager => Duration::ZERO,
    };
    // The first node is to lead, whatever the seed.
    let factor = if slot == 0 { 1 } else { 100 };
    config.election_timeout_min *= factor;
    config.election_timeout_max *= factor;
    // Compaction drops everything that all nodes have applied, as with the other libraries.
    config.trailing_entries = 0;
    config
}

impl Nodes {
    pub fn new(nodes: usize, notice: CommitNotice) -> Self {
        let node = |slot| Node {
            raft: Raft::new(config(slot, nodes, notice), Recovered::default()).unwrap(),
            sink: Sink::default(),
            applied: EntryId::ZERO,
            reported: Index::ZERO,
        };
        let mut cluster = Nodes {
            nodes: (0..nodes).map(node).collect(),
            queue: Vec::new(),
            delivered: Vec::new(),
            disconnected: vec![false; nodes],
            messages: 0,
            now: Time::ZERO,
            actions: Vec::new(),
        };
        for slot in 0..nodes {
            cluster.step(slot, Input::Tick);
        }
        while cluster.nodes[0].raft.role() != RoleKind::Leader {
            cluster.tick();
            cluster.pump();
        }
        // Followers learn from the next heartbeat that the term's first entry is committed.
        cluster.tick();
        cluster.pump();
        let first = cluster.nodes[0].raft.last_log();
        assert!(cluster.nodes.iter().all(|node| node.applied == first));
        cluster
    }

    /// Gives `input` to a node and does everything that it asks for. Inlined, so that the event is
    /// made where the core takes it from, and not copied there.
    #[inline(always)]
    fn step(&mut self, at: usize, input: Input) {
        let event = Event {
            at: self.now,
            input,
        };
        let done = self.give(at, event);
        self.report(at, done);
    }

    fn report(&mut self, at: usize, mut done: Done) {
        let now = self.now;
        loop {
            if let Some(seq) = done.written.take() {
                let input = Input::Persisted { seq };
                let more = self.give(at, Event { at: now, input });
                done = Done {
                    written: more.written,
                    applied: more.applied.or(done.applied),
                };
            } else if let Some(index) = done.applied.take() {
                let input = Input::Applied { index };
                done = self.give(at, Event { at: now, input });
            } else {
                return;
            }
        }
    }

    /// One step of one node. What was written and applied is not reported yet.
    fn give(&mut self, at: usize, event: Event) -> Done {
        let mut actions = std::mem::take(&mut self.actions);
        self.nodes[at].raft.step_into(event, &mut actions);
        let mut done = Done::default();
        for action in actions.drain(..) {
            self.perform(at, action, &mut done);
        }
        self.actions = actions;
        done
    }

    /// Performs an action. Not inlined, so that it is taken from where it is, and not copied first.
    #[inline(never)]
    fn perform(&mut self, at: usize, action: Action, done: &mut Done) {
        match action {
            Action::Send { to, message } => self.queue.push(Delivery {
                from: at,
                to: slot(to),
                message,
            }),
            Action::Persist(write) => done.written = Some(write.seq),
            Action::Apply { entries } => done.applied = self.nodes[at].apply(&entries),
            // An empty snapshot stores nothing, and time passes only by `tick`.
            Action::ReleaseSnapshot { .. }
            | Action::WakeAt(_)
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::Overdue(_)
            | Action::MembershipChanged { .. }
            | Action::ReadEntries { .. } => {}
            Action::RoleChanged { .. } | Action::LeaderChanged { .. } => {}
            Action::Proposed { outcome, .. } => assert!(outcome.is_ok(), "{outcome:?}"),
            action @ (Action::Restore { .. }
            | Action::ReadSnapshot { .. }
            | Action::WriteSnapshot { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::SnapshotDamaged { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Faulted { .. }) => panic!("no workload here asks for {action:?}"),
        }
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        let command = |number| Bytes::from(payload(number, size));
        let commands = match count {
            1 => Commands::from(command(first)),
            _ => Commands::from(
                (first..first + count as u64)
                    .map(command)
                    .collect::<Vec<_>>(),
            ),
        };
        let id = RequestId(first);
        self.step(0, Input::Propose { id, commands });
    }

    fn pump(&mut self) {
        let mut batch = std::mem::take(&mut self.delivered);
        while !self.queue.is_empty() {
            std::mem::swap(&mut batch, &mut self.queue);
            for Delivery { from, to, message } in batch.drain(..) {
                if self.disconnected[from] || self.disconnected[to] {
                    // A transport reports it when a peer is gone.
                    self.step(from, Input::Unreachable { peer: id(to) });
                    continue;
                }
                self.messages += 1;
                let from = id(from);
                self.step(to, Input::Receive {
                    from,
                    incarnation: None,
                    message,
                });
            }
        }
        self.delivered = batch;
    }

    fn tick(&mut self) {
        self.now = self.now.after(HEARTBEAT);
        self.step(0, Input::Tick);
    }

    fn applied(&self, node: usize) -> u64 {
        self.nodes[node].sink.applied
    }

    fn compact(&mut self) {
        let applied = self.nodes.iter().map(|node| node.applied);
        let snapshot = SnapshotId {
            last: applied.min().unwrap(),
            size: 0,
            checksum: Checksum::new().value(),
        };
        for at in 0..self.nodes.len() {
            self.step(at, Input::Compact { snapshot });
        }
    }

    fn disconnect(&mut self, node: usize) {
        self.disconnected[node] = true;
    }

    fn reconnect(&mut self, node: usize) {
        self.disconnected[node] = false;
    }

    fn messages(&self) -> u64 {
        self.messages
    }
}
