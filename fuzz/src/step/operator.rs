//! What an operator asks of the node: elections and step-downs by hand, other settings.

use super::world::World;
use arbitrary::{Result, Unstructured};
use raft_proto::*;
use std::time::Duration;

impl World {
    pub(super) fn operator_request(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let id = self.new_request();
        let input = match u.int_in_range(0..=3u8)? {
            0 | 1 => Input::Campaign { id },
            2 => Input::StepDown { id },
            _ => {
                let config = Box::new(self.other_config(u)?);
                Input::Reconfigure { id, config }
            }
        };
        self.step(input);
        Ok(())
    }

    /// The node's settings with one of them changed, which may not be allowed, or not be valid.
    fn other_config(&self, u: &mut Unstructured<'_>) -> Result<Config> {
        let mut config = self.raft.config().clone();
        let small = u64::from(u.arbitrary::<u8>()?);
        match u.int_in_range(0..=11u8)? {
            0 => config.max_inflight_appends = small as u32,
            1 => config.max_inflight_bytes = small * 8,
            2 => config.max_uncommitted_bytes = small * 8,
            3 => config.max_unapplied_bytes = small * 8,
            4 => config.max_resident_bytes = (small > 0).then_some(small),
            5 => config.max_entry_bytes = small,
            6 => config.max_append_bytes = small * 4,
            7 => config.trailing_entries = small,
            8 => config.max_waiting_reads = small as u32,
            9 => config.heartbeat_interval = Duration::from_millis(small),
            10 => config.election_timeout_max += Duration::from_millis(small),
            _ => config.seed = small,
        }
        Ok(config)
    }
}
