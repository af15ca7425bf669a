//! Any bytes as a recording, and as frames whose checksums fit. Neither the decoder panics nor a
//! core that takes the decoded events.

use raft_proto::recording::{self, Recording};
use raft_proto::{Checksum, ClusterId, Config, NodeId, Raft, Recovered, Start};

/// How many steps of a file are run.
const MAX_STEPS: usize = 64;

/// Runs `data` as a file, and as the frames after a valid beginning.
pub fn run(data: &[u8]) {
    replay(data);
    let config = Config::new(
        ClusterId(7),
        NodeId(1),
        Start::voters([NodeId(1), NodeId(2)]),
        0,
    );
    // These settings are valid.
    let Ok(raft) = Raft::new(config, Recovered::default()) else {
        return;
    };
    let mut file = recording::begin(&raft);
    // The first byte is the length of the frames.
    let (length, rest) = data.split_first().unwrap_or((&0, &[]));
    for body in rest.chunks(usize::from(*length).max(8)) {
        frame_into(&mut file, body);
    }
    replay(&file);
}

/// Appends a frame: length, CRC-32 of length and body, body.
fn frame_into(file: &mut Vec<u8>, body: &[u8]) {
    let length = (body.len() as u64).to_le_bytes();
    let mut checksum = Checksum::new();
    checksum.update(&length);
    checksum.update(body);
    file.extend_from_slice(&length);
    file.extend_from_slice(&checksum.value().to_le_bytes());
    file.extend_from_slice(body);
}

fn replay(file: &[u8]) {
    let Ok(mut recording) = Recording::open(file) else {
        return;
    };
    let Ok(mut raft) = Raft::from_checkpoint(&recording.header().checkpoint) else {
        return;
    };
    for _ in 0..MAX_STEPS {
        let Ok(Some(step)) = recording.step() else {
            return;
        };
        let actions = raft.step(step.event);
        let _ = recording::outcome(&actions);
    }
}
