//! The table: what happened in each kind of graph.

use super::graph::Graph;
use super::trial::Before;
use super::{Outcome, Request, Sample};
use core::fmt;
use raft_proto::{CheckQuorum, PreVoting};
use serde_json::{Value, json};

/// What a graph allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A majority's servers all reach each other.
    WholeMajority,
    /// Only single servers reach a majority that reaches them.
    HubOnly,
    /// No server does.
    NoHub,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::WholeMajority, Kind::HubOnly, Kind::NoHub];

    /// That of `graph`.
    pub fn of(graph: Graph) -> Kind {
        if graph.has_whole_majority() {
            Kind::WholeMajority
        } else if graph.hubs().next().is_some() {
            Kind::HubOnly
        } else {
            Kind::NoHub
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::WholeMajority => "whole majority",
            Kind::HubOnly => "hub only",
            Kind::NoHub => "no hub",
        }
    }
}

/// How many graphs of a kind did so from every state before the cut, from some, and from none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    always: usize,
    sometimes: usize,
    never: usize,
    /// The first graph that did not always, and the state in which it did not.
    example: Option<(Graph, Before)>,
}

impl Count {
    fn add(&mut self, sample: &Sample, holds: impl Fn(&Outcome) -> bool) {
        let count = sample.outcomes.iter().filter(|it| holds(it)).count();
        if count == sample.outcomes.len() {
            self.always += 1;
        } else if count == 0 {
            self.never += 1;
        } else {
            self.sometimes += 1;
        }
        let fails = sample.outcomes.iter().find(|it| !holds(it));
        if self.example.is_none() {
            self.example = fails.map(|outcome| (sample.graph, outcome.before));
        }
    }
}

/// Why no leader commits although a hub could. The number of trials with each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reasons {
    /// Too many servers around each hub have entries that it lacks, so that they refuse it (section
    /// 5.4.1): of before the cut, or of a leader that still reached them and not the hub.
    logs: usize,
    /// A hub's log was good enough. It was not elected, or did not stay.
    elections: usize,
}

/// The rows of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    kind: Kind,
    graphs: usize,
    live: Count,
    quiet: Count,
    reasons: Reasons,
}

/// What a survey has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    request: Request,
    rows: Vec<Row>,
}

fn row(kind: Kind, samples: &[Sample]) -> Row {
    let mut row = Row {
        kind,
        graphs: 0,
        live: Count::default(),
        quiet: Count::default(),
        reasons: Reasons::default(),
    };
    for sample in samples.iter().filter(|it| Kind::of(it.graph) == kind) {
        row.graphs += 1;
        row.live.add(sample, |it| it.verdict.is_live);
        row.quiet.add(sample, |it| it.verdict.is_quiet);
        for outcome in sample.outcomes.iter().filter(|it| !it.verdict.is_live) {
            if outcome.verdict.is_electable {
                row.reasons.elections += 1;
            } else {
                row.reasons.logs += 1;
            }
        }
    }
    row
}

impl Report {
    /// Counts.
    pub fn new(request: Request, samples: &[Sample]) -> Report {
        let rows = Kind::ALL.into_iter().map(|kind| row(kind, samples));
        Report {
            request,
            rows: rows.collect(),
        }
    }

    /// Whether every graph with a whole majority, from every state, has a leader that commits and
    /// terms that stay quiet, as CheckQuorum and Pre-Vote promise; and no graph without a hub
    /// commits, as none can.
    pub fn is_as_promised(&self) -> bool {
        self.rows.iter().all(|row| match row.kind {
            Kind::WholeMajority => [row.live.always, row.quiet.always] == [row.graphs, row.graphs],
            Kind::HubOnly => true,
            Kind::NoHub => row.live.never == row.graphs,
        })
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "kind": row.kind.name(),
                "graphs": row.graphs,
                "live": counts(&row.live),
                "quiet": counts(&row.quiet),
                "trials_not_live": {
                    "hubs_lack_entries": row.reasons.logs,
                    "elections": row.reasons.elections,
                },
            })
        });
        json!({
            "seed": self.request.seed,
            "nodes": self.request.nodes,
            "pre_vote": self.request.pre_vote == PreVoting::On,
            "check_quorum": self.request.check_quorum == CheckQuorum::On,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

fn counts(count: &Count) -> Value {
    let example = count.example.map(|(graph, before)| {
        json!({
            "graph": graph.to_string(),
            "leader": before.leader + 1,
            "behind": before.behind.map(|node| node + 1),
        })
    });
    json!({
        "always": count.always,
        "sometimes": count.sometimes,
        "never": count.never,
        "example": example,
    })
}

fn example(f: &mut fmt::Formatter<'_>, what: &str, count: &Count) -> fmt::Result {
    let Some((graph, before)) = count.example else {
        return Ok(());
    };
    let leader = before.leader + 1;
    write!(f, "  {what}, for example: {graph}; {leader} led")?;
    match before.behind {
        Some(behind) => writeln!(f, ", and {} lacked the last entry", behind + 1),
        None => writeln!(f),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<16}{:>8}  {:>26}  {:>26}",
            "kind", "graphs", "a leader commits", "terms stay quiet"
        )?;
        let header = ["always", "sometimes", "never"];
        let columns = |counts: [String; 3]| {
            let [always, sometimes, never] = counts;
            format!("{always:>8}{sometimes:>11}{never:>7}")
        };
        let names = columns(header.map(String::from));
        writeln!(f, "{:<24}  {names}  {names}", "")?;
        for row in &self.rows {
            let numbers = |count: &Count| {
                let counts = [count.always, count.sometimes, count.never];
                columns(counts.map(|count| count.to_string()))
            };
            let (live, quiet) = (numbers(&row.live), numbers(&row.quiet));
            let name = row.kind.name();
            writeln!(f, "{name:<16}{:>8}  {live}  {quiet}", row.graphs)?;
        }
        for row in self.rows.iter().filter(|row| row.kind != Kind::NoHub) {
            let Reasons { logs, elections } = row.reasons;
            if logs + elections > 0 {
                let name = row.kind.name();
                writeln!(
                    f,
                    "\n{name}: no leader commits in {} trials",
                    logs + elections
                )?;
                writeln!(
                    f,
                    "  in {logs} the servers around each hub had entries that it lacked"
                )?;
                writeln!(
                    f,
                    "  in {elections} a hub could have been elected, and did not come to lead, or to stay"
                )?;
                example(f, "no leader commits", &row.live)?;
            }
            example(f, "terms do not stay quiet", &row.quiet)?;
        }
        Ok(())
    }
}
