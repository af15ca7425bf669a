//! The nemesis: who breaks what, and when.

use crate::options::NemesisOptions;
use crate::random::Random;
use core::time::Duration;

/// Something that the nemesis does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// These servers (by slot) lose power: what was not synced may be lost. Each restarts after
    /// its own time.
    Crash(Vec<(usize, Duration)>),
    /// These links, from and to, carry nothing for a while.
    Cut {
        /// The links.
        links: Vec<(usize, usize)>,
        /// How long.
        outage: Duration,
    },
}

/// What the nemesis can see of the cluster when it chooses.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Whether each server runs.
    pub up: &'a [bool],
    /// Who leads, if anybody does.
    pub leader: Option<usize>,
}

/// Draws deeds.
#[derive(Clone, Debug)]
pub struct Nemesis {
    options: NemesisOptions,
    random: Random,
}

impl Nemesis {
    /// A nemesis with these habits.
    pub fn new(options: NemesisOptions, random: Random) -> Nemesis {
        Nemesis { options, random }
    }

    /// How long until its next deed; `None` if it does nothing.
    pub fn pause(&mut self) -> Option<Duration> {
        let pause = self.options.pause?;
        Some(pause.draw(&mut self.random))
    }

    /// What it does now. Nothing, if what it chose makes no sense at this moment.
    pub fn deed(&mut self, sight: Sight<'_>) -> Option<Deed> {
        let options = &self.options;
        let weights = [
            options.crash_one,
            options.crash_some,
            options.crash_all,
            options.isolate_leader,
            options.split,
            options.cut_one_way,
        ];
        let mut draw = self.random.below(weights.iter().sum());
        let chosen = weights.iter().position(|weight| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        let up: Vec<usize> = (0..sight.up.len()).filter(|slot| sight.up[*slot]).collect();
        match chosen? {
            0 => self.crash_one(&up, sight.leader),
            1 => {
                let most = (sight.up.len().saturating_sub(1) / 2).max(1);
                let count = self.random.between(1, most as u64) as usize;
                let mut victims = self.shuffled(&up);
                victims.truncate(count);
                self.crash(victims)
            }
            2 => self.crash(up),
            3 => {
                let leader = sight.leader?;
                self.split_off(sight.up.len(), |slot| slot == leader)
            }
            4 => {
                let bits = self.random.next_u64();
                self.split_off(sight.up.len(), |slot| bits >> slot & 1 == 1)
            }
            _ => self.cut_one_way(sight.up.len()),
        }
    }

    /// The leader as often as all others together: that is where crashes tell.
    fn crash_one(&mut self, up: &[usize], leader: Option<usize>) -> Option<Deed> {
        let any = self.random.choose(up).copied();
        let victim = if self.random.chance(500) {
            leader.or(any)
        } else {
            any
        };
        self.crash(victim.into_iter().collect())
    }

    fn crash(&mut self, victims: Vec<usize>) -> Option<Deed> {
        if victims.is_empty() {
            return None;
        }
        let outages = victims.into_iter();
        let outages = outages.map(|slot| (slot, self.options.outage.draw(&mut self.random)));
        Some(Deed::Crash(outages.collect()))
    }

    fn shuffled(&mut self, slots: &[usize]) -> Vec<usize> {
        let mut slots = slots.to_vec();
        for at in (1..slots.len()).rev() {
            let other = self.random.below(at as u64 + 1) as usize;
            slots.swap(at, other);
        }
        slots
    }

    /// Cuts all links between those on one side and the others.
    fn split_off(&mut self, nodes: usize, side: impl Fn(usize) -> bool) -> Option<Deed> {
        let mut links = Vec::new();
        for from in 0..nodes {
            let across = (0..nodes).filter(|to| side(from) != side(*to));
            links.extend(across.map(|to| (from, to)));
        }
        self.cut(links)
    }

    fn cut_one_way(&mut self, nodes: usize) -> Option<Deed> {
        let from = self.random.below(nodes as u64) as usize;
        let to = self.random.below(nodes as u64) as usize;
        let links = if from == to {
            Vec::new()
        } else {
            vec![(from, to)]
        };
        self.cut(links)
    }

    fn cut(&mut self, links: Vec<(usize, usize)>) -> Option<Deed> {
        if links.is_empty() {
            return None;
        }
        let outage = self.options.outage.draw(&mut self.random);
        Some(Deed::Cut { links, outage })
    }
}
