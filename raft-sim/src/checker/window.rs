//! Values by log index, for the indexes that still matter.

use raft_proto::Index;
use std::collections::VecDeque;

/// A value for each index of a range. Its beginning moves up, and its end grows.
#[derive(Clone, Debug)]
pub struct Window<T> {
    /// The index of the first value.
    first: Index,
    values: VecDeque<T>,
}

impl<T> Default for Window<T> {
    fn default() -> Window<T> {
        Window::starting_at(Index(1))
    }
}

impl<T> Window<T> {
    /// An empty window whose first value will stand at `first`.
    pub fn starting_at(first: Index) -> Window<T> {
        Window {
            first,
            values: VecDeque::new(),
        }
    }

    /// The index of the first value, or of the next one if there is none.
    pub fn first(&self) -> Index {
        self.first
    }

    /// The index after the last value.
    pub fn end(&self) -> Index {
        self.first.plus(self.values.len() as u64)
    }

    fn offset(&self, index: Index) -> Option<usize> {
        usize::try_from(index.0.checked_sub(self.first.0)?).ok()
    }

    /// The value at `index`, if it is within the window.
    pub fn get(&self, index: Index) -> Option<&T> {
        self.values.get(self.offset(index)?)
    }

    /// As [`get`](Window::get), to change it.
    pub fn get_mut(&mut self, index: Index) -> Option<&mut T> {
        let offset = self.offset(index)?;
        self.values.get_mut(offset)
    }

    /// Appends the value at [`end`](Window::end).
    pub fn push(&mut self, value: T) {
        self.values.push_back(value);
    }

    /// Drops the value at `from` and all after it.
    pub fn truncate(&mut self, from: Index) {
        self.values.truncate(self.offset(from).unwrap_or(0));
    }

    /// Drops all values before `first`. A window that ends before `first` becomes empty and begins
    /// there.
    pub fn drop_before(&mut self, first: Index) {
        if first >= self.end() {
            self.values.clear();
            self.first = self.first.max(first);
        } else if let Some(count) = self.offset(first) {
            self.values.drain(..count);
            self.first = first;
        }
        if self.values.capacity() > 1024 && self.values.capacity() / 8 > self.values.len() {
            self.values.shrink_to(self.values.len() * 2);
        }
    }

    /// The values and their indexes, the last one first.
    pub fn iter_back(&self) -> impl Iterator<Item = (Index, &T)> {
        let indexed = self.values.iter().enumerate();
        indexed
            .rev()
            .map(|(at, value)| (self.first.plus(at as u64), value))
    }
}
