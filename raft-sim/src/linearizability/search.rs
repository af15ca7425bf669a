//! The search for an order that explains a history.

use super::bits::Bits;
use super::entries::{Entries, Event};
use super::memo::{Memo, Point};
use super::model::Model;
use super::verdict::NotLinearizable;

/// An operation of known outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a, M: Model> {
    pub(super) input: &'a M::Input,
    pub(super) output: &'a M::Output,
    pub(super) invoked: u64,
    /// When it ended; `None`: after what is searched, so that it need not be placed.
    pub(super) returned: Option<u64>,
}

/// An operation of unknown outcome: it may take effect at any time after it began, or never.
#[derive(Clone, Debug)]
pub(super) struct Open<M: Model> {
    pub(super) client: u64,
    pub(super) invoked: u64,
    pub(super) input: M::Input,
    /// Whether it can matter to another operation of unknown outcome.
    pub(super) matters_to_open: bool,
}

/// One more operation of unknown outcome, which may matter to the others, and they to it.
pub(super) fn add_open<M: Model>(opens: &mut Vec<Open<M>>, mut new: Open<M>) {
    for other in opens.iter_mut() {
        new.matters_to_open |= M::matters(&new.input, &other.input, None);
        other.matters_to_open |= M::matters(&other.input, &new.input, None);
    }
    opens.push(new);
}

/// What is searched: operations on one key.
#[derive(Debug)]
pub(super) struct Segment<'a, M: Model> {
    /// In the order in which they began.
    pub(super) known: Vec<Known<'a, M>>,
    pub(super) open: &'a [Open<M>],
    /// How many states may be explored.
    pub(super) limit: u64,
}

/// Where a search begins or ends.
#[derive(Clone, Debug)]
pub(super) struct Config<S> {
    pub(super) state: S,
    /// Those operations of known outcome that have been placed; of an end, only those that need
    /// not have been.
    pub(super) placed: Vec<usize>,
    /// Those operations of unknown outcome that took effect.
    pub(super) used: Bits,
}

impl<S> Config<S> {
    pub(super) fn new(state: S) -> Config<S> {
        Config {
            state,
            placed: Vec::new(),
            used: Bits::default(),
        }
    }
}

/// An operation that was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Known(usize),
    Open(usize),
}

/// The longest order that was found, and why it does not go on.
#[derive(Clone, Debug)]
pub(super) struct Stuck<S> {
    /// How many operations of known outcome it holds.
    pub(super) placed: usize,
    /// Its last operations.
    pub(super) last: Vec<Step>,
    pub(super) state: S,
    /// The operations that may come next.
    pub(super) next: Vec<Step>,
}

impl<S> Stuck<S> {
    /// The operations of known outcome that may come next.
    pub(super) fn known(&self) -> impl Iterator<Item = &Step> {
        let next = self.next.iter();
        next.filter(|step| matches!(step, Step::Known(_)))
    }

    /// The operations of unknown outcome that may come next.
    pub(super) fn open(&self) -> impl Iterator<Item = &Step> {
        let next = self.next.iter();
        next.filter(|step| matches!(step, Step::Open(_)))
    }
}

/// What came out.
#[derive(Debug)]
pub(super) enum Outcome<S> {
    /// The ends that were reached, at least one.
    Ends(Vec<Config<S>>),
    Stuck(Stuck<S>),
    /// There were too many states.
    GivenUp,
}

/// How many ends are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any one.
    One,
    /// All, except those that can do no more than another one.
    All,
}

/// An operation that was placed, and all that is left to try after it.
#[derive(Debug)]
struct Frame<S> {
    /// How long the trail was before, and the greatest number of a placed operation.
    trail: usize,
    greatest: usize,
    state: S,
    /// The place in the list of the next operation to try.
    next: usize,
    /// The next operation of unknown outcome to try.
    next_open: usize,
    /// The operation that ends first: what began later has to wait for it.
    due: usize,
    /// The operation of unknown outcome that came right before, with nothing in between.
    after_open: Option<usize>,
}

