//! Who led when, and in words why that changed.

use super::Cluster;
use super::instance::{Begin, Instance, Trigger, Turn};
use super::report::Leadership;
use super::words::{between, instant, span};
use raft_proto::{MessageKind, NodeId, RoleKind, Term, Time};

/// A node that led in a term.
struct Led {
    term: Term,
    instance: usize,
    /// By its clock.
    at: Time,
    /// The turn in which it became leader; `None` if it led when its recording began.
    won: Option<usize>,
    /// The turn in which it ended; `None` if it led until its recording ends.
    lost: Option<usize>,
}

/// Who led, in the order of the terms.
pub(super) fn leaders(cluster: &Cluster) -> Vec<Leadership> {
    let mut all: Vec<Led> = Vec::new();
    for (at, instance) in cluster.instances.iter().enumerate() {
        all.extend(of(at, instance));
    }
    all.sort_by_key(|led| (led.term, cluster.clocks.common(led.instance, led.at)));
    let mut told = Vec::new();
    let mut until: Option<i64> = None;
    for (at, led) in all.iter().enumerate() {
        let Some(instance) = cluster.instances.get(led.instance) else {
            continue;
        };
        let begin = cluster.clocks.common(led.instance, led.at);
        let lost = led.lost.and_then(|turn| instance.turns.get(turn));
        let end = lost.map_or(instance.last, |turn| turn.at);
        let end = cluster.clocks.common(led.instance, end);
        let before = at.checked_sub(1).and_then(|at| all.get(at));
        let gap = until.map(|until| begin.saturating_sub(until).max(0).unsigned_abs());
        told.push(Leadership {
            term: led.term.0,
            node: instance.node.0,
            at_ns: begin,
            until_ns: end,
            without_leader_ns: gap,
            why: why(cluster, led, instance, before),
            ended: lost.map_or_else(
                || {
                    at_the_end(cluster, led.instance, instance)
                        + &again(cluster, led.instance, instance)
                },
                |turn| stepped_down(instance, turn),
            ),
        });
        until = Some(until.map_or(end, |until| until.max(end)));
    }
    told
}

/// The terms in which an instance led.
fn of(at: usize, instance: &Instance) -> Vec<Led> {
    let mut all: Vec<Led> = Vec::new();
    if let Begin::InTheMiddle {
        role: RoleKind::Leader,
        term,
    } = instance.begin
    {
        all.push(Led {
            term,
            instance: at,
            at: instance.first,
            won: None,
            lost: None,
        });
    }
    for (position, turn) in instance.turns.iter().enumerate() {
        let leaves =
            turn.from == RoleKind::Leader && (turn.to, turn.term) != (turn.from, turn.before);
        if leaves && let Some(led) = all.last_mut() {
            led.lost = Some(position);
        }
        if turn.to == RoleKind::Leader {
            all.push(Led {
                term: turn.term,
                instance: at,
                at: turn.at,
                won: Some(position),
                lost: None,
            });
        }
    }
    all
}

/// How a node came to lead.
fn why(cluster: &Cluster, led: &Led, instance: &Instance, before: Option<&Led>) -> String {
    let Some(won) = led.won else {
        return "it led already when its recording begins".to_owned();
    };
    // The campaign began when it last ceased to follow.
    let turns = instance.turns.get(..=won).unwrap_or_default();
    let Some(begun) = turns
        .iter()
        .rev()
        .find(|turn| turn.from == RoleKind::Follower)
    else {
        return "its campaign began before its recording".to_owned();
    };
    let took = span(led.at.0.saturating_sub(begun.at.0));
    let reason = campaign(cluster, led, instance, begun, before);
    format!("{reason}; the election took {took}")
}

