//! A state machine of the user's own in one run of the simulator: replicas, commands and histories.

use super::model::{TypedHistory, decode, encode, unchecked};
use super::state_machine::{Client, StateMachine};
use crate::linearizability::OperationId;
use crate::random::Random;
use crate::service::{CallHistory, Caller, CustomReplica, CustomService, ServiceDefect};
use bytes::Bytes;
use core::fmt::{self, Debug};
use core::sync::atomic::{AtomicU64, Ordering};
use raft_proto::{EntryId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

type Draw<S> =
    dyn Fn(&Client<'_, S>, &mut Random) -> <S as StateMachine>::Command + Send + Sync + 'static;
type Hold<S> = dyn Fn(&S) -> Option<String> + Send + Sync;
type Strike<S> = dyn Fn(&mut S) + Send + Sync;
type Reached<S> =
    dyn Fn(&<S as StateMachine>::Command, &<S as StateMachine>::Answer) -> bool + Send + Sync;
type MakeHistory<S> = dyn Fn() -> Box<dyn TypedHistory<S>> + Send + Sync;

/// Something of the user's own that has a name.
pub(super) struct Named<T: ?Sized> {
    pub(super) name: String,
    pub(super) what: Box<T>,
}

/// Whether replicas are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Compared,
    NotCompared,
}

/// What the user gives of a service.
pub(super) struct Parts<S: StateMachine> {
    pub(super) new: Box<dyn Fn() -> S + Send + Sync>,
    pub(super) draw: Box<Draw<S>>,
    pub(super) invariants: Vec<Named<Hold<S>>>,
    pub(super) faults: Vec<Named<Strike<S>>>,
    pub(super) sometimes: Vec<Named<Reached<S>>>,
    pub(super) history: Option<Box<MakeHistory<S>>>,
    pub(super) comparison: Comparison,
}

/// What one run has reached.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// How often each situation of the user's own was reached.
    pub(super) sometimes: Vec<AtomicU64>,
    /// How often each fault of the user's own has struck.
    pub(super) strikes: Vec<AtomicU64>,
    /// Commands that were applied, by all replicas together.
    pub(super) applied: AtomicU64,
    /// Snapshots that were restored, by all replicas together.
    pub(super) restored: AtomicU64,
}

/// A service in one run.
pub(super) struct Served<S: StateMachine> {
    parts: Arc<Parts<S>>,
    pub(super) reach: Arc<Reach>,
}

impl<S: StateMachine> Debug for Served<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<S>())
    }
}

impl<S: StateMachine> Served<S> {
    /// The service of a run that has not begun.
    pub(super) fn new(parts: &Arc<Parts<S>>) -> Served<S> {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        let reach = Reach {
            sometimes: zeros(parts.sometimes.len()),
            strikes: zeros(parts.faults.len()),
            ..Reach::default()
        };
        Served {
            parts: Arc::clone(parts),
            reach: Arc::new(reach),
        }
    }

    fn new_replica(&self) -> Replica<S> {
        Replica {
            machine: (self.parts.new)(),
            parts: Arc::clone(&self.parts),
            reach: Arc::clone(&self.reach),
            lost: None,
        }
    }
}

impl<S: StateMachine> CustomService for Served<S> {
    fn replica(&self) -> Box<dyn CustomReplica> {
        Box::new(self.new_replica())
    }

    fn command(&self, number: u64, caller: Caller<'_>) -> Result<Bytes, ServiceDefect> {
        let answer = caller.last_answer;
        let answer: Option<S::Answer> = answer.map(|bytes| decode("answer", bytes)).transpose()?;
        let client = Client {
            number: caller.client,
            last_answer: answer.as_ref(),
        };
        let command = (self.parts.draw)(&client, &mut Random::new(number, "command"));
        encode("command", &command)
    }

    fn history(&self) -> Box<dyn CallHistory> {
        let make = self.parts.history.as_ref();
        Box::new(Calls {
            parts: Arc::clone(&self.parts),
            reach: Arc::clone(&self.reach),
            pending: BTreeMap::new(),
            history: make.map_or_else(unchecked, |make| make()),
        })
    }
}

/// The state machine on one machine.
struct Replica<S: StateMachine> {
    machine: S,
    parts: Arc<Parts<S>>,
    reach: Arc<Reach>,
    /// Why it is not in the state that it should be in.
    lost: Option<ServiceDefect>,
}

