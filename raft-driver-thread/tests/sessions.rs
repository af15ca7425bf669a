//! Sessions: a command is applied once however often it is proposed (thesis 6.3).
#![cfg(feature = "sessions")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use proptest::prelude::*;
use raft_driver_thread::raft_proto::{EntriesBuilder, EntryId, EntryKind, Index, Term};
use raft_driver_thread::sessions::{
    KeptAnswer, MAX_SESSION_BYTES, MAX_SESSIONS, MAX_SESSIONS_BYTES, Origin, RequestState, Session,
    SessionAnswer, SessionState, SessionTable, Sessions,
};
use raft_driver_thread::{Command, Commands, Digest, StateMachine};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};

/// Remembers every command, and answers how many there were.
#[derive(Debug, Default)]
struct Log(Vec<Vec<u8>>);

impl StateMachine for Log {
    type Answer = String;
    type Snapshot = Vec<Vec<u8>>;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<String>) {
        for command in commands {
            self.0.push(command.payload.to_vec());
            if ![&b"unanswered"[..], b"failing"].contains(&command.payload) {
                answers.push(format!("command {}", self.0.len()));
            }
        }
    }

    fn failure(&self) -> Option<String> {
        let fails = self.0.iter().any(|command| command == b"failing");
        fails.then(|| "it cannot go on".into())
    }

    fn digest(&self) -> Option<Digest> {
        let (kind, value) = (1, self.0.len() as u128);
        Some(Digest { kind, value })
    }

    fn snapshot(&mut self) -> Vec<Vec<u8>> {
        self.0.clone()
    }

    fn write_snapshot(commands: Vec<Vec<u8>>, writer: &mut dyn Write) -> io::Result<()> {
        for command in commands {
            writer.write_all(&(command.len() as u32).to_le_bytes())?;
            writer.write_all(&command)?;
        }
        Ok(())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        self.0.clear();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest)?;
        let mut rest = &rest[..];
        while let Some((length, after)) = rest.split_first_chunk() {
            let (command, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            self.0.push(command.to_vec());
            rest = after;
        }
        Ok(())
    }
}

/// One replica, to which entries are applied in order.
struct Replica {
    machine: Sessions<Log>,
    last: u64,
}

impl Replica {
    fn new() -> Replica {
        let machine = Sessions::new(Log::default());
        Replica { machine, last: 0 }
    }

