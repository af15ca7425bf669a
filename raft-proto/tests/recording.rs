//! Recordings replay, and damaged ones say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_proto::recording::{self, Recording, RecordingError, Step};
use raft_proto::*;

/// A lone node that elects itself and takes commands; its recording.
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

/// All steps up to the end, and how it came.
fn steps(file: &[u8]) -> (Vec<Step>, Result<(), RecordingError>) {
    let mut steps = Vec::new();
    let mut recording = match Recording::open(file) {
        Ok(recording) => recording,
        Err(error) => return (steps, Err(error)),
    };
    loop {
        match recording.step() {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => return (steps, Ok(())),
            Err(error) => return (steps, Err(error)),
        }
    }
}

#[test]
fn a_replay_of_a_recording_answers_as_the_node_did() {
    let file = recorded();
    let header = Recording::open(&file).unwrap().header().clone();
    let mut raft = Raft::from_checkpoint(&header.checkpoint).unwrap();
    assert_eq!(&header.config, raft.config());
    let (steps, end) = steps(&file);
    assert_eq!((steps.len(), end), (6, Ok(())));
    for step in steps {
        assert_eq!(
            step.outcome,
            Some(recording::outcome(&raft.step(step.event)))
        );
    }
    assert_eq!(raft.last_log().index, Index(2));
}

#[test]
fn a_recording_cut_anywhere_yields_its_beginning_and_is_torn() {
    let file = recorded();
    let (whole, _) = steps(&file);
    for length in 0..file.len() {
        let (beginning, end) = steps(&file[..length]);
        for (step, expected) in beginning.iter().zip(&whole) {
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
    let (whole, _) = steps(&file);
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        let (read, end) = steps(&damaged);
        assert!(end.is_err(), "byte {at}");
        assert!(whole.starts_with(&read), "byte {at}");
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
