//! One key of a history that goes on.

use super::bits::Bits;
use super::history::Operation;
use super::model::Model;
use super::problem::{Config, Known, Open, Outcome, Segment, Step, Stuck, Wanted, add_open};
use super::search::search;
use super::verdict::{NotLinearizable, Why};

/// An operation whose outcome is known or still to come.
#[derive(Clone, Debug)]
struct Entry<M: Model> {
    id: u64,
    client: u64,
    input: M::Input,
    invoked: u64,
    /// When it ended, and how; `None`: it goes on.
    outcome: Option<(u64, M::Output)>,
}

/// What a stretch of a key's history led to.
#[derive(Debug)]
pub(super) enum Progress<M: Model> {
    Fine,
    NotLinearizable(Box<NotLinearizable<M>>),
    GivenUp(Why),
}

/// What must be remembered of one key.
#[derive(Clone, Debug)]
pub(super) struct Track<M: Model> {
    /// In the order in which they began.
    entries: Vec<Entry<M>>,
    open: Vec<Open<M>>,
    /// Where the checked part of the history may have led to. What a start has placed are
    /// entries before the first one that goes on.
    starts: Vec<Config<M::State>>,
    /// How many operations have been forgotten.
    forgotten: u64,
    /// Entries that are worth a check.
    stretch: usize,
    /// At how many entries the next stretch is checked.
    due: usize,
}

impl<M: Model> Track<M> {
    pub(super) fn new(stretch: usize) -> Track<M> {
        Track {
            entries: Vec::new(),
            open: Vec::new(),
            starts: vec![Config::new(M::initial())],
            forgotten: 0,
            stretch,
            due: stretch,
        }
    }

    pub(super) fn invoke(&mut self, id: u64, client: u64, input: M::Input, now: u64) {
        self.entries.push(Entry {
            id,
            client,
            input,
            invoked: now,
            outcome: None,
        });
    }

