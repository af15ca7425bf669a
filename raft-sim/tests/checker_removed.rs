//! The checkers of strangers' terms and of removed nodes' quiet fire on what breaks them, and on
//! nothing else.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use core::time::Duration;
use raft_proto::{
    Action, AppendEntriesReply, AppendOutcome, Campaign, ClusterId, Config, Dismissal, EntryId,
    Event, Index, Input, Message, NodeId, PreVote, PreVoteReply, Raft, Recovered, Start, Term,
    Time, Vote,
};
use raft_sim::checker::{ConfigurationsInForce, Property, Removed, Strangers, Violation};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N9: NodeId = NodeId(9);

/// n1, a voter with n2 and n3, and the configurations of its log.
fn core() -> (Raft, ConfigurationsInForce) {
    let start = Start::voters([N1, N2, NodeId(3)]);
    let config = Config::new(ClusterId(7), N1, start, 1);
    let raft = Raft::new(config, Recovered::default()).expect("a new node");
    let mut configurations = ConfigurationsInForce::default();
    configurations.started(&raft, None).unwrap();
    (raft, configurations)
}

fn receive(from: NodeId, message: Message) -> Event {
    let at = Time::from_epoch(Duration::from_millis(1));
    let input = Input::Receive {
        from,
        message,
        incarnation: None,
    };
    Event { at, input }
}

fn stale(term: u64) -> Message {
    Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(term),
        outcome: AppendOutcome::Stale,
        round: 0,
        limits: None,
    })
}

fn pre_vote() -> Message {
    Message::PreVote(PreVote {
        term: Term(5),
        last_log: EntryId::ZERO,
        campaign: Campaign::Election,
        lineage: raft_proto::Lineage::Unknown,
    })
}

/// What the checker says if n1 takes the term of this reply. A stranger cannot teach a correct
/// core, so the core takes the term from a member.
fn verdict(from: NodeId, message: Message, taught_by: NodeId) -> Result<(), Violation> {
    let (mut raft, configurations) = core();
    let mut checker = Strangers::default();
    checker.event(&raft, &receive(from, message), &configurations);
    raft.step(receive(taught_by, stale(5)));
    checker.actions(&raft)
}

#[test]
fn fires_on_a_term_that_a_strangers_reply_has_taught() {
    let broken = verdict(N9, stale(5), N2).expect_err("n9 is no member");
    let (node, from, term) = (N1, N9, Term(5));
    assert_eq!(broken, Violation::TermOfStranger { node, from, term });
    assert_eq!(broken.property(), Property::TermsOfMembers);
}

#[test]
fn members_teach_terms_and_requests_of_strangers_may() {
    assert_eq!(verdict(N2, stale(5), N2), Ok(()));
    assert_eq!(verdict(N9, pre_vote(), N2), Ok(()));
    assert_eq!(verdict(N9, stale(5), N9), Ok(()), "the core took no term");
    assert_eq!(verdict(N9, stale(4), N2), Ok(()), "another term");
}

/// A voter's word that n1 is no member as of index 7.
fn told(from: NodeId) -> Event {
    let reply = PreVoteReply {
        term: Term(1),
        asked: Term(5),
        vote: Vote::Refused,
        dismissal: Some(Dismissal::Removed { index: Index(7) }),
        lineage: raft_proto::Lineage::Unknown,
    };
    receive(from, Message::PreVoteReply(reply))
}

/// What the checker says if n1 asks for a pre-vote in the step after this event, and after another
/// one.
fn asks(first: &Event) -> [Result<(), Violation>; 2] {
    let (raft, configurations) = core();
    let mut checker = Removed::default();
    let (to, message) = (N2, pre_vote());
    let asks = [Action::Send { to, message }];
    checker.event(&raft, first);
    let at_once = checker.actions(&raft, &asks, &configurations);
    checker.event(&raft, &receive(N2, stale(1)));
    [at_once, checker.actions(&raft, &asks, &configurations)]
}

#[test]
fn fires_on_a_removed_node_that_asks_for_votes_after_it_was_told() {
    let [at_once, later] = asks(&told(N2));
    assert_eq!(at_once, Ok(()), "it sent the request before it listened");
    let broken = later.expect_err("n2 has told it");
    let (node, removed_at) = (N1, Index(7));
    assert_eq!(broken, Violation::RemovedCampaigns { node, removed_at });
    assert_eq!(broken.property(), Property::RemovedIsQuiet);
}

#[test]
fn only_a_voter_tells_a_node_that_it_is_removed_and_a_restart_forgets_it() {
    assert_eq!(asks(&told(N9)), [Ok(()), Ok(())]);
    assert_eq!(asks(&receive(N2, stale(1))), [Ok(()), Ok(())]);
    let (raft, configurations) = core();
    let mut checker = Removed::default();
    checker.event(&raft, &told(N2));
    assert_eq!(checker.actions(&raft, &[], &configurations), Ok(()));
    checker.stopped(N1);
    let (to, message) = (N2, pre_vote());
    let asks = [Action::Send { to, message }];
    checker.event(&raft, &receive(N2, stale(1)));
    assert_eq!(checker.actions(&raft, &asks, &configurations), Ok(()));
}