impl<S: StateMachine> Debug for Replica<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<S>())
    }
}

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl<S: StateMachine> Replica<S> {
    /// What is wrong with the state as it is now.
    fn check(&self) -> Result<(), ServiceDefect> {
        for invariant in &self.parts.invariants {
            if let Some(reason) = (invariant.what)(&self.machine) {
                let name = invariant.name.clone();
                return Err(ServiceDefect::Invariant { name, reason });
            }
        }
        Ok(())
    }
}

impl<S: StateMachine> CustomReplica for Replica<S> {
    fn apply(&mut self, entry: EntryId, command: &[u8]) -> Result<Bytes, ServiceDefect> {
        if let Some(defect) = self.lost.take() {
            return Err(defect);
        }
        let command: S::Command = decode("command", command)?;
        let answer = self.machine.apply_entry(entry, command);
        let answer = answer.map_err(ServiceDefect::Stopped)?;
        add_one(&self.reach.applied);
        self.check()?;
        encode("answer", &answer)
    }

    fn snapshot(&self) -> Bytes {
        self.machine.snapshot().into()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), ServiceDefect> {
        let restored = self.machine.restore(state);
        restored.map_err(|reason| ServiceDefect::Restore(reason.to_string()))?;
        add_one(&self.reach.restored);
        self.check()
    }

    fn digest(&self) -> Option<u64> {
        match self.parts.comparison {
            Comparison::Compared => self.machine.digest(),
            Comparison::NotCompared => None,
        }
    }

    fn strike(&mut self, fault: usize) -> Result<(), ServiceDefect> {
        if let Some(named) = self.parts.faults.get(fault) {
            (named.what)(&mut self.machine);
        }
        if let Some(count) = self.reach.strikes.get(fault) {
            add_one(count);
        }
        self.check()
    }

    fn copy(&self) -> Box<dyn CustomReplica> {
        let mut machine = (self.parts.new)();
        let restored = machine.restore(&self.machine.snapshot());
        let lost = restored.err();
        Box::new(Replica {
            machine,
            parts: Arc::clone(&self.parts),
            reach: Arc::clone(&self.reach),
            lost: lost.map(|reason| ServiceDefect::Restore(reason.to_string())),
        })
    }
}

/// What all clients saw.
struct Calls<S: StateMachine> {
    parts: Arc<Parts<S>>,
    reach: Arc<Reach>,
    /// The commands that are not answered, if their answers are looked at.
    pending: BTreeMap<OperationId, S::Command>,
    history: Box<dyn TypedHistory<S>>,
}

impl<S: StateMachine> Debug for Calls<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.history.fmt(f)
    }
}

impl<S: StateMachine> CallHistory for Calls<S> {
    fn begin(&mut self, client: u32, command: &[u8], now: Time) -> Result<OperationId, String> {
        let command: S::Command =
            decode("command", command).map_err(|defect| defect.to_string())?;
        let id = self.history.begin(client, &command, now)?;
        if !self.parts.sometimes.is_empty() {
            self.pending.insert(id, command);
        }
        Ok(id)
    }

    fn answer(&mut self, id: OperationId, answer: &[u8], now: Time) -> Result<(), String> {
        let answer: S::Answer = decode("answer", answer).map_err(|defect| defect.to_string())?;
        if let Some(command) = self.pending.remove(&id) {
            let all = self.parts.sometimes.iter().zip(&self.reach.sometimes);
            for (situation, count) in all {
                if (situation.what)(&command, &answer) {
                    add_one(count);
                }
            }
        }
        self.history.answer(id, answer, now)
    }

    fn give_up(&mut self, id: OperationId) -> Result<(), String> {
        self.pending.remove(&id);
        self.history.give_up(id)
    }

    fn expire(&mut self, id: OperationId, now: Time) {
        self.history.expire(id, now);
    }

    fn finish(self: Box<Self>) -> Result<u64, String> {
        self.history.finish()
    }

    fn describe_command(&self, command: &[u8]) -> String {
        described::<S::Command>("command", command)
    }

    fn describe_answer(&self, answer: &[u8]) -> String {
        described::<S::Answer>("answer", answer)
    }
}

fn described<T: Debug + serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> String {
    match decode::<T>(what, bytes) {
        Ok(value) => format!("{value:?}"),
        Err(defect) => defect.to_string(),
    }
}
