//! openraft 0.9 on a current-thread tokio runtime, with a log store in memory and a network that
//! calls the target node directly. Entries are `Bytes`.
use crate::cluster::{Cluster, Sink, payload};
use bytes::Bytes;
use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    BasicNode, Config, Entry, EntryPayload, LogId, LogState, OptionalSend, Raft, RaftLogReader,
    RaftNetwork, RaftNetworkFactory, RaftSnapshotBuilder, Snapshot, SnapshotMeta, SnapshotPolicy,
    StorageError, StoredMembership, Vote,
};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io::Cursor;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

openraft::declare_raft_types!(
    pub T:
        D = Bytes,
        R = (),
);

type Id = u64;

#[derive(Default)]
struct Log {
    entries: VecDeque<Entry<T>>,
    /// The index of `entries[0]`.
    first: u64,
    purged: Option<LogId<Id>>,
    vote: Option<Vote<Id>>,
}

#[derive(Clone, Default)]
struct Store(Arc<Mutex<Log>>);

impl RaftLogReader<T> for Store {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<T>>, StorageError<Id>> {
        let log = self.0.lock().unwrap();
        let start = match range.start_bound() {
            Bound::Included(&i) => i,
            Bound::Excluded(&i) => i + 1,
            Bound::Unbounded => log.first,
        };
        let end = match range.end_bound() {
            Bound::Included(&i) => i + 1,
            Bound::Excluded(&i) => i,
            Bound::Unbounded => u64::MAX,
        };
        let start = start.max(log.first);
        let end = end.min(log.first + log.entries.len() as u64);
        if start >= end {
            return Ok(vec![]);
        }
        let positions = (start - log.first) as usize..(end - log.first) as usize;
        Ok(log.entries.range(positions).cloned().collect())
    }
}

impl RaftLogStorage<T> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<T>, StorageError<Id>> {
        let log = self.0.lock().unwrap();
        Ok(LogState {
            last_purged_log_id: log.purged,
            last_log_id: log.entries.back().map(|e| e.log_id).or(log.purged),
        })
    }
    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }
    async fn save_vote(&mut self, vote: &Vote<Id>) -> Result<(), StorageError<Id>> {
        self.0.lock().unwrap().vote = Some(*vote);
        Ok(())
    }
    async fn read_vote(&mut self) -> Result<Option<Vote<Id>>, StorageError<Id>> {
        Ok(self.0.lock().unwrap().vote)
    }
    async fn append<I>(&mut self, entries: I, cb: LogFlushed<T>) -> Result<(), StorageError<Id>>
    where
        I: IntoIterator<Item = Entry<T>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        {
            let mut log = self.0.lock().unwrap();
            for entry in entries {
                if log.entries.is_empty() {
                    log.first = entry.log_id.index;
                }
                log.entries.push_back(entry);
            }
        }
        cb.log_io_completed(Ok(()));
        Ok(())
    }
    async fn truncate(&mut self, id: LogId<Id>) -> Result<(), StorageError<Id>> {
        let mut log = self.0.lock().unwrap();
        let keep = id.index - log.first;
        log.entries.truncate(keep as usize);
        Ok(())
    }
    async fn purge(&mut self, id: LogId<Id>) -> Result<(), StorageError<Id>> {
        let mut log = self.0.lock().unwrap();
        while log
            .entries
            .front()
            .is_some_and(|e| e.log_id.index <= id.index)
        {
            log.entries.pop_front();
            log.first += 1;
        }
        log.purged = Some(id);
        Ok(())
    }
}

#[derive(Default)]
struct MachineState {
    sink: Sink,
    last: Option<LogId<Id>>,
    membership: StoredMembership<Id, BasicNode>,
}

#[derive(Clone, Default)]
struct Machine {
    state: Arc<Mutex<MachineState>>,
    applied: Arc<AtomicU64>,
}

