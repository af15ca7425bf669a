//! The check of a history while it happens.

use super::model::Model;
use super::track::{Progress, Track};
use super::verdict::{GivenUp, NotLinearizable, Verdict, Why};
use core::fmt;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use thiserror::Error;

/// How much a [`Checker`] may spend on each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations that are gathered before they are checked.
    pub stretch: usize,
    /// States explored in one check.
    pub states: u64,
    /// Operations of unknown outcome carried along.
    pub unknown: usize,
}

impl Default for Limits {
    /// Stretches of 64 operations, a million states, which is some 100 MB at worst, and 1024
    /// operations of unknown outcome.
    fn default() -> Limits {
        Limits {
            stretch: 64,
            states: 1 << 20,
            unknown: 1024,
        }
    }
}

/// An operation in a [`Checker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(u64);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a [`Checker`] does not accept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckerError<M: Model> {
    /// No order explains the history.
    #[error(transparent)]
    NotLinearizable(Box<NotLinearizable<M>>),
    /// What happens later has to be told later.
    #[error("time goes back from {from} to {to}")]
    TimeGoesBack {
        /// The time of the last event.
        from: u64,
        /// The time of this one.
        to: u64,
    },
    /// The operation did not begin, or has an outcome already.
    #[error("operation {0} is not outstanding")]
    NotOutstanding(OperationId),
}

/// Checks a history while it happens, in the order of time, and forgets what it has checked.
///
/// A key's history is cut into stretches. A cut can be made wherever no operation is outstanding;
/// what is left of all before it is the set of states in which it may have ended. That would
/// never happen on a busy key, so that a cut is made also where operations are under way whose
/// outcomes have come to be known since. What is left then is a set of states, each with those of
/// these operations that have taken effect in it. Either way nothing is lost: the verdict is that
/// of a check of the whole.
///
/// So it keeps of each key the outstanding operations, those that began after the first of them,
/// a stretch more, and the operations of unknown outcome. The latter never end, so their number
/// is limited, as is the work on one stretch ([`Limits`]). Beyond a limit a key is given up: its
/// operations are no longer looked at, and the verdict can no longer be
/// [`Verdict::Linearizable`]. A violation is never invented. Histories with many operations of
/// unknown outcome should move on to fresh keys from time to time.
///
/// A violation is found about a stretch after it happened, or by [`finish`](Checker::finish).
#[derive(Clone, Debug)]
pub struct Checker<M: Model> {
    limits: Limits,
    tracks: BTreeMap<M::Key, Track<M>>,
    outstanding: FxHashMap<u64, M::Key>,
    /// Those of unknown outcome that may still take effect.
    unknown: FxHashMap<u64, M::Key>,
    begun: u64,
    now: u64,
    given_up: BTreeMap<M::Key, Why>,
    violation: Option<Box<NotLinearizable<M>>>,
}

impl<M: Model> Default for Checker<M> {
    fn default() -> Checker<M> {
        Checker::new(Limits::default())
    }
}

impl<M: Model> Checker<M> {
    /// A checker that has seen nothing.
    pub fn new(limits: Limits) -> Checker<M> {
        Checker {
            limits,
            tracks: BTreeMap::new(),
            outstanding: FxHashMap::default(),
            unknown: FxHashMap::default(),
            begun: 0,
            now: 0,
            given_up: BTreeMap::new(),
            violation: None,
        }
    }

    /// An operation begins. `client` is only for explanations.
    ///
    /// # Errors
    ///
    /// If time goes back, or a violation has been found before.
    pub fn invoke(
        &mut self,
        client: u64,
        key: M::Key,
        input: M::Input,
        now: u64,
    ) -> Result<OperationId, CheckerError<M>> {
        self.proceed(now)?;
        let id = self.begun;
        self.begun += 1;
        if !self.given_up.contains_key(&key) {
            let new = || Track::new(self.limits.stretch);
            let track = self.tracks.entry(key.clone()).or_insert_with(new);
            track.invoke(id, client, input, now);
        }
        self.outstanding.insert(id, key);
        Ok(OperationId(id))
    }

