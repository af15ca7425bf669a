//! The key/value store: each command runs once, and equal logs make equal services.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use proptest::prelude::*;
use raft_proto::{Checksum, Entries, EntriesBuilder, EntryId, EntryKind};
use raft_sim::service::{
    Answer, Applied, Command, DamagedCommand, Operation, Outcome, SESSION_ANSWERS, Service,
    SessionId,
};

const KEY: u64 = 7;

/// A service, and the entries that it applies one by one.
struct Stage {
    service: Service,
    next: u64,
}

impl Stage {
    fn new(max_sessions: u32) -> Stage {
        let (service, next) = (Service::new(max_sessions), 1);
        Stage { service, next }
    }

    fn apply(&mut self, command: &Command) -> Applied {
        let entries = entries(self.next, [command.encode()]);
        self.next += 1;
        let mut applied = Vec::new();
        self.service.apply(&entries, &mut applied).unwrap();
        assert_eq!(applied.len(), 1);
        assert_eq!(applied[0].id, self.service.last);
        applied.remove(0)
    }

    fn open(&mut self) -> SessionId {
        let applied = self.apply(&Command::Open { nonce: 1 });
        let session = SessionId(self.next - 1);
        assert_eq!(applied.outcome, Outcome::Opened);
        assert_eq!(applied.answer, Answer::Opened(session));
        session
    }

    /// The outcome of a command.
    fn run(&mut self, session: SessionId, sequence: u64, below: u64, what: Operation) -> Came {
        let applied = self.apply(&run(session, sequence, below, what));
        assert_eq!(applied.of, Some((session, sequence)));
        (applied.outcome, applied.answer)
    }

    fn value(&self) -> &[u8] {
        self.service.get(KEY).map_or(b"", |value| value)
    }
}

type Came = (Outcome, Answer);

const UNKNOWN: Came = (Outcome::Refused, Answer::UnknownSession);
const FORGOTTEN: Came = (Outcome::Refused, Answer::Forgotten);

fn ran(answer: Answer) -> Came {
    (Outcome::Ran, answer)
}

fn repeated(answer: Answer) -> Came {
    (Outcome::Repeated, answer)
}

fn found(value: &'static str) -> Answer {
    Answer::Value(Some(value.into()))
}

fn entries(first: u64, payloads: impl IntoIterator<Item = Bytes>) -> Entries {
    let mut builder = EntriesBuilder::new();
    for (index, payload) in (first..).zip(payloads) {
        let id = EntryId::new(index, 1);
        builder.push(id, EntryKind::Command, payload).unwrap();
    }
    builder.finish()
}

fn run(session: SessionId, sequence: u64, answered_below: u64, operation: Operation) -> Command {
    Command::Run {
        session,
        sequence,
        answered_below,
        operation,
    }
}

fn get() -> Operation {
    Operation::Get { key: KEY }
}

fn append(value: &'static str) -> Operation {
    let (key, value) = (KEY, value.into());
    Operation::Append { key, value }
}

fn swap(expected: Option<&'static str>, new: &'static str) -> Operation {
    Operation::CompareAndSet {
        key: KEY,
        expected: expected.map(Bytes::from),
        new: new.into(),
    }
}

#[test]
fn each_operation_does_what_it_says() {
    let mut stage = Stage::new(1);
    let session = stage.open();
    let set = Operation::Set {
        key: KEY,
        value: "b".into(),
    };
    let steps = [
        (get(), Answer::Value(None)),
        (swap(Some("a"), "x"), Answer::Swapped(false)),
        (swap(None, "a"), Answer::Swapped(true)),
        (swap(None, "x"), Answer::Swapped(false)),
        (get(), found("a")),
        (set, Answer::Done),
        (append("c"), Answer::Done),
        (swap(Some("bc"), ""), Answer::Swapped(true)),
        (get(), found("")),
        (Operation::Delete { key: KEY }, Answer::Done),
        (get(), Answer::Value(None)),
        (append("d"), Answer::Done),
        (get(), found("d")),
    ];
    for (sequence, (operation, answer)) in (0..).zip(steps) {
        let came_to = stage.run(session, sequence, sequence, operation.clone());
        assert_eq!(came_to, ran(answer), "{operation:?}");
    }
    assert_eq!(stage.service.keys(), 1);
}

#[test]
fn a_command_that_is_repeated_runs_once_and_has_the_same_answer() {
    let mut stage = Stage::new(2);
    let (one, other) = (stage.open(), stage.open());
    assert_eq!(stage.run(one, 0, 0, append("a")), ran(Answer::Done));
    assert_eq!(stage.run(one, 1, 0, get()), ran(found("a")));
    assert_eq!(stage.run(one, 0, 0, append("a")), repeated(Answer::Done));
    assert_eq!(stage.run(other, 0, 0, append("b")), ran(Answer::Done));
    // The answer is the one that the first run gave.
    assert_eq!(stage.run(one, 1, 0, get()), repeated(found("a")));
    assert_eq!(stage.run(one, 0, 0, append("a")), repeated(Answer::Done));
    assert_eq!(stage.value(), b"ab");
}

