//! `raft-sim replay --cluster`: recordings of the nodes of one cluster are merged, and judged by
//! the refinement.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

use raft_proto::recording;
use raft_proto::{
    Action, ClusterId, Commands, Config, Event, Input, NodeId, Raft, Recovered, RequestId,
    RoleKind, Start, Time,
};
use raft_sim::refinement::Rule;
use raft_sim::replay::{MergeError, Merged, NamedFile, replay_cluster};
use std::collections::VecDeque;
use std::process::Command;

/// A node that records itself. Its disk is what it has written, durable at once.
struct Node {
    raft: Raft,
    disk: Recovered,
    file: Vec<u8>,
    /// The files of its earlier starts.
    earlier: Vec<Vec<u8>>,
    wake_at: Time,
}

fn config(id: u64) -> Config {
    let start = Start::voters([1, 2, 3].map(NodeId));
    Config::new(ClusterId(7), NodeId(id), start, 42)
}

impl Node {
    fn new(id: u64) -> Node {
        let raft = Raft::new(config(id), Recovered::default()).unwrap();
        Node {
            file: recording::begin(&raft),
            raft,
            disk: Recovered::default(),
            earlier: Vec::new(),
            wake_at: Time::ZERO,
        }
    }

    /// Its process ends and starts again.
    fn restart(&mut self, disk: Recovered) {
        let mut config = config(self.raft.id().0);
        config.seed += 1;
        self.raft = Raft::new(config, disk.clone()).unwrap();
        let file = std::mem::replace(&mut self.file, recording::begin(&self.raft));
        self.earlier.push(file);
        (self.disk, self.wake_at) = (disk, Time::ZERO);
    }

    /// The same instance goes on in another file.
    fn rotate(&mut self) {
        let file = std::mem::replace(&mut self.file, recording::begin(&self.raft));
        self.earlier.push(file);
    }
}

struct Cluster {
    now: Time,
    nodes: Vec<Node>,
    inputs: VecDeque<(usize, Input)>,
}

impl Cluster {
    fn new() -> Cluster {
        Cluster {
            now: Time::ZERO,
            nodes: (1..=3).map(Node::new).collect(),
            inputs: VecDeque::new(),
        }
    }

    fn step(&mut self, at: usize, input: Input) {
        let node = &mut self.nodes[at];
        let event = Event {
            at: self.now,
            input,
        };
        recording::event_into(&mut node.file, &event);
        let actions = node.raft.step(event);
        recording::outcome_into(&mut node.file, &actions);
        for action in actions {
            match action {
                Action::Persist(write) => {
                    node.disk.apply(&write);
                    let seq = write.seq;
                    self.inputs.push_back((at, Input::Persisted { seq }));
                }
                Action::Send { to, message } => {
                    let from = node.raft.id();
                    let input = Input::Receive {
                        from,
                        incarnation: None,
                        message,
                    };
                    self.inputs.push_back((to.0 as usize - 1, input));
                }
                Action::Apply { entries } => {
                    let index = entries.last_id().unwrap().index;
                    self.inputs.push_back((at, Input::Applied { index }));
                }
                Action::WakeAt(time) => node.wake_at = time,
                _ => {}
            }
        }
    }

    /// Lets the cluster run until a node leads that has committed `count` more commands.
    fn serve(&mut self, count: u64) {
        let mut request = 0;
        while request < count {
            while let Some((at, input)) = self.inputs.pop_front() {
                self.step(at, input);
            }
            let leads = |node: &Node| node.raft.role() == RoleKind::Leader;
            if let Some(at) = self.nodes.iter().position(leads) {
                request += 1;
                let (id, commands) = (RequestId(request), Commands::from(bytes::Bytes::from("x")));
                self.step(at, Input::Propose { id, commands });
                continue;
            }
            let next = (0..3).min_by_key(|at| self.nodes[*at].wake_at).unwrap();
            self.now = self.now.max(self.nodes[next].wake_at);
            self.step(next, Input::Tick);
        }
        while let Some((at, input)) = self.inputs.pop_front() {
            self.step(at, input);
        }
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for node in self.nodes.iter().rev() {
            for (number, file) in node.earlier.iter().chain([&node.file]).enumerate() {
                files.push((format!("{}-{number}.raftrec", node.raft.id()), file.clone()));
            }
        }
        files
    }

    fn merged(&self) -> Result<Merged, MergeError> {
        let files = self.files();
        let named = files.iter().map(|(name, bytes)| NamedFile { name, bytes });
        replay_cluster(&named.collect::<Vec<_>>())
    }
}

#[test]
fn a_cluster_that_works_is_merged_across_rotated_files_and_restarts() {
    let mut cluster = Cluster::new();
    cluster.serve(5);
    cluster.nodes[0].rotate();
    let disk = cluster.nodes[2].disk.clone();
    cluster.nodes[2].restart(disk);
    cluster.serve(5);
    let merged = cluster.merged().unwrap();
    assert_eq!((merged.nodes, merged.unsent, merged.broken), (3, 0, None));
    assert!(merged.steps > 50, "{}", merged.steps);
}

#[test]
fn a_disk_that_was_emptied_between_two_recordings_is_found() {
    let mut cluster = Cluster::new();
    cluster.serve(5);
    cluster.nodes[2].restart(Recovered::default());
    let broken = cluster.merged().unwrap().broken.unwrap();
    assert_eq!((broken.node, broken.rule), (NodeId(3), Rule::DiskKeeps));
}

#[test]
fn a_message_whose_sending_is_not_recorded_is_counted() {
    let mut cluster = Cluster::new();
    cluster.serve(5);
    let mut files = cluster.files();
    // The recording of n1 is that of another cluster.
    let other = {
        let mut cluster = Cluster::new();
        cluster.serve(1);
        cluster.files().pop().unwrap().1
    };
    let named = files.iter().map(|(name, bytes)| NamedFile { name, bytes });
    let two = named.take(2).collect::<Vec<_>>();
    let missing = replay_cluster(&two).unwrap_err();
    let is_told = matches!(missing, MergeError::NotRecorded { .. });
    assert!(is_told, "{missing}");
    files.retain(|(name, _)| !name.starts_with("n1"));
    files.push(("n1.raftrec".into(), other));
    let named = files.iter().map(|(name, bytes)| NamedFile { name, bytes });
    let merged = replay_cluster(&named.collect::<Vec<_>>()).unwrap();
    assert!(merged.unsent > 0);
}

#[test]
fn recordings_that_begin_with_a_log_are_refused() {
    let mut cluster = Cluster::new();
    cluster.serve(5);
    for node in &mut cluster.nodes {
        node.rotate();
        node.earlier.clear();
    }
    let refused = cluster.merged().unwrap_err();
    assert!(
        matches!(refused, MergeError::BeginsLate { .. }),
        "{refused}"
    );
}

#[test]
fn the_command_line_says_what_it_found() {
    let mut cluster = Cluster::new();
    cluster.serve(5);
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in cluster.files() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let output = command.args(["replay", "--cluster"]).arg(folder.path());
    let output = output.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("steps of 3 nodes are steps of the refinement"),
        "{text}"
    );
}