    /// An operation is answered.
    ///
    /// # Errors
    ///
    /// If it is not outstanding, if time goes back, or if a violation is or has been found.
    pub fn complete(
        &mut self,
        id: OperationId,
        output: M::Output,
        now: u64,
    ) -> Result<(), CheckerError<M>> {
        self.proceed(now)?;
        let key = self.outstanding.remove(&id.0);
        let key = key.ok_or(CheckerError::NotOutstanding(id))?;
        if let Some(track) = self.tracks.get_mut(&key) {
            track.complete(id.0, output, now);
        }
        self.advance(key)
    }

    /// The outcome of an operation will never be known: it may take effect at any time since it
    /// began, or never.
    ///
    /// # Errors
    ///
    /// If it is not outstanding, or if a violation is or has been found.
    pub fn unknown(&mut self, id: OperationId) -> Result<(), CheckerError<M>> {
        self.proceed(self.now)?;
        let key = self.outstanding.remove(&id.0);
        let key = key.ok_or(CheckerError::NotOutstanding(id))?;
        if let Some(track) = self.tracks.get_mut(&key) {
            track.unknown(id.0);
            self.unknown.insert(id.0, key.clone());
        }
        self.advance(key)
    }

    /// An operation of unknown outcome can no longer take effect: if it ever did, it was before
    /// `now`. A service that knows its clients' sessions can promise that. Does nothing to any
    /// other operation.
    ///
    /// It is forgotten when an operation that began after `now` has been checked, if that one is
    /// no read and somebody saw what it wrote: until then it may still explain too much, and never
    /// too little.
    ///
    /// Without it such an operation is carried along for ever, and the more there are, the harder
    /// a history is to check.
    pub fn expire(&mut self, id: OperationId, now: u64) {
        let key = self.unknown.remove(&id.0);
        if let Some(track) = key.and_then(|key| self.tracks.get_mut(&key)) {
            track.expire(id.0, now);
        }
    }

    /// An operation was refused: it took no effect, and will not.
    ///
    /// # Errors
    ///
    /// If it is not outstanding, or if a violation is or has been found.
    pub fn refused(&mut self, id: OperationId) -> Result<(), CheckerError<M>> {
        self.proceed(self.now)?;
        let key = self.outstanding.remove(&id.0);
        let key = key.ok_or(CheckerError::NotOutstanding(id))?;
        if let Some(track) = self.tracks.get_mut(&key) {
            track.never(id.0);
        }
        self.advance(key)
    }

    /// The history is over; the outcome of what is outstanding will never be known.
    pub fn finish(mut self) -> Verdict<M> {
        if let Some(violation) = self.violation {
            return Verdict::NotLinearizable(violation);
        }
        for (key, track) in &mut self.tracks {
            match track.finish(key, self.limits.states) {
                Progress::Fine => {}
                Progress::NotLinearizable(violation) => {
                    return Verdict::NotLinearizable(violation);
                }
                Progress::GivenUp(why) => {
                    self.given_up.insert(key.clone(), why);
                }
            }
        }
        if self.given_up.is_empty() {
            return Verdict::Linearizable;
        }
        let given_up = self.given_up.into_iter();
        Verdict::Unknown(given_up.map(|(key, why)| GivenUp { key, why }).collect())
    }

    /// How many operations are remembered, of all keys.
    pub fn remembered(&self) -> usize {
        self.tracks.values().map(Track::remembered).sum()
    }

    fn proceed(&mut self, now: u64) -> Result<(), CheckerError<M>> {
        if let Some(violation) = &self.violation {
            return Err(CheckerError::NotLinearizable(violation.clone()));
        }
        if now < self.now {
            let (from, to) = (self.now, now);
            return Err(CheckerError::TimeGoesBack { from, to });
        }
        self.now = now;
        Ok(())
    }

    /// Checks what can be checked on this key, if that is enough to be worthwhile.
    fn advance(&mut self, key: M::Key) -> Result<(), CheckerError<M>> {
        let Some(track) = self.tracks.get_mut(&key) else {
            return Ok(());
        };
        let progress = if track.unknown_count() > self.limits.unknown {
            Progress::GivenUp(Why::UnknownOutcomes)
        } else if track.is_due() {
            track.advance(&key, self.now, self.limits.states)
        } else {
            Progress::Fine
        };
        match progress {
            Progress::Fine => Ok(()),
            Progress::NotLinearizable(violation) => {
                self.violation = Some(violation.clone());
                Err(CheckerError::NotLinearizable(violation))
            }
            Progress::GivenUp(why) => {
                self.tracks.remove(&key);
                self.given_up.insert(key, why);
                Ok(())
            }
        }
    }
}
