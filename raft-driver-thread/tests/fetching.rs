//! A node whose disk has lost entries in the midst of its log fetches them before it takes part in
//! the protocol, from members only, and starts with what is whole if nobody answers.
#![cfg(all(feature = "tcp", feature = "disk"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::inbox;
use raft_driver_thread::raft_proto::comparison::{Noted, SnapshotOrigin, StateDigest};
use raft_driver_thread::raft_proto::mending::{Fetch, FetchReply, MAX_FETCH_BYTES, Request, serve};
use raft_driver_thread::raft_proto::{
    ClusterId, Config, Entries, EntriesBuilder, EntryId, EntryKind, HardState, Identity, Index,
    Member, Membership, NodeId, Seq, SnapshotId, SnapshotMeta, Start, Term, Write as LogWrite,
};
use raft_driver_thread::storage::Storage;
use raft_driver_thread::storage::disk::files::System;
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage, OnDamage, inspect};
use raft_driver_thread::transport::channel::{ChannelTransport, Network};
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::transport::{EntrySource, Transport};
use raft_driver_thread::{Node, Options};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{Journal, TIMEOUT, wait_for};

/// Has these entries.
struct Holder(Vec<Entries>);

impl EntrySource for Holder {
    fn fetch(&self, fetch: &Fetch) -> FetchReply {
        serve(&self.0, fetch)
    }
}

fn entries(lengths: &[usize]) -> Entries {
    let mut entries = EntriesBuilder::new();
    for (at, length) in lengths.iter().enumerate() {
        let id = EntryId::new(at as u64 + 1, 1);
        let payload = vec![b'v'; *length].into();
        entries.push(id, EntryKind::Command, payload).unwrap();
    }
    entries.finish()
}

fn fetch(first: u64, last: u64) -> Fetch {
    Fetch {
        first: Index(first),
        last: Index(last),
        max_bytes: MAX_FETCH_BYTES,
    }
}

/// That of node 1, which serves.
fn tcp_serving(source: Arc<dyn EntrySource>) -> TcpTransport {
    let mut options = TcpOptions::new(Security::PlaintextUnauthenticated);
    be_patient(&mut options);
    let mut transport = TcpTransport::bind("127.0.0.1:0", options).unwrap();
    transport.serve_entries(source);
    let start = Start::voters([NodeId(1), NodeId(2)]);
    let config = Config::new(ClusterId(7), NodeId(1), start, 1);
    let (inbox, _) = inbox(1 << 20);
    transport.start(&config, inbox).unwrap();
    transport
}

/// A transport of node `id` that runs, in the cluster `cluster`.
fn tcp(id: u64, cluster: u64, source: Option<Holder>) -> TcpTransport {
    tcp_with(be_patient, id, cluster, source)
}

/// A peer on a busy machine may take its time.
fn be_patient(options: &mut TcpOptions) {
    options.silence_timeout = Some(TIMEOUT);
    options.handshake_timeout = TIMEOUT;
}

fn tcp_with(
    change: impl FnOnce(&mut TcpOptions),
    id: u64,
    cluster: u64,
    source: Option<Holder>,
) -> TcpTransport {
    let mut options = TcpOptions::new(Security::PlaintextUnauthenticated);
    change(&mut options);
    let mut transport = TcpTransport::bind("127.0.0.1:0", options).unwrap();
    if let Some(source) = source {
        transport.serve_entries(Arc::new(source));
    }
    let start = Start::voters([NodeId(1), NodeId(2)]);
    let config = Config::new(ClusterId(cluster), NodeId(id), start, id);
    let (inbox, _) = inbox(1 << 20);
    transport.start(&config, inbox).unwrap();
    transport
}

fn know(transport: &mut TcpTransport, members: &[(u64, String)]) {
    let members = members
        .iter()
        .map(|(id, address)| Member::voter(NodeId(*id)).with_context(address.clone()));
    transport.set_members(&Membership::of(members));
}