    pub(super) fn complete(&mut self, id: u64, output: M::Output, now: u64) {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id);
        if let Some(entry) = at.ok().and_then(|at| self.entries.get_mut(at)) {
            entry.outcome = Some((now, output));
        }
    }

    /// No stretch that was checked so far reached beyond the beginning of an operation that went
    /// on. So it is not too late for this one to take effect at any time since then.
    pub(super) fn unknown(&mut self, id: u64) {
        if let Ok(at) = self.entries.binary_search_by_key(&id, |entry| entry.id) {
            let entry = self.entries.remove(at);
            self.set_open(entry);
        }
    }

    /// An operation of unknown outcome has not taken effect since `now`, and will not.
    pub(super) fn expire(&mut self, id: u64, now: u64) {
        if let Some(open) = self.open.iter_mut().find(|open| open.id == id) {
            open.until = Some(now);
        }
    }

    /// An operation that goes on took no effect, and will not.
    pub(super) fn never(&mut self, id: u64) {
        if let Ok(at) = self.entries.binary_search_by_key(&id, |entry| entry.id) {
            self.entries.remove(at);
        }
    }

    fn set_open(&mut self, entry: Entry<M>) {
        if !M::is_read(&entry.input, None) {
            let open = Open {
                id: entry.id,
                client: entry.client,
                invoked: entry.invoked,
                until: None,
                input: entry.input,
                matters_to_open: false,
            };
            add_open(&mut self.open, open);
        }
    }

    /// How many operations of unknown outcome are carried along.
    pub(super) fn unknown_count(&self) -> usize {
        self.open.len()
    }

    /// How many operations are remembered.
    pub(super) fn remembered(&self) -> usize {
        self.entries.len() + self.open.len()
    }

    /// Whether there is enough to check.
    pub(super) fn is_due(&self) -> bool {
        self.entries.len() >= self.due
    }

    /// Checks and forgets a part of what ended before `now`, as far as no operation that goes on
    /// was there.
    pub(super) fn advance(&mut self, key: &M::Key, now: u64, limit: u64) -> Progress<M> {
        let mut entries = self.entries.iter();
        let stretch = entries.position(|entry| entry.outcome.is_none());
        let stretch = stretch.unwrap_or(self.entries.len());
        // At the same time calls come first: what ended right then may be needed after those.
        let horizon = self.entries.get(stretch).map_or(now, |entry| entry.invoked);
        let ended = self.entries.iter().take(stretch);
        let ended = ended.filter_map(|entry| entry.outcome.as_ref().map(|outcome| outcome.0));
        let mut ended: Vec<u64> = ended.filter(|ended| *ended < horizon).collect();
        ended.sort_unstable();
        // The later half tells what of the first half is still needed.
        let progress = match ended.get(ended.len().saturating_sub(1) / 2) {
            Some(&last) => self.check(key, stretch, Some((last, horizon)), limit),
            None => Progress::Fine,
        };
        // What is stuck behind one operation is looked at again when it has doubled, as it would
        // have to be again and again.
        let stuck = self.entries.len().saturating_sub(ended.len());
        self.due = (stuck + self.entries.len()).saturating_add(self.stretch);
        progress
    }

    /// Checks all that is left. The outcome of what goes on will never be known.
    pub(super) fn finish(&mut self, key: &M::Key, limit: u64) -> Progress<M> {
        for entry in core::mem::take(&mut self.entries) {
            if entry.outcome.is_some() {
                self.entries.push(entry);
            } else {
                self.set_open(entry);
            }
        }
        self.check(key, self.entries.len(), None, limit)
    }

    /// Searches the first `stretch` entries. With a `cut`, those must be placed that ended by its
    /// first time; other operations begin from its second time on, which is later.
    fn check(
        &mut self,
        key: &M::Key,
        stretch: usize,
        cut: Option<(u64, u64)>,
        limit: u64,
    ) -> Progress<M> {
        let entries = self.entries.iter().take(stretch);
        let known = entries.filter_map(|entry| {
            let (returned, output) = entry.outcome.as_ref()?;
            Some(Known {
                input: &entry.input,
                output,
                invoked: entry.invoked,
                returned: *returned,
                is_due: cut.is_none_or(|(last, _)| *returned <= last),
            })
        });
        let segment = Segment {
            known: known.collect(),
            open: &self.open,
            horizon: cut.map(|(_, horizon)| horizon),
            limit,
        };
        let is_over: Vec<bool> = segment.known.iter().map(|known| known.is_due).collect();
        let wanted = match cut {
            Some(_) => Wanted::All,
            None => Wanted::One,
        };
        match search(&segment, &self.starts, wanted) {
            Outcome::Ends { ends, begun } => {
                self.starts = ends;
                self.forget(&is_over);
                self.forget_used(begun);
                // Those first that can do more: the search then sees that the others can do no
                // more.
                self.starts.sort_by_key(|start| start.used.count());
                Progress::Fine
            }
            Outcome::Stuck(stuck) => Progress::NotLinearizable(Box::new(self.explain(key, &stuck))),
            Outcome::GivenUp => Progress::GivenUp(Why::States),
        }
    }

    /// Forgets the entries that are over.
    fn forget(&mut self, is_over: &[bool]) {
        let is_over = |at: usize| is_over.get(at).is_some_and(|is_over| *is_over);
        let entries = core::mem::take(&mut self.entries);
        let mut moved = Vec::with_capacity(entries.len());
        for (at, entry) in entries.into_iter().enumerate() {
            moved.push(self.entries.len());
            if is_over(at) {
                self.forgotten += 1;
            } else {
                self.entries.push(entry);
            }
        }
        for start in &mut self.starts {
            for placed in &mut start.placed {
                *placed = moved[*placed];
            }
        }
    }

    /// Forgets the operations of unknown outcome that took effect wherever the history may have led
    /// to, or cannot take effect any more: everywhere an operation has been placed that began at
    /// `begun`, and what came before that has been placed before it.
    fn forget_used(&mut self, begun: u64) {
        let (starts, open) = (&self.starts, &self.open);
        let is_used = |at: usize| starts.iter().all(|start| start.used.contains(at));
        let is_past = |at: usize| open[at].until.is_some_and(|until| until < begun);
        let kept: Vec<usize> = (0..open.len())
            .filter(|&at| !is_used(at) && !is_past(at))
            .collect();
        if kept.len() == self.open.len() {
            return;
        }
        for start in &mut self.starts {
            let mut used = Bits::new(kept.len());
            for (new, &old) in kept.iter().enumerate() {
                if start.used.contains(old) {
                    used.insert(new);
                }
            }
            start.used = used;
        }
        let mut kept = kept.into_iter().peekable();
        let mut at = 0;
        self.open.retain(|_| {
            let is_kept = kept.next_if_eq(&at).is_some();
            at += 1;
            is_kept
        });
    }

    fn explain(&self, key: &M::Key, stuck: &Stuck<M::State>) -> NotLinearizable<M> {
        let operation = |step: &Step| match *step {
            Step::Known(known) => {
                let entry = &self.entries[known];
                let (returned, output) = entry.outcome.clone().unzip();
                Operation {
                    client: entry.client,
                    key: key.clone(),
                    invoked: entry.invoked,
                    returned,
                    input: entry.input.clone(),
                    output,
                }
            }
            Step::Open(open) => {
                let open = &self.open[open];
                Operation {
                    client: open.client,
                    key: key.clone(),
                    invoked: open.invoked,
                    returned: None,
                    input: open.input.clone(),
                    output: None,
                }
            }
        };
        NotLinearizable {
            key: key.clone(),
            placed: self.forgotten + stuck.placed as u64,
            prefix: stuck.last.iter().map(operation).collect(),
            state: stuck.state.clone(),
            stuck: stuck.known().map(operation).collect(),
            unknown: stuck.open().map(operation).collect(),
        }
    }
}