/// Why a node began its campaign.
fn campaign(
    cluster: &Cluster,
    led: &Led,
    instance: &Instance,
    begun: &Turn,
    before: Option<&Led>,
) -> String {
    if instance.manual_terms.contains(&led.term) {
        return "it was asked by hand to campaign".to_owned();
    }
    let other = before.and_then(|before| cluster.instances.get(before.instance));
    if instance.transfer_terms.contains(&led.term) {
        let from = begun.heard_leader.map(|(leader, _)| leader);
        let from = from.or_else(|| other.map(|it| it.node));
        let name = from.map_or("its leader".to_owned(), |it| it.to_string());
        let asked = other.filter(|it| Some(it.node) == from && !it.transfers_asked.is_empty());
        let by = if asked.is_some() {
            ", which was asked to hand over leadership or to shut down"
        } else {
            ", by a transfer of its own accord or asked for before its recording"
        };
        return format!("{name} handed leadership over to it{by}");
    }
    match &begun.trigger {
        Trigger::Unreachable { peer } => format!(
            "its transport reported that {peer} cannot be reached: a connection was closed; {}",
            predecessor(cluster, led, instance, begun, before)
        ),
        Trigger::Tick => silence(cluster, led, instance, begun, before),
        Trigger::Message { from, kind, .. } => format!(
            "it began its campaign when it received {} from {from}; {}",
            kind.name(),
            silence(cluster, led, instance, begun, before)
        ),
        Trigger::Persisted => format!(
            "it began its campaign when a write became durable; {}",
            silence(cluster, led, instance, begun, before)
        ),
        Trigger::PersistFailed => "a write failed".to_owned(),
        Trigger::ByHand(what) => format!("it was asked {what}"),
        Trigger::Other(what) => format!("it began its campaign in the step of {what}"),
    }
}

/// An election timeout passed: who was not heard, and why.
fn silence(
    cluster: &Cluster,
    led: &Led,
    instance: &Instance,
    begun: &Turn,
    before: Option<&Led>,
) -> String {
    let node = instance.node;
    let heard = match begun.heard_leader {
        Some((leader, at)) => {
            let silent = begun.at.since(at);
            if silent < instance.election_timeout_min
                && let Some((_, reported)) = begun.unreachable.filter(|(it, _)| *it == leader)
            {
                return unreachable(cluster, led, instance, begun, before, reported);
            }
            let silent = span(begun.at.0.saturating_sub(at.0));
            format!(
                "an election timeout passed on {node}, which had heard nothing from {leader} for {silent}"
            )
        }
        None if instance.begin == Begin::Started => {
            let since = span(begun.at.0.saturating_sub(instance.first.0));
            format!(
                "an election timeout passed on {node}, which had heard no leader since its start {since} before"
            )
        }
        None => format!(
            "an election timeout passed on {node}, which had heard no leader since its recording begins"
        ),
    };
    let then = predecessor(cluster, led, instance, begun, before);
    if then.is_empty() {
        heard
    } else {
        format!("{heard}; {then}")
    }
}

/// The transport said that the leader cannot be reached: nobody waits for an election timeout then.
fn unreachable(
    cluster: &Cluster,
    led: &Led,
    instance: &Instance,
    begun: &Turn,
    before: Option<&Led>,
    reported: Time,
) -> String {
    let name = begun
        .heard_leader
        .map_or(instance.node, |(leader, _)| leader);
    let (node, later) = (instance.node, span(begun.at.0.saturating_sub(reported.0)));
    let then = predecessor(cluster, led, instance, begun, before);
    format!(
        "{node}'s transport reported that {name} cannot be reached, as when its process ends, and \
         {node} campaigned {later} later without waiting for an election timeout; {then}"
    )
}

/// What had become of the leader before.
fn predecessor(
    cluster: &Cluster,
    led: &Led,
    instance: &Instance,
    begun: &Turn,
    before: Option<&Led>,
) -> String {
    let campaign = cluster.clocks.common(led.instance, begun.at);
    let Some(before) = before else {
        return match begun.heard_leader {
            Some((leader, _)) => no_recording(cluster, leader),
            None => String::new(),
        };
    };
    if let Some((leader, _)) = begun.heard_leader
        && cluster
            .instances
            .get(before.instance)
            .is_none_or(|it| it.node != leader)
    {
        return no_recording(cluster, leader);
    }
    let Some(other) = cluster.instances.get(before.instance) else {
        return String::new();
    };
    let common = |at: Time| cluster.clocks.common(before.instance, at);
    let name = other.node;
    if let Some(turn) = before.lost.and_then(|turn| other.turns.get(turn))
        && common(turn.at) <= campaign
    {
        let ago = between(common(turn.at), campaign);
        return format!(
            "{name} had ceased to lead {ago} before: {}",
            stepped_down(other, turn)
        );
    }
    if common(other.last) < campaign {
        let ago = between(common(other.last), campaign);
        let end = at_the_end(cluster, before.instance, other);
        return format!("{name}'s last step was {ago} before: {end}");
    }
    still_led(cluster, before.instance, instance, begun, campaign)
}

