//! The checker of election timeouts fires on a node that starts an election too early, and on no
//! other.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::{
    Action, AppendEntries, Campaign, CheckQuorum, ClusterId, Config, Entries, EntriesBuilder,
    EntryId, EntryKind, Event, Index, Input, Lease, Message, NodeId, PreVote, PreVoteReply,
    PreVoting, Raft, Recovered, RequestVote, RoleKind, Start, Term, Time, TimeoutNow, Vote,
};
use raft_sim::checker::{ElectionTimeouts, Property, Violation, WaitReason};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const LEAST: Duration = Duration::from_millis(500);

fn at(millis: u64) -> Time {
    Time::from_epoch(Duration::from_millis(millis))
}

/// A real core, and the checker that observes it.
struct Observed {
    raft: Raft,
    timeouts: ElectionTimeouts,
}

impl Observed {
    fn start() -> Observed {
        Observed::with(PreVoting::Off)
    }

    fn with(pre_vote: PreVoting) -> Observed {
        Observed::configured(|config| config.pre_vote = pre_vote)
    }

    fn configured(change: impl FnOnce(&mut Config)) -> Observed {
        let voters = Start::voters([N1, N2, N3]);
        let mut config = Config::new(ClusterId(7), N1, voters, 1);
        change(&mut config);
        let raft = Raft::new(config, Recovered::default()).expect("a new node");
        let mut timeouts = ElectionTimeouts::default();
        timeouts.started(N1);
        let mut watched = Observed { raft, timeouts };
        assert_eq!(watched.step(0, Input::Tick), Ok(()));
        watched
    }

    /// The core takes an input, and the checker observes its actions.
    fn step(&mut self, millis: u64, input: Input) -> Result<(), Violation> {
        self.step_and_add(millis, input, None)
    }

    /// As if the core had also answered `more`.
    fn step_and_add(
        &mut self,
        millis: u64,
        input: Input,
        more: Option<Action>,
    ) -> Result<(), Violation> {
        let at = at(millis);
        let event = Event { at, input };
        self.timeouts.event(&self.raft, &event);
        let mut actions = self.raft.step(event);
        actions.extend(more);
        self.timeouts.actions(&self.raft, &actions)
    }

    /// As if the core started an election now.
    fn start_election(&mut self, millis: u64, role: RoleKind) -> Result<(), Violation> {
        let term = self.raft.term();
        let stands = Action::RoleChanged { role, term };
        self.step_and_add(
            millis,
            Input::Persisted {
                seq: raft_proto::Seq(1),
            },
            Some(stands),
        )
    }
}

fn request_vote(from: NodeId, term: u64) -> Input {
    let request = RequestVote {
        term: Term(term),
        last_log: EntryId::ZERO,
        campaign: Campaign::Election,
        lineage: raft_proto::Lineage::Unknown,
    };
    let message = Message::RequestVote(request);
    Input::Receive {
        from,
        message,
        incarnation: None,
    }
}

fn heartbeat(from: NodeId, term: u64) -> Input {
    let message = Message::AppendEntries(AppendEntries {
        term: Term(term),
        prev_log: EntryId::ZERO,
        leader_commit: Index::ZERO,
        entries: Entries::default(),
        round: 0,
        revoked: 0,
        promise_millis: 0,
        lineage: raft_proto::Lineage::Unknown,
    });
    Input::Receive {
        from,
        message,
        incarnation: None,
    }
}

#[test]
fn fires_on_a_node_that_has_just_granted_its_vote() {
    for role in [RoleKind::PreCandidate, RoleKind::Candidate] {
        let mut n1 = Observed::start();
        assert_eq!(n1.step(100, request_vote(N2, 3)), Ok(()));
        assert_eq!(n1.raft.voted_for(), Some(N2));
        let broken = n1.start_election(599, role).expect_err("499 ms later");
        assert_eq!(
            broken,
            Violation::EarlyElection {
                node: N1,
                role,
                term: Term(3),
                reason: WaitReason::Granted(N2),
                waited: Duration::from_millis(499),
                least: LEAST,
            }
        );
        assert_eq!(broken.property(), Property::ElectionTimeout);
    }
}

