//! What a seed draws: the settings of a run, the operations of its nemesis, and those of its
//! clients.

mod choices;
mod inputs;
mod intensities;
mod majority;
mod nemesis;
mod operations;
mod rare;
mod reconfigurations;
mod settings;

use crate::availability;
use crate::intensity::Intensities;
use crate::random::Random;
use crate::request::Request;
use crate::schedule::{Schedule, Script};
use crate::settings::Settings;
use core::iter::Peekable;
use core::time::Duration;
use raft_proto::Time;

/// All that a seed draws before a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The request.
    pub request: Request,
    /// How hard each kind of fault strikes.
    pub intensities: Intensities,
    /// The cluster.
    pub settings: Settings,
}

impl Draft {
    /// What the seed of `request` draws.
    pub fn new(request: Request) -> Draft {
        let mut random = Random::new(request.seed, "draft");
        let mut intensities = intensities::draw(&request, &mut random.fork("intensities"));
        let mut settings = settings::draw(&request, &mut intensities, &mut random.fork("settings"));
        rare::draw(&mut settings, &request, &intensities);
        settings.condition = availability::draw(&request, &settings);
        Draft {
            request,
            intensities,
            settings,
        }
    }

    /// The operations, drawn while the run goes on.
    pub fn script(&self) -> Script {
        let request = &self.request;
        let mut random = Random::new(request.seed, "script");
        let nemesis = nemesis::Nemesis::new(self, random.fork("deeds"));
        let operations = operations::Operations::new(self, random.fork("operations"));
        let inputs = inputs::Inputs::new(self, Random::new(request.seed, "inputs"));
        Script {
            nemesis: Box::new(InOrder {
                first: nemesis.peekable(),
                second: inputs.peekable(),
            }),
            operations: Box::new(operations),
        }
    }

    /// All operations, written out.
    pub fn schedule(&self) -> Schedule {
        let script = self.script();
        Schedule {
            seed: self.request.seed,
            mutant: None,
            failure: None,
            settings: self.settings.clone(),
            time: self.request.time,
            nemesis: script.nemesis.collect(),
            operations: script.operations.collect(),
        }
    }
}

/// The items of two iterators that are each in the order of time.
struct InOrder<A: Iterator, B: Iterator> {
    first: Peekable<A>,
    second: Peekable<B>,
}

impl<T, A: Iterator<Item = (Time, T)>, B: Iterator<Item = (Time, T)>> Iterator for InOrder<A, B> {
    type Item = (Time, T);

    fn next(&mut self) -> Option<(Time, T)> {
        match (self.first.peek(), self.second.peek()) {
            (Some((first, _)), Some((second, _))) if second < first => self.second.next(),
            (Some(_), _) => self.first.next(),
            (None, _) => self.second.next(),
        }
    }
}

/// A duration that reads well: whole milliseconds, or tens of microseconds if it is short.
fn rounded(time: Duration) -> Duration {
    let step = if time >= Duration::from_millis(10) {
        1_000_000
    } else {
        10_000
    };
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos((nanos / step).max(1) * step)
}

/// The time in whole microseconds, as files write it.
fn whole_micros(at: Time) -> Time {
    Time(at.0 / 1_000 * 1_000)
}

/// The time that comes `after` another one, in whole microseconds.
fn later(at: Time, after: Duration) -> Time {
    whole_micros(at.after(after))
}
