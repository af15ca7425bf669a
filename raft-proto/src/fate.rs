//! What becomes of a command that was proposed, and how a driver finds out.

use crate::types::EntryId;

/// What is known of an entry that a leader appended, from another entry that is committed: one that
/// was handed out by [`Apply`](crate::Action::Apply), or the last one of a snapshot that was
/// [restored](crate::Action::Restore).
///
/// A leader's log may be overwritten after it has lost its leadership, so an entry that was
/// proposed may be committed or not; a driver that has answered nobody yet finds out here. It needs
/// no message and no help of the core. A driver asks for each of its proposals that are undecided,
/// whenever an entry is applied and whenever a snapshot is restored, and ends those that are not
/// undecided any more.
///
/// ```
/// use raft_proto::{EntryId, Fate};
///
/// let proposed = EntryId::new(7, 3);
/// assert_eq!(Fate::of(proposed, EntryId::new(6, 3)), Fate::Undecided);
/// assert_eq!(Fate::of(proposed, EntryId::new(7, 3)), Fate::Committed);
/// // A later leader has overwritten it.
/// assert_eq!(Fate::of(proposed, EntryId::new(7, 4)), Fate::Lost);
/// // A snapshot that ends in a later term jumps over it.
/// assert_eq!(Fate::of(proposed, EntryId::new(9, 4)), Fate::Unknown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It may still be committed or lost.
    Undecided,
    /// It is committed: every leader from now on has it. If a snapshot brought it, the state holds
    /// its effect, and this node's service never computes its answer.
    Committed,
    /// It is lost, for ever: it can be proposed again.
    Lost,
    /// Both are possible, and this node will never know: a snapshot stands for the entry. Only the
    /// service can tell, if it keeps what it needs to recognize a command (a session with a serial
    /// number, thesis 6.3).
    Unknown,
}

impl Fate {
    /// What is known of `proposed` once `committed` is known to be committed.
    ///
    /// The terms of a log never fall, and one leader, which never overwrites its own entries, creates
    /// all those of a term (Leader Append-Only, Log Matching; section 5.3). So of two entries of one
    /// term, the later one is committed only with the earlier. An entry of an earlier term is not
    /// behind one of a later term.
    pub fn of(proposed: EntryId, committed: EntryId) -> Fate {
        let is_reached = committed.index >= proposed.index;
        if committed.term == proposed.term {
            return if is_reached {
                Fate::Committed
            } else {
                Fate::Undecided
            };
        }
        if committed.term < proposed.term {
            return if is_reached {
                Fate::Lost
            } else {
                Fate::Undecided
            };
        }
        // What follows `committed` in any log has its term, or a greater one.
        if committed.index <= proposed.index {
            Fate::Lost
        } else {
            Fate::Unknown
        }
    }
}
