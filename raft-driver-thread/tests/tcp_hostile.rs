//! A network that loses everything without a word, peers that say nothing, and strangers.
#![cfg(all(feature = "tcp", feature = "disk"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::{Deliveries, Delivery, inbox};
use raft_driver_thread::raft_proto::wire::{self, Envelope, Received};
use raft_driver_thread::raft_proto::{
    ClusterId, Config, GroupId, Member, Membership, Message, NodeId, Start, Term, TimeoutNow,
};
use raft_driver_thread::transport::Transport;
use raft_driver_thread::transport::tcp::{
    Dialer, PeerStream, Security, StreamService, TcpOptions, TcpTransport,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use support::{Cluster, Environment, TIMEOUT, wait_for};

/// The length of a hello.
const HELLO: usize = 38;

/// Node 1.
fn node(options: TcpOptions) -> (TcpTransport, Deliveries) {
    let transport = TcpTransport::bind("127.0.0.1:0", options).unwrap();
    begin(transport, 1)
}

fn begin(mut transport: TcpTransport, id: u64) -> (TcpTransport, Deliveries) {
    let start = Start::voters([NodeId(1), NodeId(2)]);
    let config = Config::new(ClusterId(7), NodeId(id), start, id);
    let (inbox, deliveries) = inbox(1 << 20);
    transport.start(&config, inbox).unwrap();
    (transport, deliveries)
}

/// Node 1 and node 2 as members, of which the first is at this address.
fn members(transport: &TcpTransport) -> Membership {
    let address = transport.local_address().to_string();
    let own = Member::voter(NodeId(1)).with_context(address);
    Membership::of([own, Member::voter(NodeId(2)).with_context("127.0.0.1:1")])
}

fn options() -> TcpOptions {
    let mut options = TcpOptions::new(Security::PlaintextUnauthenticated);
    options.silence_timeout = Some(Duration::from_millis(200));
    options
}

fn message() -> Message {
    let (term, transfer) = (Term(1), 1);
    Message::TimeoutNow(TimeoutNow { term, transfer })
}

fn hello(from: u64, to: u64) -> Vec<u8> {
    let mut hello = b"RAFT\x01".to_vec();
    for id in [7, 0, from, to] {
        hello.extend_from_slice(&u64::to_le_bytes(id));
    }
    hello.push(0);
    hello
}

#[test]
fn connections_that_the_network_forgot_are_opened_anew_in_both_directions() {
    let cluster = Cluster::within(Environment::tcp(3), 3, |_| {});
    cluster.commit(b"before");
    for round in 0..2_u8 {
        let Environment::Tcp { proxies, .. } = &cluster.environment else {
            unreachable!("it was made above");
        };
        proxies.forget_connections();
        cluster.commit(&[round]);
        cluster.leader();
    }
}

#[test]
fn a_sender_with_nothing_to_say_says_so() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut transport, _deliveries) = node(options());
    let member = Member::voter(NodeId(2)).with_context(peer.local_addr().unwrap().to_string());
    transport.set_members(&Membership::of([member]));
    transport.send(NodeId(2), message());
    transport.flush();
    let (mut connection, _) = peer.accept().unwrap();
    connection.set_read_timeout(Some(TIMEOUT)).unwrap();
    connection.read_exact(&mut [0; HELLO]).unwrap();
    connection.write_all(&[0]).unwrap();
    let mut length = [0; 4];
    connection.read_exact(&mut length).unwrap();
    let mut message = vec![0; u32::from_le_bytes(length) as usize];
    connection.read_exact(&mut message).unwrap();
    for _ in 0..3 {
        connection.read_exact(&mut length).unwrap();
        assert_eq!(length, [0; 4]);
    }
}

#[test]
fn what_a_newer_peer_says_that_is_not_known_is_left_out_and_its_connection_stays() {
    let mut options = options();
    options.silence_timeout = Some(TIMEOUT);
    let (transport, deliveries) = node(options);
    let mut newer = TcpStream::connect(transport.local_address()).unwrap();
    newer.set_read_timeout(Some(TIMEOUT)).unwrap();
    newer.write_all(&hello(2, 1)).unwrap();
    newer.read_exact(&mut [0]).unwrap();
    let (cluster_id, group_id) = (ClusterId(7), GroupId(0));
    let envelope = Envelope {
        cluster_id,
        group_id,
        from: NodeId(2),
        to: NodeId(1),
        incarnation: None,
    };
    let mut with_a_field = wire::encode(&envelope, &message()).to_vec();
    with_a_field.extend_from_slice(b"more");
    let of_another_kind = vec![wire::VERSION, 7, 0, 2, 1, 0x2a, 9, 9];
    for frame in [of_another_kind, with_a_field] {
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        newer.write_all(&length).unwrap();
        newer.write_all(&frame).unwrap();
    }
    let received = Received {
        from: NodeId(2),
        incarnation: None,
        message: message(),
        unknown_bytes: 4,
    };
    let delivery = deliveries.next(TIMEOUT);
    assert_eq!(delivery, Some(Delivery::Message(received)));
}

#[test]
fn a_silent_connection_is_closed_and_one_with_signs_of_life_is_not() {
    let (transport, deliveries) = node(options());
    // On a busy machine the signs may come too late.
    wait_for("one that stays open", || {
        only_the_silent_one_is_closed(&transport).ok()
    });
    while let Some(delivery) = deliveries.next(Duration::ZERO) {
        let is_message = matches!(delivery, Delivery::Message(_));
        assert!(!is_message, "{delivery:?}");
    }
}

