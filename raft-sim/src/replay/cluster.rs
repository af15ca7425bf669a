//! Recordings of the nodes of one cluster, merged into one run that the refinement judges.
//!
//! Each node's clock is its own, so nothing tells which of two steps of two nodes came first, but
//! one thing: a message is received after it was sent. Any order that keeps to that, and to the
//! order of each node's own steps, is a run that no node can tell from the real one. So one such
//! order is made: a node takes its next recorded step unless that receives a message that its
//! sender, if it is recorded, has not sent yet.
//!
//! A message whose sending is in no recording is taken as sent, and counted: a ring of files may
//! have lost it. Recordings of all members are needed: without those of one, the refinement would
//! take what it sent for a mistake. The recordings of each node have to begin with its empty disk,
//! since the refinement knows no log that it has not seen grow.

use super::ReplayError;
use crate::refinement::{Broken, DiskId, Refinement, StartFacts, StepFacts};
use raft_proto::recording::{Recording, RecordingError, Step, outcome};
use raft_proto::{Action, EntryId, Input, Message, NodeId, Raft};
use rustc_hash::FxHasher;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};

/// A recording, and what to call it.
#[derive(Clone, Copy, Debug)]
pub struct NamedFile<'a> {
    /// For messages.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The result of a merged replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// How many nodes.
    pub nodes: usize,
    /// How many steps were taken.
    pub steps: u64,
    /// How many messages were received whose sending is in no recording.
    pub unsent: u64,
    /// The rule that the last step breaks.
    pub broken: Option<Broken>,
}

/// Why recordings cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file cannot be replayed.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why.
        reason: ReplayError,
    },
    /// A step whose answer differs: the run cannot be repeated.
    #[error("{file}: the step at byte {offset} differs: replay this file by itself")]
    Differs {
        /// The file.
        file: String,
        /// Where its event begins.
        offset: u64,
    },
    /// The first recording of a node begins with a log.
    #[error(
        "{file}: the recordings of {node} begin when its log ends at {last}: they have to begin with \
         an empty disk"
    )]
    BeginsLate {
        /// The file.
        file: String,
        /// The node.
        node: NodeId,
        /// The end of its log.
        last: EntryId,
    },
    /// A member's recordings are missing.
    #[error(
        "{file}: {receiver} receives a message of {sender}, of which no recording was given: give \
         those of all nodes"
    )]
    NotRecorded {
        /// The file.
        file: String,
        /// The node that receives the message.
        receiver: NodeId,
        /// The member that sent it.
        sender: NodeId,
    },
}

/// The recordings of one node, in order.
struct Tape<'a> {
    files: VecDeque<NamedFile<'a>>,
    name: &'a str,
    open: Option<Recording<'a>>,
    raft: Option<Raft>,
    /// The next step, read and not taken.
    next: Option<Step>,
}

/// Who sent what to whom.
type Sent = BTreeSet<(NodeId, NodeId, u64)>;

fn digest(message: &Message) -> u64 {
    let mut hasher = FxHasher::default();
    message.hash(&mut hasher);
    hasher.finish()
}

