//! The search for an order that explains a history.

use super::bits::Bits;
use super::entries::{Entries, Event};
use super::lookahead::{Followers, followers};
use super::memo::{Memo, Point};
use super::model::Model;
use super::problem::{Configuration, Known, Outcome, Segment, Step, Stuck, Wanted};
use super::verdict::NotLinearizable;

/// An operation that was placed, and what is left to try after it.
#[derive(Debug)]
pub(super) struct Frame<S> {
    before: Mark,
    pub(super) state: S,
    /// The operation that ends first. What begins after its end cannot come before it.
    due: usize,
    /// The place of the next operation to try.
    next: usize,
    /// The state after the first idle write that can come now, if there is one.
    idle: Option<S>,
    has_tried_idle: bool,
    /// The next operation of unknown outcome to try.
    next_open: usize,
    /// The operation of unknown outcome that came right before this state.
    after_open: Option<usize>,
    /// The operation that led to this state, if its outcome is known.
    pub(super) writer: Option<usize>,
}

/// How much was placed before an operation was placed.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// The length of the trail.
    trail: usize,
    /// One more than the greatest number of an operation of known outcome that was placed.
    end: usize,
}

/// Something to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Start,
    /// All idle writes that can come now.
    Idle,
    Known(usize),
    Open(usize),
}

/// A depth-first search without recursion.
#[derive(Debug)]
pub(super) struct Search<'a, 'b, M: Model> {
    pub(super) segment: &'b Segment<'a, M>,
    wanted: Wanted,
    pub(super) followers: Vec<Followers>,
    pub(super) entries: Entries,
    pub(super) placed: Bits,
    end: usize,
    /// How many operations must still be placed.
    due: usize,
    pub(super) used: Bits,
    /// All that is placed, in order. It begins with what the start had placed.
    trail: Vec<Step>,
    begun: usize,
    pub(super) frames: Vec<Frame<M::State>>,
    memo: Memo<M::State>,
    missing: Vec<u64>,
    explored: u64,
    ends: Vec<Configuration<M::State>>,
    stuck: Option<Stuck<M::State>>,
}

/// Searches from each of `starts`.
pub(super) fn search<M: Model>(
    segment: &Segment<'_, M>,
    starts: &[Configuration<M::State>],
    wanted: Wanted,
) -> Outcome<M::State> {
    let known = &segment.known;
    let mut search = Search {
        segment,
        wanted,
        followers: followers(segment),
        entries: Entries::new(known.iter().map(|known| (known.invoked, known.returned))),
        placed: Bits::new(known.len()),
        end: 0,
        due: known.iter().filter(|known| known.is_due).count(),
        used: Bits::new(segment.open.len()),
        trail: Vec::new(),
        begun: 0,
        frames: Vec::new(),
        memo: Memo::new(),
        missing: Vec::new(),
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
        Some(_) | None => Outcome::Ends {
            begun: search.fixed_begun(),
            ends: search.ends,
        },
    }
}

impl<M: Model> Search<'_, '_, M> {
    fn is_enough(&self) -> bool {
        self.wanted == Wanted::One && !self.ends.is_empty()
    }

    /// When the last of the operations began that must be placed, except reads and idle writes.
    /// Those two are placed as early as possible, perhaps before an operation of unknown outcome
    /// that really came before them. For all others, every order that may have happened is tried.
    fn fixed_begun(&self) -> u64 {
        let known = self.segment.known.iter().zip(&self.followers);
        let fixed = known.filter(|(known, followers)| {
            let is_read = M::is_read(known.input, Some(known.output));
            known.is_due && !is_read && !followers.is_idle
        });
        fixed.map(|(known, _)| known.invoked).max().unwrap_or(0)
    }

    fn run(&mut self, start: &Configuration<M::State>) {
        for &known in &start.placed {
            self.place(Step::Known(known));
        }
        for open in start.used.iter() {
            self.place(Step::Open(open));
        }
        self.begun = self.trail.len();
        self.enter(Mark::default(), Choice::Start, start.state.clone());
        while !self.is_enough() && self.explored <= self.segment.limit {
            match self.next_choice() {
                Some((choice, state)) => {
                    let mark = self.mark();
                    let state = match choice {
                        Choice::Start => state,
                        Choice::Idle => self.place_idle(state),
                        Choice::Known(known) => {
                            self.place(Step::Known(known));
                            state
                        }
                        Choice::Open(open) => {
                            self.place(Step::Open(open));
                            state
                        }
                    };
                    self.enter(mark, choice, state);
                }
                None => match self.frames.pop() {
                    Some(frame) => self.leave(frame),
                    None => break,
                },
            }
        }
    }

