//! Golden traces: each script in `tests/scripts` directs a cluster through one behaviour, and
//! holds the trace of everything that every node did. A trace that changes is read line by line
//! and judged against the paper; then
//!
//! ```text
//! UPDATE_GOLDENFILES=1 cargo test -p raft-proto --test golden
//! ```
//!
//! writes the new ones, and `git diff` shows what changed.
//!
//! The commands (nodes are numbers, times like `100ms`):
//!
//! | command | what happens |
//! |---|---|
//! | `cluster nodes=3 [spare=N] [pre_vote=on] [check_quorum=on] [lease=PPM] [resident=BYTES] [priorities="1,2,3"] [noop=on] [disk=slow] [window=N] [append_bytes=N] [chunk=N] [trailing=N]` | a new cluster |
//! | `disk N slow` | from now on writes of `N` wait for `sync` (or `instant`) |
//! | `campaign N` | the election timeout of `N` elapses, on its clock alone |
//! | `wait 100ms [node=N]` | time passes, for all or one; what is due happens |
//! | `tick N` | `N` is told the time |
//! | `deliver [from=N] [to=N] [nth=K]` | what is on its way now arrives, or only the `K`th of it |
//! | `settle [from=N] [to=N]` | so does what follows from it, until nothing is left |
//! | `drop [from=N] [to=N] [nth=K]` | it is lost |
//! | `duplicate [from=N] [to=N]` | a copy of each arrives later |
//! | `stand N` | the election timeout of `N` elapses, and it asks for pre-votes |
//! | `read N [lease]` | a client wants to read at `N` |
//! | `transfer N [to=M]` | `N` is to hand over the lead |
//! | `change N voters="4,5" learners=6 promote=6 demote=1 remove=2 [forced] [priority=P]` | the members are to change |
//! | `unreadable N` | from now on the log of `N` cannot be read back |
//! | `members N` | the configuration in force at `N` |
//! | `propose N a b c` | a client proposes these commands together |
//! | `sync N [count=K]` | the oldest writes of `N` become durable, all by default |
//! | `fail N seq=K` | a write of `N` fails |
//! | `crash N`, `restart N` | memory and unsynced writes are lost; the disk is what is left |
//! | `compact N index=I` | the service of `N` has a snapshot up to there |
//! | `forge KIND from=N to=N term=T ...` | a message that nobody sent |
//! | `status N`, `log N`, `applied N` | what is to be seen |
#![allow(clippy::wildcard_enum_match_arm)]
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/stage.rs"]
mod stage;
#[path = "support/storage.rs"]
mod storage;

use goldenscript::{ArgumentConsumer, Command, Context};
use raft_proto::*;
use stage::{Disk, Route, Stage};
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Default)]
struct Director {
    stage: Stage,
}

impl goldenscript::Runner for Director {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Outcome<String> {
        let mut args = command.consume_args();
        let told = self.perform(&command.name, &mut args)?;
        args.reject_next()?;
        Ok(self.stage.take_lines() + &told)
    }
}

