//! What has happened so far, as far as a property needs it: no node knows it.

use super::canonical::{Canonical, Origin};
use super::node::{Facts, check_log_matching};
use super::outcome::{Observed, Violation};
use super::step::chain;
use crate::checker::Fingerprint;
use crate::checker::quorum::has_quorum;
use raft_proto::{EntryId, Index, Membership, NodeId, RequestId, RoleKind, Term};
use serde::Serialize;

/// The past of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct History {
    /// The leader of each term that had one, sorted.
    leaders: Vec<(Term, NodeId)>,
    /// Every entry that a node took for committed, from index 1 on.
    committed: Vec<Committed>,
    /// Reads under way: everything up to this index was committed before they began.
    reads: Vec<(RequestId, Index)>,
}

/// A committed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Committed {
    entry: Fingerprint,
    /// The term of the node that took it for committed first.
    by: Term,
}

impl History {
    /// Its canonical form.
    pub fn canonical(&self) -> Canonical {
        Canonical::of(self, Origin::NONE)
    }

    /// How many entries are committed.
    pub fn committed(&self) -> usize {
        self.committed.len()
    }

    /// The history after these facts.
    ///
    /// # Errors
    ///
    /// The property that they break.
    pub fn after(&self, facts: &[Observed]) -> Result<History, Violation> {
        let mut history = self.clone();
        for fact in facts {
            history.add(fact)?;
        }
        Ok(history)
    }

    fn add(&mut self, fact: &Observed) -> Result<(), Violation> {
        match fact {
            Observed::Leads { node, term } => self.leads(*node, *term),
            Observed::Commits {
                first,
                entries,
                term,
            } => self.commits(*first, entries, *term),
            Observed::Restores { last, digest } => self.restores(*last, *digest),
            Observed::ReadBegins(id) => {
                self.reads.push((*id, Index(self.committed.len() as u64)));
                Ok(())
            }
            Observed::ReadEnds { id, index } => self.read_ends(*id, *index),
        }
    }

    /// Election Safety (Figure 3): "at most one leader can be elected in a given term".
    fn leads(&mut self, node: NodeId, term: Term) -> Result<(), Violation> {
        match self.leaders.binary_search_by_key(&term, |it| it.0) {
            Ok(at) => match self.leaders.get(at) {
                Some((_, leader)) if *leader != node => {
                    let what = format!("{leader} and {node} are both elected in term {term}");
                    Err(Violation::new("Election Safety (section 5.2)", what))
                }
                Some(_) | None => Ok(()),
            },
            Err(at) => {
                self.leaders.insert(at, (term, node));
                Ok(())
            }
        }
    }

    /// State Machine Safety (Figure 3): "no other server will ever apply a different log entry for
    /// the same index".
    fn commits(
        &mut self,
        first: Index,
        entries: &[Fingerprint],
        by: Term,
    ) -> Result<(), Violation> {
        for (entry, index) in entries.iter().zip(first.0..) {
            // Indexes of models are small, and begin at 1.
            match self.committed.get(index as usize - 1) {
                Some(known) if known.entry != *entry => {
                    let what = format!(
                        "entry {index}@{} is committed, and so is {index}@{}{}",
                        known.entry.term,
                        entry.term,
                        if known.entry.term == entry.term {
                            " with other contents"
                        } else {
                            ""
                        }
                    );
                    return Err(Violation::new("State Machine Safety (section 5.4.3)", what));
                }
                Some(_) => {}
                None => {
                    let entry = *entry;
                    self.committed.push(Committed { entry, by });
                }
            }
        }
        Ok(())
    }

    /// State Machine Safety, for a state that came by a snapshot (section 7).
    fn restores(&mut self, last: EntryId, digest: u64) -> Result<(), Violation> {
        let applied = self.committed.iter().take(last.index.0 as usize);
        let expected = applied.fold(0, |digest, it| chain(digest, it.entry));
        let is_committed = self.committed.len() as u64 >= last.index.0;
        if is_committed && digest == expected {
            return Ok(());
        }
        let what = format!("the snapshot up to {last} holds other entries than are committed");
        Err(Violation::new("State Machine Safety (section 5.4.3)", what))
    }

    /// A read sees everything that was committed before it began (thesis 6.4).
    fn read_ends(&mut self, id: RequestId, index: Option<Index>) -> Result<(), Violation> {
        let Some(at) = self.reads.iter().position(|it| it.0 == id) else {
            return Ok(());
        };
        let (_, floor) = self.reads.remove(at);
        match index {
            Some(index) if index < floor => {
                let what =
                    format!("{id} is served at {index}, but {floor} was committed before it began");
                Err(Violation::new("linearizable reads (thesis 6.4)", what))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The properties of a state of the whole cluster.
    ///
    /// # Errors
    ///
    /// The first that it breaks.
    pub fn check(&self, nodes: &[&Facts]) -> Result<(), Violation> {
        for (at, node) in nodes.iter().enumerate() {
            for other in nodes.iter().skip(at + 1) {
                check_log_matching(node, other)?;
            }
            if node.role == RoleKind::Leader {
                self.check_leader(node)?;
            }
        }
        self.check_disks(nodes)
    }

    /// Leader Completeness (Figure 3): "if a log entry is committed in a given term, then that entry
    /// will be present in the logs of the leaders for all higher-numbered terms".
    fn check_leader(&self, leader: &Facts) -> Result<(), Violation> {
        for (committed, index) in self.committed.iter().zip((1..).map(Index)) {
            if committed.by < leader.term && !leader.log.holds(index, committed.entry) {
                let what = format!(
                    "entry {index}@{} was committed by term {}, but {} leads term {} without it",
                    committed.entry.term, committed.by, leader.id, leader.term
                );
                return Err(Violation::new("Leader Completeness (section 5.4)", what));
            }
        }
        Ok(())
    }

    /// Durability: a committed entry is on the disks of a majority. A disk that has lost entries
    /// and says so counts as if it had them: it does not vote before it has them again. So does one
    /// that was replaced: a member is its number and its disk, and this disk is no member.
    ///
    /// While the members of a configuration do not all use it, its majority need not hold what the
    /// one before has committed. Then Leader Completeness has to do.
    fn check_disks(&self, nodes: &[&Facts]) -> Result<(), Violation> {
        let find = |id| nodes.iter().find(|node| node.id == id);
        for (committed, index) in self.committed.iter().zip((1..).map(Index)) {
            let is_kept = |members: &Membership| {
                has_quorum(members, |id| {
                    let named = members.get(id).and_then(|member| member.incarnation);
                    find(id).is_some_and(|it| {
                        let is_replaced = named.is_some() && named != it.incarnation;
                        let is_lost = it.is_impaired || is_replaced;
                        is_lost || it.disk.holds(index, committed.entry)
                    })
                })
            };
            let is_used = |members: &Membership| {
                members.members().iter().all(|member| {
                    let used = find(member.id).map(|node| &node.membership);
                    used.is_some_and(|used| used == members || used.is_empty())
                })
            };
            let mut used = nodes.iter().map(|it| &it.membership);
            if used.any(|members| !members.is_empty() && is_used(members) && !is_kept(members)) {
                let what = format!(
                    "entry {index}@{} is committed, but no majority has it on disk",
                    committed.entry.term
                );
                return Err(Violation::new("durability", what));
            }
        }
        Ok(())
    }
}
