//! The log of one follower beside a plain list: whatever successive leaders append, overwrite,
//! commit and install, whatever is compacted, and whenever the node restarts from a prefix of its
//! writes, the log reads the same as the list.
//!
//! Leaders are legal: each holds all that was committed before it, and an entry's index and term
//! name one payload. The node's clock stands still, so that it never campaigns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::wildcard_enum_match_arm)]

#[path = "log_model/model.rs"]
mod model;
mod support;

use bytes::Bytes;
use model::Model;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample;
use raft_proto::*;
use std::collections::VecDeque;
use support::storage::{self, Record, Storage};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A new leader begins with an earlier one's log, cut somewhere behind what is committed.
    Elect {
        heir_of: sample::Index,
        cut: sample::Index,
    },
    /// The newest leader appends entries with payloads of these lengths.
    Extend(Vec<usize>),
    /// The newest leader commits up to one of its own entries.
    Commit(sample::Index),
    /// A leader sends `count` entries after some place in its log.
    Append {
        age: usize,
        after: Place,
        count: usize,
    },
    /// A leader sends a snapshot of something that it knows to be committed.
    Install { age: usize, last: sample::Index },
    /// The chunk under way is in the partial file, or could not be written.
    Written(Result<(), SnapshotWriteFailed>),
    /// The service has a snapshot that ends there.
    Compact(sample::Index),
    /// So many of the oldest writes become durable.
    Persist(usize),
    /// The node goes on from its own checkpoint.
    Checkpoint,
    /// All writes but so many of the oldest ones not yet synced are lost.
    Restart {
        keep: usize,
        service: Service,
        trailing: u64,
    },
}

/// Where in a leader's log.
#[derive(Clone, Debug)]
enum Place {
    /// So far before the end that it has in common with the follower.
    NearEnd(usize),
    Anywhere(sample::Index),
}

/// Whether the service survives a crash by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Durable,
    Volatile,
}

#[derive(Clone, Debug)]
struct Leader {
    term: u64,
    /// The first has index 1.
    log: Vec<Record>,
    commit: usize,
}

impl Leader {
    fn entry_id(&self, index: usize) -> EntryId {
        match index.checked_sub(1) {
            Some(at) => EntryId::new(index as u64, self.log[at].term),
            None => EntryId::ZERO,
        }
    }

    fn node(&self) -> NodeId {
        NodeId(2 + self.term % 2)
    }
}

const MAX_PAYLOAD: usize = 12;
const MAX_UNAPPLIED: u64 = 3 * (MAX_PAYLOAD as u64 + ENTRY_OVERHEAD);

fn config(trailing: u64) -> Config {
    let voters = vec![NodeId(1), NodeId(2), NodeId(3)];
    let mut config = Config::new(ClusterId(7), NodeId(1), Start::voters(voters), 42);
    config.max_entry_bytes = MAX_PAYLOAD as u64;
    config.max_unapplied_bytes = MAX_UNAPPLIED;
    config.trailing_entries = trailing;
    config
}

/// A follower with its disk and service, the leaders that it hears, and the list.
struct Bench {
    raft: Raft,
    model: Model,
    leaders: Vec<Leader>,
    /// Synced for certain; and with all writes asked for since.
    disk: Storage,
    written: Storage,
    waiting: VecDeque<Write>,
    chunk: Option<SnapshotId>,
    refusals: usize,
}

impl Bench {
    fn new(trailing: u64) -> Bench {
        let first = Leader {
            term: 1,
            log: Vec::new(),
            commit: 0,
        };
        let mut bench = Bench {
            raft: Raft::new(config(trailing), Recovered::default()).unwrap(),
            model: Model::default(),
            leaders: vec![first],
            disk: Storage::default(),
            written: Storage::default(),
            waiting: VecDeque::new(),
            chunk: None,
            refusals: 0,
        };
        bench.input(Input::Tick);
        bench
    }