impl Director {
    /// Returns what is to be printed behind the trace.
    fn perform(&mut self, name: &str, args: &mut ArgumentConsumer<'_>) -> Outcome<String> {
        let stage = &mut self.stage;
        match name {
            "cluster" => self.stage = cluster(args)?,
            "disk" => {
                let id = positional(args)?;
                let disk = match args.next_pos() {
                    Some("slow") => Disk::Slow,
                    Some("instant") => Disk::Instant,
                    other => return Err(format!("slow or instant, not {other:?}").into()),
                };
                stage.set_disk(id, disk);
            }
            "campaign" => stage.campaign(positional(args)?),
            "stand" => stage.stand(positional(args)?),
            "unreadable" => stage.actor(positional(args)?).unreadable = true,
            "read" => {
                let id = positional(args)?;
                let mode = match args.next_pos() {
                    Some("lease") => ReadMode::Lease,
                    _ => ReadMode::Quorum,
                };
                let request = stage.request();
                stage.input(id, Input::Read { id: request, mode });
            }
            "transfer" => {
                let id = positional(args)?;
                let target = key(args, "to")?.map(NodeId);
                let request = stage.request();
                stage.input(
                    id,
                    Input::TransferLeadership {
                        id: request,
                        target,
                    },
                );
            }
            "change" => {
                let id = positional(args)?;
                let change = change(args)?;
                let request = stage.request();
                stage.input(
                    id,
                    Input::ChangeMembership {
                        id: request,
                        change,
                    },
                );
            }
            "members" => return Ok(members(stage.raft(positional(args)?))),
            "tick" => stage.tick(positional(args)?),
            "wait" => {
                let time = args.next_pos().ok_or("how long?")?;
                let millis = time.strip_suffix("ms").ok_or("milliseconds, as 100ms")?;
                let time = Duration::from_millis(millis.parse()?);
                stage.wait(time, key(args, "node")?);
            }
            "deliver" | "drop" | "settle" | "duplicate" => messages(stage, name, args)?,
            "propose" => {
                let id = positional(args)?;
                let commands: Vec<String> =
                    std::iter::from_fn(|| args.next_pos().map(str::to_owned)).collect();
                stage.propose(id, &commands);
            }
            "sync" => {
                let id = positional(args)?;
                stage.sync(id, key(args, "count")?.unwrap_or(usize::MAX));
            }
            "fail" => {
                let id = positional(args)?;
                let seq = Seq(required(args, "seq")?);
                stage.input(id, Input::PersistFailed { seq });
            }
            "crash" => stage.crash(positional(args)?),
            "restart" => stage.restart(positional(args)?),
            "compact" => {
                let id = positional(args)?;
                stage.compact(id, required(args, "index")?);
            }
            "forge" => {
                let (from, to) = (required(args, "from")?, required(args, "to")?);
                let message = forge(args)?;
                let from = NodeId(from);
                stage.input(to, Input::Receive { from, message });
            }
            "status" => return status(stage.raft(positional(args)?)),
            "log" => return Ok(log(stage.raft(positional(args)?))),
            "applied" => return Ok(stage.applied(positional(args)?).join(" ")),
            other => return Err(format!("no command {other:?}").into()),
        }
        Ok(String::new())
    }
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

fn cluster(args: &mut ArgumentConsumer<'_>) -> Outcome<Stage> {
    let nodes = required(args, "nodes")?;
    let disk = match args.take_key("disk") {
        Some("slow") => Disk::Slow,
        _ => Disk::Instant,
    };
    let noop = match args.take_key("noop") {
        Some("on") => LeaderNoop::On,
        _ => LeaderNoop::Off,
    };
    let on = |value: Option<&str>| value == Some("on");
    let (pre_vote, check) = (
        on(args.take_key("pre_vote")),
        on(args.take_key("check_quorum")),
    );
    let spare = key(args, "spare")?.unwrap_or(0);
    let (lease, resident) = (key(args, "lease")?, key(args, "resident")?);
    let priorities = numbers(args, "priorities")?;
    let window = key(args, "window")?;
    let append: Option<u64> = key(args, "append_bytes")?;
    let (chunk, trailing) = (key(args, "chunk")?, key(args, "trailing")?);
    Ok(Stage::new(nodes, spare, disk, |config| {
        if pre_vote {
            config.pre_vote = PreVoting::On;
        }
        if check {
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
        if let Some(bytes) = append {
            config.max_append_bytes = bytes;
            config.max_entry_bytes = bytes - ENTRY_OVERHEAD;
        }
    }))
}

/// A list of numbers.
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
    Ok(MembershipChange { nodes, readiness })
}

/// The configuration in force, with contexts and priorities.
fn members(raft: &Raft) -> String {
    let tell = |member: &Member| {
        let context = String::from_utf8_lossy(&member.context);
        let (id, role, priority) = (member.id, member.role, member.priority);
        format!("{id} {role:?} priority={priority} {context:?}")
    };
    let all: Vec<String> = raft.membership().members().iter().map(tell).collect();
    all.join("\n")
}

fn messages(stage: &mut Stage, what: &str, args: &mut ArgumentConsumer<'_>) -> Outcome<()> {
    let route = Route {
        from: key(args, "from")?,
        to: key(args, "to")?,
    };
    let nth: Option<usize> = key(args, "nth")?;
    let skip = nth.map_or(0, |nth| nth - 1);
    let count = match nth {
        Some(_) => 1,
        None => stage.on_their_way(route),
    };
    if what == "settle" {
        const ENDLESS: usize = 300;
        for _ in 0..ENDLESS {
            match stage.take(route, 0) {
                Some(parcel) => stage.hand_over(parcel),
                None => return Ok(()),
            }
        }
        let lines = stage.take_lines();
        let last: Vec<&str> = lines.lines().rev().take(12).collect();
        return Err(format!("messages never end: {last:#?}").into());
    }
    for _ in 0..count {
        let parcel = stage.take(route, skip).ok_or("no such message")?;
        match what {
            "drop" => stage.lose(&parcel),
            "duplicate" => {
                stage.repeat(parcel.clone());
                stage.hand_over(parcel);
            }
            _ => stage.hand_over(parcel),
        }
    }
    Ok(())
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
                term,
                prev_log,
                leader_commit,
                entries: entries.finish(),
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
            })
        }
        "vote" => {
            let vote = Vote::Granted;
            Message::RequestVoteReply(RequestVoteReply { term, vote })
        }
        "candidacy" => {
            let last_log = entry_id(args.take_key("last").ok_or("last=?")?)?;
            let campaign = match args.next_pos() {
                Some("transfer") => Campaign::Transfer,
                _ => Campaign::Election,
            };
            Message::RequestVote(RequestVote {
                term,
                last_log,
                campaign,
            })
        }
        other => return Err(format!("cannot forge {other:?}").into()),
    })
}

