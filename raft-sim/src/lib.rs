//! Simulates clusters of `raft-proto`: everything outside the core comes from one seed.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod disk;
pub mod host;
pub mod lab;
pub mod queue;
pub mod random;
pub mod checker;
pub mod network;
pub mod nemesis;
pub mod options;
pub mod service;
