//! Entries are sent while there is room: a leader that has entries for a follower, and may have
//! more on their way to it, sends them (thesis 10.2.1). One that keeps back what it may send is
//! slow for no reason, and nothing else in a run shows it.
//!
//! After a loss a leader may send one append at a time, until one is acknowledged. So the checker
//! counts acknowledgements in a row between which entries were held back: there was one append on
//! its way, entries waited, and the limits left room.
//!
//! Sound: each acknowledgement that is progress ends the time in which one append is sent at a
//! time. A second loss may begin it anew before the next acknowledgement, so a few in a row prove
//! nothing; [`MOST`] of them, each after another loss that no rejection shows, do not happen.
//!
//! Cost: a look at one follower for each of its answers, and at all of them for each proposal.

use super::bounds::OutOfBounds;
use raft_proto::{
    AppendOutcome, Event, Index, Input, Message, NodeId, PeerState, PeerStatus, Raft, Term,
};

/// So many acknowledgements in a row, with entries held back before each, are too many.
pub const MOST: u32 = 32;

/// Up to so many bytes on their way, a window never closes: it begins with more.
const ALWAYS_ROOM: u64 = 16 << 10;

/// What a leader holds back from a follower.
#[derive(Clone, Copy, Debug)]
struct Held {
    leader: NodeId,
    term: Term,
    follower: NodeId,
    match_index: Index,
    /// Whether entries were held back since the last acknowledgement.
    is_held: bool,
    /// Acknowledgements in a row with entries held back before each.
    count: u32,
}

/// What leaders hold back. Followers are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub struct Pacing {
    held: Vec<Held>,
    looks: Looks,
}

/// Which followers the present step is about.
#[derive(Clone, Copy, Debug, Default)]
enum Looks {
    #[default]
    None,
    All,
    One(NodeId),
}

impl Pacing {
    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.held.retain(|held| held.leader != node);
    }

    /// `raft` is about to take `event`.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these inputs make room, or fill it"
    )]
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        self.looks = match &event.input {
            Input::Propose { .. } => Looks::All,
            Input::Receive {
                from,
                message: Message::AppendEntriesReply(reply),
                ..
            } => {
                if !matches!(reply.outcome, AppendOutcome::Accepted { .. }) {
                    self.begin_anew(raft.id(), *from);
                }
                Looks::One(*from)
            }
            Input::Unreachable { peer } => {
                self.begin_anew(raft.id(), *peer);
                Looks::None
            }
            Input::Reconfigure { .. } => {
                self.stopped(raft.id());
                Looks::None
            }
            _ => Looks::None,
        };
    }

    /// Something was lost, or may have been.
    fn begin_anew(&mut self, leader: NodeId, follower: NodeId) {
        self.held
            .retain(|held| held.leader != leader || held.follower != follower);
    }

    /// `raft` has taken the last event.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds::HeldBack`].
    pub fn actions(&mut self, raft: &Raft) -> Result<(), OutOfBounds> {
        match core::mem::take(&mut self.looks) {
            Looks::None => Ok(()),
            Looks::All => raft.peers().try_for_each(|peer| self.look(raft, &peer)),
            Looks::One(id) => match raft.peers().find(|peer| peer.id == id) {
                Some(peer) => self.look(raft, &peer),
                None => Ok(()),
            },
        }
    }

    /// This is what `raft`, which leads, knows of a follower after a step that may have made room.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds::HeldBack`].
    pub fn look(&mut self, raft: &Raft, peer: &PeerStatus) -> Result<(), OutOfBounds> {
        let (leader, term) = (raft.id(), raft.term());
        let is_held = is_held_back(raft, peer);
        let known = self
            .held
            .iter_mut()
            .find(|held| (held.leader, held.follower, held.term) == (leader, peer.id, term));
        let Some(held) = known else {
            if is_held {
                self.begin_anew(leader, peer.id);
                self.held.push(Held {
                    leader,
                    term,
                    follower: peer.id,
                    match_index: peer.match_index,
                    is_held,
                    count: 0,
                });
            }
            return Ok(());
        };
        if peer.match_index > held.match_index {
            held.match_index = peer.match_index;
            held.count = if held.is_held { held.count + 1 } else { 0 };
            held.is_held = false;
        }
        held.is_held |= is_held;
        if held.count < MOST {
            return Ok(());
        }
        Err(OutOfBounds::HeldBack {
            leader,
            peer: peer.id,
            acknowledgements: held.count,
        })
    }
}

/// Whether entries wait for a follower though there is room. Entries that are read from the disk
/// first wait for that; those over the follower's limits wait for others.
fn is_held_back(raft: &Raft, peer: &PeerStatus) -> bool {
    let config = raft.config();
    let is_member = raft.membership().get(peer.id).is_some();
    let room = ALWAYS_ROOM.min(config.max_inflight_bytes);
    let waits = peer.next_index <= raft.last_log().index && peer.too_large.is_none();
    let is_alone = matches!(peer.state, PeerState::Replicate { inflight: 1 });
    is_alone
        && is_member
        && waits
        && peer.inflight_bytes < room
        && config.max_inflight_appends > 1
        && config.max_resident_bytes.is_none()
}
