//! What a node holds, and what it does in one step, is bounded, whatever the network and the disk
//! do: a node that can be made to hold or to walk more and more stops being one.
//!
//! | bound | of |
//! |---|---|
//! | `max_inflight_appends` | appends on their way to one follower, and messages to one in a step |
//! | `max_append_bytes` | the entries of one append, unless it is a single one |
//! | `snapshot_chunk_bytes` | the data of one InstallSnapshot |
//! | `max_waiting_reads` | reads of clients that wait at one node |
//! | a few for each write under way and each member | answers that wait for the disk |
//! | one of a kind to each peer for each write | answers that leave when writes are durable |
//!
//! And nextIndex is above matchIndex (Figure 2): a leader that sends again what was acknowledged
//! does so without end.
//!
//! What only walks, and neither holds nor sends, cannot be seen in a run that is the same on every
//! machine: there, time is virtual and counts nothing. The bounds on what there is to walk stand
//! here; `benches/work_per_step.rs` shows that a step does not walk it.
//!
//! Sound: a write has at most one answer of each kind that waits for it, and a candidate's requests
//! wait for one write.
//!
//! Cost: a comparison for each message, and one look at [`Raft::status`] in [`LOOK_EVERY`]
//! steps. What is out of bounds stays so for longer than that, or does no harm.

use raft_proto::{
    Action, Config, Event, Index, Input, Message, MessageKind, NodeId, PeerState, PeerStatus, Raft,
    Seq, Status,
};

/// How many steps are taken between two looks at the state of the node that takes the last one.
/// It is odd, so that nodes which take steps in turns are all looked at.
pub const LOOK_EVERY: u32 = 17;

/// Messages to one peer in a step beside a window of appends: answers, a heartbeat, a probe, a
/// snapshot's chunk, a round for reads.
const OTHER_MESSAGES: usize = 16;

/// The answers that may wait for one write, each of one kind.
const ANSWERS_TO_A_WRITE: usize = 6;

/// What is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// nextIndex is not above matchIndex.
    #[error(
        "{leader} would send {peer} from {next_index} on, which has acknowledged {match_index}"
    )]
    NextNotAboveMatch {
        /// The leader.
        leader: NodeId,
        /// The follower.
        peer: NodeId,
        /// Its matchIndex.
        match_index: Index,
        /// Its nextIndex.
        next_index: Index,
    },
    /// Appends on their way.
    #[error("{leader} has {inflight} appends on their way to {peer}: at most {most}")]
    TooManyAppends {
        /// The leader.
        leader: NodeId,
        /// The follower.
        peer: NodeId,
        /// How many.
        inflight: usize,
        /// How many it may have.
        most: usize,
    },
    /// The entries of an append, or the chunk of a snapshot.
    #[error("{node} sends {to} a message with {bytes} bytes of payload: at most {most}")]
    MessageTooLarge {
        /// The leader.
        node: NodeId,
        /// The follower.
        to: NodeId,
        /// How many bytes.
        bytes: u64,
        /// How many it may have.
        most: u64,
    },
    /// Entries that were sent already.
    #[error("{leader} has sent {follower} {appends} appends again, which it did not ask for")]
    SentAgain {
        /// The leader.
        leader: NodeId,
        /// The follower.
        follower: NodeId,
        /// How many, since something was last known to be lost.
        appends: u32,
    },
    /// Messages in a step.
    #[error("{node} sends {to} {messages} messages in one step: at most {most}")]
    TooManyMessages {
        /// The node.
        node: NodeId,
        /// The receiver.
        to: NodeId,
        /// How many.
        messages: usize,
        /// How many it may send.
        most: usize,
    },
    /// A command that the leader has accepted.
    #[error("{node} accepts a command of {bytes} bytes: at most {most}")]
    CommandTooLong {
        /// The leader.
        node: NodeId,
        /// Its length.
        bytes: u64,
        /// The greatest length that the leader's settings allow.
        most: u64,
    },
    /// Reads that wait.
    #[error("{waiting} reads wait at {node}: at most {most}")]
    TooManyReads {
        /// The node.
        node: NodeId,
        /// How many.
        waiting: u64,
        /// How many may wait.
        most: u64,
    },
    /// What waits for the disk.
    #[error(
        "{withheld} messages and hand-overs of {node} wait for {writes} writes: at most {most}"
    )]
    TooMuchWithheld {
        /// The node.
        node: NodeId,
        /// How many wait.
        withheld: usize,
        /// How many writes are under way.
        writes: usize,
        /// How many may wait.
        most: usize,
    },
    /// Replies that waited for the disk.
    #[error(
        "{node} sends {to} {replies} replies of a kind for {writes} writes that are durable now"
    )]
    TooManyReplies {
        /// The node.
        node: NodeId,
        /// The receiver.
        to: NodeId,
        /// How many.
        replies: usize,
        /// How many writes have become durable.
        writes: u64,
    },
}

