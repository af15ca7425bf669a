//! Repeats recordings of real nodes, and compares the answers of this build of the core.

mod cluster;

pub use cluster::{MergeError, Merged, NamedFile, replay_cluster};

use raft_proto::recording::{self, Outcome, Recording, RecordingError, Step};
use raft_proto::{Action, Raft, trace};
use std::io::{self, Write};

/// The result of a replay of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Steps whose answers agree.
    pub steps: u64,
    /// Whether the file ends in the middle of a frame, as when a process was killed.
    pub is_torn: bool,
    /// The first step whose answer differs.
    pub divergence: Option<Divergence>,
    /// The core after the last step.
    pub raft: Raft,
    /// The release that made the recording, if it is not this one.
    pub other_version: Option<String>,
}

/// A step whose answer differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The step's number, from 1.
    pub number: u64,
    /// The recorded step.
    pub step: Step,
    /// The answer of this build.
    pub found: Outcome,
    /// The event and the actions of this build, as lines of a trace.
    pub lines: Vec<String>,
}

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file is not a recording, or is damaged.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The checkpoint that it begins with cannot be read.
    #[error("its checkpoint: {0}: replay it with the release that recorded it")]
    Checkpoint(#[from] raft_proto::CheckpointError),
    /// The trace could not be written.
    #[error("write the trace: {0}")]
    Trace(#[from] io::Error),
}

/// Repeats a recording until its end or the first step whose answer differs. With `output`, every
/// event and action is written to it, one a line.
///
/// # Errors
///
/// [`ReplayError`] if the file cannot be read to its end, or `output` cannot be written.
pub fn replay(file: &[u8], mut output: Option<&mut dyn Write>) -> Result<Replayed, ReplayError> {
    let mut recording = Recording::open(file)?;
    let header = recording.header();
    let this = env!("CARGO_PKG_VERSION");
    let mut replayed = Replayed {
        steps: 0,
        is_torn: false,
        divergence: None,
        raft: Raft::from_checkpoint(&header.checkpoint)?,
        other_version: (header.crate_version != this).then(|| header.crate_version.clone()),
    };
    loop {
        let step = match recording.step() {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(replayed),
            Err(RecordingError::Torn { .. }) => {
                replayed.is_torn = true;
                return Ok(replayed);
            }
            Err(error) => return Err(error.into()),
        };
        let before = node_at_term(&replayed.raft);
        let actions = replayed.raft.step(step.event.clone());
        let found = recording::outcome(&actions);
        let agrees = step.outcome.is_none_or(|outcome| outcome == found);
        if let Some(output) = &mut output {
            for line in lines(before, &step, &replayed.raft, &actions) {
                writeln!(output, "{line}")?;
            }
        }
        if !agrees {
            replayed.divergence = Some(Divergence {
                number: replayed.steps + 1,
                lines: lines(before, &step, &replayed.raft, &actions),
                step,
                found,
            });
            return Ok(replayed);
        }
        replayed.steps += 1;
    }
}

fn node_at_term(raft: &Raft) -> trace::NodeAtTerm {
    trace::NodeAtTerm {
        node: raft.id(),
        term: raft.term(),
    }
}

fn lines(before: trace::NodeAtTerm, step: &Step, after: &Raft, actions: &[Action]) -> Vec<String> {
    let at = step.event.at;
    let event = format!("{at} {}", trace::input(before, &step.event.input));
    let actions = actions.iter();
    let actions =
        actions.map(|action| format!("{at} {}", trace::action(node_at_term(after), action)));
    std::iter::once(event).chain(actions).collect()
}