#[test]
fn a_command_of_an_unknown_session_changes_nothing() {
    let mut stage = Stage::new(2);
    let session = stage.open();
    stage.run(session, 0, 0, append("a"));
    let mut before = stage.service.clone();
    for unknown in [0, 2, u64::MAX] {
        assert_eq!(stage.run(SessionId(unknown), 0, 0, append("b")), UNKNOWN);
    }
    before.last = stage.service.last;
    assert_eq!(stage.service, before);
}

#[test]
fn the_session_that_was_used_least_recently_is_evicted() {
    let mut stage = Stage::new(3);
    let [first, second, third] = [stage.open(), stage.open(), stage.open()];
    stage.run(first, 0, 0, append("a"));
    stage.run(second, 0, 0, append("b"));
    stage.run(first, 0, 0, append("a")); // A repeated command uses its session, too.
    let fourth = stage.open();
    assert_eq!(stage.service.sessions(), 3);
    assert_eq!(stage.run(third, 0, 0, append("x")), UNKNOWN);
    let fifth = stage.open();
    assert_eq!(stage.run(second, 0, 0, append("b")), UNKNOWN, "not twice");
    for session in [first, fourth, fifth] {
        assert_eq!(stage.run(session, 5, 0, get()), ran(found("ab")));
    }
    assert_eq!(stage.service.sessions(), 3);
}

#[test]
fn a_service_keeps_at_least_one_session() {
    let mut stage = Stage::new(0);
    let first = stage.open();
    assert_eq!(stage.run(first, 0, 0, append("a")), ran(Answer::Done));
    let second = stage.open();
    assert_eq!(stage.run(first, 0, 0, append("a")), UNKNOWN);
    assert_eq!(stage.run(second, 0, 0, append("b")), ran(Answer::Done));
    assert_eq!(stage.value(), b"ab");
}

#[test]
fn a_command_below_what_the_client_has_answers_to_is_refused() {
    let mut stage = Stage::new(1);
    let session = stage.open();
    stage.run(session, 0, 0, append("a"));
    stage.run(session, 1, 0, append("b"));
    stage.run(session, 3, 1, append("c"));
    assert_eq!(stage.run(session, 0, 0, append("a")), FORGOTTEN);
    // `answered_below` never falls, and drops only lower sequences.
    assert_eq!(
        stage.run(session, 1, 0, append("b")),
        repeated(Answer::Done)
    );
    assert_eq!(stage.run(session, 4, 4, append("d")), ran(Answer::Done));
    for sequence in 0..4 {
        let came_to = stage.run(session, sequence, 0, append("x"));
        assert_eq!(came_to, FORGOTTEN, "{sequence}, run before or not");
    }
    assert_eq!(stage.run(session, 5, 6, append("x")), FORGOTTEN);
    assert_eq!(stage.value(), b"abcd");
}

#[test]
fn commands_under_way_together_run_in_any_order_each_once() {
    let mut stage = Stage::new(1);
    let session = stage.open();
    let order = [7, 6, 9, 6, 5, 7, 8, 9, 5, u64::MAX, 8, u64::MAX];
    let mut seen = Vec::new();
    for sequence in order {
        let came_to = stage.run(session, sequence, 5, append("."));
        let is_new = !seen.contains(&sequence);
        let expected = if is_new { ran } else { repeated };
        assert_eq!(came_to, expected(Answer::Done), "{sequence}");
        seen.push(sequence);
    }
    assert_eq!(stage.value(), b"......");
}

#[test]
fn a_session_keeps_few_answers_and_never_runs_what_it_forgot() {
    let mut stage = Stage::new(1);
    let session = stage.open();
    let most = SESSION_ANSWERS as u64;
    for sequence in 10..10 + most {
        stage.run(session, sequence, 0, append("."));
    }
    assert_eq!(stage.run(session, 10, 0, get()), repeated(Answer::Done));
    // It is the lowest, so it is dropped at once.
    assert_eq!(stage.run(session, 3, 0, append(".")), ran(Answer::Done));
    assert_eq!(stage.run(session, 3, 0, append(".")), FORGOTTEN);
    assert_eq!(stage.run(session, 4, 0, append(".")), ran(Answer::Done));
    assert_eq!(stage.run(session, 500, 0, append(".")), ran(Answer::Done));
    assert_eq!(stage.run(session, 10, 0, append(".")), FORGOTTEN);
    assert_eq!(stage.run(session, 9, 0, append(".")), FORGOTTEN);
    assert_eq!(stage.run(session, 11, 0, get()), repeated(Answer::Done));
    assert_eq!(stage.value().len() as u64, most + 3);
}

