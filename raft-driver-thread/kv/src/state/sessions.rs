//! Sessions: a request that is proposed several times runs once (thesis 6.3).
//!
//! A session remembers the answers of its requests by their numbers. The client says up to which
//! number it has its answers (the floor), and these are forgotten. The limits below bound the
//! memory; they are rules of the replicated state, because servers that disagreed about them would
//! diverge.

use super::digest;
use super::payload::Origin;
use super::reply::Reply;
use imbl::OrdMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many sessions are kept. Beyond it, the least recently used session is evicted.
pub const MAX_SESSIONS: usize = 10_000;
/// How many answers a session keeps. Beyond it, the answer with the lowest number is forgotten.
pub const MAX_ANSWERS: usize = 10_000;
/// How many bytes of answers a session keeps. Beyond it, the answers with the lowest numbers are
/// forgotten. A single longer answer is not kept at all.
pub const MAX_SESSION_BYTES: u64 = 64 << 20;
/// How many bytes of answers all sessions keep together. Beyond it, the least recently used
/// sessions are evicted.
pub const MAX_SESSIONS_BYTES: u64 = 1 << 30;

/// All sessions. They change only by the log, so every server forgets the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    /// By number.
    all: OrdMap<u64, Session>,
    /// The order in which sessions are evicted.
    by_last_use: BTreeSet<LastUse>,
    /// The bytes of all answers.
    bytes: u64,
    /// The sum of the sessions' digests.
    digest: u128,
}

/// When a session was used last. The order is that of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LastUse {
    /// The index of the entry.
    index: u64,
    /// The session's number.
    number: u64,
}

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The index of the last entry that belonged to it.
    pub(super) used: u64,
    /// The answers below this number are forgotten.
    pub(super) floor: u64,
    /// By the requests' numbers.
    pub(super) answers: OrdMap<u64, KeptAnswer>,
    /// The bytes of all answers.
    bytes: u64,
    /// The sum of their digests.
    digest: u128,
}

/// The answer of a request that may be repeated.
#[derive(Clone, Debug)]
pub(super) struct KeptAnswer {
    /// `None`: the request was run, but its answer was too long to be kept.
    pub(super) replies: Option<Arc<Vec<Reply>>>,
    bytes: u64,
    digest: u128,
}

/// What a session knows of a request.
pub(super) enum RequestState {
    /// There is no such session.
    NoSession,
    /// The request is below the floor, or its answer was too long to be kept.
    Forgotten,
    /// The request was run, with these replies.
    Completed(Arc<Vec<Reply>>),
    /// The request has not been run: run it.
    New,
}

impl Sessions {
    pub(super) fn all(&self) -> &OrdMap<u64, Session> {
        &self.all
    }

    /// The sum of the digests of all sessions with their answers.
    pub(super) fn digest(&self) -> u128 {
        self.digest
    }

    /// Changes a session, and its digest; `None` if there is no such session.
    fn change<T>(&mut self, number: u64, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let session = self.all.get_mut(&number)?;
        let taken_away = self.digest.wrapping_sub(session.digest(number));
        let changed = change(session);
        self.digest = taken_away.wrapping_add(session.digest(number));
        Some(changed)
    }

    /// Opens a session, or uses the one with this number, by the entry at `index`.
    pub(super) fn open(&mut self, index: u64, number: u64) {
        if self.touch(index, number).is_none() {
            self.insert(number, Session::new(index, 0));
        }
        self.evict();
    }

    /// The entry at `index` has used the session; `None` if there is no such session.
    fn touch(&mut self, index: u64, number: u64) -> Option<()> {
        let before = self.all.get(&number)?.last_use(number);
        self.by_last_use.remove(&before);
        self.change(number, |session| session.used = index);
        self.by_last_use.insert(LastUse { index, number });
        Some(())
    }

    /// Returns whether there was such a session.
    pub(super) fn close(&mut self, number: u64) -> bool {
        let Some(session) = self.all.remove(&number) else {
            return false;
        };
        self.by_last_use.remove(&session.last_use(number));
        self.bytes -= session.bytes;
        self.digest = self.digest.wrapping_sub(session.digest(number));
        true
    }

