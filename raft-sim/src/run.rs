//! A run: a safety phase with faults, then a calm in which the cluster must recover.
//!
//! The first phase asks whether anything wrong ever happens; the second whether something right
//! always happens in the end. Without the second, a cluster that stands still passes every check.

use crate::failure::Failure;
use crate::node::Node;
use crate::options::{Options, Request};
use crate::report::Report;
use crate::trace::Trace;
use crate::world::World;
use core::time::Duration;
use raft_proto::{Proposal, Raft, RoleKind, Time};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// How long the cluster has to recover once all faults are over. Enough for several elections
/// that split their votes, and for a snapshot in the smallest chunks.
pub const CALM: Duration = Duration::from_secs(30);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a read may wait for its answer: longer than any election timeout.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many lines of the trace a failure shows.
const LAST_LINES: usize = 40;

/// Runs a cluster, and writes its trace to `output` if there is one.
pub fn run(request: Request, output: Option<Box<dyn Write + Send>>) -> Report {
    traced(request, Trace::new(output))
}

/// Runs a cluster without writing down what happens; again with a trace if something is wrong.
pub fn search(request: Request) -> Report {
    let report = traced(request, Trace::of_times());
    match report.passed() {
        true => report,
        false => run(request, None),
    }
}

fn traced(request: Request, trace: Trace) -> Report {
    let began = Instant::now();
    let options = Options::draw(request);
    let mut world = World::new(options, trace);
    // A panic is a defect like others, and needs its seed and trace like others.
    let result = catch_unwind(AssertUnwindSafe(|| phases(&mut world)));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
        Err(Failure::Panicked(text.unwrap_or_default()))
    });
    let last_lines = match &result {
        Ok(()) => Vec::new(),
        Err(_) => world.recorder().trace.last_lines(LAST_LINES),
    };
    Report::new(&mut world, result, last_lines, began.elapsed())
}

fn phases(world: &mut World) -> Result<(), Failure> {
    let calm_begins = Time::from_epoch(world.options().request.time);
    world.run_until(calm_begins)?;
    world.heal();
    let ends = calm_begins.after(CALM);
    let mut probe = None;
    loop {
        let missing = match missing(world, probe) {
            Missing::Nothing => return same_states(world),
            Missing::Probe { leader } => {
                // A last command must get through too.
                probe = world.propose(leader).and_then(Result::ok);
                String::from("a leader that takes a proposal")
            }
            Missing::Other(what) => what,
        };
        if world.now() >= ends {
            return Err(Failure::NotLive {
                within: CALM,
                missing,
            });
        }
        world.run_until(world.now().after(LOOK_EVERY))?;
    }
}

/// What a healthy cluster still lacks.
enum Missing {
    Nothing,
    /// The last proposal: it was not made, or its leader was replaced.
    Probe {
        leader: usize,
    },
    Other(String),
}

fn missing(world: &World, probe: Option<Proposal>) -> Missing {
    let other = |what: String| Missing::Other(what);
    let rafts: Vec<&Raft> = world
        .nodes()
        .iter()
        .filter_map(|node| node.raft())
        .collect();
    if let Some(down) = world.nodes().iter().find(|node| node.raft().is_none()) {
        return other(format!("{} runs", down.config().node_id));
    }
    if let Some(id) = world.operations().unanswered(world.now(), PATIENCE) {
        return other(format!("an answer to {id}"));
    }
    let Some(at) = world.leader() else {
        return other("a leader".into());
    };
    let leader = rafts[at]; // all nodes run, so slots agree
    if leader.membership().is_joint() {
        return other("the end of a change of the members".into());
    }
    let is_member = |id| leader.membership().get(id).is_some();
    let leads = |raft: &&&Raft| raft.role() == RoleKind::Leader && is_member(raft.id());
    if rafts.iter().filter(leads).count() > 1 {
        return other("only one leader".into());
    }
    // A probe that is not in the leader's log as a whole is lost, unless a snapshot has covered it.
    let stands = |probe: &Proposal| {
        let (index, term) = (probe.last_index(), probe.first.term);
        index < leader.log_base().index || leader.term_at(index) == Some(term)
    };
    let Some(probe) = probe.filter(stands) else {
        return Missing::Probe { leader: at };
    };
    for (raft, node) in rafts.iter().zip(world.nodes()) {
        let id = raft.id();
        if !is_member(id) {
            continue;
        }
        if raft.leader() != Some(leader.id()) {
            return other(format!("{id} knows that {} leads", leader.id()));
        }
        let (applied, last) = (node.service.last.index, leader.last_log().index);
        if applied < last || applied < probe.last_index() {
            return other(format!("{id} applies up to {last}; it is at {applied}"));
        }
    }
    Missing::Nothing
}

fn same_states(world: &World) -> Result<(), Failure> {
    let leader = world.leader().and_then(|slot| world.nodes()[slot].raft());
    let is_member = |node: &&Node| {
        let id = node.config().node_id;
        leader.is_some_and(|leader| leader.membership().get(id).is_some())
    };
    let members: Vec<&Node> = world.nodes().iter().filter(is_member).collect();
    for pair in members.windows(2) {
        let [first, second] = pair else { continue };
        if first.service != second.service {
            return Err(Failure::StatesDiffer {
                first: first.config().node_id,
                second: second.config().node_id,
            });
        }
    }
    Ok(())
}