    /// The state after `step`, if `state` allows it.
    pub(super) fn apply(&self, state: &M::State, step: Step) -> Option<M::State> {
        match step {
            Step::Known(known) => {
                let Known { input, output, .. } = self.segment.known[known];
                M::step(state, input, Some(output))
            }
            Step::Open(open) => M::step(state, &self.segment.open[open].input, None),
        }
    }

    /// Whether it can matter to `step` that `open` comes right before it.
    pub(super) fn matters(&self, open: usize, step: Step) -> bool {
        let before = &self.segment.open[open].input;
        match step {
            Step::Known(known) => {
                let Known { input, output, .. } = self.segment.known[known];
                M::matters(before, input, Some(output))
            }
            Step::Open(open) => M::matters(before, &self.segment.open[open].input, None),
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            trail: self.trail.len(),
            end: self.end,
        }
    }

    fn place(&mut self, step: Step) {
        match step {
            Step::Known(known) => {
                self.entries.take(known);
                self.placed.insert(known);
                self.end = self.end.max(known + 1);
                self.due -= usize::from(self.segment.known[known].is_due);
            }
            Step::Open(open) => self.used.insert(open),
        }
        self.trail.push(step);
    }

    fn take_back(&mut self, mark: Mark) {
        while self.trail.len() > mark.trail {
            match self.trail.pop() {
                Some(Step::Known(known)) => {
                    self.entries.put_back(known);
                    self.placed.remove(known);
                    self.due += usize::from(self.segment.known[known].is_due);
                }
                Some(Step::Open(open)) => self.used.remove(open),
                None => break,
            }
        }
        self.end = mark.end;
    }

    /// Goes on from `state` after `choice` was placed, unless that leads nowhere new. `before` is
    /// the mark before `choice`.
    fn enter(&mut self, before: Mark, choice: Choice, state: M::State) {
        let length = self.trail.len();
        let due = self.absorb(&state);
        if self.due == 0 {
            self.finish(state);
            return self.take_back(before);
        }
        let Event::Return(due) = due else {
            return self.take_back(before); // Unreachable while operations are due.
        };
        if let Some(lost) = self.lost(&state) {
            self.note_stuck(&state, due, lost);
            return self.take_back(before);
        }
        if !self.is_new(&state) {
            return self.take_back(before);
        }
        self.explored += 1;
        let after_open = match choice {
            Choice::Open(open) if self.trail.len() == length => Some(open),
            Choice::Open(_) | Choice::Known(_) | Choice::Idle | Choice::Start => None,
        };
        let idle = match after_open {
            None => self.after_idle(&state),
            Some(_) => None,
        };
        self.frames.push(Frame {
            before,
            state,
            due,
            next: self.entries.first(),
            idle,
            has_tried_idle: false,
            next_open: 0,
            after_open,
            writer: match choice {
                Choice::Known(known) => Some(known),
                Choice::Start | Choice::Idle | Choice::Open(_) => None,
            },
        });
    }

    fn is_new(&mut self, state: &M::State) -> bool {
        // Operations that are not placed, but began before one that is, can come now. So they are
        // at the head of the list. Listing them takes less memory than a bit for each operation
        // that is placed: one operation may last as long as thousands of others.
        self.missing.clear();
        let mut place = self.entries.first();
        while let Event::Call(known) = self.entries.event(place)
            && known < self.end
        {
            self.missing.push(known as u64);
            place = self.entries.next(place);
        }
        self.memo.visit(Point {
            end: self.end,
            missing: &self.missing,
            state,
            used: self.used.trimmed(),
        })
    }

    /// Places each read that can come now. An order without it here need not be tried: if an order
    /// has the read later, it is also valid with the read here.
    ///
    /// Returns the first return in the list, or the end of the list.
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

    /// If an idle write can come now, the state after it.
    fn after_idle(&self, state: &M::State) -> Option<M::State> {
        let mut place = self.entries.first();
        while let Event::Call(known) = self.entries.event(place) {
            if self.followers[known].is_idle {
                return self.apply(state, Step::Known(known));
            }
            place = self.entries.next(place);
        }
        None
    }

    /// Places all idle writes that can come now, and those that can come after them. Returns the
    /// state then.
    fn place_idle(&mut self, mut state: M::State) -> M::State {
        let mut place = self.entries.first();
        while let Event::Call(known) = self.entries.event(place) {
            let step = Step::Known(known);
            if self.followers[known].is_idle
                && let Some(next) = self.apply(&state, step)
            {
                state = next;
                let previous = self.entries.previous(place);
                self.place(step);
                place = self.entries.next(previous);
            } else {
                place = self.entries.next(place);
            }
        }
        state
    }

