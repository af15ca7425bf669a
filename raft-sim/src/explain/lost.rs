//! Proposals that were accepted by a leader and never committed, and why.

use super::Cluster;
use super::instance::{Instance, Proposed};
use super::report::Lost;
use super::spans::Span;
use super::words::{instant, list};
use raft_proto::{EntryId, Fate, Index, NodeId, Term};
use std::collections::BTreeMap;

/// What is committed, by all recordings.
struct Committed {
    /// By the first index of entries of one term: their last, and the term. They do not overlap.
    spans: BTreeMap<Index, (Index, Term)>,
    /// The last entries of snapshots, which are committed too.
    snapshots: Vec<EntryId>,
}

impl Committed {
    fn of(cluster: &Cluster) -> Committed {
        let mut all: Vec<Span> = Vec::new();
        let mut snapshots = Vec::new();
        for instance in &cluster.instances {
            all.extend(instance.committed.spans().map(|(span, ())| span));
            snapshots.extend(instance.restored.iter().map(|(last, _)| *last));
        }
        all.sort_by_key(|span| (span.term, span.first));
        let mut merged: Vec<Span> = Vec::new();
        for span in all {
            match merged.last_mut() {
                Some(last) if last.term == span.term && span.first <= last.last.next() => {
                    last.last = last.last.max(span.last);
                }
                Some(_) | None => merged.push(span),
            }
        }
        let spans = merged.into_iter();
        let spans = spans.map(|span| (span.first, (span.last, span.term)));
        Committed {
            spans: spans.collect(),
            snapshots,
        }
    }

    /// The term of the entry that is committed at an index.
    fn term_at(&self, index: Index) -> Option<Term> {
        let (_, (last, term)) = self.spans.range(..=index).next_back()?;
        (*last >= index).then_some(*term)
    }

    fn fate(&self, id: EntryId) -> Fate {
        match self.term_at(id.index) {
            Some(term) if term == id.term => return Fate::Committed,
            Some(_) => return Fate::Lost,
            None => {}
        }
        let spans = self.spans.values();
        let ends = spans.map(|(last, term)| EntryId {
            index: *last,
            term: *term,
        });
        let fates = ends.chain(self.snapshots.iter().copied());
        let mut known = Fate::Undecided;
        for fate in fates.map(|committed| Fate::of(id, committed)) {
            match fate {
                Fate::Committed | Fate::Lost => return fate,
                Fate::Unknown => known = Fate::Unknown,
                Fate::Undecided => {}
            }
        }
        known
    }
}

/// The proposals that are not known to be committed. Those beside each other with the same reason
/// are told of together.
pub(super) fn lost(cluster: &Cluster) -> Vec<Lost> {
    let committed = Committed::of(cluster);
    let mut lost: Vec<Lost> = Vec::new();
    for (at, instance) in cluster.instances.iter().enumerate() {
        for proposal in &instance.proposals {
            for id in proposal.entries() {
                let fate = committed.fate(id);
                if fate == Fate::Committed {
                    continue;
                }
                let told = told(cluster, at, instance, proposal, id, fate, &committed);
                match lost.last_mut() {
                    Some(last)
                        if last.last + 1 == told.first
                            && (last.term, last.node) == (told.term, told.node)
                            && last.why == told.why =>
                    {
                        last.last = told.last;
                    }
                    Some(_) | None => lost.push(told),
                }
            }
        }
    }
    lost
}

