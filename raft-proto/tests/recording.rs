//! A recording replays the node that made it, and a damaged one is recognised.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_proto::recording::{self, Recording, RecordingError, Step};
use raft_proto::*;

/// The recording of a cluster of one: the node is elected, and takes a command.
fn recorded() -> Vec<u8> {
    let config = Config::new(ClusterId(7), NodeId(1), Start::voters([NodeId(1)]), 42);
    let mut raft = Raft::new(config, Recovered::default()).unwrap();
    let mut file = recording::begin(&raft);
    let mut step = |at, input| {
        let event = Event {
            at: Time(at),
            input,
        };
        recording::event_into(&mut file, &event);
        let actions = raft.step(event);
        recording::outcome_into(&mut file, &actions);
    };
    step(0, Input::Tick);
    step(2_000_000_000, Input::Tick);
    for seq in 1..4 {
        step(2_000_000_001, Input::Persisted { seq: Seq(seq) });
    }
    let command = bytes::Bytes::from_static(b"command");
    step(
        2_000_000_002,
        Input::Propose {
            id: RequestId(1),
            commands: command.into(),
        },
    );
    file
}

/// The steps that were read from a file, and whether the end of the file was reached.
struct Replay {
    steps: Vec<Step>,
    end: Result<(), RecordingError>,
}

fn replay(file: &[u8]) -> Replay {
    let mut steps = Vec::new();
    let mut recording = match Recording::open(file) {
        Ok(recording) => recording,
        Err(error) => {
            return Replay {
                steps,
                end: Err(error),
            };
        }
    };
    let end = loop {
        match recording.step() {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    Replay { steps, end }
}

#[test]
fn a_replay_of_a_recording_gives_the_actions_of_the_node() {
    let file = recorded();
    let header = Recording::open(&file).unwrap().header().clone();
    let mut raft = Raft::from_checkpoint(&header.checkpoint).unwrap();
    assert_eq!(&header.config, raft.config());
    let Replay { steps, end } = replay(&file);
    assert_eq!(end, Ok(()));
    assert_eq!(steps.len(), 6);
    for step in steps {
        assert_eq!(
            step.outcome,
            Some(recording::outcome(&raft.step(step.event)))
        );
    }
    assert_eq!(raft.last_log().index, Index(2));
}

#[test]
fn a_recording_cut_off_anywhere_yields_its_beginning_and_is_torn() {
    let file = recorded();
    let whole = replay(&file).steps;
    for length in 0..file.len() {
        let Replay { steps, end } = replay(&file[..length]);
        for (step, expected) in steps.iter().zip(&whole) {
            assert_eq!(step.event, expected.event);
            assert!(step.outcome.is_none() || step.outcome == expected.outcome);
        }
        match end {
            Ok(()) | Err(RecordingError::Torn { .. }) => {}
            Err(RecordingError::NotARecording) => assert!(length < 8),
            Err(other) => panic!("cut at {length}: {other}"),
        }
    }
}

#[test]
fn a_flipped_bit_is_never_read_as_another_event() {
    let file = recorded();
    let whole = replay(&file).steps;
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        let Replay { steps, end } = replay(&damaged);
        assert!(end.is_err(), "byte {at}");
        assert!(whole.starts_with(&steps), "byte {at}");
    }
}

#[test]
fn a_length_beyond_the_file_takes_no_memory() {
    let mut file = b"RAFTREC\x01".to_vec();
    file.extend_from_slice(&u64::MAX.to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    let error = Recording::open(&file).unwrap_err();
    assert_eq!(error, RecordingError::Torn { offset: 8 });
}
