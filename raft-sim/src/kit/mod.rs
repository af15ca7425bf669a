//! A test kit: the simulator's faults for a replicated service of one's own, in its own
//! `cargo test`.
//!
//! ```
//! use raft_sim::kit::{Kit, Mark, Model, StateMachine};
//! use serde::{Deserialize, Serialize};
//! use std::error::Error;
//!
//! #[derive(Clone, Debug, Serialize, Deserialize)]
//! enum Command {
//!     Add(u64),
//!     Read,
//! }
//!
//! #[derive(Default)]
//! struct Counter {
//!     value: u64,
//! }
//!
//! impl StateMachine for Counter {
//!     type Command = Command;
//!     type Answer = u64;
//!
//!     fn apply(&mut self, command: Command) -> u64 {
//!         if let Command::Add(more) = command {
//!             self.value += more;
//!         }
//!         self.value
//!     }
//!
//!     fn snapshot(&self) -> Vec<u8> {
//!         self.value.to_le_bytes().into()
//!     }
//!
//!     fn restore(&mut self, snapshot: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
//!         self.value = u64::from_le_bytes(snapshot.try_into()?);
//!         Ok(())
//!     }
//! }
//!
//! // In a test of one's own this is the body of a `#[test]`.
//! Kit::new(Counter::default, |_, random| match random.below(2) {
//!     0 => Command::Read,
//!     _ => Command::Add(random.between(1, 9)),
//! })
//! .linearizable(Model::new(0, |value: &mut u64, command: &Command| {
//!     *value += if let Command::Add(more) = command { *more } else { 0 };
//!     *value
//! }))
//! .requires([Mark::LeaderChanged, Mark::Restarted, Mark::SnapshotLoaded])
//! .seeds(0..30)
//! .run();
//! ```
//!
//! # What the user gives
//!
//! - A [`StateMachine`]: it applies commands, makes snapshots and restores them.
//! - A generator, which draws the commands of clients from a source of random numbers
//!   ([`Kit::new`]).
//! - What has to hold: a sequential model that the answers of all clients have to fit
//!   ([`Kit::linearizable`]), an invariant of every replica's state ([`Kit::invariant`]), or both.
//!   Besides, replicas that have applied the same commands have to be in the same state
//!   ([`StateMachine::digest`]).
//! - Optionally faults of one's own, of which the state machine is told ([`Kit::fault`]), and
//!   situations that the runs have to reach ([`Kit::requires`], [`Kit::sometimes`]).
//!
//! # What it does
//!
//! Each seed is a run of a cluster of the real core, in virtual time. Some clients call the
//! service, while messages are lost, links cut, processes killed, disks slow, and leaders deposed
//! ([`intensity`](crate::intensity) lists all faults). A client that gets no answer sends its
//! command again. It is applied once all the same, as the service of the simulator numbers the
//! commands of each client. Snapshots are made often, and logs are short, so that replicas restore
//! them often. Then all faults end, and every replica has to catch up.
//!
//! The first seed that fails is run again, and made small by delta debugging
//! ([`shrink`](crate::shrink)). What is left is told as a list of events: faults, and commands with
//! their answers. The last lines say how to run it again. Every kit reads these environment
//! variables:
//!
//! | variable | runs |
//! |---|---|
//! | `RAFT_SIM_SEED=17` | this seed of the test |
//! | `RAFT_SIM_SCHEDULE=FILE` | the small run, from the file that the failure names; it may be edited |
//! | `RAFT_SIM_SEEDS=0..100000` | these seeds, as for a search over night |
//!
//! With one of the first two, name one test, as in `cargo test -- --exact NAME`.
//!
//! # What it does not do
//!
//! Reads that do not go through the log are not offered: each command is one. Commands are applied
//! one at a time. A state machine has no disk of its own.
//!
//! # How fast
//!
//! A run of the usual length takes some 40 ms of CPU time in a debug build. A failing one is run up
//! to [`Kit::SHRINKING`] times in smaller and smaller forms.
//!
//! # State machines of `raft-driver-thread`
//!
//! With the feature `driver`, `Driven` takes them as they are. The adapter stands here, and not in
//! the driver's crate, so that the driver does not depend on its own test tool. It needs that crate
//! without any of its features.
//!
//! # How it fits into the simulator
//!
//! [`World`](crate::world::World) and the checkers know one [`service`](crate::service), with
//! sessions, answers that are kept, and snapshots. Its store is the built-in key/value store or,
//! behind a trait object, a state machine whose commands, answers and state are bytes. So the world
//! is not generic, and a run of the built-in service costs nothing more. In this module:
//!
//! | file | does |
//! |---|---|
//! | `served.rs` | turns the bytes into the user's types, and asks the invariants |
//! | `model.rs` | the history of calls that the judge keeps, checked against the model |
//! | `draw.rs` | replaces the operations of clients by calls: `call 17` in a schedule is the command that the generator draws from the number 17 |
//! | `search.rs` | runs the seeds, and makes the first run small that fails |
//! | `summary.rs` `error.rs` | what was reached, and what failed |

