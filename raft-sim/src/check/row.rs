//! States that wait to be expanded, and how each state was reached.

use super::state::State;

/// States in a row, as words.
#[derive(Debug, Default)]
pub(super) struct Row {
    words: Vec<u32>,
    /// Where each state ends.
    ends: Vec<usize>,
}

impl Row {
    pub(super) fn push(&mut self, state: &State) {
        state.write(&mut self.words);
        self.ends.push(self.words.len());
    }

    pub(super) fn push_words(&mut self, words: &[u32]) {
        self.words.extend_from_slice(words);
        self.ends.push(self.words.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, at: usize) -> &[u32] {
        let start = at.checked_sub(1).and_then(|at| self.ends.get(at));
        let range = start.copied().unwrap_or(0)..self.ends.get(at).copied().unwrap_or(0);
        self.words.get(range).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * 4 + self.ends.capacity() * 8
    }
}

/// How a state was reached: the number of the state before it, and which choice was taken there.
#[derive(Clone, Copy)]
pub(super) struct Link(u64);

impl Link {
    pub(super) fn new(parent: u64, choice: u16) -> Link {
        Link(parent << 16 | u64::from(choice))
    }

    pub(super) fn parent(self) -> u64 {
        self.0 >> 16
    }

    pub(super) fn choice(self) -> u16 {
        self.0 as u16
    }
}
