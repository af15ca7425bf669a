//! A peer's snapshot stands for what a disk has lost and no peer has as entries any more: exactly
//! where everything that was acknowledged is in it, or in the log behind it, or was never
//! committed.
#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use bytes::Bytes;
use raft_driver_thread::inbox::inbox;
use raft_driver_thread::raft_proto::mending::{Fetch, FetchReply, Request};
use raft_driver_thread::raft_proto::{
    ClusterId, Compaction, Config, EntriesBuilder, EntryId, EntryKind, HardState, HistoryId,
    Identity, Index, Membership, NodeId, Recovered, Seq, SnapshotId, SnapshotMeta, Start, Term,
    Write as LogWrite,
};
use raft_driver_thread::storage::disk::files::System;
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage, OnDamage, inspect};
use raft_driver_thread::storage::{Snapshots, Storage};
use raft_driver_thread::transport::channel::{ChannelTransport, Network};
use raft_driver_thread::transport::{EntrySource, Transport};
use raft_driver_thread::{Node, Options};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use support::{Journal, TIMEOUT};

const NODE: NodeId = NodeId(1);
const LAST: EntryId = EntryId {
    index: Index(20),
    term: Term(3),
};

fn members() -> Membership {
    Membership::new([NodeId(1), NodeId(2), NodeId(3)])
}

fn config() -> Config {
    let start = Start::voters([NodeId(1), NodeId(2), NodeId(3)]);
    Config::new(ClusterId(7), NODE, start, 1)
}

/// Of term 3, as is the vote.
fn write(seq: u64, index: u64) -> LogWrite {
    let mut entries = EntriesBuilder::new();
    let id = EntryId::new(index, 3);
    let payload = Bytes::from(vec![index as u8 | 0x80; 100]);
    entries.push(id, EntryKind::Command, payload).unwrap();
    let config = config();
    let identity = Identity {
        cluster_id: config.cluster_id,
        group_id: config.group_id,
        node_id: config.node_id,
        bootstrap: members(),
        incarnation: None,
    };
    LogWrite {
        seq: Seq(seq),
        identity: (seq == 1).then(|| Box::new(identity)),
        hard_state: Some(HardState {
            term: Term(3),
            voted_for: Some(NodeId(2)),
        }),
        entries: entries.finish(),
        ..LogWrite::default()
    }
}

/// The bytes of a journal with so many commands.
fn journal(commands: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..commands {
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        bytes.push(number as u8);
    }
    bytes
}

fn meta(last: EntryId) -> SnapshotMeta {
    let id = SnapshotId::of(last, &journal(last.index.0));
    let membership = members();
    SnapshotMeta { id, membership }
}

fn store(snapshots: &dyn Snapshots, last: EntryId) -> SnapshotMeta {
    let mut sink = snapshots.create().unwrap();
    sink.write_all(&journal(last.index.0)).unwrap();
    assert_eq!(sink.finish(last).unwrap(), meta(last).id);
    meta(last)
}

/// The folder of node 1, with entries 1 to 20, and with a snapshot after the sixth, if wanted.
fn fill(folder: &Path, has_snapshot: bool) {
    let mut storage = open_with(folder, OnDamage::Refuse);
    storage.recover().unwrap();
    for index in 1..=20 {
        storage.write(&[write(index, index)]).unwrap();
    }
    if has_snapshot {
        let snapshot = store(&*storage.snapshots(), EntryId::new(6, 3));
        let compact = Compaction {
            snapshot,
            drop_through: Index(6),
        };
        let write = LogWrite {
            seq: Seq(21),
            compact: Some(Box::new(compact)),
            ..LogWrite::default()
        };
        storage.write(&[write]).unwrap();
    }
}

fn the_only_file(folder: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().collect();
    assert_eq!(files.len(), 1);
    files.pop().unwrap().unwrap().path()
}

/// Damages these entries.
fn damage(folder: &Path, entries: impl IntoIterator<Item = u64>) {
    let segment = folder.join("log/0000000000000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    for index in entries {
        let payload = [index as u8 | 0x80; 100];
        let found = bytes.windows(100).position(|it| *it == payload);
        bytes[found.unwrap() + 50] ^= 1;
    }
    fs::write(segment, bytes).unwrap();
}

