//! Nodes over TCP: they agree, they authenticate each other, and no input does harm.
#![cfg(all(feature = "tls", feature = "disk"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::{Deliveries, Delivery, inbox};
use raft_driver_thread::raft_proto::wire::{self, Envelope, Received};
use raft_driver_thread::raft_proto::{
    ClusterId, Config, Member, Membership, Message, NodeId, Start, Term, TimeoutNow,
};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::Transport;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Node, Options};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use support::certificates::{certificates, tls};
use support::ports::free_address;
use support::{Journal, TIMEOUT, wait_for};

fn plain() -> TcpOptions {
    TcpOptions::new(Security::PlaintextUnauthenticated)
}

/// A transport, and what it delivers.
struct End {
    transport: TcpTransport,
    deliveries: Deliveries,
    config: Config,
}

fn end(id: u64, cluster: u64, options: TcpOptions) -> End {
    end_at("127.0.0.1:0", id, cluster, options)
}

fn end_at(address: &str, id: u64, cluster: u64, options: TcpOptions) -> End {
    let mut transport = TcpTransport::bind(address, options).unwrap();
    let start = Start::voters([NodeId(1), NodeId(2)]);
    let config = Config::new(ClusterId(cluster), NodeId(id), start, id);
    let (inbox, deliveries) = inbox(1 << 20);
    transport.start(&config, inbox).unwrap();
    End {
        transport,
        deliveries,
        config,
    }
}

impl End {
    fn send(&mut self, to: NodeId, message: Message) {
        self.transport.send(to, message);
        self.transport.flush();
    }

    fn stop(mut self) {
        self.transport.stop();
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
    Message::TimeoutNow(TimeoutNow {
        term: Term(term),
        transfer: 1,
    })
}

fn delivery(from: NodeId, term: u64) -> Delivery {
    let message = message(term);
    let incarnation = None;
    Delivery::Message(Received {
        from,
        incarnation,
        message,
        unknown_bytes: 0,
    })
}

/// Sends until a message arrives: those sent before a connection is established may be lost.
fn arrives(from: &mut End, to: &End, term: u64) -> bool {
    let expected = delivery(from.config.node_id, term);
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        from.send(to.config.node_id, message(term));
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
    let address = free_address();
    let mut one = end(1, 7, plain());
    let mut two = end_at(&address, 2, 7, plain());
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut one, &two, 1));
    assert!(arrives(&mut two, &one, 2));
    two.stop();
    // The port is free at once, and the other node connects again.
    let restarted = end_at(&address, 2, 7, plain());
    assert!(arrives(&mut one, &restarted, 3));
}

#[test]
#[cfg(target_os = "linux")]
fn the_first_message_to_a_restarted_peer_arrives() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &[1, 2]);
    let secure = |node| tls(folder.path(), node);
    for options in [[plain(), plain()], [secure(1), secure(2)]] {
        let [ours, theirs] = options;
        let address = free_address();
        let mut one = end(1, 7, ours);
        let mut two = end_at(&address, 2, 7, theirs.clone());
        introduce(&mut [&mut one, &mut two]);
        assert!(arrives(&mut one, &two, 1));
        two.stop();
        let restarted = end_at(&address, 2, 7, theirs);
        // An idle connection says nothing for as long as that; but the first message was sent more
        // than once.
        let silence = Duration::from_millis(200);
        while let Some(late) = restarted.deliveries.next(silence) {
            assert_eq!(late, delivery(NodeId(1), 1));
        }
        one.send(NodeId(2), message(2));
        let mut received = std::iter::from_fn(|| restarted.deliveries.next(TIMEOUT));
        let arrived = received.find(|it| *it != delivery(NodeId(1), 1));
        assert_eq!(arrived, Some(delivery(NodeId(1), 2)));
    }
}

#[test]
fn a_peer_that_ends_is_reported_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &[1, 2]);
    let secure = |node| tls(folder.path(), node);
    for options in [[plain(), plain()], [secure(1), secure(2)]] {
        let [ours, theirs] = options;
        let (mut one, mut two) = (end(1, 7, ours), end(2, 7, theirs));
        introduce(&mut [&mut one, &mut two]);
        assert!(arrives(&mut two, &one, 1));
        two.stop();
        let peer = NodeId(2);
        let deliveries = std::iter::from_fn(|| one.deliveries.next(TIMEOUT));
        let mut ends = deliveries.filter(|it| *it == Delivery::Unreachable { peer });
        assert!(ends.next().is_some());
    }
}

