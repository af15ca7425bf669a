//! A driver on tokio: each node is a few tasks, with TCP between the nodes and a log in a file.
//!
//! ```sh
//! cargo run -p raft-proto --example tokio
//! ```
//!
//! `Node::run` is the driver's loop. `story` runs three nodes, crashes the leader, and brings it
//! back.

#[path = "parts/file_log.rs"]
mod file_log;
#[path = "parts/frame.rs"]
mod frame;
#[path = "parts/service.rs"]
mod service;

use bytes::Bytes;
use file_log::FileLog;
use raft_proto::wire::{self, Envelope, Receiver};
use raft_proto::*;
use service::Service;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What becomes of a command. If the sender is dropped, nobody knows.
type Answer = oneshot::Sender<Result<Fate, ProposeError>>;

/// What drives one node: where its inputs come from, and where its actions go.
struct Node {
    raft: Raft,
    service: Service,
    inputs: mpsc::Receiver<Input>,
    requests: mpsc::Receiver<(Bytes, Answer)>,
    /// Unbounded here: `max_inflight_bytes` and `max_uncommitted_bytes` of the leader bound it.
    disk: std::sync::mpsc::Sender<Write>,
    /// The last write that is durable, or the one that failed.
    disk_did: watch::Receiver<Result<Seq, Seq>>,
    peers: BTreeMap<NodeId, mpsc::Sender<Vec<u8>>>,
    undecided: Vec<(EntryId, Answer)>,
    epoch: Instant,
    wake_at: Time,
    /// Inputs that wait for nothing.
    ready: VecDeque<Input>,
    /// Who asked for what is proposed in this step.
    asks: Option<Answer>,
    world: World,
}

impl Node {
    async fn run(mut self) -> Result<(), Failure> {
        loop {
            let input = self.next_input().await;
            if input == Input::Tick {
                // A tick ends the deadline, and its step names the next one.
                self.wake_at = Time::NEVER;
            }
            // The time is read after the input was received.
            let at = self.now();
            for action in self.raft.step(Event { at, input }) {
                self.perform(action)?;
            }
        }
    }

    fn now(&self) -> Time {
        Time::from_epoch(self.epoch.elapsed())
    }

    async fn next_input(&mut self) -> Input {
        if let Some(input) = self.ready.pop_front() {
            return input;
        }
        // A tick that comes early does no harm.
        let wait = self.wake_at.since(self.now()).min(Config::MAX_INTERVAL);
        tokio::select! {
            Some(input) = self.inputs.recv() => input,
            Ok(()) = self.disk_did.changed() => match *self.disk_did.borrow_and_update() {
                Ok(seq) => Input::Persisted { seq },
                Err(seq) => Input::PersistFailed { seq },
            },
            Some((command, answer)) = self.requests.recv() => {
                self.asks = Some(answer);
                Input::Propose { id: RequestId(0), commands: command.into() }
            }
            () = tokio::time::sleep(wait) => Input::Tick,
        }
    }

