//! The events of a history as a linked list, in the order of time. Taking an operation out and
//! putting it back has constant cost.

/// One event of an operation of known outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The list is over.
    End,
    /// The operation begins.
    Call(usize),
    /// The operation ends.
    Return(usize),
}

/// The events, each with its neighbours in the list.
///
/// Place 0 is before the first and after the last event.
#[derive(Debug)]
pub(super) struct Entries {
    events: Vec<Event>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// The places of each operation.
    places: Vec<Places>,
}

/// The places of the two events of an operation.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    call: usize,
    end: usize,
}

impl Entries {
    /// A list of operations that began and ended at these times.
    pub(super) fn new(spans: impl Iterator<Item = (u64, u64)>) -> Entries {
        let mut places = Vec::new();
        let mut order = Vec::new();
        for (operation, (invoked, returned)) in spans.enumerate() {
            places.push(Places::default());
            order.push((invoked, false, operation));
            order.push((returned, true, operation));
        }
        // At the same time calls come before returns: such operations are concurrent.
        order.sort_unstable();
        let mut events = vec![Event::End];
        for (_, is_return, operation) in order {
            if is_return {
                places[operation].end = events.len();
                events.push(Event::Return(operation));
            } else {
                places[operation].call = events.len();
                events.push(Event::Call(operation));
            }
        }
        let length = events.len();
        Entries {
            events,
            next: (0..length).map(|place| (place + 1) % length).collect(),
            previous: (0..length)
                .map(|place| (place + length - 1) % length)
                .collect(),
            places,
        }
    }

    /// The first place of the list.
    pub(super) fn first(&self) -> usize {
        self.next[0]
    }

    pub(super) fn next(&self, place: usize) -> usize {
        self.next[place]
    }

    pub(super) fn previous(&self, place: usize) -> usize {
        self.previous[place]
    }

    pub(super) fn event(&self, place: usize) -> Event {
        self.events[place]
    }

    /// Takes an operation out.
    pub(super) fn take(&mut self, operation: usize) {
        let Places { call, end } = self.places[operation];
        self.unlink(call);
        self.unlink(end);
    }

    /// Puts back the operation that was taken out last.
    pub(super) fn put_back(&mut self, operation: usize) {
        let Places { call, end } = self.places[operation];
        self.link(end);
        self.link(call);
    }

    fn unlink(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn link(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = place;
        self.previous[next] = place;
    }
}
