//! States that wait to be expanded: first in, first out, level by level.

use super::row::Row;
use super::saved::{Levels, SavedError};
use std::collections::VecDeque;

/// How many states are expanded before new ones are entered. Part of what makes a search repeat
/// itself: the tables give their numbers in the order of the batches.
pub(super) const BATCH: usize = 1 << 14;

/// The rest of the present level, and the next one as far as it is known.
#[derive(Debug)]
pub(super) enum Queue {
    /// In batches.
    Memory {
        level: VecDeque<Row>,
        next: VecDeque<Row>,
    },
    Files(Levels),
}

impl Queue {
    pub(super) fn in_memory() -> Queue {
        Queue::Memory {
            level: VecDeque::new(),
            next: VecDeque::new(),
        }
    }

    /// Adds a state to the next level.
    pub(super) fn push(&mut self, state: &[u32]) -> Result<(), SavedError> {
        match self {
            Queue::Memory { next, .. } => {
                match next.back_mut() {
                    Some(row) if row.len() < BATCH => row.push_words(state),
                    Some(_) | None => {
                        let mut row = Row::default();
                        row.push_words(state);
                        next.push_back(row);
                    }
                }
                Ok(())
            }
            Queue::Files(levels) => levels.push(state),
        }
    }

    /// Takes the next batch of the present level. It is empty at the level's end.
    pub(super) fn batch(&mut self) -> Result<Row, SavedError> {
        match self {
            Queue::Memory { level, .. } => Ok(level.pop_front().unwrap_or_default()),
            Queue::Files(levels) => levels.read(BATCH),
        }
    }

    /// The next level becomes the present one.
    pub(super) fn next_level(&mut self) -> Result<(), SavedError> {
        match self {
            Queue::Memory { level, next } => {
                *level = std::mem::take(next);
                Ok(())
            }
            Queue::Files(levels) => levels.turn(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Queue::Memory { level, next } => level.iter().chain(next).map(Row::bytes).sum(),
            Queue::Files(_) => 0,
        }
    }
}
