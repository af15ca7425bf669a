//! What a node holds, and what it does in one step, is bounded, whatever the network and the disk
//! do: a node that can be made to hold or to walk more and more stops being one.
//!
//! | bound | of |
//! |---|---|
//! | `max_inflight_appends` | appends on their way to one follower, and messages to one in a step |
//! | `max_inflight_bytes`, and one message | bytes on their way to one follower |
//! | `max_append_bytes` | the entries of one append, unless it is a single one |
//! | `snapshot_chunk_bytes` | the data of one InstallSnapshot |
//! | `max_waiting_reads` | reads of clients that wait at one node |
//! | `max_uncommitted_bytes` | what a leader has accepted in its term and not committed |
//! | `max_unapplied_bytes` | entries that are handed out and not applied, unless it is a single one |
//! | a few for each write under way and each member | answers that wait for the disk |
//! | one of a kind to each peer for each write | answers that leave when writes are durable |
//!
//! And nextIndex is above matchIndex (Figure 2): a leader that sends again what was acknowledged
//! does so without end.
//!
//! What a node holds of its log in memory has no bound here: the entries that a node recovers are
//! dropped together, once all of them are applied.
//!
//! What only walks, and neither holds nor sends, cannot be seen in a run that is the same on every
//! machine: there, time is virtual and counts nothing. The bounds on what there is to walk stand
//! here; `benches/work_per_step.rs` shows that a step does not walk it.
//!
//! A limit may be lowered while the node runs: `former.rs` says what may be left then.
//!
//! Sound: a write has at most one answer of each kind that waits for it, and a candidate's requests
//! wait for one write.
//!
//! Cost: a comparison for each message, and one look at [`Raft::status`] in [`LOOK_EVERY`]
//! steps. What is out of bounds stays so for longer than that, or does no harm.

mod former;
mod handed_out;
mod out_of_bounds;

pub use out_of_bounds::OutOfBounds;

use former::Former;
use handed_out::HandedOut;
use raft_proto::{
    Action, Config, ENTRY_OVERHEAD, Event, Input, Message, MessageKind, NodeId, PeerState,
    PeerStatus, Raft, Seq, Status,
};

/// How many steps are taken between two looks at the state of the node that takes the last one.
/// It is odd, so that nodes which take steps in turns are all looked at.
pub const LOOK_EVERY: u32 = 17;

/// Messages to one peer in a step beside a window of appends: answers, a heartbeat, a probe, a
/// snapshot's chunk, a round for reads.
const OTHER_MESSAGES: usize = 16;

/// The answers that may wait for one write, each of one kind.
const ANSWERS_TO_A_WRITE: usize = 6;

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
    /// The longest proposal of the run, in bytes. No entry is longer, but for those that leaders
    /// append by themselves.
    longest_proposal: u64,
    /// The present step proposes to a leader that has appended to its log in its term.
    is_term_begun: bool,
    former: Former,
    handed_out: HandedOut,
}

/// What a node may hold.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Appends on their way to one follower.
    pub inflight_appends: u32,
    /// Bytes on their way to one follower.
    pub inflight_bytes: u64,
}

/// The entries that a leader appends by itself: the empty one of its term, and configurations.
const OWN_ENTRIES_BYTES: u64 = 4096;

impl Bounds {
    /// How many appends may be on their way to each follower: as many as the settings say, or those
    /// that the node had before.
    pub fn window(&self, raft: &Raft) -> u32 {
        let left = self.former.left(raft.id());
        left.inflight_appends
            .max(raft.config().max_inflight_appends)
    }

    /// How many bytes may be on their way to each follower by these settings. The last message is
    /// sent while there is room for one byte.
    fn inflight_bytes(&self, config: &Config) -> u64 {
        let message = config.max_append_bytes.max(config.snapshot_chunk_bytes);
        let message = message.max(self.longest_proposal + OWN_ENTRIES_BYTES);
        config.max_inflight_bytes.saturating_add(message)
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
        self.former.forget(node);
        self.handed_out.forget(node);
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
            let inflight_bytes = self.inflight_bytes(raft.config());
            self.former.note(raft, inflight_bytes);
        }
        if let Input::Applied { index } = event.input {
            self.handed_out.applied(raft.id(), index);
        }
        self.proposed = 0;
        if let Input::Propose { commands, .. } = &event.input {
            let (mut longest, mut all) = (0, 0);
            for command in commands.iter() {
                longest = longest.max(command.len() as u64);
                all += command.len() as u64 + ENTRY_OVERHEAD;
            }
            self.proposed = longest;
            self.longest_proposal = self.longest_proposal.max(all);
            self.is_term_begun = raft.last_log().term == raft.term();
        }
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
        let left = self.former.left(node);
        let chunk = left.chunk_bytes.max(config.snapshot_chunk_bytes);
        for action in actions {
            if let Action::Send { to, message } = action {
                check_message(node, *to, message, (config.max_append_bytes, chunk))?;
            } else if matches!(action, Action::Read { .. }) {
                answered += 1;
            } else if let Action::Proposed { outcome: Ok(_), .. } = action {
                self.check_accepted(raft)?;
            }
            self.handed_out.action(raft, action)?;
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
        let status = raft.status();
        let most = Most {
            inflight_appends: self.window(raft),
            inflight_bytes: left.inflight_bytes.max(self.inflight_bytes(config)),
        };
        look(&status, most)?;
        self.former.drain(&status);
        Ok(())
    }

    /// The leader has accepted what the present step proposes.
    fn check_accepted(&self, raft: &Raft) -> Result<(), OutOfBounds> {
        let (node, config) = (raft.id(), raft.config());
        if self.proposed > config.max_entry_bytes {
            return Err(OutOfBounds::CommandTooLong {
                node,
                bytes: self.proposed,
                most: config.max_entry_bytes,
            });
        }
        // The first command of a term is accepted whatever earlier terms have left.
        let (bytes, most) = (raft.uncommitted_bytes(), config.max_uncommitted_bytes);
        if self.is_term_begun && bytes > most {
            return Err(OutOfBounds::TooManyUncommitted { node, bytes, most });
        }
        Ok(())
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

/// The state of a node is within its bounds, and it holds at most so much.
///
/// # Errors
///
/// [`OutOfBounds::NextNotAboveMatch`], [`OutOfBounds::TooManyBytes`],
/// [`OutOfBounds::TooManyAppends`], [`OutOfBounds::TooMuchWithheld`].
pub fn look(status: &Status, most: Most) -> Result<(), OutOfBounds> {
    for peer in &status.peers {
        check_peer(status.id, peer, most)?;
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

fn check_peer(leader: NodeId, status: &PeerStatus, most: Most) -> Result<(), OutOfBounds> {
    let peer = status.id;
    if status.next_index <= status.match_index {
        return Err(OutOfBounds::NextNotAboveMatch {
            leader,
            peer,
            match_index: status.match_index,
            next_index: status.next_index,
        });
    }
    if status.inflight_bytes > most.inflight_bytes {
        return Err(OutOfBounds::TooManyBytes {
            leader,
            peer,
            bytes: status.inflight_bytes,
            most: most.inflight_bytes,
        });
    }
    let most = most.inflight_appends as usize;
    match status.state {
        PeerState::Replicate { inflight } if inflight > most => Err(OutOfBounds::TooManyAppends {
            leader,
            peer,
            inflight,
            most,
        }),
        PeerState::Replicate { .. } | PeerState::Probe | PeerState::Snapshot { .. } => Ok(()),
    }
}
