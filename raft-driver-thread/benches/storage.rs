//! Writes to the storage of one node, compared with raw writes to a preallocated file that are
//! synced by `fdatasync`: rounds of each in turn.
//!
//! `cargo bench -p raft-driver-thread --bench storage [rounds]`
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_driver_thread::raft_proto::{
    ClusterId, EntriesBuilder, EntryId, EntryKind, GroupId, HardState, Identity, Index, Membership,
    NodeId, Seq, Term, Write as LogWrite,
};
use raft_driver_thread::storage::Storage;
use raft_driver_thread::storage::disk::DiskStorage;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const PAYLOAD: usize = 256;
const WRITES: u64 = 300;

/// A storage, and the last write and the last index that it was given.
struct Disk {
    storage: DiskStorage,
    seq: u64,
    last: u64,
}

impl Disk {
    fn open(data_dir: &Path) -> Disk {
        let mut storage = DiskStorage::open(data_dir).unwrap();
        storage.recover().unwrap();
        Disk {
            storage,
            seq: 0,
            last: 0,
        }
    }

    fn write(&mut self, batch: u64) {
        let mut entries = EntriesBuilder::new();
        for _ in 0..batch {
            self.last += 1;
            let id = EntryId {
                index: Index(self.last),
                term: Term(1),
            };
            entries
                .push(id, EntryKind::Command, vec![7; PAYLOAD].into())
                .unwrap();
        }
        self.seq += 1;
        let identity = Identity {
            cluster_id: ClusterId(1),
            group_id: GroupId(0),
            node_id: NodeId(1),
            bootstrap: Membership::new([NodeId(1)]),
            incarnation: None,
        };
        let write = LogWrite {
            seq: Seq(self.seq),
            identity: (self.seq == 1).then(|| Box::new(identity)),
            hard_state: Some(HardState {
                term: Term(1),
                voted_for: None,
            }),
            entries: entries.finish(),
            ..LogWrite::default()
        };
        self.storage.write(&[write]).unwrap();
    }
}

fn raw_write(file: &mut File, batch: u64) {
    let bytes = vec![7; PAYLOAD * batch as usize];
    file.write_all(&bytes).unwrap();
    file.sync_data().unwrap();
}

/// The mean time of `work`.
fn time(mut work: impl FnMut()) -> Duration {
    let begin = Instant::now();
    for _ in 0..WRITES {
        work();
    }
    begin.elapsed() / WRITES as u32
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let rounds = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let rounds: u32 = rounds.unwrap_or(9);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let data_dir = target.join(format!("storage-{}", std::process::id()));
    fs::create_dir_all(&data_dir).unwrap();
    println!("entries of {PAYLOAD} bytes, medians of {rounds} rounds");
    println!(
        "{:>8} {:>10} {:>10} {:>18}",
        "batch", "raw us", "storage us", "share of raw speed"
    );
    for batch in [1, 16, 256] {
        let mut disk = Disk::open(&data_dir.join(format!("disk-{batch}")));
        let mut file = File::create(data_dir.join("raw")).unwrap();
        let length = WRITES * batch * PAYLOAD as u64;
        file.write_all(&vec![0; length as usize]).unwrap();
        file.sync_all().unwrap();
        let (mut raws, mut disks) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            file.rewind().unwrap();
            raws.push(time(|| raw_write(&mut file, batch)));
            disks.push(time(|| disk.write(batch)));
        }
        let (raw, disk) = (median(raws), median(disks));
        let ratio = raw.as_secs_f64() / disk.as_secs_f64();
        println!(
            "{batch:>8} {:>10} {:>10} {ratio:>18.2}",
            raw.as_micros(),
            disk.as_micros()
        );
    }
    fs::remove_dir_all(&data_dir).unwrap();
}
