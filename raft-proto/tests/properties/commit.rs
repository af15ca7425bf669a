//! The commit rule (sections 5.3 and 5.4.2) for clusters of any size, compared with Figure 2 taken
//! literally. Acknowledgements come in any order, repeated and late.

use crate::cases::cases;
use crate::checker::commit_rule;
use crate::support::storage::{Record, Storage, entries};
use proptest::collection::vec;
use proptest::prelude::*;
use raft_proto::*;

#[derive(Clone, Debug)]
enum Step {
    Propose,
    /// Some of the leader's own writes complete.
    Persist {
        pick: u8,
    },
    /// A follower acknowledges up to some entry. It may have received more.
    Acknowledge {
        peer: u8,
        match_pick: u8,
        received_pick: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Propose),
        1 => any::<u8>().prop_map(|pick| Step::Persist { pick }),
        4 => any::<(u8, u8, u8)>().prop_map(|(peer, match_pick, received_pick)| Step::Acknowledge {
            peer,
            match_pick,
            received_pick,
        }),
    ]
}

/// A leader of `voters` whose log begins with entries of these terms.
fn leader(voters: u64, mut terms: Vec<u64>, noop: LeaderNoop) -> Raft {
    terms.sort_unstable();
    let ids = (1..=voters).map(NodeId);
    let mut config = Config::new(ClusterId(9), NodeId(1), Start::voters(ids.clone()), 1);
    config.leader_noop = noop;
    config.pre_vote = PreVoting::Off;
    config.check_quorum = CheckQuorum::Off;
    let record = |term: &u64| Record {
        term: *term,
        kind: EntryKind::Command,
        payload: "old".into(),
    };
    let log: Vec<(u64, Record)> = (1..).zip(terms.iter().map(record)).collect();
    let storage = Storage {
        identity: Some(Identity {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            node_id: config.node_id,
            bootstrap: Membership::new(ids),
            incarnation: None,
        }),
        hard_state: HardState {
            term: Term(3),
            voted_for: None,
        },
        snapshot: None,
        log: log.into_iter().collect(),
        impaired: None,
    };
    assert_eq!(
        entries(storage.log.iter().map(|(at, record)| (*at, record))).len(),
        terms.len()
    );
    let mut raft = Raft::new(config, storage.recovered(None)).unwrap();
    let mut at = Time::ZERO;
    while raft.role() == RoleKind::Follower {
        for action in raft.step(Event {
            at,
            input: Input::Tick,
        }) {
            if let Action::WakeAt(deadline) = action {
                at = deadline;
            }
        }
    }
    raft.step(Event {
        at,
        input: Input::Persisted { seq: Seq(1) },
    });
    for voter in 2..=voters {
        let reply = RequestVoteReply {
            term: raft.term(),
            vote: Vote::Granted,
        };
        let message = Message::RequestVoteReply(reply);
        let from = NodeId(voter);
        raft.step(Event {
            at,
            input: Input::Receive {
                from,
                message,
                incarnation: None,
            },
        });
    }
    assert_eq!(raft.role(), RoleKind::Leader);
    raft
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_leader_commits_what_a_majority_has_of_its_own_term_and_nothing_else(
        voters in 1..12u64,
        old in vec(1..=3u64, 0..8),
        noop in prop_oneof![Just(LeaderNoop::On), Just(LeaderNoop::Off)],
        steps in vec(step(), 0..80),
    ) {
        let mut raft = leader(voters, old, noop);
        let at = Time(u64::MAX / 2);
        for step in steps {
            let last = raft.last_log().index.0;
            let input = match step {
                Step::Propose => Input::Propose {
                    id: RequestId(1),
                    commands: Commands::from(bytes::Bytes::from("new")),
                },
                Step::Persist { pick } => {
                    let status = raft.status();
                    let issued = status.persisted.0 + status.writes_under_way as u64;
                    Input::Persisted { seq: Seq(u64::from(pick) % issued + 1) }
                }
                Step::Acknowledge { .. } if voters == 1 => continue,
                Step::Acknowledge { peer, match_pick, received_pick } => {
                    let received = u64::from(received_pick) % (last + 1);
                    let match_index = u64::from(match_pick) % (received + 1);
                    let reply = AppendEntriesReply {
                        round: 0,
                        term: raft.term(),
                        outcome: AppendOutcome::Accepted {
                            match_index: Index(match_index),
                            received: Index(received),
                        },
                        limits: None,
                    };
                    Input::Receive {
                        from: NodeId(u64::from(peer) % (voters - 1) + 2),
                        message: Message::AppendEntriesReply(reply), incarnation: None,
                    }
                }
            };
            let before = raft.commit_index();
            raft.step(Event { at, input });
            commit_rule(&raft, before);
        }
    }
}
