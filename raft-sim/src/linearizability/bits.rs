//! Sets of small numbers.

/// A set of small numbers, a bit for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// An empty set, with room for the numbers below `length`.
    pub(super) fn new(length: usize) -> Bits {
        Bits {
            words: vec![0; length.div_ceil(64)],
        }
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        let word = self.words.get(number / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, number: usize) {
        if number / 64 >= self.words.len() {
            self.words.resize(number / 64 + 1, 0);
        }
        self.words[number / 64] |= 1 << (number % 64);
    }

    pub(super) fn remove(&mut self, number: usize) {
        if let Some(word) = self.words.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// The words, without zeros at the end.
    pub(super) fn trimmed(&self) -> &[u64] {
        let last = self.words.iter().rposition(|&word| word != 0);
        &self.words[..last.map_or(0, |last| last + 1)]
    }

    /// The numbers, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.words.iter().enumerate();
        words.flat_map(|(at, &word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| at * 64 + bit)
        })
    }
}

/// Whether all numbers of `some` are in `all`. Both are words without zeros at the end.
pub(super) fn is_subset(some: &[u64], all: &[u64]) -> bool {
    some.len() <= all.len() && some.iter().zip(all).all(|(some, all)| some & !all == 0)
}
