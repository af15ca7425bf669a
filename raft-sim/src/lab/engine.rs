//! The event loop of a lab: what is done when a message arrives, when a deadline comes, and when a
//! core emits an action.

use super::cluster::{CLUSTER, Call, ClientStep, Lab, LabEvent, ServerState, node_id};
use super::failure::{Failure, Violation};
use super::network::Fate;
use super::tracer::TracerAt;
use bytes::Bytes;
use raft_proto::wire::{self, Envelope};
use raft_proto::{
    Action, Checksum, Entries, EntryId, GroupId, Index, Input, Message, NodeId, RoleKind,
    SnapshotId, SnapshotMeta, Term, Time,
};

impl Lab {
    /// Performs all events up to `until`.
    pub(super) fn run_until(&mut self, until: Time) -> Result<(), Failure> {
        while let Some((at, event)) = self.queue.pop_until(until) {
            self.now = at;
            match event {
                LabEvent::Arrival { call, to, frame } => self.deliver(call, to, frame)?,
                LabEvent::Wake {
                    server,
                    incarnation,
                } => self.wake(server, incarnation)?,
                LabEvent::Client(client) => self.let_client_act(client)?,
            }
        }
        self.now = until;
        Ok(())
    }

    fn let_client_act(&mut self, number: usize) -> Result<(), Failure> {
        let Some(mut client) = self.clients.get_mut(number).and_then(Option::take) else {
            return Ok(());
        };
        if let ClientStep::WaitFor(pause) = client.act(self)? {
            self.clients[number] = Some(client);
            self.schedule(pause, LabEvent::Client(number));
        }
        Ok(())
    }

    fn wake(&mut self, server: usize, incarnation: u32) -> Result<(), Failure> {
        let slot = &mut self.servers[server];
        if slot.incarnation != incarnation || slot.wake != self.now {
            // It belongs to an earlier incarnation, or an earlier deadline replaced it.
            return Ok(());
        }
        let ServerState::Running(process) = &slot.state else {
            return Ok(());
        };
        slot.wake = Time::NEVER;
        if process.wake_at() <= self.now {
            return self.give(server, Input::Tick);
        }
        self.schedule_wake(server);
        Ok(())
    }

    /// Puts the deadline of the server into the queue, unless an earlier one is there.
    fn schedule_wake(&mut self, server: usize) {
        let slot = &mut self.servers[server];
        let ServerState::Running(process) = &slot.state else {
            return;
        };
        let deadline = process.wake_at();
        if deadline < slot.wake {
            slot.wake = deadline.max(self.now);
            let incarnation = slot.incarnation;
            let wake = LabEvent::Wake {
                server,
                incarnation,
            };
            self.queue.push(slot.wake, wake);
        }
    }

    fn deliver(&mut self, call: Call, to: usize, frame: Bytes) -> Result<(), Failure> {
        let (from, incarnation) = if to == call.callee {
            (call.caller, call.callee_incarnation)
        } else {
            self.network.bytes += frame.len() as u64;
            (call.callee, call.caller_incarnation)
        };
        let slot = &mut self.servers[to];
        if slot.incarnation != incarnation || matches!(slot.state, ServerState::Crashed(_)) {
            // In the lab a killed server may still handle it, but without a trace: its persister
            // is detached.
            return Ok(());
        }
        let received = match self.receivers[to].accept(frame) {
            Ok(received) if received.from == node_id(from) => received,
            Ok(received) => {
                return self.fail(
                    format!("a frame from n{from}"),
                    format!("one from {}", received.from),
                );
            }
            Err(error) => return self.fail("a frame that decodes", error.to_string()),
        };
        if to == call.callee {
            slot.handled += 1;
            self.serving = Some(call);
        }
        self.give(to, Input::from(received))?;
        self.serving = None;
        Ok(())
    }

    /// Gives `input` to the core of a running server, and performs the actions that come out.
    pub(super) fn give(&mut self, server: usize, input: Input) -> Result<(), Failure> {
        let mut outputs = core::mem::take(&mut self.outputs);
        let mut batch = core::mem::take(&mut self.spare);
        self.handle(server, input, &mut outputs)?;
        while !outputs.is_empty() {
            core::mem::swap(&mut outputs, &mut batch);
            for action in batch.drain(..) {
                self.perform(server, action, &mut outputs)?;
            }
        }
        self.outputs = outputs;
        self.spare = batch;
        self.schedule_wake(server);
        Ok(())
    }

    fn handle(
        &mut self,
        server: usize,
        input: Input,
        outputs: &mut Vec<Action>,
    ) -> Result<(), Failure> {
        let ServerState::Running(process) = &mut self.servers[server].state else {
            return Ok(());
        };
        let done = if self.tracer.is_on() {
            let tracer = &mut self.tracer;
            let at = self.now;
            process.handle(at, input, outputs, &mut TracerAt { tracer, at })
        } else {
            process.handle(self.now, input, outputs, &mut ())
        };
        done.map_err(|error| self.process_failure(server, &error))
    }