/// What each node holds. Nodes are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub struct Bounds {
    /// The reads that clients of each node wait for.
    waiting_reads: Vec<(NodeId, u64)>,
    /// The last write of each node that is persisted.
    persisted: Vec<(NodeId, Seq)>,
    /// Steps since the last look.
    steps: u32,
    is_read: bool,
    /// The present step reports writes as persisted up to this one: all that waited for them may
    /// leave at once.
    reported: Option<Seq>,
    /// The longest command that the present step proposes, in bytes.
    proposed: u64,
    /// What settings of each node allowed that it had before, since its process began. What was
    /// there when a limit was lowered drains.
    former: Vec<(NodeId, Former)>,
}

/// The greatest of the limits that a node had before.
#[derive(Clone, Copy, Debug, Default)]
struct Former {
    inflight_appends: u32,
    /// A chunk is read, and sent as it was read.
    chunk_bytes: u64,
}

impl Bounds {
    /// How many appends may be on their way to each follower: as many as the settings say, or those
    /// that the node had before.
    pub fn window(&self, raft: &Raft) -> u32 {
        let former = self.former(raft.id());
        former
            .inflight_appends
            .max(raft.config().max_inflight_appends)
    }

    fn former(&self, id: NodeId) -> Former {
        let found = self.former.iter().find(|(node, _)| *node == id);
        found.map_or_else(Former::default, |(_, former)| *former)
    }

    /// The settings of `raft` may change in the present step.
    fn note_settings(&mut self, raft: &Raft) {
        let (id, config) = (raft.id(), raft.config());
        let former = self.former(id);
        let former = Former {
            inflight_appends: former.inflight_appends.max(config.max_inflight_appends),
            chunk_bytes: former.chunk_bytes.max(config.snapshot_chunk_bytes),
        };
        self.former.retain(|(node, _)| *node != id);
        self.former.push((id, former));
    }

    fn waiting_reads(&mut self, id: NodeId) -> &mut u64 {
        let at = self.waiting_reads.iter().position(|(node, _)| *node == id);
        let at = at.unwrap_or_else(|| {
            self.waiting_reads.push((id, 0));
            self.waiting_reads.len() - 1
        });
        &mut self.waiting_reads[at].1 // found or pushed
    }

    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.waiting_reads.retain(|(other, _)| *other != node);
        self.persisted.retain(|(other, _)| *other != node);
        self.former.retain(|(other, _)| *other != node);
    }

    /// Writes of a node up to `seq` are persisted. Returns how many were not before.
    fn newly_persisted(&mut self, node: NodeId, seq: Seq) -> u64 {
        match self.persisted.iter_mut().find(|(other, _)| *other == node) {
            Some((_, last)) => seq.0.saturating_sub(core::mem::replace(last, seq).0),
            None => {
                self.persisted.push((node, seq));
                seq.0
            }
        }
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        if let Input::Reconfigure { .. } = event.input {
            self.note_settings(raft);
        }
        self.proposed = if let Input::Propose { commands, .. } = &event.input {
            let longest = commands.iter().map(<[u8]>::len).max();
            longest.unwrap_or(0) as u64
        } else {
            0
        };
        self.is_read = matches!(event.input, Input::Read { .. });
        self.reported = if let Input::Persisted { seq } = event.input {
            Some(seq)
        } else {
            None
        };
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// The first [`OutOfBounds`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), OutOfBounds> {
        let config = raft.config();
        let (node, mut answered) = (raft.id(), 0);
        let chunk = self
            .former(node)
            .chunk_bytes
            .max(config.snapshot_chunk_bytes);
        for action in actions {
            if let Action::Send { to, message } = action {
                check_message(node, *to, message, (config.max_append_bytes, chunk))?;
            } else if matches!(action, Action::Read { .. }) {
                answered += 1;
            } else if let Action::Proposed { outcome: Ok(_), .. } = action
                && self.proposed > config.max_entry_bytes
            {
                return Err(OutOfBounds::CommandTooLong {
                    node,
                    bytes: self.proposed,
                    most: config.max_entry_bytes,
                });
            }
        }
        if self.is_read || answered > 0 {
            let asked = u64::from(self.is_read);
            let most = u64::from(config.max_waiting_reads);
            let waiting = self.waiting_reads(node);
            let before = *waiting;
            *waiting = (before + asked).saturating_sub(answered);
            // When the limit is lowered, those that wait go on.
            if *waiting > most && *waiting > before {
                let waiting = *waiting;
                return Err(OutOfBounds::TooManyReads {
                    node,
                    waiting,
                    most,
                });
            }
        }
        match self.reported {
            Some(seq) => check_replies(node, actions, self.newly_persisted(node, seq))?,
            None => check_messages(node, actions, config)?,
        }
        self.steps += 1;
        if self.steps < LOOK_EVERY {
            return Ok(());
        }
        self.steps = 0;
        look(&raft.status(), self.window(raft))
    }
}

