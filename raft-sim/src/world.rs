//! The world: some nodes, and everything that happens to them, in the order of virtual time.
//!
//! One loop takes the next happening from the queue and gives it to whom it concerns; what the
//! cores answer becomes new happenings. Nothing else moves. All that is random is drawn from
//! streams of the run's one seed, so the order of happenings, and with it the whole run, is the
//! same on every machine.

mod asking;
mod disks;
mod happening;

use crate::failure::Failure;
use crate::nemesis::{Deed, Nemesis, Sight};
use crate::network::{Fate, Network};
use crate::node::Node;
use crate::operations::Operations;
use crate::options::Options;
use crate::queue::Queue;
use crate::random::Random;
use crate::recorder::Recorder;
use crate::trace::Trace;
use crate::workload::Workload;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use happening::{Happening, Life, Links, Phase};
use raft_proto::wire::{self, Envelope};
use raft_proto::{Action, Input, NodeId, Proposal, ProposeError, RoleKind, Start, Time, trace};
use std::collections::VecDeque;

/// A simulated cluster and its environment.
#[derive(Debug)]
pub struct World {
    options: Options,
    now: Time,
    queue: Queue<Happening>,
    nodes: Vec<Node>,
    network: Network,
    nemesis: Nemesis,
    workload: Workload,
    operations: Operations,
    recorder: Recorder,
    /// What disks lose in a crash, and how long everything on a machine takes.
    machines: Random,
    phase: Phase,
    /// Empty between happenings, kept for their allocations.
    outputs: Vec<Action>,
    inputs: VecDeque<Input>,
    /// The outcome of the last proposal.
    outcome: Option<Result<Proposal, ProposeError>>,
}

impl World {
    /// A cluster that is about to start, at time 0.
    pub fn new(options: Options, trace: Trace) -> World {
        let mut random = Random::new(options.request.seed, "world");
        let all = options.request.nodes + options.features.spares;
        let count = all as usize;
        let mut operations = Operations::new(options.features.clone(), random.fork("operations"));
        let first = options.first_members(|| operations.priority());
        let nodes = (1..=u64::from(all)).map(|id| {
            let mut config = options.config.clone();
            config.node_id = NodeId(id);
            config.start = match id <= u64::from(options.request.nodes) {
                true => first.clone(),
                false => Start::Join,
            };
            Node::new(config, options.clock(id))
        });
        let mut world = World {
            now: Time::ZERO,
            queue: Queue::new(),
            nodes: nodes.collect(),
            network: Network::new(count, options.network.clone(), random.fork("network")),
            nemesis: Nemesis::new(options.nemesis.clone(), random.fork("nemesis")),
            workload: Workload::new(count, options.workload.clone(), random.fork("workload")),
            operations,
            recorder: Recorder::new(trace),
            machines: random.fork("machines"),
            phase: Phase::Safety,
            outputs: Vec::new(),
            inputs: VecDeque::new(),
            outcome: None,
            options,
        };
        for node in 0..count {
            world.start(node);
        }
        for client in 0..world.workload.clients() {
            let after = world.workload.think();
            world.schedule(after, Happening::Client { client });
        }
        world.schedule_nemesis();
        world.schedule_read();
        world.schedule_operator();
        world
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The environment.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The nodes, the first one being `n1`.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What was seen so far.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What was asked beyond commands, and how often each feature was used.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// As [`recorder`](World::recorder), to finish the trace or to note a failure.
    pub fn recorder_mut(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Lets the world go on until `until`, or until something is wrong.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn run_until(&mut self, until: Time) -> Result<(), Failure> {
        loop {
            if let Some(failure) = self.recorder.failure() {
                return Err(failure.clone());
            }
            let Some((at, happening)) = self.queue.pop_until(until) else {
                self.now = until;
                return Ok(());
            };
            self.now = at;
            self.recorder.tell(at);
            self.happens(happening);
        }
    }

    /// Ends all faults: links work, crashed nodes restart, disks no longer stall, clients rest.
    pub fn heal(&mut self) {
        self.phase = Phase::Liveness;
        self.fact(format_args!("all faults end"));
        self.network.heal();
        self.options.disk.stall_per_mille = 0;
        self.options.disk.fail_per_mille = 0;
        for node in 0..self.nodes.len() {
            self.start(node);
        }
    }

    /// The node that leads in the greatest term, if it runs.
    pub fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| {
            let raft = node.raft()?;
            (raft.role() == RoleKind::Leader).then_some(raft.term())
        };
        let leaders = self.nodes.iter().enumerate();
        let leaders = leaders.filter_map(|(at, node)| Some((leads(node)?, at)));
        leaders.max().map(|(_, at)| at)
    }

    /// Proposes something at `node`. Returns the outcome; `None` if it does not run.
    pub fn propose(&mut self, node: usize) -> Option<Result<Proposal, ProposeError>> {
        let (id, commands) = self.workload.propose();
        self.outcome = None;
        self.give(node, Input::Propose { id, commands });
        let outcome = self.outcome.take();
        match &outcome {
            Some(Ok(proposal)) => {
                self.recorder.counts.accepted += proposal.count;
                let replaced = self.nodes[node].outstanding.accepted(*proposal);
                self.recorder.counts.replaced += replaced;
            }
            Some(Err(_)) => self.recorder.counts.refused += 1,
            None => {}
        }
        outcome
    }

    fn fact(&mut self, line: impl fmt::Display) {
        self.recorder.trace.line(self.now, line);
    }

    fn schedule(&mut self, after: Duration, happening: Happening) {
        self.queue.push(self.now.after(after), happening);
    }

    fn life(&self, node: usize) -> Life {
        let number = self.nodes[node].life;
        Life { node, number }
    }

    fn lives(&self, life: Life) -> bool {
        self.life(life.node) == life
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival { to, frame } => self.arrive(to, frame),
            Happening::Wake { node } => self.wake(node),
            Happening::Synced { life, seq } if self.lives(life) => self.synced(life.node, seq),
            Happening::SyncFailed { life } if self.lives(life) => self.sync_failed(life.node),
            Happening::Applied { life, index } if self.lives(life) => {
                self.give(life.node, Input::Applied { index });
            }
            Happening::Snapshot { life, snapshot } if self.lives(life) => {
                let (id, data) = *snapshot;
                self.recorder.counts.snapshots += 1;
                self.nodes[life.node].snapshot_written(id, data);
                self.give(life.node, Input::Compact { snapshot: id });
            }
            // Of a life that has ended.
            Happening::Synced { .. }
            | Happening::SyncFailed { .. }
            | Happening::Applied { .. }
            | Happening::Snapshot { .. } => {}
            Happening::Client { client } => self.ask(client),
            Happening::Read => self.read(),
            Happening::Operator => self.operate(),
            Happening::Nemesis => self.strike(),
            Happening::Restart { node } => self.start(node),
            Happening::Mend { links } => {
                if self.phase == Phase::Safety {
                    self.fact(format_args!("mend {}", Links(&links)));
                    self.network.mend(&links);
                }
            }
        }
    }

