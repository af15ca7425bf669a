//! Any bytes as a checkpoint, and as one whose checksum fits. The decoder does not panic, and a
//! node that it returns has the checkpoint that it was made from, or one that means the same.

use arbitrary::{Result, Unstructured};
use raft_proto::*;

/// Decodes `data` as it is, and as a change of a valid checkpoint.
pub fn run(data: &[u8]) {
    check(data);
    let _ = changed(&mut Unstructured::new(data));
}

fn check(checkpoint: &[u8]) {
    let Ok(raft) = Raft::from_checkpoint(checkpoint) else {
        return;
    };
    let again = raft.checkpoint();
    let second = Raft::from_checkpoint(&again);
    assert_eq!(second.as_ref(), Ok(&raft), "a checkpoint is complete");
}

/// The checkpoint of a node after some steps, with some bytes changed and a checksum that fits.
fn changed(u: &mut Unstructured<'_>) -> Result<()> {
    let voters = Start::voters([NodeId(1), NodeId(2)]);
    let config = Config::new(ClusterId(7), NodeId(1), voters, 0);
    // These settings are valid.
    let Ok(mut raft) = Raft::new(config, Recovered::default()) else {
        return Ok(());
    };
    for tick in 0..u.int_in_range(0..=3_u64)? {
        let (at, input) = (Time(tick * 1_000_000_000), Input::Tick);
        for action in raft.step(Event { at, input }) {
            if let Action::Persist(write) = action {
                let input = Input::Persisted { seq: write.seq };
                raft.step(Event { at, input });
            }
        }
    }
    let mut checkpoint = raft.checkpoint();
    check(&checkpoint);
    checkpoint.truncate(checkpoint.len().saturating_sub(4));
    while !u.is_empty() && !checkpoint.is_empty() {
        let at = usize::from(u.arbitrary::<u16>()?) % checkpoint.len();
        if u.ratio(1, 8)? {
            checkpoint.truncate(at.max(1));
        } else {
            checkpoint[at] = u.arbitrary()?;
        }
    }
    let checksum = Checksum::of(&checkpoint);
    checkpoint.extend_from_slice(&checksum.to_le_bytes());
    check(&checkpoint);
    Ok(())
}
