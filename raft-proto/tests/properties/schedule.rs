//! What can happen to a cluster, and how likely.

use crate::settings::{Pace, Settings};
use crate::support::storage::Service;
use crate::world::{Answer, World};
use proptest::collection::vec;
use proptest::prelude::*;
use raft_proto::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// One event, or a group of events. Nodes and messages are picked from those that there are.
#[derive(Clone, Debug)]
pub enum Step {
    /// Any message on its way arrives, late or before others.
    Deliver { pick: u16 },
    /// Some messages arrive in the order in which they were sent.
    DeliverInOrder { count: u8 },
    /// A message is lost.
    Drop { pick: u16 },
    /// A message arrives now, and once more later.
    Duplicate { pick: u16 },
    /// All messages on their way to a node are lost.
    DropTo { node: u8 },
    /// A node's timer fires.
    Timeout { node: u8 },
    /// Time passes on all nodes.
    AdvanceTime { millis: u16 },
    /// Commands are proposed to a leader, or to any node if there is no leader.
    Propose { node: u8, count: u8, size: u8 },
    /// A node's oldest writes become durable.
    Sync { node: u8, count: u8 },
    /// A node's driver answers its oldest tasks.
    RunDriver { node: u8, count: u8, answer: Answer },
    /// A node crashes. Of its unsynced writes, the oldest `keep` survive.
    Crash { node: u8, keep: u8 },
    /// A node crashes and starts again at once.
    CrashAndRestart { node: u8, keep: u8 },
    /// A node that is down starts again.
    Restart { node: u8 },
    /// All nodes crash and start again.
    PowerFailure { keep: u8 },
    /// A service makes a snapshot.
    Compact { node: u8, back: u8 },
    /// The network is cut in two.
    Partition { side: u8 },
    /// The partition ends.
    Heal,
    /// A transport reports a peer as unreachable, truly or not.
    Unreachable { node: u8, peer: u8 },
    /// A node is replaced by its checkpoint.
    Checkpoint { node: u8 },
    /// For a while, no fault occurs and nothing waits.
    Undisturbed { rounds: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let node = || any::<u8>();
    let answer = prop_oneof![4 => Just(Answer::Done), 1 => Just(Answer::Failed)];
    let faults = prop_oneof![
        3 => any::<u16>().prop_map(|pick| Step::Drop { pick }),
        3 => any::<u16>().prop_map(|pick| Step::Duplicate { pick }),
        1 => node().prop_map(|node| Step::DropTo { node }),
        1 => (node(), 0..4u8).prop_map(|(node, keep)| Step::Crash { node, keep }),
        2 => (node(), 0..4u8).prop_map(|(node, keep)| Step::CrashAndRestart { node, keep }),
        1 => (0..4u8).prop_map(|keep| Step::PowerFailure { keep }),
        2 => any::<u8>().prop_map(|side| Step::Partition { side }),
        3 => Just(Step::Heal),
        1 => (node(), node()).prop_map(|(node, peer)| Step::Unreachable { node, peer }),
    ];
    let disks = prop_oneof![
        6 => (node(), 1..6u8).prop_map(|(node, count)| Step::Sync { node, count }),
        4 => (node(), 1..6u8, answer)
            .prop_map(|(node, count, answer)| Step::RunDriver { node, count, answer }),
        2 => (node(), 0..4u8).prop_map(|(node, back)| Step::Compact { node, back }),
        4 => node().prop_map(|node| Step::Restart { node }),
        1 => node().prop_map(|node| Step::Checkpoint { node }),
    ];
    let normal = prop_oneof![
        8 => any::<u16>().prop_map(|pick| Step::Deliver { pick }),
        6 => (1..12u8).prop_map(|count| Step::DeliverInOrder { count }),
        4 => node().prop_map(|node| Step::Timeout { node }),
        2 => (1..150u16).prop_map(|millis| Step::AdvanceTime { millis }),
        6 => (node(), 1..4u8, 0..25u8)
            .prop_map(|(node, count, size)| Step::Propose { node, count, size }),
        2 => (1..40u8).prop_map(|rounds| Step::Undisturbed { rounds }),
    ];
    prop_oneof![6 => normal, 3 => disks, 2 => faults]
}

/// Schedules of up to `most` steps.
pub fn schedules(most: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 10..most)
}

pub fn settings() -> impl Strategy<Value = Settings> {
    let pace = || prop_oneof![Just(Pace::Instant), Just(Pace::Late)];
    let service = prop_oneof![Just(Service::Durable), Just(Service::Volatile)];
    let noop = prop_oneof![Just(LeaderNoop::On), Just(LeaderNoop::Off)];
    let delay = prop_oneof![Just(0u64), Just(40)];
    let small_or_large = |small: u64| prop_oneof![2 => 1..=small, 1 => Just(100_000u64)];
    let surroundings = (
        prop_oneof![Just(3u64), Just(5)],
        noop,
        pace(),
        pace(),
        service,
    );
    let limits = (
        delay,
        prop_oneof![1..4u32, Just(64u32)],
        small_or_large(200),
        small_or_large(200),
        prop_oneof![Just(1u64), 2..30u64],
        0..6u64,
    );
    (surroundings, limits, any::<u32>()).prop_map(|(surroundings, limits, seed)| {
        let (nodes, noop, disk, driver, service) = surroundings;
        let (delay, appends, append_bytes, unapplied, chunk, trailing) = limits;
        Settings {
            nodes,
            noop,
            disk,
            driver,
            service,
            commit_notice_delay: Duration::from_millis(delay),
            max_inflight_appends: appends,
            max_append_bytes: append_bytes,
            max_unapplied_bytes: unapplied,
            snapshot_chunk_bytes: chunk,
            trailing_entries: trailing,
            seed: u64::from(seed),
        }
    })
}