#[test]
fn a_removed_member_is_still_sent_messages_for_a_moment_and_then_none() {
    const MOMENT: Duration = Duration::from_millis(500);
    let mut options = plain();
    options.removed_peer_timeout = MOMENT;
    let (mut one, mut two) = (end(1, 7, options), end(2, 7, plain()));
    // On a busy machine the moment may be over before a message is sent.
    wait_for("a message to a removed member", || {
        introduce(&mut [&mut one, &mut two]);
        assert!(arrives(&mut one, &two, 1));
        let alone = Member::voter(NodeId(1));
        one.transport.set_members(&Membership::of([alone]));
        one.send(NodeId(2), message(2));
        let mut received = std::iter::from_fn(|| two.deliveries.next(MOMENT));
        received.find(|it| *it == delivery(NodeId(1), 2))
    });
    wait_for(
        "its connection to be closed and its address forgotten",
        || {
            one.transport.flush();
            while two.deliveries.next(Duration::ZERO).is_some() {}
            // Sends nothing for longer than `removed_peer_timeout`.
            std::thread::park_timeout(Duration::from_millis(600));
            one.transport.flush();
            one.send(NodeId(2), message(3));
            let received = two.deliveries.next(Duration::from_millis(100));
            received.is_none().then_some(())
        },
    );
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut one, &two, 4), "a member again");
}

#[test]
fn host_names_are_resolved() {
    let (mut one, two) = (end(1, 7, plain()), end(2, 7, plain()));
    let port = two.transport.local_address().port();
    let member = Member::voter(NodeId(2)).with_context(format!("localhost:{port}"));
    one.transport.set_members(&Membership::of([member]));
    assert!(arrives(&mut one, &two, 1));
}

#[test]
fn a_node_without_a_membership_sends_to_its_initial_addresses() {
    let two = end(2, 7, plain());
    let mut options = plain();
    let address = two.transport.local_address().to_string();
    options.initial_addresses = vec![(NodeId(2), address)];
    let mut one = end(1, 7, options);
    one.transport.set_members(&Membership::default());
    assert!(arrives(&mut one, &two, 1));
    // A node that knows its members sends to no others.
    let three = end(3, 7, plain());
    let mut two = two;
    let mut options = plain();
    options.initial_addresses = vec![(NodeId(3), three.transport.local_address().to_string())];
    let mut four = end(4, 7, options);
    introduce(&mut [&mut two, &mut four]);
    four.send(NodeId(3), message(9));
    assert!(arrives(&mut four, &two, 2));
    assert!(three.deliveries.next(Duration::from_millis(100)).is_none());
    three.stop();
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
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let _ = stream.write_all(bytes); // The node may have closed it by then.
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
fn input_that_no_peer_sends_closes_its_connection_and_harms_no_other() {
    let mut options = plain();
    options.handshake_timeout = Duration::from_millis(300);
    let (mut one, mut two) = (end(1, 7, options), end(2, 7, plain()));
    introduce(&mut [&mut one, &mut two]);
    let good = hello(1, 7, 2, 1);
    let stranger = Envelope::new(
        &Config::new(ClusterId(7), NodeId(3), Start::Join, 3),
        NodeId(1),
    );
    let forged = wire::encode(&stranger, &message(1));
    let bad: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 10_000],
        vec![],                                               // Silence.
        good[..20].to_vec(),                                  // Half of a hello.
        hello(9, 7, 2, 1),                                    // Another version.
        hello(1, 8, 2, 1),                                    // Another cluster.
        hello(1, 7, 2, 5),                                    // For another node.
        hello(1, 7, 1, 1),                                    // Claims to be this one.
        [good.clone(), frame(&[], u32::MAX)].concat(),        // A length beyond the limit.
        [good.clone(), frame(&[0xee; 50], 50)].concat(),      // Not a message.
        [good, frame(&forged, forged.len() as u32)].concat(), // Another node's message.
    ];
    for bytes in bad {
        closes(&one, &bytes);
        assert!(arrives(&mut two, &one, 5), "after {bytes:02x?}");
    }
}

