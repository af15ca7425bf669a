//! The cheap invariants of single nodes fire on observations that break them, and on no others.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use core::time::Duration;
use raft_proto::{
    Action, AppendEntries, AppendEntriesReply, AppendOutcome, ClusterId, Config, Entries,
    EntriesBuilder, EntryId, EntryKind, Event, Identity, Index, Input, Lease, Member, Membership,
    Message, NodeId, PeerState, PreVoting, Raft, ReadMode, Recovered, RequestId, RequestVote,
    RequestVoteReply, RoleKind, Seq, Start, Status, Term, Time, TimeoutNow, Vote, Write,
};
use raft_sim::checker::bounds::{LOOK_EVERY, Most, look};
use raft_sim::checker::configuration_in_force::leads_outside;
use raft_sim::checker::durability::{Holds, committed};
use raft_sim::checker::own_disk::handed_out;
use raft_sim::checker::{
    Bounds, ConfigurationsInForce, HandoverLeases, LeaderFollowed, Nodes, OneVote, OutOfBounds,
    OwnDisk, Property, SentAgain, StoredConfigurations, Violation,
};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

fn config(voters: &[NodeId]) -> Config {
    let start = Start::voters(voters.iter().copied());
    let mut config = Config::new(ClusterId(7), N1, start, 1);
    config.pre_vote = PreVoting::Off;
    config.lease = Lease::On { max_drift_ppm: 0 };
    config
}

fn core(voters: &[NodeId]) -> Raft {
    Raft::new(config(voters), Recovered::default()).expect("a new node")
}

fn event(millis: u64, input: Input) -> Event {
    let at = Time::from_epoch(Duration::from_millis(millis));
    Event { at, input }
}

/// Persists all that `actions` ask for, and what that asks for in turn.
fn persist(raft: &mut Raft, millis: u64, actions: &[Action]) {
    let mut last = None;
    for action in actions {
        if let Action::Persist(write) = action {
            last = Some(write.seq);
        }
    }
    if let Some(seq) = last {
        let actions = raft.step(event(millis, Input::Persisted { seq }));
        persist(raft, millis, &actions);
    }
}

/// The only voter, which leads from 2 s on.
fn only_voter() -> Raft {
    leading(core(&[N1]))
}

/// A node whose vote suffices, once it leads.
fn leading(mut raft: Raft) -> Raft {
    let actions = raft.step(event(0, Input::Tick));
    persist(&mut raft, 0, &actions);
    let actions = raft.step(event(2_000, Input::Tick));
    persist(&mut raft, 2_000, &actions);
    assert_eq!(raft.role(), RoleKind::Leader);
    raft
}

fn send(to: NodeId, message: Message) -> Action {
    Action::Send { to, message }
}

fn grant(to: NodeId, term: u64) -> Action {
    let (term, vote) = (Term(term), Vote::Granted);
    send(
        to,
        Message::RequestVoteReply(RequestVoteReply { term, vote }),
    )
}

fn request_vote(to: NodeId, term: u64) -> Action {
    let request = RequestVote {
        term: Term(term),
        last_log: EntryId::ZERO,
        campaign: raft_proto::Campaign::Election,
        lineage: raft_proto::Lineage::Unknown,
    };
    send(to, Message::RequestVote(request))
}

fn append(term: u64, entries: Entries) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term(term),
        prev_log: EntryId::ZERO,
        leader_commit: Index::ZERO,
        entries,
        round: 0,
        revoked: 0,
        promise_millis: 0,
        lineage: raft_proto::Lineage::Unknown,
    })
}

fn heartbeat(from: NodeId, term: u64) -> Input {
    let message = append(term, Entries::default());
    Input::Receive {
        from,
        message,
        incarnation: None,
    }
}

fn entries(kind: EntryKind, payloads: &[Bytes]) -> Entries {
    let mut builder = EntriesBuilder::new();
    for (index, payload) in (1..).zip(payloads) {
        let id = EntryId::new(index, 1);
        builder.push(id, kind, payload.clone()).expect("in order");
    }
    builder.finish()
}