mod draw;
#[cfg(feature = "driver")]
mod driver;
mod environment;
mod error;
mod model;
mod quiet;
mod search;
mod served;
mod state_machine;
mod summary;

#[cfg(feature = "driver")]
pub use driver::Driven;
pub use error::{Found, KitError};
pub use model::Model;
pub use state_machine::{Client, Holds, StateMachine};
pub use summary::{Mark, Summary};

/// The source of random numbers from which commands are drawn.
#[doc(inline)]
pub use crate::random::Random;

use crate::intensity::{FaultKind, Override, Overrides};
use crate::request::Faults;
use crate::shrink::Options;
use core::fmt::{self, Debug};
use core::hash::Hash;
use core::ops::Range;
use core::time::Duration;
use draw::Fixed;
use environment::Wanted;
use search::Search;
use served::{Comparison, Named, Parts};
use std::sync::Arc;

/// A test of a service: what it is, what has to hold, and how it is searched.
pub struct Kit<S: StateMachine> {
    parts: Parts<S>,
    fixed: Fixed,
    seeds: Range<u64>,
    required: Vec<Mark>,
    shrinking: Options,
}

impl<S: StateMachine> Debug for Kit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = core::any::type_name::<S>();
        write!(f, "Kit of {name}, seeds {:?}", self.seeds)
    }
}

impl<S: StateMachine> Kit<S> {
    /// The seeds that are run if the test does not say: 0 to 199.
    pub const SEEDS: Range<u64> = 0..200;
    /// How long the faults last in a run if the test does not say: 8 s of virtual time.
    pub const TIME: Duration = Duration::from_secs(8);
    /// How many runs are tried to make a failing one small, at most, if the test does not say.
    pub const SHRINKING: u64 = 4_000;