    /// Everything that must be placed is placed.
    fn finish(&mut self, state: M::State) {
        let known = &self.segment.known;
        let mut placed: Vec<usize> = self
            .trail
            .iter()
            .filter_map(|step| match step {
                Step::Known(at) if !known[*at].is_due => Some(*at),
                Step::Known(_) | Step::Open(_) => None,
            })
            .collect();
        placed.sort_unstable();
        self.ends.push(Configuration {
            state,
            placed,
            used: self.used.clone(),
        });
    }

    /// What to try next after the last frame, and the state to which it leads.
    ///
    /// Idle writes (see [`followers`]) only have to be placed somewhere. Whatever comes right after
    /// one of them could also come without it, and would lead to the same state. So as many as
    /// possible are placed at once, and what can come after them is not tried without them.
    fn next_choice(&mut self) -> Option<(Choice, M::State)> {
        let mut frame = self.frames.pop()?;
        let mut found = self.next_known(&mut frame);
        if found.is_none() && !frame.has_tried_idle {
            frame.has_tried_idle = true;
            let state = || (Choice::Idle, frame.state.clone());
            found = frame.idle.is_some().then(state);
        }
        let found = found.or_else(|| self.next_open(&mut frame));
        self.frames.push(frame);
        found
    }

    fn next_known(&self, frame: &mut Frame<M::State>) -> Option<(Choice, M::State)> {
        while let Event::Call(known) = self.entries.event(frame.next) {
            frame.next = self.entries.next(frame.next);
            if self.followers[known].is_idle {
                continue;
            }
            if let Some(next) = self.try_step(frame, Step::Known(known)) {
                return Some((Choice::Known(known), next));
            }
        }
        None
    }

    /// An operation of unknown outcome is tried only where it can matter to what comes next.
    /// Otherwise each of them would double the work. Most of them matter to nothing: what they
    /// wrote was never read.
    fn next_open(&self, frame: &mut Frame<M::State>) -> Option<(Choice, M::State)> {
        let due = self.segment.known[frame.due].returned;
        while let Some(open) = self.segment.open.get(frame.next_open) {
            let at = frame.next_open;
            frame.next_open += 1;
            if open.invoked > due || self.used.contains(at) {
                continue;
            }
            if !open.matters_to_open && !self.matters_to_known(at) {
                continue;
            }
            let next = self.try_step(frame, Step::Open(at));
            if let Some(next) = next.filter(|next| *next != frame.state) {
                return Some((Choice::Open(at), next));
            }
        }
        None
    }

    /// Whether `open` can matter to an operation that may come now, right after it.
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

    /// The state to which `step` leads after the frame, unless another choice makes it useless.
    fn try_step(&self, frame: &Frame<M::State>, step: Step) -> Option<M::State> {
        if let Some(open) = frame.after_open
            && !self.matters(open, step)
        {
            return None;
        }
        let next = self.apply(&frame.state, step)?;
        let leads_there = |state: &M::State| self.apply(state, step).is_some_and(|to| to == next);
        // If `step` leads there also without the operation of unknown outcome right before it, that
        // operation is useless.
        let before = self.frames.last().filter(|_| frame.after_open.is_some());
        let is_useless = before.is_some_and(|before| leads_there(&before.state))
            || frame.idle.as_ref().is_some_and(leads_there);
        (!is_useless).then_some(next)
    }

    /// Everything that could follow the frame was tried.
    fn leave(&mut self, frame: Frame<M::State>) {
        self.note_stuck(&frame.state, frame.due, frame.due);
        self.take_back(frame.before);
    }

    /// Notes that nothing leads on from here. `culprit` is the operation that shows it best.
    fn note_stuck(&mut self, state: &M::State, due: usize, culprit: usize) {
        // Operations of unknown outcome do not count: assuming more of them explains nothing more.
        let placed = self.trail.len() - self.used.count() as usize;
        let longest = self.stuck.as_ref().map(|stuck| stuck.placed);
        if longest.is_some_and(|longest| placed <= longest) {
            return;
        }
        let shown = NotLinearizable::<M>::SHOWN;
        let begin = self.trail.len().saturating_sub(shown).max(self.begun);
        let mut next = vec![Step::Known(culprit)];
        let mut place = self.entries.first();
        while let Event::Call(known) = self.entries.event(place) {
            if known != culprit {
                next.push(Step::Known(known));
            }
            place = self.entries.next(place);
        }
        next.truncate(shown);
        let due = self.segment.known[due].returned;
        let open = self.segment.open.iter().enumerate().rev();
        let open = open.filter(|(at, open)| open.invoked <= due && !self.used.contains(*at));
        next.extend(open.map(|(at, _)| Step::Open(at)).take(shown));
        self.stuck = Some(Stuck {
            placed,
            last: self.trail[begin..].to_vec(),
            state: state.clone(),
            next,
        });
    }
}