/// Merges the recordings, those of each node in the given order, and has the refinement judge each
/// step until the first that breaks a rule.
///
/// # Errors
///
/// [`MergeError`].
pub fn replay_cluster(files: &[NamedFile<'_>]) -> Result<Merged, MergeError> {
    let mut tapes: BTreeMap<NodeId, Tape<'_>> = BTreeMap::new();
    for file in files {
        let opened = Recording::open(file.bytes).map_err(|reason| failed(file.name, reason))?;
        let tape = tapes.entry(opened.header().config.node_id);
        let tape = tape.or_insert_with(|| Tape::new(file.name));
        tape.files.push_back(*file);
    }
    let mut merge = Merge {
        nodes: tapes.keys().copied().collect(),
        sent: Sent::new(),
        refinement: Refinement::new(),
        merged: Merged {
            nodes: tapes.len(),
            steps: 0,
            unsent: 0,
            broken: None,
        },
    };
    while merge.merged.broken.is_none() {
        let mut is_stuck = true;
        for tape in tapes.values_mut() {
            while merge.read(tape)? && merge.may_take(tape) {
                is_stuck = false;
                merge.take(tape)?;
            }
        }
        if is_stuck {
            let Some(tape) = tapes.values_mut().find(|tape| tape.next.is_some()) else {
                break; // All steps are taken.
            };
            merge.merged.unsent += 1;
            merge.take(tape)?;
        }
    }
    Ok(merge.merged)
}

fn failed(file: &str, reason: impl Into<ReplayError>) -> MergeError {
    MergeError::File {
        file: file.to_owned(),
        reason: reason.into(),
    }
}

impl<'a> Tape<'a> {
    fn new(name: &'a str) -> Tape<'a> {
        Tape {
            files: VecDeque::new(),
            name,
            open: None,
            raft: None,
            next: None,
        }
    }
}

struct Merge {
    /// The nodes that are recorded.
    nodes: BTreeSet<NodeId>,
    sent: Sent,
    refinement: Refinement,
    merged: Merged,
}

impl Merge {
    fn note(&mut self, result: Result<(), Broken>) {
        if let Err(broken) = result {
            self.merged.broken.get_or_insert(broken);
        }
    }

    /// Reads the next step of a node. Returns whether there is one, and no rule is broken.
    fn read<'a>(&mut self, tape: &mut Tape<'a>) -> Result<bool, MergeError> {
        while self.merged.broken.is_none() && tape.next.is_none() {
            let step = match tape.open.as_mut().map(Recording::step) {
                // The process was killed.
                Some(Err(RecordingError::Torn { .. })) | None => None,
                Some(step) => step.map_err(|reason| failed(tape.name, reason))?,
            };
            if step.is_some() {
                tape.next = step;
                break;
            }
            let Some(file) = tape.files.pop_front() else {
                return Ok(false);
            };
            self.open(tape, file)?;
        }
        Ok(self.merged.broken.is_none())
    }

    /// The next file of a node: the same instance goes on, or the node has started again.
    fn open<'a>(&mut self, tape: &mut Tape<'a>, file: NamedFile<'a>) -> Result<(), MergeError> {
        let recording = Recording::open(file.bytes).map_err(|reason| failed(file.name, reason))?;
        let checkpoint = &recording.header().checkpoint;
        let raft = Raft::from_checkpoint(checkpoint).map_err(|reason| failed(file.name, reason))?;
        if tape.raft.is_none() && raft.last_log() != EntryId::ZERO {
            return Err(MergeError::BeginsLate {
                file: file.name.to_owned(),
                node: raft.id(),
                last: raft.last_log(),
            });
        }
        if tape.raft.as_ref() != Some(&raft) {
            let result = self.refinement.started(&StartFacts::of(&raft, None));
            self.note(result);
        }
        tape.name = file.name;
        tape.open = Some(recording);
        tape.raft = Some(raft);
        Ok(())
    }

    /// Whether the next step of a node can come now.
    fn may_take(&self, tape: &Tape<'_>) -> bool {
        let (Some(step), Some(raft)) = (&tape.next, &tape.raft) else {
            return false;
        };
        let Input::Receive { from, message, .. } = &step.event.input else {
            return true;
        };
        !self.nodes.contains(from) || self.sent.contains(&(*from, raft.id(), digest(message)))
    }

    /// A node takes its next step.
    fn take(&mut self, tape: &mut Tape<'_>) -> Result<(), MergeError> {
        let (Some(step), Some(raft)) = (tape.next.take(), &mut tape.raft) else {
            return Ok(());
        };
        if let Input::Receive { from, .. } = step.event.input
            && !self.nodes.contains(&from)
            && raft.membership().get(from).is_some()
        {
            return Err(MergeError::NotRecorded {
                file: tape.name.to_owned(),
                receiver: raft.id(),
                sender: from,
            });
        }
        if let Input::Persisted { seq } = step.event.input {
            self.refinement.persisted(DiskId::of(raft), seq);
        }
        let actions = raft.step(step.event);
        if step.outcome.is_some_and(|it| it != outcome(&actions)) {
            return Err(MergeError::Differs {
                file: tape.name.to_owned(),
                offset: step.offset,
            });
        }
        self.merged.steps += 1;
        let sends = actions.iter().filter_map(|action| {
            let Action::Send { to, message } = action else {
                return None;
            };
            Some((raft.id(), *to, digest(message)))
        });
        self.sent.extend(sends);
        let result = self.refinement.stepped(&StepFacts::of(raft, &actions));
        self.note(result);
        Ok(())
    }
}
