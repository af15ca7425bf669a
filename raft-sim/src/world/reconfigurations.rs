//! Settings that the operator changes while nodes run.

use super::World;
use crate::schedule::nemesis::NodeSetting;
use raft_proto::Input;
use std::collections::BTreeMap;

/// What the operator has changed at one machine: each setting, and its value before that.
pub(super) type Reconfigured = BTreeMap<NodeSetting, u64>;

impl World {
    /// The operator changes one setting of a node that runs. What the node accepts stands in its
    /// config from then on, for its next starts too.
    pub(super) fn reconfigure(&mut self, place: usize, setting: NodeSetting, value: u64) {
        let Some(raft) = self.machines[place].raft() else {
            return;
        };
        let mut config = raft.config().clone();
        let before = setting.of(&config);
        setting.set(&mut config, value);
        let (id, config) = (self.new_operator_request(place), Box::new(config));
        self.give(place, Input::Reconfigure { id, config });
        let running = self.machines[place].raft();
        let is_changed = running.is_some_and(|raft| setting.of(raft.config()) == value);
        if is_changed && before != value {
            self.reconfigured[place].entry(setting).or_insert(before);
            self.machines[place].reconfigure(|config| setting.set(config, value));
        }
    }

    /// The operator takes all changes back, in all configs: what a cluster owes is derived from the
    /// settings of the run. A node that runs is asked, too.
    pub(super) fn undo_reconfigurations(&mut self) {
        for place in 0..self.machines.len() {
            let changed = core::mem::take(&mut self.reconfigured[place]);
            if changed.is_empty() {
                continue;
            }
            let restore = |config: &mut raft_proto::Config| {
                for (setting, value) in &changed {
                    setting.set(config, *value);
                }
            };
            self.machines[place].reconfigure(restore);
            let Some(raft) = self.machines[place].raft() else {
                continue;
            };
            let mut config = raft.config().clone();
            restore(&mut config);
            let (id, config) = (self.new_operator_request(place), Box::new(config));
            self.give(place, Input::Reconfigure { id, config });
        }
    }
}
