//! An entry that takes longer than an election timeout on its way deposes no leader.
#![cfg(all(feature = "tcp", feature = "disk"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::Options;
use raft_driver_thread::inbox::{Deliveries, Delivery, inbox};
use raft_driver_thread::raft_proto::{
    AppendEntries, ClusterId, Config, ENTRY_OVERHEAD, EntriesBuilder, EntryId, EntryKind, Index,
    Lineage, Member, Membership, Message, NodeId, Start, Term,
};
use raft_driver_thread::transport::Transport;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use support::{Cluster, Environment, TIMEOUT, read_journal, wait_for};

const MIB: u64 = 1 << 20;

/// The length of the entry. Election timeouts are three seconds at most, and so this takes twice as
/// long at the rate below.
const ENTRY_BYTES: u64 = 6 * MIB;
const BYTES_PER_SECOND: u64 = MIB;

fn with_long_entries(options: &mut Options) {
    let config = &mut options.config;
    config.max_entry_bytes = ENTRY_BYTES;
    config.max_append_bytes = ENTRY_BYTES + ENTRY_OVERHEAD;
    config.max_inflight_bytes = 2 * config.max_append_bytes;
}

#[test]
fn an_entry_that_takes_twice_an_election_timeout_commits_in_the_term_of_its_leader() {
    // A busy machine may depose a leader, too, but hardly each time.
    wait_for("a leader that stays", || {
        commits_a_long_entry_in_its_term().then_some(())
    });
}

/// Whether the leader is the same one afterwards.
fn commits_a_long_entry_in_its_term() -> bool {
    let cluster = Cluster::within(Environment::tcp(3), 3, with_long_entries);
    cluster.execute(b"before");
    let leader = cluster.leader();
    let term = cluster.nodes[&leader].state().term;
    let Environment::Tcp { proxies, .. } = &cluster.environment else {
        unreachable!("it was made above");
    };
    proxies.throttle(BYTES_PER_SECOND);
    let long = vec![7; ENTRY_BYTES as usize];
    let is_applied = cluster.nodes[&leader].execute(long, TIMEOUT).is_ok();
    if !is_applied || cluster.leader() != leader || cluster.nodes[&leader].state().term != term {
        return false;
    }
    let journal = read_journal(&cluster.nodes[&leader]);
    let lengths: Vec<usize> = journal.iter().map(Vec::len).collect();
    assert_eq!(lengths, [6, ENTRY_BYTES as usize]);
    true
}

fn append(term: u64, prev: u64, entries: &[usize]) -> Message {
    let id = |index| EntryId {
        index: Index(index),
        term: Term(1),
    };
    let mut builder = EntriesBuilder::new();
    for (index, length) in (prev + 1..).zip(entries) {
        let payload = vec![1; *length].into();
        builder
            .push(id(index), EntryKind::Command, payload)
            .unwrap();
    }
    Message::AppendEntries(AppendEntries {
        term: Term(term),
        prev_log: id(prev),
        entries: builder.finish(),
        leader_commit: Index::ZERO,
        round: 0,
        revoked: 0,
        promise_millis: 0,
        lineage: Lineage::Unknown,
    })
}

/// Node 1, which sends to node 2; and node 2, to which only what was [carried](Link::carry) comes.
struct Link {
    sender: TcpTransport,
    _deliveries: Deliveries,
    _receiver: TcpTransport,
    received: Deliveries,
    amounts: mpsc::Sender<usize>,
    carried: mpsc::Receiver<()>,
}

fn start(id: u64) -> (TcpTransport, Deliveries) {
    let mut options = TcpOptions::new(Security::PlaintextUnauthenticated);
    options.silence_timeout = Some(2 * TIMEOUT);
    let mut transport = TcpTransport::bind("127.0.0.1:0", options).unwrap();
    let start = Start::voters([NodeId(1), NodeId(2)]);
    let mut config = Config::new(ClusterId(7), NodeId(id), start, id);
    config.max_append_bytes = 2 * ENTRY_BYTES;
    config.max_inflight_bytes = 4 * ENTRY_BYTES;
    let (inbox, deliveries) = inbox(4 * ENTRY_BYTES);
    transport.start(&config, inbox).unwrap();
    (transport, deliveries)
}

/// Passes on as many bytes as it is told to, and says when it has.
fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    amounts: &mpsc::Receiver<usize>,
    carried: &mpsc::Sender<()>,
) {
    let (mut back, mut answered) = (to.try_clone().unwrap(), from.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut back, &mut answered));
    let mut buffer = vec![0; 1 << 12];
    while let Ok(mut amount) = amounts.recv() {
        while amount > 0 {
            let most = amount.min(buffer.len());
            let read = from.read(&mut buffer[..most]).unwrap_or(0);
            if read == 0 || to.write_all(&buffer[..read]).is_err() {
                return;
            }
            amount -= read;
        }
        if carried.send(()).is_err() {
            return;
        }
    }
}

