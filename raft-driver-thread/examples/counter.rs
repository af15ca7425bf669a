//! A replicated counter: three nodes on loopback TCP with disks, killed and started again.

use raft_driver_thread::raft_proto::{ClusterId, Config, Member, NodeId, ReadMode, Start};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Commands, Node, Options, StateMachine};
use std::error::Error;
use std::io::{self, Read, Write};
use std::time::Duration;

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

    fn write_snapshot(count: u64, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&count.to_le_bytes())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

fn start(id: u64, ports: [u16; 3]) -> Result<Node<Counter>, Box<dyn Error>> {
    let member = |(id, port)| Member::voter(NodeId(id)).with_context(format!("127.0.0.1:{port}"));
    let members = (1..).zip(ports).map(member).collect();
    let seed = std::process::id().into(); // Fresh at each start.
    let config = Config::new(ClusterId(1), NodeId(id), Start::Bootstrap { members }, seed);
    let storage =
        DiskStorage::open(std::env::temp_dir().join(format!("counter-{}/{id}", ports[0])))?;
    let options = TcpOptions::new(Security::PlaintextUnauthenticated);
    let transport = TcpTransport::bind(&format!("127.0.0.1:{}", ports[id as usize - 1]), options)?;
    Ok(Node::start(
        Options::new(config),
        storage,
        transport,
        Counter::default(),
    )?)
}

/// Runs the example; the ports have to be free.
pub fn run(ports: [u16; 3]) -> Result<(), Box<dyn Error>> {
    for round in 1..=2 {
        let nodes = [start(1, ports)?, start(2, ports)?, start(3, ports)?];
        let limit = Duration::from_secs(2);
        // Whichever node leads takes the command.
        let add = || {
            nodes
                .iter()
                .find_map(|node| node.execute("+++", limit).ok())
        };
        let applied = std::iter::repeat_with(add).flatten().next();
        println!("round {round}: {applied:?}");
        // Any node answers, with what was added last.
        let ask = || {
            nodes[0]
                .read(ReadMode::Quorum, |counter| counter.0)
                .wait()
                .ok()
        };
        println!(
            "round {round}: node 1 counts {:?}",
            std::iter::repeat_with(ask).flatten().next()
        );
    } // Dropped: all three are killed.
    Ok(())
}

/// For the command line.
#[allow(dead_code)] // A test calls `run`.
fn main() -> Result<(), Box<dyn Error>> {
    run([7001, 7002, 7003])
}
