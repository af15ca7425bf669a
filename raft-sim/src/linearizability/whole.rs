//! The check of a complete history.

use super::history::{History, Operation};
use super::model::Model;
use super::problem::{Configuration, Known, Open, Outcome, Segment, Step, Stuck, Wanted, add_open};
use super::search::search;
use super::verdict::{Exceeded, GivenUp, NotLinearizable, Verdict};
use std::collections::BTreeMap;

/// Checks a history, however long it takes.
///
/// # Errors
///
/// The violation on the smallest key that has one.
pub fn check<M: Model>(history: &History<M>) -> Result<(), NotLinearizable<M>> {
    match check_within(history, u64::MAX) {
        Verdict::NotLinearizable(violation) => Err(*violation),
        // No search reaches that limit.
        Verdict::Linearizable | Verdict::Unknown(_) => Ok(()),
    }
}

/// Checks a history, exploring at most `states` states for each key. The violation found is the
/// one on the smallest key that has one.
pub fn check_within<M: Model>(history: &History<M>, states: u64) -> Verdict<M> {
    let mut keys: BTreeMap<&M::Key, Vec<&Operation<M>>> = BTreeMap::new();
    for operation in history.operations() {
        keys.entry(&operation.key).or_default().push(operation);
    }
    let mut given_up = Vec::new();
    for (key, mut operations) in keys {
        // Stable: equal ones stay in the order of the history.
        operations.sort_by_key(|operation| operation.invoked);
        let sorted = Sorted::new(operations);
        match sorted.search(states) {
            Outcome::Ends { .. } => {}
            Outcome::Stuck(stuck) => {
                let violation = sorted.explain(key, &stuck);
                return Verdict::NotLinearizable(Box::new(violation));
            }
            Outcome::GivenUp => given_up.push(GivenUp {
                key: key.clone(),
                exceeded: Exceeded::States,
            }),
        }
    }
    if given_up.is_empty() {
        Verdict::Linearizable
    } else {
        Verdict::Unknown(given_up)
    }
}

/// An operation of known outcome.
struct Answered<'a, M: Model> {
    operation: &'a Operation<M>,
    output: &'a M::Output,
}

/// The operations on one key, in the order in which they began.
struct Sorted<'a, M: Model> {
    known: Vec<Answered<'a, M>>,
    open: Vec<&'a Operation<M>>,
}

impl<'a, M: Model> Sorted<'a, M> {
    /// Keeps those of `operations` that may help to explain. They are in the order in which they
    /// began.
    fn new(operations: Vec<&'a Operation<M>>) -> Sorted<'a, M> {
        let mut known = Vec::new();
        let mut open = Vec::new();
        for operation in operations {
            match &operation.output {
                Some(output) => known.push(Answered { operation, output }),
                None if M::is_read(&operation.input, None) => {}
                None => open.push(operation),
            }
        }
        let mut sorted = Sorted { known, open };
        sorted.drop_useless();
        sorted
    }

    /// Leaves out each operation of unknown outcome that can matter to no other operation.
    ///
    /// Take an order with as few operations of unknown outcome as possible. If one of these were in
    /// it, the operation right after it, and all that follow, could come without it as well. So no
    /// order needs it.
    fn drop_useless(&mut self) {
        let open = core::mem::take(&mut self.open);
        let all = open.clone();
        self.open.extend(open.into_iter().filter(|open| {
            let known = self.known.iter().rev();
            let mut after = known.filter(|known| end(known.operation) >= open.invoked);
            after.any(|known| M::matters(&open.input, &known.operation.input, Some(known.output)))
                || all
                    .iter()
                    .any(|other| M::matters(&open.input, &other.input, None))
        }));
    }

    fn search(&self, limit: u64) -> Outcome<M::State> {
        let known = self
            .known
            .iter()
            .map(|&Answered { operation, output }| Known {
                input: &operation.input,
                output,
                invoked: operation.invoked,
                returned: end(operation),
                is_due: true,
            });
        let mut open: Vec<Open<M>> = Vec::new();
        for operation in &self.open {
            let new = Open {
                id: 0,
                until: None,
                client: operation.client,
                invoked: operation.invoked,
                input: operation.input.clone(),
                matters_to_open: false,
            };
            add_open(&mut open, new);
        }
        let segment = Segment {
            known: known.collect(),
            open: &open,
            horizon: None,
            limit,
        };
        let start = Configuration::new(M::initial());
        search(&segment, &[start], Wanted::One)
    }

    fn explain(&self, key: &M::Key, stuck: &Stuck<M::State>) -> NotLinearizable<M> {
        let operation = |step: &Step| match *step {
            Step::Known(known) => self.known[known].operation.clone(),
            Step::Open(open) => self.open[open].clone(),
        };
        NotLinearizable {
            key: key.clone(),
            placed: stuck.placed as u64,
            prefix: stuck.last.iter().map(operation).collect(),
            state: stuck.state.clone(),
            stuck: stuck.known().map(operation).collect(),
            unknown: stuck.open().map(operation).collect(),
        }
    }
}

/// When an operation of known outcome ended.
fn end<M: Model>(operation: &Operation<M>) -> u64 {
    let returned = operation.returned.unwrap_or(u64::MAX);
    returned.max(operation.invoked)
}
