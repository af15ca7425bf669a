//! What a node waits for from its driver, and since when.
//!
//! A driver that forgets a `Persisted` or an `Applied` breaks nothing and stops everything: the
//! core withholds what rests on the write, and hands out no more. Nothing fails, so nothing says
//! why. Therefore [`Status::waits_for`](crate::Status::waits_for) names each answer that is
//! missing, and [`Action::Overdue`] says it once if none has come for ten election timeouts, and
//! for one more in which the node was awake: longer than a sound disk or service takes without any
//! progress. Safety does not depend on it.

use crate::action::Action;
use crate::raft::Raft;
use crate::types::Time;
use crate::waiting::{Awaited, Waiting};
use alloc::vec::Vec;

/// How long an answer may be missing before that is said, in election timeouts
/// ([`election_timeout_max`](crate::Config::election_timeout_max)).
const OVERDUE_AFTER: u32 = 10;

impl Raft {
    /// What this node waits for from its driver; what is merely on its way is included.
    pub fn waits_for(&self) -> impl Iterator<Item = Waiting> + '_ {
        let since = |what, since: Option<Time>| since.map(|since| Waiting { what, since });
        let first = (!self.started).then_some(Time::ZERO);
        let tick = (self.wake_at < self.now).then_some(self.wake_at);
        let seq = self.writes.persisted().next();
        let index = self.applier.handed_out();
        let waits = [
            since(Awaited::FirstTick, first),
            since(Awaited::Tick, tick),
            since(Awaited::Persisted { seq }, self.writes.stalled_since()),
            since(Awaited::Applied { index }, self.applier.stalled_since()),
        ];
        // A faulted instance waits for nothing.
        let is_faulted = self.fault.is_some();
        waits.into_iter().flatten().filter(move |_| !is_faulted)
    }

    /// Says once what the driver has not reported for too long.
    #[inline]
    pub(crate) fn say_overdue(&mut self, actions: &mut Vec<Action>) {
        if self.now >= self.overdue.look_at {
            self.look_for_overdue(actions);
        }
    }

    #[inline(never)]
    fn look_for_overdue(&mut self, actions: &mut Vec<Action>) {
        let timeout = self.config.election_timeout_max;
        let mut overdue = self.overdue;
        overdue.look_at = self.now.after(timeout);
        let is_due = |waiting: &Waiting| waiting.since.after(timeout * OVERDUE_AFTER) <= self.now;
        for waiting in self.waits_for().filter(is_due) {
            if overdue.note(waiting) {
                actions.push(Action::Overdue(waiting));
            }
        }
        self.overdue = overdue;
    }
}
