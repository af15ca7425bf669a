//! A driver without a runtime: each node is one thread, which waits for its sockets, its clients
//! and the time in one place, and syncs its file between two waits.
//!
//! ```sh
//! cargo run -p raft-proto --example poll
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
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use raft_proto::wire::{self, Envelope, Receiver};
use raft_proto::*;
use service::Service;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What becomes of a command. If the sender is dropped, nobody knows.
type Answer = mpsc::Sender<Result<Fate, ProposeError>>;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// What may wait for a connection. Beyond it, messages are lost, as a network may lose them.
const MAX_QUEUED_BYTES: usize = 16 << 20;

/// One direction of a pair: a node sends on the connections that it made, and reads the others.
struct Connection {
    stream: TcpStream,
    /// Whom it was made to, or whose messages came.
    peer: Option<NodeId>,
    /// Whether this node made it.
    is_link: bool,
    /// Read, but not a whole frame yet; or not written yet.
    bytes: Vec<u8>,
}

/// What drives one node.
struct Node {
    raft: Raft,
    service: Service,
    log: FileLog,
    /// Writes that the next sync makes durable.
    unsynced: Vec<Write>,
    inputs: VecDeque<Input>,
    poll: Poll,
    listener: TcpListener,
    receiver: Receiver,
    connections: BTreeMap<Token, Connection>,
    /// The connections that this node made.
    links: BTreeMap<NodeId, Token>,
    next_token: usize,
    requests: mpsc::Receiver<(Bytes, Answer)>,
    asks: Option<Answer>,
    undecided: Vec<(EntryId, Answer)>,
    epoch: Instant,
    wake_at: Time,
    world: Arc<World>,
}

impl Node {
    /// Runs until the sender of requests is dropped, which is the crash.
    fn run(mut self) -> Result<(), Failure> {
        let mut events = Events::with_capacity(64);
        self.step(Input::Tick)?;
        loop {
            // Messages are on their way while the disk syncs, and all writes that wait share a sync.
            self.sync()?;
            let now = self.now();
            let wait = self.wake_at.since(now).min(Config::MAX_INTERVAL);
            let wait = if self.inputs.is_empty() {
                wait
            } else {
                Duration::ZERO
            };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    LISTENER => self.accept()?,
                    token => self.transfer(token),
                }
            }
            loop {
                match self.requests.try_recv() {
                    Ok((command, answer)) => {
                        self.asks = Some(answer);
                        let (id, commands) = (RequestId(0), command.into());
                        self.step(Input::Propose { id, commands })?;
                    }
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
                }
            }
            while let Some(input) = self.inputs.pop_front() {
                self.step(input)?;
            }
            if self.now() >= self.wake_at {
                self.step(Input::Tick)?;
            }
        }
    }

    fn now(&self) -> Time {
        Time::from_epoch(self.epoch.elapsed())
    }

    fn step(&mut self, input: Input) -> Result<(), Failure> {
        // The time is read after the input was received.
        let at = self.now();
        if input == Input::Tick {
            // A tick ends the deadline, and its step names the next one.
            self.wake_at = Time::NEVER;
        }
        for action in self.raft.step(Event { at, input }) {
            match action {
                Action::WakeAt(time) => self.wake_at = time,
                Action::Persist(write) => self.unsynced.push(write),
                Action::Send { to, message } => self.send(to, &message),
                Action::Apply { entries } => self.apply(&entries),
                // It comes out of the step that proposes, so `asks` is the one who proposed.
                Action::Proposed { outcome, .. } => match (outcome, self.asks.take()) {
                    (Ok(proposal), Some(answer)) => self.undecided.push((proposal.first, answer)),
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
                | Action::ReadEntries { .. } => return Err("this driver has no snapshots".into()),
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
        }
        Ok(())
    }

    /// Makes the writes durable, and only then says so; also those that follow from that.
    fn sync(&mut self) -> Result<(), Failure> {
        while let (Some(first), Some(last)) = (self.unsynced.first(), self.unsynced.last()) {
            let (first, last) = (first.seq, last.seq);
            let result = self.log.write(&self.unsynced);
            self.unsynced.clear();
            self.step(match result {
                Ok(()) => Input::Persisted { seq: last },
                Err(error) => {
                    // A sync that failed is not tried again. The core answers with `Faulted`.
                    eprintln!("{}: write {first}: {error}", self.raft.id());
                    Input::PersistFailed { seq: first }
                }
            })?;
        }
        Ok(())
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
        let last = entries.last_id();
        self.inputs
            .extend(last.map(|last| Input::Applied { index: last.index }));
    }

    fn send(&mut self, to: NodeId, message: &Message) {
        let frame = wire::encode(&Envelope::new(self.raft.config(), to), message);
        let link = self
            .links
            .get(&to)
            .copied()
            .map_or_else(|| self.connect(to), Ok);
        let Ok(token) = link else {
            return self.inputs.push_back(Input::Unreachable { peer: to });
        };
        let connection = self.connections.get_mut(&token);
        if let Some(link) = connection.filter(|it| it.bytes.len() < MAX_QUEUED_BYTES) {
            frame::append(&mut link.bytes, &frame);
        }
        self.transfer(token);
    }

    /// Begins a connection to a peer; what is sent to it meanwhile waits.
    fn connect(&mut self, peer: NodeId) -> io::Result<Token> {
        let stream = TcpStream::connect(self.world.address(peer)?)?;
        let token = self.register(stream, Some(peer), true)?;
        self.links.insert(peer, token);
        Ok(token)
    }

    fn accept(&mut self) -> Result<(), Failure> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => drop(self.register(stream, None, false)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    eprintln!("{}: accept: {error}", self.raft.id());
                    return Ok(());
                }
            }
        }
    }

    fn register(
        &mut self,
        mut stream: TcpStream,
        peer: Option<NodeId>,
        is_link: bool,
    ) -> io::Result<Token> {
        let token = Token(self.next_token);
        self.next_token += 1;
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, token, interest)?;
        let connection = Connection {
            stream,
            peer,
            is_link,
            bytes: Vec::new(),
        };
        self.connections.insert(token, connection);
        Ok(token)
    }

    /// Moves what can be moved without waiting. A connection that ended is forgotten, and the core is
    /// told; the next message begins another one.
    fn transfer(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        let result = if connection.is_link {
            connection.flush()
        } else {
            connection.receive(&self.receiver, &mut self.inputs)
        };
        if result.is_err() {
            let peer = connection.peer;
            self.connections.remove(&token);
            self.links.retain(|_, link| *link != token);
            self.inputs
                .extend(peer.map(|peer| Input::Unreachable { peer }));
        }
    }
}