/// A depth-first search without recursion.
#[derive(Debug)]
pub(super) struct Search<'a, 'b, M: Model> {
    segment: &'b Segment<'a, M>,
    wanted: Wanted,
    entries: Entries,
    placed: Bits,
    greatest: usize,
    used: Bits,
    /// All that is placed, in order; first what was already where the search began.
    trail: Vec<Step>,
    begun: usize,
    frames: Vec<Frame<M::State>>,
    memo: Memo<M::State>,
    explored: u64,
    ends: Vec<Config<M::State>>,
    stuck: Option<Stuck<M::State>>,
}

/// Searches from each of `starts`.
pub(super) fn search<M: Model>(
    segment: &Segment<'_, M>,
    starts: &[Config<M::State>],
    wanted: Wanted,
) -> Outcome<M::State> {
    let known = &segment.known;
    let mut search = Search {
        segment,
        wanted,
        entries: Entries::new(known.iter().map(|known| (known.invoked, known.returned))),
        placed: Bits::new(known.len()),
        greatest: 0,
        used: Bits::new(segment.open.len()),
        trail: Vec::new(),
        begun: 0,
        frames: Vec::new(),
        memo: Memo::new(),
        explored: 0,
        ends: Vec::new(),
        stuck: None,
    };
    for start in starts {
        search.run(start);
        if search.explored > segment.limit {
            return Outcome::GivenUp;
        }
        if search.is_enough() {
            break;
        }
    }
    match search.stuck {
        Some(stuck) if search.ends.is_empty() => Outcome::Stuck(stuck),
        Some(_) | None => Outcome::Ends(search.ends),
    }
}

impl<M: Model> Search<'_, '_, M> {
    fn is_enough(&self) -> bool {
        self.wanted == Wanted::One && !self.ends.is_empty()
    }

    fn run(&mut self, start: &Config<M::State>) {
        for &known in &start.placed {
            self.place(Step::Known(known));
        }
        for open in start.used.iter() {
            self.place(Step::Open(open));
        }
        self.begun = self.trail.len();
        self.enter(0, 0, start.state.clone(), None);
        while !self.is_enough() && self.explored <= self.segment.limit {
            match self.next_step() {
                Some((step, state)) => {
                    let (trail, greatest) = (self.trail.len(), self.greatest);
                    self.place(step);
                    let open = match step {
                        Step::Known(_) => None,
                        Step::Open(open) => Some(open),
                    };
                    self.enter(trail, greatest, state, open);
                }
                None => match self.frames.pop() {
                    Some(frame) => self.leave(frame),
                    None => break,
                },
            }
        }
    }

    /// The state after `step`, if `state` allows it.
    fn apply(&self, state: &M::State, step: Step) -> Option<M::State> {
        match step {
            Step::Known(known) => {
                let Known { input, output, .. } = self.segment.known[known];
                M::step(state, input, Some(output))
            }
            Step::Open(open) => M::step(state, &self.segment.open[open].input, None),
        }
    }

    /// Whether it can matter to `step` that `open` comes right before.
    fn matters(&self, open: usize, step: Step) -> bool {
        let before = &self.segment.open[open].input;
        match step {
            Step::Known(known) => {
                let Known { input, output, .. } = self.segment.known[known];
                M::matters(before, input, Some(output))
            }
            Step::Open(open) => M::matters(before, &self.segment.open[open].input, None),
        }
    }

    fn place(&mut self, step: Step) {
        match step {
            Step::Known(known) => {
                self.entries.take(known);
                self.placed.insert(known);
                self.greatest = self.greatest.max(known);
            }
            Step::Open(open) => self.used.insert(open),
        }
        self.trail.push(step);
    }

    /// Takes back what was placed after the trail had this length.
    fn take_back(&mut self, trail: usize, greatest: usize) {
        while self.trail.len() > trail {
            match self.trail.pop() {
                Some(Step::Known(known)) => {
                    self.entries.put_back(known);
                    self.placed.remove(known);
                }
                Some(Step::Open(open)) => self.used.remove(open),
                None => break,
            }
        }
        self.greatest = greatest;
    }

