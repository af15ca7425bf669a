//! "Work is proportional to what changed": a step costs the same, however much waits at the node,
//! is in its log, or is on its way to the disk.
//!
//! What a step walks can be seen neither in its actions nor in the node's state, and a run in
//! virtual time does not count it. So each row compares a node with a thousand times as much of
//! something with a node that has little of it: both take the same step, and the CPU times of this
//! thread are compared. Times differ between machines. The ratio hardly does: it is near 1, and a
//! walk makes it a hundred. The simulator's own checker, `checker::bounds`, limits how much there
//! can be to walk.
//!
//! `cargo bench -p raft-sim --bench work_per_step`
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use core::time::Duration;
use cpu_time::ThreadTime;
use raft_proto::{
    AppendEntries, ClusterId, Commands, Config, Entries, EntriesBuilder, EntryId, EntryKind, Event,
    Index, Input, Message, NodeId, PreVoting, Raft, ReadMode, Recovered, RequestId,
    RequestVoteReply, RoleKind, Seq, Start, Term, Time, Vote,
};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

const LITTLE: u64 = 16;
const MUCH: u64 = 16_000;

/// How many steps are measured at once.
const STEPS: u128 = 16;

/// From this ratio on, a row says that the step walks what there is much of.
const WALK: f64 = 8.0;

fn core() -> Raft {
    let mut config = Config::new(ClusterId(7), N1, Start::voters([N1, N2, N3]), 1);
    config.pre_vote = PreVoting::Off;
    Raft::new(config, Recovered::default()).expect("a new node")
}

fn at_millis(millis: u64, input: Input) -> Event {
    let at = Time::from_epoch(Duration::from_millis(millis));
    Event { at, input }
}

fn heartbeat(prev: EntryId) -> Input {
    receive_append(prev, Entries::default())
}

fn receive_append(prev_log: EntryId, entries: Entries) -> Input {
    let message = Message::AppendEntries(AppendEntries {
        term: Term(1),
        prev_log,
        leader_commit: Index::ZERO,
        entries,
        round: 0,
        revoked: 0,
        promise_millis: 0,
        lineage: raft_proto::Lineage::Unknown,
    });
    Input::Receive {
        from: N2,
        message,
        incarnation: None,
    }
}

/// A follower of n2.
fn follower() -> Raft {
    let mut raft = core();
    raft.step(at_millis(0, Input::Tick));
    raft.step(at_millis(1, heartbeat(EntryId::ZERO)));
    assert_eq!(raft.leader(), Some(N2));
    raft
}

/// A leader that has committed nothing yet.
fn leader() -> Raft {
    let mut raft = core();
    raft.step(at_millis(0, Input::Tick));
    raft.step(at_millis(2_000, Input::Tick));
    let seq = Seq(1);
    raft.step(at_millis(2_000, Input::Persisted { seq }));
    let (term, vote) = (raft.term(), Vote::Granted);
    let message = Message::RequestVoteReply(RequestVoteReply { term, vote });
    raft.step(at_millis(
        2_000,
        Input::Receive {
            from: N2,
            message,
            incarnation: None,
        },
    ));
    assert_eq!(raft.role(), RoleKind::Leader);
    raft
}

fn read(raft: &mut Raft, millis: u64, id: u64) {
    let (id, mode) = (RequestId(id), ReadMode::Quorum);
    raft.step(at_millis(millis, Input::Read { id, mode }));
}

/// Appends entry after entry, each in a message and a write of its own.
fn append(raft: &mut Raft, count: u64) -> EntryId {
    let mut last = EntryId::ZERO;
    for index in 1..=count {
        let id = EntryId::new(index, 1);
        let mut builder = EntriesBuilder::new();
        let payload = Bytes::from_static(b"x");
        builder
            .push(id, EntryKind::Command, payload)
            .expect("in order");
        raft.step(at_millis(1, receive_append(last, builder.finish())));
        last = id;
    }
    last
}

