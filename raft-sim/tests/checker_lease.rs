//! Leader stickiness and the lease bound: their checkers fire on violations, and only on them.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::{
    Action, AppendEntries, AppendEntriesReply, AppendOutcome, Campaign, CheckQuorum, ClusterId,
    Config, Entries, EntryId, Event, Index, Input, Lease, Message, NodeId, PreVoting, Raft,
    ReadMode, Recovered, RequestId, RequestVote, RequestVoteReply, Start, Term, Time, Vote,
};
use raft_sim::checker::lease::PREDICT_EVERY;
use raft_sim::checker::{LeaderStickiness, Leases, Nodes, Property, Violation, WaitReason};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const TRANSFER: Campaign = Campaign::Transfer { number: 1 };
const LEAST: Duration = Duration::from_millis(500);

fn core(id: NodeId, drift: u32) -> Raft {
    let mut config = Config::new(ClusterId(7), id, Start::voters([N1, N2, N3]), 1);
    config.pre_vote = PreVoting::Off;
    config.check_quorum = CheckQuorum::On;
    config.lease = Lease::On {
        max_drift_ppm: drift,
    };
    Raft::new(config, Recovered::default()).expect("a new node")
}

fn event(millis: u64, input: Input) -> Event {
    let at = Time::from_epoch(Duration::from_millis(millis));
    Event { at, input }
}

fn receive(from: NodeId, message: Message) -> Input {
    Input::Receive {
        from,
        message,
        incarnation: None,
    }
}

fn request_vote(from: NodeId, term: u64, campaign: Campaign) -> Input {
    let request = RequestVote {
        term: Term(term),
        last_log: EntryId::ZERO,
        campaign,
        lineage: raft_proto::Lineage::Unknown,
    };
    receive(from, Message::RequestVote(request))
}

fn heartbeat(from: NodeId, term: u64) -> Input {
    revoking(from, term, 0)
}

/// A heartbeat of a leader that has given up its transfers up to `revoked`.
fn revoking(from: NodeId, term: u64, revoked: u64) -> Input {
    let request = AppendEntries {
        term: Term(term),
        prev_log: EntryId::ZERO,
        leader_commit: Index::ZERO,
        entries: Entries::default(),
        round: 0,
        revoked,
        promise_millis: 0,
        lineage: raft_proto::Lineage::Unknown,
    };
    receive(from, Message::AppendEntries(request))
}

/// A voter that takes every election for one that its leader asked for.
struct BrokenVoter {
    raft: Raft,
    checker: LeaderStickiness,
}

impl BrokenVoter {
    fn start() -> BrokenVoter {
        let (raft, checker) = (core(N1, 0), LeaderStickiness::default());
        let mut faithless = BrokenVoter { raft, checker };
        assert_eq!(faithless.step(0, Input::Tick, Input::Tick), Ok(()));
        faithless
    }

    /// The checker is shown one input, and the core takes another.
    fn step(&mut self, millis: u64, shown: Input, taken: Input) -> Result<(), Violation> {
        self.step_late(millis, shown, event(millis, taken))
    }

    /// The checker is shown an input, and the core takes an event.
    fn step_late(&mut self, millis: u64, shown: Input, taken: Event) -> Result<(), Violation> {
        self.checker.event(&self.raft, &event(millis, shown));
        let actions = self.raft.step(taken);
        self.checker.actions(&self.raft, &actions)
    }

    fn hear(&mut self, millis: u64, leader: NodeId, term: u64) {
        let heard = || heartbeat(leader, term);
        assert_eq!(self.step(millis, heard(), heard()), Ok(()));
        assert_eq!(self.raft.leader(), Some(leader));
    }

    fn vote(&mut self, millis: u64, candidate: NodeId, shown: Campaign) -> Result<(), Violation> {
        let term = self.raft.term().0 + 1;
        let shown = request_vote(candidate, term, shown);
        let taken = request_vote(candidate, term, TRANSFER);
        // A core that has just started votes for nobody, whichever node asks.
        let result = self.step_late(millis, shown, event(millis + 1, taken));
        assert_eq!(self.raft.voted_for(), Some(candidate));
        result
    }
}

#[test]
fn fires_on_a_vote_of_a_node_that_hears_a_leader() {
    let mut n1 = BrokenVoter::start();
    n1.hear(600, N2, 1);
    let broken = n1.vote(1_099, N3, Campaign::Election);
    let broken = broken.expect_err("499 ms later");
    assert_eq!(broken.property(), Property::LeaderStickiness);
    assert_eq!(
        broken,
        Violation::VoteDespiteLeader {
            node: N1,
            candidate: N3,
            term: Term(2),
            reason: WaitReason::Heard(N2),
            waited: Duration::from_millis(499),
            least: LEAST,
        }
    );
}

#[test]
fn fires_on_a_vote_of_a_node_that_has_just_started() {
    let mut n1 = BrokenVoter::start();
    let broken = n1.vote(499, N3, Campaign::Election);
    let broken = broken.expect_err("499 ms later");
    assert!(broken.to_string().contains("499ms after it started"));
}

#[test]
fn accepts_a_vote_of_a_node_that_is_not_bound() {
    let mut n1 = BrokenVoter::start();
    n1.hear(600, N2, 1);
    assert_eq!(n1.vote(1_100, N3, Campaign::Election), Ok(())); // the time is over
    n1.hear(1_110, N3, 2);
    assert_eq!(n1.vote(1_120, N2, TRANSFER), Ok(())); // n3 asked for it
}

