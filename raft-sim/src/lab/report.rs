//! What a run of a scenario came to, and how it is shown: the lab's own lines, a failure with
//! what it takes to repeat it, and a table beside the lab's page.

use super::table::{Figures, Part, Scenario};
use crate::features::Features;
use core::fmt;
use raft_proto::Time;
use std::fmt::Write as _;

/// Something that a scenario expects and that did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected: {expected}\nfound:    {found}\nat:       {at} s of virtual time")]
pub struct Failure {
    /// When.
    pub at: Time,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

/// A run of one scenario.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which scenario.
    pub scenario: Scenario,
    /// What everything in it was drawn from.
    pub seed: u64,
    /// What it took, up to its end or its failure.
    pub figures: Figures,
    /// What the lab remarks on without failing.
    pub warnings: Vec<String>,
    /// Whether all that was expected came about.
    pub outcome: Result<(), Failure>,
    /// The trace, as far as it was asked for.
    pub trace: Vec<String>,
}

impl Report {
    /// The line with which a scenario begins: `Test (3A): initial election ...`.
    pub fn title(&self) -> String {
        title(&self.scenario)
    }

    /// The line with which it ends: `  ... Passed -- 3.5 3 58 16840 0`: virtual seconds, peers,
    /// RPCs, bytes, commits.
    pub fn result(&self) -> String {
        let verdict = match self.outcome {
            Ok(()) => "Passed",
            Err(_) => "FAILED",
        };
        format!("  ... {verdict} -- {}", self.figures)
    }

    /// All about a failure, empty if there is none: what was expected and found, the seed, the
    /// command that repeats the run, and the last lines of the trace.
    pub fn failure(&self) -> String {
        let Err(failure) = &self.outcome else {
            return String::new();
        };
        let mut text = format!(
            "{failure}\nseed:     {seed}\nrepeat:   {command}\n",
            seed = self.seed,
            command = self.repeating_command(),
        );
        if !self.trace.is_empty() {
            // Writing to a string cannot fail; the same holds below.
            let _ = writeln!(text, "the last {} lines of the trace:", self.trace.len());
            for line in &self.trace {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    /// The command that makes the same run again.
    pub fn repeating_command(&self) -> String {
        let (number, seed) = (self.scenario.number, self.seed);
        let features = match self.scenario.features {
            Features::None => String::new(),
            other @ (Features::Drawn | Features::All) => format!(" --features {other}"),
        };
        format!("cargo run --release -p raft-sim -- lab {number} --seed {seed}{features}")
    }
}

/// The line with which a scenario begins.
pub fn title(scenario: &Scenario) -> String {
    format!("Test ({}): {} ...", scenario.part, scenario.name)
}

impl fmt::Display for Figures {
    /// As the lab prints them: `3.5 3 58 16840 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        let Figures {
            peers,
            rpcs,
            bytes,
            commits,
            ..
        } = self;
        write!(f, "{seconds:.1} {peers} {rpcs} {bytes} {commits}")
    }
}

impl fmt::Display for Report {
    /// The lab's lines, the warnings, and the failure if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "{}", self.result())?;
        f.write_str(&self.failure())
    }
}

/// Compares the figures of many runs with those on the lab's page: the medians over the seeds.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The figures of each scenario, in the order in which scenarios were first added.
    rows: Vec<(Scenario, Vec<Figures>)>,
}

impl Comparison {
    /// Nothing to compare yet.
    pub fn new() -> Comparison {
        Comparison::default()
    }

    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        let scenario = report.scenario;
        let row = self
            .rows
            .iter_mut()
            .find(|(known, _)| known.number == scenario.number);
        match row {
            Some((_, figures)) => figures.push(report.figures),
            None => self.rows.push((scenario, vec![report.figures])),
        }
    }

    /// The median of each measure of a scenario, by its number.
    pub fn median(&self, number: u8) -> Option<Figures> {
        let of_number = |(scenario, _): &&(Scenario, _)| scenario.number == number;
        let (_, runs) = self.rows.iter().find(of_number)?;
        median(runs)
    }
}

/// The middle of each measure by itself; the upper one of two.
fn median(runs: &[Figures]) -> Option<Figures> {
    fn middle<T: Ord + Copy>(runs: &[Figures], measure: impl Fn(&Figures) -> T) -> Option<T> {
        let mut all: Vec<T> = runs.iter().map(measure).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied()
    }
    Some(Figures {
        time: middle(runs, |run| run.time)?,
        peers: middle(runs, |run| run.peers)?,
        rpcs: middle(runs, |run| run.rpcs)?,
        bytes: middle(runs, |run| run.bytes)?,
        commits: middle(runs, |run| run.commits)?,
    })
}

impl fmt::Display for Comparison {
    /// One row a scenario: our median, and the page's figure behind it; per cent of the page's
    /// where there is one. In the churn scenarios RPCs and bytes are compared per commit, since
    /// clients there propose as fast as they are served.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.rows.first().map_or(0, |(_, runs)| runs.len());
        writeln!(
            f,
            "median of {runs} seeds, beside the figures on the lab's page"
        )?;
        writeln!(
            f,
            "{:>3} {:4} {:42} {:>6} {:>6}  {:>6} {:>6} {:>5}  {:>9} {:>9} {:>5}  {:>5} {:>5}",
            "#",
            "part",
            "scenario",
            "s",
            "page",
            "RPCs",
            "page",
            "",
            "bytes",
            "page",
            "",
            "commt",
            "page",
        )?;
        for (scenario, runs) in &self.rows {
            if let Some(ours) = median(runs) {
                write_row(f, scenario, &ours)?;
            }
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, scenario: &Scenario, ours: &Figures) -> fmt::Result {
    let text = |value: Option<String>| value.unwrap_or_else(|| String::from("-"));
    let page = scenario.page;
    let per_commit = scenario.is_paced_by_service();
    let share = |measure: fn(&Figures) -> u64| {
        page.map(|page| {
            let mut share = measure(ours) as f64 / measure(&page) as f64;
            if per_commit {
                share *= page.commits as f64 / ours.commits as f64;
            }
            let mark = if per_commit { "*" } else { "" };
            format!("{:.0}%{mark}", share * 100.0)
        })
    };
    let name: String = scenario.name.chars().take(42).collect();
    let number = |measure: fn(&Figures) -> u64| text(page.map(|page| measure(&page).to_string()));
    writeln!(
        f,
        "{:>3} {:4} {name:42} {:>6.1} {:>6}  {:>6} {:>6} {:>5}  {:>9} {:>9} {:>5}  {:>5} {:>5}",
        scenario.number,
        part_text(scenario.part),
        ours.time.as_secs_f64(),
        text(page.map(|page| format!("{:.1}", page.time.as_secs_f64()))),
        ours.rpcs,
        number(|page| page.rpcs),
        text(share(|figures| figures.rpcs)),
        ours.bytes,
        number(|page| page.bytes),
        text(share(|figures| figures.bytes)),
        ours.commits,
        number(|page| page.commits),
    )
}

/// `Display` of a part ignores widths.
fn part_text(part: Part) -> String {
    part.to_string()
}
