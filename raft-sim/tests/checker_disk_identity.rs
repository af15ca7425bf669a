//! The checker of disk identity fires on what counts although it comes from another disk, and on
//! nothing else. A correct core counts no such thing: so the core and the checker are told of
//! different senders.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

use core::time::Duration;
use raft_proto::{
    Action, AppendEntriesReply, AppendOutcome, CheckQuorum, ClusterId, Config, EntryId, Event,
    Incarnation, Index, Input, Member, MembershipChange, Message, NodeChange, NodeId, PreVoting,
    Raft, Recovered, RequestId, RequestVoteReply, RoleKind, Start, Term, Time, Vote,
};
use raft_sim::checker::disk_identity::said;
use raft_sim::checker::{
    ConfigurationsInForce, DiskIdentity, DiskIdentityBroken, Property, Violation,
};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const N4: NodeId = NodeId(4);
/// A disk that no configuration names.
const OTHER: Incarnation = Incarnation(99);

fn disk(node: NodeId) -> Incarnation {
    Incarnation(10 + node.0)
}

/// n1, and the checker that watches it.
struct Watched {
    raft: Raft,
    checker: DiskIdentity,
    configurations: ConfigurationsInForce,
    now: Time,
}

fn config(start: Start) -> Config {
    let mut config = Config::new(ClusterId(7), N1, start, 1);
    config.incarnation = Some(disk(N1));
    config.pre_vote = PreVoting::Off;
    config.check_quorum = CheckQuorum::Off;
    config
}

impl Watched {
    fn new() -> Watched {
        let raft = Raft::new(config(Start::voters([N1, N2, N3])), Recovered::default()).unwrap();
        let mut checker = DiskIdentity::default();
        checker.started(&raft);
        let mut configurations = ConfigurationsInForce::default();
        configurations.started(&raft, None).unwrap();
        Watched {
            raft,
            checker,
            configurations,
            now: Time::ZERO,
        }
    }

    /// The core takes an input, of which the checker is told `seen`; then its writes are persisted.
    fn step(&mut self, input: Input, seen: Input) -> Result<Vec<Action>, Violation> {
        let at = self.now;
        self.checker.event(&self.raft, &Event { at, input: seen });
        let actions = self.raft.step(Event { at, input });
        self.configurations.actions(&self.raft, &actions)?;
        self.checker
            .actions(&self.raft, &actions, &self.configurations)?;
        let last = actions.iter().filter_map(|action| match action {
            Action::Persist(write) => Some(write.seq),
            _ => None,
        });
        let mut all = actions.clone();
        if let Some(seq) = last.max() {
            all.extend(self.give(Input::Persisted { seq })?);
        }
        Ok(all)
    }

    fn give(&mut self, input: Input) -> Result<Vec<Action>, Violation> {
        self.step(input.clone(), input)
    }

    /// A node sends this from its disk; the checker is told that it came from the disk `seen`.
    fn hear(&mut self, from: NodeId, message: Message, seen: Incarnation) -> Result<(), Violation> {
        let receive = |incarnation| Input::Receive {
            from,
            incarnation: Some(incarnation),
            message: message.clone(),
        };
        self.step(receive(disk(from)), receive(seen)).map(drop)
    }

    /// It becomes a candidate.
    fn campaign(&mut self) {
        while self.raft.role() != RoleKind::Candidate {
            self.give(Input::Tick).unwrap();
            self.now = self.now.after(Duration::from_millis(50));
        }
    }

    fn vote(&self) -> Message {
        Message::RequestVoteReply(RequestVoteReply {
            term: self.raft.term(),
            vote: Vote::Granted,
        })
    }

    fn acknowledgement(&self) -> Message {
        let index = self.raft.last_log().index;
        Message::AppendEntriesReply(AppendEntriesReply {
            term: self.raft.term(),
            outcome: AppendOutcome::Accepted {
                match_index: index,
                received: index,
            },
            round: 0,
            limits: None,
        })
    }

    /// It founds the cluster, and its first entry is committed.
    fn found() -> Watched {
        let mut watched = Watched::new();
        watched.campaign();
        for node in [N2, N3] {
            watched.hear(node, watched.vote(), disk(node)).unwrap();
        }
        assert_eq!(watched.raft.role(), RoleKind::Leader);
        watched
            .hear(N2, watched.acknowledgement(), disk(N2))
            .unwrap();
        assert_eq!(watched.raft.commit_index(), Index(1));
        watched
    }

    fn change(&mut self, node: NodeChange, seen: NodeChange) -> Result<(), Violation> {
        let input = |node| Input::ChangeMembership {
            id: RequestId(1),
            change: MembershipChange::from(node),
        };
        self.step(input(node), input(seen)).map(drop)
    }
}

