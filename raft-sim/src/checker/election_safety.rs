//! Election Safety: at most one leader can be elected in a given term (section 5.2).
//!
//! The paper's argument: a candidate needs the votes of a majority, each server votes at most
//! once in a term and remembers its vote across a restart, and two majorities have a server in
//! common. So it is enough to note, for each term, the first node that leads in it.

use super::observation::Step;
use super::violation::Violation;
use raft_proto::{NodeId, RoleKind, Term};
use std::collections::BTreeMap;

/// The leader of each term seen so far.
#[derive(Debug, Default)]
pub struct ElectionSafety {
    leaders: BTreeMap<Term, NodeId>,
}

impl ElectionSafety {
    /// How many terms are remembered. A second leader of a term would escape only if it appeared
    /// that many elections later.
    const REMEMBERED: usize = 65_536;

    /// Looks at a node that leads now, and before this step did not or led in another term.
    ///
    /// # Errors
    ///
    /// [`Violation::TwoLeaders`].
    pub fn observe(&mut self, step: &Step<'_>) -> Result<(), Violation> {
        let (now, before) = (step.now, step.before);
        let leads = now.role == RoleKind::Leader;
        let led = before.role == RoleKind::Leader && before.term == now.term;
        if !leads || led {
            return Ok(());
        }
        let first = *self.leaders.entry(now.term).or_insert(now.node);
        if first != now.node {
            return Err(Violation::TwoLeaders {
                term: now.term,
                first,
                second: now.node,
            });
        }
        if self.leaders.len() > Self::REMEMBERED {
            self.leaders.pop_first();
        }
        Ok(())
    }
}