#[test]
fn a_member_fetches_entries_over_tcp_and_a_stranger_none() {
    let held = entries(&[10, 3 << 20, 0, 7]);
    let mut holder = tcp(1, 7, Some(Holder(vec![held.clone()])));
    let mut member = tcp(2, 7, None);
    let mut stranger = tcp(3, 7, None);
    let address = holder.local_address().to_string();
    let all = [
        (1, address.clone()),
        (2, member.local_address().to_string()),
    ];
    for transport in [&mut holder, &mut member, &mut stranger] {
        know(transport, &all);
    }
    let of = |reply| {
        let FetchReply::Entries(entries) = reply else {
            panic!("{reply:?}");
        };
        entries
    };
    let first = of(member.fetch_entries(NodeId(1), &fetch(1, 4)));
    assert_eq!(first, entries(&[10]), "an answer is bounded");
    let second = of(member.fetch_entries(NodeId(1), &fetch(2, 4)));
    assert_eq!(second.bytes(), (3 << 20) + 16, "an entry may be longer");
    let third = of(member.fetch_entries(NodeId(1), &fetch(3, 4)));
    let rest: Vec<_> = held.iter().skip(2).map(|it| it.id()).collect();
    assert_eq!(third.iter().map(|it| it.id()).collect::<Vec<_>>(), rest);
    let none = member.fetch_entries(NodeId(1), &fetch(5, 9));
    assert_eq!(none, FetchReply::HaveNot);
    let refused = stranger.fetch_entries(NodeId(1), &fetch(1, 4));
    assert_eq!(refused, FetchReply::Unreachable);
    // It serves nobody.
    let nobody = holder.fetch_entries(NodeId(2), &fetch(1, 4));
    assert_eq!(nobody, FetchReply::Unreachable);
}

/// Has all that may be asked for.
struct Everything;

fn snapshot() -> SnapshotMeta {
    SnapshotMeta {
        id: SnapshotId::of(EntryId::new(9, 2), &[5; 3000]),
        membership: Membership::new([NodeId(1), NodeId(2)]),
    }
}

fn digests() -> Vec<StateDigest> {
    let digest = |index| StateDigest {
        after: EntryId::new(index, 2),
        kind: 3,
        value: u128::MAX - u128::from(index),
        origin: None,
    };
    (1..40).map(digest).collect()
}

/// Of some digests the origin is known.
fn noted() -> Noted {
    let mut digests = digests();
    for (digest, origin) in digests.iter_mut().step_by(2).zip(1..) {
        digest.origin = Some(NodeId(origin));
    }
    let snapshot = snapshot().id;
    let later = SnapshotId {
        size: 7,
        ..snapshot
    };
    let snapshots = [(snapshot, 3), (later, u64::MAX)];
    let known = snapshots.map(|(snapshot, origin)| SnapshotOrigin {
        snapshot,
        origin: NodeId(origin),
    });
    Noted {
        digests,
        snapshots: known.into(),
    }
}

impl EntrySource for Everything {
    fn fetch(&self, _: &Fetch) -> FetchReply {
        FetchReply::Unreachable
    }

    fn answer(&self, request: &Request) -> FetchReply {
        match *request {
            Request::Entries(_) => FetchReply::Unreachable,
            Request::Digests => FetchReply::Digests(digests()),
            Request::Noted => FetchReply::Noted(noted()),
            Request::Snapshot { at_least } if at_least <= Index(9) => {
                FetchReply::Snapshot(snapshot())
            }
            Request::Chunk {
                snapshot: id,
                offset,
                length,
            } if id == snapshot().id => {
                let end = (offset + length).min(3000);
                FetchReply::Chunk(vec![5; (end - offset) as usize].into())
            }
            Request::Snapshot { .. } | Request::Chunk { .. } => FetchReply::HaveNot,
        }
    }
}

#[test]
fn digests_and_snapshots_pass_over_tcp_and_an_earlier_release_has_none() {
    let mut holder = tcp_serving(Arc::new(Everything));
    let mut earlier = tcp(3, 7, Some(Holder(vec![entries(&[1])])));
    let mut member = tcp(2, 7, None);
    let all = [
        (1, holder.local_address().to_string()),
        (2, member.local_address().to_string()),
        (3, earlier.local_address().to_string()),
    ];
    for transport in [&mut holder, &mut member, &mut earlier] {
        know(transport, &all);
    }
    let fetcher = member.fetcher().unwrap();
    let ask = |request: &Request| fetcher.fetch(NodeId(1), request);
    let at_least = |index| Request::Snapshot {
        at_least: Index(index),
    };
    let chunk = |id| Request::Chunk {
        snapshot: id,
        offset: 2990,
        length: 100,
    };
    assert_eq!(ask(&Request::Digests), FetchReply::Digests(digests()));
    assert_eq!(ask(&Request::Noted), FetchReply::Noted(noted()));
    assert_eq!(ask(&at_least(9)), FetchReply::Snapshot(snapshot()));
    assert_eq!(ask(&at_least(10)), FetchReply::HaveNot);
    let id = snapshot().id;
    let bytes = vec![5; 10].into();
    assert_eq!(ask(&chunk(id)), FetchReply::Chunk(bytes));
    let other = SnapshotId { size: 1, ..id };
    assert_eq!(ask(&chunk(other)), FetchReply::HaveNot);
    // A server that knows of entries alone is asked with a first index that no log has.
    for request in [Request::Digests, Request::Noted, at_least(0)] {
        assert_eq!(fetcher.fetch(NodeId(3), &request), FetchReply::HaveNot);
    }
}

