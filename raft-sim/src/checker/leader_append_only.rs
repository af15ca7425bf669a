//! Leader Append-Only: a leader never overwrites or deletes entries in its log; it only appends
//! new entries (section 5.3).
//!
//! The property needs no memory: a node that led in the same term before and after a step must
//! have a log that begins with the log it had. Compaction does not delete in this sense, since
//! the snapshot covers the entries that it replaced.

use super::observation::Step;
use super::violation::Violation;
use raft_proto::RoleKind;

/// The checker; it remembers nothing.
#[derive(Debug, Default)]
pub struct LeaderAppendOnly;

impl LeaderAppendOnly {
    /// Looks at the change of a leader's log.
    ///
    /// # Errors
    ///
    /// [`Violation::LeaderRewroteLog`].
    pub fn observe(&mut self, step: &Step<'_>) -> Result<(), Violation> {
        let (now, before) = (step.now, step.before);
        let led = before.role == RoleKind::Leader && before.term == now.term;
        if !led || now.role != RoleKind::Leader {
            return Ok(());
        }
        let shrunk = now.last_log.index < before.last_log.index;
        let rewritten = step.change.filter(|change| change.dropped > 0);
        if !shrunk && rewritten.is_none() {
            return Ok(());
        }
        Err(Violation::LeaderRewroteLog {
            leader: now.node,
            term: now.term,
            last_before: before.last_log,
            from: rewritten.map_or(now.last_log.index.next(), |change| change.from),
        })
    }
}