fn damage_snapshot(folder: &Path) {
    let path = the_only_file(&folder.join("snapshots"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[10] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn open(folder: &Path) -> DiskStorage {
    open_with(folder, OnDamage::Mend)
}

fn open_with(folder: &Path, on_damage: OnDamage) -> DiskStorage {
    let options = DiskOptions {
        segment_bytes: 32 << 10, // All is in one segment, which is read quickly.
        incarnation: None,
        on_damage,
    };
    DiskStorage::open_with(Arc::new(System), folder, options).unwrap()
}

/// What is recovered with a snapshot that ends so; `None` if it is not taken.
fn adopt(folder: &Path, snapshot: SnapshotMeta) -> Option<Recovered> {
    let mut storage = open(folder);
    let mut sink = storage.snapshots().create().unwrap();
    sink.write_all(&journal(snapshot.id.last.index.0)).unwrap();
    assert_eq!(sink.finish(snapshot.id.last).unwrap(), snapshot.id);
    if !storage.adopt(&snapshot) {
        return None;
    }
    let recovered = storage.recover().unwrap();
    drop(storage);
    // It is a folder like any other, and stays what it is.
    assert_eq!(inspect(folder, |_| ()).unwrap().problems, []);
    let again = open_with(folder, OnDamage::Refuse).recover().unwrap();
    assert_eq!(again, recovered);
    Some(recovered)
}

fn folder(lost: impl IntoIterator<Item = u64>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), false);
    damage(folder.path(), lost);
    folder
}

fn indexes(recovered: &Recovered) -> Vec<u64> {
    recovered.entries.iter().map(|it| it.index().0).collect()
}

#[test]
fn a_snapshot_behind_the_gap_stands_for_it_and_the_log_behind_it_stays() {
    let lost = folder([9, 10]);
    assert_eq!(
        open(lost.path()).incomplete().unwrap().snapshot_at_least,
        Some(Index(11))
    );
    let snapshot = meta(EntryId::new(12, 3));
    let found = adopt(lost.path(), snapshot.clone()).unwrap();
    assert_eq!(found.impaired, None);
    assert_eq!(found.snapshot, Some(snapshot));
    assert_eq!(indexes(&found), (13..=20).collect::<Vec<_>>());
    assert_eq!(
        found.hard_state.voted_for,
        Some(NodeId(2)),
        "the vote stays"
    );
}

#[test]
fn a_snapshot_that_may_not_reach_over_the_gap_is_not_taken() {
    // At the tenth, nobody can tell whether the eleventh follows it: the tenth is lost.
    for last in [8, 9, 10] {
        let lost = folder([9, 10]);
        assert_eq!(
            adopt(lost.path(), meta(EntryId::new(last, 3))),
            None,
            "{last}"
        );
        // It starts as it did.
        let found = open(lost.path()).recover().unwrap();
        assert_eq!(found.impaired, Some(LAST));
    }
}

#[test]
fn where_the_end_is_lost_the_snapshot_has_to_reach_what_was_acknowledged() {
    for (last, is_taken) in [(19, false), (20, true), (25, true)] {
        let lost = folder([9, 20]);
        let found = adopt(lost.path(), meta(EntryId::new(last, 3)));
        assert_eq!(found.is_some(), is_taken, "{last}");
        if let Some(found) = found {
            assert_eq!((found.impaired, indexes(&found)), (None, vec![]));
        }
    }
}

#[test]
fn entries_behind_one_that_was_not_committed_go() {
    // What is committed at 12 is of term 2: the entries of term 3 there and behind it are not.
    let lost = folder([9]);
    let found = adopt(lost.path(), meta(EntryId::new(12, 2))).unwrap();
    assert_eq!((found.impaired, indexes(&found)), (None, vec![]));
    assert_eq!(found.hard_state.term, Term(3), "the term stays");
}

#[test]
fn a_snapshot_of_a_later_term_brings_that_term_and_no_vote() {
    let lost = folder([9]);
    let found = adopt(lost.path(), meta(EntryId::new(30, 5))).unwrap();
    let hard_state = HardState {
        term: Term(5),
        voted_for: None,
    };
    assert_eq!(found.hard_state, hard_state);
}

#[test]
fn a_snapshot_of_another_history_is_not_taken() {
    let of_history = |number: u64| {
        let membership = members().with_history(HistoryId(number));
        SnapshotMeta {
            membership,
            ..meta(EntryId::new(12, 3))
        }
    };
    let lost = folder([9]);
    let found = adopt(folder([9]).path(), of_history(5));
    assert!(found.is_some(), "the log names none");
    let own = open(lost.path()).recover().unwrap();
    assert_eq!(own.impaired, Some(LAST));
    // A log that names one.
    let named = tempfile::tempdir().unwrap();
    fill_with_history(named.path(), 4);
    damage(named.path(), [9]);
    assert_eq!(adopt(named.path(), of_history(5)), None);
    assert!(adopt(named.path(), of_history(4)).is_some());
}

fn fill_with_history(folder: &Path, number: u64) {
    let mut storage = open_with(folder, OnDamage::Refuse);
    storage.recover().unwrap();
    for index in 1..=20 {
        let mut one = write(index, index);
        if index == 1 {
            let mut entries = EntriesBuilder::new();
            let payload = members().with_history(HistoryId(number)).encode();
            let id = EntryId::new(1, 3);
            entries.push(id, EntryKind::Membership, payload).unwrap();
            one.entries = entries.finish();
        }
        storage.write(&[one]).unwrap();
    }
}

#[test]
fn a_decayed_snapshot_is_replaced_by_that_of_a_peer_and_the_log_stays() {
    for (last, left) in [(6, 7), (9, 10), (20, 21), (22, 21)] {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), true);
        damage_snapshot(folder.path());
        let found = adopt(folder.path(), meta(EntryId::new(last, 3))).unwrap();
        assert_eq!(found.impaired, None);
        assert_eq!(indexes(&found), (left..=20).collect::<Vec<_>>(), "{last}");
    }
    // The entries up to the sixth are dropped: an older one is of no use.
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), true);
    damage_snapshot(folder.path());
    assert_eq!(adopt(folder.path(), meta(EntryId::new(5, 3))), None);
}