#[test]
fn a_reply_that_is_none_is_as_good_as_no_reply() {
    let mut member = tcp(2, 7, None);
    let bad_origin = [[50, 0, 0, 0, 6].as_slice(), &[0; 48], &[2]].concat();
    for reply in [
        &[0, 0, 0, 0][..],
        &[1, 0, 0, 0, 9],
        &[3, 0, 0, 0, 0, 1, 2],
        &[0xff, 0xff, 0xff, 0xff, 0],
        &[2, 0, 0, 0, 1, 1],
        // More snapshots than bytes; and an origin that is neither known nor unknown.
        &[
            9, 0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
        bad_origin.as_slice(),
    ] {
        let sent = reply.to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        know(&mut member, &[(1, address), (2, "127.0.0.1:1".into())]);
        let liar = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 38];
            stream.read_exact(&mut hello).unwrap();
            assert_eq!(hello[37], 3);
            stream.write_all(&[0]).unwrap();
            let mut request = [0; 24];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&sent).unwrap();
        });
        let found = member.fetch_entries(NodeId(1), &fetch(1, 4));
        assert_eq!(found, FetchReply::Unreachable, "{reply:?}");
        liar.join().unwrap();
    }
}

#[test]
fn a_peer_that_dribbles_its_reply_is_not_waited_for() {
    let silence = Duration::from_millis(100);
    let change = |options: &mut TcpOptions| options.silence_timeout = Some(silence);
    let mut member = tcp_with(change, 2, 7, None);
    // Empty frames without end; and a reply of a mebibyte, byte by byte.
    for (begin, more) in [(&[0; 4][..], &[0; 4][..]), (&[0, 0, 16, 0], &[0])] {
        // On a busy machine the member may give up before the peer has begun.
        wait_for("a peer that dribbles", || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            know(&mut member, &[(1, address), (2, "127.0.0.1:1".into())]);
            let dribbler = std::thread::spawn(move || dribble(&listener, begin, more));
            let found = member.fetch_entries(NodeId(1), &fetch(1, 4));
            assert_eq!(found, FetchReply::Unreachable);
            dribbler.join().unwrap().ok()
        });
    }
}

/// Takes a request, and answers it until the other end closes the connection. An error if that was
/// closed before.
fn dribble(listener: &TcpListener, begin: &[u8], more: &[u8]) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.read_exact(&mut [0; 38])?;
    stream.write_all(&[0])?;
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(begin)?;
    stream.set_read_timeout(Some(Duration::from_millis(25)))?;
    while stream.write_all(more).is_ok() && stream.read(&mut [0]).is_err() {}
    Ok(())
}

const LENGTHS: [usize; 20] = [100; 20];

fn config() -> Config {
    let start = Start::voters([NodeId(1), NodeId(2), NodeId(3)]);
    Config::new(ClusterId(7), NodeId(1), start, 1)
}

