//! Simulates clusters of [`raft_proto`]: everything outside the core comes from one seed.
//!
//! # A run
//!
//! 1. A [`request`] names a seed and what is fixed. The seed decides everything else ([`draw`]):
//!    the [`settings`], and a [`schedule`] of what the nemesis and the clients do. A schedule can
//!    also be read from a file.
//! 2. The [`world`] takes one event after another from a [`queue`], in the order of virtual time.
//!    It drives [`machines`](machine), each with a [`process`] (the unchanged core), a [`disk`]
//!    and a [`clock`], over a [`network`]. [`clients`] use a replicated [`service`], and an
//!    [`operator`] changes members and transfers leadership.
//! 3. The [`judge`] is told of everything that happens, and owns every [`checker`]. The first
//!    violation ends the run as a [`failure`]. The [`refinement`] is a second opinion by another
//!    argument.
//! 4. When the faults are over, some seeds judge the [`availability`] under a condition that stays.
//!    Then that ends too, and the cluster has to recover ([`liveness`]).
//! 5. The [`recorder`] has written the [`trace`], whose digest is the same on every machine, and
//!    has noted which rare situations were reached ([`coverage`]). The [`report`] sums the run
//!    up.
//!
//! # What is done with runs
//!
//! | module | does |
//! |---|---|
//! | [`run`] | one run, from its request to its report |
//! | [`sweep`] | many seeds, on several machines if need be |
//! | [`kit`] | tests a service of the user's own |
//! | [`shrink`] | makes a failing run small |
//! | [`replay`] | repeats a recording of a real node |
//! | [`explain`] | says of recordings why entries were slow or lost |
//! | [`zoo`] | measures how soon known mistakes are found |
//! | [`lab`] | the 28 scenarios of MIT 6.5840 Lab 3 |
//! | [`elections`] | Figure 16 of the paper, repeated |
//! | [`graphs`] | every network of a few servers: is there a leader that commits? |
//! | [`view`] | records a run for a page on which people look at it |
//! | [`linearizability`] | checks histories, also those of real services |
//!
//! # Features
//!
//! `cli`, on by default, is the command `raft-sim` and what only it needs; with it come `zoo` and
//! `elections`. `search` is `check`, `graphs` and `shrink`, which use all cores. `kit`, also on by
//! default, is the test kit, and `driver` its adapter for state machines of `raft-driver-thread`.
//! Without features the library simulates, checks and records single runs, in a browser too.
//!
//! Small parts: [`intensity`] (the kinds of faults), [`features`] (options of the core),
//! [`pending_commands`], [`duration`], [`random`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod availability;
#[cfg(feature = "search")]
pub mod check;
pub mod checker;
pub mod clients;
pub mod clock;
pub mod coverage;
pub mod disk;
pub mod draw;
pub mod duration;
#[cfg(feature = "cli")]
pub mod elections;
pub mod explain;
pub mod failure;
pub mod features;
#[cfg(feature = "search")]
pub mod graphs;
pub mod intensity;
pub mod judge;
#[cfg(feature = "kit")]
pub mod kit;
pub mod lab;
pub mod linearizability;
pub mod liveness;
pub mod machine;
pub mod network;
pub mod operator;
pub mod pending_commands;
pub mod process;
pub mod queue;
pub mod random;
pub mod recorder;
pub mod refinement;
pub mod release;
pub mod replay;
pub mod report;
pub mod request;
pub mod run;
pub mod schedule;
pub mod service;
pub mod settings;
#[cfg(feature = "search")]
pub mod shrink;
pub mod sweep;
pub mod trace;
pub mod view;
pub mod world;
#[cfg(feature = "cli")]
pub mod zoo;

/// The core under test. The types of this crate's interface are the core's.
#[doc(inline)]
pub use raft_proto;

/// The examples of the project's first page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