fn status(raft: &Raft) -> Outcome<String> {
    let status = raft.status();
    let mut out = String::new();
    write!(out, "{}@{} {}", status.id, status.term, status.role)?;
    match status.leader {
        Some(leader) => write!(out, " leader={leader}")?,
        None => write!(out, " leader=unknown")?,
    }
    write!(out, " log={}..{}", status.log_base, status.last_log)?;
    write!(out, " durable={}", status.durable_index)?;
    write!(out, " commit={}", status.commit_index)?;
    write!(out, " applied={}", status.applied_index)?;
    writeln!(out, " rejected={}", status.rejected)?;
    for peer in &status.peers {
        let state = match peer.state {
            PeerState::Probe => "probe".to_owned(),
            PeerState::Replicate { inflight } => format!("replicate inflight={inflight}"),
            PeerState::Snapshot { snapshot, offset } => {
                format!("snapshot {} at {offset}", snapshot.last)
            }
        };
        let (next, matched) = (peer.next_index, peer.match_index);
        writeln!(out, "  {} match={matched} next={next} {state}", peer.id)?;
    }
    Ok(out)
}

/// The log as `index@term`, and what stands before it.
fn log(raft: &Raft) -> String {
    let entries = raft.entries(Index(1), Index::MAX);
    let ids: Vec<String> = entries.iter().map(|entry| entry.id().to_string()).collect();
    format!(
        "n{} after {}: {}",
        raft.id().0,
        raft.log_base(),
        ids.join(" ")
    )
}

fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let path = scripts().join(concat!(stringify!($name), ".txt"));
            goldenscript::run(&mut Director::default(), path).unwrap();
        })*

        #[test]
        fn every_script_is_run() {
            let mut found: Vec<String> = std::fs::read_dir(scripts())
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            let mut run = vec![$(concat!(stringify!($name), ".txt")),*];
            run.sort_unstable();
            assert_eq!(found, run);
        }
    };
}

scripts! {
    a_candidate_with_a_majority_becomes_leader
    a_candidate_with_an_older_log_is_refused
    a_split_vote_is_resolved_in_the_next_term
    a_vote_is_kept_through_a_restart
    a_command_is_replicated_committed_and_applied
    a_leader_commits_without_its_own_disk
    a_new_leader_begins_with_a_noop
    a_single_node_needs_nobody
    appends_are_pipelined_until_the_window_is_full
    conflicts_are_backed_up_over_a_term_at_a_time
    old_entries_are_not_committed_by_counting
    old_entries_are_committed_with_one_of_the_leaders_own
    unsynced_writes_are_lost_and_sent_again
    a_slow_disk_does_not_look_like_a_dead_node
    a_lost_append_is_found_by_the_next_heartbeat
    an_overtaken_append_is_not_sent_twice
    a_failed_write_ends_the_node
    forged_messages_change_nothing
    a_snapshot_is_sent_in_chunks
    a_follower_that_restarts_begins_the_snapshot_anew
    a_snapshot_keeps_the_tail_that_agrees
    compaction_leaves_a_tail_for_slow_followers
    a_change_waits_for_the_terms_first_commit
    a_cluster_grows_and_shrinks
    a_follower_forwards_its_reads
    a_lead_is_handed_over_to_a_voter_that_has_the_log
    a_lead_that_nobody_takes_is_kept
    a_leader_that_is_not_heard_steps_down
    a_leader_that_removes_itself_hands_over
    a_leader_whose_disk_stalls_hands_over
    a_lease_ends_before_the_lead_is_handed_over
    a_lease_serves_reads_without_messages
    a_new_leader_finishes_a_joint_change
    a_node_asks_before_it_begins_a_term
    a_node_that_leaves_may_still_be_needed
    a_pre_vote_teaches_the_higher_term
    a_single_change_needs_no_joint_configuration
    a_snapshot_carries_the_members
    a_truncated_change_is_out_of_force
    old_entries_are_read_from_disk
    reads_are_confirmed_by_one_round
    the_lead_goes_to_the_greatest_priority
    voters_that_hear_a_leader_ignore_candidates
    what_cannot_be_changed_is_refused
}