    /// Looks up the request of the entry at `index`, and raises its session's floor.
    pub(super) fn begin(&mut self, index: u64, origin: Origin) -> RequestState {
        let used = self.touch(index, origin.session);
        let Some(session) = used.and_then(|()| self.all.get(&origin.session)) else {
            return RequestState::NoSession;
        };
        if origin.sequence < session.floor {
            return RequestState::Forgotten;
        }
        let begun = self.change(origin.session, |session| {
            let freed = session.raise_floor(origin.floor.min(origin.sequence));
            (freed, session.state_of(origin.sequence))
        });
        let Some((freed, state)) = begun else {
            return RequestState::NoSession;
        };
        self.bytes -= freed;
        state
    }

    /// Keeps the answer of a request that was [new](RequestState::New).
    pub(super) fn keep_answer(&mut self, origin: Origin, replies: Arc<Vec<Reply>>) {
        let kept = self.change(origin.session, |session| {
            let added = session.insert(origin.sequence, Some(replies));
            (added, session.keep_to_limits())
        });
        let Some((added, freed)) = kept else {
            return;
        };
        self.bytes = self.bytes + added - freed;
        self.evict();
    }

    /// Adds a session as it is, in the place of one with the same number.
    pub(super) fn insert(&mut self, number: u64, session: Session) {
        self.close(number);
        self.by_last_use.insert(session.last_use(number));
        self.bytes += session.bytes;
        self.digest = self.digest.wrapping_add(session.digest(number));
        self.all.insert(number, session);
    }

    fn evict(&mut self) {
        // The session that is left at the end was used just now.
        while self.is_over_limits() && self.all.len() > 1 {
            let Some(oldest) = self.by_last_use.pop_first() else {
                return;
            };
            self.close(oldest.number);
        }
    }

    fn is_over_limits(&self) -> bool {
        self.all.len() > MAX_SESSIONS || self.bytes > MAX_SESSIONS_BYTES
    }
}

impl Session {
    pub(super) fn new(used: u64, floor: u64) -> Session {
        Session {
            used,
            floor,
            answers: OrdMap::new(),
            bytes: 0,
            digest: 0,
        }
    }

    fn digest(&self, number: u64) -> u128 {
        digest::session(number, self.used, self.floor, self.digest)
    }

    fn state_of(&self, sequence: u64) -> RequestState {
        match self.answers.get(&sequence) {
            Some(kept) => match &kept.replies {
                Some(replies) => RequestState::Completed(replies.clone()),
                None => RequestState::Forgotten,
            },
            None => RequestState::New,
        }
    }

    /// Forgets answers until it is within its limits. Returns how many bytes they took.
    fn keep_to_limits(&mut self) -> u64 {
        let mut freed = 0;
        // A session over its limits has at least two answers, so the lowest number plus one does
        // not overflow.
        while self.is_over_limits() {
            let Some((lowest, _)) = self.answers.get_min() else {
                break;
            };
            let floor = lowest.saturating_add(1);
            freed += self.raise_floor(floor);
        }
        freed
    }

    fn last_use(&self, number: u64) -> LastUse {
        LastUse {
            index: self.used,
            number,
        }
    }

    /// Keeps an answer with a new number. Returns how many bytes it takes.
    pub(super) fn insert(&mut self, sequence: u64, replies: Option<Arc<Vec<Reply>>>) -> u64 {
        let size = |replies: &Arc<Vec<Reply>>| replies.iter().map(Reply::bytes).sum();
        let replies = replies.filter(|replies| size(replies) <= MAX_SESSION_BYTES);
        let bytes = replies.as_ref().map_or(0, size);
        self.bytes += bytes;
        let digest = digest::answer(sequence, replies.as_ref().map(|it| &it[..]));
        self.digest = self.digest.wrapping_add(digest);
        let kept = KeptAnswer {
            replies,
            bytes,
            digest,
        };
        self.answers.insert(sequence, kept);
        bytes
    }

    fn is_over_limits(&self) -> bool {
        let has_too_many_bytes = self.bytes > MAX_SESSION_BYTES && self.answers.len() > 1;
        has_too_many_bytes || self.answers.len() > MAX_ANSWERS
    }

    /// Raises the floor, and forgets the answers below it. Returns how many bytes they took.
    fn raise_floor(&mut self, floor: u64) -> u64 {
        self.floor = self.floor.max(floor);
        let before = self.bytes;
        while let Some((sequence, kept)) = self.answers.get_min() {
            if *sequence >= self.floor {
                break;
            }
            let (sequence, bytes) = (*sequence, kept.bytes);
            self.bytes -= bytes;
            self.digest = self.digest.wrapping_sub(kept.digest);
            self.answers.remove(&sequence);
        }
        before - self.bytes
    }
}
