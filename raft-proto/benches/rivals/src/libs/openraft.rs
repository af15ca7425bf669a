//! openraft 0.9 on a current-thread tokio runtime, with an in-memory log store and
//! a network that calls the target node directly. Entries are `Bytes`.
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
    /// Index of `entries[0]`.
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
        let l = self.0.lock().unwrap();
        let lo = match range.start_bound() {
            Bound::Included(&i) => i,
            Bound::Excluded(&i) => i + 1,
            Bound::Unbounded => l.first,
        };
        let hi = match range.end_bound() {
            Bound::Included(&i) => i + 1,
            Bound::Excluded(&i) => i,
            Bound::Unbounded => u64::MAX,
        };
        let end = l.first + l.entries.len() as u64;
        let (lo, hi) = (lo.max(l.first), hi.min(end));
        if lo >= hi {
            return Ok(vec![]);
        }
        let r = (lo - l.first) as usize..(hi - l.first) as usize;
        Ok(l.entries.range(r).cloned().collect())
    }
}

impl RaftLogStorage<T> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<T>, StorageError<Id>> {
        let l = self.0.lock().unwrap();
        Ok(LogState {
            last_purged_log_id: l.purged,
            last_log_id: l.entries.back().map(|e| e.log_id).or(l.purged),
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
            let mut l = self.0.lock().unwrap();
            for e in entries {
                if l.entries.is_empty() {
                    l.first = e.log_id.index;
                }
                l.entries.push_back(e);
            }
        }
        cb.log_io_completed(Ok(()));
        Ok(())
    }
    async fn truncate(&mut self, id: LogId<Id>) -> Result<(), StorageError<Id>> {
        let mut l = self.0.lock().unwrap();
        let keep = id.index - l.first;
        l.entries.truncate(keep as usize);
        Ok(())
    }
    async fn purge(&mut self, id: LogId<Id>) -> Result<(), StorageError<Id>> {
        let mut l = self.0.lock().unwrap();
        while l
            .entries
            .front()
            .is_some_and(|e| e.log_id.index <= id.index)
        {
            l.entries.pop_front();
            l.first += 1;
        }
        l.purged = Some(id);
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
        let s = self.state.lock().unwrap();
        SnapshotMeta {
            last_log_id: s.last,
            last_membership: s.membership.clone(),
            snapshot_id: format!("{:?}", s.last),
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
        let s = self.state.lock().unwrap();
        Ok((s.last, s.membership.clone()))
    }
    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError<Id>>
    where
        I: IntoIterator<Item = Entry<T>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut out = Vec::new();
        let mut s = self.state.lock().unwrap();
        for e in entries {
            s.last = Some(e.log_id);
            match e.payload {
                EntryPayload::Normal(d) => s.sink.apply(&d),
                EntryPayload::Membership(m) => {
                    s.membership = StoredMembership::new(Some(e.log_id), m)
                }
                EntryPayload::Blank => {}
            }
            out.push(());
        }
        self.applied.store(s.sink.applied, Relaxed);
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

#[derive(Default)]
struct Wire {
    rafts: Mutex<Vec<Raft<T>>>,
    cut: Vec<AtomicBool>,
    messages: AtomicU64,
}

#[derive(Clone)]
struct Net {
    from: Id,
    to: Id,
    wire: Arc<Wire>,
    target: Option<Raft<T>>,
}

impl Net {
    fn target<E: std::error::Error>(&mut self) -> Result<Raft<T>, RPCError<Id, BasicNode, E>> {
        let cut = |i: Id| self.wire.cut[i as usize].load(Relaxed);
        if cut(self.from) || cut(self.to) {
            let e = std::io::Error::from(std::io::ErrorKind::NotConnected);
            return Err(RPCError::Unreachable(Unreachable::new(&e)));
        }
        self.wire.messages.fetch_add(2, Relaxed); // request and response
        if self.target.is_none() {
            match self.wire.rafts.lock().unwrap().get(self.to as usize) {
                Some(r) => self.target = Some(r.clone()),
                None => {
                    let e = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(RPCError::Network(NetworkError::new(&e)));
                }
            }
        }
        Ok(self.target.clone().unwrap())
    }
}

impl RaftNetworkFactory<T> for Net {
    type Network = Net;
    async fn new_client(&mut self, to: Id, _: &BasicNode) -> Net {
        Net {
            to,
            target: None,
            ..self.clone()
        }
    }
}

impl RaftNetwork<T> for Net {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<T>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Id>, RPCError<Id, BasicNode, RaftError<Id>>> {
        let r = self.target()?.append_entries(rpc).await;
        r.map_err(|e| RemoteError::new(self.to, e).into())
    }
    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<T>,
        _: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<Id>,
        RPCError<Id, BasicNode, RaftError<Id, InstallSnapshotError>>,
    > {
        let r = self.target()?.install_snapshot(rpc).await;
        r.map_err(|e| RemoteError::new(self.to, e).into())
    }
    async fn vote(
        &mut self,
        rpc: VoteRequest<Id>,
        _: RPCOption,
    ) -> Result<VoteResponse<Id>, RPCError<Id, BasicNode, RaftError<Id>>> {
        let r = self.target()?.vote(rpc).await;
        r.map_err(|e| RemoteError::new(self.to, e).into())
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
    wire: Arc<Wire>,
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
        let wire = Arc::new(Wire {
            cut: (0..n).map(|_| AtomicBool::new(false)).collect(),
            ..Default::default()
        });
        let machines: Vec<Machine> = (0..n).map(|_| Machine::default()).collect();
        let stores: Vec<Store> = (0..n).map(|_| Store::default()).collect();
        let leader = rt.block_on(async {
            for i in 0..n {
                let cfg = Config {
                    heartbeat_interval: 100,
                    election_timeout_min: 1000,
                    election_timeout_max: 2000,
                    max_payload_entries: 4096,
                    snapshot_policy: SnapshotPolicy::Never,
                    enable_elect: i == 0,
                    ..Default::default()
                };
                let cfg = Arc::new(cfg.validate().unwrap());
                let net = Net {
                    from: i as Id,
                    to: i as Id,
                    wire: wire.clone(),
                    target: None,
                };
                let r = Raft::new(i as Id, cfg, net, stores[i].clone(), machines[i].clone())
                    .await
                    .unwrap();
                wire.rafts.lock().unwrap().push(r);
            }
            let leader = wire.rafts.lock().unwrap()[0].clone();
            let nodes: BTreeMap<Id, BasicNode> =
                (0..n as Id).map(|i| (i, BasicNode::default())).collect();
            leader.initialize(nodes).await.unwrap();
            let m = leader.wait(Some(Duration::from_secs(10)));
            m.current_leader(0, "elected").await.unwrap();
            leader
        });
        Nodes {
            rt,
            wire,
            machines,
            stores,
            leader,
            waiting: Vec::new(),
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let rafts = std::mem::take(&mut *self.wire.rafts.lock().unwrap());
        self.rt.block_on(async {
            for r in rafts {
                r.shutdown().await.unwrap();
            }
        });
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        self.rt.block_on(async {
            for s in first..first + count as u64 {
                let d = payload(s, size).into();
                self.waiting
                    .push(self.leader.client_write_ff(d).await.unwrap());
            }
        });
    }
    fn pump(&mut self) {
        self.rt.block_on(async {
            for rx in self.waiting.drain(..) {
                rx.await.unwrap().unwrap();
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
        // Snapshots are empty here, so compaction is only what the log store does:
        // drop a prefix that every node has applied, behind the library's back but
        // within what `purge` would do.
        let to = (0..self.machines.len())
            .map(|i| {
                self.machines[i]
                    .state
                    .lock()
                    .unwrap()
                    .last
                    .map_or(0, |l| l.index)
            })
            .min()
            .unwrap();
        for s in &self.stores {
            let mut l = s.0.lock().unwrap();
            while l.entries.len() > 1 && l.entries[0].log_id.index + 1 < to {
                l.entries.pop_front();
                l.first += 1;
            }
        }
    }
    fn isolate(&mut self, node: usize, cut: bool) {
        self.wire.cut[node].store(cut, Relaxed);
    }
    fn messages(&self) -> u64 {
        self.wire.messages.load(Relaxed)
    }
}
