//! The canonical form of a node: equal for nodes that behave alike, and for no others.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use raft_proto::{ClusterId, Config, NodeId, PreVoting, Recovered, Start};
use raft_sim::check::canonical::{Canonical, Reads, Renaming, Times};
use raft_sim::check::envelope::Envelope;
use raft_sim::check::node::{Disks, Node};
use raft_sim::check::outcome::Outcome;
use raft_sim::check::step::ModelEvent;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn node(id: u64) -> Node {
    let start = Start::voters([1, 2, 3].map(NodeId));
    let mut config = Config::new(ClusterId(1), NodeId(id), start, 7);
    config.election_timeout_max = config.election_timeout_min + Duration::from_nanos(1);
    config.pre_vote = PreVoting::Off;
    Node::new(config, Recovered::default()).unwrap()
}

fn form(node: &Node) -> Canonical {
    node.canonical(Times::All, Reads::None)
}

fn print(node: &Node) -> u64 {
    form(node).fingerprint(&Renaming::identity())
}

fn step(node: &Node, model_event: &ModelEvent) -> Outcome {
    node.step(Disks::Immediate, model_event, None)
}

/// Lets the messages to `to` arrive, and returns what it sends.
fn deliver(node: &mut Node, messages: &[Envelope]) -> Vec<Envelope> {
    let (mut sent, id) = (Vec::new(), node.raft().id());
    for envelope in messages.iter().filter(|it| it.to == id) {
        let outcome = step(node, &ModelEvent::Receives(envelope.clone()));
        *node = outcome.node;
        sent.extend(outcome.sent);
    }
    sent
}

/// n1 campaigns and is elected by n2, and is given a command: the states on the way. Everything
/// happens this much later than at the earliest.
fn election(later: Duration) -> Vec<Node> {
    let start = |id| node(id).shifted(later).start(Disks::Immediate, None).node;
    let (mut one, mut two) = (start(1), start(2));
    let mut states = vec![one.clone(), two.clone()];
    let outcome = step(&one, &ModelEvent::TimesOut);
    one = outcome.node;
    let mut sent = outcome.sent;
    while !sent.is_empty() {
        let mut answers = deliver(&mut two, &sent);
        answers.extend(deliver(&mut one, &sent));
        sent = answers;
        states.extend([one.clone(), two.clone()]);
    }
    assert_eq!(one.raft().leader(), Some(NodeId(1)));
    states.push(step(&one, &ModelEvent::Proposes { number: 1 }).node);
    states.push(step(&one, &ModelEvent::Wakes).node);
    states
}

#[test]
fn a_node_that_lives_later_is_in_the_same_state() {
    let (early, late) = (election(Duration::ZERO), election(HOUR));
    assert_eq!(early.len(), late.len());
    for (early, late) in early.iter().zip(&late) {
        assert_eq!(form(early), form(late));
        assert_eq!(print(early), print(late));
    }
}

#[test]
fn states_that_differ_have_different_fingerprints() {
    let mut states: Vec<Node> = Vec::new();
    for state in election(Duration::ZERO) {
        if states.iter().all(|known| form(known) != form(&state)) {
            states.push(state);
        }
    }
    let mut prints: Vec<u64> = states.iter().map(print).collect();
    let count = prints.len();
    assert!(count > 8, "{count}");
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), count);
}

#[test]
fn time_that_passes_makes_another_state_until_it_no_longer_matters() {
    let start = node(1).start(Disks::Immediate, None).node;
    let soon = start.shifted(Duration::from_millis(100));
    assert_ne!(form(&start), form(&soon));
    // All its instants are long ago, and their order is the same.
    let old = start.shifted(Canonical::OLD * 2);
    assert_eq!(form(&old), form(&start.shifted(Canonical::OLD * 3)));
    assert_ne!(form(&old), form(&soon));
}

#[test]
fn a_node_under_another_name_is_another_state_and_the_same_when_renamed() {
    let start = |id: u64| node(id).start(Disks::Immediate, None).node;
    let voted = |id: u64| step(&start(id), &ModelEvent::TimesOut).node;
    let (one, two) = (form(&voted(1)), form(&voted(2)));
    let plain = Renaming::identity();
    assert_ne!(one.fingerprint(&plain), two.fingerprint(&plain));
    let prints = |form: &Canonical| {
        let all = Renaming::all(3);
        assert_eq!(all.len(), 6);
        let mut prints: Vec<u64> = all.iter().map(|it| form.fingerprint(it)).collect();
        prints.sort_unstable();
        prints
    };
    assert_eq!(prints(&one), prints(&two));
    assert_ne!(prints(&one), prints(&form(&start(1))));
}

#[test]
fn writes_that_are_not_reported_belong_to_the_state() {
    let start = node(1).start(Disks::Lagging, None).node;
    let candidate = |node: &Node| node.step(Disks::Lagging, &ModelEvent::TimesOut, None).node;
    let asks = candidate(&start);
    let persisted = asks.step(Disks::Lagging, &ModelEvent::Persists, None).node;
    assert_ne!(form(&asks), form(&persisted));
}