/// The folder of node 1, with entries, one of which is damaged.
fn damaged(folder: &Path) {
    let config = config();
    let mut storage = DiskStorage::open(folder).unwrap();
    storage.recover().unwrap();
    for (seq, entry) in (1..).zip(&entries(&LENGTHS)) {
        let mut one = EntriesBuilder::new();
        one.push(entry.id(), entry.kind(), entry.share_payload())
            .unwrap();
        let identity = Identity {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            node_id: config.node_id,
            bootstrap: Membership::new([NodeId(1), NodeId(2), NodeId(3)]),
            incarnation: None,
        };
        let write = LogWrite {
            seq: Seq(seq),
            identity: (seq == 1).then(|| Box::new(identity)),
            hard_state: Some(HardState {
                term: Term(1),
                voted_for: None,
            }),
            entries: one.finish(),
            ..LogWrite::default()
        };
        storage.write(&[write]).unwrap();
    }
    drop(storage);
    let log = fs::read_dir(folder.join("log")).unwrap();
    let mut segments: Vec<_> = log.map(|file| file.unwrap().path()).collect();
    segments.sort();
    let segment = &segments[0];
    let mut bytes = fs::read(segment).unwrap();
    let values = bytes.windows(100).enumerate();
    let values = values.filter(|(_, part)| part.iter().all(|byte| *byte == b'v'));
    let at = values.map(|(at, _)| at).nth(9).unwrap();
    bytes[at + 50] ^= 1;
    fs::write(segment, bytes).unwrap();
}

fn start(folder: &Path, network: &Network, mend_timeout: Duration) -> Node<Journal> {
    let options = DiskOptions {
        on_damage: OnDamage::Mend,
        ..DiskOptions::default()
    };
    let storage = DiskStorage::open_with(Arc::new(System), folder, options).unwrap();
    let mut options = Options::new(config());
    options.mend_timeout = mend_timeout;
    let transport = network.transport(NodeId(1));
    Node::start(options, storage, transport, Journal::default()).unwrap()
}

/// A node in the network that has these entries.
fn holder(network: &Network, id: u64, whole: Vec<Entries>) -> ChannelTransport {
    let mut transport = network.transport(NodeId(id));
    transport.serve_entries(Arc::new(Holder(whole)));
    let mut config = config();
    config.node_id = NodeId(id);
    let (inbox, _) = inbox(1 << 20);
    transport.start(&config, inbox).unwrap();
    transport
}

#[test]
fn a_node_is_whole_before_it_runs_if_one_peer_has_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    damaged(folder.path());
    let network = Network::new(1);
    let _nothing = holder(&network, 2, Vec::new());
    let _all = holder(&network, 3, vec![entries(&LENGTHS)]);
    let node = start(folder.path(), &network, TIMEOUT);
    assert_eq!(node.mended_entries(), 1);
    let status = node.status().unwrap();
    assert_eq!(status.impaired, None);
    assert_eq!(status.last_log, EntryId::new(20, 1));
    node.kill();
    drop(node);
    let found = inspect(folder.path(), |_| ()).unwrap();
    assert_eq!(found.problems, []);
}

#[test]
fn a_node_starts_with_what_is_whole_if_no_peer_has_the_rest_or_none_answers() {
    for (has_answers, limit) in [(true, TIMEOUT), (false, Duration::from_millis(1))] {
        let folder = tempfile::tempdir().unwrap();
        damaged(folder.path());
        let network = Network::new(1);
        let other = {
            let lengths = [101; LENGTHS.len()];
            entries(&lengths)
        };
        let peers = if has_answers {
            vec![
                holder(&network, 2, Vec::new()),
                holder(&network, 3, vec![other]),
            ]
        } else {
            Vec::new()
        };
        let node = start(folder.path(), &network, limit);
        assert_eq!(node.mended_entries(), 0);
        let status = node.status().unwrap();
        assert_eq!(status.impaired, Some(EntryId::new(20, 1)));
        assert!(status.last_log.index < Index(20), "{}", status.last_log);
        drop(peers);
    }
}

#[test]
fn a_node_that_runs_serves_what_is_on_its_disk() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::new(1);
    let storage = DiskStorage::open(folder.path()).unwrap();
    let mut config = config();
    config.start = Start::voters([NodeId(1)]);
    let transport = network.transport(NodeId(1));
    let node = Node::start(Options::new(config), storage, transport, Journal::default()).unwrap();
    let mut applied = wait_for("a leader", || node.execute("one", TIMEOUT).ok());
    for _ in 0..5 {
        applied = node.execute("more", TIMEOUT).unwrap();
    }
    let last = applied.id.index;
    let mut asker = holder(&network, 2, Vec::new());
    let reply = asker.fetch_entries(NodeId(1), &fetch(last.0 - 2, last.0));
    let FetchReply::Entries(entries) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(entries.len(), 3);
    assert_eq!(entries.last_id(), Some(applied.id));
    let none = asker.fetch_entries(NodeId(1), &fetch(last.0 + 1, last.0 + 1));
    assert_eq!(none, FetchReply::HaveNot);
}
