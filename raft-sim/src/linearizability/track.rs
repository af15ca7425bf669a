//! One key of a history that is still happening.

use super::bits::Bits;
use super::history::Operation;
use super::model::Model;
use super::problem::{Configuration, Known, Open, Outcome, Segment, Step, Stuck, Wanted, add_open};
use super::search::search;
use super::verdict::{Exceeded, NotLinearizable};

/// An operation whose outcome is known, or that is outstanding.
#[derive(Clone, Debug)]
struct Entry<M: Model> {
    id: u64,
    client: u64,
    input: M::Input,
    invoked: u64,
    /// `None` while it is outstanding.
    outcome: Option<Ended<M>>,
}

/// The end of an operation.
#[derive(Clone, Debug)]
struct Ended<M: Model> {
    at: u64,
    output: M::Output,
}

/// Where a stretch is cut off from what is still happening.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Operations that ended by this time must be placed.
    last: u64,
    /// Operations that are not searched began at this time or later. It is after `last`.
    horizon: u64,
}

/// The result of the check of a stretch.
#[derive(Debug)]
pub(super) enum Progress<M: Model> {
    Fine,
    NotLinearizable(Box<NotLinearizable<M>>),
    GivenUp(Exceeded),
}

/// What is remembered of one key.
#[derive(Clone, Debug)]
pub(super) struct Track<M: Model> {
    /// In the order in which they began.
    entries: Vec<Entry<M>>,
    open: Vec<Open<M>>,
    /// The points to which the checked part of the history may have led. What they have placed are
    /// entries before the first outstanding one.
    starts: Vec<Configuration<M::State>>,
    /// How many operations have been forgotten.
    forgotten: u64,
    /// The number of entries that makes a check worthwhile.
    stretch: usize,
    /// The number of entries at which the next stretch is checked.
    due: usize,
}

impl<M: Model> Track<M> {
    pub(super) fn new(stretch: usize) -> Track<M> {
        Track {
            entries: Vec::new(),
            open: Vec::new(),
            starts: vec![Configuration::new(M::initial())],
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
            entry.outcome = Some(Ended { at: now, output });
        }
    }

    /// The outcome of an outstanding operation will never be known. No stretch that was checked so
    /// far reached beyond the beginning of an outstanding operation. So this one may still take
    /// effect at any time since it began.
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

    /// An outstanding operation has not taken effect, and never will.
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

    /// How many operations of unknown outcome are remembered.
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

    /// Checks and forgets a part of the operations that ended before `now` and before the first
    /// outstanding operation began.
    pub(super) fn advance(&mut self, key: &M::Key, now: u64, limit: u64) -> Progress<M> {
        let mut entries = self.entries.iter();
        let stretch = entries.position(|entry| entry.outcome.is_none());
        let stretch = stretch.unwrap_or(self.entries.len());
        // At the same time calls come before returns: what ended right then may have to come after
        // those calls.
        let horizon = self.entries.get(stretch).map_or(now, |entry| entry.invoked);
        let ended = self.entries.iter().take(stretch);
        let ended = ended.filter_map(|entry| entry.outcome.as_ref().map(|ended| ended.at));
        let mut ended: Vec<u64> = ended.filter(|ended| *ended < horizon).collect();
        ended.sort_unstable();
        // The later half shows what of the first half is still needed.
        let progress = match ended.get(ended.len().saturating_sub(1) / 2) {
            Some(&last) => self.check(key, stretch, Some(Cut { last, horizon }), limit),
            None => Progress::Fine,
        };
        // Entries that wait behind an outstanding operation are checked again only when their
        // number has doubled. Otherwise they would be checked again and again.
        let stuck = self.entries.len().saturating_sub(ended.len());
        self.due = (stuck + self.entries.len()).saturating_add(self.stretch);
        progress
    }

    /// Checks all that is left. The outcomes of outstanding operations will never be known.
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

    /// Searches the first `stretch` entries: up to a cut, or all of them.
    fn check(&mut self, key: &M::Key, stretch: usize, cut: Option<Cut>, limit: u64) -> Progress<M> {
        let entries = self.entries.iter().take(stretch);
        let known = entries.filter_map(|entry| {
            let Ended { at, output } = entry.outcome.as_ref()?;
            Some(Known {
                input: &entry.input,
                output,
                invoked: entry.invoked,
                returned: *at,
                is_due: cut.is_none_or(|cut| *at <= cut.last),
            })
        });
        let segment = Segment {
            known: known.collect(),
            open: &self.open,
            horizon: cut.map(|cut| cut.horizon),
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
                // Those that used fewer come first: they may cover the others.
                self.starts.sort_by_key(|start| start.used.count());
                Progress::Fine
            }
            Outcome::Stuck(stuck) => Progress::NotLinearizable(Box::new(self.explain(key, &stuck))),
            Outcome::GivenUp => Progress::GivenUp(Exceeded::States),
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

    /// Forgets the operations of unknown outcome that took effect at all starts, and those that
    /// cannot take effect any more. At every start an operation has been placed that began at
    /// `begun`, and all that took effect before has been placed before it.
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
                let ended = entry.outcome.clone();
                let (returned, output) = ended.map(|ended| (ended.at, ended.output)).unzip();
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