fn broken(result: Result<(), Violation>) -> DiskIdentityBroken {
    let violation = result.expect_err("another disk counted");
    assert_eq!(violation.property(), Property::DiskIdentity);
    match violation {
        Violation::DiskIdentity(broken) => broken,
        other => panic!("{other}"),
    }
}

#[test]
fn fires_on_a_cluster_that_was_founded_without_a_founders_disk() {
    let mut watched = Watched::new();
    watched.campaign();
    watched.hear(N2, watched.vote(), disk(N2)).unwrap();
    let broken = broken(watched.hear(N3, watched.vote(), OTHER));
    assert!(
        matches!(broken, DiskIdentityBroken::LeadsByForeignVotes { .. }),
        "{broken}"
    );
    Watched::found();
}

#[test]
fn fires_on_an_entry_that_another_disk_has_acknowledged() {
    let mut watched = Watched::found();
    let commands = raft_proto::Commands::from(bytes::Bytes::from_static(b"x"));
    let id = RequestId(2);
    watched.give(Input::Propose { id, commands }).unwrap();
    let broken = broken(watched.hear(N3, watched.acknowledgement(), OTHER));
    let index = watched.raft.commit_index();
    assert!(
        matches!(&broken, DiskIdentityBroken::CommittedByForeignDisks { index: at, .. } if *at == index),
        "{broken}"
    );
}

#[test]
fn fires_on_a_term_that_another_disk_has_taught() {
    let mut watched = Watched::found();
    let stale = Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(watched.raft.term().0 + 5),
        outcome: AppendOutcome::Stale,
        round: 0,
        limits: None,
    });
    let broken = broken(watched.hear(N3, stale, OTHER));
    assert!(
        matches!(
            broken,
            DiskIdentityBroken::TermOfForeignDisk { from: N3, .. }
        ),
        "{broken}"
    );
}

#[test]
fn fires_on_a_disk_that_nobody_has_heard_or_asked_for() {
    let learner = Member::learner(N4);
    let asked = NodeChange::Set(learner.clone().with_incarnation(disk(N4)));
    let other = NodeChange::Set(learner.clone().with_incarnation(OTHER));
    let unheard = DiskIdentityBroken::NamedUnheard {
        leader: N1,
        node: N4,
    };
    let mut watched = Watched::found();
    watched.change(asked.clone(), asked.clone()).unwrap();
    let mut watched = Watched::found();
    assert_eq!(broken(watched.change(asked, other)), unheard);
    // A member that joins without a name is named when it is heard.
    for (seen, is_wrong) in [(disk(N4), false), (OTHER, true)] {
        let mut watched = Watched::found();
        let joins = NodeChange::Set(learner.clone());
        watched.change(joins.clone(), joins).unwrap();
        watched
            .hear(N2, watched.acknowledgement(), disk(N2))
            .unwrap();
        watched.hear(N4, watched.acknowledgement(), seen).unwrap();
        watched.now = watched.now.after(Duration::from_millis(50));
        let named = watched.give(Input::Tick).map(drop);
        let member = watched.raft.membership().get(N4).unwrap();
        assert_eq!(member.incarnation, Some(disk(N4)));
        if is_wrong {
            assert_eq!(broken(named), unheard);
        } else {
            assert_eq!(named, Ok(()));
        }
    }
}

/// The checker takes n1 for a disk that its configuration does not name.
#[test]
fn fires_on_a_disk_that_asks_for_votes_without_a_name() {
    let mut watched = Watched::found();
    let mut config = config(Start::Join);
    config.incarnation = Some(OTHER);
    let joiner = Raft::new(config, Recovered::default()).unwrap();
    watched.checker.started(&joiner);
    let request = Message::RequestVote(raft_proto::RequestVote {
        term: watched.raft.term(),
        last_log: EntryId::ZERO,
        campaign: raft_proto::Campaign::Election,
        lineage: raft_proto::Lineage::Unknown,
    });
    let asks = [Action::Send {
        to: N2,
        message: request,
    }];
    let asking = |watched: &mut Watched| {
        let configurations = &watched.configurations;
        watched
            .checker
            .actions(&watched.raft, &asks, configurations)
    };
    let result = asking(&mut watched);
    assert!(matches!(
        broken(result),
        DiskIdentityBroken::CampaignsUnnamed { node: N1, .. }
    ));
    watched.checker.started(&watched.raft);
    assert_eq!(asking(&mut watched), Ok(()));
}

#[test]
fn fires_on_a_message_under_a_name_that_the_disk_does_not_hold() {
    let before = said(N1, Some(disk(N1)), None);
    assert_eq!(
        broken(before),
        DiskIdentityBroken::SaidBeforeDurable { node: N1 }
    );
    assert_eq!(said(N1, Some(disk(N1)), Some(disk(N1))), Ok(()));
    assert_eq!(said(N1, None, None), Ok(()), "no disk has a name");
}