/// An error if the one with signs of life is closed, too.
fn only_the_silent_one_is_closed(transport: &TcpTransport) -> std::io::Result<()> {
    let short = Some(Duration::from_millis(20));
    let open = |from| {
        let mut connection = TcpStream::connect(transport.local_address()).unwrap();
        connection.set_read_timeout(Some(TIMEOUT)).unwrap();
        connection.write_all(&hello(from, 1)).unwrap();
        let mut answer = [9];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0]);
        connection.set_read_timeout(short).unwrap();
        connection
    };
    let (mut alive, mut silent) = (open(2), open(3));
    let mut buffer = [0];
    // The node never writes: the read ends when the node closes the connection.
    while silent.read(&mut buffer).is_err_and(|error| is_late(&error)) {
        alive.write_all(&[0; 4])?;
    }
    match alive.read(&mut buffer) {
        Err(error) if is_late(&error) => Ok(()),
        closed => Err(std::io::Error::other(format!("{closed:?}"))),
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Connections that have sent one byte, and are held.
fn strangers(transport: &TcpTransport, count: usize) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stranger = TcpStream::connect(transport.local_address()).unwrap();
        // The node may have closed it by then.
        let _ = stranger.write_all(b"R");
        stranger
    };
    (0..count).map(connect).collect()
}

#[test]
fn strangers_that_come_and_stay_keep_no_member_out() {
    let mut options = TcpOptions::new(Security::PlaintextUnauthenticated);
    (options.max_connections, options.handshake_timeout) = (32, TIMEOUT);
    let (mut one, deliveries) = node(options);
    one.set_members(&members(&one));
    let held = strangers(&one, 300);
    let plain = TcpOptions::new(Security::PlaintextUnauthenticated);
    let (mut two, _deliveries) = begin(TcpTransport::bind("127.0.0.1:0", plain).unwrap(), 2);
    two.set_members(&members(&one));
    wait_for("a message of a member", || {
        two.send(NodeId(1), message());
        two.flush();
        deliveries.next(Duration::from_millis(10))
    });
    drop(held);
}

#[test]
fn a_handshake_has_one_deadline_however_often_a_byte_arrives() {
    let mut options = TcpOptions::new(Security::PlaintextUnauthenticated);
    options.handshake_timeout = Duration::from_millis(300);
    let (transport, _deliveries) = node(options);
    // On a busy machine all bytes may have come before the node reads the first.
    wait_for("a hello that takes 1.9 s to be refused", || {
        is_closed_before_its_end(&transport, &hello(2, 1)).then_some(())
    });
}

/// Whether the node closes the connection while this is sent, byte by byte.
fn is_closed_before_its_end(transport: &TcpTransport, hello: &[u8]) -> bool {
    let mut stranger = TcpStream::connect(transport.local_address()).unwrap();
    let pause = Some(Duration::from_millis(50));
    stranger.set_read_timeout(pause).unwrap();
    for byte in hello {
        let is_open = stranger.write_all(&[*byte]).is_ok();
        // Nothing is to be read, until the node closes the connection.
        match stranger.read(&mut [0]) {
            Ok(0) => return true,
            Ok(_) => return false,
            Err(_) if is_open => {}
            Err(_) => return true,
        }
    }
    false
}

/// Returns every byte, increased by one.
struct Increment;

impl StreamService for Increment {
    fn serve(&self, from: NodeId, mut stream: PeerStream) {
        assert_eq!(from, NodeId(2));
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            let _ = stream.write_all(&[byte[0] + 1]);
        }
    }
}

/// Node 1, which serves streams and knows node 2, and the dialer of node `from`.
fn served(from: u64) -> (TcpTransport, TcpTransport, Dialer) {
    // A peer on a busy machine may take its time.
    let plain = || {
        let mut options = TcpOptions::new(Security::PlaintextUnauthenticated);
        options.silence_timeout = Some(TIMEOUT);
        options.handshake_timeout = TIMEOUT;
        options
    };
    let mut one = TcpTransport::bind("127.0.0.1:0", plain()).unwrap();
    one.serve_streams(Arc::new(Increment));
    let (mut one, _) = begin(one, 1);
    one.set_members(&members(&one));
    let (mut two, _) = begin(TcpTransport::bind("127.0.0.1:0", plain()).unwrap(), from);
    two.set_members(&members(&one));
    let dialer = two.dialer();
    (one, two, dialer)
}

#[test]
fn services_of_members_have_streams_of_their_own_that_strangers_cannot_take() {
    let (one, two, dialer) = served(2);
    let held = strangers(&one, 300);
    let mut streams = Vec::new();
    for number in 0..64 {
        let mut stream = dialer.open(NodeId(1)).unwrap();
        stream.write_all(&[number]).unwrap();
        let mut reply = [0];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply, [number + 1]);
        streams.push(stream);
    }
    let error = dialer.open(NodeId(1)).unwrap_err().to_string();
    assert!(error.contains("too many are open"), "{error}");
    drop(streams.pop());
    wait_for("a place", || dialer.open(NodeId(1)).ok());
    drop((held, two));
    let error = dialer.open(NodeId(1)).unwrap_err().to_string();
    assert!(error.contains("does not run"), "{error}");
}

#[test]
fn one_that_is_no_member_has_no_stream() {
    let (_one, _two, dialer) = served(3);
    let error = dialer.open(NodeId(1)).unwrap_err().to_string();
    assert!(error.contains("serves this node no stream"), "{error}");
    let error = dialer.open(NodeId(9)).unwrap_err().to_string();
    assert!(error.contains("no member"), "{error}");
}
