//! Steps of the cores: what goes into them, and what is done with what comes out.

use super::World;
use super::event::{Hold, MachineEvent, SimulationEvent};
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use crate::service::Outcome;
use raft_proto::{Action, Entries, Input, Time};

impl World {
    /// Whether the server can see to it now; if not, it waits.
    pub(super) fn admit(&mut self, place: usize, what: MachineEvent) -> Option<MachineEvent> {
        let hold = &mut self.holds[place];
        let free_at = hold.free_at();
        if free_at <= self.now && hold.waiting.is_empty() {
            hold.step(self.now);
            return Some(what);
        }
        match &what {
            MachineEvent::Frame(_) | MachineEvent::Damaged(..)
                if hold.waiting.len() >= Hold::ROOM =>
            {
                self.recorder.counts.dropped += 1;
            }
            MachineEvent::Frame(_)
            | MachineEvent::Damaged(..)
            | MachineEvent::Wake
            | MachineEvent::Synced { .. }
            | MachineEvent::SyncFailed { .. }
            | MachineEvent::Answer { .. }
            | MachineEvent::Applied { .. }
            | MachineEvent::Snapshot { .. }
            | MachineEvent::Request(_)
            | MachineEvent::Operator(_) => hold.waiting.push_back(what),
        }
        let at = free_at.max(self.now);
        // What held the server up before a crash may last longer than what does now.
        if hold.resumes.is_none_or(|scheduled| at < scheduled) {
            hold.resumes = Some(at);
            self.queue.push(at, SimulationEvent::Resume { place });
        }
        None
    }

    pub(super) fn resume(&mut self, place: usize) {
        self.holds[place].resumes = None;
        loop {
            let hold = &mut self.holds[place];
            let free_at = hold.free_at();
            if free_at > self.now && !hold.waiting.is_empty() {
                hold.resumes = Some(free_at);
                return self.queue.push(free_at, SimulationEvent::Resume { place });
            }
            let Some(what) = hold.waiting.pop_front() else {
                return;
            };
            hold.step(self.now);
            self.local(place, what);
        }
    }

    pub(super) fn local(&mut self, place: usize, what: MachineEvent) {
        let incarnation = self.machines[place].incarnation;
        match what {
            MachineEvent::Frame(frame) => self.arrive(place, frame),
            MachineEvent::Damaged(frame, checksum) => self.arrive_damaged(place, frame, checksum),
            MachineEvent::Wake => self.wake(place),
            MachineEvent::Synced {
                incarnation: of,
                seq,
            } if of == incarnation => self.synced(place, seq),
            MachineEvent::SyncFailed {
                incarnation: of,
                outage,
            } if of == incarnation => {
                self.sync_failed(place, outage);
            }
            MachineEvent::Answer {
                incarnation: of,
                input,
            } if of == incarnation => self.give(place, *input),
            MachineEvent::Applied {
                incarnation: of,
                index,
            } if of == incarnation => {
                self.give(place, Input::Applied { index });
            }
            MachineEvent::Snapshot {
                incarnation: of,
                snapshot,
            } if of == incarnation => {
                let (id, data) = *snapshot;
                self.recorder.counts.snapshots += 1;
                self.machines[place].snapshot_written(id, data);
                self.give(place, Input::Compact { snapshot: id });
            }
            // Of a incarnation that has ended.
            MachineEvent::Synced { .. }
            | MachineEvent::SyncFailed { .. }
            | MachineEvent::Answer { .. }
            | MachineEvent::Applied { .. }
            | MachineEvent::Snapshot { .. } => {}
            MachineEvent::Request(request) => self.request(*request),
            MachineEvent::Operator(chore) => self.chore(place, &chore),
        }
    }