/// The payload of a message fits its limit.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only these messages carry payloads"
)]
fn check_message(
    node: NodeId,
    to: NodeId,
    message: &Message,
    (max_append_bytes, max_chunk_bytes): (u64, u64),
) -> Result<(), OutOfBounds> {
    let (bytes, most) = match message {
        // One entry goes alone, whatever its size.
        Message::AppendEntries(request) if request.entries.len() > 1 => {
            (request.entries.bytes(), max_append_bytes)
        }
        Message::InstallSnapshot(request) => (request.data.len() as u64, max_chunk_bytes),
        _ => return Ok(()),
    };
    if bytes <= most {
        return Ok(());
    }
    Err(OutOfBounds::MessageTooLarge {
        node,
        to,
        bytes,
        most,
    })
}

/// No peer is sent more than a window of appends and a few messages in one step.
fn check_messages(node: NodeId, actions: &[Action], config: &Config) -> Result<(), OutOfBounds> {
    let most = config.max_inflight_appends as usize + OTHER_MESSAGES;
    if actions.len() <= most {
        return Ok(()); // Nearly always.
    }
    let mut receivers: Vec<NodeId> = Vec::with_capacity(actions.len());
    for action in actions {
        if let Action::Send { to, .. } = action {
            receivers.push(*to);
        }
    }
    receivers.sort_unstable();
    let too_many = receivers
        .chunk_by(|one, other| one == other)
        .find(|to| to.len() > most);
    match too_many.and_then(|to| Some((*to.first()?, to.len()))) {
        None => Ok(()),
        Some((to, messages)) => Err(OutOfBounds::TooManyMessages {
            node,
            to,
            messages,
            most,
        }),
    }
}

/// Of each kind of reply, one to each peer waits for a write: so many `writes` are durable now, and
/// no more replies of a kind leave with them.
fn check_replies(node: NodeId, actions: &[Action], writes: u64) -> Result<(), OutOfBounds> {
    if actions.len() as u64 <= writes {
        return Ok(());
    }
    let mut replies: Vec<(NodeId, MessageKind)> = Vec::new();
    for action in actions {
        if let Action::Send { to, message } = action
            && let Message::AppendEntriesReply(_)
            | Message::InstallSnapshotReply(_)
            | Message::RequestVoteReply(_) = message
        {
            replies.push((*to, message.kind()));
        }
    }
    replies.sort_unstable();
    let mut alike = replies.chunk_by(|one, other| one == other);
    let too_many = alike.find(|replies| replies.len() as u64 > writes);
    match too_many.and_then(|replies| Some((replies.first()?.0, replies.len()))) {
        None => Ok(()),
        Some((to, replies)) => Err(OutOfBounds::TooManyReplies {
            node,
            to,
            replies,
            writes,
        }),
    }
}

/// The state of a node is within its bounds. At most `window` appends are on their way to a
/// follower.
///
/// # Errors
///
/// [`OutOfBounds::NextNotAboveMatch`], [`OutOfBounds::TooManyAppends`],
/// [`OutOfBounds::TooMuchWithheld`].
pub fn look(status: &Status, window: u32) -> Result<(), OutOfBounds> {
    for peer in &status.peers {
        check_peer(status.id, peer, window)?;
    }
    let members = status.membership.members().len();
    // The last terms rest on the writes that are under way; a snapshot's release waits alone.
    let most = ANSWERS_TO_A_WRITE * (status.writes_under_way + 1) + members;
    if status.withheld > most {
        return Err(OutOfBounds::TooMuchWithheld {
            node: status.id,
            withheld: status.withheld,
            writes: status.writes_under_way,
            most,
        });
    }
    Ok(())
}

fn check_peer(leader: NodeId, peer: &PeerStatus, window: u32) -> Result<(), OutOfBounds> {
    if peer.next_index <= peer.match_index {
        return Err(OutOfBounds::NextNotAboveMatch {
            leader,
            peer: peer.id,
            match_index: peer.match_index,
            next_index: peer.next_index,
        });
    }
    let most = window as usize;
    match peer.state {
        PeerState::Replicate { inflight } if inflight > most => Err(OutOfBounds::TooManyAppends {
            leader,
            peer: peer.id,
            inflight,
            most,
        }),
        PeerState::Replicate { .. } | PeerState::Probe | PeerState::Snapshot { .. } => Ok(()),
    }
}