#[test]
fn fires_on_a_node_that_has_just_heard_its_leader() {
    let mut n1 = Observed::start();
    assert_eq!(n1.step(100, request_vote(N2, 3)), Ok(()));
    assert_eq!(n1.step(400, heartbeat(N2, 3)), Ok(()));
    let broken = n1
        .start_election(700, RoleKind::Candidate)
        .expect_err("300 ms");
    assert_eq!(
        broken.to_string(),
        "n1 became a candidate in term 3 only 300ms after it heard its leader n2: \
         the least election timeout is 500ms"
    );
}

#[test]
fn accepts_a_node_that_has_waited() {
    let mut n1 = Observed::start();
    assert_eq!(n1.step(100, request_vote(N2, 3)), Ok(()));
    assert_eq!(n1.step(400, heartbeat(N2, 3)), Ok(()));
    assert_eq!(n1.start_election(900, RoleKind::Candidate), Ok(()));
    assert_eq!(n1.start_election(901, RoleKind::Follower), Ok(()));
}

#[test]
fn a_vote_that_is_not_granted_and_a_node_that_does_not_lead_are_no_reason_to_wait() {
    let mut n1 = Observed::start();
    assert_eq!(n1.step(100, request_vote(N2, 3)), Ok(()));
    assert_eq!(n1.step(500, request_vote(N3, 3)), Ok(())); // Refused: n2 has the vote.
    assert_eq!(n1.step(500, heartbeat(N3, 2)), Ok(())); // Of a term that is over.
    assert_eq!(n1.start_election(600, RoleKind::Candidate), Ok(()));
}

#[test]
fn a_node_that_its_leader_asks_to_start_an_election_need_not_wait() {
    let mut n1 = Observed::start();
    assert_eq!(n1.step(100, heartbeat(N2, 3)), Ok(()));
    let message = Message::TimeoutNow(TimeoutNow {
        term: Term(3),
        transfer: 1,
    });
    let asked = Input::Receive {
        from: N2,
        message,
        incarnation: None,
    };
    assert_eq!(n1.step(101, asked), Ok(()));
    assert_eq!(n1.raft.role(), RoleKind::Candidate);
}

#[test]
fn a_node_that_its_leader_asks_to_start_an_election_may_ask_the_voters_first() {
    let granted = || Input::Receive {
        from: N3,
        message: Message::PreVoteReply(PreVoteReply {
            term: Term(3),
            asked: Term(4),
            vote: Vote::Granted,
            dismissal: None,
            lineage: raft_proto::Lineage::Unknown,
        }),
        incarnation: None,
    };
    let mut n1 = Observed::with(PreVoting::On);
    assert_eq!(n1.step(100, heartbeat(N2, 3)), Ok(()));
    let (role, term) = (RoleKind::Candidate, Term(4));
    let stands = Some(Action::RoleChanged { role, term });
    let unasked = n1.step_and_add(101, granted(), stands);
    assert!(unasked.is_err(), "no leader asked it");
    let message = Message::TimeoutNow(TimeoutNow {
        term: Term(3),
        transfer: 1,
    });
    let asked = Input::Receive {
        from: N2,
        message,
        incarnation: None,
    };
    assert_eq!(n1.step(102, asked), Ok(()));
    assert_eq!(n1.raft.role(), RoleKind::Follower);
    assert_eq!(n1.step(103, granted()), Ok(()));
    assert_eq!(n1.raft.role(), RoleKind::Candidate);
}

// The bug: a late TimeoutNow of an earlier term takes the place of the one that was obeyed.
#[test]
fn a_late_request_to_start_an_election_does_not_take_back_the_one_of_this_term() {
    let asks = |from, term| {
        let (term, transfer) = (Term(term), 1);
        let message = Message::TimeoutNow(TimeoutNow { term, transfer });
        Input::Receive {
            from,
            message,
            incarnation: None,
        }
    };
    let granted = Input::Receive {
        from: N3,
        message: Message::PreVoteReply(PreVoteReply {
            term: Term(3),
            asked: Term(4),
            vote: Vote::Granted,
            dismissal: None,
            lineage: raft_proto::Lineage::Unknown,
        }),
        incarnation: None,
    };
    let mut n1 = Observed::with(PreVoting::On);
    assert_eq!(n1.step(100, heartbeat(N2, 3)), Ok(()));
    assert_eq!(n1.step(101, asks(N2, 3)), Ok(()));
    assert_eq!(n1.step(102, asks(N3, 2)), Ok(()));
    assert_eq!(n1.step(103, granted), Ok(()));
    assert_eq!(n1.raft.role(), RoleKind::Candidate);
}

