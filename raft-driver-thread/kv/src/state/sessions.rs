//! What lets a request that is proposed again and again run once (thesis 6.3).

use super::entry::Origin;
use super::reply::Reply;
use imbl::OrdMap;
use std::collections::BTreeSet;
use std::sync::Arc;

// These are rules of the replicated state: servers that disagreed about them would diverge.

/// How many sessions are kept. One more, and the one that was used least recently is forgotten.
pub const MAX_SESSIONS: usize = 10_000;
/// How many answers a session keeps. One more, and the one with the lowest number is forgotten.
pub const MAX_ANSWERS: usize = 10_000;
/// How many bytes of answers a session keeps. One that is longer is not kept, and for others those with
/// the lowest numbers are forgotten.
pub const MAX_SESSION_BYTES: u64 = 64 << 20;
/// How many bytes of answers all sessions keep, before those used least recently are forgotten.
pub const MAX_SESSIONS_BYTES: u64 = 1 << 30;

/// The sessions that are known. They change only by the log, so each server forgets the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    all: OrdMap<u64, Session>,
    /// Index of the last use, and number: the order in which they are forgotten.
    by_use: BTreeSet<(u64, u64)>,
    bytes: u64,
}

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The index of the last entry that belonged to it.
    pub(super) used: u64,
    /// All answers below this number are forgotten.
    pub(super) floor: u64,
    /// By the requests' numbers.
    pub(super) answers: OrdMap<u64, Kept>,
    bytes: u64,
}

/// An answer that may be asked for again.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// `None`: the request was run, but what it answered is too long to be kept.
    pub(super) replies: Option<Arc<Vec<Reply>>>,
    bytes: u64,
}

/// What there is to do with a request.
pub(super) enum Request {
    /// Its session is not known.
    NoSession,
    /// It was run, and what it answered is forgotten.
    Forgotten,
    /// It was run, and answered this.
    Repeated(Arc<Vec<Reply>>),
    /// To run it.
    New,
}

impl Sessions {
    pub(super) fn all(&self) -> &OrdMap<u64, Session> {
        &self.all
    }

    /// By the entry at `index`.
    pub(super) fn open(&mut self, index: u64, number: u64) {
        match self.all.get_mut(&number) {
            Some(session) => {
                self.by_use.remove(&(session.used, number));
                self.by_use.insert((index, number));
                session.used = index;
            }
            None => self.insert(number, Session::new(index, 0)),
        }
        self.evict();
    }

    /// Whether there was such a session.
    pub(super) fn close(&mut self, number: u64) -> bool {
        let Some(session) = self.all.remove(&number) else {
            return false;
        };
        self.by_use.remove(&(session.used, number));
        self.bytes -= session.bytes;
        true
    }

    /// A request came, by the entry at `index`.
    pub(super) fn begin(&mut self, index: u64, origin: Origin) -> Request {
        let Some(session) = self.all.get_mut(&origin.session) else {
            return Request::NoSession;
        };
        self.by_use.remove(&(session.used, origin.session));
        self.by_use.insert((index, origin.session));
        session.used = index;
        if origin.sequence < session.floor {
            return Request::Forgotten;
        }
        self.bytes -= session.raise(origin.floor.min(origin.sequence));
        match session.answers.get(&origin.sequence) {
            Some(kept) => match &kept.replies {
                Some(replies) => Request::Repeated(replies.clone()),
                None => Request::Forgotten,
            },
            None => Request::New,
        }
    }

    /// Keeps what a new request answered.
    pub(super) fn keep(&mut self, origin: Origin, replies: Arc<Vec<Reply>>) {
        let Some(session) = self.all.get_mut(&origin.session) else {
            return;
        };
        self.bytes += session.insert(origin.sequence, Some(replies));
        // Then it has two at least, so the lowest is not the greatest number that there is.
        while session.is_over() {
            let Some((lowest, _)) = session.answers.get_min() else {
                break;
            };
            let floor = lowest.saturating_add(1);
            self.bytes -= session.raise(floor);
        }
        self.evict();
    }

    /// Takes a session as it was elsewhere; of one number, the last.
    pub(super) fn insert(&mut self, number: u64, session: Session) {
        self.close(number);
        self.by_use.insert((session.used, number));
        self.bytes += session.bytes;
        self.all.insert(number, session);
    }

    fn evict(&mut self) {
        let over = |it: &Sessions| it.all.len() > MAX_SESSIONS || it.bytes > MAX_SESSIONS_BYTES;
        // The last one was used just now.
        while over(self) && self.all.len() > 1 {
            let Some((_, number)) = self.by_use.pop_first() else {
                return;
            };
            self.close(number);
        }
    }
}

impl Session {
    pub(super) fn new(used: u64, floor: u64) -> Session {
        Session {
            used,
            floor,
            answers: OrdMap::new(),
            bytes: 0,
        }
    }

    /// Keeps an answer whose number it has not; says how many bytes it takes.
    pub(super) fn insert(&mut self, sequence: u64, replies: Option<Arc<Vec<Reply>>>) -> u64 {
        let size = |replies: &Arc<Vec<Reply>>| replies.iter().map(Reply::bytes).sum();
        let replies = replies.filter(|replies| size(replies) <= MAX_SESSION_BYTES);
        let bytes = replies.as_ref().map_or(0, size);
        self.bytes += bytes;
        self.answers.insert(sequence, Kept { replies, bytes });
        bytes
    }

    fn is_over(&self) -> bool {
        let many = self.bytes > MAX_SESSION_BYTES && self.answers.len() > 1;
        many || self.answers.len() > MAX_ANSWERS
    }

    /// Forgets what is below the floor; says how many bytes that were.
    fn raise(&mut self, floor: u64) -> u64 {
        self.floor = self.floor.max(floor);
        let before = self.bytes;
        while let Some((sequence, kept)) = self.answers.get_min() {
            if *sequence >= self.floor {
                break;
            }
            let (sequence, bytes) = (*sequence, kept.bytes);
            self.bytes -= bytes;
            self.answers.remove(&sequence);
        }
        before - self.bytes
    }
}
