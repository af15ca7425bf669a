//! A node measures what its documentation says.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use raft_driver_thread::Node;
use raft_driver_thread::raft_proto::NodeId;
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::Network;
use std::collections::BTreeMap;
use support::{Journal, TIMEOUT, wait_for};

#[test]
fn a_node_measures_its_term_leadership_proposals_and_syncs() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let transport = Network::new(1).transport(NodeId(1));
    let options = support::options(1, 1);
    let node = metrics::with_local_recorder(&recorder, || {
        Node::start(options, MemoryStorage::new(), transport, Journal::default()).unwrap()
    });
    wait_for("a command to be applied", || {
        node.execute("a", TIMEOUT).ok()
    });
    // The caller has its answer before the core is told that the command was applied.
    wait_for("the core to be told", || {
        (node.state().applied_index.0 == 2).then_some(())
    });
    let status = node.status().unwrap();
    drop(node);
    let measured = snapshotter.snapshot().into_vec().into_iter();
    let measured: BTreeMap<String, DebugValue> = measured
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value()).collect();
            assert_eq!(labels, ["n1"]);
            (key.key().name().to_owned(), value)
        })
        .collect();
    assert_eq!(measured.len(), 27);
    let none_read = &measured["raft_scrubbed_bytes_total"];
    assert_eq!(*none_read, DebugValue::Counter(0));
    assert_eq!(
        measured["raft_decayed_files"],
        DebugValue::Gauge(0.0.into())
    );
    assert_eq!(
        measured["raft_mended_entries_total"],
        DebugValue::Counter(0)
    );
    assert_eq!(measured["raft_impaired"], DebugValue::Gauge(0.0.into()));
    assert_eq!(
        measured["raft_uncommitted_bytes"],
        DebugValue::Gauge(0.0.into())
    );
    assert_eq!(
        measured["raft_waiting_reads"],
        DebugValue::Gauge(0.0.into())
    );
    assert_eq!(measured["raft_has_lease"], DebugValue::Gauge(0.0.into()));
    let gauge = |value: u64| DebugValue::Gauge((value as f64).into());
    assert_eq!(measured["raft_term"], gauge(status.term.0));
    assert_eq!(measured["raft_is_leader"], gauge(1));
    assert_eq!(measured["raft_commit_index"], gauge(2));
    assert_eq!(measured["raft_apply_lag_entries"], gauge(0));
    // One, unless its vote was so late on the disk that it asked for it again.
    let elections = DebugValue::Counter(status.term.0);
    assert_eq!(measured["raft_elections_total"], elections);
    let DebugValue::Counter(proposals) = measured["raft_proposals_total"] else {
        panic!("{measured:?}");
    };
    // Those that were refused before the election count as well.
    assert!(proposals >= 1);
    let DebugValue::Histogram(writes) = &measured["raft_sync_writes"] else {
        panic!("{measured:?}");
    };
    assert!(!writes.is_empty());
}

#[test]
fn a_leader_measures_how_far_its_peers_lag() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let network = Network::new(1);
    let start = |id| {
        let transport = network.transport(NodeId(id));
        let options = support::options(id, 3);
        Node::start(options, MemoryStorage::new(), transport, Journal::default()).unwrap()
    };
    // The core's thread makes the peers' handles: it uses the recorder of the process.
    metrics::set_global_recorder(recorder).unwrap();
    let nodes = [start(1), start(2), start(3)];
    wait_for("a command to be applied", || {
        nodes
            .iter()
            .find_map(|node| node.execute("a", TIMEOUT).ok())
    });
    wait_for("all peers' lags to be zero", || {
        let measured = snapshotter.snapshot().into_vec().into_iter();
        let lags: Vec<_> = measured
            .filter(|(key, ..)| key.key().name() == "raft_peer_lag_entries")
            .map(|(.., value)| value)
            .collect();
        let is_zero = |value: &DebugValue| *value == DebugValue::Gauge(0.0.into());
        (lags.len() >= 2 && lags.iter().all(is_zero)).then_some(())
    });
}