#[test]
fn a_node_that_was_impaired_before_is_rescued_at_a_later_start() {
    let lost = folder([9]);
    assert_eq!(open(lost.path()).recover().unwrap().impaired, Some(LAST));
    assert_eq!(adopt(lost.path(), meta(EntryId::new(19, 3))), None);
    let found = adopt(lost.path(), meta(LAST)).unwrap();
    assert_eq!(found.impaired, None);
}

/// Has a snapshot and no entries, as after a compaction.
struct Compacted(SnapshotMeta);

impl EntrySource for Compacted {
    fn fetch(&self, _: &Fetch) -> FetchReply {
        FetchReply::HaveNot
    }

    fn answer(&self, request: &Request) -> FetchReply {
        let id = self.0.id;
        match *request {
            Request::Snapshot { at_least } if id.last.index >= at_least => {
                FetchReply::Snapshot(self.0.clone())
            }
            Request::Chunk {
                snapshot,
                offset,
                length,
            } if snapshot == id => {
                let (from, to) = (offset as usize, (offset + length) as usize);
                FetchReply::Chunk(journal(id.last.index.0)[from..to].to_vec().into())
            }
            Request::Entries(_)
            | Request::Digests
            | Request::Noted
            | Request::Snapshot { .. }
            | Request::Chunk { .. } => FetchReply::HaveNot,
        }
    }
}

fn serving(network: &Network, source: Compacted) -> ChannelTransport {
    let mut transport = network.transport(NodeId(2));
    transport.serve_entries(Arc::new(source));
    let mut config = config();
    config.node_id = NodeId(2);
    let (inbox, _) = inbox(1 << 20);
    transport.start(&config, inbox).unwrap();
    transport
}

fn start(folder: &Path, network: &Network) -> Node<Journal> {
    let mut options = Options::new(config());
    options.mend_timeout = TIMEOUT;
    let transport = network.transport(NODE);
    Node::start(options, open(folder), transport, Journal::default()).unwrap()
}

#[test]
fn a_node_starts_whole_with_a_peers_snapshot_although_another_peer_is_down() {
    let lost = folder([9, 10]);
    let network = Network::new(1);
    let _peer = serving(&network, Compacted(meta(EntryId::new(15, 3))));
    // Node 3 is never reached. It is not waited for: node 2 can help.
    let node = start(lost.path(), &network);
    assert_eq!(node.mended_snapshot(), Some(EntryId::new(15, 3)));
    let status = node.status().unwrap();
    assert_eq!((status.impaired, status.last_log), (None, LAST));
    let applied = node.inspect(|journal| journal.0.len()).wait().unwrap();
    assert_eq!(applied, 15);
}

#[test]
fn a_node_whose_snapshot_has_decayed_starts_with_a_peers() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), true);
    damage_snapshot(folder.path());
    let network = Network::new(1);
    let _peer = serving(&network, Compacted(meta(EntryId::new(8, 3))));
    let node = start(folder.path(), &network);
    assert_eq!(node.mended_snapshot(), Some(EntryId::new(8, 3)));
    assert_eq!(node.status().unwrap().impaired, None);
}
