//! A node that is removed, or whose number another disk has, is told so over the connection that it
//! has opened: the address of its number is forgotten, or another node's.
#![cfg(all(feature = "tls", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::{Deliveries, Delivery, inbox};
use raft_driver_thread::raft_proto::wire::{self, Envelope};
use raft_driver_thread::raft_proto::{
    ClusterId, Config, Dismissal, Incarnation, Index, Lineage, Member, Membership, Message, NodeId,
    PreVoteReply, Start, Term, TimeoutNow, Vote,
};
use raft_driver_thread::transport::Transport;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::time::Duration;
use support::certificates::{certificates, tls};
use support::wait_for;

const MEMBER: NodeId = NodeId(1);
const NUMBER: NodeId = NodeId(2);
/// The disk that the configuration names for the number, and another one.
const NAMED: u64 = 20;
const OTHER: u64 = 21;

/// A transport, and what it delivers.
struct End {
    transport: TcpTransport,
    deliveries: Deliveries,
}

fn end(id: NodeId, incarnation: u64, options: TcpOptions) -> End {
    let mut transport = TcpTransport::bind("127.0.0.1:0", options).unwrap();
    let mut config = Config::new(ClusterId(7), id, Start::voters([MEMBER, NUMBER]), id.0);
    config.incarnation = Some(Incarnation(incarnation));
    let (inbox, deliveries) = inbox(1 << 20);
    transport.start(&config, inbox).unwrap();
    End {
        transport,
        deliveries,
    }
}

impl End {
    fn member(&self, id: NodeId) -> Member {
        Member::voter(id).with_context(self.transport.local_address().to_string())
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.transport.send(to, message);
        self.transport.flush();
    }

    fn next(&self) -> Option<Message> {
        match self.deliveries.next(Duration::from_millis(10))? {
            Delivery::Message(received) => Some(received.message),
            Delivery::Unreachable { .. } => None,
        }
    }
}

fn plain() -> TcpOptions {
    TcpOptions::new(Security::PlaintextUnauthenticated)
}

fn asks() -> Message {
    Message::TimeoutNow(TimeoutNow {
        term: Term(1),
        transfer: 1,
    })
}

fn answer(dismissal: Option<Dismissal>) -> Message {
    Message::PreVoteReply(PreVoteReply {
        term: Term(1),
        asked: Term(2),
        vote: Vote::Refused,
        dismissal,
        lineage: Lineage::Unknown,
    })
}

fn replaced() -> Message {
    answer(Some(Dismissal::OtherIncarnation {
        index: Index(9),
        named: Incarnation(NAMED),
    }))
}

/// The other disk asks until it hears the answer that the member gives to each question. It hears
/// nothing else.
fn until_told(member: &mut End, other: &mut End, message: &Message) {
    wait_for("the answer", || {
        other.send(MEMBER, asks());
        while member.next().is_some() {
            member.send(NUMBER, message.clone());
        }
        let heard = other.next()?;
        assert_eq!(heard, *message);
        Some(())
    });
}

#[test]
fn a_disk_at_another_address_than_its_numbers_hears_whose_the_number_is() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &[MEMBER.0, NUMBER.0]);
    let secure = |node: NodeId| tls(folder.path(), node.0);
    for options in [[plain(), plain()], [secure(MEMBER), secure(NUMBER)]] {
        let [ours, theirs] = options;
        let mut member = end(MEMBER, 1, ours);
        let named = end(NUMBER, NAMED, theirs.clone());
        let mut other = end(NUMBER, OTHER, theirs);
        let membership = Membership::of([member.member(MEMBER), named.member(NUMBER)]);
        member.transport.set_members(&membership);
        other.transport.set_members(&membership);
        until_told(&mut member, &mut other, &replaced());
        // The connection goes on, in the direction in which it was opened.
        wait_for("another question", || {
            other.send(MEMBER, asks());
            member.next()
        });
    }
}

#[test]
fn a_removed_node_whose_address_is_forgotten_hears_that_it_is_removed() {
    let mut member = end(MEMBER, 1, plain());
    let mut other = end(NUMBER, OTHER, plain());
    let membership = Membership::of([member.member(MEMBER)]);
    member.transport.set_members(&membership);
    other.transport.set_members(&membership);
    let removed = answer(Some(Dismissal::Removed { index: Index(9) }));
    until_told(&mut member, &mut other, &removed);
}

/// Everything else goes to the address of the number alone.
#[test]
fn an_answer_that_dismisses_nobody_is_not_written_to_the_connection_of_another_disk() {
    let mut member = end(MEMBER, 1, plain());
    let named = end(NUMBER, NAMED, plain());
    let mut other = end(NUMBER, OTHER, plain());
    let membership = Membership::of([member.member(MEMBER), named.member(NUMBER)]);
    member.transport.set_members(&membership);
    other.transport.set_members(&membership);
    wait_for("a question", || {
        other.send(MEMBER, asks());
        member.next()
    });
    let refused = answer(None);
    wait_for("the named disk to hear the answer", || {
        member.send(NUMBER, refused.clone());
        named.next().filter(|heard| *heard == refused)
    });
    // What the member wrote before this would be heard before it.
    until_told(&mut member, &mut other, &replaced());
}

/// What the member writes to the connection is an answer, or the connection ends: a program that
/// listens at its address cannot deliver anything else by it.
#[test]
fn a_connection_that_was_opened_to_send_delivers_nothing_but_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut other = end(NUMBER, OTHER, plain());
    let address = listener.local_addr().unwrap().to_string();
    let member = Member::voter(MEMBER).with_context(address);
    other.transport.set_members(&Membership::of([member]));
    let mut config = Config::new(ClusterId(7), MEMBER, Start::voters([MEMBER, NUMBER]), 1);
    config.incarnation = Some(Incarnation(1));
    let envelope = Envelope::new(&config, NUMBER);
    for (message, is_delivered) in [(asks(), false), (replaced(), true)] {
        let frame = wire::encode(&envelope, &message);
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        let bytes = [&[0][..], &length, &frame].concat();
        // A connection that waited to be accepted may have ended by then: the next one is tried.
        wait_for("what is not delivered, or is", || {
            let delivered = write_to_next(&listener, &mut other, &bytes);
            assert!(is_delivered || delivered != Some(true), "{message:?}");
            (delivered == Some(is_delivered)).then_some(())
        });
    }
}

/// Writes this to the next connection. Returns whether it is delivered, or the connection ends;
/// `None` if it has ended before.
fn write_to_next(listener: &TcpListener, other: &mut End, bytes: &[u8]) -> Option<bool> {
    other.send(MEMBER, asks());
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 38]).ok()?;
    stream.write_all(bytes).ok()?;
    stream.set_nonblocking(true).unwrap();
    let delivered = wait_for("it is delivered, or the connection ends", || {
        other.send(MEMBER, asks());
        if other.next().is_some() {
            return Some(true);
        }
        let ends = match stream.read(&mut [0; 1024]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        ends.then_some(false)
    });
    Some(delivered)
}
