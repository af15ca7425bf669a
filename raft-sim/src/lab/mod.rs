//! Lab 3 of MIT's course 6.5840: its 28 scenarios, parts 3A to 3D, on a virtual clock.
//!
//! Most people who build Raft know the tests of this lab. Here its scenarios run against the
//! unchanged core, through the lab's own interface (`start`, `get_state`, `snapshot`, apply
//! messages) and over its network model (requests are lost, replies are lost or come seconds late,
//! servers are cut off). The difference: time is virtual and everything is drawn from one seed. So
//! all scenarios together take a blink instead of eight minutes, and a run that failed fails again
//! in the same way.
//!
//! ```
//! use raft_sim::lab::{self, TraceLevel};
//!
//! for scenario in lab::select(Some("initial election"))? {
//!     let report = scenario.run(1, TraceLevel::Off);
//!     assert!(report.outcome.is_ok());
//! }
//! # Ok::<(), lab::UnknownScenario>(())
//! ```
//!
//! | file | what is there |
//! |---|---|
//! | `table` | the scenarios: number, part, name, the figures on the lab's page |
//! | `comparison` | the table that compares many runs with the lab's page |
//! | `run` | runs a scenario |
//! | `report` | the lab's lines |
//! | `scenario` | what a scenario is |
//! | `part_3a` to `part_3d` | the scripts |
//! | `checks` | what scripts expect: one leader, agreement, the wait for an index |
//! | `clients` | clients that act while a script goes on |
//! | `harness` | the lab's interface: start, crash, connect, propose, let time pass |
//! | `engine` | the event loop |
//! | `cluster` | the state of a cluster under test |
//! | `service` | the replicated service, and the checks on what it applies |
//! | `network` | the network model |
//!
//! Each file uses only files below it in this table.

mod checks;
mod clients;
mod cluster;
mod codec;
mod comparison;
mod engine;
mod failure;
mod figures;
mod harness;
mod network;
mod part_3a;
mod part_3b;
mod part_3b_rpc;
mod part_3c;
mod part_3c_churn;
mod part_3d;
mod report;
mod run;
mod scenario;
mod service;
mod table;
mod tracer;

pub use comparison::Comparison;
pub use failure::Failure;
pub use figures::Figures;
pub use report::Report;
pub use scenario::{Part, Scenario};
pub use table::{UnknownScenario, scenarios, select};
pub use tracer::TraceLevel;
