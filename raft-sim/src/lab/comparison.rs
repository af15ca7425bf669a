//! The table that compares the figures of many runs with those on the lab's page.

use super::figures::Figures;
use super::report::Report;
use super::scenario::{Part, Scenario};
use core::fmt;

/// Compares the figures of many runs, as medians over the seeds, with those on the lab's page.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// One for each scenario, in the order in which scenarios were first added.
    rows: Vec<Row>,
}

/// The runs of a scenario.
#[derive(Clone, Debug)]
struct Row {
    scenario: Scenario,
    runs: Vec<Figures>,
}

impl Comparison {
    /// Nothing to compare yet.
    pub fn new() -> Comparison {
        Comparison::default()
    }

    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        let scenario = report.scenario;
        let mut rows = self.rows.iter_mut();
        match rows.find(|row| row.scenario.number == scenario.number) {
            Some(row) => row.runs.push(report.figures),
            None => self.rows.push(Row {
                scenario,
                runs: vec![report.figures],
            }),
        }
    }

    /// The median of each measure of a scenario, by its number.
    pub fn median(&self, number: u8) -> Option<Figures> {
        let mut rows = self.rows.iter();
        median(&rows.find(|row| row.scenario.number == number)?.runs)
    }
}

/// The median of each measure by itself; the upper one of two.
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
    /// A row for each scenario: our median, the figure on the page, and the per cent of it. In the
    /// churn scenarios RPCs and bytes are compared per commit, because clients there propose as
    /// fast as they are served.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.rows.first().map_or(0, |row| row.runs.len());
        writeln!(
            f,
            "median of {runs} seeds, beside the figures on the lab's page"
        )?;
        writeln!(
            f,
            "{:>3} {:4} {:46} {:>6} {:>6}  {:>6} {:>6} {:>5}  {:>9} {:>9} {:>5}  {:>7} {:>5}",
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
            "commits",
            "page",
        )?;
        for Row { scenario, runs } in &self.rows {
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
    let name: String = scenario.name.chars().take(46).collect();
    let number = |measure: fn(&Figures) -> u64| text(page.map(|page| measure(&page).to_string()));
    writeln!(
        f,
        "{:>3} {:4} {name:46} {:>6.1} {:>6}  {:>6} {:>6} {:>5}  {:>9} {:>9} {:>5}  {:>7} {:>5}",
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
