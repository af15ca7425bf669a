//! The book: how to write a driver and a service, and where the paper is in the code.
//!
//! | page | for whom |
//! |---|---|
//! | [`driver`] | who writes a driver: the whole contract as a checklist |
//! | [`mistakes`] | the same: the ways to get it wrong, and what each looks like |
//! | [`transports`] | the same: settings for networks |
//! | [`service`] | who writes a state machine |
//! | [`paper`] | who knows the paper, or has done the MIT lab |
//! | [`errors`] | who gets one: what happened, is anything lost, what to do |
//! | [`questions`] | who wonders: questions that are asked often |
//! | [`compared`] | who chooses a library: what others have and this one has not, and the other way |
//! | [`compatibility`] | who upgrades: what stays the same across releases |
//! | [`other_libraries`] | who comes from etcd/raft, raft-rs or openraft: call by call |

pub mod compared;
pub mod compatibility;
pub mod driver;
pub mod errors;
pub mod mistakes;
pub mod other_libraries;
pub mod paper;
pub mod questions;
pub mod service;
pub mod transports;
