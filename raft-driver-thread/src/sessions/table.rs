//! What the state machine remembers of its clients.

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::Xxh3;

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

/// Identifies a request, so that a repetition is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The session.
    pub session: u64,
    /// The request's number in the session.
    pub sequence: u64,
    /// No request below this number will be repeated, so their answers can be forgotten. At most
    /// `sequence`.
    pub floor: u64,
}

/// An answer as a session keeps it.
pub trait KeptAnswer: Clone {
    /// About how many bytes of memory it takes.
    ///
    /// A rule of the replicated state, like the limits: which answers are forgotten depends on it.
    fn bytes(&self) -> u64;

    /// A digest of the answer to the request of this number; `None`: the answer was too long to be
    /// kept. Equal for what counts as the same answer, on every node.
    fn digest(sequence: u64, answer: Option<&Self>) -> u128;
}

/// All sessions, with the answers that they keep. They change only by the log, so every node
/// forgets the same.
#[derive(Clone, Debug)]
pub struct SessionTable<A> {
    /// By number.
    all: OrdMap<u64, SessionState<A>>,
    /// The order in which sessions are evicted.
    by_last_use: BTreeSet<LastUse>,
    /// The bytes of all answers.
    bytes: u64,
    /// The sum of the sessions' digests.
    digest: u128,
}

/// The sessions at one moment.
#[derive(Clone, Debug)]
pub struct TableSnapshot<A>(OrdMap<u64, SessionState<A>>);

impl<A: Clone> TableSnapshot<A> {
    /// The sessions by their numbers, which rise.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &SessionState<A>)> {
        self.0.iter().map(|(number, session)| (*number, session))
    }
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
pub struct SessionState<A> {
    used: u64,
    floor: u64,
    /// By the requests' numbers.
    answers: OrdMap<u64, Kept<A>>,
    /// The bytes of all answers.
    bytes: u64,
    /// The sum of their digests.
    digest: u128,
}

/// The answer of a request that may be repeated.
#[derive(Clone, Debug)]
struct Kept<A> {
    /// `None`: the request was run, but its answer was too long to be kept.
    answer: Option<A>,
    bytes: u64,
    digest: u128,
}

/// What a session knows of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState<A> {
    /// There is no such session.
    NoSession,
    /// The request is below the floor, and is not to be run any more; or it was run, and its answer
    /// was too long to be kept.
    Forgotten,
    /// The request was run, and this was answered.
    Completed(A),
    /// The request has not been run: run it.
    New,
}

impl<A> Default for SessionTable<A> {
    fn default() -> SessionTable<A> {
        SessionTable {
            all: OrdMap::new(),
            by_last_use: BTreeSet::new(),
            bytes: 0,
            digest: 0,
        }
    }
}

impl<A: KeptAnswer> SessionTable<A> {
    /// The sessions as they are now, for a snapshot that is written while the table goes on. Costs next
    /// to nothing: it shares its parts with the table.
    pub fn snapshot(&self) -> TableSnapshot<A> {
        TableSnapshot(self.all.clone())
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The session with the greatest number.
    pub fn last(&self) -> Option<(u64, &SessionState<A>)> {
        let (number, session) = self.all.get_max()?;
        Some((*number, session))
    }

    /// The sum of the digests of all sessions with their answers.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// Changes a session, and its digest; `None` if there is no such session.
    fn change<T>(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut SessionState<A>) -> T,
    ) -> Option<T> {
        let session = self.all.get_mut(&number)?;
        let taken_away = self.digest.wrapping_sub(session.digest(number));
        let changed = change(session);
        self.digest = taken_away.wrapping_add(session.digest(number));
        Some(changed)
    }

