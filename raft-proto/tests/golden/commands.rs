//! The commands of the scripts: their arguments, and what they do to the cluster.

use super::cluster::{Route, ScriptedCluster, StoredLog};
use super::report;
use super::support::Disk;
use goldenscript::ArgumentConsumer;
use raft_proto::*;
use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Performs a command. Returns what is printed after the trace.
pub fn perform(
    cluster: &mut ScriptedCluster,
    name: &str,
    args: &mut ArgumentConsumer<'_>,
) -> Outcome<String> {
    match name {
        "cluster" => *cluster = new_cluster(args)?,
        "disk" => {
            let id = positional(args)?;
            let disk = match args.next_pos() {
                Some("slow") => Disk::Manual,
                Some("instant") => Disk::Instant,
                other => return Err(format!("slow or instant, not {other:?}").into()),
            };
            cluster.set_disk(id, disk);
        }
        "campaign" => cluster.campaign(positional(args)?),
        "start_election" => cluster.start_election(positional(args)?),
        "unreadable" => {
            let node = cluster.node(positional(args)?);
            node.log = StoredLog::Unreadable;
        }
        "read" => {
            let node = positional(args)?;
            let mode = match args.next_pos() {
                Some("lease") => ReadMode::Lease,
                _ => ReadMode::Quorum,
            };
            cluster.request(node, |id| Input::Read { id, mode });
        }
        "transfer" => {
            let node = positional(args)?;
            let target = key(args, "to")?.map(NodeId);
            cluster.request(node, |id| Input::TransferLeadership { id, target });
        }
        "change" => {
            let node = positional(args)?;
            let change = change(args)?;
            cluster.request(node, |id| Input::ChangeMembership { id, change });
        }
        "members" => return Ok(report::members(cluster.raft(positional(args)?))),
        "tick" => cluster.tick(positional(args)?),
        "wait" => {
            let time = args.next_pos().ok_or("how long?")?;
            let millis = time.strip_suffix("ms").ok_or("milliseconds, as 100ms")?;
            let time = Duration::from_millis(millis.parse()?);
            cluster.wait(time, key(args, "node")?);
        }
        "deliver" | "drop" | "settle" | "duplicate" => route_packets(cluster, name, args)?,
        "propose" => {
            let id = positional(args)?;
            let commands: Vec<String> =
                std::iter::from_fn(|| args.next_pos().map(str::to_owned)).collect();
            cluster.propose(id, &commands);
        }
        "sync" => {
            let id = positional(args)?;
            cluster.sync(id, key(args, "count")?.unwrap_or(usize::MAX));
        }
        "fail" => {
            let id = positional(args)?;
            let seq = Seq(required(args, "seq")?);
            cluster.input(id, Input::PersistFailed { seq });
        }
        "crash" => cluster.crash(positional(args)?),
        "restart" => cluster.restart(positional(args)?),
        "compact" => {
            let id = positional(args)?;
            cluster.compact(id, required(args, "index")?);
        }
        "forge" => {
            let (from, to) = (required(args, "from")?, required(args, "to")?);
            let message = forge(args)?;
            let from = NodeId(from);
            cluster.input(
                to,
                Input::Receive {
                    from,
                    message,
                    incarnation: None,
                },
            );
        }
        "status" => return Ok(report::status(cluster.raft(positional(args)?))?),
        "log" => return Ok(report::log(cluster.raft(positional(args)?))),
        "applied" => return Ok(cluster.applied(positional(args)?).join(" ")),
        other => return Err(format!("no command {other:?}").into()),
    }
    Ok(String::new())
}

fn positional<T: FromStr<Err: Error + 'static>>(args: &mut ArgumentConsumer<'_>) -> Outcome<T> {
    Ok(args.next_pos().ok_or("which node?")?.parse()?)
}

fn key<T: FromStr<Err: Error + 'static>>(
    args: &mut ArgumentConsumer<'_>,
    name: &str,
) -> Outcome<Option<T>> {
    Ok(args.take_key(name).map(str::parse).transpose()?)
}

fn required<T: FromStr<Err: Error + 'static>>(
    args: &mut ArgumentConsumer<'_>,
    name: &str,
) -> Outcome<T> {
    key(args, name)?.ok_or_else(|| format!("{name}=?").into())
}

fn new_cluster(args: &mut ArgumentConsumer<'_>) -> Outcome<ScriptedCluster> {
    let nodes = required(args, "nodes")?;
    let disk = match args.take_key("disk") {
        Some("slow") => Disk::Manual,
        _ => Disk::Instant,
    };
    let noop = match args.take_key("noop") {
        Some("on") => LeaderNoop::On,
        _ => LeaderNoop::Off,
    };
    let pre_vote = args.take_key("pre_vote") == Some("on");
    let check_quorum = args.take_key("check_quorum") == Some("on");
    let spare = key(args, "spare")?.unwrap_or(0);
    let (lease, resident) = (key(args, "lease")?, key(args, "resident")?);
    let priorities = numbers(args, "priorities")?;
    let window = key(args, "window")?;
    let append_bytes: Option<u64> = key(args, "append_bytes")?;
    let (chunk, trailing) = (key(args, "chunk")?, key(args, "trailing")?);
    Ok(ScriptedCluster::new(nodes, spare, disk, |config| {
        if pre_vote {
            config.pre_vote = PreVoting::On;
        }
        if check_quorum {
            config.check_quorum = CheckQuorum::On;
        }
        if let Some(max_drift_ppm) = lease {
            config.lease = Lease::On { max_drift_ppm };
        }
        if let Start::Bootstrap { members } = &mut config.start {
            for (member, priority) in members.iter_mut().zip(&priorities) {
                member.priority = *priority as u8;
            }
        }
        config.max_resident_bytes = resident;
        config.leader_noop = noop;
        config.max_inflight_appends = window.unwrap_or(config.max_inflight_appends);
        config.snapshot_chunk_bytes = chunk.unwrap_or(config.snapshot_chunk_bytes);
        config.trailing_entries = trailing.unwrap_or(config.trailing_entries);
        if let Some(bytes) = append_bytes {
            config.max_append_bytes = bytes;
            config.max_entry_bytes = bytes - ENTRY_OVERHEAD;
        }
    }))
}