impl Machine {
    fn meta(&self) -> SnapshotMeta<Id, BasicNode> {
        let state = self.state.lock().unwrap();
        SnapshotMeta {
            last_log_id: state.last,
            last_membership: state.membership.clone(),
            snapshot_id: format!("{:?}", state.last),
        }
    }
}

impl RaftSnapshotBuilder<T> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<T>, StorageError<Id>> {
        Ok(Snapshot {
            meta: self.meta(),
            snapshot: Box::new(Cursor::new(Vec::new())),
        })
    }
}

impl RaftStateMachine<T> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<Id>>, StoredMembership<Id, BasicNode>), StorageError<Id>> {
        let state = self.state.lock().unwrap();
        Ok((state.last, state.membership.clone()))
    }
    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError<Id>>
    where
        I: IntoIterator<Item = Entry<T>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut out = Vec::new();
        let mut state = self.state.lock().unwrap();
        for entry in entries {
            state.last = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Normal(command) => state.sink.apply(&command),
                EntryPayload::Membership(membership) => {
                    state.membership = StoredMembership::new(Some(entry.log_id), membership)
                }
                EntryPayload::Blank => {}
            }
            out.push(());
        }
        self.applied.store(state.sink.applied, Relaxed);
        Ok(out)
    }
    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }
    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError<Id>> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }
    async fn install_snapshot(
        &mut self,
        _: &SnapshotMeta<Id, BasicNode>,
        _: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<Id>> {
        panic!("no workload here sends a snapshot")
    }
    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<T>>, StorageError<Id>> {
        Ok(None)
    }
}

/// What all connections share.
#[derive(Default)]
struct Shared {
    rafts: Mutex<Vec<Raft<T>>>,
    disconnected: Vec<AtomicBool>,
    messages: AtomicU64,
}

#[derive(Clone)]
struct Connection {
    from: Id,
    to: Id,
    shared: Arc<Shared>,
    target: Option<Raft<T>>,
}

impl Connection {
    fn target<E: std::error::Error>(&mut self) -> Result<Raft<T>, RPCError<Id, BasicNode, E>> {
        let disconnected = |id: Id| self.shared.disconnected[id as usize].load(Relaxed);
        if disconnected(self.from) || disconnected(self.to) {
            let error = std::io::Error::from(std::io::ErrorKind::NotConnected);
            return Err(RPCError::Unreachable(Unreachable::new(&error)));
        }
        self.shared.messages.fetch_add(2, Relaxed); // request and response
        if self.target.is_none() {
            match self.shared.rafts.lock().unwrap().get(self.to as usize) {
                Some(raft) => self.target = Some(raft.clone()),
                None => {
                    let error = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(RPCError::Network(NetworkError::new(&error)));
                }
            }
        }
        Ok(self.target.clone().unwrap())
    }
}

impl RaftNetworkFactory<T> for Connection {
    type Network = Connection;
    async fn new_client(&mut self, to: Id, _: &BasicNode) -> Connection {
        Connection {
            to,
            target: None,
            ..self.clone()
        }
    }
}

impl RaftNetwork<T> for Connection {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<T>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Id>, RPCError<Id, BasicNode, RaftError<Id>>> {
        let reply = self.target()?.append_entries(rpc).await;
        reply.map_err(|error| RemoteError::new(self.to, error).into())
    }
    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<T>,
        _: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<Id>,
        RPCError<Id, BasicNode, RaftError<Id, InstallSnapshotError>>,
    > {
        let reply = self.target()?.install_snapshot(rpc).await;
        reply.map_err(|error| RemoteError::new(self.to, error).into())
    }
    async fn vote(
        &mut self,
        rpc: VoteRequest<Id>,
        _: RPCOption,
    ) -> Result<VoteResponse<Id>, RPCError<Id, BasicNode, RaftError<Id>>> {
        let reply = self.target()?.vote(rpc).await;
        reply.map_err(|error| RemoteError::new(self.to, error).into())
    }
    fn backoff(&self) -> Backoff {
        // The default is 500 ms; keep it out of the catch-up time.
        Backoff::new(std::iter::repeat(Duration::from_millis(2)))
    }
}

