//! The network: one-way links that lose, delay, reorder and repeat frames, and can be cut.

use crate::options::NetworkOptions;
use crate::random::Random;
use core::time::Duration;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Dropped,
    /// It arrives after this time.
    Arrives(Duration),
    /// It arrives after each of these times.
    Twice(Duration, Duration),
}

/// All links between `nodes` servers, by slot (0-based).
#[derive(Clone, Debug)]
pub struct Network {
    options: NetworkOptions,
    random: Random,
    nodes: usize,
    /// How many cuts lie on the link `from * nodes + to`: partitions may overlap.
    cuts: Vec<u32>,
}

impl Network {
    /// A network without cuts.
    pub fn new(nodes: usize, options: NetworkOptions, random: Random) -> Network {
        Network {
            options,
            random,
            nodes,
            cuts: vec![0; nodes * nodes],
        }
    }

    /// Whether frames pass from one server to another.
    pub fn is_open(&self, from: usize, to: usize) -> bool {
        let cuts = self.cuts.get(from * self.nodes + to);
        cuts.is_some_and(|cuts| *cuts == 0)
    }

    /// Cuts links until [`Network::mend`] is called with the same ones.
    pub fn cut(&mut self, links: &[(usize, usize)]) {
        for (from, to) in links {
            if let Some(cuts) = self.cuts.get_mut(from * self.nodes + to) {
                *cuts += 1;
            }
        }
    }

    /// Takes back a [`Network::cut`].
    pub fn mend(&mut self, links: &[(usize, usize)]) {
        for (from, to) in links {
            if let Some(cuts) = self.cuts.get_mut(from * self.nodes + to) {
                *cuts = cuts.saturating_sub(1);
            }
        }
    }

    /// No cuts, no loss, no repeats, no stragglers from now on.
    pub fn heal(&mut self) {
        self.cuts.fill(0);
        self.options.loss_per_mille = 0;
        self.options.duplicate_per_mille = 0;
        self.options.straggler_per_mille = 0;
    }

    /// Decides what becomes of a frame that is sent now.
    pub fn send(&mut self, from: usize, to: usize) -> Fate {
        if !self.is_open(from, to) || self.random.chance(self.options.loss_per_mille) {
            return Fate::Dropped;
        }
        let first = self.delay();
        if self.random.chance(self.options.duplicate_per_mille) {
            return Fate::Twice(first, self.delay());
        }
        Fate::Arrives(first)
    }

    fn delay(&mut self) -> Duration {
        let ordinary = self.options.delay.draw(&mut self.random);
        if self.random.chance(self.options.straggler_per_mille) {
            return ordinary + self.options.straggler_delay.draw(&mut self.random);
        }
        ordinary
    }
}
