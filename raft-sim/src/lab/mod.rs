//! Lab 3 of MIT's course 6.5840: its 28 scenarios, parts 3A to 3D, on a virtual clock.
//!
//! The lab is the test that most people who build Raft know. Here its scenarios run against the
//! unchanged core through the lab's own interface (`start`, `get_state`, `snapshot`, apply
//! messages) and over its network model (requests that are lost, replies that are lost or come
//! seconds late, servers that are cut off). What is different: time is virtual and everything is
//! drawn from one seed, so all of it takes a blink instead of eight minutes, and a run that
//! failed fails again in the same way.
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
//! | `part_3a` to `part_3d` | their scripts |
//! | `harness` | the cluster: start, crash, connect, and the lab's interface |
//! | `engine` | the event loop |
//! | `service` | the replicated service, and the checks on what it applies |
//! | `checks` | what scripts ask for: one leader, agreement, the wait for an index |
//! | `clients` | clients that act while a script goes on |
//! | `network` | the network model |
//! | `report` | the lab's lines, and the table that compares |

mod checks;
mod clients;
mod codec;
mod engine;
mod harness;
mod network;
mod part_3a;
mod part_3b;
mod part_3b_rpc;
mod part_3c;
mod part_3c_churn;
mod part_3d;
pub mod report;
mod service;
mod table;
mod tracer;

pub use report::{Failure, Report};
pub use table::{Figures, Part, Scenario, UnknownScenario, scenarios, select};
pub use tracer::TraceLevel;
