//! The check of a history while it happens.

use super::model::Model;
use super::track::{Progress, Track};
use super::verdict::{Exceeded, GivenUp, NotLinearizable, Verdict};
use core::fmt;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use thiserror::Error;

/// How much work and memory a [`Checker`] may spend on each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations that are collected before they are checked.
    pub stretch: usize,
    /// States that one check may explore.
    pub states: u64,
    /// Operations of unknown outcome that are remembered.
    pub unknown: usize,
}

impl Default for Limits {
    /// Stretches of 64 operations, a million states (about 100 MB at worst), and 1024 operations of
    /// unknown outcome.
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

#[cfg(feature = "kit")]
impl OperationId {
    /// For a history that is kept without a checker.
    pub(crate) fn numbered(number: u64) -> OperationId {
        OperationId(number)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a [`Checker`] refuses an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckerError<M: Model> {
    /// No order explains the history.
    #[error(transparent)]
    NotLinearizable(Box<NotLinearizable<M>>),
    /// Events must be reported in the order of time.
    #[error("time goes back from {from} to {to}")]
    TimeGoesBack {
        /// The time of the last event.
        from: u64,
        /// The time of this one.
        to: u64,
    },
    /// The operation has not begun, or already has an outcome.
    #[error("operation {0} is not outstanding")]
    NotOutstanding(OperationId),
}

/// Checks a history while it happens, in the order of time, and forgets what it has checked.
///
/// The history of a key is cut into stretches. The simplest place for a cut is one where no
/// operation is outstanding: of all before it, only the set of states in which it may have ended
/// must be remembered. On a busy key that never happens, so a cut is also made where operations are
/// under way whose outcomes have become known since. Then each remembered state comes with those of
/// these operations that have taken effect in it. Either way nothing is lost: the verdict is the
/// same as of a check of the complete history.
///
/// So the checker remembers, for each key, the outstanding operations, those that began after the
/// first of them, one more stretch, and the operations of unknown outcome. The latter never end, so
/// their number is limited, and so is the work on one stretch ([`Limits`]). Beyond a limit a key is
/// given up: its operations are no longer checked, and the verdict can no longer be
/// [`Verdict::Linearizable`]. A violation is never invented. Histories with many operations of
/// unknown outcome should move on to fresh keys from time to time.
///
/// A violation is found about a stretch after it happened, or by [`finish`](Checker::finish).
#[derive(Clone, Debug)]
pub struct Checker<M: Model> {
    limits: Limits,
    tracks: BTreeMap<M::Key, Track<M>>,
    outstanding: FxHashMap<u64, M::Key>,
    /// The operations of unknown outcome that may still take effect.
    unknown: FxHashMap<u64, M::Key>,
    begun: u64,
    now: u64,
    given_up: BTreeMap<M::Key, Exceeded>,
    violation: Option<Box<NotLinearizable<M>>>,
}

impl<M: Model> Default for Checker<M> {
    fn default() -> Checker<M> {
        Checker::new(Limits::default())
    }
}

impl<M: Model> Checker<M> {
    /// A checker of an empty history.
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

    /// An operation of unknown outcome can no longer take effect: if it did, that was before `now`.
    /// A service that knows the sessions of its clients can promise that. Other operations are not
    /// changed by this call.
    ///
    /// The operation is forgotten when an operation that began after `now` has been checked, if
    /// that is a write whose value somebody saw. Until then it may explain too much, never too
    /// little.
    ///
    /// Without this call, an operation of unknown outcome is remembered for ever, and the more
    /// there are, the harder a history is to check.
    pub fn expire(&mut self, id: OperationId, now: u64) {
        let key = self.unknown.remove(&id.0);
        if let Some(track) = key.and_then(|key| self.tracks.get_mut(&key)) {
            track.expire(id.0, now);
        }
    }

    /// An operation was refused: it has not taken effect, and never will.
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

    /// The history is over. The outcomes of outstanding operations will never be known.
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
                Progress::GivenUp(exceeded) => {
                    self.given_up.insert(key.clone(), exceeded);
                }
            }
        }
        if self.given_up.is_empty() {
            return Verdict::Linearizable;
        }
        let given_up = self.given_up.into_iter();
        Verdict::Unknown(
            given_up
                .map(|(key, exceeded)| GivenUp { key, exceeded })
                .collect(),
        )
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

    /// Checks this key, if enough operations have been collected.
    fn advance(&mut self, key: M::Key) -> Result<(), CheckerError<M>> {
        let Some(track) = self.tracks.get_mut(&key) else {
            return Ok(());
        };
        let progress = if track.unknown_count() > self.limits.unknown {
            Progress::GivenUp(Exceeded::UnknownOutcomes)
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
            Progress::GivenUp(exceeded) => {
                self.tracks.remove(&key);
                self.given_up.insert(key, exceeded);
                Ok(())
            }
        }
    }
}
