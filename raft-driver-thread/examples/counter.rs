//! A replicated counter: three nodes on loopback TCP with disks, killed and started again.
use raft_driver_thread::raft_proto::{ClusterId, Config, Member, NodeId, ReadMode, Start};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Commands, Node, Options, RecorderOptions, StateMachine};
use std::{error::Error, io, path::Path, time::Duration};

#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    type Answer = u64;
    type Snapshot = u64;
    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
        for command in commands {
            self.0 += command.payload.len() as u64; // "+++" adds three.
            answers.push(self.0);
        }
    }
    fn snapshot(&mut self) -> u64 {
        self.0
    }
    fn write_snapshot(count: u64, writer: &mut dyn io::Write) -> io::Result<()> {
        writer.write_all(&count.to_le_bytes())
    }
    fn restore(&mut self, reader: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

fn start(id: u64, ports: [u16; 3], folder: &Path) -> Result<Node<Counter>, Box<dyn Error>> {
    let address = |id: u64| format!("127.0.0.1:{}", ports[id as usize - 1]);
    let member = |id| Member::voter(NodeId(id)).with_context(address(id));
    let members = (1..=3).map(member).collect();
    let seed = std::process::id().into(); // Fresh at each start.
    let config = Config::new(ClusterId(1), NodeId(id), Start::Bootstrap { members }, seed);
    let mut options = Options::new(config);
    options.recorder = Some(RecorderOptions::new(folder.join(format!("recorded-{id}"))));
    let storage = DiskStorage::open(folder.join(id.to_string()))?;
    let tcp = TcpOptions::new(Security::PlaintextUnauthenticated);
    let transport = TcpTransport::bind(&address(id), tcp)?;
    let node = Node::start(options, storage, transport, Counter::default())?;
    Ok(node)
}

/// Two rounds of three nodes; the ports have to be free.
pub fn run(ports: [u16; 3], folder: &Path) -> Result<(), Box<dyn Error>> {
    for round in 1..=2 {
        let start = |id| start(id, ports, folder);
        let nodes = [start(1)?, start(2)?, start(3)?];
        let limit = Duration::from_secs(2);
        // Whichever node leads takes the command; then any of them knows of it.
        while !nodes.iter().any(|node| node.execute("+++", limit).is_ok()) {}
        let count = loop {
            let read = nodes[0].read(ReadMode::Quorum, |counter| counter.0);
            if let Ok(count) = read.wait() {
                break count;
            }
        };
        println!("round {round}: node 1 counts {count}");
    } // Dropped: all three are killed, and the next round starts them again.
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
fn main() -> Result<(), Box<dyn Error>> {
    run([7001, 7002, 7003], Path::new("target/counter"))
}
