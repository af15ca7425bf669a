//! A request that is proposed several times runs once, and every server forgets the same.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "support/state.rs"]
mod support;

use bytes::Bytes;
use proptest::prelude::*;
use raft_driver_thread::StateMachine;
use raft_kv::state::{
    Answer, Command, Limits, MAX_ANSWERS, MAX_SESSION_BYTES, MAX_SESSIONS, MAX_SESSIONS_BYTES,
    Machine, Operation, Origin, Payload, Reply, ServerAddress,
};
use std::collections::BTreeMap;
use support::{b, restored, snapshot, stored};

const NOW: u64 = 1_700_000_000_000;

/// A machine and the index of its last entry.
#[derive(Default)]
struct Log {
    machine: Machine,
    index: u64,
}

impl Log {
    fn apply(&mut self, operation: Operation) -> Answer {
        self.index += 1;
        let payload = Payload::encode_parts(NOW, &operation);
        self.machine.apply_one(self.index, &payload)
    }

    fn open(&mut self) -> u64 {
        let answer = self.apply(Operation::OpenSession(self.index + 1));
        let Answer::Session(number) = answer else {
            panic!("{answer:?}");
        };
        number
    }

    fn increment(&mut self, session: u64, sequence: u64, floor: u64) -> Answer {
        self.once(session, sequence, floor, increment())
    }

    fn once(&mut self, session: u64, sequence: u64, floor: u64, command: Command) -> Answer {
        let origin = Some(Origin {
            session,
            sequence,
            floor,
        });
        let commands = vec![command];
        self.apply(Operation::Commands { origin, commands })
    }

    /// Goes on with the machine that its own snapshot restores.
    fn restart(&mut self) {
        let bytes = snapshot(&mut self.machine);
        self.machine = restored(&bytes).unwrap();
    }

    fn value(&self) -> Reply {
        self.machine.query(&Command::Get(key()))
    }
}

fn key() -> Bytes {
    b("a")
}

fn increment() -> Command {
    let (key, by) = (key(), 1);
    Command::Increment { key, by }
}

fn integer(number: i64) -> Answer {
    Answer::Replies(vec![Reply::Integer(number)])
}

fn bulk(number: i64) -> Reply {
    Reply::text(number.to_string())
}

#[test]
fn opening_a_session_again_gives_the_same_session() {
    let mut log = Log::default();
    for number in [9, 7, 9] {
        assert_eq!(
            log.apply(Operation::OpenSession(number)),
            Answer::Session(number)
        );
    }
    assert_eq!(log.machine.session_count(), 2);
    assert_eq!(log.increment(9, 1, 1), integer(1));
    log.apply(Operation::OpenSession(9));
    assert_eq!(log.increment(9, 1, 1), integer(1));
}

#[test]
fn a_request_that_is_proposed_again_gets_the_same_answer_and_runs_once() {
    let mut log = Log::default();
    let session = log.open();
    assert_eq!(log.increment(session, 1, 1), integer(1));
    assert_eq!(log.increment(session, 2, 1), integer(2));
    assert_eq!(log.increment(session, 1, 1), integer(1));
    assert_eq!(log.increment(session, 2, 2), integer(2));
    assert_eq!(log.value(), bulk(2));
}

#[test]
fn the_requests_of_a_session_may_arrive_in_any_order() {
    let mut log = Log::default();
    let session = log.open();
    for (count, sequence) in [7, 3, u64::MAX, 0].into_iter().enumerate() {
        let expected = integer(count as i64 + 1);
        assert_eq!(log.increment(session, sequence, 0), expected);
    }
    assert_eq!(log.increment(session, 3, 0), integer(2));
}

#[test]
fn a_request_below_the_floor_does_not_run_and_has_no_answer() {
    let mut log = Log::default();
    let session = log.open();
    log.increment(session, 1, 1);
    log.increment(session, 9, 5);
    for sequence in [1, 4] {
        assert_eq!(log.increment(session, sequence, 1), Answer::Forgotten);
    }
    assert_eq!(log.increment(session, 5, 1), integer(3));
    assert_eq!(log.increment(session, 9, 1), integer(2));
}

#[test]
fn a_floor_above_its_own_request_counts_as_that_request() {
    let mut log = Log::default();
    let session = log.open();
    assert_eq!(log.increment(session, 3, u64::MAX), integer(1));
    assert_eq!(log.increment(session, 3, 3), integer(1));
    assert_eq!(log.increment(session, 4, 3), integer(2));
}

