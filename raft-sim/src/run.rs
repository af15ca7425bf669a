//! A run: a safety phase with faults, in some runs a phase under a condition that stays, then a
//! liveness phase in which the cluster must recover.
//!
//! The first phase asks whether anything wrong ever happens; the last, whether something right
//! always happens in the end. Without it, a cluster that stands still passes every check. The phase
//! between them ([`availability`]) asks whether something right happens in time.

use crate::availability;
use crate::draw::Draft;
use crate::failure::Failure;
use crate::judge::Journal;
use crate::liveness::{self, Missing};
use crate::recorder::Recorder;
use crate::report::{Origin, Report};
use crate::request::Request;
use crate::schedule::{Schedule, Script};
use crate::service::CustomService;
use crate::settings::Settings;
use crate::trace::Trace;
use crate::view::Timeline;
use crate::world::World;
use core::time::Duration;
use raft_proto::Time;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// How long the cluster has to recover once all faults are over. It is enough for several split
/// votes, and for a snapshot in the smallest chunks.
pub const RECOVERY_TIME: Duration = Duration::from_secs(30);

/// How often the run checks whether the cluster has recovered.
const CHECK_EVERY: Duration = Duration::from_millis(20);

/// How many lines of the trace a failure shows.
const LAST_LINES: usize = 40;

/// Runs what a seed draws, and writes the trace to `output` if there is one.
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

/// Runs what a seed draws without making the text of a trace. If the run fails, runs it again with
/// the text.
pub fn search(request: Request) -> Report {
    let report = drawn(request, Trace::of_times(), &|_| {});
    if report.passed() {
        report
    } else {
        run(request, None)
    }
}

/// Runs a schedule, and writes the trace to `output` if there is one.
pub fn run_schedule(schedule: &Schedule, output: Option<Box<dyn Write + Send>>) -> Report {
    scheduled(schedule, Trace::new(output))
}

/// Runs a schedule without making the text of a trace.
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
        watch,
        custom: None,
    };
    run.execute(draft.settings, script, Recorder::new(trace))
        .report
}

/// A run that was recorded in tables.
pub(crate) struct Filmed {
    pub(crate) report: Report,
    pub(crate) timeline: Timeline,
    pub(crate) journal: Journal,
}

/// Runs a schedule, records it in tables, and writes the trace to `output`. `watch` is called with
/// each second of virtual time.
pub(crate) fn film_schedule(
    schedule: &Schedule,
    output: Box<dyn Write + Send>,
    watch: &dyn Fn(Duration),
) -> Filmed {
    let mut recorder = Recorder::new(Trace::new(Some(output)));
    let machines = schedule.settings.servers() as usize;
    recorder.timeline = Some(Box::new(Timeline::new(machines)));
    execute_schedule(schedule, None, recorder, watch)
}

fn scheduled(schedule: &Schedule, trace: Trace) -> Report {
    execute_schedule(schedule, None, Recorder::new(trace), &|_| {}).report
}

/// Runs a schedule with a service of the user's own, without making the text of a trace.
#[cfg(feature = "kit")]
pub(crate) fn try_with(schedule: &Schedule, custom: Arc<dyn CustomService>) -> Report {
    let recorder = Recorder::new(Trace::of_times());
    execute_schedule(schedule, Some(custom), recorder, &|_| {}).report
}

/// The same with the last lines of the trace if it fails, and with what clients did.
#[cfg(feature = "kit")]
pub(crate) fn film_with(schedule: &Schedule, custom: Arc<dyn CustomService>) -> Filmed {
    let mut recorder = Recorder::new(Trace::new(None));
    let machines = schedule.settings.servers() as usize;
    recorder.timeline = Some(Box::new(Timeline::new(machines)));
    execute_schedule(schedule, Some(custom), recorder, &|_| {})
}

fn execute_schedule(
    schedule: &Schedule,
    custom: Option<Arc<dyn CustomService>>,
    recorder: Recorder,
    watch: &dyn Fn(Duration),
) -> Filmed {
    let run = Run {
        seed: schedule.seed,
        time: schedule.time,
        origin: Origin::Schedule {
            nodes: schedule.settings.nodes,
            seed: schedule.seed,
            operations: schedule.len(),
        },
        watch,
        custom,
    };
    run.execute(schedule.settings.clone(), schedule.script(), recorder)
}

struct Run<'a> {
    seed: u64,
    time: Duration,
    origin: Origin,
    /// Called with each second of virtual time.
    watch: &'a dyn Fn(Duration),
    /// The service, if it is one of the user's own.
    custom: Option<Arc<dyn CustomService>>,
}

impl Run<'_> {
    fn execute(self, settings: Settings, script: Script, recorder: Recorder) -> Filmed {
        let clock = CpuClock::start();
        let checks = settings.checks;
        let mut world = World::serving(self.custom, settings, self.seed, script, recorder);
        // A panic is a defect like others, and is reported with its seed and trace like others.
        let result = catch_unwind(AssertUnwindSafe(|| {
            phases(&mut world, self.seed, self.time, self.watch)
        }));
        let result = result.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
            Err(Failure::Panicked(text.unwrap_or_default()))
        });
        let result = result.or_else(|failure| {
            if checks.count(&failure) {
                Err(failure)
            } else {
                Ok(())
            }
        });
        let last_lines = match &result {
            Ok(()) => Vec::new(),
            Err(_) => world.recorder().trace.last_lines(LAST_LINES),
        };
        let elapsed = clock.elapsed();
        let report = Report::new(&mut world, self.origin, result, last_lines, elapsed);
        let timeline = world.recorder_mut().timeline.take();
        Filmed {
            report,
            timeline: timeline.map_or_else(Timeline::default, |timeline| *timeline),
            journal: world.take_journal(),
        }
    }
}

/// The CPU time of this thread.
#[cfg(any(unix, windows))]
struct CpuClock(cpu_time::ThreadTime);

#[cfg(any(unix, windows))]
impl CpuClock {
    fn start() -> CpuClock {
        CpuClock(cpu_time::ThreadTime::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A browser tells nobody how much CPU time a thread took.
#[cfg(not(any(unix, windows)))]
struct CpuClock;

#[cfg(not(any(unix, windows)))]
impl CpuClock {
    fn start() -> CpuClock {
        CpuClock
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

fn phases(
    world: &mut World,
    seed: u64,
    time: Duration,
    watch: &dyn Fn(Duration),
) -> Result<(), Failure> {
    for second in 1..=time.as_secs() {
        let reached = Duration::from_secs(second);
        world.run_until(Time::from_epoch(reached))?;
        watch(reached);
    }
    let faults_end = Time::from_epoch(time);
    world.run_until(faults_end)?;
    if world.has_lost_majority() {
        // It is not live any more, and must not pretend to be.
        world.heal();
        world.run_until(world.now().after(RECOVERY_TIME))?;
        return world.finish_without_majority();
    }
    availability::judge(world, seed)?;
    world.heal();
    let ends = world.now().after(RECOVERY_TIME);
    let mut probe = None;
    loop {
        let missing = match liveness::missing(world, probe) {
            Missing::Nothing => break,
            Missing::Probe { leader } => {
                // A last command must be committed, too.
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
        world.run_until(world.now().after(CHECK_EVERY))?;
    }
    liveness::same_states(world)?;
    world.finish()
}
