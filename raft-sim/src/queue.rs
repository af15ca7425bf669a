//! The event queue, in the order of virtual time.

use raft_proto::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Items by the time at which they are due. Of items due at the same time, the one pushed first is
/// popped first, so that a run never depends on the order of equal items in the heap.
///
/// ```
/// use raft_proto::Time;
/// use raft_sim::queue::Queue;
///
/// let mut queue = Queue::new();
/// queue.push(Time(20), "late");
/// queue.push(Time(10), "early");
/// queue.push(Time(10), "early too");
/// assert_eq!(queue.pop(), Some((Time(10), "early")));
/// assert_eq!(queue.pop_until(Time(15)), Some((Time(10), "early too")));
/// assert_eq!(queue.pop_until(Time(15)), None);
/// assert_eq!(queue.next_time(), Some(Time(20)));
/// ```
#[derive(Clone, Debug)]
pub struct Queue<T> {
    /// Time, insertion number, and the slot in `items`. These are small, because a heap moves its
    /// elements.
    heap: BinaryHeap<Reverse<(Time, u64, u32)>>,
    items: Vec<Option<T>>,
    free: Vec<u32>,
    inserted: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue::new()
    }
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new() -> Queue<T> {
        Queue {
            heap: BinaryHeap::new(),
            items: Vec::new(),
            free: Vec::new(),
            inserted: 0,
        }
    }

    /// Adds `item`, due at `at`.
    pub fn push(&mut self, at: Time, item: T) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.items[slot as usize] = Some(item); // A free slot was one of `items`.
                slot
            }
            None => {
                self.items.push(Some(item));
                // 2^32 events at once would not fit into memory.
                (self.items.len() - 1) as u32
            }
        };
        self.inserted += 1;
        self.heap.push(Reverse((at, self.inserted, slot)));
    }

    /// Removes the item that is due first.
    pub fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        // Each slot in the heap was filled by `push` and is taken once.
        self.items[slot as usize].take().map(|item| (at, item))
    }

    /// Removes the item that is due first, if that is at or before `until`.
    pub fn pop_until(&mut self, until: Time) -> Option<(Time, T)> {
        if self.next_time()? > until {
            return None;
        }
        self.pop()
    }

    /// When the next item is due.
    pub fn next_time(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
