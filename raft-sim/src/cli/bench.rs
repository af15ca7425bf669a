//! `raft-sim bench`.

use super::{BenchArgs, Verdict};
use raft_sim::features::Features;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::sweep::Tally;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Client operations that are asked for in a second of virtual time, unless another rate is given:
/// with all faults the clients get to begin some 50 of them.
const RATE: u32 = 100;

/// Runs seeds in this thread, so that a second of it is a second of a core.
pub(crate) fn run(args: &BenchArgs) -> io::Result<Verdict> {
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "one core, {} nodes, {} faults, all checks; runs of {} and their calm",
        args.cluster.nodes,
        args.cluster.faults.unwrap_or(Faults::Wild),
        humantime::format_duration(args.time)
    )?;
    writeln!(
        stdout,
        "{:<9} {:>8} {:>12} {:>18} {:>14} {:>14}",
        "features", "seeds", "seeds/s", "virtual s / CPU s", "events/s", "operations/s"
    )?;
    for features in [Features::None, Features::Drawn, Features::All] {
        let request = |seed| Request {
            features,
            rate: args.cluster.rate.or(Some(RATE)),
            ..args.cluster.request(seed, args.time, Faults::Wild)
        };
        let (tally, begun) = measure(request, args.seconds);
        let cpu = (tally.cpu_micros as f64 / 1e6).max(1e-9);
        let virtual_seconds = tally.virtual_millis as f64 / 1e3;
        writeln!(
            stdout,
            "{:<9} {:>8} {:>12.1} {:>18.0} {:>14.0} {:>14.1}",
            features.to_string(),
            tally.seeds,
            tally.seeds as f64 / cpu,
            virtual_seconds / cpu,
            tally.events as f64 / cpu,
            begun as f64 / virtual_seconds,
        )?;
        if tally.failed > 0 {
            writeln!(stdout, "{} seeds FAILED: see raft-sim sweep", tally.failed)?;
            return Ok(Verdict::Failed);
        }
    }
    writeln!(
        stdout,
        "operations are those that clients began, in a second of virtual time"
    )?;
    Ok(Verdict::Passed)
}

fn measure(request: impl Fn(u64) -> Request, seconds: u32) -> (Tally, u64) {
    let time = Duration::from_secs(seconds.into());
    let (mut tally, mut begun) = (Tally::default(), 0);
    let began = Instant::now();
    for seed in 0.. {
        if began.elapsed() >= time {
            break;
        }
        let report = run::search(request(seed));
        begun += report.clients.begun;
        tally.add(&report);
    }
    (tally, begun)
}
