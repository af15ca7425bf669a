//! The checker of CheckQuorum fires on a leader that looks at its clock and has heard no majority
//! for too long, and on no other. No correct core leads for so long, so the tests show the checker
//! events that the core does not take.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::{
    Action, AppendEntriesReply, AppendOutcome, CheckQuorum, ClusterId, Config, Event, Input,
    Member, MembershipChange, Message, NodeChange, NodeId, PreVoting, Raft, Readiness, Recovered,
    RequestId, RequestVoteReply, RoleKind, Seq, Start, Term, Time, Vote,
};
use raft_sim::checker::{Property, QuorumContact, Violation};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const N4: NodeId = NodeId(4);
const N5: NodeId = NodeId(5);
/// When n1 is elected: all election timeouts are over.
const ELECTED: u64 = 2_000;
/// Twice the greatest election timeout.
const LIMIT: u64 = 2_000;

/// A core, and the checker that observes it.
struct Observed {
    raft: Raft,
    checker: QuorumContact,
}

impl Observed {
    fn start(voters: &[NodeId], setting: CheckQuorum) -> Observed {
        let start = Start::voters(voters.iter().copied());
        let mut config = Config::new(ClusterId(7), N1, start, 1);
        config.pre_vote = PreVoting::Off;
        config.check_quorum = setting;
        let raft = Raft::new(config, Recovered::default()).expect("a new node");
        let mut watched = Observed {
            raft,
            checker: QuorumContact::default(),
        };
        assert_eq!(watched.step(0, Input::Tick), Ok(()));
        watched
    }

    /// A leader of these voters since [`ELECTED`], with the votes of all.
    fn leader(voters: &[NodeId]) -> Observed {
        Observed::leader_with(voters, CheckQuorum::On)
    }

    fn leader_with(voters: &[NodeId], setting: CheckQuorum) -> Observed {
        let mut n1 = Observed::start(voters, setting);
        assert_eq!(n1.step(ELECTED, Input::Tick), Ok(()));
        for voter in voters.iter().skip(1) {
            assert_eq!(n1.step(ELECTED, vote(*voter, n1.raft.term())), Ok(()));
        }
        assert_eq!(n1.raft.role(), RoleKind::Leader);
        n1
    }

    /// The core takes an input, all its writes succeed, and the checker observes everything.
    fn step(&mut self, millis: u64, input: Input) -> Result<(), Violation> {
        let at = Time::from_epoch(Duration::from_millis(millis));
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let event = Event { at, input };
            self.checker.event(&self.raft, &event);
            let actions = self.raft.step(event);
            for action in &actions {
                if let Action::Persist(write) = action {
                    inputs.push(Input::Persisted { seq: write.seq });
                }
            }
            self.checker.actions(&self.raft, &actions)?;
        }
        Ok(())
    }

    /// As if the core took this input and did nothing.
    fn pretend(&mut self, millis: u64, input: Input) -> Result<(), Violation> {
        let at = Time::from_epoch(Duration::from_millis(millis));
        self.checker.event(&self.raft, &Event { at, input });
        self.checker.actions(&self.raft, &[])
    }

    /// As if the core had heard this node.
    fn hear(&mut self, millis: u64, from: NodeId) {
        let heard = vote(from, self.raft.term());
        assert_eq!(self.pretend(millis, heard), Ok(()));
    }

    /// Whether the checker fires if the core still leads then and looks at its clock.
    fn fires_at(&mut self, millis: u64) -> bool {
        assert_eq!(self.raft.role(), RoleKind::Leader);
        match self.pretend(millis, Input::Tick) {
            Ok(()) => false,
            Err(Violation::LeaderWithoutQuorum { leader: N1, .. }) => true,
            Err(other) => panic!("{other}"),
        }
    }
}

fn vote(from: NodeId, term: Term) -> Input {
    let vote = Vote::Granted;
    let message = Message::RequestVoteReply(RequestVoteReply { term, vote });
    Input::Receive {
        from,
        message,
        incarnation: None,
    }
}

fn add_voters(ids: &[NodeId]) -> Input {
    let voters = ids.iter().map(|id| NodeChange::Set(Member::voter(*id)));
    Input::ChangeMembership {
        id: RequestId(1),
        change: MembershipChange {
            nodes: voters.collect(),
            readiness: Readiness::Forced,
            expected: None,
        },
    }
}

#[test]
fn fires_on_a_leader_that_ticks_and_hears_no_voter() {
    let mut n1 = Observed::leader(&[N1, N2, N3]);
    assert!(!n1.fires_at(ELECTED + LIMIT));
    let late = n1.pretend(ELECTED + LIMIT + 1, Input::Tick);
    let broken = late.expect_err("more than two election timeouts");
    assert_eq!(
        broken,
        Violation::LeaderWithoutQuorum {
            leader: N1,
            term: Term(1),
            limit: Duration::from_millis(LIMIT),
        }
    );
    assert_eq!(broken.property(), Property::CheckQuorum);
    assert_eq!(
        broken.to_string(),
        "n1 still leads in term 1, but has heard no majority of its voters for 2s"
    );
}

#[test]
fn fires_on_a_leader_that_hears_only_a_minority_or_strangers() {
    let mut n1 = Observed::leader(&[N1, N2, N3, N4, N5]);
    let late = ELECTED + LIMIT + 1;
    for heard in [N2, NodeId(8), NodeId(9)] {
        n1.hear(late - 1, heard);
    }
    assert!(n1.fires_at(late));
    n1.hear(late, N3);
    assert!(!n1.fires_at(late), "n1 n2 n3 are a majority");
    // Each of them has to be heard again.
    assert!(!n1.fires_at(late - 1 + LIMIT));
    n1.hear(late + LIMIT, N3);
    assert!(n1.fires_at(late + LIMIT));
}

