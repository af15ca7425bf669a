//! A small cluster in the simulator, whose schedule the bytes choose. All checkers judge it, and
//! the refinement.
//!
//! The first bytes choose a seed, which draws the settings, and a palette of operations of a
//! nemesis and of clients. The others choose which of these happen, and when: an operation may come
//! often or never, and at any moment. So a fuzzer that sees which code runs can look for a sequence
//! that a seed would draw once in a million. All ends with a recovery, as in each run of the
//! simulator.
//!
//! With `RAFT_FUZZ_TRACE` set, the schedule is printed as a file that `raft-sim replay` takes.

use arbitrary::{Result, Unstructured};
use raft_proto::Time;
use raft_sim::draw::Draft;
use raft_sim::features::Features;
use raft_sim::request::{Checks, Faults, Request};
use raft_sim::run;
use raft_sim::schedule::Schedule;
use std::time::Duration;

/// How long the phase with faults is.
const TIME: Duration = Duration::from_secs(6);
/// The most operations: a run takes some milliseconds.
const MOST: usize = 256;
/// The unit of the pauses between operations.
const PAUSE: Duration = Duration::from_micros(500);

/// Runs the schedule that `data` describes.
///
/// # Panics
///
/// If the run fails.
pub fn run(data: &[u8]) {
    let Ok(schedule) = schedule(&mut Unstructured::new(data)) else {
        return; // Too few bytes.
    };
    if std::env::var_os("RAFT_FUZZ_TRACE").is_some() {
        println!("{}", schedule.to_text());
    }
    let report = run::try_schedule(&schedule);
    if let Some(failure) = report.failure {
        panic!("{failure}\n{}", schedule.to_text());
    }
}

fn schedule(u: &mut Unstructured<'_>) -> Result<Schedule> {
    let (seed, nodes) = (u.arbitrary::<u16>()?, u.int_in_range(2..=5)?);
    let features = *u.choose(&[Features::None, Features::Drawn, Features::All])?;
    let request = Request {
        features,
        rate: Some(20),
        checks: Checks::Refine,
        ..Request::new(seed.into(), nodes, TIME, Faults::Wild)
    };
    let mut schedule = Draft::new(request).schedule();
    let palette = (
        core::mem::take(&mut schedule.nemesis),
        core::mem::take(&mut schedule.operations),
    );
    let mut now = Time::ZERO;
    while !u.is_empty() && schedule.len() < MOST {
        now = now.after(PAUSE * u32::from(u.arbitrary::<u8>()?));
        if now >= Time::from_epoch(TIME) {
            break;
        }
        if u.ratio(2, 3)? && !palette.0.is_empty() {
            let (_, operation) = u.choose(&palette.0)?;
            schedule.nemesis.push((now, operation.clone()));
        } else if !palette.1.is_empty() {
            let (_, operation) = u.choose(&palette.1)?;
            schedule.operations.push((now, *operation));
        }
    }
    Ok(schedule)
}
