//! Simulates clusters of `raft-proto`: everything outside the core comes from one seed.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod checker;
pub mod clients;
pub mod clock;
pub mod coverage;
pub mod disk;
pub mod draw;
pub mod duration;
pub mod elections;
pub mod failure;
pub mod features;
pub mod intensity;
pub mod judge;
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
pub mod replay;
pub mod report;
pub mod request;
pub mod run;
pub mod schedule;
pub mod service;
pub mod settings;
pub mod shrink;
pub mod sweep;
pub mod trace;
pub mod world;
pub mod zoo;

/// The examples of the project's first page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
