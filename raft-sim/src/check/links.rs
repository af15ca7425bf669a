//! How each state was reached, by the state's number.

use super::saved::{Records, SavedError};

/// The number of the state before it, and which choice was taken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(u64);

impl Link {
    /// Of the first state, to which nothing leads.
    pub(super) const FIRST: Link = Link(0);

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

/// The links of all states.
#[derive(Debug)]
pub(super) enum Links {
    Memory(Vec<Link>),
    /// With the fingerprints, of which a search that goes on makes its set of them again.
    File(Records),
}

impl Links {
    /// The next state's.
    pub(super) fn push(&mut self, print: u64, link: Link) -> Result<(), SavedError> {
        match self {
            Links::Memory(links) => {
                links.push(link);
                Ok(())
            }
            Links::File(file) => file.push(print, link.0),
        }
    }

    /// The choices that lead from the first state to this one.
    pub(super) fn path_to(&mut self, number: u64) -> Result<Vec<u16>, SavedError> {
        let mut path = Vec::new();
        let mut at = number;
        while at != 0 {
            let link = match self {
                Links::Memory(links) => links.get(at as usize).copied().unwrap_or(Link::FIRST),
                Links::File(file) => Link(file.get(at)?.1),
            };
            path.push(link.choice());
            at = link.parent();
        }
        path.reverse();
        Ok(path)
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Links::Memory(links) => links.capacity() * size_of::<Link>(),
            Links::File(_) => 0,
        }
    }
}