    fn apply(&mut self, payload: &[u8]) -> SessionAnswer<String> {
        self.last += 1;
        let id = EntryId {
            index: Index(self.last),
            term: Term(1),
        };
        let mut answers = Vec::new();
        let command = Commands::one(Command { id, payload });
        self.machine.apply(command, &mut answers);
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    fn open(&mut self, session: &Session) {
        assert_eq!(self.apply(&session.open()), SessionAnswer::Opened);
    }

    fn applied(&self) -> &[Vec<u8>] {
        &self.machine.machine().0
    }

    fn snapshot(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let snapshot = self.machine.snapshot();
        Sessions::<Log>::write_snapshot(snapshot, &mut bytes).unwrap();
        bytes
    }

    /// A replica that goes on from a snapshot of this one.
    fn restored(&mut self) -> Replica {
        let bytes = self.snapshot();
        let mut other = Replica::new();
        other.machine.restore(&mut &bytes[..]).unwrap();
        other.last = self.last;
        other
    }
}

fn answer(text: &str) -> SessionAnswer<String> {
    SessionAnswer::Answer(text.into())
}

#[test]
fn a_request_that_is_repeated_is_applied_once_and_answered_alike() {
    let mut replica = Replica::new();
    let (session, other) = (Session::new(7), Session::new(8));
    replica.open(&session);
    replica.open(&other);
    let (first, second) = (session.request(b"a"), session.request(b"b"));
    // In any order, and the other session's numbers are its own.
    assert_eq!(replica.apply(second.command()), answer("command 1"));
    assert_eq!(replica.apply(first.command()), answer("command 2"));
    let others = other.request(b"c");
    assert_eq!(replica.apply(others.command()), answer("command 3"));
    assert_eq!(replica.apply(second.command()), answer("command 1"));
    assert_eq!(replica.apply(first.command()), answer("command 2"));
    // Opening it again changes nothing.
    replica.open(&session);
    assert_eq!(replica.apply(first.command()), answer("command 2"));
    assert_eq!(replica.applied(), [b"b", b"a", b"c"]);
}

#[test]
fn an_answer_is_kept_until_the_client_has_dropped_its_request() {
    let mut replica = Replica::new();
    let session = Session::new(7);
    replica.open(&session);
    let first = session.request(b"a");
    let late = first.command().clone();
    replica.apply(&late);
    let second = session.request(b"b");
    replica.apply(second.command());
    assert_eq!(replica.apply(&late), answer("command 1"));
    drop(first);
    replica.apply(session.request(b"c").command());
    // A copy that was long on its way.
    assert_eq!(replica.apply(&late), SessionAnswer::Forgotten);
    assert_eq!(replica.apply(second.command()), answer("command 2"));
    assert_eq!(replica.applied(), [b"a", b"b", b"c"]);
}

#[test]
fn without_its_session_a_request_does_nothing() {
    let mut replica = Replica::new();
    let session = Session::new(7);
    let early = session.request(b"a");
    assert_eq!(replica.apply(early.command()), SessionAnswer::NoSession);
    replica.open(&session);
    // An earlier session of this number may have applied it.
    assert_eq!(replica.apply(early.command()), SessionAnswer::Forgotten);
    let request = session.request(b"b");
    replica.apply(request.command());
    assert_eq!(replica.apply(&session.close()), SessionAnswer::Closed);
    assert_eq!(replica.apply(&session.close()), SessionAnswer::Closed);
    assert_eq!(replica.apply(request.command()), SessionAnswer::NoSession);
    assert_eq!(replica.applied(), [b"b"]);
}

#[test]
fn the_session_that_was_used_least_recently_goes_first() {
    let mut replica = Replica::new();
    let (first, second) = (Session::new(1), Session::new(2));
    replica.open(&first);
    replica.open(&second);
    let request = first.request(b"a");
    replica.apply(request.command());
    for number in 0..MAX_SESSIONS as u64 - 1 {
        replica.open(&Session::new(1_000 + number));
    }
    assert_eq!(replica.machine.session_count(), MAX_SESSIONS);
    assert_eq!(replica.apply(request.command()), answer("command 1"));
    let late = second.request(b"b");
    assert_eq!(replica.apply(late.command()), SessionAnswer::NoSession);
}

#[test]
fn bytes_that_no_session_made_are_answered_and_do_nothing() {
    let mut replica = Replica::new();
    for bytes in [
        &b""[..],
        b"\x00",
        b"\x01",
        b"\x01\x09",
        b"\x02\x00\x07",
        b"+++",
    ] {
        assert_eq!(replica.apply(bytes), SessionAnswer::Malformed, "{bytes:?}");
    }
    assert_eq!(replica.machine.session_count(), 0);
    assert!(replica.applied().is_empty());
    assert_eq!(replica.machine.failure(), None);
}

#[test]
fn a_machine_that_gives_no_answer_stops_its_node() {
    let mut replica = Replica::new();
    let session = Session::new(7);
    replica.open(&session);
    replica.apply(session.request(b"unanswered").command());
    let failure = replica.machine.failure().unwrap();
    assert_eq!(failure, "the state machine gave 0 answers to one command");
}

#[test]
fn a_machine_that_fails_says_why_and_applies_no_more() {
    let mut replica = Replica::new();
    let session = Session::new(7);
    replica.open(&session);
    let mut entries = EntriesBuilder::new();
    let requests = [b"a", &b"failing"[..], b"b"].map(|bytes| session.request(bytes));
    for (request, index) in requests.iter().zip(2..) {
        let payload = request.command().clone();
        let id = EntryId::new(index, 1);
        entries.push(id, EntryKind::Command, payload).unwrap();
    }
    let mut answers = Vec::new();
    (replica.machine).apply(Commands::new(&entries.finish()), &mut answers);
    let failure = replica.machine.failure().unwrap();
    assert_eq!(failure, "it cannot go on");
    assert_eq!(replica.applied(), [b"a", &b"failing"[..]]);
}

#[test]
fn a_session_that_is_opened_anew_applies_no_earlier_request_again() {
    let mut replica = Replica::new();
    let session = Session::new(7);
    replica.open(&session);
    let request = session.request(b"a");
    assert_eq!(replica.apply(request.command()), answer("command 1"));
    replica.apply(&session.close()); // As if it was evicted.
    replica.open(&session);
    assert_eq!(replica.apply(request.command()), SessionAnswer::Forgotten);
    let next = session.request(b"b");
    assert_eq!(replica.apply(next.command()), answer("command 2"));
    assert_eq!(replica.applied(), [b"a", b"b"]);
}

#[test]
fn a_snapshot_that_is_cut_off_or_of_another_machine_is_refused() {
    let mut replica = Replica::new();
    let session = Session::new(7);
    replica.open(&session);
    replica.apply(session.request(b"a").command());
    let bytes = replica.snapshot();
    // What comes after them is for the machine within to judge.
    let sessions = bytes.len() - (4 + b"a".len());
    for end in 0..sessions {
        let restored = Replica::new().machine.restore(&mut &bytes[..end]);
        assert!(restored.is_err(), "the first {end} of {sessions} bytes");
    }
    // A machine's own, as of a number or of nothing.
    for plain in [&[0; 12][..], &[0; 8], &[]] {
        let mut plain = plain;
        let error = Replica::new().machine.restore(&mut plain).unwrap_err();
        assert!(
            error.to_string().ends_with("it begins without sessions"),
            "{error}"
        );
    }
}

#[test]
fn logs_and_snapshots_keep_their_bytes() {
    let mut replica = Replica::new();
    let session = Session::new(300);
    assert_eq!(session.open()[..], *b"\x01\x00\xac\x02\x01");
    assert_eq!(session.close()[..], *b"\x01\x01\xac\x02");
    replica.open(&session);
    let request = session.request(b"a");
    let bytes = *b"\x01\x02\xac\x02\x01\x01a";
    assert_eq!(request.command()[..], bytes);
    replica.apply(request.command());
    let numbers = |numbers: &[u64]| numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
    let parts: [Vec<u8>; 6] = [
        b"sessions\x01\0\0\0".into(),
        // One session: its number, the last entry, the floor, and how many answers it has.
        numbers(&[1, 300, 2, 1, 1]),
        // The request's number, and how long the answer is.
        numbers(&[1, 10]),
        b"\x09command 1".into(),
        b"\x01\0\0\0".into(),
        b"a".into(),
    ];
    assert_eq!(replica.snapshot(), parts.concat());
    let digest = replica.machine.digest().unwrap();
    let digests = (
        0xf01a_7b06_0318_6b9b,
        0x226b_4a92_45b4_a091_3138_5be0_2a10_090a,
    );
    assert_eq!((digest.kind, digest.value), digests);
}

/// An answer of so many bytes.
#[derive(Clone, Debug)]
struct Bytewise(u64);

impl KeptAnswer for Bytewise {
    fn bytes(&self) -> u64 {
        self.0
    }

