//! A run: a safety phase with faults, then a calm in which the cluster must recover.
//!
//! The first phase asks whether anything wrong ever happens; the second whether something right
//! always happens in the end. Without the second, a cluster that stands still passes every check.

use crate::draw::Draft;
use crate::failure::Failure;
use crate::liveness::{self, Missing};
use crate::report::{Origin, Report};
use crate::request::Request;
use crate::schedule::{Schedule, Script};
use crate::settings::Settings;
use crate::trace::Trace;
use crate::world::World;
use core::time::Duration;
use cpu_time::ThreadTime;
use raft_proto::Time;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How long the cluster has to recover once all faults are over. Enough for several elections
/// that split their votes, and for a snapshot in the smallest chunks.
pub const RECOVERY_TIME: Duration = Duration::from_secs(30);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many lines of the trace a failure shows.
const LAST_LINES: usize = 40;

/// Runs a cluster, and writes its trace to `output` if there is one.
pub fn run(request: Request, output: Option<Box<dyn Write + Send>>) -> Report {
    run_watched(request, output, &|_| {})
}

/// Like [`run`]. `watch` is called with each second of virtual time that the run has reached.
pub fn run_watched(
    request: Request,
    output: Option<Box<dyn Write + Send>>,
    watch: &dyn Fn(Duration),
) -> Report {
    drawn(request, Trace::new(output), watch)
}

/// Runs a cluster without writing down what happens; again with a trace if something is wrong.
pub fn search(request: Request) -> Report {
    let report = drawn(request, Trace::of_times(), &|_| {});
    match report.passed() {
        true => report,
        false => run(request, None),
    }
}

/// Runs what is written down, and writes its trace to `output` if there is one.
pub fn run_schedule(schedule: &Schedule, output: Option<Box<dyn Write + Send>>) -> Report {
    scheduled(schedule, Trace::new(output))
}

/// Runs what is written down without writing down what happens.
pub fn try_schedule(schedule: &Schedule) -> Report {
    scheduled(schedule, Trace::of_times())
}

fn drawn(request: Request, trace: Trace, watch: &dyn Fn(Duration)) -> Report {
    let draft = Draft::new(request);
    let script = draft.script();
    let run = Run {
        seed: request.seed,
        time: request.time,
        origin: Origin::Drawn(request),
    };
    run.traced(draft.settings, script, trace, watch)
}

fn scheduled(schedule: &Schedule, trace: Trace) -> Report {
    let run = Run {
        seed: schedule.seed,
        time: schedule.time,
        origin: Origin::Schedule {
            nodes: schedule.settings.nodes,
            seed: schedule.seed,
            operations: schedule.len(),
        },
    };
    run.traced(schedule.settings.clone(), schedule.script(), trace, &|_| {})
}

struct Run {
    seed: u64,
    time: Duration,
    origin: Origin,
}

impl Run {
    fn traced(
        self,
        settings: Settings,
        script: Script,
        trace: Trace,
        watch: &dyn Fn(Duration),
    ) -> Report {
        let began = ThreadTime::now();
        let mut world = World::new(settings, self.seed, script, trace);
        // A panic is a defect like others, and needs its seed and trace like others.
        let result = catch_unwind(AssertUnwindSafe(|| phases(&mut world, self.time, watch)));
        let result = result.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
            Err(Failure::Panicked(text.unwrap_or_default()))
        });
        let last_lines = match &result {
            Ok(()) => Vec::new(),
            Err(_) => world.recorder().trace.last_lines(LAST_LINES),
        };
        Report::new(&mut world, self.origin, result, last_lines, began.elapsed())
    }
}

fn phases(world: &mut World, time: Duration, watch: &dyn Fn(Duration)) -> Result<(), Failure> {
    for second in 1..=time.as_secs() {
        let reached = Duration::from_secs(second);
        world.run_until(Time::from_epoch(reached))?;
        watch(reached);
    }
    let calm_begins = Time::from_epoch(time);
    world.run_until(calm_begins)?;
    world.heal();
    let ends = calm_begins.after(RECOVERY_TIME);
    let mut probe = None;
    loop {
        let missing = match liveness::missing(world, probe) {
            Missing::Nothing => break,
            Missing::Probe { leader } => {
                // A last command must get through too.
                probe = world.probe(leader).and_then(Result::ok);
                String::from("a leader that takes a proposal")
            }
            Missing::Other(what) => what,
        };
        if world.now() >= ends {
            return Err(Failure::NotLive {
                within: RECOVERY_TIME,
                missing,
            });
        }
        world.run_until(world.now().after(LOOK_EVERY))?;
    }
    liveness::same_states(world)?;
    world.finish()
}
