//! Links that lose many messages.

use super::LOSS;
use super::phase::Phase;
use crate::failure::Failure;

impl Phase<'_> {
    /// All links lose messages and delay others, so that these come in another order. The leader
    /// crashes several times: elections show best what is repeated.
    pub(super) fn lossy(&mut self) -> Result<(), Failure> {
        let loss = self.random.between(LOSS / 2, LOSS);
        let (late, by) = (self.random.between(0, 200), self.timeouts(1) / 2);
        self.world.lose_messages(loss as u32, late as u32, by); // Each is below 1,000.
        for _ in 0..4 {
            let Some(leader) = self.well_leader()? else {
                return Ok(());
            };
            let outage = self.between(200, 2_000);
            if self.can_lose(leader) {
                let now = self.now();
                self.watch.leader_crashes(now);
                self.world.crash_for(leader, Some(outage));
            }
            self.run_for(outage + self.timeouts(3))?;
        }
        Ok(())
    }
}
