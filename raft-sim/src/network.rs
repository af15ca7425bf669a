//! The network: one-way links that lose, delay, reorder, repeat and damage frames, and can be cut.

use crate::duration::{DurationRange, Slowdown};
use crate::random::Random;
use core::time::Duration;
use raft_proto::Time;

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Dropped,
    /// It arrives after this time.
    Arrives(Duration),
    /// It arrives after each of these times.
    Twice(Duration, Duration),
    /// Other bytes than those that were sent arrive after this time.
    Damaged(Duration),
}

/// How many of a thousand frames, on any link, are lost, repeated, delayed or damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// Lost.
    pub loss: u32,
    /// Delivered twice.
    pub duplicate: u32,
    /// Delayed.
    pub late: u32,
    /// Delivered with other bytes.
    pub corrupt: u32,
    /// How long one is delayed at most.
    pub by: Duration,
}

/// The faults of one link, each until a time.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    cut_until: Time,
    flaky: Flakiness,
    slow: Slowdown,
}

/// A link loses so many of a thousand frames, until a time.
#[derive(Clone, Copy, Debug, Default)]
struct Flakiness {
    loss: u32,
    until: Time,
}

/// All links between the servers, by their places (0-based).
#[derive(Clone, Debug)]
pub struct Network {
    delay: DurationRange,
    random: Random,
    servers: usize,
    /// The link from `from` to `to` stands at `from * servers + to`.
    links: Vec<Link>,
    noise: Noise,
    noisy_until: Time,
    /// The last fault of any single link ends then. Most of the time no link has to be looked at.
    disturbed_until: Time,
}

impl Network {
    /// A network without faults.
    pub fn new(servers: usize, delay: DurationRange, random: Random) -> Network {
        Network {
            delay,
            random,
            servers,
            links: vec![Link::default(); servers * servers],
            noise: Noise::default(),
            noisy_until: Time::ZERO,
            disturbed_until: Time::ZERO,
        }
    }

    fn link(&mut self, from: usize, to: usize) -> Option<&mut Link> {
        let is_there = from < self.servers && to < self.servers;
        let at = from * self.servers + to;
        self.links.get_mut(at).filter(|_| is_there)
    }

    /// Cuts a link: it carries nothing until then.
    pub fn cut(&mut self, from: usize, to: usize, until: Time) {
        self.disturbed_until = self.disturbed_until.max(until);
        if let Some(link) = self.link(from, to) {
            link.cut_until = link.cut_until.max(until);
        }
    }

    /// Whether a link is cut at this time.
    pub fn is_cut(&self, now: Time, from: usize, to: usize) -> bool {
        let is_there = from < self.servers && to < self.servers;
        let link = self.links.get(from * self.servers + to);
        is_there && link.is_some_and(|link| link.cut_until > now)
    }

    /// Makes a link lose `loss` of a thousand frames until then.
    pub fn make_flaky(&mut self, from: usize, to: usize, loss: u32, until: Time) {
        self.disturbed_until = self.disturbed_until.max(until);
        if let Some(link) = self.link(from, to) {
            link.flaky = Flakiness { loss, until };
        }
    }

    /// Makes frames on a link take longer by `by` until then.
    pub fn slow_down(&mut self, from: usize, to: usize, by: Duration, until: Time) {
        self.disturbed_until = self.disturbed_until.max(until);
        if let Some(link) = self.link(from, to) {
            link.slow = Slowdown { by, until };
        }
    }

    /// Makes all links noisy until then.
    pub fn set_noise(&mut self, noise: Noise, until: Time) {
        self.noise = noise;
        self.noisy_until = until;
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.links.fill(Link::default());
        self.noisy_until = Time::ZERO;
        self.disturbed_until = Time::ZERO;
    }

    /// Decides what happens to a frame that is sent now.
    pub fn send(&mut self, now: Time, from: usize, to: usize) -> Fate {
        let mut delay = self.delay.draw(&mut self.random);
        if from >= self.servers || to >= self.servers {
            return Fate::Dropped;
        }
        if self.disturbed_until > now {
            let link = self.links[from * self.servers + to]; // Both are below `servers`.
            let Flakiness { loss, until } = link.flaky;
            let loses = until > now && self.random.chance(loss.into());
            if link.cut_until > now || loses {
                return Fate::Dropped;
            }
            if let Some(by) = link.slow.at(now) {
                delay += by;
            }
        }
        let noise = self.noise;
        if self.noisy_until <= now {
            return Fate::Arrives(delay);
        }
        // One draw decides between outcomes that exclude each other.
        let draw = self.random.below(1000) as u32; // below 1000
        if draw < noise.loss {
            return Fate::Dropped;
        }
        if self.random.chance(noise.late.into()) {
            delay += self.random.duration(Duration::ZERO, noise.by);
        }
        let rest = draw - noise.loss;
        if rest < noise.corrupt {
            return Fate::Damaged(delay);
        }
        if rest - noise.corrupt < noise.duplicate {
            return Fate::Twice(delay, delay + self.delay.draw(&mut self.random));
        }
        Fate::Arrives(delay)
    }

    /// The bytes that arrive in place of a frame: with bits flipped, or its end cut off, or some
    /// bytes replaced by others.
    pub fn damage(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut bytes = frame.to_vec();
        let random = &mut self.random;
        match random.below(4) {
            0 => bytes.truncate(random.below(frame.len() as u64) as usize),
            1 => {
                let from = random.below(frame.len() as u64) as usize;
                let until = frame.len().min(from + random.between(1, 16) as usize);
                for byte in bytes.iter_mut().take(until).skip(from) {
                    *byte = random.next_u64() as u8;
                }
            }
            _ => {
                for _ in 0..random.between(1, 4) {
                    let at = random.below(frame.len() as u64) as usize;
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << random.below(8);
                    }
                }
            }
        }
        bytes
    }
}