#[test]
fn entries_of_the_core_itself_move_only_the_index() {
    let mut builder = EntriesBuilder::new();
    let id = EntryId::new(1, 3);
    builder.push(id, EntryKind::Noop, Bytes::new()).unwrap();
    let (mut service, mut applied) = (Service::new(1), Vec::new());
    service.apply(&builder.finish(), &mut applied).unwrap();
    assert_eq!((service.last, applied), (id, Vec::new()));
}

#[test]
fn a_damaged_command_is_reported_and_the_others_are_applied() {
    let open = Command::Open { nonce: 1 }.encode();
    let too_long = Bytes::from([&open[..], &[0]].concat());
    let payloads = [open.clone(), too_long, Bytes::new(), open];
    let (mut service, mut applied) = (Service::new(9), Vec::new());
    let result = service.apply(&entries(1, payloads), &mut applied);
    assert_eq!(result, Err(DamagedCommand(3)));
    let opened: Vec<_> = applied.iter().map(|applied| applied.id.index.0).collect();
    assert_eq!(opened, [1, 4]);
    assert_eq!(service.last, EntryId::new(4, 1));
}

/// A service with values, sessions and answers of every kind.
fn busy() -> Stage {
    let mut stage = Stage::new(3);
    for _ in 0..4 {
        stage.open();
    }
    let (one, other) = (SessionId(2), SessionId(4));
    stage.run(one, 0, 0, append("abc"));
    stage.run(one, 2, 1, get());
    stage.run(other, 900, 3, swap(None, "never"));
    let value = Bytes::new();
    stage.run(other, 70, 3, Operation::Set { key: 300, value });
    stage
}

#[test]
fn a_restored_service_is_equal_and_remembers_its_sessions() {
    let mut stage = busy();
    let least = stage.service.snapshot(0).0.size;
    for size in [0, least, least + 1, 5000] {
        let (id, data) = stage.service.snapshot(size);
        assert_eq!(id.last, stage.service.last);
        assert_eq!(id.size, size.max(least));
        assert_eq!(id.size, data.len() as u64);
        assert_eq!(id.checksum, Checksum::of(&data));
        let restored = Service::restore(&data).unwrap();
        assert_eq!(restored, stage.service);
        assert_eq!(restored.snapshot(size), (id, data));
    }
    stage.service = Service::restore(&stage.service.snapshot(0).1).unwrap();
    let (one, third, other) = (SessionId(2), SessionId(3), SessionId(4));
    assert_eq!(stage.service.max_sessions(), 3);
    assert_eq!(stage.run(one, 0, 0, append("x")), FORGOTTEN);
    assert_eq!(stage.run(one, 2, 0, get()), repeated(found("abc")));
    let no = repeated(Answer::Swapped(false));
    assert_eq!(stage.run(other, 900, 0, get()), no);
    stage.open();
    assert_eq!(stage.run(third, 0, 0, get()), UNKNOWN);
}