/// The leader before goes on: it stood still, or its messages did not arrive.
fn still_led(
    cluster: &Cluster,
    leader: usize,
    instance: &Instance,
    begun: &Turn,
    campaign: i64,
) -> String {
    let Some(other) = cluster.instances.get(leader) else {
        return String::new();
    };
    let (name, node) = (other.node, instance.node);
    let Some((_, heard)) = begun.heard_leader.filter(|(it, _)| *it == name) else {
        return format!("{name} still led, and {node} had not heard it");
    };
    // The message that was heard last left before it arrived: one that left later was not heard.
    let silent = begun.at.0.saturating_sub(heard.0);
    let since = campaign.saturating_sub(i64::try_from(silent).unwrap_or(i64::MAX));
    let meanwhile = |at: Time| {
        let at = cluster.clocks.common(leader, at);
        at > since && at < campaign
    };
    let is_of_leader = |kind: MessageKind| {
        matches!(
            kind,
            MessageKind::AppendEntries | MessageKind::InstallSnapshot
        )
    };
    let sent = other.sent.iter().filter(|message| {
        message.peer == node && is_of_leader(message.kind) && meanwhile(message.at)
    });
    match sent.count() {
        0 => {
            let steps = other.received.iter().chain(&other.sent);
            if steps.filter(|message| meanwhile(message.at)).count() == 0 {
                format!("{name} sent and received nothing meanwhile: it stood still")
            } else {
                format!("{name} sent it nothing meanwhile")
            }
        }
        count => format!("{name} sent it {count} messages meanwhile, and none arrived in time"),
    }
}

/// What is known of a leader whose term no recording shows.
fn no_recording(cluster: &Cluster, leader: NodeId) -> String {
    if cluster.of(leader).next().is_none() {
        format!("there is no recording of {leader}, which could say why")
    } else {
        format!("the recordings of {leader} do not show it as a leader then")
    }
}

/// The instance of the same node that comes after this one.
fn next<'a>(cluster: &'a Cluster, at: usize, instance: &Instance) -> Option<(usize, &'a Instance)> {
    cluster.of(instance.node).find(|(other, _)| *other > at)
}

/// How a leader's recording ends while it leads.
fn at_the_end(cluster: &Cluster, at: usize, instance: &Instance) -> String {
    if let Some((_, fault)) = &instance.fault {
        return format!("it stopped: {fault}");
    }
    let torn = if instance.is_torn {
        ", in the middle of a frame, as when a process is killed"
    } else {
        ""
    };
    match next(cluster, at, instance).map(|(_, next)| next.begin) {
        Some(Begin::Started) => format!("its process ended{torn}"),
        Some(Begin::InTheMiddle { .. }) => "a recording after this one is missing".to_owned(),
        None => format!("its recording ends{torn}"),
    }
}

/// When a node whose recording ended started again.
fn again(cluster: &Cluster, at: usize, instance: &Instance) -> String {
    match next(cluster, at, instance) {
        Some((other, next)) if next.begin == Begin::Started => {
            let when = instant(cluster.clocks.common(other, next.first));
            format!("; it started again at {when} at the earliest")
        }
        Some(_) | None => String::new(),
    }
}

/// Why a leader ceased to lead.
fn stepped_down(instance: &Instance, turn: &Turn) -> String {
    match &turn.trigger {
        Trigger::Tick => {
            let others = instance.voters.iter().filter(|it| **it != instance.node);
            let heard = others.map(|node| match turn.heard.get(node) {
                Some(at) => {
                    let ago = span(turn.at.0.saturating_sub(at.0));
                    format!("{node} {ago} before")
                }
                None => format!("{node} never"),
            });
            let heard: Vec<String> = heard.collect();
            format!(
                "it stepped down, as it had not heard a majority, or its own disk made no progress \
                 (last heard: {})",
                heard.join(", ")
            )
        }
        Trigger::Message { from, kind, term } if *term > turn.before => {
            format!("{from} sent {} of term {term}", kind.name())
        }
        Trigger::Message { from, kind, .. } => {
            format!(
                "it stepped down when it received {} from {from}",
                kind.name()
            )
        }
        Trigger::PersistFailed => "a write of its disk failed".to_owned(),
        Trigger::ByHand(what) => format!("it was asked {what}"),
        Trigger::Unreachable { peer } => {
            format!("it stepped down when its transport reported that {peer} cannot be reached")
        }
        Trigger::Persisted => "it stepped down when a write became durable".to_owned(),
        Trigger::Other(what) => format!("it stepped down in the step of {what}"),
    }
}
