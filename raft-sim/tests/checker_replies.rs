//! Of each kind of reply, one to each peer waits for a write: more that leave together are a
//! failure.
#![allow(clippy::expect_used)]

use core::time::Duration;
use raft_proto::{
    Action, AppendEntriesReply, AppendOutcome, ClusterId, Config, Event, Index, Input, Message,
    NodeId, Raft, Recovered, Seq, Start, Term, Time,
};
use raft_sim::checker::{Bounds, OutOfBounds};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

fn reply(to: NodeId, round: u64) -> Action {
    let index = Index(4);
    let message = Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(1),
        outcome: AppendOutcome::Accepted {
            match_index: index,
            received: index,
        },
        round,
        limits: None,
    });
    Action::Send { to, message }
}

/// The verdicts on these replies of n1, each list with the last write that is durable then.
fn verdicts(steps: &[(u64, &[Action])]) -> Vec<Result<(), OutOfBounds>> {
    let start = Start::voters([N1, N2, N3]);
    let config = Config::new(ClusterId(7), N1, start, 1);
    let raft = Raft::new(config, Recovered::default()).expect("a new node");
    let mut checker = Bounds::default();
    let verdict = |(seq, actions): &(u64, &[Action])| {
        let (at, seq) = (Time::from_epoch(Duration::ZERO), Seq(*seq));
        let input = Input::Persisted { seq };
        checker.event(&raft, &Event { at, input });
        checker.actions(&raft, actions)
    };
    steps.iter().map(verdict).collect()
}

#[test]
fn fires_on_two_replies_that_have_waited_for_one_write() {
    let two = [reply(N2, 1), reply(N2, 2)];
    let broken = Err(OutOfBounds::TooManyReplies {
        node: N1,
        to: N2,
        replies: 2,
        writes: 1,
    });
    assert_eq!(verdicts(&[(1, &two)]), std::slice::from_ref(&broken));
    assert_eq!(verdicts(&[(2, &[]), (3, &two)]), [Ok(()), broken]);
}

#[test]
fn a_reply_for_each_write_and_each_peer_may_leave() {
    let both = [reply(N2, 1), reply(N3, 1)];
    let two = [reply(N2, 1), reply(N2, 2)];
    assert_eq!(verdicts(&[(1, &both), (3, &two)]), [Ok(()), Ok(())]);
}