type Receiver =
    <<T as openraft::RaftTypeConfig>::Responder as openraft::raft::responder::Responder<T>>::Receiver;

pub struct Nodes {
    rt: Runtime,
    shared: Arc<Shared>,
    machines: Vec<Machine>,
    stores: Vec<Store>,
    leader: Raft<T>,
    waiting: Vec<Receiver>,
}

impl Nodes {
    pub fn new(n: usize) -> Self {
        let rt = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            disconnected: (0..n).map(|_| AtomicBool::new(false)).collect(),
            ..Default::default()
        });
        let machines: Vec<Machine> = (0..n).map(|_| Machine::default()).collect();
        let stores: Vec<Store> = (0..n).map(|_| Store::default()).collect();
        let leader = rt.block_on(async {
            for i in 0..n {
                let config = Config {
                    heartbeat_interval: 100,
                    election_timeout_min: 1000,
                    election_timeout_max: 2000,
                    max_payload_entries: 4096,
                    snapshot_policy: SnapshotPolicy::Never,
                    enable_elect: i == 0,
                    ..Default::default()
                };
                let config = Arc::new(config.validate().unwrap());
                let id = i as Id;
                let network = Connection {
                    from: id,
                    to: id,
                    shared: shared.clone(),
                    target: None,
                };
                let (store, machine) = (stores[i].clone(), machines[i].clone());
                let raft = Raft::new(id, config, network, store, machine);
                let raft = raft.await.unwrap();
                shared.rafts.lock().unwrap().push(raft);
            }
            let leader = shared.rafts.lock().unwrap()[0].clone();
            let nodes: BTreeMap<Id, BasicNode> =
                (0..n as Id).map(|i| (i, BasicNode::default())).collect();
            leader.initialize(nodes).await.unwrap();
            let metrics = leader.wait(Some(Duration::from_secs(10)));
            metrics.current_leader(0, "elected").await.unwrap();
            leader
        });
        Nodes {
            rt,
            shared,
            machines,
            stores,
            leader,
            waiting: Vec::new(),
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let rafts = std::mem::take(&mut *self.shared.rafts.lock().unwrap());
        self.rt.block_on(async {
            for raft in rafts {
                raft.shutdown().await.unwrap();
            }
        });
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        self.rt.block_on(async {
            for seq in first..first + count as u64 {
                let command = payload(seq, size).into();
                let receiver = self.leader.client_write_ff(command).await.unwrap();
                self.waiting.push(receiver);
            }
        });
    }
    fn pump(&mut self) {
        self.rt.block_on(async {
            for receiver in self.waiting.drain(..) {
                receiver.await.unwrap().unwrap();
            }
        });
    }
    fn tick(&mut self) {
        self.rt.block_on(async {
            for _ in 0..32 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_micros(10)).await;
        });
    }
    fn applied(&self, node: usize) -> u64 {
        self.machines[node].applied.load(Relaxed)
    }
    fn compact(&mut self) {
        // Snapshots are empty here, so compaction is the log store's work alone. It drops a prefix
        // that every node has applied, as `purge` would, but without a call by the library.
        let applied = self.machines.iter().map(|machine| {
            let last = machine.state.lock().unwrap().last;
            last.map_or(0, |last| last.index)
        });
        let to = applied.min().unwrap();
        for store in &self.stores {
            let mut log = store.0.lock().unwrap();
            while log.entries.len() > 1 && log.entries[0].log_id.index + 1 < to {
                log.entries.pop_front();
                log.first += 1;
            }
        }
    }
    fn disconnect(&mut self, node: usize) {
        self.shared.disconnected[node].store(true, Relaxed);
    }
    fn reconnect(&mut self, node: usize) {
        self.shared.disconnected[node].store(false, Relaxed);
    }
    fn messages(&self) -> u64 {
        self.shared.messages.load(Relaxed)
    }
}
