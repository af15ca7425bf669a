//! The rule by which the search turns back early.

use super::entries::Event;
use super::model::Model;
use super::problem::{Known, Step};
use super::search::Search;

/// For each operation at most so many events are looked at. Otherwise all operations would be
/// looked at again and again for one that lasts very long.
const REACH: usize = 256;

impl<M: Model> Search<'_, '_, M> {
    /// An operation that is lost: it is forbidden now, and nothing that may come before it matters
    /// to it. Mostly it is a read whose value is gone.
    pub(super) fn lost(&self, state: &M::State) -> Option<usize> {
        let mut place = self.entries.first();
        while let Event::Call(known) = self.entries.event(place) {
            if self.is_lost(state, known) {
                return Some(known);
            }
            place = self.entries.next(place);
        }
        self.missed(state)
    }

    /// A lost operation among the followers of the operation that led to the last frame's state. It
    /// may begin much later than all that can come now.
    fn missed(&self, state: &M::State) -> Option<usize> {
        let writer = self.frames.last()?.writer?;
        let mut followers = self.followers[writer].known.iter().copied();
        followers.find(|&known| !self.placed.contains(known) && self.is_lost(state, known))
    }

    fn is_lost(&self, state: &M::State, known: usize) -> bool {
        let returned = self.segment.known[known].returned;
        // Otherwise an operation that is not here might help.
        let is_in_sight = self
            .segment
            .horizon
            .is_none_or(|horizon| returned < horizon);
        is_in_sight
            && self.apply(state, Step::Known(known)).is_none()
            && !self.has_help(known, returned)
    }

    /// Whether an operation that may come before `known` matters to it. Also `true` if there are
    /// too many to look at.
    fn has_help(&self, known: usize, returned: u64) -> bool {
        let step = Step::Known(known);
        let Known { input, output, .. } = self.segment.known[known];
        let mut place = self.entries.first();
        for at in 0.. {
            if at > REACH {
                return true;
            }
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
}
