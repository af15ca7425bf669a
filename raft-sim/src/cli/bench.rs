//! `raft-sim bench`.

use super::cluster::ClusterArgs;
use super::outcome::{CommandResult, Outcome};
use super::values;
use clap::Args;
use raft_sim::availability::Figures;
use raft_sim::features::Features;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::sweep::Tally;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// `raft-sim bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// How long each row is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = values::seconds)]
    seconds: u32,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time
    #[arg(long, default_value = "60s", value_parser = values::duration)]
    time: Duration,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Client operations in a second of virtual time, unless another rate is given. With all faults,
/// clients get to begin some 50 of them.
const RATE: u32 = 100;

/// Runs seeds in this thread, so that a second of it is a second of a core.
pub(super) fn run(args: &BenchArgs) -> CommandResult {
    let mut stdout = io::stdout();
    if !args.json {
        write_head(args)?;
    }
    let mut rows = Vec::new();
    for features in [Features::None, Features::Drawn, Features::All] {
        let request = |seed| Request {
            features,
            rate: args.cluster.rate.or(Some(RATE)),
            ..args.cluster.request(seed, args.time, Faults::Wild)
        };
        let row = Row::measure(features, request, args.seconds);
        if !args.json {
            row.write()?;
        }
        let failed = row.tally.failed;
        rows.push(row);
        if failed > 0 {
            writeln!(
                io::stderr(),
                "{failed} seeds FAILED: raft-sim sweep shows them"
            )?;
            break;
        }
    }
    if args.json {
        let json = json!({
            "nodes": args.cluster.nodes,
            "faults": args.cluster.faults.unwrap_or(Faults::Wild).in_words(),
            "virtual_seconds_with_faults": args.time.as_secs_f64(),
            "rows": rows.iter().map(Row::json).collect::<Vec<Value>>(),
        });
        writeln!(stdout, "{json:#}")?;
    } else {
        writeln!(
            stdout,
            "operations: those that clients begin in a second of virtual time"
        )?;
        for row in &rows {
            writeln!(stdout, "\nfeatures {}", row.features)?;
            for (name, value) in row.availability.rows() {
                writeln!(stdout, "  {name:<22}{value}")?;
            }
        }
    }
    Ok(Outcome::of(rows.iter().all(|row| row.tally.failed == 0)))
}

fn write_head(args: &BenchArgs) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "one core, {} nodes, {}, all checks; each run has {} with faults, then recovers",
        args.cluster.nodes,
        args.cluster.faults.unwrap_or(Faults::Wild),
        humantime::format_duration(args.time)
    )?;
    writeln!(
        stdout,
        "{:<9} {:>8} {:>12} {:>18} {:>14} {:>14}",
        "features", "seeds", "seeds/s", "virtual s / CPU s", "events/s", "operations/s"
    )
}

/// What was measured with some features.
struct Row {
    features: Features,
    tally: Tally,
    /// Operations that clients began.
    begun: u64,
    /// What the runs cost, and for how long they were not available.
    availability: Figures,
}

impl Row {
    fn measure(features: Features, request: impl Fn(u64) -> Request, seconds: u32) -> Row {
        let time = Duration::from_secs(seconds.into());
        let (mut tally, mut begun) = (Tally::default(), 0);
        let mut availability = Figures::default();
        let began = Instant::now();
        // At least one, however busy the machine is.
        for seed in 0.. {
            let report = run::search(request(seed));
            begun += report.clients.begun;
            tally.add(&report);
            availability.add(&report.availability);
            if began.elapsed() >= time {
                break;
            }
        }
        Row {
            features,
            tally,
            begun,
            availability,
        }
    }

    fn per_cpu_second(&self, count: f64) -> f64 {
        count / (self.tally.cpu_micros as f64 / 1e6).max(1e-9)
    }

    fn virtual_seconds(&self) -> f64 {
        self.tally.virtual_millis as f64 / 1e3
    }

    fn operations_per_virtual_second(&self) -> f64 {
        self.begun as f64 / self.virtual_seconds().max(1e-9)
    }

    fn write(&self) -> io::Result<()> {
        writeln!(
            io::stdout(),
            "{:<9} {:>8} {:>12.1} {:>18.0} {:>14.0} {:>14.1}",
            self.features.to_string(),
            self.tally.seeds,
            self.per_cpu_second(self.tally.seeds as f64),
            self.per_cpu_second(self.virtual_seconds()),
            self.per_cpu_second(self.tally.events as f64),
            self.operations_per_virtual_second(),
        )
    }

    fn json(&self) -> Value {
        json!({
            "features": self.features,
            "seeds": self.tally.seeds,
            "failed": self.tally.failed,
            "seeds_per_cpu_second": self.per_cpu_second(self.tally.seeds as f64),
            "virtual_seconds_per_cpu_second": self.per_cpu_second(self.virtual_seconds()),
            "events_per_cpu_second": self.per_cpu_second(self.tally.events as f64),
            "operations_per_virtual_second": self.operations_per_virtual_second(),
            "availability": self.availability,
        })
    }
}