    /// Gives an input to a node, if it runs, and does what it asks for.
    pub(super) fn give(&mut self, at: usize, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            let mut outputs = core::mem::take(&mut self.outputs);
            let node = &mut self.machines[at];
            node.handle(self.now, input, &mut outputs, &mut self.recorder);
            self.perform(at, &mut outputs);
            self.outputs = outputs;
            next = self.inputs.pop_front();
        }
        self.begin_sync(at);
        self.expect_answers(at);
        self.set_timer(at);
    }

    pub(super) fn perform(&mut self, at: usize, outputs: &mut Vec<Action>) {
        let members_since = self.machines[at].members_since;
        for action in outputs.drain(..) {
            if let Some(raft) = self.machines[at].raft()
                && !self.operator.observe(raft, &action)
            {
                let node = raft.id();
                self.fail(Failure::Unasked { node });
            }
            match action {
                Action::Send { .. } => self.send(at, &action),
                Action::Apply { entries } => self.apply(at, &entries),
                Action::Restore { snapshot } => {
                    if let Err(failure) = self.machines[at].restore(snapshot.id) {
                        self.fail(failure);
                    }
                    self.applied(at);
                }
                Action::Proposed { outcome, .. } => self.outcome = Some(outcome),
                Action::Read { id, outcome } => self.read_outcome(at, id, outcome),
                Action::RoleChanged { role, term } => self.role_changed(at, role, term),
                Action::MembershipChanged { index, membership } => {
                    self.members_changed(at, index, membership);
                }
                // These have been judged; the host has done the others.
                Action::Transferred { .. }
                | Action::ChangeProposed { .. }
                | Action::ReadEntries { .. }
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
        if self.recorder.commit_index() > self.judged {
            self.judge_commit(at, members_since);
        }
        if self.has_new_members {
            self.judge_members();
        }
    }

    fn apply(&mut self, at: usize, entries: &Entries) {
        let mut applied = core::mem::take(&mut self.applied);
        let node = &mut self.machines[at];
        let (id, sessions) = (node.id(), node.service.sessions());
        let outcome = node.apply(entries, &mut applied);
        let opened = applied.iter().filter(|one| one.outcome == Outcome::Opened);
        let is_full = sessions + opened.count() > node.service.sessions();
        if let Err(damaged) = outcome {
            let (node, bytes) = (id, damaged.0);
            self.fail(Failure::NoCommand { node, bytes });
        }
        if is_full {
            self.recorder.coverage.hit(CoverageMark::SessionEvicted);
        }
        for one in &applied {
            let situation = match (one.outcome, one.of) {
                (Outcome::Ran, Some((session, sequence))) => {
                    let ran = self.exactly_once.ran(id, session.0, sequence, one.id);
                    if let Err(broken) = ran {
                        self.fail(broken);
                    }
                    continue;
                }
                (Outcome::Ran | Outcome::Opened, _) => continue,
                (Outcome::Repeated, _) => CoverageMark::CommandRepeated,
                (Outcome::Refused, _) => CoverageMark::CommandRefused,
            };
            self.recorder.coverage.hit(situation);
        }
        let mut learnt = core::mem::take(&mut self.learnt);
        let outstanding = &mut self.machines[at].outstanding;
        outstanding.applied(entries, &applied, &mut learnt);
        applied.clear();
        self.applied = applied;
        self.learnt = learnt;
        self.tell_clients(id);
        self.make_snapshot(at, self.settings.service.snapshot_every);
        self.applied(at);
    }

    /// The service has all that it was given; it says so at once or after a while.
    fn applied(&mut self, at: usize) {
        let index = self.machines[at].service.last.index;
        self.answer_reads(at, index);
        let time = self.settings.service.apply_time;
        if time.max <= time.min {
            self.inputs.push_back(Input::Applied { index });
            return;
        }
        let after = time.draw(&mut self.random);
        let incarnation = self.machines[at].incarnation;
        let what = MachineEvent::Applied { incarnation, index };
        self.schedule(after, SimulationEvent::At { place: at, what });
    }

    pub(super) fn make_snapshot(&mut self, at: usize, every: u64) {
        let service = &self.settings.service;
        let Some(snapshot) = self.machines[at].begin_snapshot(every, service.snapshot_bytes) else {
            return;
        };
        let after = service.snapshot_time.draw(&mut self.random);
        let (incarnation, snapshot) = (self.machines[at].incarnation, Box::new(snapshot));
        let what = MachineEvent::Snapshot {
            incarnation,
            snapshot,
        };
        self.schedule(after, SimulationEvent::At { place: at, what });
    }

    /// Timers are lazy: deadlines nearly always move to later, and the queue learns of that only
    /// when the earlier one has come.
    fn wake(&mut self, at: usize) {
        let node = &mut self.machines[at];
        if node.timer > self.now {
            return; // An earlier one has been answered meanwhile.
        }
        node.timer = Time::NEVER;
        if node.wake_at() <= self.now {
            self.give(at, Input::Tick);
        } else {
            self.set_timer(at);
        }
    }

    pub(super) fn set_timer(&mut self, at: usize) {
        let node = &mut self.machines[at];
        let deadline = node.wake_at().max(self.now);
        if deadline < node.timer {
            node.timer = deadline;
            let what = MachineEvent::Wake;
            self.queue
                .push(deadline, SimulationEvent::At { place: at, what });
        }
    }
}