    fn perform(&mut self, action: Action) -> Result<(), Failure> {
        match action {
            Action::WakeAt(time) => self.wake_at = time,
            Action::Persist(write) => self.disk.send(write)?,
            Action::Send { to, message } => self.send(to, &message),
            Action::Apply { entries } => {
                self.apply(&entries);
                let last = entries.last_id();
                self.ready
                    .extend(last.map(|last| Input::Applied { index: last.index }));
            }
            // It comes out of the step that proposes, so `asks` is the one who proposed.
            Action::Proposed { outcome, .. } => match (outcome, self.asks.take()) {
                (Ok(proposal), Some(answer)) => {
                    self.undecided.push((proposal.first, answer));
                }
                (Err(error), Some(answer)) => drop(answer.send(Err(error))),
                (_, None) => {}
            },
            Action::RoleChanged { role, term } => {
                let leads = (role == RoleKind::Leader).then_some(term);
                self.world.show(self.raft.id(), |view| view.leads = leads);
            }
            Action::Faulted { reason } => return Err(reason.into()),
            Action::Refused { reason } => return Err(reason.into()),
            // Nobody gives `Compact` or sets `max_resident_bytes` here.
            Action::Restore { .. }
            | Action::ReadSnapshot { .. }
            | Action::WriteSnapshot { .. }
            | Action::ReleaseSnapshot { .. }
            | Action::SnapshotDamaged { .. }
            | Action::ReadEntries { .. } => {
                return Err("this driver has no snapshots".into());
            }
            // Outcomes of requests that nobody makes here, and news that nobody needs.
            Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::MembershipChanged { .. }
            | Action::LeaderChanged { .. } => {}
            // News for an operator.
            Action::Rejected { .. }
            | Action::LostState { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Overdue(_) => eprintln!("{}: {action:?}", self.raft.id()),
        }
        Ok(())
    }

    fn send(&self, to: NodeId, message: &Message) {
        let mut frame = Vec::new();
        let envelope = Envelope::new(self.raft.config(), to);
        frame::append(&mut frame, &wire::encode(&envelope, message));
        // A full queue loses the message, as a network may.
        self.peers.get(&to).map(|peer| peer.try_send(frame));
    }

    /// Applies, and answers the clients whose commands that decides.
    fn apply(&mut self, entries: &Entries) {
        self.service.apply(entries);
        let service = self.service.clone();
        self.world
            .show(self.raft.id(), |view| view.service = service);
        for entry in entries.iter() {
            let is_decided = |waiting: &mut (EntryId, Answer)| {
                Fate::of(waiting.0, entry.id()) != Fate::Undecided
            };
            for (proposed, answer) in self.undecided.extract_if(.., is_decided) {
                // Who asked may be gone.
                let _ = answer.send(Ok(Fate::of(proposed, entry.id())));
            }
        }
    }
}

/// The disk's thread: all writes that wait share a sync. It ends with the node, or with a failure.
fn run_disk(
    mut log: FileLog,
    writes: &std::sync::mpsc::Receiver<Write>,
    did: &watch::Sender<Result<Seq, Seq>>,
) {
    while let Ok(write) = writes.recv() {
        let mut batch = vec![write];
        batch.extend(writes.try_iter());
        // It has at least one.
        let (first, last) = (batch[0].seq, batch[batch.len() - 1].seq);
        let failed = log.write(&batch).err();
        if let Some(error) = &failed {
            eprintln!("write {first}: {error}");
        }
        // A sync that failed is not tried again.
        let is_over = failed.is_some();
        if did.send(failed.map_or(Ok(last), |_| Err(first))).is_err() || is_over {
            return;
        }
    }
}

/// Sends frames to a peer, over a connection that is made when there is something to send.
async fn run_link(
    peer: NodeId,
    mut frames: mpsc::Receiver<Vec<u8>>,
    inputs: mpsc::Sender<Input>,
    world: World,
) {
    let mut connection: Option<TcpStream> = None;
    while let Some(frame) = frames.recv().await {
        let sent = async {
            let mut stream = match connection.take() {
                Some(stream) => stream,
                None => {
                    let stream = TcpStream::connect(world.address(peer)?).await?;
                    stream.set_nodelay(true)?;
                    stream
                }
            };
            stream.write_all(&frame).await?;
            std::io::Result::Ok(stream)
        };
        match tokio::time::timeout(Duration::from_secs(1), sent).await {
            Ok(Ok(stream)) => connection = Some(stream),
            // The frame is lost. The next one tries again.
            Ok(Err(_)) | Err(_) => drop(inputs.send(Input::Unreachable { peer }).await),
        }
    }
}

/// Accepts connections, until it is aborted with all of them.
async fn run_listener(listener: TcpListener, receiver: Receiver, inputs: mpsc::Sender<Input>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(receive(stream, receiver.clone(), inputs.clone()));
                }
                Err(error) => {
                    eprintln!("accept: {error}");
                    // As with too many open files: others may be closed meanwhile.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Hands the messages of a connection to the node.
async fn receive(mut stream: TcpStream, receiver: Receiver, inputs: mpsc::Sender<Input>) {
    let mut sender = None;
    let received = async {
        loop {
            let mut header = [0; frame::HEADER];
            stream.read_exact(&mut header).await?;
            let length = frame::body_length(header, receiver.limits().max_frame_bytes)?;
            let mut bytes = header.to_vec();
            bytes.resize(frame::HEADER + length, 0);
            stream.read_exact(&mut bytes[frame::HEADER..]).await?;
            frame::first(&bytes, u64::MAX)?;
            // A server authenticates its peers (TLS), and compares whom it connected with.
            let received = match receiver.accept(Bytes::from(bytes).slice(frame::HEADER..)) {
                Err(error) if error.is_newer() => continue,
                other => other?,
            };
            sender = Some(received.from);
            inputs.send(received.into()).await?;
        }
    };
    let result: Result<(), Failure> = received.await;
    let ended = result.err().map(|error| error.to_string());
    if let (Some(peer), Some(_)) = (sender, ended) {
        let _ = inputs.send(Input::Unreachable { peer }).await;
    }
}

/// What can be seen of the nodes from outside. It also stands for the list of addresses that a
/// cluster has: `Member::context`, or a file.
#[derive(Clone)]
struct World(watch::Sender<BTreeMap<NodeId, View>>);

#[derive(Clone)]
struct View {
    address: SocketAddr,
    leads: Option<Term>,
    service: Service,
}

impl World {
    fn show(&self, node: NodeId, change: impl FnOnce(&mut View)) {
        self.0.send_modify(|views| {
            if let Some(view) = views.get_mut(&node) {
                change(view);
            }
        });
    }

    fn address(&self, node: NodeId) -> std::io::Result<SocketAddr> {
        let address = self.0.borrow().get(&node).map(|view| view.address);
        address.ok_or(std::io::ErrorKind::NotFound.into())
    }

    /// Waits for a leader of a later term than `before`.
    async fn leader_after(&self, before: Term) -> Result<(NodeId, Term), Failure> {
        let newest = |views: &BTreeMap<NodeId, View>| {
            let leaders = views
                .iter()
                .filter_map(|(id, view)| Some((*id, view.leads?)));
            leaders
                .max_by_key(|leader| leader.1)
                .filter(|leader| leader.1 > before)
        };
        let mut views = self.0.subscribe();
        let views = views.wait_for(|views| newest(views).is_some()).await?;
        newest(&views).ok_or("no leader".into())
    }
}

/// A node that runs, and how to stop it.
struct Running {
    tasks: JoinSet<()>,
    disk: JoinHandle<()>,
    requests: mpsc::Sender<(Bytes, Answer)>,
}

const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// Starts a node from its file, which holds at least so many entries.
async fn start(
    id: NodeId,
    seed: u64,
    path: &Path,
    least: usize,
    world: &World,
) -> Result<Running, Failure> {
    let mut config = Config::new(ClusterId(7), id, Start::voters(IDS), seed);
    config.heartbeat_interval = Duration::from_millis(30);
    config.election_timeout_min = Duration::from_millis(150);
    config.election_timeout_max = Duration::from_millis(300);
    let receiver = Receiver::new(&config);
    let (log, found) = FileLog::open(path)?;
    let entries = found.recovered.entries.len();
    println!(
        "{id} starts: {entries} entries in its file, and {} torn bytes",
        found.torn
    );
    // It applied the commands that it answered for, so they were on its disk.
    if entries < least {
        return Err(format!("{id} has lost entries: it had at least {least}").into());
    }
    let raft = Raft::new(config, found.recovered)?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let view = View {
        address: listener.local_addr()?,
        leads: None,
        service: Service::default(),
    };
    world.0.send_modify(|views| drop(views.insert(id, view)));
    let (input_sender, inputs) = mpsc::channel(1024);
    let (request_sender, requests) = mpsc::channel(64);
    let (disk, writes) = std::sync::mpsc::channel();
    let (did, disk_did) = watch::channel(Ok(Seq(0)));
    let mut tasks = JoinSet::new();
    let mut peers = BTreeMap::new();
    for peer in IDS.into_iter().filter(|peer| *peer != id) {
        let (sender, frames) = mpsc::channel(256);
        peers.insert(peer, sender);
        tasks.spawn(run_link(peer, frames, input_sender.clone(), world.clone()));
    }
    tasks.spawn(run_listener(listener, receiver, input_sender));
    let disk_task = tokio::task::spawn_blocking(move || run_disk(log, &writes, &did));
    let (service, undecided, world) = (Service::default(), Vec::new(), world.clone());
    let node = Node {
        raft,
        service,
        inputs,
        requests,
        disk,
        disk_did,
        peers,
        undecided,
        world,
        epoch: Instant::now(),
        wake_at: Time::NEVER,
        ready: VecDeque::from([Input::Tick]),
        asks: None,
    };
    tasks.spawn(async move {
        if let Err(error) = node.run().await {
            eprintln!("{id} ends: {error}");
        }
    });
    Ok(Running {
        tasks,
        disk: disk_task,
        requests: request_sender,
    })
}

/// Drops the node's tasks wherever they are, and waits until its file is closed.
async fn crash(mut node: Running) -> Result<(), Failure> {
    node.tasks.shutdown().await;
    Ok(node.disk.await?)
}

/// A client: gives a command to the leader until it is known to be committed.
async fn submit(
    nodes: &BTreeMap<NodeId, Running>,
    world: &World,
    serial: u64,
) -> Result<(), Failure> {
    loop {
        let (leader, term) = world.leader_after(Term(0)).await?;
        let (answer, outcome) = oneshot::channel();
        let command = service::command(serial, &format!("word {serial}"));
        if let Some(node) = nodes.get(&leader) {
            node.requests.send((command, answer)).await?;
        }
        match outcome.await {
            Ok(Ok(Fate::Committed)) => return Ok(()),
            // It may have taken effect, or not. The serial number makes it safe to give it again.
            Ok(other) => println!("command {serial} at {leader} in term {term}: {other:?}"),
            Err(_) => println!("command {serial} at {leader} in term {term}: no answer"),
        }
    }
}

async fn story(directory: &Path) -> Result<(), Failure> {
    let world = World(watch::Sender::new(BTreeMap::new()));
    let path = |id: NodeId| directory.join(format!("{id}.log"));
    let mut nodes = BTreeMap::new();
    for id in IDS {
        nodes.insert(id, start(id, id.0, &path(id), 0, &world).await?);
    }
    let (leader, term) = world.leader_after(Term(0)).await?;
    println!("{leader} leads in term {term}");
    for serial in 1..=20 {
        submit(&nodes, &world, serial).await?;
    }
    println!("20 commands are committed");

    let lost = nodes.remove(&leader).ok_or("the leader runs")?;
    // Nobody will know whether this command took effect. Its client gives it again.
    let (answer, unheard) = oneshot::channel();
    let under_way = (service::command(21, "word 21"), answer);
    lost.requests.send(under_way).await?;
    crash(lost).await?;
    drop(unheard);
    world.show(leader, |view| view.leads = None);
    // A write that power failed in the middle of.
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(path(leader))?;
    std::io::Write::write_all(&mut file, &[42, 0, 0, 0, 1, 2, 3])?;
    println!("{leader} crashes, with a command under way");
    let (next, term) = world.leader_after(term).await?;
    println!("{next} leads in term {term}");
    for serial in 21..=40 {
        submit(&nodes, &world, serial).await?;
    }
    println!("20 more commands are committed by two nodes");

    // Another seed than before.
    nodes.insert(
        leader,
        start(leader, 100 + leader.0, &path(leader), 20, &world).await?,
    );
    let mut views = world.0.subscribe();
    let has_all = |view: &View| view.service.serial == 40;
    let views = views
        .wait_for(|views| views.values().all(has_all))
        .await?
        .clone();
    let expected: Vec<String> = (1..=40).map(|serial| format!("word {serial}")).collect();
    for (id, view) in &views {
        if view.service.words != expected {
            return Err(format!("{id} has applied {:?}", view.service.words).into());
        }
    }
    println!("{leader} has caught up: all three have applied the same 40 commands");
    for node in nodes.into_values() {
        crash(node).await?;
    }
    Ok(())
}

pub(crate) fn main() -> Result<(), Failure> {
    let directory = std::env::temp_dir().join(format!("raft-tokio-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let limit = Duration::from_secs(60);
    let story = async { tokio::time::timeout(limit, story(&directory)).await };
    let result = runtime.block_on(story);
    std::fs::remove_dir_all(&directory)?;
    result?
}
