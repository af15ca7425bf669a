//! Keys live as long as they should on real processes, whatever their wall clocks show: a preloaded
//! shim moves them. Without Linux or a C compiler the test says so, and is skipped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/processes.rs"]
mod processes;

use processes::{Cluster, Running, command, leader, until};
use raft_kv::client::Client;
use raft_kv::state::Reply;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DECADE: i64 = 10 * 365 * 24 * HOUR;

/// By how much the time of a key may be off, after all handovers: less than any step.
const SLACK: Duration = Duration::from_secs(20);

/// How long a key lives: less than a step, and more than one.
const LIVES: [Duration; 2] = [Duration::from_secs(600), Duration::from_secs(36_000)];

/// By how much a wall clock is set.
const STEPS: [i64; 5] = [-HOUR, HOUR, 40 * SECOND, -5 * DECADE, 5 * DECADE];

/// Compiles the shim; `None` if there is no compiler.
fn shim(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/wall_clock.c");
    let library = folder.join("wall_clock.so");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-o"]);
    let done = compile.arg(&library).arg(source).status().ok()?;
    assert!(done.success(), "the shim does not compile");
    Some(library)
}

/// The wall clocks of the servers.
struct Clocks {
    folder: tempfile::TempDir,
    shim: PathBuf,
}

impl Clocks {
    fn file(&self, node: u64) -> PathBuf {
        self.folder.path().join(node.to_string())
    }

    fn set(&self, node: u64, offset: i64) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.file(node));
        file.unwrap()
            .write_all_at(&offset.to_ne_bytes(), 0)
            .unwrap();
    }

    fn start(&self, folder: &Path, node: u64) -> Running {
        let mut command = command(&format!("start --data {node}"));
        command
            .env("LD_PRELOAD", &self.shim)
            .env("WALL_CLOCK_OFFSET", self.file(node));
        Running::spawn(command, folder)
    }
}

/// A key, and when it was set: after the first time, before the second one.
struct Key {
    name: String,
    life: Duration,
    after: Instant,
    before: Instant,
}

impl Key {
    fn set(client: &mut Client, name: String, life: Duration) -> Key {
        let after = Instant::now();
        let millis = life.as_millis().to_string();
        until("a write", || {
            let set: [&[u8]; 5] = [b"SET", name.as_bytes(), b"v", b"PX", millis.as_bytes()];
            (client.call(&set).ok()? == Reply::Ok).then_some(())
        });
        let before = Instant::now();
        Key {
            name,
            life,
            after,
            before,
        }
    }

    /// Asks how long it will live. That is the truth, or off by the slack at most.
    fn check(&self, client: &mut Client, case: &str) {
        let asked = self.before.elapsed();
        let left = until("a time", || {
            let Reply::Integer(left) = client.call(&[b"PTTL", self.name.as_bytes()]).ok()? else {
                return None;
            };
            Some(left)
        });
        assert!(
            left >= 0,
            "{case}: {} of {:?} is gone",
            self.name,
            self.life
        );
        let left = Duration::from_millis(left.unsigned_abs());
        let least = self.life.saturating_sub(self.after.elapsed() + SLACK);
        let most = self.life.saturating_sub(asked) + SLACK;
        let name = &self.name;
        assert!(
            least <= left && left <= most,
            "{case}: {name} has {left:?} left"
        );
    }
}

/// Another server leads. Returns which.
fn hand_over(cluster: &Cluster) -> u64 {
    let old = leader(&cluster.servers);
    until("a handover", || {
        let at = &cluster.servers[old as usize - 1];
        let _ = at.client().call(&[b"RAFT", b"TRANSFER"]);
        let new = leader(&cluster.servers);
        (new != old).then_some(new)
    })
}

#[test]
fn keys_live_their_time_on_servers_whose_wall_clocks_are_set() {
    let folder = tempfile::tempdir().unwrap();
    let Some(shim) = shim(folder.path()) else {
        eprintln!("skipped: there is no C compiler (cc) on this machine");
        return;
    };
    let clocks = Clocks { folder, shim };
    (1..=3).for_each(|node| clocks.set(node, 0));
    let mut cluster = Cluster::found_with("", |path, node| clocks.start(path, node));
    // Once for all cases: what each has moved would add up.
    let mut client = cluster.servers[0].client();
    let of_all = LIVES.map(|life| Key::set(&mut client, format!("all-{life:?}"), life));
    for step in STEPS {
        for lasting in [true, false] {
            let case = format!(
                "step {step}, {}",
                if lasting { "lasting" } else { "put right" }
            );
            let leads = leader(&cluster.servers);
            let mut client = cluster.servers[leads as usize - 1].client();
            let keys = LIVES.map(|life| Key::set(&mut client, format!("{case} {life:?}"), life));
            // The leader's clock, and that of the server that leads next.
            (1..=2).for_each(|node| clocks.set(node, step));
            let between =
                LIVES.map(|life| Key::set(&mut client, format!("{case}, {life:?}"), life));
            if !lasting {
                (1..=2).for_each(|node| clocks.set(node, 0));
            }
            for _ in 0..2 {
                let leads = hand_over(&cluster);
                let mut client = cluster.servers[leads as usize - 1].client();
                for key in keys.iter().chain(&between).chain(&of_all) {
                    key.check(&mut client, &case);
                }
            }
            (1..=3).for_each(|node| clocks.set(node, 0));
        }
    }
    // All servers end, and come back with clocks that are wrong.
    for step in [-5 * DECADE, HOUR] {
        cluster.servers.clear();
        (1..=3).for_each(|node| clocks.set(node, step));
        let start = |node| clocks.start(cluster.folder.path(), node);
        cluster.servers = (1..=3).map(start).collect();
        let leads = leader(&cluster.servers);
        let mut client = cluster.servers[leads as usize - 1].client();
        for key in &of_all {
            key.check(&mut client, &format!("started with step {step}"));
        }
    }
}