#[test]
fn a_request_without_a_session_does_not_run() {
    let mut log = Log::default();
    let session = log.open();
    assert_eq!(log.increment(session + 1, 1, 1), Answer::NoSession);
    assert_eq!(log.apply(Operation::CloseSession(session)), Answer::Done);
    assert_eq!(log.increment(session, 1, 1), Answer::NoSession);
    assert_eq!(
        log.apply(Operation::CloseSession(session)),
        Answer::NoSession
    );
    assert_eq!(log.value(), Reply::Nil);
    assert_eq!(log.machine.session_count(), 0);
}

#[test]
fn of_too_many_sessions_the_least_recently_used_is_evicted() {
    let mut log = Log::default();
    let sessions: Vec<u64> = (0..MAX_SESSIONS).map(|_| log.open()).collect();
    let [first, second, third, ..] = sessions[..] else {
        unreachable!();
    };
    // A repeated request counts as a use.
    log.increment(second, 1, 1);
    log.increment(first, 1, 1);
    log.increment(second, 1, 1);
    log.open();
    assert_eq!(log.increment(third, 1, 1), Answer::NoSession);
    for _ in 3..MAX_SESSIONS {
        log.open();
    }
    log.open();
    assert_eq!(log.increment(first, 1, 1), Answer::NoSession);
    assert_eq!(log.increment(second, 1, 1), integer(1));
    assert_eq!(log.machine.session_count(), MAX_SESSIONS as u64);
}

#[test]
fn of_too_many_answers_the_lowest_is_forgotten() {
    let mut log = Log::default();
    let session = log.open();
    let last = MAX_ANSWERS as u64 + 1;
    for sequence in 1..=last {
        log.increment(session, sequence, 0);
    }
    assert_eq!(log.increment(session, 1, 0), Answer::Forgotten);
    assert_eq!(log.increment(session, 2, 0), integer(2));
    assert_eq!(log.increment(session, last, 0), integer(last as i64));
    assert_eq!(log.value(), bulk(last as i64));
}

#[test]
fn long_answers_are_forgotten_at_the_limits_on_bytes() {
    let mut log = Log::default();
    let value = Bytes::from(vec![0; (MAX_SESSION_BYTES / 2) as usize]);
    let set = Command::SetMany(vec![(key(), value)]);
    log.apply(Operation::Commands {
        origin: None,
        commands: vec![set],
    });
    let first = log.open();
    for sequence in 1..=3 {
        let answer = log.once(first, sequence, 0, Command::Get(key()));
        assert!(matches!(answer, Answer::Replies(_)));
    }
    // Each answer takes a little more than half of what a session may keep.
    assert_eq!(log.increment(first, 2, 0), Answer::Forgotten);
    assert_ne!(log.increment(first, 3, 0), Answer::Forgotten);

    let fit = MAX_SESSIONS_BYTES / (MAX_SESSION_BYTES / 2);
    for _ in 0..fit {
        let session = log.open();
        log.once(session, 1, 1, Command::Get(key()));
    }
    assert_eq!(log.increment(first, 4, 0), Answer::NoSession);
    // Each answer takes a little more than its value.
    assert_eq!(log.machine.session_count(), fit - 1);
}

#[test]
fn an_answer_that_is_too_long_to_be_kept_is_forgotten_and_not_run_again() {
    let mut log = Log::default();
    let value = Bytes::from(vec![0; MAX_SESSION_BYTES as usize]);
    log.apply(Operation::Load(vec![stored("long", value, None)]));
    let session = log.open();
    let origin = Some(Origin {
        session,
        sequence: 1,
        floor: 1,
    });
    let commands = vec![
        increment(),
        Command::Get(b("long")),
        Command::Get(key()),
        increment(),
    ];
    let operation = Operation::Commands { origin, commands };
    let Answer::Replies(replies) = log.apply(operation.clone()) else {
        panic!("not run");
    };
    // Behind too long an answer, reads are refused and writes still run.
    assert!(matches!(&replies[2], Reply::Error(error) if error.contains("too long")));
    assert_eq!(replies[3], Reply::Integer(2));
    assert_eq!(log.apply(operation.clone()), Answer::Forgotten);
    log.restart();
    assert_eq!(log.apply(operation), Answer::Forgotten);
    assert_eq!(log.value(), bulk(2));
}