#[test]
fn a_snapshot_with_one_bit_wrong_is_refused() {
    let (_, data) = busy().service.snapshot(200);
    let mut data = data.to_vec();
    for bit in 0..data.len() * 8 {
        data[bit / 8] ^= 1 << (bit % 8);
        assert!(Service::restore(&data).is_err(), "bit {bit}");
        data[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(Service::restore(&data).is_ok());
}

#[test]
fn a_snapshot_that_was_cut_or_grew_is_refused() {
    let (_, data) = busy().service.snapshot(200);
    for length in 0..data.len() {
        assert!(Service::restore(&data[..length]).is_err(), "{length} bytes");
    }
    let longer = [&data[..], &[0]].concat();
    assert!(Service::restore(&longer).is_err());
}

/// A session in a snapshot: its id, the entry that used it last, its lowest sequence and its
/// answers.
type Stored<'a> = (u64, u64, u64, &'a [(u64, Answer)]);

/// The same with a right checksum.
fn seal(data: &mut [u8]) {
    let checksum = Checksum::of(&data[4..]);
    data[..4].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn what_no_service_wrote_is_refused_even_with_the_right_checksum() {
    let stage = busy();
    let least = stage.service.snapshot(0).1.len();
    let (_, data) = stage.service.snapshot(200);
    let mut padded = data.to_vec();
    padded[least + 5] ^= 1;
    seal(&mut padded);
    assert!(Service::restore(&padded).is_err(), "padding");

    let state = |max: u32, sessions: &[Stored<'_>]| {
        let last = EntryId::new(20, 1);
        let keys: [(u64, Bytes); 0] = [];
        let state = (last, &keys[..], max, sessions);
        let mut data = postcard::to_extend(&state, vec![0; 4]).unwrap();
        seal(&mut data);
        Service::restore(&data).is_ok()
    };
    let done = |sequence| (sequence, Answer::Done);
    assert!(state(2, &[(3, 9, 1, &[done(1), done(4)]), (5, 5, 0, &[])]));
    assert!(!state(0, &[]), "it keeps at least one");
    assert!(!state(1, &[(3, 9, 1, &[]), (5, 5, 0, &[])]), "too many");
    assert!(!state(2, &[(5, 5, 0, &[]), (3, 9, 1, &[])]), "order");
    assert!(!state(2, &[(3, 9, 1, &[]), (5, 9, 0, &[])]), "one entry");
    assert!(!state(2, &[(3, 2, 0, &[])]), "used before it was open");
    assert!(!state(2, &[(3, 21, 0, &[])]), "used in the future");
    assert!(!state(2, &[(0, 0, 0, &[])]), "no entry opened it");
    assert!(!state(2, &[(3, 9, 2, &[done(1)])]), "below the mark");
    assert!(!state(2, &[(3, 9, 0, &[done(4), done(1)])]), "order");
    let refusal = (1, Answer::Forgotten);
    assert!(!state(2, &[(3, 9, 0, &[refusal])]), "never run");
    let many: Vec<_> = (0..=SESSION_ANSWERS as u64).map(done).collect();
    assert!(state(2, &[(3, 9, 0, &many[1..])]));
    assert!(!state(2, &[(3, 9, 0, &many)]), "too many answers");
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let key = 0..3u64;
    let value = || prop::collection::vec(0..3u8, 0..3).prop_map(Bytes::from);
    let expected = prop::option::of(value());
    prop_oneof![
        key.clone().prop_map(|key| Operation::Get { key }),
        (key.clone(), value()).prop_map(|(key, value)| Operation::Set { key, value }),
        (key.clone(), value()).prop_map(|(key, value)| Operation::Append { key, value }),
        (key.clone(), expected, value())
            .prop_map(|(key, expected, new)| Operation::CompareAndSet { key, expected, new }),
        key.prop_map(|key| Operation::Delete { key }),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let session = (1..12u64).prop_map(SessionId);
    prop_oneof![
        1 => any::<u64>().prop_map(|nonce| Command::Open { nonce }),
        4 => (session, 0..9u64, 0..5u64, any_operation())
            .prop_map(|(session, sequence, below, what)| run(session, sequence, below, what)),
    ]
}

proptest! {
    #[test]
    fn a_command_is_read_as_it_was_written(command in any_command()) {
        prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
    }

    #[test]
    fn any_bytes_are_a_command_or_refused(payload in prop::collection::vec(any::<u8>(), 0..40)) {
        let payload = Bytes::from(payload);
        let is_one = Command::decode(&payload).is_ok();
        let (mut service, mut applied) = (Service::new(1), Vec::new());
        let result = service.apply(&entries(1, [payload]), &mut applied);
        prop_assert_eq!(result.is_ok(), is_one);
        prop_assert_eq!(applied.len(), usize::from(is_one));
    }

    #[test]
    fn a_command_that_was_cut_is_refused(command in any_command()) {
        let payload = command.encode();
        for length in 0..payload.len() {
            prop_assert_eq!(Command::decode(&payload[..length]), Err(DamagedCommand(length)));
        }
    }

    #[test]
    fn services_are_equal_however_the_entries_came(
        commands in prop::collection::vec(any_command(), 0..60),
        cuts in prop::collection::vec((1..9usize, any::<bool>()), 1..20),
    ) {
        let payloads: Vec<Bytes> = commands.iter().map(Command::encode).collect();
        let (mut whole, mut at_once) = (Service::new(3), Vec::new());
        whole.apply(&entries(1, payloads.iter().cloned()), &mut at_once).unwrap();

        let (mut service, mut applied) = (Service::new(3), Vec::new());
        let mut left = &payloads[..];
        let mut cuts = cuts.iter().cycle();
        while !left.is_empty() {
            let (length, restores) = *cuts.next().unwrap();
            let (chunk, rest) = left.split_at(length.min(left.len()));
            left = rest;
            let first = service.last.index.next().0;
            service.apply(&entries(first, chunk.iter().cloned()), &mut applied).unwrap();
            if restores {
                service = Service::restore(&service.snapshot(100).1).unwrap();
            }
        }
        prop_assert_eq!(&service, &whole);
        prop_assert_eq!(applied, at_once);
    }
}
