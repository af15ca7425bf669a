//! What a driver has measured beside the core's events: the times of its other threads.
//!
//! A recording holds each event of the core at the time at which the core took it. How long a
//! command waited before that, when a sync began and when the state machine had applied an entry,
//! no event says. `raft-driver-thread` writes that beside each recording, into a text of the same
//! name that ends in `.rafttimes`. Without it the stages are those that the core saw.
//!
//! The first line is `raft-times 1`. Then comes one fact a line; times are nanoseconds of the
//! node's clock, and lines that begin with another word are skipped:
//!
//! | line | meaning |
//! |---|---|
//! | `proposal ID GIVEN` | the oldest command of the proposal with this id was given to the driver at GIVEN |
//! | `sync FIRST LAST BEGIN END` | the writes with these numbers were written and synced together |
//! | `apply LAST BEGIN END` | the state machine applied entries, the last of which has this index |

use raft_proto::{Index, RequestId, Seq, Time};
use rustc_hash::FxHashMap;

/// The first line.
const HEADER: &str = "raft-times 1";

/// What a driver has measured of one instance.
#[derive(Debug, Default)]
pub(super) struct Notes {
    given: FxHashMap<RequestId, Time>,
    /// By the last write, with the first.
    syncs: Vec<(Seq, Seq, Lasted)>,
    /// By the last entry.
    applies: Vec<(Index, Lasted)>,
}

/// From when until when something lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lasted {
    pub(super) begin: Time,
    pub(super) end: Time,
}

impl Notes {
    /// Adds what a file says. Returns whether it is such a file.
    pub(super) fn read(&mut self, file: &[u8]) -> bool {
        let text = String::from_utf8_lossy(file);
        let mut lines = text.split_inclusive('\n');
        if lines.next().map(str::trim_end) != Some(HEADER) {
            return false;
        }
        // The last line may be cut off, as when the process was killed.
        for line in lines.filter(|line| line.ends_with('\n')) {
            let mut words = line.split_whitespace();
            let word = words.next().unwrap_or_default();
            let numbers: Option<Vec<u64>> = words.map(|word| word.parse().ok()).collect();
            self.note(word, &numbers.unwrap_or_default());
        }
        self.syncs.sort_by_key(|(last, _, _)| *last);
        self.applies.sort_by_key(|(last, _)| *last);
        true
    }

    fn note(&mut self, word: &str, numbers: &[u64]) {
        let lasted = |begin: u64, end: u64| Lasted {
            begin: Time(begin),
            end: Time(end.max(begin)),
        };
        match (word, numbers) {
            ("proposal", [id, given]) => {
                self.given.insert(RequestId(*id), Time(*given));
            }
            ("sync", [first, last, begin, end]) => {
                let lasted = lasted(*begin, *end);
                self.syncs.push((Seq(*last), Seq(*first), lasted));
            }
            ("apply", [last, begin, end]) => {
                self.applies.push((Index(*last), lasted(*begin, *end)));
            }
            // Of a later release.
            (_, _) => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty() && self.syncs.is_empty() && self.applies.is_empty()
    }

    /// When the oldest command of a proposal was given to the driver.
    pub(super) fn given(&self, id: RequestId) -> Option<Time> {
        self.given.get(&id).copied()
    }

    /// The sync that made a write durable.
    pub(super) fn sync_of(&self, seq: Seq) -> Option<Lasted> {
        let at = self.syncs.partition_point(|(last, _, _)| *last < seq);
        let (_, first, lasted) = self.syncs.get(at)?;
        (*first <= seq).then_some(*lasted)
    }

    /// When the state machine applied an entry, together with those beside it.
    pub(super) fn applying(&self, index: Index) -> Option<Lasted> {
        let at = self.applies.partition_point(|(last, _)| *last < index);
        self.applies.get(at).map(|(_, lasted)| *lasted)
    }
}