/// The least CPU time of some steps with this input, which changes nothing.
fn cost(raft: &mut Raft, millis: u64, input: &Input) -> Duration {
    let mut actions = Vec::new();
    let rounds = (0..40).map(|_| {
        let began = ThreadTime::now();
        for _ in 0..STEPS {
            raft.step_into(at_millis(millis, input.clone()), &mut actions);
            actions.clear();
        }
        began.elapsed()
    });
    rounds.min().expect("some rounds")
}

/// Both nodes are given `input` at `millis`. Prints what a step costs each.
fn compare(what: &str, nodes: [Raft; 2], millis: u64, input: [Input; 2]) {
    let [mut little, mut much] = nodes;
    let [with_little, with_much] = input;
    let little = cost(&mut little, millis, &with_little);
    let much = cost(&mut much, millis, &with_much);
    let ratio = much.as_secs_f64() / little.as_secs_f64();
    let verdict = if ratio < WALK { "" } else { "  a walk" };
    println!(
        "{what:<60} {:>6} ns {:>6} ns {ratio:>6.2}{verdict}",
        little.as_nanos() / STEPS,
        much.as_nanos() / STEPS,
    );
}

fn reads_at_a_follower() {
    let with_reads = |count| {
        let mut raft = follower();
        (0..count).for_each(|id| read(&mut raft, 1, id));
        raft
    };
    let nodes = [with_reads(LITTLE), with_reads(MUCH)];
    let input = || heartbeat(EntryId::ZERO);
    compare(
        "a follower's step, reads that wait",
        nodes,
        2,
        [input(), input()],
    );
}

fn reads_at_a_leader() {
    let with_reads = |count| {
        let mut raft = leader();
        (0..count).for_each(|id| read(&mut raft, 2_000, id));
        raft
    };
    let nodes = [with_reads(LITTLE), with_reads(MUCH)];
    let input = || Input::Tick;
    compare(
        "a leader's tick, reads that wait",
        nodes,
        2_001,
        [input(), input()],
    );
}

fn log_of_a_follower() {
    let mut nodes = [follower(), follower()];
    let last = [LITTLE, MUCH];
    let [few, many] = &mut nodes;
    let last = [append(few, last[0]), append(many, last[1])];
    assert_eq!(nodes[1].status().writes_under_way as u64, MUCH + 1);
    let what = "a follower's step, its log and the writes under way";
    compare(what, nodes, 2, last.map(heartbeat));
}

fn copy_of_an_append() {
    let mut nodes = [follower(), follower()];
    let [few, many] = &mut nodes;
    append(few, LITTLE);
    append(many, MUCH);
    let copy = || {
        let mut builder = EntriesBuilder::new();
        let payload = Bytes::from_static(b"x");
        let id = EntryId::new(1, 1);
        builder
            .push(id, EntryKind::Command, payload)
            .expect("in order");
        receive_append(EntryId::ZERO, builder.finish())
    };
    let what = "a copy of an append, answers that wait for the disk";
    compare(what, nodes, 2, [copy(), copy()]);
}

fn log_of_a_leader() {
    let with_commands = |count| {
        let mut raft = leader();
        for id in 0..count {
            let commands = Commands::from(Bytes::from_static(b"x"));
            let id = RequestId(id);
            raft.step(at_millis(2_000, Input::Propose { id, commands }));
        }
        raft
    };
    let nodes = [with_commands(LITTLE), with_commands(MUCH)];
    let input = || Input::Tick;
    compare(
        "a leader's tick, its log and its writes",
        nodes,
        2_001,
        [input(), input()],
    );
}

fn main() {
    let (little, much) = (format!("with {LITTLE}"), format!("with {MUCH}"));
    println!(
        "{:<60} {little:>9} {much:>9} {:>6}",
        "a step, and what there is much of", "ratio"
    );
    reads_at_a_follower();
    reads_at_a_leader();
    log_of_a_follower();
    copy_of_an_append();
    log_of_a_leader();
}
