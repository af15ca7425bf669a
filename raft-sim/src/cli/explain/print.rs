//! Prints an explanation.

use raft_sim::explain::{
    Follower, Leadership, Lost, Question, Report, SlowEntry, Stage, StageQuantiles,
};
use std::io::{self, Write};

/// How many lost proposals and refusals are listed.
const LISTED: usize = 20;

/// An explanation as text: the worst first, then tables, then what cannot be known.
pub(super) fn report(out: &mut impl Write, report: &Report, question: &Question) -> io::Result<()> {
    recordings(out, report)?;
    if let Some(entry) = question.entry {
        writeln!(out, "\nEntry {entry}")?;
        for slow in &report.slowest {
            one(out, slow)?;
        }
    } else {
        slowest(out, report)?;
        stages(out, &report.stages, report.followed)?;
    }
    leaders(out, &report.leaders)?;
    lost(out, report)?;
    writeln!(out, "\nWhat these recordings do not say:")?;
    for line in &report.unknown {
        wrapped(out, "  - ", line)?;
    }
    Ok(())
}

fn recordings(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "Recordings (seconds from the earliest event on)")?;
    for node in &report.nodes {
        writeln!(
            out,
            "  n{:<3} start {:<2} {} to {}  {} steps, {} {}{}",
            node.node,
            node.start,
            seconds(node.first_ns),
            seconds(node.last_ns),
            node.steps,
            node.files.len(),
            if node.files.len() == 1 {
                "file"
            } else {
                "files"
            },
            if node.has_times {
                ", with the driver's times"
            } else {
                ""
            }
        )?;
    }
    let worst = report.clocks.iter().max_by_key(|pair| pair.uncertainty_ns);
    if let Some(pair) = worst {
        writeln!(
            out,
            "  clocks are aligned by messages; most uncertain: {} and {}, by {} either way",
            pair.one,
            pair.other,
            span(pair.uncertainty_ns)
        )?;
    } else if report.nodes.len() > 1 {
        writeln!(out, "  no messages align the clocks: only order is known")?;
    }
    if report.contradiction_ns > 0 {
        writeln!(
            out,
            "  the clocks do not run alike: messages contradict each other by up to {}; give \
             recordings of a shorter time for a better alignment",
            span(report.contradiction_ns)
        )?;
    }
    Ok(())
}

fn slowest(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let (proposed, followed) = (report.proposed, report.followed);
    if followed == 0 {
        return writeln!(
            out,
            "\n{proposed} commands were accepted; of none the way until it was applied is recorded"
        );
    }
    writeln!(
        out,
        "\nThe slowest of {followed} commands that were applied; {proposed} were accepted\n"
    )?;
    let is_shown = |stage: &Stage| {
        let times = report.slowest.iter().flat_map(|slow| &slow.stages);
        let mut times = times.filter(|it| it.stage == *stage);
        times.any(|it| it.ns > 0)
    };
    let shown: Vec<Stage> = Stage::ALL.into_iter().filter(is_shown).collect();
    let head = ["entry", "leader", "at", "total"].into_iter();
    let head = head.chain(shown.iter().map(|stage| stage.name()));
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for slow in &report.slowest {
        let mut row = vec![
            format!("{}@{}", slow.index, slow.term),
            format!("n{}", slow.leader),
            seconds(slow.at_ns),
            span(slow.total_ns),
        ];
        let times = slow.stages.iter().filter(|it| shown.contains(&it.stage));
        row.extend(times.map(|it| span(it.ns)));
        rows.push(row);
    }
    table(out, &rows)?;
    if let Some(worst) = report.slowest.first() {
        writeln!(out)?;
        let text = format!(
            "entry {}, {}: {}",
            worst.index,
            span(worst.total_ns),
            worst.cause
        );
        wrapped(out, "  The worst: ", &text)?;
    }
    Ok(())
}

