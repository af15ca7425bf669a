//! Sessions: the commands that each client has run, and their answers (thesis section 6.3).

use super::command::{Answer, SessionId};
use super::outcome::Outcome;
use raft_proto::Index;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many answers a session keeps. A client must not have more commands under way.
pub const SESSION_ANSWERS: usize = 64;

/// The sessions that are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sessions {
    most: u32,
    open: BTreeMap<SessionId, Session>,
}

/// The session of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// The last entry that was its command, or opened it.
    last_used: Index,
    /// Commands with lower sequences are not run any more.
    lowest: u64,
    /// Answers by sequence, rising, from `lowest` on. Most commands come in order, so most answers
    /// are pushed at the end and dropped at the beginning.
    answers: VecDeque<(u64, Answer)>,
}

impl Sessions {
    pub(super) fn new(most: u32) -> Sessions {
        Sessions {
            most: most.max(1),
            open: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn most(&self) -> u32 {
        self.most
    }

    /// The entry at `index` opens a session. If that is one too many, another one is closed.
    pub(super) fn open(&mut self, index: Index) -> SessionId {
        let id = SessionId(index.0);
        let session = Session {
            last_used: index,
            lowest: 0,
            answers: VecDeque::new(),
        };
        self.open.insert(id, session);
        if self.open.len() as u64 > u64::from(self.most) {
            let sessions = self.open.iter();
            let oldest = sessions.min_by_key(|(_, session)| session.last_used);
            if let Some((&oldest, _)) = oldest {
                self.open.remove(&oldest);
            }
        }
        id
    }

    /// The session that the command at `index` uses, if it is open.
    pub(super) fn used(&mut self, id: SessionId, index: Index) -> Option<&mut Session> {
        let session = self.open.get_mut(&id)?;
        session.last_used = index;
        Some(session)
    }

    /// Whether a service that has applied all up to `last` can have these sessions.
    pub(super) fn are_possible(&self, last: Index) -> bool {
        let uses: BTreeSet<Index> = self.open.values().map(|open| open.last_used).collect();
        self.most > 0
            && self.open.len() as u64 <= u64::from(self.most)
            && uses.len() == self.open.len()
            && self.open.iter().all(|(id, session)| {
                let used = Index(id.0.max(1))..=last;
                used.contains(&session.last_used) && session.is_possible()
            })
    }
}

impl Session {
    /// The client has the answers to all sequences below `answered_below`.
    pub(super) fn forget_below(&mut self, answered_below: u64) {
        self.lowest = self.lowest.max(answered_below);
        while let Some((sequence, _)) = self.answers.front()
            && *sequence < self.lowest
        {
            self.answers.pop_front();
        }
    }

    /// The position of a sequence among the answers, or the position where it belongs.
    fn place(&self, sequence: u64) -> Result<usize, usize> {
        match self.answers.back() {
            Some((last, _)) if *last < sequence => Err(self.answers.len()),
            Some(_) | None => self.answers.binary_search_by_key(&sequence, |(at, _)| *at),
        }
    }

    /// The outcome of a command that may have run before; `None` if it certainly has not.
    pub(super) fn recall(&self, sequence: u64) -> Option<(Outcome, Answer)> {
        if sequence < self.lowest {
            return Some((Outcome::Refused, Answer::Forgotten));
        }
        let place = self.place(sequence).ok()?;
        let (_, answer) = self.answers.get(place)?;
        Some((Outcome::Repeated, answer.clone()))
    }

    /// A command was run for the first time.
    pub(super) fn remember(&mut self, sequence: u64, answer: Answer) {
        if let Err(place) = self.place(sequence) {
            self.answers.insert(place, (sequence, answer));
        }
        if self.answers.len() > SESSION_ANSWERS
            && let Some((forgotten, _)) = self.answers.pop_front()
        {
            // There are higher sequences, so this does not saturate.
            self.lowest = forgotten.saturating_add(1);
        }
    }

    fn is_possible(&self) -> bool {
        let sequences = self.answers.iter().map(|(sequence, _)| *sequence);
        self.answers.len() <= SESSION_ANSWERS
            && sequences.clone().is_sorted_by(|one, next| one < next)
            && sequences.min().is_none_or(|first| self.lowest <= first)
            && self.answers.iter().all(|(_, answer)| match answer {
                Answer::Value(_)
                | Answer::Done
                | Answer::Swapped(_)
                | Answer::Called(_)
                | Answer::NotServed => true,
                Answer::Opened(_) | Answer::UnknownSession | Answer::Forgotten => false,
            })
    }
}
