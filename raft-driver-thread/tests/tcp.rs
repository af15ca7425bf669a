//! Nodes over TCP: they agree, they know each other, and nothing that comes in does harm.
#![cfg(all(feature = "tls", feature = "disk"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::{Deliveries, Delivery, inbox};
use raft_driver_thread::raft_proto::wire::{self, Envelope};
use raft_driver_thread::raft_proto::{
    ClusterId, Config, Member, Membership, Message, NodeId, Start, Term, TimeoutNow,
};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::Transport;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport, TlsOptions};
use raft_driver_thread::{Node, Options};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use support::{Journal, LIMIT, until};

fn plain() -> TcpOptions {
    TcpOptions::new(Security::PlaintextUnauthenticated)
}

/// One end: its transport and what it hears.
struct End {
    transport: TcpTransport,
    deliveries: Deliveries,
    config: Config,
}

fn end(id: u64, cluster: u64, options: TcpOptions) -> End {
    let mut transport = TcpTransport::bind("127.0.0.1:0", options).unwrap();
    let start = Start::voters([NodeId(1), NodeId(2)]);
    let config = Config::new(ClusterId(cluster), NodeId(id), start, id);
    let (ear, deliveries) = inbox(1 << 20);
    transport.start(&config, ear).unwrap();
    End {
        transport,
        deliveries,
        config,
    }
}

fn introduce(ends: &mut [&mut End]) {
    let members: Vec<Member> = ends
        .iter()
        .map(|end| {
            let address = end.transport.local_address().to_string();
            Member::voter(end.config.node_id).with_context(address)
        })
        .collect();
    let membership = Membership::of(members);
    for end in ends {
        end.transport.set_members(&membership);
    }
}

fn message(term: u64) -> Message {
    Message::TimeoutNow(TimeoutNow { term: Term(term) })
}

/// Sends until something arrives: what is sent before a connection stands may be lost.
fn arrives(from: &mut End, to: &End, term: u64) -> bool {
    let expected = Delivery::Message {
        from: from.config.node_id,
        message: message(term),
    };
    for _ in 0..200 {
        from.transport.send(to.config.node_id, message(term));
        from.transport.flush();
        while let Some(delivery) = to.deliveries.next(Duration::from_millis(10)) {
            if delivery == expected {
                return true;
            }
        }
    }
    false
}

#[test]
fn messages_arrive_both_ways_and_again_after_a_restart() {
    let (mut one, mut two) = (end(1, 7, plain()), end(2, 7, plain()));
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut one, &two, 1));
    assert!(arrives(&mut two, &one, 2));
    let address = two.transport.local_address().to_string();
    two.transport.stop();
    drop(two);
    // The port is free at once, and the connection is made anew.
    let mut transport = TcpTransport::bind(&address, plain()).unwrap();
    let config = Config::new(ClusterId(7), NodeId(2), Start::Join, 2);
    let (ear, deliveries) = inbox(1 << 20);
    transport.start(&config, ear).unwrap();
    let again = End {
        transport,
        deliveries,
        config,
    };
    assert!(arrives(&mut one, &again, 3));
}

#[test]
#[cfg(target_os = "linux")]
fn the_first_message_to_a_peer_that_was_started_anew_arrives() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &[1, 2]);
    let secure = |node| tls(folder.path(), node);
    for options in [[plain(), plain()], [secure(1), secure(2)]] {
        let [ours, theirs] = options;
        let (mut one, mut two) = (end(1, 7, ours), end(2, 7, theirs.clone()));
        introduce(&mut [&mut one, &mut two]);
        assert!(arrives(&mut one, &two, 1));
        let address = two.transport.local_address().to_string();
        two.transport.stop();
        drop(two);
        let mut transport = TcpTransport::bind(&address, theirs).unwrap();
        let config = Config::new(ClusterId(7), NodeId(2), Start::Join, 2);
        let (ear, deliveries) = inbox(1 << 20);
        transport.start(&config, ear).unwrap();
        // As long as an idle connection is.
        let silence = deliveries.next(Duration::from_millis(200));
        assert_eq!(silence, None);
        one.transport.send(NodeId(2), message(2));
        one.transport.flush();
        let heard = deliveries.next(LIMIT);
        let expected = Delivery::Message {
            from: NodeId(1),
            message: message(2),
        };
        assert_eq!(heard, Some(expected));
    }
}