#[test]
fn fires_on_a_second_vote_in_a_term() {
    let mut votes = OneVote::default();
    assert_eq!(votes.actions(N1, &[grant(N2, 3), grant(N2, 3)]), Ok(()));
    assert_eq!(votes.actions(N2, &[request_vote(N1, 3)]), Ok(()));
    let broken = votes.actions(N1, &[grant(N3, 3)]);
    let broken = broken.expect_err("it voted for n2");
    let (voter, term, first, second) = (N1, Term(3), N2, N3);
    assert_eq!(
        broken,
        Violation::VotedTwice {
            voter,
            term,
            first,
            second
        }
    );
    assert_eq!(broken.property(), Property::ElectionSafety);
    // A candidate votes for itself, and so does a leader.
    assert!(votes.actions(N1, &[request_vote(N2, 3)]).is_err());
    let leads = Action::RoleChanged {
        role: RoleKind::Leader,
        term: Term(3),
    };
    assert!(votes.actions(N1, &[leads]).is_err());
    assert!(votes.actions(N2, &[grant(N3, 3)]).is_err());
    assert_eq!(votes.actions(N1, &[grant(N3, 4)]), Ok(()));
}

#[test]
fn a_vote_is_forgotten_only_with_its_disk() {
    let mut votes = OneVote::default();
    assert_eq!(votes.voted(N1, Term(1), N2), Ok(()));
    votes.gone(N2);
    assert!(votes.voted(N1, Term(1), N3).is_err());
    votes.gone(N1);
    assert_eq!(votes.voted(N1, Term(1), N3), Ok(()));
}

/// The checker is shown one input, and the core takes another.
fn shown(
    raft: &mut Raft,
    checker: &mut LeaderFollowed,
    shown: Input,
    taken: Input,
) -> Result<(), Violation> {
    checker.event(raft, &event(2_100, shown));
    let actions = raft.step(event(2_100, taken));
    checker.actions(raft, &actions)
}

#[test]
fn fires_on_a_candidate_that_does_not_follow_its_leader() {
    let (mut raft, mut checker) = (core(&[N1, N2, N3]), LeaderFollowed::default());
    raft.step(event(0, Input::Tick));
    raft.step(event(2_000, Input::Tick));
    assert_eq!((raft.role(), raft.term()), (RoleKind::Candidate, Term(1)));
    let broken = shown(&mut raft, &mut checker, heartbeat(N2, 1), Input::Tick);
    let broken = broken.expect_err("it is still a candidate");
    assert_eq!(
        broken,
        Violation::LeaderNotFollowed {
            node: N1,
            role: RoleKind::Candidate,
            leader: N2,
            term: Term(1),
        }
    );
    assert_eq!(broken.property(), Property::LeaderFollowed);
    // One of an earlier term is no leader, and a second one is rejected.
    assert_eq!(
        shown(&mut raft, &mut checker, heartbeat(N2, 0), Input::Tick),
        Ok(())
    );
    let heard = || heartbeat(N2, 1);
    assert_eq!(shown(&mut raft, &mut checker, heard(), heard()), Ok(()));
    assert_eq!(raft.leader(), Some(N2));
    let second = || heartbeat(N3, 1);
    assert_eq!(shown(&mut raft, &mut checker, second(), second()), Ok(()));
    assert!(shown(&mut raft, &mut checker, heartbeat(N3, 2), Input::Tick).is_err());
}

#[test]
fn fires_on_an_entry_that_counts_as_durable_and_is_not_on_the_disk() {
    let mut checker = OwnDisk::default();
    let (first, second) = (EntryId::new(1, 1), EntryId::new(2, 1));
    let on_disk = |entry| entry == first;
    assert_eq!(checker.durable(N1, EntryId::ZERO, on_disk), Ok(()));
    assert_eq!(checker.durable(N1, first, on_disk), Ok(()));
    assert_eq!(
        checker.durable(N1, first, |_| panic!("it was found before")),
        Ok(())
    );
    let broken = checker.durable(N1, second, on_disk);
    let (node, entry) = (N1, second);
    assert_eq!(broken, Err(Violation::DurableBeyondDisk { node, entry }));
    // The same index with another term is another entry.
    assert!(checker.durable(N1, EntryId::new(1, 2), on_disk).is_err());
    assert!(checker.durable(N2, second, on_disk).is_err());
}

#[test]
fn fires_on_an_entry_that_is_handed_out_and_is_not_on_the_disk() {
    let (first, second) = (EntryId::new(1, 1), EntryId::new(2, 1));
    let on_disk = |entry| entry == first;
    assert_eq!(handed_out(N1, first, on_disk), Ok(()));
    let broken = handed_out(N1, second, on_disk).expect_err("not on disk");
    let (node, entry) = (N1, second);
    assert_eq!(broken, Violation::HandedOutNotStored { node, entry });
    assert_eq!(broken.property(), Property::Durability);
}

