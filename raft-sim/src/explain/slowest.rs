//! The slowest entries, quantiles of the stages, and in words what took longest.

use super::instance::Completed;
use super::report::{Follower, SlowEntry, StageQuantiles, StageTime};
use super::stages::{self, FollowerWay, PeerWay, Stage, Way, disk_times};
use super::words::{between, span};
use super::{Cluster, Question};
use raft_proto::{NodeId, Time};

/// The ways of all entries that are asked for and were applied.
pub(super) fn ways(cluster: &Cluster) -> Vec<Way> {
    let mut ways = Vec::new();
    for (leader, instance) in cluster.instances.iter().enumerate() {
        for proposal in &instance.proposals {
            let entries = proposal.entries().into_iter();
            ways.extend(entries.filter_map(|id| stages::follow(cluster, leader, proposal, id)));
        }
    }
    ways
}

/// The slowest of them, the slowest first.
pub(super) fn slowest(cluster: &Cluster, ways: &[Way], question: &Question) -> Vec<SlowEntry> {
    let mut order: Vec<&Way> = ways.iter().collect();
    order.sort_by_key(|way| (std::cmp::Reverse(way.total()), way.id));
    order.truncate(question.slowest);
    order.into_iter().map(|way| told(cluster, way)).collect()
}

/// Quantiles of each stage, and at the end of the whole.
pub(super) fn quantiles(ways: &[Way]) -> Vec<StageQuantiles> {
    let whole: u64 = ways.iter().map(Way::total).sum();
    let row = |name: &'static str, mut times: Vec<u64>| {
        times.sort_unstable();
        // The nearest rank: at least so many of a thousand are at or below it.
        let at = |per_mille: usize| {
            let rank = (times.len() * per_mille).div_ceil(1000);
            let time = rank.checked_sub(1).and_then(|at| times.get(at));
            time.copied().unwrap_or(0)
        };
        let sum: u64 = times.iter().sum();
        StageQuantiles {
            stage: name.to_owned(),
            p50_ns: at(500),
            p90_ns: at(900),
            p99_ns: at(990),
            max_ns: at(1000),
            share: if whole == 0 {
                0.0
            } else {
                sum as f64 / whole as f64
            },
        }
    };
    let mut rows: Vec<StageQuantiles> = Stage::ALL
        .into_iter()
        .map(|stage| {
            row(
                stage.name(),
                ways.iter().map(|it| it.times.get(stage)).collect(),
            )
        })
        .collect();
    rows.push(row("end to end", ways.iter().map(Way::total).collect()));
    rows
}

/// Everything that is known of an entry.
fn told(cluster: &Cluster, way: &Way) -> SlowEntry {
    let peers = peers(cluster, way);
    let since = |of: usize, at: Time| {
        let begin = cluster.clocks.common(way.leader, way.begin);
        cluster.clocks.common(of, at).saturating_sub(begin)
    };
    let followers = peers.iter().map(|peer| {
        let of = |get: fn(&FollowerWay) -> Option<Time>| {
            let way = peer.way.as_ref()?;
            get(way).map(|at| since(way.instance, at))
        };
        Follower {
            node: peer.node.0,
            sent_ns: peer.way.map(|it| since(way.leader, it.sent)),
            received_ns: of(|way| Some(way.received)),
            durable_ns: of(|way| way.durable),
            answered_ns: peer.answered.map(|at| since(way.leader, at)),
        }
    });
    let stages = Stage::ALL.into_iter().map(|stage| StageTime {
        stage,
        ns: way.times.get(stage),
    });
    let own = own_durable(cluster, way);
    SlowEntry {
        index: way.id.index.0,
        term: way.id.term.0,
        leader: node(cluster, way.leader).0,
        at_ns: cluster.clocks.common(way.leader, way.begin),
        total_ns: way.total(),
        stages: stages.collect(),
        completed_by: match way.completed {
            Completed::Peer { node, .. } => format!("the answer of {node}"),
            Completed::OwnDisk => "the leader's own disk".to_owned(),
            Completed::Other => "no answer, but another event".to_owned(),
        },
        cause: cause(cluster, way, &peers),
        followers: followers.collect(),
        proposed_ns: since(way.leader, way.proposed),
        leader_durable_ns: own.map(|at| since(way.leader, at)),
        committed_ns: since(way.leader, way.committed),
        handed_out_ns: since(way.leader, way.handed_out),
        applied_ns: since(way.leader, way.applied),
    }
}

fn node(cluster: &Cluster, instance: usize) -> NodeId {
    let instance = cluster.instances.get(instance);
    instance.map_or(NodeId(0), |instance| instance.node)
}

/// When the entry was on the leader's own disk.
fn own_durable(cluster: &Cluster, way: &Way) -> Option<Time> {
    let leader = cluster.instances.get(way.leader)?;
    leader.durable_at(leader.write_of(way.id)?.seq)
}

/// The way over each other voter.
fn peers(cluster: &Cluster, way: &Way) -> Vec<PeerWay> {
    let Some(leader) = cluster.instances.get(way.leader) else {
        return Vec::new();
    };
    let others = leader.voters.iter().copied();
    let others = others.filter(|node| *node != leader.node);
    let peer = |node: NodeId| {
        let over = |(at, _)| stages::over(cluster, way.leader, at, way.id, way.proposed);
        PeerWay {
            node,
            way: cluster.of(node).find_map(over),
            answered: leader.answered_at(node, way.id),
        }
    };
    others.map(peer).collect()
}

