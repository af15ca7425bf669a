//! Which setting of a running node the operator changes, and to what.

use crate::random::Random;
use crate::schedule::nemesis::NodeSetting;
use crate::settings::Settings;
use raft_proto::ENTRY_OVERHEAD;

/// Draws a setting and its value. Some are refused: those that cannot change while a node runs, and
/// those that contradict the node's others.
pub(super) fn draw(settings: &Settings, random: &mut Random) -> (NodeSetting, u64) {
    let setting = random.choose(&NodeSetting::ALL).copied();
    let setting = setting.unwrap_or(NodeSetting::HeartbeatInterval); // There are some.
    let core = &settings.core;
    let millis = |time: core::time::Duration| time.as_millis() as u64; // Some seconds.
    let least = millis(core.election_timeout_min.0);
    let window = u64::from(core.max_inflight_appends);
    let entry = core.max_entry_bytes;
    let value = match setting {
        NodeSetting::ElectionTimeoutMax => least + random.between(least / 5, 2 * least),
        NodeSetting::HeartbeatInterval => random.between((least / 20).max(15), least / 3 + 10),
        NodeSetting::AppendTimeout => random.between(5, 2 * least),
        NodeSetting::CommitNoticeDelay => random.between(0, 20),
        // A change of the members is an entry, too, and must fit.
        NodeSetting::MaxEntryBytes => {
            let short = 100 + settings.clients.max_value / 2;
            random.between(short, short + 100).min(entry)
        }
        NodeSetting::MaxAppendBytes => entry + ENTRY_OVERHEAD + random.below(4_096),
        NodeSetting::MaxInflightAppends => random.between(1, window),
        NodeSetting::MaxInflightBytes => core.max_append_bytes + random.below(1 << 16),
        NodeSetting::MaxUncommittedBytes | NodeSetting::MaxUnappliedBytes => {
            entry + ENTRY_OVERHEAD + random.below(1 << 16)
        }
        NodeSetting::MaxWaitingReads => random.between(1, 6),
        NodeSetting::MaxResidentBytes => random.between(0, 20_000),
        NodeSetting::TrailingEntries => random.between(0, 100),
        NodeSetting::SnapshotChunkBytes => {
            let chunk = core.snapshot_chunk_bytes;
            random.between(chunk / 2, 2 * chunk)
        }
        NodeSetting::ElectionTimeoutMin => random.between(least / 2, least),
        NodeSetting::LeasePromise => random.between(least / 2, least),
        NodeSetting::PreVote => random.below(2),
    };
    (setting, value)
}