#[test]
fn a_leader_that_hears_a_majority_in_turns_may_go_on() {
    let mut n1 = Observed::leader(&[N1, N2, N3]);
    for turn in 1..100 {
        n1.hear(ELECTED + turn * LIMIT, if turn % 2 == 0 { N2 } else { N3 });
        assert!(!n1.fires_at(ELECTED + turn * LIMIT));
    }
    assert!(n1.fires_at(ELECTED + 100 * LIMIT + 1));
}

#[test]
fn only_a_leader_that_looks_at_its_clock_is_checked() {
    let mut n1 = Observed::leader(&[N1, N2, N3]);
    // It was not woken: it cannot know the time.
    let synced = Input::Persisted { seq: Seq(1) };
    assert_eq!(n1.pretend(60_000, synced), Ok(()));
    assert!(n1.fires_at(60_000));
    let mut off = Observed::leader_with(&[N1, N2, N3], CheckQuorum::Off);
    assert_eq!(off.step(60_000, Input::Tick), Ok(()));
    assert!(!off.fires_at(90_000), "nobody told it to step down");
}

#[test]
fn the_only_voter_need_hear_no_other() {
    let mut n1 = Observed::leader(&[N1]);
    assert_eq!(n1.step(60_000, Input::Tick), Ok(()));
    assert!(!n1.fires_at(90_000));
}

#[test]
fn new_voters_have_the_whole_time_to_be_heard() {
    let mut n1 = Observed::leader(&[N1]);
    assert_eq!(n1.step(60_000, Input::Tick), Ok(()));
    assert_eq!(n1.step(60_000, add_voters(&[N2])), Ok(()));
    assert!(n1.raft.membership().is_voter(N2));
    assert!(!n1.fires_at(60_000 + LIMIT));
    assert!(n1.fires_at(60_001 + LIMIT));
}

#[test]
fn joint_voters_have_to_be_heard_in_both_halves() {
    let mut n1 = Observed::leader(&[N1]);
    assert_eq!(n1.step(60_000, add_voters(&[N2, N3])), Ok(()));
    assert!(n1.raft.membership().is_joint());
    let late = 60_001 + LIMIT;
    assert!(n1.fires_at(late), "n1 is the old half only");
    n1.hear(late, N3);
    assert!(!n1.fires_at(late));
}

#[test]
fn silence_before_a_node_led_or_stopped_does_not_count_against_it() {
    let mut n1 = Observed::start(&[N1, N2, N3, N4, N5], CheckQuorum::On);
    n1.hear(1, N4);
    n1.hear(1, N5);
    assert!(n1.pretend(60_000, Input::Tick).is_ok(), "it follows");
    assert_eq!(n1.step(60_000, Input::Tick), Ok(()));
    let term = n1.raft.term();
    assert_eq!(n1.step(60_000, vote(N2, term)), Ok(()));
    assert_eq!(n1.step(60_400, vote(N3, term)), Ok(()));
    assert!(!n1.fires_at(60_400 + LIMIT));
    assert!(n1.fires_at(60_401 + LIMIT));
    n1.checker.stopped(N1);
    assert!(!n1.fires_at(60_401 + LIMIT));
}

#[test]
fn a_real_core_that_hears_no_voter_steps_down_in_time() {
    let mut n1 = Observed::leader(&[N1, N2, N3]);
    for millis in ELECTED..ELECTED + 3 * LIMIT {
        assert_eq!(n1.step(millis, Input::Tick), Ok(()));
    }
    assert_ne!(n1.raft.role(), RoleKind::Leader);
}

/// As if the core had looked at its clock at that time and stepped down in its own term. `observe`
/// shows the checker what happened before.
fn resigns(millis: u64, observe: impl Fn(&mut Observed)) -> Result<(), Violation> {
    let mut n1 = Observed::leader(&[N1, N2, N3]);
    observe(&mut n1);
    let mut silent = Observed::leader(&[N1, N2, N3]);
    assert_eq!(silent.step(ELECTED + LIMIT, Input::Tick), Ok(()));
    assert_ne!(silent.raft.role(), RoleKind::Leader);
    assert_eq!(silent.raft.term(), n1.raft.term());
    let at = Time::from_epoch(Duration::from_millis(millis));
    let input = Input::Tick;
    n1.checker.event(&n1.raft, &Event { at, input });
    n1.checker.actions(&silent.raft, &[])
}

fn answer(n1: &mut Observed, millis: u64, from: NodeId) {
    let message = Message::AppendEntriesReply(AppendEntriesReply {
        term: n1.raft.term(),
        outcome: AppendOutcome::Stale,
        round: 0,
        limits: None,
    });
    assert_eq!(n1.pretend(millis, Input::Receive { from, message }), Ok(()));
}

#[test]
fn fires_on_a_leader_that_gives_up_though_a_majority_answers() {
    let (answered, timeout) = (10_000, LIMIT / 2);
    let answers = |n1: &mut Observed| answer(n1, answered, N2);
    let broken = resigns(answered + timeout - 1, answers).expect_err("n2 has answered");
    assert!(matches!(broken, Violation::LeaderGaveUp { leader: N1, .. }));
    assert_eq!(broken.property(), Property::CheckQuorum);
    assert_eq!(resigns(answered + timeout, answers), Ok(()));
    assert_eq!(resigns(answered + 1, |_| {}), Ok(()), "nobody has answered");
}

#[test]
fn a_vote_or_an_answer_of_a_stranger_is_no_reason_to_lead_on() {
    let hears = |n1: &mut Observed| {
        n1.hear(10_000, N2);
        answer(n1, 10_000, N5);
    };
    assert_eq!(resigns(10_001, hears), Ok(()));
}
