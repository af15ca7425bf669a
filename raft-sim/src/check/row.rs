//! States side by side, as words.

use super::state::State;

/// States in a row.
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