fn told(
    cluster: &Cluster,
    at: usize,
    instance: &Instance,
    proposal: &Proposed,
    id: EntryId,
    fate: Fate,
    committed: &Committed,
) -> Lost {
    let mut parts = vec![reached(cluster, at, instance, id)];
    match fate {
        Fate::Lost => {
            let winner = winner(cluster, id, committed);
            parts.push(match winner {
                Some((term, Some(leader))) => format!(
                    "{leader}, the leader of term {term}, had another entry there, and that one was \
                     committed"
                ),
                Some((term, None)) => format!(
                    "an entry of term {term}, whose leader is not recorded, was committed there"
                ),
                None => "entries of a later term were committed before it, and it does not follow \
                         them"
                    .to_owned(),
            });
            parts.extend(overwritten(cluster, instance.node, id));
        }
        Fate::Unknown => parts.push(format!(
            "a snapshot jumped over it, and no recording shows which entry was committed at {}: it \
             may have been committed",
            id.index
        )),
        Fate::Undecided => parts.push(
            "nothing is committed there until the recordings end: it may be committed later"
                .to_owned(),
        ),
        Fate::Committed => {}
    }
    Lost {
        first: id.index.0,
        last: id.index.0,
        term: id.term.0,
        node: instance.node.0,
        at_ns: cluster.clocks.common(at, proposal.at),
        is_lost: fate == Fate::Lost,
        why: parts.join("; "),
    }
}

/// How far the entry came.
fn reached(cluster: &Cluster, at: usize, proposer: &Instance, id: EntryId) -> String {
    let mut on_disk: Vec<NodeId> = Vec::new();
    let mut received: Vec<NodeId> = Vec::new();
    for instance in &cluster.instances {
        let Some(write) = instance.write_of(id) else {
            continue;
        };
        if instance.durable_at(write.seq).is_some() {
            on_disk.push(instance.node);
        } else {
            received.push(instance.node);
        }
    }
    for nodes in [&mut on_disk, &mut received] {
        nodes.sort();
        nodes.dedup();
    }
    received.retain(|node| !on_disk.contains(node));
    let voters = proposer.voters.len();
    let mut text = format!(
        "it was on the disks of {} ({} of {voters} voters)",
        list(&on_disk),
        on_disk.len()
    );
    if !received.is_empty() {
        text += &format!(", and {} had it without having synced it", list(&received));
    }
    let missed = proposer.voters.iter().copied().filter(|node| {
        *node != proposer.node && !on_disk.contains(node) && !received.contains(node)
    });
    let missed: Vec<NodeId> = missed.collect();
    if !missed.is_empty() {
        let (unrecorded, silent): (Vec<NodeId>, Vec<NodeId>) = missed
            .into_iter()
            .partition(|node| cluster.of(*node).next().is_none());
        if !silent.is_empty() {
            text += &format!(", and {} did not receive it", list(&silent));
        }
        if !unrecorded.is_empty() {
            text += &format!(", and of {} there is no recording", list(&unrecorded));
        }
    }
    if let Some((when, fault)) = &proposer.fault {
        let when = instant(cluster.clocks.common(at, *when));
        text += &format!("; {} stopped at {when}: {fault}", proposer.node);
    }
    text
}

/// The term of the entry that was committed instead, and its leader.
fn winner(cluster: &Cluster, id: EntryId, committed: &Committed) -> Option<(Term, Option<NodeId>)> {
    let term = committed.term_at(id.index)?;
    let leads = |instance: &&Instance| {
        let is_it = |turn: &super::instance::Turn| {
            turn.term == term && turn.to == raft_proto::RoleKind::Leader
        };
        instance.turns.iter().any(is_it)
    };
    let leader = cluster.instances.iter().find(leads);
    Some((term, leader.map(|instance| instance.node)))
}

/// When the proposer replaced the entry in its own log.
fn overwritten(cluster: &Cluster, node: NodeId, id: EntryId) -> Option<String> {
    let mut found: Option<(i64, Option<NodeId>, Term)> = None;
    for (at, instance) in cluster.of(node) {
        for (span, position) in instance.stored.spans() {
            let covers = span.first <= id.index && id.index <= span.last && span.term > id.term;
            let Some(write) = instance.writes.get(position).filter(|_| covers) else {
                continue;
            };
            let when = cluster.clocks.common(at, write.at);
            if found.is_none_or(|(before, _, _)| when < before) {
                found = Some((when, write.from.map(|(from, _)| from), span.term));
            }
        }
    }
    let (when, from, term) = found?;
    let by = from.map_or(String::new(), |from| format!(" that {from} sent"));
    Some(format!(
        "{node} overwrote it at {} with an entry of term {term}{by}",
        instant(when)
    ))
}