    /// A test of the service that `new` makes: it is called for each replica, and again whenever a
    /// process starts. `commands` draws the commands of clients. It has to follow from its two
    /// arguments alone.
    pub fn new(
        new: impl Fn() -> S + Send + Sync + 'static,
        commands: impl Fn(&Client<'_, S>, &mut Random) -> S::Command + Send + Sync + 'static,
    ) -> Kit<S> {
        Kit {
            parts: Parts {
                new: Box::new(new),
                draw: Box::new(commands),
                invariants: Vec::new(),
                faults: Vec::new(),
                sometimes: Vec::new(),
                history: None,
                comparison: Comparison::Compared,
            },
            fixed: Fixed {
                nodes: None,
                time: Self::TIME,
                faults: Faults::Wild,
                rate: None,
                overrides: Overrides::default(),
            },
            seeds: Self::SEEDS,
            required: Vec::new(),
            shrinking: Options {
                runs: Self::SHRINKING,
                ..Options::default()
            },
        }
    }

    /// What clients see has to be linearizable: there is an order of all commands, in which each
    /// takes effect between its beginning and its end, such that the model gives the same answers.
    #[must_use]
    pub fn linearizable<M>(mut self, model: Model<S::Command, S::Answer, M>) -> Kit<S>
    where
        M: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    {
        let model = Arc::new(model);
        self.parts.history = Some(Box::new(move || model::history::<S, M>(&model)));
        self
    }

    /// The invariant of this name has to hold of every replica's state: it is asked after each
    /// command and each restored snapshot. It answers with a `bool`, or with a `Result` whose error
    /// says what is wrong.
    #[must_use]
    pub fn invariant<H: Holds>(
        mut self,
        name: impl Into<String>,
        holds: impl Fn(&S) -> H + Send + Sync + 'static,
    ) -> Kit<S> {
        self.parts.invariants.push(Named {
            name: name.into(),
            what: Box::new(move |service| holds(service).broken()),
        });
        self
    }

    /// A fault of one's own, of which the state machine of one replica is told by `strike`: its
    /// clock jumps, its cache is lost. Half of the seeds have it, and it strikes now and then. It
    /// must not change the replicated state.
    #[must_use]
    pub fn fault(
        mut self,
        name: impl Into<String>,
        strike: impl Fn(&mut S) + Send + Sync + 'static,
    ) -> Kit<S> {
        self.parts.faults.push(Named {
            name: name.into(),
            what: Box::new(strike),
        });
        self
    }

    /// Some seed has to reach each of these situations.
    #[must_use]
    pub fn requires<M: Into<Mark>>(mut self, marks: impl IntoIterator<Item = M>) -> Kit<S> {
        self.required.extend(marks.into_iter().map(Into::into));
        self
    }

    /// In some seed a client has to get an answer for which `reached` holds. So a test fails whose
    /// commands never fill the queue, or never find the lock taken.
    #[must_use]
    pub fn sometimes(
        mut self,
        name: impl Into<String>,
        reached: impl Fn(&S::Command, &S::Answer) -> bool + Send + Sync + 'static,
    ) -> Kit<S> {
        self.parts.sometimes.push(Named {
            name: name.into(),
            what: Box::new(reached),
        });
        self
    }

    /// The states of replicas are not compared with each other. The answers that replicas keep for
    /// their clients still are, in the end.
    #[must_use]
    pub fn without_comparison(mut self) -> Kit<S> {
        self.parts.comparison = Comparison::NotCompared;
        self
    }

    /// The seeds that are run: [`Kit::SEEDS`] if nothing else is said.
    #[must_use]
    pub fn seeds(mut self, seeds: Range<u64>) -> Kit<S> {
        self.seeds = seeds;
        self
    }

    /// How many servers each cluster has, from 1 to 15. Otherwise a seed draws 3 or 5.
    #[must_use]
    pub fn nodes(mut self, nodes: u32) -> Kit<S> {
        self.fixed.nodes = Some(nodes);
        self
    }

    /// How long faults and commands last in each run, in virtual time, from 1 ms to a week:
    /// [`Kit::TIME`] if nothing else is said.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Kit<S> {
        let least = Duration::from_millis(1);
        self.fixed.time = time.clamp(least, crate::request::Request::MAX_TIME);
        self
    }

    /// How many commands clients begin in a second of virtual time, all together. Otherwise a seed
    /// draws 5 to 60.
    #[must_use]
    pub fn commands_per_second(mut self, rate: u32) -> Kit<S> {
        self.fixed.rate = Some(rate);
        self
    }

    /// How hostile the environment is: [`Faults::Wild`] if nothing else is said.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Kit<S> {
        self.fixed.faults = faults;
        self
    }

    /// How hard a kind of fault strikes in every seed, from 0 to 100. Otherwise a seed draws it.
    #[must_use]
    pub fn intensity(mut self, kind: FaultKind, intensity: u8) -> Kit<S> {
        let intensity = intensity.min(crate::intensity::WORST);
        let given = Override { kind, intensity };
        self.fixed.overrides = self.fixed.overrides.with(given);
        self
    }

    /// How many runs are tried to make a failing one small, at most: [`Kit::SHRINKING`] if nothing
    /// else is said. With 0 it stays as it is.
    #[must_use]
    pub fn shrinking(mut self, runs: u64) -> Kit<S> {
        self.shrinking.runs = runs;
        self
    }

    /// Runs the test, in parallel on all cores.
    ///
    /// # Errors
    ///
    /// [`KitError`]: the first seed that fails, or what no seed reached.
    pub fn check(self) -> Result<Summary, KitError> {
        let wanted = Wanted::by(|name| std::env::var(name).ok())?;
        self.search().run(wanted)
    }

    fn search(self) -> Search<S> {
        Search {
            parts: Arc::new(self.parts),
            fixed: self.fixed,
            seeds: self.seeds,
            required: self.required,
            shrinking: self.shrinking,
        }
    }

    /// As [`check`](Kit::check), for a test: prints what was reached, which `cargo test` shows with
    /// `--nocapture`.
    ///
    /// # Panics
    ///
    /// If [`check`](Kit::check) fails, with what it says.
    #[track_caller]
    #[expect(clippy::panic, reason = "it is an assertion of the user's test")]
    pub fn run(self) -> Summary {
        match self.check() {
            Ok(summary) => {
                println!("{summary}");
                summary
            }
            Err(error) => panic!("{error}"),
        }
    }
}