    /// Goes on from `state`, after the last step was placed, unless that leads nowhere new.
    fn enter(&mut self, trail: usize, greatest: usize, state: M::State, open: Option<usize>) {
        let length = self.trail.len();
        let due = match self.absorb(&state) {
            Event::Return(due) => due,
            Event::End | Event::Call(_) => {
                self.end(state);
                return self.take_back(trail, greatest);
            }
        };
        if self.is_hopeless(&state) {
            return self.take_back(trail, greatest);
        }
        // The list begins with the call of the first operation that is not placed.
        let first = match self.entries.event(self.entries.first()) {
            Event::Call(known) | Event::Return(known) => known,
            Event::End => 0,
        };
        let is_new = self.memo.visit(Point {
            first: first / 64,
            placed: self.placed.window(first, self.greatest),
            state: &state,
            used: self.used.trimmed(),
        });
        if !is_new {
            return self.take_back(trail, greatest);
        }
        self.explored += 1;
        self.frames.push(Frame {
            trail,
            greatest,
            state,
            next: self.entries.first(),
            next_open: 0,
            due,
            after_open: open.filter(|_| self.trail.len() == length),
        });
    }

    /// Places each read that can come now. There is no need to ever try without: from whatever
    /// order has it later, it can be taken away and put here.
    ///
    /// Returns the first return in the list, or that the list ends.
    fn absorb(&mut self, state: &M::State) -> Event {
        let mut place = self.entries.first();
        loop {
            let event = self.entries.event(place);
            let Event::Call(known) = event else {
                return event;
            };
            let Known { input, output, .. } = self.segment.known[known];
            let step = Step::Known(known);
            if M::is_read(input, Some(output)) && self.apply(state, step).is_some() {
                let previous = self.entries.previous(place);
                self.place(step);
                place = self.entries.next(previous);
            } else {
                place = self.entries.next(place);
            }
        }
    }

    /// Whether an operation that is forbidden now will be so for as long as it may come: nothing
    /// that may come before it matters to it. Mostly a read whose value is gone.
    fn is_hopeless(&self, state: &M::State) -> bool {
        let mut place = self.entries.first();
        while let Event::Call(known) = self.entries.event(place) {
            if let Some(returned) = self.segment.known[known].returned
                && self.apply(state, Step::Known(known)).is_none()
                && !self.has_help(known, returned)
            {
                return true;
            }
            place = self.entries.next(place);
        }
        false
    }

    /// Whether some operation matters to `known` that may come before it.
    fn has_help(&self, known: usize, returned: u64) -> bool {
        let step = Step::Known(known);
        let Known { input, output, .. } = self.segment.known[known];
        let mut place = self.entries.first();
        loop {
            match self.entries.event(place) {
                Event::Call(other) if other != known => {
                    let before = self.segment.known[other].input;
                    if M::matters(before, input, Some(output)) {
                        return true;
                    }
                }
                Event::Return(other) if other == known => break,
                Event::Call(_) | Event::Return(_) => {}
                Event::End => break,
            }
            place = self.entries.next(place);
        }
        let mut open = self.segment.open.iter().enumerate();
        open.any(|(at, open)| {
            open.invoked <= returned && !self.used.contains(at) && self.matters(at, step)
        })
    }

    /// Whether `step` leads to `state` also from the last frame's state.
    fn comes_without(&self, step: Step, state: &M::State) -> bool {
        let before = self.frames.last();
        let next = before.and_then(|before| self.apply(&before.state, step));
        next.is_some_and(|next| next == *state)
    }

    /// All that has to be placed is placed.
    fn end(&mut self, state: M::State) {
        let known = &self.segment.known;
        let mut placed: Vec<usize> = self
            .trail
            .iter()
            .filter_map(|step| match step {
                Step::Known(at) if known[*at].returned.is_none() => Some(*at),
                Step::Known(_) | Step::Open(_) => None,
            })
            .collect();
        placed.sort_unstable();
        self.ends.push(Config {
            state,
            placed,
            used: self.used.clone(),
        });
    }