#[test]
fn a_node_that_is_no_member_any_more_is_soon_not_spoken_to() {
    let mut options = plain();
    options.removed_peer_timeout = Duration::from_millis(50);
    let (mut one, mut two) = (end(1, 7, options), end(2, 7, plain()));
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut one, &two, 1));
    let alone = Member::voter(NodeId(1));
    one.transport.set_members(&Membership::of([alone]));
    assert!(arrives(&mut one, &two, 2), "a farewell is heard");
    until("its connection closed and its address forgotten", || {
        one.transport.flush();
        while two.deliveries.next(Duration::ZERO).is_some() {}
        std::thread::park_timeout(Duration::from_millis(100)); // Says nothing for a while.
        one.transport.flush();
        one.transport.send(NodeId(2), message(3));
        one.transport.flush();
        let heard = two.deliveries.next(Duration::from_millis(100));
        heard.is_none().then_some(())
    });
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut one, &two, 4), "a member again");
}

#[test]
fn names_are_looked_up() {
    let (mut one, two) = (end(1, 7, plain()), end(2, 7, plain()));
    let port = two.transport.local_address().port();
    let member = Member::voter(NodeId(2)).with_context(format!("localhost:{port}"));
    one.transport.set_members(&Membership::of([member]));
    assert!(arrives(&mut one, &two, 1));
}

#[test]
fn a_node_that_knows_no_member_yet_answers_those_it_was_introduced_to() {
    let two = end(2, 7, plain());
    let mut options = plain();
    let address = two.transport.local_address().to_string();
    options.initial_addresses = vec![(NodeId(2), address)];
    let mut one = end(1, 7, options);
    one.transport.set_members(&Membership::default());
    assert!(arrives(&mut one, &two, 1));
    // Once it knows members, no others.
    let mut three = end(3, 7, plain());
    let mut two = two;
    let mut options = plain();
    options.initial_addresses = vec![(NodeId(3), three.transport.local_address().to_string())];
    let mut four = end(4, 7, options);
    introduce(&mut [&mut two, &mut four]);
    four.transport.send(NodeId(3), message(9));
    four.transport.flush();
    assert!(arrives(&mut four, &two, 2));
    assert!(three.deliveries.next(Duration::from_millis(100)).is_none());
    three.transport.stop();
}

fn hello(version: u8, cluster: u64, from: u64, to: u64) -> Vec<u8> {
    let mut hello = b"RAFT".to_vec();
    hello.push(version);
    for id in [cluster, 0, from, to] {
        hello.extend_from_slice(&id.to_le_bytes());
    }
    hello.push(0);
    hello
}

fn frame(payload: &[u8], length: u32) -> Vec<u8> {
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// Writes `bytes` to the node and reads until it closes the connection.
fn closes(end: &End, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(end.transport.local_address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let _ = stream.write_all(bytes); // It may have been closed by then.
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
            answer
        }
    }
}

#[test]
fn what_no_peer_sends_closes_its_connection_and_harms_nobody() {
    let mut options = plain();
    options.handshake_timeout = Duration::from_millis(300);
    let (mut one, mut two) = (end(1, 7, options), end(2, 7, plain()));
    introduce(&mut [&mut one, &mut two]);
    let good = hello(1, 7, 2, 1);
    let stranger = Envelope::new(
        &Config::new(ClusterId(7), NodeId(3), Start::Join, 3),
        NodeId(1),
    );
    let spoken = wire::encode(&stranger, &message(1));
    let bad: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 10_000],
        vec![],                                               // Says nothing.
        good[..20].to_vec(),                                  // Stops in its hello.
        hello(9, 7, 2, 1),                                    // Another version.
        hello(1, 8, 2, 1),                                    // Another cluster.
        hello(1, 7, 2, 5),                                    // For another node.
        hello(1, 7, 1, 1),                                    // Claims to be this one.
        [good.clone(), frame(&[], u32::MAX)].concat(),        // A length beyond all limits.
        [good.clone(), frame(&[0xee; 50], 50)].concat(),      // No message.
        [good, frame(&spoken, spoken.len() as u32)].concat(), // In another's name.
    ];
    for bytes in bad {
        closes(&one, &bytes);
        assert!(arrives(&mut two, &one, 5), "after {bytes:02x?}");
    }
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let mut options = plain();
    options.max_connections = 3;
    options.handshake_timeout = LIMIT;
    let one = end(1, 7, options);
    let address = one.transport.local_address();
    let idle: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    assert_eq!(closes(&one, &[]), b"");
    drop(idle);
}

#[test]
fn a_peer_that_reads_nothing_delays_nobody() {
    let mut options = plain();
    options.max_queue_bytes = 1 << 20;
    let mut one = end(1, 7, options);
    // Listens, and never answers.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap().to_string();
    let member = Member::voter(NodeId(2)).with_context(address);
    one.transport.set_members(&Membership::of([member]));
    for term in 0..100_000 {
        one.transport.send(NodeId(2), message(term));
    }
    one.transport.flush();
    one.transport.stop();
}

