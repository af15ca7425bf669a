//! ElectionTimeouts fires on a node that stands for election too soon, and on no other.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::{
    Action, AppendEntries, Campaign, ClusterId, Config, Entries, EntryId, Event, Index, Input,
    Message, NodeId, PreVoting, Raft, Recovered, RequestVote, RoleKind, Start, Term, Time,
    TimeoutNow,
};
use raft_sim::checker::{ElectionTimeouts, Property, Violation, WaitReason};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const LEAST: Duration = Duration::from_millis(500);

fn at(millis: u64) -> Time {
    Time::from_epoch(Duration::from_millis(millis))
}

/// A real core, as the recorder watches it.
struct Watched {
    raft: Raft,
    patience: ElectionTimeouts,
}

impl Watched {
    fn start() -> Watched {
        let voters = Start::voters([N1, N2, N3]);
        let mut config = Config::new(ClusterId(7), N1, voters, 1);
        config.pre_vote = PreVoting::Off;
        let raft = Raft::new(config, Recovered::default()).expect("a new node");
        let mut patience = ElectionTimeouts::default();
        patience.started(N1);
        let mut watched = Watched { raft, patience };
        assert_eq!(watched.step(0, Input::Tick), Ok(()));
        watched
    }

    /// The core takes an input, and all that it answers is watched.
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
        self.patience.event(&self.raft, &event);
        let mut actions = self.raft.step(event);
        actions.extend(more);
        self.patience.actions(&self.raft, &actions)
    }

    /// What a hasty core would do.
    fn stand(&mut self, millis: u64, role: RoleKind) -> Result<(), Violation> {
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
    };
    let message = Message::RequestVote(request);
    Input::Receive { from, message }
}

fn heartbeat(from: NodeId, term: u64) -> Input {
    let message = Message::AppendEntries(AppendEntries {
        term: Term(term),
        prev_log: EntryId::ZERO,
        leader_commit: Index::ZERO,
        entries: Entries::default(),
        round: 0,
    });
    Input::Receive { from, message }
}

#[test]
fn patience_fires_on_a_node_that_has_just_granted_its_vote() {
    for role in [RoleKind::PreCandidate, RoleKind::Candidate] {
        let mut n1 = Watched::start();
        assert_eq!(n1.step(100, request_vote(N2, 3)), Ok(()));
        assert_eq!(n1.raft.voted_for(), Some(N2));
        let broken = n1.stand(599, role).expect_err("499 ms later");
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
fn patience_fires_on_a_node_that_has_just_heard_its_leader() {
    let mut n1 = Watched::start();
    assert_eq!(n1.step(100, request_vote(N2, 3)), Ok(()));
    assert_eq!(n1.step(400, heartbeat(N2, 3)), Ok(()));
    let broken = n1.stand(700, RoleKind::Candidate).expect_err("300 ms");
    assert_eq!(
        broken.to_string(),
        "n1 became a candidate in term 3, 300ms after it heard its leader n2: \
         the least election timeout is 500ms"
    );
}

#[test]
fn patience_accepts_a_node_that_has_waited() {
    let mut n1 = Watched::start();
    assert_eq!(n1.step(100, request_vote(N2, 3)), Ok(()));
    assert_eq!(n1.step(400, heartbeat(N2, 3)), Ok(()));
    assert_eq!(n1.stand(900, RoleKind::Candidate), Ok(()));
    assert_eq!(n1.stand(901, RoleKind::Follower), Ok(()));
}

#[test]
fn what_grants_nothing_and_what_does_not_lead_is_no_reason_to_wait() {
    let mut n1 = Watched::start();
    assert_eq!(n1.step(100, request_vote(N2, 3)), Ok(()));
    assert_eq!(n1.step(500, request_vote(N3, 3)), Ok(())); // Refused: n2 has the vote.
    assert_eq!(n1.step(500, heartbeat(N3, 2)), Ok(())); // Of a term that is over.
    assert_eq!(n1.stand(600, RoleKind::Candidate), Ok(()));
}

#[test]
fn who_is_asked_to_campaign_need_not_wait() {
    let mut n1 = Watched::start();
    assert_eq!(n1.step(100, heartbeat(N2, 3)), Ok(()));
    let message = Message::TimeoutNow(TimeoutNow { term: Term(3) });
    let asked = Input::Receive { from: N2, message };
    assert_eq!(n1.step(101, asked), Ok(()));
    assert_eq!(n1.raft.role(), RoleKind::Candidate);
}

#[test]
fn a_real_core_waits_after_whatever_it_heard() {
    for heard in 1..100 {
        let mut n1 = Watched::start();
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
    let mut patience = ElectionTimeouts::default();
    patience.started(N1);
    patience.put_off(N1, WaitReason::Granted(N2), at(100));
    let stands = (RoleKind::Candidate, Term(2));
    assert!(patience.changed(N1, stands, at(200), LEAST).is_err());
    patience.stopped(N1);
    patience.started(N1);
    assert_eq!(patience.changed(N1, stands, at(200), LEAST), Ok(()));
}