    /// Gives an input to a node, if it runs, and does what it asks for.
    fn give(&mut self, at: usize, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let mut outputs = core::mem::take(&mut self.outputs);
            let node = &mut self.nodes[at];
            node.handle(self.now, input, &mut outputs, &mut self.recorder);
            self.perform(at, &mut outputs);
            self.outputs = outputs;
        }
        self.begin_sync(at);
        self.set_timer(at);
    }

    fn perform(&mut self, at: usize, outputs: &mut Vec<Action>) {
        for action in outputs.drain(..) {
            if let Some(raft) = self.nodes[at].raft()
                && let Err(failure) = self.operations.observe(raft, &action)
            {
                self.recorder.fail(failure);
            }
            match action {
                Action::Send { .. } => self.send(at, &action),
                Action::Apply { entries } => {
                    let answers = self.nodes[at].apply(&entries);
                    self.recorder.counts.acknowledged += answers.acknowledged;
                    self.recorder.counts.replaced += answers.replaced;
                    self.make_snapshot(at);
                    self.applied(at);
                }
                Action::Restore { snapshot } => {
                    if let Err(failure) = self.nodes[at].restore(snapshot.id) {
                        self.recorder.fail(failure);
                    }
                    self.applied(at);
                }
                Action::Proposed { outcome, .. } => self.outcome = Some(outcome),
                // These have been judged; the host has done the others.
                Action::Read { .. }
                | Action::Transferred { .. }
                | Action::ChangeProposed { .. }
                | Action::MembershipChanged { .. }
                | Action::ReadEntries { .. }
                | Action::RoleChanged { .. }
                | Action::LeaderChanged { .. }
                | Action::Rejected { .. }
                | Action::Refused { .. }
                | Action::LostState { .. }
                | Action::Faulted { .. }
                | Action::Persist(_)
                | Action::ReadSnapshot { .. }
                | Action::WriteSnapshot { .. }
                | Action::ReleaseSnapshot { .. }
                | Action::WakeAt(_) => {}
            }
        }
    }

    /// The service has all that it was given; it says so at once or after a while.
    fn applied(&mut self, at: usize) {
        let index = self.nodes[at].service.last.index;
        let time = self.options.workload.apply_time;
        if time.max <= time.min {
            self.inputs.push_back(Input::Applied { index });
            return;
        }
        let after = time.draw(&mut self.machines);
        let life = self.life(at);
        self.schedule(after, Happening::Applied { life, index });
    }

    fn make_snapshot(&mut self, at: usize) {
        let workload = &self.options.workload;
        let Some(snapshot) =
            self.nodes[at].begin_snapshot(workload.snapshot_every, workload.snapshot_bytes)
        else {
            return;
        };
        let after = workload.snapshot_time.draw(&mut self.machines);
        let (life, snapshot) = (self.life(at), Box::new(snapshot));
        self.schedule(after, Happening::Snapshot { life, snapshot });
    }

    fn send(&mut self, from: usize, action: &Action) {
        let Action::Send { to, message } = action else {
            return;
        };
        let envelope = Envelope::new(self.nodes[from].config(), *to);
        let frame = wire::encode(&envelope, message);
        self.recorder.counts.sent(message.kind(), frame.len());
        let slot = usize::try_from(to.0.saturating_sub(1)).unwrap_or(usize::MAX);
        let fate = self.network.send(from, slot);
        let who = trace::Who {
            node: envelope.from,
            term: message.term(),
        };
        let line = trace::action(who, action);
        match fate {
            Fate::Dropped => {
                self.recorder.counts.dropped += 1;
                self.fact(format_args!("{line} (dropped)"));
            }
            Fate::Arrives(after) => {
                self.fact(line);
                self.schedule(after, Happening::Arrival { to: slot, frame });
            }
            Fate::Twice(first, second) => {
                self.recorder.counts.duplicated += 1;
                self.fact(format_args!("{line} (twice)"));
                let again = frame.clone();
                self.schedule(first, Happening::Arrival { to: slot, frame });
                let frame = again;
                self.schedule(second, Happening::Arrival { to: slot, frame });
            }
        }
    }

    fn arrive(&mut self, to: usize, frame: Bytes) {
        let node = &self.nodes[to];
        if node.raft().is_none() {
            self.recorder.counts.dropped += 1;
            return;
        }
        match node.receiver().accept(frame) {
            Ok((from, message)) => self.give(to, Input::Receive { from, message }),
            Err(reason) => {
                let node = node.config().node_id;
                self.recorder.fail(Failure::Frame { node, reason });
            }
        }
    }

    /// Timers are lazy: deadlines nearly always move to later, and the queue learns of that only
    /// when the earlier one has come.
    fn wake(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.timer != self.now {
            return; // An earlier one was set meanwhile.
        }
        node.timer = Time::NEVER;
        if node.wake_at() <= self.now {
            self.give(at, Input::Tick);
        } else {
            self.set_timer(at);
        }
    }

    fn set_timer(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let deadline = node.wake_at().max(self.now);
        if deadline < node.timer {
            node.timer = deadline;
            self.queue.push(deadline, Happening::Wake { node: at });
        }
    }

    fn ask(&mut self, client: usize) {
        if self.phase == Phase::Liveness {
            return;
        }
        let node = self.workload.believed(client);
        let outcome = self.propose(node);
        let after = self.workload.heard(client, outcome.as_ref());
        self.schedule(after, Happening::Client { client });
    }

    fn start(&mut self, at: usize) {
        let seed = self.machines.next_u64();
        if self.nodes[at].raft().is_some() {
            return;
        }
        match self.nodes[at].start(seed) {
            Ok(applied) => {
                // It has just been started.
                if let Some(raft) = self.nodes[at].raft() {
                    self.recorder.started(self.now, raft, applied);
                }
                self.give(at, Input::Tick);
            }
            Err(failure) => self.recorder.fail(failure),
        }
    }

    fn crash(&mut self, at: usize) {
        let id = self.nodes[at].config().node_id;
        let Some(raft) = self.nodes[at].raft() else {
            return;
        };
        let line = format!("{id}@{} crashes", raft.term());
        self.fact(line);
        self.recorder.counts.crashes += 1;
        self.recorder.stopped(id);
        self.operations.crashed(at);
        if let Err(failure) = self.nodes[at].crash(&mut self.machines) {
            self.recorder.fail(failure);
        }
    }

    fn schedule_nemesis(&mut self) {
        if let Some(pause) = self.nemesis.pause() {
            self.schedule(pause, Happening::Nemesis);
        }
    }

    fn strike(&mut self) {
        if self.phase == Phase::Liveness {
            return;
        }
        let up: Vec<bool> = self
            .nodes
            .iter()
            .map(|node| node.raft().is_some())
            .collect();
        let sight = Sight {
            up: &up,
            leader: self.leader(),
        };
        match self.nemesis.deed(sight) {
            Some(Deed::Crash(victims)) => {
                for (node, outage) in victims {
                    self.crash(node);
                    self.schedule(outage, Happening::Restart { node });
                }
            }
            Some(Deed::Cut { links, outage }) => {
                self.recorder.counts.cuts += 1;
                self.fact(format_args!("cut {}", Links(&links)));
                self.network.cut(&links);
                self.schedule(outage, Happening::Mend { links });
            }
            None => {}
        }
        self.schedule_nemesis();
    }
}