/// A list of numbers, separated by commas.
fn numbers(args: &mut ArgumentConsumer<'_>, name: &str) -> Outcome<Vec<u64>> {
    let list = args.take_key(name).unwrap_or_default();
    let numbers = list.split(',').filter(|number| !number.is_empty());
    Ok(numbers.map(str::parse).collect::<Result<_, _>>()?)
}

fn change(args: &mut ArgumentConsumer<'_>) -> Outcome<MembershipChange> {
    let priority = key(args, "priority")?.unwrap_or(0);
    let mut nodes = Vec::new();
    for (name, make) in [
        ("voters", Member::voter as fn(NodeId) -> Member),
        ("learners", Member::learner),
    ] {
        for id in numbers(args, name)? {
            let member = make(NodeId(id)).with_priority(priority);
            nodes.push(NodeChange::Set(member.with_context(format!("at {id}"))));
        }
    }
    for (name, make) in [
        ("promote", NodeChange::Promote as fn(NodeId) -> NodeChange),
        ("demote", NodeChange::Demote),
        ("remove", NodeChange::Remove),
    ] {
        let ids = numbers(args, name)?;
        nodes.extend(ids.into_iter().map(|id| make(NodeId(id))));
    }
    let readiness = match args.next_pos() {
        Some("forced") => Readiness::Forced,
        _ => Readiness::Checked,
    };
    Ok(MembershipChange {
        nodes,
        readiness,
        expected: None,
    })
}

fn route_packets(
    cluster: &mut ScriptedCluster,
    what: &str,
    args: &mut ArgumentConsumer<'_>,
) -> Outcome<()> {
    let route = Route {
        from: key(args, "from")?,
        to: key(args, "to")?,
    };
    if what == "settle" {
        return settle(cluster, route);
    }
    let nth: Option<usize> = key(args, "nth")?;
    let skip = nth.map_or(0, |nth| nth - 1);
    let count = match nth {
        Some(_) => 1,
        None => cluster.count_packets(route),
    };
    for _ in 0..count {
        let packet = cluster.take(route, skip).ok_or("no such message")?;
        match what {
            "drop" => cluster.lose(&packet),
            "duplicate" => {
                cluster.duplicate(packet.clone());
                cluster.deliver(packet);
            }
            _ => cluster.deliver(packet),
        }
    }
    Ok(())
}

fn settle(cluster: &mut ScriptedCluster, route: Route) -> Outcome<()> {
    const ENDLESS: usize = 300;
    for _ in 0..ENDLESS {
        match cluster.take(route, 0) {
            Some(packet) => cluster.deliver(packet),
            None => return Ok(()),
        }
    }
    let lines = cluster.take_lines();
    let last: Vec<&str> = lines.lines().rev().take(12).collect();
    Err(format!("the messages never end: {last:#?}").into())
}

/// `index@term`.
fn entry_id(text: &str) -> Outcome<EntryId> {
    let (index, term) = text.split_once('@').ok_or("an entry is index@term")?;
    Ok(EntryId::new(index.parse()?, term.parse()?))
}

fn forge(args: &mut ArgumentConsumer<'_>) -> Outcome<Message> {
    let kind = args.next_pos().ok_or("a kind of message")?;
    let term = Term(required(args, "term")?);
    Ok(match kind {
        "append" => {
            let prev_log = entry_id(args.take_key("prev").ok_or("prev=?")?)?;
            let leader_commit = Index(required(args, "commit")?);
            let mut entries = EntriesBuilder::new();
            if let Some(list) = args.take_key("entries") {
                for id in list.split(',') {
                    entries.push(entry_id(id)?, EntryKind::Command, "forged".into())?;
                }
            }
            Message::AppendEntries(AppendEntries {
                round: 0,
                revoked: 0,
                promise_millis: 0,
                term,
                prev_log,
                leader_commit,
                entries: entries.finish(),
                lineage: Lineage::Unknown,
            })
        }
        "ack" => {
            let index = Index(required(args, "match")?);
            let outcome = AppendOutcome::Accepted {
                match_index: index,
                received: index,
            };
            Message::AppendEntriesReply(AppendEntriesReply {
                round: 0,
                term,
                outcome,
                limits: None,
            })
        }
        "vote" => {
            let vote = Vote::Granted;
            Message::RequestVoteReply(RequestVoteReply { term, vote })
        }
        "candidacy" => {
            let last_log = entry_id(args.take_key("last").ok_or("last=?")?)?;
            let campaign = match args.next_pos() {
                Some("transfer") => Campaign::Transfer { number: 1 },
                _ => Campaign::Election,
            };
            Message::RequestVote(RequestVote {
                term,
                last_log,
                campaign,
                lineage: Lineage::Unknown,
            })
        }
        other => return Err(format!("cannot forge {other:?}").into()),
    })
}