impl Link {
    fn new() -> Link {
        let (mut sender, deliveries) = start(1);
        let (receiver, received) = start(2);
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = socket2::SockRef::from(&proxy);
        socket.set_recv_buffer_size(1 << 16).unwrap();
        let address = proxy.local_addr().unwrap().to_string();
        let to = receiver.local_address();
        let (amounts, told) = mpsc::channel();
        let (done, carried) = mpsc::channel();
        std::thread::spawn(move || {
            let (from, _) = proxy.accept().unwrap();
            carry(from, TcpStream::connect(to).unwrap(), &told, &done);
        });
        let peer = Member::voter(NodeId(2)).with_context(address);
        sender.set_members(&Membership::of([Member::voter(NodeId(1)), peer]));
        Link {
            sender,
            _deliveries: deliveries,
            _receiver: receiver,
            received,
            amounts,
            carried,
        }
    }

    fn send(&mut self, message: Message) {
        self.sender.send(NodeId(2), message);
        self.sender.flush();
    }

    /// Waits until so many bytes have been carried.
    fn carry(&self, bytes: u64) {
        self.amounts.send(bytes as usize).unwrap();
        self.carried.recv_timeout(TIMEOUT).unwrap();
    }

    /// Carries all that comes.
    fn carry_all(&self) {
        self.amounts.send(usize::MAX).unwrap();
    }

    fn next(&self) -> Message {
        match self.received.next(TIMEOUT) {
            Some(Delivery::Message(received)) => received.message,
            other => panic!("instead of a message: {other:?}"),
        }
    }
}

#[test]
fn what_need_not_wait_overtakes_a_long_entry_and_what_asks_for_it_does_not() {
    let mut link = Link::new();
    let long = append(1, 5, &[ENTRY_BYTES as usize]);
    link.send(long.clone());
    // A quarter of it has left: it is being written.
    link.carry(ENTRY_BYTES / 4);
    link.send(append(1, 6, &[]));
    link.send(append(1, 5, &[]));
    link.carry(ENTRY_BYTES / 4);
    assert_eq!(link.next(), append(1, 5, &[]));
    link.carry_all();
    assert_eq!(link.next(), long);
    assert_eq!(link.next(), append(1, 6, &[]));
}

#[test]
fn of_a_long_entry_of_an_earlier_term_the_rest_is_not_sent() {
    let mut link = Link::new();
    link.send(append(1, 5, &[ENTRY_BYTES as usize]));
    link.carry(ENTRY_BYTES / 4);
    link.send(append(2, 6, &[]));
    let long = append(2, 6, &[MIB as usize, 1]);
    link.send(long.clone());
    link.carry_all();
    assert_eq!(link.next(), append(2, 6, &[]));
    assert_eq!(link.next(), long);
}

#[test]
fn heartbeats_that_repeat_each_other_do_not_pile_up() {
    let mut link = Link::new();
    link.send(append(1, 5, &[ENTRY_BYTES as usize]));
    link.carry(ENTRY_BYTES / 4);
    for _ in 0..100 {
        link.send(append(1, 6, &[]));
    }
    link.send(append(1, 6, &[1]));
    link.carry_all();
    let entries: Vec<usize> = (0..3)
        .map(|_| {
            let Message::AppendEntries(append) = link.next() else {
                panic!("only appends are sent");
            };
            append.entries.len()
        })
        .collect();
    assert_eq!(entries, [1, 0, 1]);
}

/// A node of an earlier release, as far as its sockets show: it knows no hello with `in pieces` and
/// closes that connection without an answer; the next one it accepts. Returns the length of the
/// first frame that holds a message.
fn of_an_earlier_release(listener: &TcpListener) -> u32 {
    const KIND: usize = 37;
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 38];
        stream.read_exact(&mut hello).unwrap();
        if hello[KIND] > 3 {
            continue;
        }
        stream.write_all(&[0]).unwrap();
        let mut length = [0; 4];
        while length == [0; 4] {
            stream.read_exact(&mut length).unwrap();
        }
        return u32::from_le_bytes(length);
    }
}

#[test]
fn a_peer_of_an_earlier_release_gets_a_long_entry_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (told, length) = mpsc::channel();
    std::thread::spawn(move || told.send(of_an_earlier_release(&listener)));
    let (mut sender, _deliveries) = start(1);
    let peer = Member::voter(NodeId(2)).with_context(address);
    sender.set_members(&Membership::of([Member::voter(NodeId(1)), peer]));
    sender.send(NodeId(2), append(1, 5, &[ENTRY_BYTES as usize]));
    sender.flush();
    let length = length.recv_timeout(TIMEOUT).unwrap();
    let whole = ENTRY_BYTES as u32..ENTRY_BYTES as u32 + 1000;
    assert!(whole.contains(&length), "a frame of {length:#x} bytes");
}
