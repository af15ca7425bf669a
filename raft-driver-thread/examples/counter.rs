//! A replicated counter: three nodes on loopback TCP with disks, killed and started again.
use bytes::Bytes;
use raft_driver_thread::raft_proto::{ClusterId, Config, Member, NodeId, ReadMode, Start};
use raft_driver_thread::sessions::{Session, Sessions};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Commands, Node, Options, RecorderOptions, StateMachine, fresh_seed};
use std::{error::Error, io, path::Path, thread, time::Duration};

#[derive(Default)]
struct Counter {
    count: u64,
}

impl StateMachine for Counter {
    type Answer = u64;
    type Snapshot = u64;
    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
        for command in commands {
            self.count += command.payload.len() as u64; // "+++" adds three.
            answers.push(self.count);
        }
    }
    fn snapshot(&mut self) -> u64 {
        self.count
    }
    fn write_snapshot(count: u64, writer: &mut dyn io::Write) -> io::Result<()> {
        writer.write_all(&count.to_le_bytes())
    }
    fn restore(&mut self, reader: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        self.count = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// Each command is applied once, however often it is proposed (thesis 6.3).
type CounterNode = Node<Sessions<Counter>>;

fn start(id: u64, ports: [u16; 3], data_dir: &Path) -> Result<CounterNode, Box<dyn Error>> {
    let address = |id: u64| format!("127.0.0.1:{}", ports[id as usize - 1]);
    let member = |id| Member::voter(NodeId(id)).with_context(address(id));
    let members = (1..=3).map(member).collect();
    let start = Start::Bootstrap { members };
    // The seed is another one at each start, so that no split vote is repeated after a restart.
    let mut options = Options::new(Config::new(ClusterId(1), NodeId(id), start, fresh_seed()));
    options.recorder = Some(RecorderOptions::new(
        data_dir.join(format!("recorded-{id}")),
    ));
    let storage = DiskStorage::open(data_dir.join(id.to_string()))?;
    let tcp = TcpOptions::new(Security::PlaintextUnauthenticated);
    let transport = TcpTransport::bind(&address(id), tcp)?;
    let node = Node::start(
        options,
        storage,
        transport,
        Sessions::new(Counter::default()),
    )?;
    Ok(node)
}

/// Adds three in each of two rounds, and returns the last count. The ports have to be free.
pub fn run(ports: [u16; 3], data_dir: &Path) -> Result<u64, Box<dyn Error>> {
    let pause = || thread::sleep(Duration::from_millis(10));
    let (client, mut count) = (Session::new(fresh_seed()), 0);
    for round in 1..=2 {
        let start = |id| start(id, ports, data_dir);
        let nodes = [start(1)?, start(2)?, start(3)?];
        // Every node is asked until one of them, the leader, has applied the command. An attempt
        // that failed may yet be applied, too (`RequestError::Unknown`): that is harmless, as the
        // command is recognized.
        let limit = Duration::from_secs(2);
        let execute = |command: &Bytes| loop {
            let ask = |node: &CounterNode| node.execute(command.clone(), limit).ok();
            match nodes.iter().find_map(ask) {
                Some(applied) => return applied.answer,
                None => pause(), // There is no leader yet.
            }
        };
        execute(&client.open());
        let add_three = client.request(b"+++");
        execute(add_three.command()); // `SessionAnswer::Answer` with the count.
        count = loop {
            let read = nodes[0].read(ReadMode::Quorum, |sessions| sessions.machine().count);
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