#[test]
fn fires_on_a_commit_by_a_disk_without_the_leaders_term() {
    let (entry, members) = (EntryId::new(4, 2), Membership::new([N1, N2, N3]));
    let n2_is = |n2| {
        move |id| match id {
            N1 => Holds::Yes,
            N2 => n2,
            _ => Holds::No,
        }
    };
    assert_eq!(committed(entry, N1, &members, n2_is(Holds::Yes)), Ok(()));
    let broken = committed(entry, N1, &members, n2_is(Holds::WithoutTerm));
    assert_eq!(
        broken,
        Err(Violation::CommittedNotStored {
            entry,
            leader: N1,
            holders: Nodes(vec![N1]),
            voters: Nodes(vec![N1, N2, N3]),
        })
    );
}

fn write_of(members: &Membership) -> Action {
    Action::Persist(Write {
        seq: Seq(1),
        entries: entries(EntryKind::Membership, &[members.encode()]),
        ..Write::default()
    })
}

#[test]
fn fires_on_a_node_that_does_not_use_the_last_configuration_of_its_log() {
    let raft = core(&[N1, N2, N3]);
    let mut checker = ConfigurationsInForce::default();
    assert_eq!(checker.started(&raft, None), Ok(()));
    let same = Membership::new([N1, N2, N3]);
    assert_eq!(checker.actions(&raft, &[write_of(&same)]), Ok(()));
    let other = Membership::new([N1, N2]);
    let broken = checker.actions(&raft, &[write_of(&other)]);
    let broken = broken.expect_err("n3 is still a voter of the core");
    let (node, since) = (N1, Index(1));
    assert_eq!(broken, Violation::OtherConfigurationInForce { node, since });
    assert_eq!(broken.property(), Property::MembershipSafety);
}

#[test]
fn the_configuration_before_is_in_force_again_when_a_later_one_is_overwritten() {
    let raft = core(&[N1, N2, N3]);
    let mut checker = ConfigurationsInForce::default();
    assert_eq!(checker.started(&raft, None), Ok(()));
    let other = Membership::new([N1, N2]);
    assert!(checker.actions(&raft, &[write_of(&other)]).is_err());
    let replaced = Action::Persist(Write {
        seq: Seq(2),
        entries: entries(EntryKind::Noop, &[Bytes::new()]),
        ..Write::default()
    });
    assert_eq!(checker.actions(&raft, &[replaced]), Ok(()));
}

#[test]
fn fires_on_a_process_that_starts_with_another_configuration_than_its_disk_holds() {
    let raft = core(&[N1, N2, N3]);
    let mut checker = ConfigurationsInForce::default();
    let bootstrap = Membership::new([N1, N2, N3]);
    let mut stored = StoredConfigurations {
        last: bootstrap.clone(),
        bootstrap,
    };
    assert_eq!(checker.started(&raft, Some(&stored)), Ok(()));
    stored.last = Membership::new([N1, N2]);
    assert!(checker.started(&raft, Some(&stored)).is_err());
}

// The bug: the checker takes the configuration before the first entry from the config, which says
// that the node joins. An old copy of its disk, which began with the cluster, counts more.
#[test]
fn an_old_copy_of_a_disk_that_began_with_the_cluster_may_come_back_to_a_node_that_joins() {
    let bootstrap = Membership::new([N1, N2, N3]);
    let mut config = config(&[N1, N2, N3]);
    config.start = Start::Join;
    let identity = Identity {
        cluster_id: config.cluster_id,
        group_id: config.group_id,
        node_id: config.node_id,
        bootstrap: bootstrap.clone(),
        incarnation: None,
    };
    let recovered = Recovered {
        identity: Some(identity),
        ..Recovered::default()
    };
    let raft = Raft::new(config, recovered).expect("an old copy");
    let stored = StoredConfigurations {
        last: bootstrap.clone(),
        bootstrap,
    };
    let mut checker = ConfigurationsInForce::default();
    assert_eq!(checker.started(&raft, Some(&stored)), Ok(()));
}