fn stages(out: &mut impl Write, stages: &[StageQuantiles], followed: u64) -> io::Result<()> {
    if followed == 0 {
        return Ok(());
    }
    writeln!(out, "\nStages of all {followed}\n")?;
    let mut rows = vec![
        ["stage", "share", "p50", "p90", "p99", "max"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for stage in stages.iter().filter(|stage| stage.max_ns > 0) {
        rows.push(vec![
            stage.stage.clone(),
            format!("{:.1}%", stage.share * 100.0),
            span(stage.p50_ns),
            span(stage.p90_ns),
            span(stage.p99_ns),
            span(stage.max_ns),
        ]);
    }
    table(out, &rows)
}

/// Each step of the way of one entry.
fn one(out: &mut impl Write, slow: &SlowEntry) -> io::Result<()> {
    writeln!(
        out,
        "  {}@{}, proposed on n{} at {} s, took {}; {} completed the majority",
        slow.index,
        slow.term,
        slow.leader,
        seconds(slow.at_ns),
        span(slow.total_ns),
        slow.completed_by
    )?;
    wrapped(out, "  Cause: ", &slow.cause)?;
    writeln!(out)?;
    for (at, what) in events(slow) {
        let sign = if at < 0 { "-" } else { "+" };
        let at = raft_sim::explain::duration(at.unsigned_abs());
        writeln!(out, "  {:>10}  {what}", format!("{sign}{at}"))?;
    }
    writeln!(out)?;
    let mut rows = vec![["stage", "time"].map(str::to_owned).to_vec()];
    for stage in slow.stages.iter().filter(|stage| stage.ns > 0) {
        rows.push(vec![stage.stage.name().to_owned(), span(stage.ns)]);
    }
    rows.push(vec!["total".to_owned(), span(slow.total_ns)]);
    table(out, &rows)
}

/// What happened to an entry, in order. Of one instant, causes come before what they cause.
fn events(slow: &SlowEntry) -> Vec<(i64, String)> {
    let leader = format!("n{}", slow.leader);
    let mut events = Vec::new();
    if slow.proposed_ns > 0 {
        events.push((0, format!("{leader} was given the command")));
    }
    events.push((slow.proposed_ns, format!("{leader}'s core took it")));
    for follower in &slow.followers {
        events.extend(of_follower(follower, slow.leader));
    }
    let own = slow.leader_durable_ns;
    events.extend(own.map(|at| (at, format!("{leader} had it on its own disk"))));
    events.extend([
        (slow.committed_ns, format!("{leader} committed it")),
        (
            slow.handed_out_ns,
            format!("{leader} gave it to its state machine"),
        ),
        (slow.applied_ns, format!("{leader} had applied it")),
    ]);
    events.sort_by_key(|(at, _)| *at);
    events
}

fn of_follower(follower: &Follower, leader: u64) -> Vec<(i64, String)> {
    let node = follower.node;
    let events = [
        (follower.sent_ns, format!("n{leader} sent it to n{node}")),
        (follower.received_ns, format!("n{node} received it")),
        (follower.durable_ns, format!("n{node} had it on its disk")),
        (
            follower.answered_ns,
            format!("n{leader} took n{node}'s acknowledgement"),
        ),
    ];
    let events = events.into_iter();
    events.filter_map(|(at, what)| Some((at?, what))).collect()
}

fn leaders(out: &mut impl Write, leaders: &[Leadership]) -> io::Result<()> {
    writeln!(out, "\nLeaders")?;
    if leaders.is_empty() {
        return writeln!(out, "  no recorded node led");
    }
    for it in leaders {
        let gap = match it.without_leader_ns {
            Some(gap) if gap > 0 => format!(", after {} without one", span(gap)),
            Some(_) | None => String::new(),
        };
        writeln!(
            out,
            "  term {}: n{} from {} to {} s{gap}",
            it.term,
            it.node,
            seconds(it.at_ns),
            seconds(it.until_ns)
        )?;
        wrapped(out, "    why:   ", &it.why)?;
        wrapped(out, "    ended: ", &it.ended)?;
    }
    Ok(())
}

fn lost(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let (lost, open): (Vec<&Lost>, Vec<&Lost>) = report.lost.iter().partition(|it| it.is_lost);
    if lost.is_empty() {
        writeln!(out, "\nLost: no command that a leader accepted")?;
    } else {
        writeln!(out, "\nLost commands")?;
        list(out, &lost)?;
    }
    if report.unfollowed > 0 {
        let text = format!(
            "{} more were committed, and the node that had accepted them did not apply them as long \
             as it is recorded: its process ended, or a snapshot jumped over them",
            report.unfollowed
        );
        wrapped(out, "  ", &text)?;
    }
    if !open.is_empty() {
        writeln!(out, "\nCommands whose fate is open")?;
        list(out, &open)?;
    }
    if !report.refused.is_empty() {
        writeln!(
            out,
            "\nRefused: they are in no log, and may be proposed again"
        )?;
    }
    for it in report.refused.iter().take(LISTED) {
        writeln!(out, "  {} on n{}: {}", it.commands, it.node, it.reason)?;
    }
    Ok(())
}

fn list(out: &mut impl Write, lost: &[&Lost]) -> io::Result<()> {
    for it in lost.iter().take(LISTED) {
        let entries = if it.first == it.last {
            format!("{}@{}", it.first, it.term)
        } else {
            format!("{} to {}@{}", it.first, it.last, it.term)
        };
        let at = seconds(it.at_ns);
        let text = format!("{entries}, proposed on n{} at {at} s: {}", it.node, it.why);
        wrapped(out, "  ", &text)?;
    }
    let more = lost.len().saturating_sub(LISTED);
    if more > 0 {
        writeln!(out, "  and {more} more: --json lists all")?;
    }
    Ok(())
}

/// The first column to the left, the others to the right.
fn table(out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line += &if column == 0 {
                format!(" {cell:<width$}")
            } else {
                format!("  {cell:>width$}")
            };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Prints a text in lines of at most 100 columns, those after the first indented as far as it.
fn wrapped(out: &mut impl Write, head: &str, text: &str) -> io::Result<()> {
    const WIDTH: usize = 100;
    let indent = " ".repeat(head.len());
    let mut line = head.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            line.clone_from(&indent);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line += word;
        is_empty = false;
    }
    writeln!(out, "{line}")
}

/// `12.402317`.
fn seconds(nanos: i64) -> String {
    format!("{:.6}", nanos as f64 / 1e9)
}

/// A duration, in a table.
fn span(nanos: u64) -> String {
    if nanos == 0 {
        return "-".to_owned();
    }
    raft_sim::explain::duration(nanos)
}