#[test]
fn beyond_the_limit_the_oldest_connection_that_has_not_introduced_itself_is_closed() {
    let mut options = plain();
    options.max_connections = 12;
    options.handshake_timeout = TIMEOUT;
    let one = end(1, 7, options);
    let address = one.transport.local_address();
    let idle: Vec<TcpStream> = (0..4)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for (place, mut stream) in idle.iter().enumerate() {
        let wait = if place == 0 {
            TIMEOUT
        } else {
            Duration::from_millis(20)
        };
        stream.set_read_timeout(Some(wait)).unwrap();
        let is_closed = stream.read(&mut [0]).is_ok();
        assert_eq!(is_closed, place == 0, "connection {place}");
    }
}

#[test]
fn a_peer_that_reads_nothing_does_not_delay_its_sender() {
    let mut options = plain();
    options.max_queue_bytes = 1 << 20;
    let mut one = end(1, 7, options);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let member = Member::voter(NodeId(2)).with_context(address);
    one.transport.set_members(&Membership::of([member]));
    for term in 0..100_000 {
        one.transport.send(NodeId(2), message(term));
    }
    one.transport.flush();
    one.stop();
}

#[test]
fn nodes_with_certificates_accept_each_other_and_no_others() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(ours.path(), &[1, 2, 3]);
    certificates(theirs.path(), &[2]);
    let mut one = end(1, 7, tls(ours.path(), 1));
    let mut two = end(2, 7, tls(ours.path(), 2));
    let mut impostor = end(2, 7, tls(ours.path(), 3));
    let mut foreign = end(2, 7, tls(theirs.path(), 2));
    let mut unencrypted = end(2, 7, plain());
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut one, &two, 1) && arrives(&mut two, &one, 2));
    for intruder in [&mut impostor, &mut foreign, &mut unencrypted] {
        introduce(&mut [&mut one, intruder]);
        for term in 100..120 {
            intruder.send(NodeId(1), message(term));
            one.send(NodeId(2), message(term));
            let received = intruder.deliveries.next(Duration::from_millis(10));
            let is_message = matches!(received, Some(Delivery::Message { .. }));
            assert!(!is_message, "{received:?}");
        }
        while let Some(received) = one.deliveries.next(Duration::ZERO) {
            assert!(!is_from_an_intruder(&received), "{received:?}");
        }
    }
    introduce(&mut [&mut one, &mut two]);
    assert!(arrives(&mut two, &one, 3));
}

#[test]
fn certificates_are_read_again_while_the_transport_runs() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &[1, 2]);
    let mut one = end(1, 7, tls(folder.path(), 1));
    // Another authority, which the first node knows when it reads the files again.
    certificates(folder.path(), &[1, 2]);
    let mut two = end(2, 7, tls(folder.path(), 2));
    introduce(&mut [&mut one, &mut two]);
    let dialer = one.transport.dialer();
    let key = folder.path().join("1.key");
    let saved = fs::read(&key).unwrap();
    fs::write(&key, "no key").unwrap();
    let error = dialer.reload_certificates().unwrap_err();
    assert!(error.to_string().contains("1.key"), "{error}");
    fs::write(&key, saved).unwrap();
    dialer.reload_certificates().unwrap();
    assert!(arrives(&mut two, &one, 1));
    assert!(arrives(&mut one, &two, 2));
}

#[test]
fn a_file_that_is_no_certificate_is_named() {
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

/// The intruders, and only they, send terms of 100 and more.
fn is_from_an_intruder(received: &Delivery) -> bool {
    matches!(received, Delivery::Message(received) if received.message.term() >= Term(100))
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

#[test]
fn three_nodes_with_disks_agree_over_tcp_and_recover_all_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = [0; 3].map(|_| free_address());
    let mut expected = Vec::new();
    for round in 0..3_u8 {
        let nodes = [1, 2, 3].map(|id| start(id, &addresses, folder.path()));
        for number in 0..20 {
            support::commit(&nodes, &[round, number]);
            expected.push(vec![round, number]);
        }
        for node in &nodes {
            let mut journal = support::read_journal(node);
            journal.dedup(); // A command that was slow may have been proposed twice.
            assert_eq!(journal, expected);
        }
    }
}