    fn digest(sequence: u64, answer: Option<&Bytewise>) -> u128 {
        u128::from(sequence) << 64 | u128::from(answer.map_or(u64::MAX, |answer| answer.0))
    }
}

/// The table that a snapshot of this one makes.
fn restored(table: &SessionTable<Bytewise>) -> SessionTable<Bytewise> {
    let mut restored = SessionTable::default();
    for (number, session) in table.snapshot().iter() {
        let mut copy = SessionState::new(session.used(), session.floor());
        for (sequence, answer) in session.answers() {
            assert!(sequence >= session.floor(), "{sequence}");
            copy.insert(sequence, answer.cloned());
        }
        restored.insert(number, copy);
    }
    restored
}

#[test]
fn a_table_is_what_its_snapshot_says_however_its_answers_come() {
    let mut table = SessionTable::default();
    table.open(1, 7, 0);
    let request = |sequence, floor| Origin {
        session: 7,
        sequence,
        floor,
    };
    // Two that run side by side, the first of which needs its answer no more.
    let (first, second) = (request(1, 1), request(2, 2));
    assert!(matches!(table.begin(2, first), RequestState::New));
    assert!(matches!(table.begin(3, second), RequestState::New));
    table.keep_answer(first, Some(Bytewise(10)));
    table.keep_answer(second, Some(Bytewise(20)));
    assert_eq!(table.digest(), restored(&table).digest());
    // Another answer takes the place of the one before.
    table.keep_answer(second, Some(Bytewise(30)));
    assert_eq!(table.digest(), restored(&table).digest());
    assert!(matches!(table.begin(4, first), RequestState::Forgotten));
    let state = table.begin(5, second);
    assert!(matches!(state, RequestState::Completed(Bytewise(30))));
    assert_eq!(table.digest(), restored(&table).digest());
}

#[test]
fn an_answer_in_the_place_of_another_takes_no_more_room() {
    let mut table = SessionTable::default();
    let origin = Origin {
        session: 7,
        sequence: 1,
        floor: 1,
    };
    table.open(1, 6, 0);
    table.open(2, 7, 0);
    table.begin(3, origin);
    for _ in 0..=MAX_SESSIONS_BYTES / MAX_SESSION_BYTES {
        table.keep_answer(origin, Some(Bytewise(MAX_SESSION_BYTES)));
    }
    assert_eq!(table.len(), 2);
}

/// What a client does with its session.
#[derive(Clone, Debug)]
enum Step {
    Open(usize),
    Close(usize),
    /// A new request, which is proposed so often.
    Request(usize, u8),
    /// An earlier one is proposed again, whether or not its client still wants it.
    Again(usize),
    /// The oldest request of all is dropped.
    Drop,
    /// The replica goes on from its own snapshot.
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0_usize..3).prop_map(Step::Open),
        1 => (0_usize..3).prop_map(Step::Close),
        6 => (0_usize..3, 0_u8..3).prop_map(|(session, times)| Step::Request(session, times)),
        6 => (0_usize..20).prop_map(Step::Again),
        2 => Just(Step::Drop),
        2 => Just(Step::Restore),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn a_replica_that_goes_on_from_snapshots_answers_and_applies_like_the_others(steps in steps()) {
        let (mut replica, mut restored) = (Replica::new(), Replica::new());
        let sessions: [Session; 3] = [1, 2, 3].map(Session::new);
        let (mut wanted, mut proposed) = (Vec::new(), Vec::<Bytes>::new());
        let mut both = |restored: &mut Replica, bytes: &[u8]| {
            let answers = (replica.apply(bytes), restored.apply(bytes));
            assert_eq!(answers.0, answers.1);
            assert_eq!(replica.machine.digest(), restored.machine.digest());
        };
        for (step, number) in steps.into_iter().zip(0_u32..) {
            match step {
                Step::Open(session) => both(&mut restored, &sessions[session].open()),
                Step::Close(session) => both(&mut restored, &sessions[session].close()),
                Step::Request(session, times) => {
                    let request = sessions[session].request(&number.to_le_bytes());
                    for _ in 0..times {
                        both(&mut restored, request.command());
                    }
                    proposed.push(request.command().clone());
                    wanted.push(request);
                }
                Step::Again(which) => {
                    if let Some(bytes) = proposed.get(which) {
                        both(&mut restored, bytes);
                    }
                }
                Step::Drop if wanted.is_empty() => {}
                Step::Drop => drop(wanted.remove(0)),
                Step::Restore => restored = restored.restored(),
            }
        }
        prop_assert_eq!(replica.applied(), restored.applied());
    }

    #[test]
    fn within_a_session_no_command_is_applied_twice(
        again in proptest::collection::vec((0_usize..30, any::<bool>(), 0_u8..10), 1..80),
    ) {
        let mut replica = Replica::new();
        let session = Session::new(7);
        replica.open(&session);
        let (mut requests, mut proposed) = (Vec::new(), Vec::<Bytes>::new());
        for ((which, drops, loses), number) in again.into_iter().zip(0_u32..) {
            if loses == 0 {
                replica.apply(&session.close()); // As if it was evicted.
                replica.open(&session);
            }
            let request = session.request(&number.to_le_bytes());
            proposed.push(request.command().clone());
            requests.push(request);
            if drops {
                requests.remove(0);
            }
            let bytes = proposed.get(which).unwrap_or(&proposed[0]).clone();
            replica.apply(&bytes);
        }
        let applied = replica.applied();
        let different: BTreeSet<&Vec<u8>> = applied.iter().collect();
        prop_assert_eq!(applied.len(), different.len());
    }
}
