//! Every network of three servers, and the graphs that say which these are. `raft-sim graphs` tries
//! those of four and five.
#![cfg(feature = "search")]
#![allow(clippy::unwrap_used, missing_docs)]

use raft_proto::{CheckQuorum, PreVoting};
use raft_sim::graphs::graph::Graph;
use raft_sim::graphs::summary::{Kind, Report};
use raft_sim::graphs::{Request, survey};

fn request(nodes: u8) -> Request {
    Request {
        seed: 1,
        nodes,
        pre_vote: PreVoting::On,
        check_quorum: CheckQuorum::On,
    }
}

#[test]
fn there_are_as_many_classes_of_graphs_as_mathematics_says() {
    let counts = (1..=4).map(|nodes| Graph::classes(nodes).len());
    assert_eq!(counts.collect::<Vec<_>>(), [1, 3, 16, 218]);
    assert_eq!(Graph::all(4).count(), 1 << 12);
}

#[test]
fn a_class_stands_for_all_its_graphs() {
    let classes = Graph::classes(4);
    for kind in Kind::ALL {
        let is_of = |graph: &Graph| Kind::of(*graph) == kind;
        assert!(classes.iter().any(is_of) && Graph::all(4).any(|it| is_of(&it)));
    }
    // A path between four servers: its inner two reach a majority, no three reach each other.
    let path = [(0, 2), (0, 3), (1, 3)].into_iter();
    let path = path.fold(Graph::full(4), |graph, (one, other)| {
        graph.without(one, other).without(other, one)
    });
    assert_eq!(path.to_string(), "1-2 2-3 3-4");
    assert_eq!(path.hubs().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(Kind::of(path), Kind::HubOnly);
    // One way only is no way for a leader.
    let one_way = Graph::full(3).without(0, 1).without(2, 0).without(1, 2);
    assert_eq!(Kind::of(one_way), Kind::NoHub);
}

// Thesis 6.2, 9.6: a leader whose majority all reach each other stays, whoever else reaches whom.
#[test]
fn a_majority_that_reaches_itself_has_a_quiet_leader_that_commits_in_every_network_of_three() {
    let samples = survey(&request(3), || ()).unwrap();
    assert!(Report::new(request(3), &samples).is_as_promised());
}

#[test]
fn without_pre_vote_a_server_that_hears_nobody_disturbs_its_cluster() {
    let request = Request {
        pre_vote: PreVoting::Off,
        ..request(3)
    };
    let samples = survey(&request, || ()).unwrap();
    assert!(!Report::new(request, &samples).is_as_promised());
}
