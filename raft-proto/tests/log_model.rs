//! The log of one follower, compared with a plain list. Successive leaders append, overwrite,
//! commit and install snapshots, the service compacts, and the node restarts from a prefix of its
//! writes. After each step the log must read the same as the list.
//!
//! The leaders are correct: each holds all that was committed before it, and index and term of an
//! entry determine its payload. The node's clock stands still, so that it never campaigns.
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
use support::storage::{self, Record, Service, Storage};

/// One event, or a group of events that belong together.
#[derive(Clone, Debug)]
enum Step {
    /// A new leader begins with the log of an earlier one, cut somewhere after commitIndex.
    Elect {
        log_of: sample::Index,
        cut: sample::Index,
    },
    /// The newest leader appends entries with payloads of these lengths.
    Extend(Vec<usize>),
    /// The newest leader commits up to one of its own entries.
    Commit(sample::Index),
    /// A leader sends `count` entries after some place in its log: the newest leader, or one
    /// `age` leaders older.
    Append {
        age: usize,
        after: Place,
        count: usize,
    },
    /// A leader sends a snapshot whose last entry it knows to be committed.
    Install { age: usize, last: sample::Index },
    /// The driver has written the chunk, or could not write it.
    Written(Result<(), SnapshotWriteFailed>),
    /// The service has made a snapshot that ends there.
    Compact(sample::Index),
    /// That many of the oldest writes become durable.
    Persist(usize),
    /// The node goes on from its own checkpoint.
    Checkpoint,
    /// The node crashes and starts again. Of its unsynced writes, the oldest `keep` survive.
    Restart {
        keep: usize,
        service: Service,
        trailing: u64,
    },
}

/// Where in a leader's log.
#[derive(Clone, Debug)]
enum Place {
    /// That far before the last index that both the leader and the follower have.
    NearEnd(usize),
    Anywhere(sample::Index),
}

#[derive(Clone, Debug)]
struct Leader {
    term: u64,
    /// The first entry has index 1.
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

/// A follower with its disk and service, the leaders that send to it, and the list.
struct Harness {
    raft: Raft,
    model: Model,
    leaders: Vec<Leader>,
    /// With the writes that are synced.
    disk: Storage,
    /// With all writes that the node has asked for.
    written: Storage,
    waiting: VecDeque<Write>,
    chunk: Option<SnapshotId>,
    refusals: usize,
}

impl Harness {
    fn new(trailing: u64) -> Harness {
        let first = Leader {
            term: 1,
            log: Vec::new(),
            commit: 0,
        };
        let mut harness = Harness {
            raft: Raft::new(config(trailing), Recovered::default()).unwrap(),
            model: Model::default(),
            leaders: vec![first],
            disk: Storage::default(),
            written: Storage::default(),
            waiting: VecDeque::new(),
            chunk: None,
            refusals: 0,
        };
        harness.input(Input::Tick);
        harness
    }

    /// Gives the node an input, which the model has taken before. The service applies at once.
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
            other => panic!("a follower of correct leaders does this: {other:?}"),
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
            Step::Elect { log_of, cut } => self.elect(log_of, cut),
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

    fn leader(&self, age: usize) -> Leader {
        let at = (self.leaders.len() - 1).saturating_sub(age);
        self.leaders[at].clone()
    }

    fn elect(&mut self, log_of: &sample::Index, cut: &sample::Index) {
        let newest = self.newest().clone();
        // Leader Completeness: only a node is elected that holds all committed entries.
        let committed = newest.entry_id(newest.commit);
        let complete = |leader: &&Leader| {
            leader.log.len() >= newest.commit && leader.entry_id(newest.commit) == committed
        };
        let candidates: Vec<&Leader> = self.leaders.iter().filter(complete).collect();
        let mut log = log_of.get(&candidates).log.clone();
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
        let leader = self.leader(age);
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
            revoked: 0,
            promise_millis: 0,
            term: Term(leader.term),
            prev_log,
            leader_commit: Index(commit),
            entries: storage::entries(list.iter().map(|(index, record)| (*index, record))),
            lineage: Lineage::Unknown,
        });
        let from = leader.node();
        self.input(Input::Receive {
            from,
            message,
            incarnation: None,
        });
    }

    fn install(&mut self, age: usize, last: &sample::Index) {
        let leader = self.leader(age);
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
        let taken = self.model.chunk(leader.term, last, under_way);
        let id = snapshot.id;
        let message = Message::InstallSnapshot(Box::new(InstallSnapshot {
            term: Term(leader.term),
            snapshot,
            offset: 0,
            data,
        }));
        let from = leader.node();
        self.input(Input::Receive {
            from,
            message,
            incarnation: None,
        });
        let expected = if taken { Some(id) } else { under_way };
        assert_eq!(self.chunk, expected, "the chunk to write");
    }

    fn chunk_written(&mut self, result: Result<(), SnapshotWriteFailed>) {
        if let Some(snapshot) = self.chunk.take() {
            self.model.chunk_written(result);
            self.input(Input::SnapshotWritten {
                snapshot,
                offset: 0,
                result,
            });
        }
    }

    fn compact(&mut self, at: &sample::Index) {
        // The index may lie beyond the end of the log, or before the last snapshot.
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

    /// The log reads the same as the list, as a whole and from `from` to `to`.
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
        assert_eq!(written, model.between(0, u64::MAX), "the entries written");
        let durable = raft.durable_index().0;
        for (index, record) in model.between(0, durable) {
            assert!(self.disk.holds(index, record.term), "{index} is durable");
        }
        if self.waiting.is_empty() {
            assert_eq!(durable, model.last().index.0, "all is durable");
        }
        let reachable = model.commit().min(durable);
        // Committed entries are handed out once the current term is on disk.
        if model.is_restoring() || self.disk.hard_state.term != raft.term() {
            assert!(model.handed_out() <= reachable);
        } else {
            assert_eq!(model.handed_out(), reachable);
        }
    }
}

/// A step, and the range in which the log is compared with the list after it.
#[derive(Clone, Debug)]
struct CheckedStep {
    step: Step,
    from: sample::Index,
    to: sample::Index,
}

fn steps() -> impl Strategy<Value = Vec<CheckedStep>> {
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
        2 => (index(), index()).prop_map(|(log_of, cut)| Step::Elect { log_of, cut }),
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
    let checked = (step, index(), index());
    vec(
        checked.prop_map(|(step, from, to)| CheckedStep { step, from, to }),
        1..160,
    )
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
    fn the_log_reads_the_same_as_a_plain_list(trailing in trailing(), steps in steps()) {
        let mut harness = Harness::new(trailing);
        for checked in &steps {
            harness.step(&checked.step);
            harness.check(&checked.from, &checked.to);
        }
    }
}
