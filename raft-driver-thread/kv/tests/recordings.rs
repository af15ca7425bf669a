//! What a server records is bounded on its disk, and `raft-sim replay` runs it again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_sim::replay::replay;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Running, done, refused, set};

/// The recordings in a folder, and how many bytes all its files have.
fn files(folder: &Path) -> (Vec<PathBuf>, u64) {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let sized = files.map(|file| (file.path(), file.metadata().unwrap().len()));
    let (mut files, sizes): (Vec<_>, Vec<u64>) = sized.unzip();
    // Beside each stands a text.
    files.retain(|file| file.extension().is_some_and(|it| it == "raftrec"));
    files.sort();
    (files, sizes.into_iter().sum())
}

#[test]
fn recordings_are_bounded_over_restarts_and_are_replayed_by_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let founder = format!("--founder 1=127.0.0.1:{}", free_ports(1)[0]);
    let options = "--recordings recorded --recordings-bytes 1MiB";
    let init = format!("init --data 1 --id 1 --clients 127.0.0.1:0 {founder} {options}");
    done(path, &init);
    let value = "v".repeat(8000);
    let mut newest = PathBuf::new();
    // Each start begins a file, and the last rounds write more than all files hold.
    for round in 0..12 {
        let server = Running::server(path, "start --data 1");
        let mut client = server.client();
        let writes = if round < 10 { 1 } else { 200 };
        for key in 0..writes {
            set(&mut client, &format!("key {key}"), &value);
        }
        drop(server); // As kill -9 would.
        let (files, bytes) = files(&path.join("recorded"));
        assert!(files.len() <= 8, "{files:?}");
        // With a turn too much, and a checkpoint with the log in memory, for each file.
        assert!(bytes < 32 << 20, "{bytes} bytes");
        let last = files.last().unwrap().clone();
        assert!(
            last > newest,
            "{} after {}",
            last.display(),
            newest.display()
        );
        newest = last;
    }
    let (files, _) = files(&path.join("recorded"));
    assert_eq!(files.len(), 8);
    let mut steps = 0;
    for file in files {
        let replayed = replay(&fs::read(&file).unwrap(), None).unwrap();
        assert_eq!(replayed.divergence, None, "{}", file.display());
        steps += replayed.steps;
    }
    assert!(steps > 100, "{steps}");
    // A folder that cannot be made is said at once.
    fs::write(path.join("file"), "").unwrap();
    refused(
        path,
        "start --data 1 --recordings file/recorded",
        "recorder",
    );
}