#[test]
fn forgotten_answers_and_closed_sessions_free_their_bytes() {
    let mut log = Log::default();
    let value = Bytes::from(vec![0; (MAX_SESSION_BYTES / 2) as usize]);
    log.apply(Operation::Load(vec![stored("a", value, None)]));
    let (small, large) = (log.open(), log.open());
    let fit = MAX_SESSIONS_BYTES / (MAX_SESSION_BYTES / 2);
    for sequence in 0..fit {
        // The floor makes the session forget the answer before.
        log.once(large, sequence, sequence, Command::Get(key()));
        let session = log.open();
        log.once(session, 1, 1, Command::Get(key()));
        log.apply(Operation::CloseSession(session));
    }
    assert_ne!(log.increment(small, 1, 1), Answer::NoSession);
}

#[test]
fn a_restored_server_evicts_the_same_session_as_the_others() {
    let mut log = Log::default();
    let first = log.open();
    for _ in 1..MAX_SESSIONS {
        log.open();
    }
    log.increment(first, 1, 1);
    log.restart();
    log.open();
    assert_eq!(log.increment(first, 1, 1), integer(1));
    assert_eq!(log.increment(first + 1, 1, 1), Answer::NoSession);
}

#[test]
fn an_entry_that_cannot_be_read_stops_the_service_and_changes_nothing() {
    let payload = Payload {
        unix_millis: NOW + 1,
        operation: Operation::OpenSession(4),
    };
    let payload = payload.encode();
    let mut newer = payload.to_vec();
    newer[0] += 1;
    let cut = (0..payload.len()).map(|length| payload[..length].to_vec());
    for unreadable in cut.chain([newer]) {
        let mut log = Log::default();
        log.apply(Operation::AdvanceTime);
        assert_eq!(log.machine.failure(), None);
        let answer = log.machine.apply_one(2, &unreadable);
        assert_eq!(answer, Answer::Unreadable);
        let failure = log.machine.failure().unwrap();
        assert!(failure.contains("the entry at 2"), "{failure}");
        // Nor do entries that it could read.
        assert_eq!(log.machine.apply_one(3, &payload), Answer::Unreadable);
        assert_eq!(log.machine.failure(), Some(failure));
        assert_eq!((log.machine.time(), log.machine.session_count()), (NOW, 0));
    }
}

#[test]
fn a_server_held_at_an_earlier_level_reads_no_command_of_a_later_one() {
    let commands = vec![Command::GetDelete("a".into())];
    let operation = Operation::Commands {
        origin: None,
        commands,
    };
    let payload = Payload::encode_within(NOW, Limits::DEFAULT, &operation);
    let mut older = Machine::reading(0);
    assert_eq!(older.apply_one(1, &payload), Answer::Unreadable);
    assert!(older.failure().unwrap().contains("which reads level 0"));
    let mut newer = Machine::reading(1);
    assert_eq!(
        newer.apply_one(1, &payload),
        Answer::Replies(vec![Reply::Nil])
    );
    assert_eq!(newer.failure(), None);
}

#[test]
fn the_address_of_a_server_is_known_from_when_it_is_set_until_it_is_removed() {
    let mut log = Log::default();
    let address = |node, clients: &str| ServerAddress {
        node,
        clients: clients.into(),
        release: "1.0".into(),
    };
    for address in [address(2, "b:1"), address(1, "a:1"), address(2, "b:2")] {
        assert_eq!(log.apply(Operation::SetAddress(address)), Answer::Done);
    }
    let known: Vec<&ServerAddress> = log.machine.addresses().collect();
    assert_eq!(known, [&address(1, "a:1"), &address(2, "b:2")]);
    assert_eq!(log.apply(Operation::RemoveAddress(1)), Answer::Done);
    assert_eq!(log.machine.addresses().count(), 1);
}

/// A session as a plain map.
#[derive(Default)]
struct Model {
    floor: u64,
    /// By the requests' numbers.
    answers: BTreeMap<u64, i64>,
}

proptest! {
    #[test]
    fn each_request_runs_at_most_once_whatever_is_repeated_or_lost(
        requests in proptest::collection::vec((0..2_usize, 0..20_u64, 0..8_u64), 0..150),
    ) {
        let mut log = Log::default();
        let sessions = [log.open(), log.open()];
        let mut models = [Model::default(), Model::default()];
        let mut count = 0;
        for (which, sequence, below) in requests {
            let floor = sequence.saturating_sub(below);
            let answer = log.increment(sessions[which], sequence, floor);
            let model = &mut models[which];
            if sequence < model.floor {
                prop_assert_eq!(answer, Answer::Forgotten);
                continue;
            }
            model.floor = model.floor.max(floor);
            let number = *model.answers.entry(sequence).or_insert_with(|| {
                count += 1;
                count
            });
            prop_assert_eq!(answer, integer(number));
        }
        let value = if count == 0 { Reply::Nil } else { bulk(count) };
        prop_assert_eq!(log.value(), value);
    }
}
