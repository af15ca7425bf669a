//! The 28 scenarios.

use super::cluster::Lab;
use super::failure::Failure;
use super::figures::Figures;
use super::network::Reliability;
use super::scenario::{Part, Scenario};
use super::service::ServiceKind;
use super::{part_3a, part_3b, part_3b_rpc, part_3c, part_3c_churn, part_3d};
use crate::features::Features;
use core::time::Duration;

/// No scenario has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no scenario is called {0:?}; give a part (3A, 3B, 3C, 3D), a number from 1 to 28, or a part \
     of a name, such as {example:?}; without any, all run",
    example = "figure 8"
)]
pub struct UnknownScenario(
    /// The filter.
    pub String,
);

/// All scenarios in the lab's order.
pub fn scenarios() -> &'static [Scenario] {
    &SCENARIOS
}

/// The scenarios that `filter` names: a part (`3A`), a number (`17`), or any part of a name, in
/// upper or lower case. A whole name means that scenario alone. Without a filter, all scenarios.
///
/// # Errors
///
/// [`UnknownScenario`] if it names none.
pub fn select(filter: Option<&str>) -> Result<Vec<&'static Scenario>, UnknownScenario> {
    let Some(filter) = filter else {
        return Ok(SCENARIOS.iter().collect());
    };
    let wanted = filter.trim().to_lowercase();
    let named = |matches: &dyn Fn(&Scenario) -> bool| -> Vec<&'static Scenario> {
        SCENARIOS.iter().filter(|each| matches(each)).collect()
    };
    let attempts = [
        named(&|each| each.part.to_string().to_lowercase() == wanted),
        named(&|each| each.number.to_string() == wanted),
        named(&|each| each.name.to_lowercase() == wanted),
        named(&|each| !wanted.is_empty() && each.name.to_lowercase().contains(&wanted)),
    ];
    let found = attempts.into_iter().find(|found| !found.is_empty());
    found.ok_or_else(|| UnknownScenario(filter.to_owned()))
}

/// Figures of the lab's page: servers, tenths of a second, RPCs, bytes, commits.
const fn page(peers: usize, tenths: u64, rpcs: u64, bytes: u64, commits: u64) -> Option<Figures> {
    Some(Figures {
        time: Duration::from_millis(tenths * 100),
        peers,
        rpcs,
        bytes,
        commits,
    })
}

const fn scenario(
    number: u8,
    part: Part,
    name: &'static str,
    peers: usize,
    page: Option<Figures>,
    script: fn(&mut Lab) -> Result<(), Failure>,
) -> Scenario {
    let service = match part {
        Part::A | Part::B | Part::C => ServiceKind::Log,
        Part::D => ServiceKind::Snapshots,
    };
    Scenario {
        number,
        part,
        name,
        peers,
        page,
        features: Features::None,
        reliability: Reliability::Reliable,
        service,
        script,
    }
}

/// The same over a network that loses and delays.
const fn unreliable(mut scenario: Scenario) -> Scenario {
    scenario.reliability = Reliability::Unreliable;
    scenario
}

#[rustfmt::skip]
static SCENARIOS: [Scenario; 28] = {
    use Part::{A, B, C, D};
    [
        scenario(1, A, "initial election", 3, page(3, 35, 58, 16_840, 0), part_3a::initial_election),
        scenario(2, A, "election after network failure", 3, page(3, 54, 118, 25_269, 0), part_3a::election_after_network_failure),
        scenario(3, A, "multiple elections", 7, page(7, 73, 624, 138_014, 0), part_3a::multiple_elections),
        scenario(4, B, "basic agreement", 3, page(3, 9, 16, 4_572, 3), part_3b::basic_agreement),
        scenario(5, B, "RPC byte count", 3, page(3, 17, 48, 114_536, 11), part_3b_rpc::rpc_byte_count),
        scenario(6, B, "progressive failure of followers", 3, None, part_3b::progressive_failure_of_followers),
        scenario(7, B, "failure of leaders", 3, None, part_3b::failure_of_leaders),
        scenario(8, B, "agreement after follower reconnects", 3, page(3, 36, 78, 22_131, 7), part_3b::agreement_after_follower_reconnects),
        scenario(9, B, "no agreement if too many followers disconnect", 5, page(5, 38, 172, 40_935, 3), part_3b::no_agreement_without_majority),
        scenario(10, B, "concurrent Start()s", 3, page(3, 11, 24, 7_379, 6), part_3b_rpc::concurrent_starts),
        scenario(11, B, "rejoin of partitioned leader", 3, page(3, 51, 152, 37_021, 4), part_3b::rejoin_of_partitioned_leader),
        scenario(12, B, "leader backs up quickly over incorrect follower logs", 5, page(5, 172, 2_080, 1_587_388, 102), part_3b::leader_backs_up_quickly),
        scenario(13, B, "RPC counts aren't too high", 3, page(3, 22, 60, 20_119, 12), part_3b_rpc::rpc_counts),
        scenario(14, C, "basic persistence", 3, page(3, 50, 86, 22_849, 6), part_3c::basic_persistence),
        scenario(15, C, "more persistence", 5, page(5, 176, 952, 218_854, 16), part_3c::more_persistence),
        scenario(16, C, "partitioned leader and one follower crash, leader restarts", 3, page(3, 20, 34, 8_937, 4), part_3c::partitioned_leader_restarts),
        scenario(17, C, "Figure 8", 5, page(5, 312, 580, 130_675, 32), part_3c::figure_8),
        unreliable(scenario(18, C, "unreliable agreement", 5, page(5, 17, 1_044, 366_392, 246), part_3c::unreliable_agreement)),
        unreliable(scenario(19, C, "Figure 8 (unreliable)", 5, page(5, 336, 10_700, 33_695_245, 308), part_3c::figure_8_unreliable)),
        scenario(20, C, "churn", 5, page(5, 161, 8_864, 44_771_259, 1_544), part_3c_churn::churn),
        unreliable(scenario(21, C, "unreliable churn", 5, page(5, 165, 4_220, 6_414_632, 906), part_3c_churn::churn)),
        scenario(22, D, "snapshots basic", 3, page(3, 116, 176, 61_716, 192), part_3d::snapshots_basic),
        scenario(23, D, "install snapshots (disconnect)", 3, page(3, 642, 878, 320_610, 336), part_3d::install_after_disconnect),
        unreliable(scenario(24, D, "install snapshots (disconnect+unreliable)", 3, page(3, 811, 1_059, 375_850, 341), part_3d::install_after_disconnect)),
        scenario(25, D, "install snapshots (crash)", 3, page(3, 535, 601, 256_638, 339), part_3d::install_after_crash),
        unreliable(scenario(26, D, "install snapshots (unreliable+crash)", 3, page(3, 635, 687, 288_294, 336), part_3d::install_after_crash)),
        scenario(27, D, "crash and restart all servers", 3, page(3, 195, 268, 81_352, 58), part_3d::crash_and_restart_all),
        scenario(28, D, "snapshot initialization after crash", 3, None, part_3d::snapshot_initialization_after_crash),
    ]
};