    /// The next operation to try after the last frame, and where it leads.
    fn next_step(&mut self) -> Option<(Step, M::State)> {
        let mut frame = self.frames.pop()?;
        let found = self.next_known(&mut frame);
        let found = found.or_else(|| self.next_open(&mut frame));
        self.frames.push(frame);
        found
    }

    fn next_known(&self, frame: &mut Frame<M::State>) -> Option<(Step, M::State)> {
        while let Event::Call(known) = self.entries.event(frame.next) {
            frame.next = self.entries.next(frame.next);
            let step = Step::Known(known);
            let found = self.try_step(frame, step);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// An operation of unknown outcome is tried only where it can matter to what comes next. Most
    /// of them matter to nothing: what they wrote was never read. They would otherwise double the
    /// work each.
    fn next_open(&self, frame: &mut Frame<M::State>) -> Option<(Step, M::State)> {
        let due = self.segment.known[frame.due].returned.unwrap_or(u64::MAX);
        while let Some(open) = self.segment.open.get(frame.next_open) {
            let at = frame.next_open;
            frame.next_open += 1;
            if open.invoked > due || self.used.contains(at) {
                continue;
            }
            if !open.matters_to_open && !self.matters_to_known(at) {
                continue;
            }
            let found = self.try_step(frame, Step::Open(at));
            if let Some((step, next)) = found
                && next != frame.state
            {
                return Some((step, next));
            }
        }
        None
    }

    /// Whether it can matter to an operation that may come now that `open` comes right before.
    fn matters_to_known(&self, open: usize) -> bool {
        let mut place = self.entries.first();
        while let Event::Call(known) = self.entries.event(place) {
            if self.matters(open, Step::Known(known)) {
                return true;
            }
            place = self.entries.next(place);
        }
        false
    }

    /// Where `step` leads after the frame, unless it leads there too without the operation of
    /// unknown outcome right before: then to assume that one is of no use.
    fn try_step(&self, frame: &Frame<M::State>, step: Step) -> Option<(Step, M::State)> {
        if let Some(open) = frame.after_open
            && !self.matters(open, step)
        {
            return None;
        }
        let next = self.apply(&frame.state, step)?;
        let is_useless = frame.after_open.is_some() && self.comes_without(step, &next);
        (!is_useless).then_some((step, next))
    }

    /// All that could follow the frame was tried.
    fn leave(&mut self, frame: Frame<M::State>) {
        // Those of unknown outcome do not count: to assume more of them explains nothing more.
        let placed = self.trail.len() - self.used.count() as usize;
        let longest = self.stuck.as_ref().map(|stuck| stuck.placed);
        if longest.is_none_or(|longest| placed > longest) {
            self.stuck = Some(self.stuck_here(&frame, placed));
        }
        self.take_back(frame.trail, frame.greatest);
    }

    fn stuck_here(&self, frame: &Frame<M::State>, placed: usize) -> Stuck<M::State> {
        let shown = NotLinearizable::<M>::SHOWN;
        let begin = self.trail.len().saturating_sub(shown).max(self.begun);
        let mut next = Vec::new();
        let mut place = self.entries.first();
        while let Event::Call(known) = self.entries.event(place) {
            next.push(Step::Known(known));
            place = self.entries.next(place);
        }
        // The one that ends first is the one that cannot be left for later.
        next.sort_by_key(|step| *step != Step::Known(frame.due));
        next.truncate(shown);
        let due = self.segment.known[frame.due].returned.unwrap_or(u64::MAX);
        let open = self.segment.open.iter().enumerate().rev();
        let open = open.filter(|(at, open)| open.invoked <= due && !self.used.contains(*at));
        next.extend(open.map(|(at, _)| Step::Open(at)).take(shown));
        Stuck {
            placed,
            last: self.trail[begin..].to_vec(),
            state: frame.state.clone(),
            next,
        }
    }
}
