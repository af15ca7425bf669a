//! What is out of bounds.

use raft_proto::{Index, NodeId};

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
    /// Bytes on their way.
    #[error("{leader} has {bytes} bytes on their way to {peer}: at most {most}")]
    TooManyBytes {
        /// The leader.
        leader: NodeId,
        /// The follower.
        peer: NodeId,
        /// How many.
        bytes: u64,
        /// How many it may have.
        most: u64,
    },
    /// A proposal that the leader has accepted.
    #[error("{node} has accepted a proposal, and {bytes} bytes are uncommitted: at most {most}")]
    TooManyUncommitted {
        /// The leader.
        node: NodeId,
        /// How many.
        bytes: u64,
        /// How many it may have.
        most: u64,
    },
    /// Entries that the service was handed.
    #[error("{node} has handed out {bytes} bytes that are not applied: at most {most}")]
    TooManyHandedOut {
        /// The node.
        node: NodeId,
        /// How many.
        bytes: u64,
        /// How many it may hand out.
        most: u64,
    },
    /// Entries that were not sent though there was room.
    #[error(
        "{leader} sends {peer} one append at a time: before each of {acknowledgements} \
         acknowledgements in a row it held entries back, and there was room"
    )]
    HeldBack {
        /// The leader.
        leader: NodeId,
        /// The follower.
        peer: NodeId,
        /// How many acknowledgements.
        acknowledgements: u32,
    },
}
