//! A replicated counter: three nodes on loopback TCP with disks, killed and started again.
use bytes::{Buf, BufMut};
use raft_driver_thread::raft_proto::{ClusterId, Config, Member, NodeId, ReadMode, Start};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Commands, Node, Options, RecorderOptions, StateMachine};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::{error::Error, io, path::Path, thread, time::Duration};

#[derive(Clone, Default)]
struct Counter {
    count: u64,
    clients: BTreeMap<u64, LastCommand>,
}

/// A client's last command. One that comes again is answered again, but not applied (thesis 6.3).
#[derive(Clone, Default)]
struct LastCommand {
    number: u64,
    answer: u64,
}

impl StateMachine for Counter {
    type Answer = u64;
    type Snapshot = Counter;
    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
        for command in commands {
            let mut payload = command.payload; // The client, the command's number, and "+++".
            let last = self.clients.entry(payload.get_u64_le()).or_default();
            let number = payload.get_u64_le();
            if number > last.number {
                self.count += payload.len() as u64; // "+++" adds three.
                let answer = self.count;
                *last = LastCommand { number, answer };
            }
            answers.push(last.answer);
        }
    }
    fn snapshot(&mut self) -> Counter {
        self.clone()
    }
    fn write_snapshot(counter: Counter, writer: &mut dyn io::Write) -> io::Result<()> {
        writer.write_all(&counter.count.to_le_bytes())?;
        for (client, last) in counter.clients {
            for number in [client, last.number, last.answer] {
                writer.write_all(&number.to_le_bytes())?;
            }
        }
        Ok(())
    }
    fn restore(&mut self, reader: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let mut rest = &bytes[..];
        (self.count, self.clients) = (rest.get_u64_le(), BTreeMap::new());
        while rest.has_remaining() {
            let client = rest.get_u64_le();
            let (number, answer) = (rest.get_u64_le(), rest.get_u64_le());
            self.clients.insert(client, LastCommand { number, answer });
        }
        Ok(())
    }
}

/// From the operating system. A process id would not do: in a container it is always the same.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

fn start(id: u64, ports: [u16; 3], data_dir: &Path) -> Result<Node<Counter>, Box<dyn Error>> {
    let address = |id: u64| format!("127.0.0.1:{}", ports[id as usize - 1]);
    let member = |id| Member::voter(NodeId(id)).with_context(address(id));
    let members = (1..=3).map(member).collect();
    let start = Start::Bootstrap { members };
    // The seed is another one at each start, so that no split vote is repeated after a restart.
    let mut options = Options::new(Config::new(ClusterId(1), NodeId(id), start, random()));
    options.recorder = Some(RecorderOptions::new(
        data_dir.join(format!("recorded-{id}")),
    ));
    let storage = DiskStorage::open(data_dir.join(id.to_string()))?;
    let tcp = TcpOptions::new(Security::PlaintextUnauthenticated);
    let transport = TcpTransport::bind(&address(id), tcp)?;
    let node = Node::start(options, storage, transport, Counter::default())?;
    Ok(node)
}

/// Adds three in each of two rounds, and returns the last count. The ports have to be free.
pub fn run(ports: [u16; 3], data_dir: &Path) -> Result<u64, Box<dyn Error>> {
    let (client, mut count) = (random(), 0);
    for round in 1..=2 {
        let start = |id| start(id, ports, data_dir);
        let nodes = [start(1)?, start(2)?, start(3)?];
        let mut command = Vec::new();
        command.put_u64_le(client);
        command.put_u64_le(round);
        command.put_slice(b"+++");
        // Every node is asked until one of them, the leader, has applied the command. An attempt
        // that failed may yet be applied, too (`RequestError::Unknown`): the command's number makes
        // that harmless.
        let limit = Duration::from_secs(2);
        let applies = |node: &Node<Counter>| node.execute(command.clone(), limit).is_ok();
        let pause = || thread::sleep(Duration::from_millis(10));
        while !nodes.iter().any(applies) {
            pause(); // There is no leader yet.
        }
        count = loop {
            let read = nodes[0].read(ReadMode::Quorum, |counter| counter.count);
            if let Ok(count) = read.wait() {
                break count;
            }
            pause();
        };
        println!("round {round}: node 1 counts {count}");
    } // Dropped: all three are killed, and the next round starts them again.
    Ok(count)
}

#[allow(dead_code)] // A test calls `run`.
fn main() -> Result<(), Box<dyn Error>> {
    run([7001, 7002, 7003], Path::new("target/counter"))?;
    Ok(())
}