/// Runs a schedule, then ends all faults and expects agreement.
pub fn run(world: &mut World, schedule: &[Step]) {
    for step in schedule {
        perform(world, step);
        world.checker.durability(&world.servers);
    }
    end_faults(world);
    expect_agreement(world);
}

fn perform(world: &mut World, step: &Step) {
    let nodes = world.settings.nodes;
    let id = |node: &u8| u64::from(*node) % nodes + 1;
    let picked = |pick: &u16, world: &World| match world.network.len() {
        0 => None,
        length => Some(usize::from(*pick) % length),
    };
    match step {
        Step::Deliver { pick } => {
            if let Some(at) = picked(pick, world) {
                world.deliver(at);
            }
        }
        Step::DeliverInOrder { count } => (0..*count).for_each(|_| world.deliver(0)),
        Step::Drop { pick } => {
            if let Some(at) = picked(pick, world) {
                world.network.remove(at);
            }
        }
        Step::Duplicate { pick } => {
            if let Some(at) = picked(pick, world) {
                let copy = world.network[at].clone();
                world.deliver(at);
                world.network.push(copy);
            }
        }
        Step::DropTo { node } => {
            let to = id(node);
            world.network.retain(|packet| packet.to != to);
        }
        Step::Timeout { node } => world.timeout(id(node)),
        Step::AdvanceTime { millis } => {
            world.advance_time(Duration::from_millis(u64::from(*millis)))
        }
        Step::Propose { node, count, size } => {
            let leaders = world.leaders();
            let to = match leaders.len() {
                0 => id(node),
                count => leaders[usize::from(*node) % count],
            };
            world.propose(to, usize::from(*count), usize::from(*size));
        }
        Step::Sync { node, count } => world.sync(id(node), usize::from(*count)),
        Step::RunDriver {
            node,
            count,
            answer,
        } => world.run_driver(id(node), usize::from(*count), *answer),
        Step::Crash { node, keep } => world.crash(id(node), usize::from(*keep)),
        Step::CrashAndRestart { node, keep } => {
            world.crash(id(node), usize::from(*keep));
            world.restart(id(node));
        }
        Step::Restart { node } => world.restart(id(node)),
        Step::PowerFailure { keep } => {
            (1..=nodes).for_each(|id| world.crash(id, usize::from(*keep)));
            world.checker.durability(&world.servers);
            (1..=nodes).for_each(|id| world.restart(id));
        }
        Step::Compact { node, back } => world.compact(id(node), u64::from(*back)),
        Step::Partition { side } => {
            let side = (1..=nodes).filter(|id| side >> id & 1 == 1);
            world.partition(side.collect());
        }
        Step::Heal => world.partition(BTreeSet::new()),
        Step::Unreachable { node, peer } => {
            let peer = NodeId(id(peer));
            world.input(id(node), Input::Unreachable { peer });
        }
        Step::Checkpoint { node } => world.checkpoint(id(node)),
        Step::Undisturbed { rounds } => world.run_undisturbed(usize::from(*rounds)),
    }
}

fn end_faults(world: &mut World) {
    world.trace_lines.push("all faults end".to_owned());
    world.partition(BTreeSet::new());
    (1..=world.settings.nodes).for_each(|id| world.restart(id));
}

/// Liveness: within ten seconds there is a leader. A second after a command is proposed to it, the
/// command is committed and all nodes have applied it.
fn expect_agreement(world: &mut World) {
    const ROUNDS_A_SECOND: usize = 50;
    let mut leader = None;
    for _ in 0..10 {
        world.run_undisturbed(ROUNDS_A_SECOND);
        if let [id] = world.leaders()[..] {
            leader = Some(id);
            break;
        }
    }
    let leader = leader.expect("one leader within ten seconds");
    let committed = world.checker.committed();
    world.propose(leader, 1, 0);
    world.run_undisturbed(ROUNDS_A_SECOND);
    assert_eq!(world.leaders(), [leader], "the leader stays");
    assert!(
        world.checker.committed() > committed,
        "a command is committed"
    );
    world.checker.durability(&world.servers);
    let status = world.server(leader).raft.as_ref().unwrap().status();
    assert_eq!(
        status.commit_index, status.last_log.index,
        "all of the log is committed"
    );
    for id in 1..=world.settings.nodes {
        let server = world.server(id);
        let raft = server.raft.as_ref().unwrap();
        assert_eq!(
            server.state.index, status.last_log.index.0,
            "n{id} has applied all entries"
        );
        assert_eq!(raft.term(), status.term, "n{id} is in the leader's term");
        assert_eq!(raft.leader(), Some(NodeId(leader)), "n{id} follows it");
    }
}