/// In words what took longest, and why nobody else was quicker.
fn cause(cluster: &Cluster, way: &Way, peers: &[PeerWay]) -> String {
    let stage = way.times.longest();
    let took = span(way.times.get(stage));
    let leader = node(cluster, way.leader);
    let follower = match way.completed {
        Completed::Peer { node, .. } => node.to_string(),
        Completed::OwnDisk | Completed::Other => "a follower".to_owned(),
    };
    let is_of_quorum = way.committed.0.saturating_sub(way.proposed.0) * 2 > way.total();
    let main = match stage {
        Stage::Queue => format!("it waited {took} until {leader}'s core took it"),
        Stage::Core => format!(
            "it waited {took} in {leader}'s core until the append to {follower} left: what was \
             under way to {follower} had to be answered first, or {follower} was behind"
        ),
        Stage::WireOut => format!("the append took {took} to {follower}'s core"),
        Stage::FollowerDisk => {
            let detail = way.follower.and_then(|over| disk_of(cluster, &over));
            format!(
                "{follower}'s disk took {took}{}",
                detail.unwrap_or_default()
            )
        }
        Stage::WireBack => format!("{follower}'s answer took {took} to {leader}'s core"),
        Stage::Unrecorded => {
            format!("{took} went by on the way over {follower}, which no recording shows")
        }
        Stage::LeaderDisk => {
            let detail = own_disk(cluster, way);
            format!(
                "{leader}'s own disk took {took}{}",
                detail.unwrap_or_default()
            )
        }
        Stage::LeaderChange => format!(
            "{leader} ceased to lead, and learnt after {took} that another leader had committed it"
        ),
        Stage::HandOut => format!(
            "it was committed, and {leader} held it back for {took}: its state machine was behind"
        ),
        Stage::Apply => format!("{leader}'s state machine took {took} until it was applied"),
    };
    let mut parts = vec![main];
    if is_of_quorum {
        let others = peers.iter().filter(|peer| {
            let completed =
                |node| matches!(way.completed, Completed::Peer { node: it, .. } if it == node);
            !completed(peer.node)
        });
        parts.extend(others.map(|peer| other(cluster, way, peer)));
    }
    parts.join("; ")
}

/// Where another voter was when the entry was committed.
fn other(cluster: &Cluster, way: &Way, peer: &PeerWay) -> String {
    let node = peer.node;
    if let Some(answered) = peer.answered
        && answered <= way.committed
    {
        let after = span(answered.0.saturating_sub(way.begin.0));
        return format!("{node} had acknowledged it after {after}");
    }
    let committed = cluster.clocks.common(way.leader, way.committed);
    let Some(over) = peer.way else {
        return not_received(cluster, way, node);
    };
    let common = |at: Time| cluster.clocks.common(over.instance, at);
    let waited = over.sent.0.saturating_sub(way.proposed.0);
    if waited * 2 > way.committed.0.saturating_sub(way.proposed.0) {
        return format!("{node} was sent it only after {}", span(waited));
    }
    if common(over.received) > committed {
        let later = between(committed, common(over.received));
        return format!("{node} received it only {later} after the commit");
    }
    match over.durable.map(common) {
        Some(durable) if durable <= committed => {
            format!("{node} had it on disk, and its answer had not arrived")
        }
        Some(durable) => {
            let later = between(committed, durable);
            format!("{node}'s disk was slower still, by {later}")
        }
        None => format!("{node}'s disk did not report it at all"),
    }
}

/// No recording shows that the voter received the entry from this leader.
fn not_received(cluster: &Cluster, way: &Way, node: NodeId) -> String {
    let Some(leader) = cluster.instances.get(way.leader) else {
        return String::new();
    };
    let messages = leader
        .received
        .iter()
        .filter(|message| message.peer == node);
    let heard = messages
        .take_while(|message| message.at <= way.committed)
        .last();
    let committed = cluster.clocks.common(way.leader, way.committed);
    let state = match heard {
        None => format!("{node} was not heard"),
        Some(message) if message.at < way.proposed => {
            let silent = span(way.committed.0.saturating_sub(message.at.0));
            format!("{node} was not heard: it had been silent for {silent}")
        }
        Some(_) => format!("{node} was heard, and had not received it"),
    };
    let instance = cluster
        .running(node, committed)
        .map(|at| (at, cluster.instances.get(at)));
    match instance {
        None => format!("{state} (no recording shows what it did then)"),
        Some((at, Some(instance))) if cluster.clocks.common(at, instance.last) < committed => {
            format!("{state} (its recording ends before)")
        }
        Some(_) => state,
    }
}

/// What the disk of a follower did meanwhile.
fn disk_of(cluster: &Cluster, over: &FollowerWay) -> Option<String> {
    let instance = cluster.instances.get(over.instance)?;
    let times = disk_times(instance, &over.write, over.durable?);
    Some(disk_words(&times))
}

fn own_disk(cluster: &Cluster, way: &Way) -> Option<String> {
    let leader = cluster.instances.get(way.leader)?;
    let write = leader.write_of(way.id)?;
    let times = disk_times(leader, &write, leader.durable_at(write.seq)?);
    Some(disk_words(&times))
}

/// Says how the disk's time was divided, if there is anything to say.
fn disk_words(times: &stages::DiskTimes) -> String {
    let whole = times.busy + times.sync + times.report;
    let mut parts = Vec::new();
    if times.busy * 10 > whole {
        parts.push(format!("{} behind earlier writes", span(times.busy)));
    }
    if !parts.is_empty() || times.report * 10 > whole {
        parts.push(format!("{} in its sync", span(times.sync)));
    }
    if times.report * 10 > whole {
        parts.push(format!(
            "{} until its core took the report",
            span(times.report)
        ));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    }
}