#[test]
fn fires_on_a_vote_for_the_target_of_a_transfer_that_was_given_up() {
    for (revoked, is_broken) in [(0, false), (1, true)] {
        let mut n1 = BrokenVoter::start();
        n1.hear(600, N2, 1);
        let shown = revoking(N2, 1, revoked);
        assert_eq!(n1.step(700, shown, heartbeat(N2, 1)), Ok(()));
        assert_eq!(n1.vote(800, N3, TRANSFER).is_err(), is_broken);
    }
}

#[test]
fn accepts_a_vote_in_the_term_of_the_leader_that_was_heard() {
    let mut n1 = BrokenVoter::start();
    n1.hear(600, N3, 4);
    let shown = request_vote(N3, 4, Campaign::Election);
    let taken = request_vote(N3, 4, TRANSFER);
    assert_eq!(n1.step(610, shown, taken), Ok(()));
    assert_eq!(n1.raft.voted_for(), Some(N3));
}

/// A leader n1 and a follower n2, both driven by the test.
struct Pair {
    leases: Leases,
    n1: Raft,
    n2: Raft,
    now: u64,
}

impl Pair {
    /// n1 has led since 2 s, and has committed in its term; its clock may drift by `drift`.
    fn new(drift: u32) -> Pair {
        let (n1, n2) = (core(N1, drift), core(N2, drift));
        let leases = Leases::default();
        let mut pair = Pair {
            leases,
            n1,
            n2,
            now: 0,
        };
        assert_eq!(pair.n1(Input::Tick).1, Ok(()));
        assert_eq!(pair.n2(Input::Tick), Ok(()));
        pair.now = 2_000;
        let (actions, _) = pair.n1(Input::Tick);
        pair.persisted(&actions);
        let vote = RequestVoteReply {
            term: Term(1),
            vote: Vote::Granted,
        };
        let (actions, broken) = pair.n1(receive(N2, Message::RequestVoteReply(vote)));
        assert_eq!(broken, Ok(()));
        pair.persisted(&actions);
        pair.deliver(&actions);
        pair
    }

    fn n1(&mut self, input: Input) -> (Vec<Action>, Result<(), Violation>) {
        let event = event(self.now, input);
        self.leases.event(&self.n1, &event);
        let actions = self.n1.step(event);
        let result = self.leases.actions(&self.n1, &actions);
        (actions, result)
    }

    fn n2(&mut self, input: Input) -> Result<(), Violation> {
        let event = event(self.now, input);
        self.leases.event(&self.n2, &event);
        let actions = self.n2.step(event);
        self.leases.actions(&self.n2, &actions)
    }

    fn persisted(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Persist(write) = action {
                let seq = write.seq;
                let (more, result) = self.n1(Input::Persisted { seq });
                assert_eq!(result, Ok(()));
                assert!(!more.iter().any(|more| matches!(more, Action::Persist(_))));
            }
        }
    }

    /// n2 takes what n1 sent it, and accepts all.
    fn deliver(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Send {
                to: N2,
                message: Message::AppendEntries(request),
            } = action
            {
                let message = Message::AppendEntries(request.clone());
                assert_eq!(self.n2(receive(N1, message)), Ok(()));
                assert_eq!(self.accept(request.round), Ok(()));
            }
        }
    }

    /// n2 acknowledges the first entry, and answers a round.
    fn accept(&mut self, round: u64) -> Result<(), Violation> {
        let reply = AppendEntriesReply {
            term: Term(1),
            outcome: AppendOutcome::Accepted {
                match_index: Index(1),
                received: Index(1),
            },
            round,
            limits: None,
        };
        self.n1(receive(N2, Message::AppendEntriesReply(reply))).1
    }

    fn read(&mut self) -> (bool, Result<(), Violation>) {
        let (id, mode) = (RequestId(1), ReadMode::Lease);
        let (actions, result) = self.n1(Input::Read { id, mode });
        let is_served = |action: &Action| matches!(action, Action::Read { outcome: Ok(_), .. });
        (actions.iter().any(is_served), result)
    }
}

#[test]
fn accepts_a_lease_within_the_bound() {
    let mut pair = Pair::new(100_000);
    assert_eq!(pair.read(), (true, Ok(())));
    pair.now += 399; // 500 ms (1 - 2/10)
    assert_eq!(pair.read(), (true, Ok(())));
    pair.now += 2;
    assert_eq!(pair.read(), (false, Ok(())));
}

/// A lease that depends on an answer of n2 to a round that n2 never heard. To the checker, that is
/// the same as a lease that lasts too long. Also returns what the checker predicts.
fn unheard() -> (Pair, Result<(), Violation>) {
    let mut pair = Pair::new(0);
    pair.now += 400;
    let (actions, mut predicted) = pair.n1(Input::Tick);
    for action in actions {
        if let Action::Send {
            to: N2,
            message: Message::AppendEntries(request),
        } = action
        {
            predicted = predicted.and(pair.accept(request.round));
        }
    }
    (pair, predicted)
}

fn too_long() -> Result<(), Violation> {
    Err(Violation::LeaseTooLong {
        leader: N1,
        term: Term(1),
        bound: Nodes(vec![N1]),
    })
}

#[test]
fn fires_on_a_read_under_a_lease_that_is_too_long() {
    let (mut pair, _) = unheard();
    pair.now += 100;
    assert_eq!(pair.read(), (true, too_long()));
}

#[test]
fn predicts_a_lease_that_will_be_too_long() {
    let (mut pair, predicted) = unheard();
    let again = || Input::Unreachable { peer: N3 };
    let broken = (0..PREDICT_EVERY).find_map(|_| pair.n1(again()).1.err());
    let broken = predicted.err().or(broken);
    assert_eq!(Err(broken.expect("a copy is asked")), too_long());
}