impl Connection {
    /// Writes what waits. The peer never writes here: what can be read is the end.
    fn flush(&mut self) -> Result<(), Failure> {
        while !self.bytes.is_empty() {
            match self.stream.write(&self.bytes) {
                Ok(count) => drop(self.bytes.drain(..count)),
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        match self.stream.read(&mut [0]) {
            Err(error) if is_later(&error) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err("the peer has closed the connection".into()),
        }
    }

    /// Reads what there is, and takes the whole frames in it.
    fn receive(
        &mut self,
        receiver: &Receiver,
        inputs: &mut VecDeque<Input>,
    ) -> Result<(), Failure> {
        let mut chunk = [0; 1 << 14];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err("the peer has closed the connection".into()),
                Ok(count) => self.bytes.extend_from_slice(&chunk[..count]),
                Err(error) if is_later(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            let mut taken = 0;
            let limit = receiver.limits().max_frame_bytes;
            while let Some(body) = frame::first(&self.bytes[taken..], limit)? {
                taken += frame::HEADER + body.len();
                // A server authenticates its peers (TLS), and compares whom it connected with.
                match receiver.accept(Bytes::copy_from_slice(body)) {
                    Ok(received) => {
                        self.peer = Some(received.from);
                        inputs.push_back(received.into());
                    }
                    Err(error) if error.is_newer() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            self.bytes.drain(..taken);
        }
    }
}

/// Whether an event will say when to try again. A connection that is being made is not connected.
fn is_later(error: &io::Error) -> bool {
    use ErrorKind::{Interrupted, NotConnected, WouldBlock};
    [Interrupted, NotConnected, WouldBlock].contains(&error.kind())
}

/// What can be seen of the nodes from outside. It also stands for the list of addresses that a
/// cluster has: `Member::context`, or a file.
#[derive(Default)]
struct World {
    views: Mutex<BTreeMap<NodeId, View>>,
    changed: Condvar,
}

struct View {
    address: SocketAddr,
    leads: Option<Term>,
    service: Service,
}

impl World {
    fn views(&self) -> MutexGuard<'_, BTreeMap<NodeId, View>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, node: NodeId, change: impl FnOnce(&mut View)) {
        self.views().get_mut(&node).map(change);
        self.changed.notify_all();
    }

    fn address(&self, node: NodeId) -> io::Result<SocketAddr> {
        let address = self.views().get(&node).map(|view| view.address);
        address.ok_or(ErrorKind::NotFound.into())
    }

    /// Waits until `found` finds something.
    fn wait<T>(
        &self,
        mut found: impl FnMut(&BTreeMap<NodeId, View>) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + LIMIT;
        let mut views = self.views();
        loop {
            if let Some(found) = found(&views) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("waited in vain".into());
            }
            let waited = self.changed.wait_timeout(views, left);
            views = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a leader of a later term than `before`.
    fn leader_after(&self, before: Term) -> Result<(NodeId, Term), Failure> {
        self.wait(|views| {
            let leaders = views
                .iter()
                .filter_map(|(id, view)| Some((*id, view.leads?)));
            leaders
                .max_by_key(|leader| leader.1)
                .filter(|leader| leader.1 > before)
        })
    }
}

/// How long the story waits for anything.
const LIMIT: Duration = Duration::from_secs(60);

const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// A node that runs.
struct Running {
    thread: JoinHandle<()>,
    waker: Waker,
    requests: mpsc::Sender<(Bytes, Answer)>,
}

/// Starts a node from its file, which holds at least so many entries.
fn start(
    id: NodeId,
    seed: u64,
    path: &Path,
    least: usize,
    world: &Arc<World>,
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

    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKER)?;
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let view = View {
        address: listener.local_addr()?,
        leads: None,
        service: Service::default(),
    };
    world.views().insert(id, view);
    let (request_sender, requests) = mpsc::channel();
    let node = Node {
        raft,
        service: Service::default(),
        log,
        unsynced: Vec::new(),
        inputs: VecDeque::new(),
        poll,
        listener,
        receiver,
        connections: BTreeMap::new(),
        links: BTreeMap::new(),
        next_token: WAKER.0 + 1,
        requests,
        asks: None,
        undecided: Vec::new(),
        epoch: Instant::now(),
        wake_at: Time::NEVER,
        world: world.clone(),
    };
    let thread = std::thread::Builder::new()
        .name(id.to_string())
        .spawn(move || {
            if let Err(error) = node.run() {
                eprintln!("{id} ends: {error}");
            }
        })?;
    Ok(Running {
        thread,
        waker,
        requests: request_sender,
    })
}

/// Ends the node's thread wherever it waits.
fn crash(node: Running) -> Result<(), Failure> {
    let Running {
        thread,
        waker,
        requests,
    } = node;
    drop(requests);
    waker.wake()?;
    thread
        .join()
        .map_err(|_| "the node's thread has panicked".into())
}

/// A client: gives a command to the leader until it is known to be committed.
fn submit(nodes: &BTreeMap<NodeId, Running>, world: &World, serial: u64) -> Result<(), Failure> {
    loop {
        let (leader, term) = world.leader_after(Term(0))?;
        let node = nodes.get(&leader).ok_or("the leader runs")?;
        let (answer, outcome) = mpsc::channel();
        let command = service::command(serial, &format!("word {serial}"));
        node.requests.send((command, answer))?;
        node.waker.wake()?;
        match outcome.recv_timeout(LIMIT) {
            Ok(Ok(Fate::Committed)) => return Ok(()),
            // It may have taken effect, or not. The serial number makes it safe to give it again.
            Ok(other) => println!("command {serial} at {leader} in term {term}: {other:?}"),
            Err(error) => return Err(error.into()),
        }
    }
}

fn story(directory: &Path) -> Result<(), Failure> {
    let world = Arc::new(World::default());
    let path = |id: NodeId| directory.join(format!("{id}.log"));
    let mut nodes = BTreeMap::new();
    for id in IDS {
        nodes.insert(id, start(id, id.0, &path(id), 0, &world)?);
    }
    let (leader, term) = world.leader_after(Term(0))?;
    println!("{leader} leads in term {term}");
    for serial in 1..=20 {
        submit(&nodes, &world, serial)?;
    }
    println!("20 commands are committed");

    let lost = nodes.remove(&leader).ok_or("the leader runs")?;
    // Nobody will know whether this command took effect. Its client gives it again.
    let (answer, unheard) = mpsc::channel();
    let under_way = (service::command(21, "word 21"), answer);
    lost.requests.send(under_way)?;
    crash(lost)?;
    drop(unheard);
    world.show(leader, |view| view.leads = None);
    // A write that power failed in the middle of.
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(path(leader))?;
    file.write_all(&[42, 0, 0, 0, 1, 2, 3])?;
    println!("{leader} crashes, with a command under way");
    let (next, term) = world.leader_after(term)?;
    println!("{next} leads in term {term}");
    for serial in 21..=40 {
        submit(&nodes, &world, serial)?;
    }
    println!("20 more commands are committed by two nodes");

    // Another seed than before.
    nodes.insert(
        leader,
        start(leader, 100 + leader.0, &path(leader), 20, &world)?,
    );
    let expected: Vec<String> = (1..=40).map(|serial| format!("word {serial}")).collect();
    world.wait(|views| {
        views
            .values()
            .all(|it| it.service.serial == 40)
            .then_some(())
    })?;
    for (id, view) in world.views().iter() {
        if view.service.words != expected {
            return Err(format!("{id} has applied {:?}", view.service.words).into());
        }
    }
    println!("{leader} has caught up: all three have applied the same 40 commands");
    nodes.into_values().try_for_each(crash)
}

pub(crate) fn main() -> Result<(), Failure> {
    let directory = std::env::temp_dir().join(format!("raft-poll-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let result = story(&directory);
    std::fs::remove_dir_all(&directory)?;
    result
}