/// n1 follows n2, holds an entry that is not committed, and has heard n2 until 1.9 s.
fn with_an_entry_that_waits(check_quorum: CheckQuorum) -> Observed {
    let mut n1 = Observed::configured(|config| {
        config.pre_vote = PreVoting::On;
        config.check_quorum = check_quorum;
        config.lease = Lease::Off;
    });
    let mut entries = EntriesBuilder::new();
    let kind = EntryKind::Command;
    entries.push(EntryId::new(1, 3), kind, "a".into()).unwrap();
    let Input::Receive { message, .. } = heartbeat(N2, 3) else {
        panic!("a message");
    };
    let Message::AppendEntries(mut append) = message else {
        panic!("an append");
    };
    append.entries = entries.finish();
    let append = Input::Receive {
        from: N2,
        message: Message::AppendEntries(append),
        incarnation: None,
    };
    assert_eq!(n1.step(0, append), Ok(()));
    for millis in (100..=1_900).step_by(100) {
        assert_eq!(n1.step(millis, heartbeat(N2, 3)), Ok(()));
    }
    n1
}

#[test]
fn without_check_quorum_a_leader_that_commits_nothing_for_two_election_timeouts_is_no_reason() {
    let mut n1 = with_an_entry_that_waits(CheckQuorum::Off);
    let early = n1.start_election(1_999, RoleKind::Candidate);
    assert!(early.is_err(), "entries waited for less");
    assert_eq!(n1.start_election(2_000, RoleKind::Candidate), Ok(()));
    let mut n1 = with_an_entry_that_waits(CheckQuorum::On);
    assert!(n1.start_election(2_000, RoleKind::Candidate).is_err());
}

// The bug: a follower's election timed out, and late messages of its leader came, which was gone.
// It had forgotten what that leader had committed, and the checker had not.
#[test]
fn what_a_leader_has_committed_is_forgotten_when_it_is_not_followed_for_a_moment() {
    for stops_following in [true, false] {
        let mut n1 = with_an_entry_that_waits(CheckQuorum::Off);
        let Input::Receive { message, .. } = heartbeat(N2, 3) else {
            panic!("a message");
        };
        let Message::AppendEntries(mut append) = message else {
            panic!("an append");
        };
        append.leader_commit = Index(1);
        let message = Message::AppendEntries(append);
        let (from, incarnation) = (N2, None);
        let states = Input::Receive {
            from,
            incarnation,
            message,
        };
        assert_eq!(n1.step(1_950, states), Ok(()));
        if stops_following {
            assert_eq!(n1.step(2_950, Input::Tick), Ok(()));
            assert_eq!(n1.raft.role(), RoleKind::PreCandidate);
        }
        for millis in (3_000..=4_900).step_by(100) {
            assert_eq!(n1.step(millis, heartbeat(N2, 3)), Ok(()));
        }
        let begun = n1.start_election(5_000, RoleKind::Candidate);
        assert_eq!(begun.is_ok(), stops_following);
    }
}

#[test]
fn its_answer_to_a_pre_vote_is_a_reason() {
    let mut n1 = with_an_entry_that_waits(CheckQuorum::Off);
    let answer = Input::Receive {
        from: N2,
        message: Message::PreVoteReply(PreVoteReply {
            lineage: raft_proto::Lineage::Unknown,
            term: Term(3),
            asked: Term(4),
            vote: Vote::Granted,
            dismissal: None,
        }),
        incarnation: None,
    };
    assert_eq!(n1.step(1_950, answer), Ok(()));
    assert!(n1.start_election(2_000, RoleKind::Candidate).is_err());
}