    /// Gives the node an input; the service applies at once. The model is told before.
    fn input(&mut self, input: Input) {
        let at = Time::ZERO;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.raft.step(Event { at, input }) {
                inputs.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Persist(write) => {
                self.written.write(&write);
                self.waiting.push_back(write);
            }
            Action::Apply { entries } => return Some(self.apply(&entries)),
            Action::Restore { snapshot } => {
                assert_eq!(self.disk.snapshot.as_ref(), Some(&snapshot));
                let index = snapshot.id.last.index;
                self.model.restored(index.0);
                return Some(Input::Applied { index });
            }
            Action::WriteSnapshot { snapshot, .. } => {
                assert_eq!(self.chunk.replace(snapshot), None, "one chunk at a time");
            }
            Action::Refused { .. } => self.refusals += 1,
            Action::Send { .. }
            | Action::WakeAt(_)
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::ReleaseSnapshot { .. } => {}
            other => panic!("a follower of correct leaders: {other:?}"),
        }
        None
    }

    fn apply(&mut self, entries: &Entries) -> Input {
        let size = |record: &Record| record.payload.len() as u64 + ENTRY_OVERHEAD;
        let list: Vec<(u64, Record)> = storage::records(entries).collect();
        let bytes: u64 = list.iter().map(|(_, record)| size(record)).sum();
        assert!(list.len() == 1 || bytes <= MAX_UNAPPLIED, "{bytes} bytes");
        self.model.hand_out(&list);
        let index = entries.last_id().unwrap().index;
        Input::Applied { index }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Elect { heir_of, cut } => self.elect(heir_of, cut),
            Step::Extend(lengths) => self.extend(lengths),
            Step::Commit(at) => self.commit(at),
            Step::Append { age, after, count } => self.append(*age, after, *count),
            Step::Install { age, last } => self.install(*age, last),
            Step::Written(result) => self.chunk_written(*result),
            Step::Compact(at) => self.compact(at),
            Step::Persist(count) => self.persist(*count),
            Step::Checkpoint => self.checkpoint(),
            Step::Restart {
                keep,
                service,
                trailing,
            } => self.restart(*keep, *service, *trailing),
        }
    }

    fn newest(&mut self) -> &mut Leader {
        self.leaders.last_mut().unwrap()
    }

    fn aged(&self, age: usize) -> Leader {
        let at = (self.leaders.len() - 1).saturating_sub(age);
        self.leaders[at].clone()
    }

    fn elect(&mut self, heir_of: &sample::Index, cut: &sample::Index) {
        let newest = self.newest().clone();
        // Leader Completeness: only who holds all that is committed is elected.
        let committed = newest.entry_id(newest.commit);
        let complete = |leader: &&Leader| {
            leader.log.len() >= newest.commit && leader.entry_id(newest.commit) == committed
        };
        let heirs: Vec<&Leader> = self.leaders.iter().filter(complete).collect();
        let mut log = heir_of.get(&heirs).log.clone();
        log.truncate(newest.commit + cut.index(log.len() - newest.commit + 1));
        self.leaders.push(Leader {
            term: newest.term + 1,
            log,
            commit: newest.commit,
        });
    }

    fn extend(&mut self, lengths: &[usize]) {
        let leader = self.newest();
        for length in lengths {
            let (index, term) = (leader.log.len() + 1, leader.term);
            let mut payload = format!("{term}.{index}.").into_bytes();
            payload.resize(*length, b'x');
            leader.log.push(Record {
                term,
                kind: match length {
                    0 => EntryKind::Noop,
                    _ => EntryKind::Command,
                },
                payload: payload.into(),
            });
        }
    }

    /// A leader commits only entries of its own term by counting (section 5.4.2).
    fn commit(&mut self, at: &sample::Index) {
        let leader = self.newest();
        let index = leader.commit + at.index(leader.log.len() - leader.commit + 1);
        if leader.entry_id(index).term.0 == leader.term {
            leader.commit = index;
        }
    }

    fn append(&mut self, age: usize, after: &Place, count: usize) {
        let leader = self.aged(age);
        let common = leader.log.len().min(self.model.last().index.0 as usize);
        let prev = match after {
            Place::NearEnd(back) => common.saturating_sub(*back),
            Place::Anywhere(at) => at.index(leader.log.len() + 1),
        };
        let until = leader.log.len().min(prev + count);
        let list: Vec<(u64, Record)> = (prev + 1..=until)
            .map(|index| (index as u64, leader.log[index - 1].clone()))
            .collect();
        let prev_log = leader.entry_id(prev);
        let commit = leader.commit as u64;
        self.model.append(leader.term, prev_log, &list, commit);
        let message = Message::AppendEntries(AppendEntries {
            round: 0,
            term: Term(leader.term),
            prev_log,
            leader_commit: Index(commit),
            entries: storage::entries(list.iter().map(|(index, record)| (*index, record))),
        });
        let from = leader.node();
        self.input(Input::Receive { from, message });
    }

    fn install(&mut self, age: usize, last: &sample::Index) {
        let leader = self.aged(age);
        if leader.commit == 0 {
            return;
        }
        let last = leader.entry_id(1 + last.index(leader.commit));
        let data = Bytes::from(format!("all up to {last}"));
        let snapshot = SnapshotMeta {
            id: SnapshotId {
                last,
                size: data.len() as u64,
                checksum: Checksum::of(&data),
            },
            membership: Membership::new([NodeId(1), NodeId(2), NodeId(3)]),
        };
        let under_way = self.chunk;
        let taken = self.model.chunk(leader.term, last, under_way.is_some());
        let id = snapshot.id;
        let message = Message::InstallSnapshot(Box::new(InstallSnapshot {
            term: Term(leader.term),
            snapshot,
            offset: 0,
            data,
        }));
        let from = leader.node();
        self.input(Input::Receive { from, message });
        let expected = if taken { Some(id) } else { under_way };
        assert_eq!(self.chunk, expected, "the chunk to write");
    }

    fn chunk_written(&mut self, result: Result<(), SnapshotWriteFailed>) {
        if let Some(snapshot) = self.chunk.take() {
            self.model.chunk_written(result.is_ok());
            self.input(Input::SnapshotWritten {
                snapshot,
                offset: 0,
                result,
            });
        }
    }

    fn compact(&mut self, at: &sample::Index) {
        // Also beyond the end, and behind the last snapshot.
        let index = at.index(self.model.last().index.0 as usize + 2) as u64;
        let term = self.model.term_at(index).unwrap_or(1);
        let trailing = self.raft.config().trailing_entries;
        let refused = self.model.compact(index, trailing);
        let snapshot = SnapshotId {
            last: EntryId::new(index, term),
            size: index,
            checksum: 0,
        };
        let before = self.refusals;
        self.input(Input::Compact { snapshot });
        assert_eq!(self.refusals - before, usize::from(refused));
    }

    fn persist(&mut self, count: usize) {
        let count = count.min(self.waiting.len());
        let writes: Vec<Write> = self.waiting.drain(..count).collect();
        if let Some(seq) = writes.last().map(|write| write.seq) {
            writes.iter().for_each(|write| self.disk.write(write));
            self.input(Input::Persisted { seq });
        }
    }

    fn checkpoint(&mut self) {
        let copy = Raft::from_checkpoint(&self.raft.checkpoint()).expect("its own checkpoint");
        assert_eq!(copy, self.raft, "a checkpoint is the whole state");
        self.raft = copy;
    }

    fn restart(&mut self, keep: usize, service: Service, trailing: u64) {
        let keep = keep.min(self.waiting.len());
        for write in self.waiting.drain(..).take(keep) {
            self.disk.write(&write);
        }
        self.written = self.disk.clone();
        self.chunk = None;
        let applied = match service {
            Service::Durable if self.disk.identity.is_some() => Some(self.model.handed_out()),
            Service::Durable | Service::Volatile => None,
        };
        self.model = Model::recovered(&self.disk, applied.unwrap_or(0));
        let recovered = self.disk.recovered(applied.map(Index));
        self.raft = Raft::new(config(trailing), recovered).unwrap();
        self.input(Input::Tick);
    }

    /// The log reads like the list, as a whole and from `from` to `to`.
    fn check(&self, from: &sample::Index, to: &sample::Index) {
        let (raft, model) = (&self.raft, &self.model);
        let last = model.last().index;
        assert_eq!(raft.log_base(), model.base(), "base");
        assert_eq!(raft.last_log(), model.last(), "last");
        assert_eq!(raft.term().0, model.term(), "currentTerm");
        assert_eq!(raft.commit_index().0, model.commit(), "commitIndex");
        assert_eq!(raft.handed_out_index().0, model.handed_out(), "handed out");
        for index in 0..=last.0 + 2 {
            let term = raft.term_at(Index(index)).map(|term| term.0);
            assert_eq!(term, model.term_at(index), "the term at {index}");
        }
        let places = last.0 as usize + 2;
        let (from, to) = (from.index(places) as u64, to.index(places) as u64);
        for (from, to) in [(0, Index::MAX.0), (from, to)] {
            let found: Vec<_> = storage::records(&raft.entries(Index(from), Index(to))).collect();
            assert_eq!(found, model.between(from, to), "{from} ..= {to}");
        }
        self.check_disk();
    }

    fn check_disk(&self) {
        let (raft, model) = (&self.raft, &self.model);
        let base = model.base().index.0;
        let written = self.written.log.range(base + 1..);
        let written: Vec<_> = written.map(|(at, record)| (*at, record.clone())).collect();
        assert_eq!(written, model.between(0, u64::MAX), "what was written");
        let durable = raft.durable_index().0;
        for (index, record) in model.between(0, durable) {
            assert!(self.disk.holds(index, record.term), "{index} is durable");
        }
        if self.waiting.is_empty() {
            assert_eq!(durable, model.last().index.0, "all is durable");
        }
        let reachable = model.commit().min(durable);
        // What a term's leader says is committed is handed out once the term is on disk.
        match model.is_restoring() || self.disk.hard_state.term != raft.term() {
            true => assert!(model.handed_out() <= reachable),
            false => assert_eq!(model.handed_out(), reachable),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, sample::Index, sample::Index)>> {
    let index = any::<sample::Index>;
    let length = prop_oneof![1 => Just(0), 5 => 1..=MAX_PAYLOAD];
    let after = prop_oneof![
        6 => (0..6usize).prop_map(Place::NearEnd),
        1 => index().prop_map(Place::Anywhere),
    ];
    let age = || prop_oneof![9 => Just(0), 1 => 0..3usize];
    let service = prop_oneof![Just(Service::Durable), Just(Service::Volatile)];
    let written = prop_oneof![4 => Just(Ok(())), 1 => Just(Err(SnapshotWriteFailed))];
    let step = prop_oneof![
        2 => (index(), index()).prop_map(|(heir_of, cut)| Step::Elect { heir_of, cut }),
        8 => vec(length, 1..5).prop_map(Step::Extend),
        4 => index().prop_map(Step::Commit),
        16 => (age(), after, 0..8usize)
            .prop_map(|(age, after, count)| Step::Append { age, after, count }),
        4 => (age(), index()).prop_map(|(age, last)| Step::Install { age, last }),
        5 => written.prop_map(Step::Written),
        5 => index().prop_map(Step::Compact),
        6 => (1..5usize).prop_map(Step::Persist),
        1 => Just(Step::Checkpoint),
        1 => (0..4usize, service, trailing())
            .prop_map(|(keep, service, trailing)| Step::Restart { keep, service, trailing }),
    ];
    vec((step, index(), index()), 1..160)
}

fn trailing() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..4u64, 4..30u64, Just(u64::MAX)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_log_reads_like_a_plain_list(trailing in trailing(), steps in steps()) {
        let mut bench = Bench::new(trailing);
        for (step, from, to) in &steps {
            bench.step(step);
            bench.check(from, to);
        }
    }
}