    /// Opens a session, or uses the one with this number, by the entry at `index`.
    ///
    /// One that is made now has forgotten the requests below `floor`. It is 0 if sessions never have
    /// the number of an earlier one.
    pub fn open(&mut self, index: u64, number: u64, floor: u64) {
        if self.touch(index, number).is_none() {
            self.insert(number, SessionState::new(index, floor));
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

    /// Forgets a session and its answers. Returns whether there was such a session.
    pub fn close(&mut self, number: u64) -> bool {
        let Some(session) = self.all.remove(&number) else {
            return false;
        };
        self.by_last_use.remove(&session.last_use(number));
        self.bytes -= session.bytes;
        self.digest = self.digest.wrapping_sub(session.digest(number));
        true
    }

    /// Looks up the request of the entry at `index`, and raises its session's floor.
    pub fn begin(&mut self, index: u64, origin: Origin) -> RequestState<A> {
        let used = self.touch(index, origin.session);
        let Some(session) = used.and_then(|()| self.all.get(&origin.session)) else {
            return RequestState::NoSession;
        };
        if origin.sequence < session.floor {
            return RequestState::Forgotten;
        }
        let begun = self.change(origin.session, |session| {
            let before = session.bytes;
            session.raise_floor(origin.floor.min(origin.sequence));
            (before - session.bytes, session.state_of(origin.sequence))
        });
        let Some((freed, state)) = begun else {
            return RequestState::NoSession;
        };
        self.bytes -= freed;
        state
    }

    /// Keeps the answer of a request that was [new](RequestState::New), and evicts what is over the
    /// limits. `None`: the request was run, and its answer cannot be kept.
    ///
    /// An answer that is there already is replaced. One below the floor, which a later request may
    /// have raised meanwhile, is not kept.
    pub fn keep_answer(&mut self, origin: Origin, answer: Option<A>) {
        let bytes = self.change(origin.session, |session| {
            let before = session.bytes;
            if origin.sequence >= session.floor {
                session.insert(origin.sequence, answer);
                session.keep_to_limits();
            }
            (before, session.bytes)
        });
        let Some((before, after)) = bytes else {
            return;
        };
        self.bytes = self.bytes - before + after;
        self.evict();
    }

    /// Adds a session as it is, in the place of one with the same number.
    pub fn insert(&mut self, number: u64, session: SessionState<A>) {
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

impl<A: KeptAnswer> SessionState<A> {
    /// A session without answers, as a snapshot has it: `used` is the index of the last entry that
    /// belonged to it, and `floor` the number below which answers are forgotten.
    pub fn new(used: u64, floor: u64) -> SessionState<A> {
        SessionState {
            used,
            floor,
            answers: OrdMap::new(),
            bytes: 0,
            digest: 0,
        }
    }

    /// The index of the last entry that belonged to it.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The answers below this number are forgotten.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The answers that it keeps, by the requests' numbers, which rise. `None` is that of a request
    /// which was run, and whose answer was too long to be kept.
    pub fn answers(&self) -> impl DoubleEndedIterator<Item = (u64, Option<&A>)> {
        let answers = self.answers.iter();
        answers.map(|(sequence, kept)| (*sequence, kept.answer.as_ref()))
    }

    /// How many there are.
    pub fn answer_count(&self) -> usize {
        self.answers.len()
    }

    fn digest(&self, number: u64) -> u128 {
        let numbers: [u128; 4] = [
            number.into(),
            self.used.into(),
            self.floor.into(),
            self.digest,
        ];
        let mut hasher = Xxh3::new();
        let digest = |number: &u128| hasher.update(&number.to_le_bytes());
        numbers.iter().for_each(digest);
        hasher.digest128()
    }

    fn state_of(&self, sequence: u64) -> RequestState<A> {
        match self.answers.get(&sequence) {
            Some(kept) => match &kept.answer {
                Some(answer) => RequestState::Completed(answer.clone()),
                None => RequestState::Forgotten,
            },
            None => RequestState::New,
        }
    }

    /// Forgets answers until it is within its limits.
    fn keep_to_limits(&mut self) {
        // A session over its limits has at least two answers, so the lowest number plus one does
        // not overflow.
        while self.is_over_limits() {
            let Some((lowest, _)) = self.answers.get_min() else {
                break;
            };
            let floor = lowest.saturating_add(1);
            self.raise_floor(floor);
        }
    }

    fn last_use(&self, number: u64) -> LastUse {
        LastUse {
            index: self.used,
            number,
        }
    }

    /// Keeps an answer, in the place of one with the same number, without a look at the floor and
    /// the limits: for a session that is read from a snapshot.
    pub fn insert(&mut self, sequence: u64, answer: Option<A>) {
        let answer = answer.filter(|answer| answer.bytes() <= MAX_SESSION_BYTES);
        let bytes = answer.as_ref().map_or(0, A::bytes);
        self.bytes += bytes;
        let digest = A::digest(sequence, answer.as_ref());
        self.digest = self.digest.wrapping_add(digest);
        let kept = Kept {
            answer,
            bytes,
            digest,
        };
        if let Some(replaced) = self.answers.insert(sequence, kept) {
            self.bytes -= replaced.bytes;
            self.digest = self.digest.wrapping_sub(replaced.digest);
        }
    }

    fn is_over_limits(&self) -> bool {
        let has_too_many_bytes = self.bytes > MAX_SESSION_BYTES && self.answers.len() > 1;
        has_too_many_bytes || self.answers.len() > MAX_ANSWERS
    }

    /// Raises the floor, and forgets the answers below it.
    fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        while let Some((sequence, kept)) = self.answers.get_min() {
            if *sequence >= self.floor {
                break;
            }
            let (sequence, bytes) = (*sequence, kept.bytes);
            self.bytes -= bytes;
            self.digest = self.digest.wrapping_sub(kept.digest);
            self.answers.remove(&sequence);
        }
    }
}