/// Certificates of one authority, for these nodes.
fn certificates(folder: &Path, nodes: &[u64]) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    fs::write(folder.join("authority.pem"), certificate.pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    for node in nodes {
        let names = vec![format!("node-{node}.raft")];
        let params = rcgen::CertificateParams::new(names).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(folder.join(format!("{node}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{node}.key")), key.serialize_pem()).unwrap();
    }
}

fn tls(folder: &Path, node: u64) -> TcpOptions {
    TcpOptions::new(Security::Tls(TlsOptions {
        authority: folder.join("authority.pem"),
        certificate: folder.join(format!("{node}.pem")),
        key: folder.join(format!("{node}.key")),
    }))
}

#[test]
fn nodes_with_certificates_hear_each_other_and_no_others() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(ours.path(), &[1, 2, 3]);
    certificates(theirs.path(), &[2]);
    let mut one = end(1, 7, tls(ours.path(), 1));
    let mut two = end(2, 7, tls(ours.path(), 2));
    let mut impostor = end(2, 7, tls(ours.path(), 3));
    let mut foreign = end(2, 7, tls(theirs.path(), 2));
    let mut bare = end(2, 7, plain());
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut one, &two, 1) && arrives(&mut two, &one, 2));
    for liar in [&mut impostor, &mut foreign, &mut bare] {
        introduce(&mut [&mut one, liar]);
        for term in 100..120 {
            liar.transport.send(NodeId(1), message(term));
            liar.transport.flush();
            one.transport.send(NodeId(2), message(term));
            one.transport.flush();
            let heard = liar.deliveries.next(Duration::from_millis(10));
            assert!(
                !matches!(heard, Some(Delivery::Message { .. })),
                "{heard:?}"
            );
        }
        // All that `one` has heard is from the real one.
        while let Some(heard) = one.deliveries.next(Duration::ZERO) {
            assert!(!is_lie(&heard), "{heard:?}");
        }
    }
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut two, &one, 3));
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &[1]);
    fs::write(folder.path().join("1.pem"), "nothing").unwrap();
    let mut transport = TcpTransport::bind("127.0.0.1:0", tls(folder.path(), 1)).unwrap();
    let config = Config::new(ClusterId(7), NodeId(1), Start::Join, 1);
    let error = transport
        .start(&config, inbox(1).0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("1.pem") && error.contains("certificate"),
        "{error}"
    );
}

/// What the liars say.
fn is_lie(heard: &Delivery) -> bool {
    matches!(heard, Delivery::Message { message, .. } if message.term() >= Term(100))
}

fn start(id: u64, addresses: &[String], folder: &Path) -> Node<Journal> {
    let members = (1..).zip(addresses);
    let members = members
        .map(|(id, address)| Member::voter(NodeId(id)).with_context(address.clone()))
        .collect();
    let mut options: Options = support::options(id, 3);
    options.config.start = Start::Bootstrap { members };
    let storage = DiskStorage::open(folder.join(format!("{id}"))).unwrap();
    let address = &addresses[id as usize - 1];
    let transport = TcpTransport::bind(address, plain()).unwrap();
    Node::start(options, storage, transport, Journal::default()).unwrap()
}

fn one(nodes: &[Node<Journal>], command: &[u8]) {
    until("a command applied", || {
        nodes.iter().find_map(|node| {
            let (_, ticket) = node.propose(command.to_vec()).ok()?;
            ticket.wait_timeout(Duration::from_secs(2)).ok()
        })
    });
}

#[test]
fn three_nodes_with_disks_agree_over_tcp_and_find_all_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let free = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free: Vec<_> = (0..3).map(free).collect();
    let addresses: Vec<String> = free
        .iter()
        .map(|listener| listener.local_addr().unwrap().to_string())
        .collect();
    drop(free);
    let mut expected = Vec::new();
    for round in 0..3_u8 {
        let nodes: Vec<_> = (1..=3)
            .map(|id| start(id, &addresses, folder.path()))
            .collect();
        for number in 0..20 {
            one(&nodes, &[round, number]);
            expected.push(vec![round, number]);
        }
        for node in &nodes {
            let mode = raft_driver_thread::raft_proto::ReadMode::Quorum;
            let mut journal = until("a read served", || {
                let read = node.read(mode, |journal| journal.0.clone());
                read.wait_timeout(Duration::from_secs(5)).ok()
            });
            journal.dedup(); // A command that was slow may have been offered twice.
            assert_eq!(journal, expected);
        }
    }
}