#[test]
fn fires_on_a_leader_outside_its_committed_configuration() {
    let limit = Duration::from_secs(1);
    let at = |millis| Time::from_epoch(Duration::from_millis(millis));
    let leads = |now| leads_outside(N1, Term(2), at(500), now, limit);
    assert_eq!(leads(at(1_500)), Ok(()));
    let (leader, term) = (N1, Term(2));
    assert_eq!(
        leads(at(1_501)),
        Err(Violation::LeaderOutside {
            leader,
            term,
            limit
        })
    );
}

#[test]
fn fires_on_a_lease_of_a_leader_that_has_asked_a_successor_to_campaign() {
    let raft = only_voter();
    let mut checker = HandoverLeases::default();
    checker.event(&event(2_100, Input::Tick));
    assert_eq!(checker.actions(&raft, &[]), Ok(()));
    let term = raft.term();
    let transfer = 2;
    let asks = send(N2, Message::TimeoutNow(TimeoutNow { term, transfer }));
    let broken = checker.actions(&raft, &[asks]);
    let broken = broken.expect_err("the core, which asked nobody, still has its lease");
    let (leader, successor) = (N1, N2);
    assert_eq!(
        broken,
        Violation::LeaseAfterTimeoutNow {
            leader,
            term,
            successor
        }
    );
    assert_eq!(broken.property(), Property::LeaseBound);
}

#[test]
fn a_lease_may_come_back_once_the_leader_has_said_that_it_has_given_the_transfer_up() {
    let raft = only_voter();
    let term = raft.term();
    let asks = send(N2, Message::TimeoutNow(TimeoutNow { term, transfer: 2 }));
    let revokes = |revoked| {
        let Message::AppendEntries(append) = append(term.0, Entries::default()) else {
            unreachable!("it is one");
        };
        send(
            N3,
            Message::AppendEntries(AppendEntries { revoked, ..append }),
        )
    };
    let check = |actions: &[Action]| {
        let mut checker = HandoverLeases::default();
        checker.event(&event(2_100, Input::Tick));
        checker.actions(&raft, actions)
    };
    assert!(
        check(&[asks.clone(), revokes(1)]).is_err(),
        "an earlier one"
    );
    assert_eq!(check(&[asks, revokes(2)]), Ok(()));
}

#[test]
fn a_lease_read_of_a_leader_that_has_asked_nobody_is_right() {
    let mut raft = only_voter();
    let mut checker = HandoverLeases::default();
    let read = event(
        2_100,
        Input::Read {
            id: RequestId(1),
            mode: ReadMode::Lease,
        },
    );
    checker.event(&read);
    let actions = raft.step(read);
    assert!(matches!(actions[..], [Action::Read { outcome: Ok(_), .. }]));
    assert_eq!(checker.actions(&raft, &actions), Ok(()));
}

fn status() -> (Status, Most) {
    let members = vec![Member::voter(N1), Member::learner(N2)];
    let mut config = config(&[N1]);
    config.start = Start::Bootstrap { members };
    let raft = leading(Raft::new(config, Recovered::default()).unwrap());
    let mut status = raft.status();
    let peer = &mut status.peers[0];
    (peer.match_index, peer.next_index) = (Index(3), Index(4));
    peer.state = PeerState::Probe;
    let most = Most {
        inflight_appends: raft.config().max_inflight_appends,
        inflight_bytes: raft.config().max_inflight_bytes,
    };
    (status, most)
}

#[test]
fn fires_on_a_next_index_that_is_not_above_the_match_index() {
    let (mut status, most) = status();
    assert_eq!(look(&status, most), Ok(()));
    status.peers[0].next_index = Index(3);
    let broken = look(&status, most).expect_err("entry 3 would be sent again");
    assert_eq!(
        broken,
        OutOfBounds::NextNotAboveMatch {
            leader: N1,
            peer: N2,
            match_index: Index(3),
            next_index: Index(3),
        }
    );
    assert_eq!(Violation::from(broken).property(), Property::Bounded);
}

#[test]
fn fires_on_a_window_that_is_too_wide() {
    let (mut status, most) = status();
    let window = most.inflight_appends as usize;
    status.peers[0].state = PeerState::Replicate { inflight: window };
    assert_eq!(look(&status, most), Ok(()));
    let inflight = window + 1;
    status.peers[0].state = PeerState::Replicate { inflight };
    let (leader, peer) = (N1, N2);
    assert_eq!(
        look(&status, most),
        Err(OutOfBounds::TooManyAppends {
            leader,
            peer,
            inflight,
            most: window,
        })
    );
}

