//! The fingerprints of all states seen: open addressing, 8 bytes a slot.

/// A set of fingerprints.
#[derive(Debug)]
pub(super) struct Seen {
    /// 0 is an empty slot. The length is a power of two.
    slots: Vec<u64>,
    count: usize,
}

impl Seen {
    pub(super) fn new() -> Seen {
        Seen {
            slots: vec![0; 1 << 16],
            count: 0,
        }
    }

    /// The slot of a fingerprint, and whether it is there.
    #[allow(clippy::indexing_slicing)] // The mask keeps `at` below the length.
    fn find(&self, print: u64) -> (usize, bool) {
        let mask = self.slots.len() - 1;
        let mut at = print as usize & mask;
        loop {
            match self.slots[at] {
                0 => return (at, false),
                found if found == print => return (at, true),
                _ => at = (at + 1) & mask,
            }
        }
    }

    pub(super) fn contains(&self, print: u64) -> bool {
        self.find(print.max(1)).1
    }

    /// Whether it was not there yet.
    pub(super) fn insert(&mut self, print: u64) -> bool {
        let print = print.max(1);
        let (at, is_there) = self.find(print);
        if is_there {
            return false;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = print;
        }
        self.count += 1;
        // Up to three quarters full, a search looks at few slots, all next to each other.
        if self.count * 4 > self.slots.len() * 3 {
            self.grow();
        }
        true
    }

    fn grow(&mut self) {
        let larger = vec![0; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, larger);
        for print in old.into_iter().filter(|print| *print != 0) {
            let (at, _) = self.find(print);
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = print;
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * 8
    }
}