    fn perform(
        &mut self,
        server: usize,
        action: Action,
        outputs: &mut Vec<Action>,
    ) -> Result<(), Failure> {
        match action {
            Action::Send { to, message } => {
                self.send(server, to, message);
                Ok(())
            }
            Action::Apply { entries } => self.apply(server, &entries, outputs),
            Action::Restore { snapshot } => self.restore(server, &snapshot, outputs),
            Action::Proposed { outcome, .. } => {
                self.proposed = Some(outcome);
                Ok(())
            }
            Action::RoleChanged { role, term } => self.role_changed(server, role, term),
            Action::LeaderChanged { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::Overdue(_)
            | Action::MembershipChanged { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. } => Ok(()),
            // All servers are correct, and so is this driver: none of these actions may come out.
            Action::Rejected { from, reason } => self.fail(
                "no message is one that no correct peer sends",
                format!("server {server} rejects a message of {from}: {reason}"),
            ),
            Action::Refused { reason } => self.fail(
                "the driver keeps the contract",
                format!("server {server} refuses an input: {reason}"),
            ),
            Action::LostState { peer, .. } => self.fail(
                "disks keep what they persisted",
                format!("server {server} says that {peer} lost some"),
            ),
            Action::SnapshotDamaged { snapshot } => self.fail(
                "disks keep what they persisted",
                format!("server {server} says that its snapshot {snapshot:?} is damaged"),
            ),
            Action::Faulted { reason } => self.fail(
                "no server faults",
                format!("server {server} has faulted: {reason}"),
            ),
            Action::Persist(_)
            | Action::ReadSnapshot { .. }
            | Action::WriteSnapshot { .. }
            | Action::ReleaseSnapshot { .. }
            | Action::ReadEntries { .. }
            | Action::WakeAt(_) => Ok(()), // The process performs these.
        }
    }

    fn role_changed(&mut self, server: usize, role: RoleKind, term: Term) -> Result<(), Failure> {
        if role != RoleKind::Leader {
            return Ok(());
        }
        match self.leaders.insert(term, server) {
            None => Ok(()),
            Some(other) => self.fail(
                "at most one leader is elected in a term",
                format!("servers {other} and {server} both lead in term {term}"),
            ),
        }
    }

    fn send(&mut self, from: usize, to: NodeId, message: Message) {
        let to = to.0 as usize; // The ids are the servers' numbers.
        let is_request = message.kind().is_request();
        let kind = message.kind();
        let envelope = Envelope {
            cluster_id: CLUSTER,
            group_id: GroupId(0),
            from: node_id(from),
            to: node_id(to),
            incarnation: None,
        };
        self.frame.clear();
        wire::encode_into(&mut self.frame, &envelope, &message);
        let frame = Bytes::copy_from_slice(&self.frame);
        if is_request {
            self.network.rpcs += 1;
            self.network.bytes += frame.len() as u64;
        }
        let call = self.call(is_request, from, to);
        let is_on = self.servers[from].is_connected && self.servers[to].is_connected;
        let is_received = !is_request || self.is_running(to);
        let fate = if !is_on || !is_received {
            Fate::Dropped
        } else if is_request {
            self.network.request()
        } else {
            self.network.reply(call.conditions)
        };
        match fate {
            Fate::Arrives { after } => self.schedule(after, LabEvent::Arrival { call, to, frame }),
            Fate::Dropped => self.note(|| format!("n{from} -> n{to} {} (dropped)", kind.name())),
        }
    }

    /// The call that a message belongs to. A reply belongs to the request that is being handled. A
    /// reply that had to wait for the disk comes later, and counts as one to a call of that moment.
    fn call(&self, is_request: bool, from: usize, to: usize) -> Call {
        let (caller, callee) = if is_request { (from, to) } else { (to, from) };
        match self.serving {
            Some(call) if call.caller == caller && call.callee == callee => call,
            Some(_) | None => Call {
                caller,
                caller_incarnation: self.servers[caller].incarnation,
                callee,
                callee_incarnation: self.servers[callee].incarnation,
                conditions: self.network.conditions,
            },
        }
    }

    fn apply(
        &mut self,
        server: usize,
        entries: &Entries,
        outputs: &mut Vec<Action>,
    ) -> Result<(), Failure> {
        let mut index = Index::ZERO;
        for entry in entries {
            index = entry.index();
            let applied = self.service.apply(server, &entry);
            applied.map_err(|violation| self.failure(violation))?;
            if let Some(snapshot) = self.service.snapshot_due(index.0) {
                self.snapshot(server, entry.id(), snapshot, outputs)?;
            }
        }
        self.handle(server, Input::Applied { index }, outputs)
    }

    /// The lab's `Snapshot`: the service of `server` has made a snapshot after applying `last`.
    fn snapshot(
        &mut self,
        server: usize,
        last: EntryId,
        data: Bytes,
        outputs: &mut Vec<Action>,
    ) -> Result<(), Failure> {
        let id = SnapshotId {
            last,
            size: data.len() as u64,
            checksum: Checksum::of(&data),
        };
        if let ServerState::Running(process) = &mut self.servers[server].state {
            process.store_snapshot(id, data);
        }
        self.handle(server, Input::Compact { snapshot: id }, outputs)
    }

    fn restore(
        &mut self,
        server: usize,
        snapshot: &SnapshotMeta,
        outputs: &mut Vec<Action>,
    ) -> Result<(), Failure> {
        let index = snapshot.id.last.index;
        let ServerState::Running(process) = &self.servers[server].state else {
            return Ok(());
        };
        let data = process.disk().snapshot(snapshot.id).cloned();
        let restored = match data {
            Some(data) => self.service.restore(server, index.0, &data),
            None => Err(Violation::new(
                format!("the bytes of the snapshot up to {index} are on the disk"),
                "they are not",
            )),
        };
        restored.map_err(|violation| self.failure(violation))?;
        self.handle(server, Input::Applied { index }, outputs)
    }
}