#[test]
fn fires_on_bytes_on_their_way_beyond_their_limit() {
    let (mut status, most) = status();
    status.peers[0].inflight_bytes = most.inflight_bytes;
    assert_eq!(look(&status, most), Ok(()));
    status.peers[0].inflight_bytes += 1;
    let inflight = OutOfBounds::TooManyBytes {
        leader: N1,
        peer: N2,
        bytes: most.inflight_bytes + 1,
        most: most.inflight_bytes,
    };
    assert_eq!(look(&status, most), Err(inflight));
}

#[test]
fn fires_on_answers_that_pile_up_before_a_disk_that_stalls() {
    let (mut status, most) = status();
    (status.writes_under_way, status.withheld) = (100, 500);
    assert_eq!(look(&status, most), Ok(()));
    (status.writes_under_way, status.withheld) = (1, 500);
    let broken = look(&status, most);
    assert!(matches!(
        broken,
        Err(OutOfBounds::TooMuchWithheld {
            node: N1,
            withheld: 500,
            writes: 1,
            ..
        })
    ));
}

#[test]
fn fires_on_more_reads_than_may_wait() {
    let mut config = config(&[N1, N2, N3]);
    config.max_waiting_reads = 2;
    let raft = Raft::new(config, Recovered::default()).expect("a new node");
    let mut checker = Bounds::default();
    let mut read = |answers: &[Action]| {
        let mode = ReadMode::Quorum;
        let id = RequestId(1);
        checker.event(&raft, &event(0, Input::Read { id, mode }));
        checker.actions(&raft, answers)
    };
    let answer = || Action::Read {
        id: RequestId(1),
        outcome: Ok(Index(1)),
    };
    assert_eq!(read(&[]), Ok(()));
    assert_eq!(read(&[]), Ok(()));
    assert_eq!(read(&[answer()]), Ok(()));
    let (node, waiting, most) = (N1, 3, 2);
    assert_eq!(
        read(&[]),
        Err(OutOfBounds::TooManyReads {
            node,
            waiting,
            most
        })
    );
}

#[test]
fn fires_on_an_append_that_is_too_large_and_on_too_many_messages() {
    let mut config = config(&[N1, N2, N3]);
    config.max_inflight_appends = 2;
    let most = config.max_append_bytes;
    let raft = Raft::new(config, Recovered::default()).expect("a new node");
    let mut checker = Bounds::default();
    checker.event(&raft, &event(0, Input::Tick));
    let half = Bytes::from(vec![0; most as usize / 2]);
    let one = entries(
        EntryKind::Command,
        &[Bytes::from(vec![0; 2 * most as usize])],
    );
    let two = entries(EntryKind::Command, &[half.clone(), half]);
    assert_eq!(checker.actions(&raft, &[send(N2, append(1, one))]), Ok(()));
    assert!(matches!(
        checker.actions(&raft, &[send(N2, append(1, two))]),
        Err(OutOfBounds::MessageTooLarge { to: N2, .. })
    ));
    let messages = |count: usize| -> Vec<Action> {
        let one = || send(N3, append(1, Entries::default()));
        (0..count).map(|_| one()).collect()
    };
    assert_eq!(checker.actions(&raft, &messages(18)), Ok(()));
    assert!(matches!(
        checker.actions(&raft, &messages(19)),
        Err(OutOfBounds::TooManyMessages {
            to: N3,
            messages: 19,
            ..
        })
    ));
}

#[test]
fn fires_on_a_window_that_is_sent_again_and_again() {
    let raft = core(&[N1, N2, N3]);
    let mut checker = SentAgain::default();
    let commands = entries(EntryKind::Command, &[Bytes::from_static(b"x")]);
    let append = [send(N2, append(1, commands))];
    let sent = |checker: &mut SentAgain| {
        let mut results = (0..100).map(|_| checker.actions(N1, 2, &append));
        results.position(|result| result.is_err())
    };
    // Once, then two windows of two and sixteen more.
    assert_eq!(sent(&mut checker), Some(21));
    let rejected = AppendOutcome::Rejected {
        prev_log_index: Index(1),
        hint: EntryId::ZERO,
    };
    let reply = |outcome| {
        let (term, round) = (Term(1), 0);
        let message = Message::AppendEntriesReply(AppendEntriesReply {
            term,
            outcome,
            round,
            limits: None,
        });
        event(
            1,
            Input::Receive {
                from: N2,
                message,
                incarnation: None,
            },
        )
    };
    checker.event(&raft, &reply(AppendOutcome::Stale));
    assert_eq!(sent(&mut checker), Some(0));
    checker.event(&raft, &reply(rejected));
    assert_eq!(sent(&mut checker), Some(21), "it lacks them: once more");
    checker.event(&raft, &event(1, Input::Unreachable { peer: N2 }));
    assert_eq!(sent(&mut checker), Some(20), "they were lost");
    checker.event(&raft, &event(1, Input::Unreachable { peer: N3 }));
    assert_eq!(sent(&mut checker), Some(0), "those were others");
}