// The bug: a RequestVote comes late, when its sender leads already. The follower votes for it, and
// the vote took the place of the leader's messages as the reason to wait.
#[test]
fn a_late_vote_for_the_leader_is_a_reason_only_as_far_as_its_messages_are() {
    let asks = || Input::Receive {
        from: N3,
        message: Message::PreVote(PreVote {
            term: Term(4),
            last_log: EntryId::ZERO,
            campaign: Campaign::Election,
            lineage: raft_proto::Lineage::Unknown,
        }),
        incarnation: None,
    };
    for asked in [Some(asks()), None] {
        let mut n1 = Observed::configured(|config| {
            config.pre_vote = PreVoting::On;
            config.check_quorum = CheckQuorum::Off;
            config.lease = Lease::Off;
        });
        assert_eq!(n1.step(600, heartbeat(N2, 3)), Ok(()));
        assert_eq!(n1.step(700, request_vote(N2, 3)), Ok(()));
        assert_eq!(n1.raft.voted_for(), Some(N2));
        let is_asked = asked.is_some();
        if let Some(input) = asked {
            assert_eq!(n1.step(800, input), Ok(()));
        }
        let begun = n1.start_election(900, RoleKind::Candidate);
        assert_eq!(begun.is_ok(), is_asked);
    }
}

// The bug: a node campaigned by hand after it had voted, was deposed, and asked for pre-votes again
// on behalf of a node with a worse log.
#[test]
fn a_node_that_an_operator_asks_to_campaign_gives_an_earlier_candidate_no_more_time() {
    let later_term = || Input::Receive {
        from: N3,
        message: Message::PreVoteReply(PreVoteReply {
            term: Term(5),
            asked: Term(4),
            vote: Vote::Refused,
            dismissal: None,
            lineage: raft_proto::Lineage::Unknown,
        }),
        incarnation: None,
    };
    let campaign = Input::Campaign {
        id: raft_proto::RequestId(1),
    };
    for by_hand in [Some(campaign), None] {
        let mut n1 = Observed::with(PreVoting::On);
        assert_eq!(n1.step(600, request_vote(N2, 3)), Ok(()));
        assert_eq!(n1.raft.voted_for(), Some(N2));
        // The vote is on disk: an election that is under way would refuse another.
        let seq = raft_proto::Seq(1);
        assert_eq!(n1.step(601, Input::Persisted { seq }), Ok(()));
        let gives_no_more_time = by_hand.is_some();
        if let Some(input) = by_hand {
            assert_eq!(n1.step(700, input), Ok(()));
            assert_eq!(n1.raft.role(), RoleKind::PreCandidate);
        }
        assert_eq!(n1.step(800, later_term()), Ok(()));
        assert_eq!(n1.raft.term(), Term(5));
        let begun = n1.start_election(900, RoleKind::PreCandidate);
        assert_eq!(begun.is_ok(), gives_no_more_time);
    }
}

#[test]
fn a_real_core_waits_after_a_vote_and_after_a_heartbeat() {
    for heard in 1..100 {
        let mut n1 = Observed::start();
        assert_eq!(n1.step(heard, request_vote(N2, 1)), Ok(()));
        assert_eq!(n1.step(2 * heard, heartbeat(N2, 1)), Ok(()));
        for millis in 2 * heard..2 * heard + 3000 {
            assert_eq!(n1.step(millis, Input::Tick), Ok(()));
        }
        assert_eq!(n1.raft.role(), RoleKind::Candidate);
    }
}

#[test]
fn a_node_that_restarts_has_no_reason_to_wait() {
    let mut timeouts = ElectionTimeouts::default();
    timeouts.started(N1);
    timeouts.reset(N1, WaitReason::Granted(N2), at(100));
    let role = RoleKind::Candidate;
    assert!(
        timeouts
            .role_changed(N1, role, Term(2), at(200), LEAST)
            .is_err()
    );
    timeouts.stopped(N1);
    timeouts.started(N1);
    assert_eq!(
        timeouts.role_changed(N1, role, Term(2), at(200), LEAST),
        Ok(())
    );
}
