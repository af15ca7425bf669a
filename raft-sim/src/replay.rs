//! Runs recordings of real nodes again, and compares what this build of the core answers.

use raft_proto::recording::{self, Outcome, Recording, RecordingError, Step};
use raft_proto::{Action, Raft, trace};
use std::io::{self, Write};

/// What a replay of one file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Steps that were run again and agreed.
    pub steps: u64,
    /// The file ends in the middle of a frame, as that of a killed process may.
    pub is_torn: bool,
    /// The first step that did not agree.
    pub divergence: Option<Divergence>,
    /// The core after the last step.
    pub raft: Raft,
    /// The release that recorded it, if it is not this one.
    pub other_version: Option<String>,
}

/// A step that came out differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The step's number, from 1.
    pub number: u64,
    /// What was recorded.
    pub step: Step,
    /// What this build answers.
    pub found: Outcome,
    /// The lines of the event and of this build's actions.
    pub lines: Vec<String>,
}

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is no recording, or a damaged one.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The state that it begins with cannot be read.
    #[error("its checkpoint: {0}: replay it with the release that recorded it")]
    Checkpoint(#[from] raft_proto::CheckpointError),
    /// The trace could not be written.
    #[error("write the trace: {0}")]
    Trace(#[from] io::Error),
}

/// Runs a recording until its end or the first step that differs. With `output`, every event and
/// action is written to it, one a line.
///
/// # Errors
///
/// [`ReplayError`] if it cannot be read to its end.
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
        let before = who(&replayed.raft);
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

fn who(raft: &Raft) -> trace::Who {
    trace::Who {
        node: raft.id(),
        term: raft.term(),
    }
}

fn lines(before: trace::Who, step: &Step, after: &Raft, actions: &[Action]) -> Vec<String> {
    let at = step.event.at;
    let event = format!("{at} {}", trace::input(before, &step.event.input));
    let actions = actions.iter();
    let actions = actions.map(|action| format!("{at} {}", trace::action(who(after), action)));
    std::iter::once(event).chain(actions).collect()
}