// The bug: a probe brings the entry of a new term to a follower without a log. What comes before
// it, which was never sent, counts as sent again.
#[test]
fn what_a_probe_left_out_is_not_sent_again_when_it_is_sent_later() {
    let mut checker = SentAgain::default();
    let mut sends = |first| {
        let mut builder = EntriesBuilder::new();
        let pushed = builder.push(EntryId::new(first, 1), EntryKind::Command, Bytes::new());
        pushed.expect("the only one");
        checker.actions(N1, 1, &[send(N2, append(1, builder.finish()))])
    };
    assert_eq!(sends(100), Ok(()));
    for first in 1..=120 {
        assert_eq!(sends(first), Ok(()), "{first}");
    }
    let first_refused = (1..=120).find(|first| sends(*first).is_err());
    assert_eq!(first_refused, Some(18), "two windows and sixteen, with 100");
}

// The bug: a follower has lost its log, and says so once. That it is sent all of it again, a window
// after the other, counts as more than it asked for.
#[test]
fn all_that_a_follower_lacks_by_its_own_word_is_sent_once_more() {
    let raft = core(&[N1, N2, N3]);
    let mut checker = SentAgain::default();
    let sends = |checker: &mut SentAgain, index| {
        let mut builder = EntriesBuilder::new();
        let pushed = builder.push(EntryId::new(index, 1), EntryKind::Command, Bytes::new());
        pushed.expect("the only one");
        checker.actions(N1, 1, &[send(N2, append(1, builder.finish()))])
    };
    let says_lost = |checker: &mut SentAgain, term| {
        let outcome = AppendOutcome::Lost {
            prev_log_index: Index(100),
            hint: EntryId::ZERO,
        };
        let message = Message::AppendEntriesReply(AppendEntriesReply {
            term: Term(term),
            outcome,
            round: 0,
            limits: None,
        });
        let (from, incarnation) = (N2, None);
        let input = Input::Receive {
            from,
            message,
            incarnation,
        };
        checker.event(&raft, &event(1, input));
    };
    let first_refused = |checker: &mut SentAgain| (1..=100).find(|at| sends(checker, *at).is_err());
    assert_eq!(first_refused(&mut checker), None);
    says_lost(&mut checker, 1);
    assert_eq!(first_refused(&mut checker), None);
    let again = first_refused(&mut checker);
    assert_eq!(again, Some(19), "two windows and sixteen without a cause");
    // What it said in another term is of another log.
    says_lost(&mut checker, 2);
    assert_eq!(first_refused(&mut checker), Some(19));
}

/// Copies of one append, as a network and a leader's retries make them: each carries the round of
/// heartbeats in which it was sent, and none is acknowledged before the disk has the entries.
#[test]
fn copies_of_one_append_do_not_pile_up_before_a_disk_that_stalls() {
    let mut raft = core(&[N1, N2, N3]);
    let mut checker = Bounds::default();
    let commands = entries(EntryKind::Command, &[Bytes::from_static(b"x")]);
    for round in 0..u64::from(LOOK_EVERY) * 16 {
        let message = Message::AppendEntries(AppendEntries {
            term: Term(1),
            prev_log: EntryId::ZERO,
            leader_commit: Index::ZERO,
            entries: commands.clone(),
            round,
            revoked: 0,
            promise_millis: 0,
            lineage: raft_proto::Lineage::Unknown,
        });
        let event = event(
            1,
            Input::Receive {
                from: N2,
                message,
                incarnation: None,
            },
        );
        checker.event(&raft, &event);
        let actions = raft.step(event);
        assert_eq!(checker.actions(&raft, &actions), Ok(()), "copy {round}");
    }
}
