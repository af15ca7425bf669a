//! One module per library. To add one: implement `Cluster`, add a line to `LIBS`.
use crate::cluster::Cluster;
use raft_proto::CommitNotice;

mod floor;
mod null;
#[cfg(feature = "rival-omnipaxos")]
mod omnipaxos;
#[cfg(feature = "rival-openraft")]
mod openraft;
#[cfg(feature = "rival-raft-io")]
mod raft_io;
mod raft_proto;
#[cfg(feature = "rival-raft-rs")]
mod raft_rs;

pub type Make = fn(nodes: usize) -> Box<dyn Cluster>;

/// Name, constructor.
pub const LIBS: &[(&str, Make)] = &[
    ("null", |n| Box::new(null::Null::new(n))),
    ("floor-entry", |n| Box::new(floor::Floor::new(n, false))),
    ("floor-batch", |n| Box::new(floor::Floor::new(n, true))),
    ("raft-proto", |n| {
        Box::new(raft_proto::Nodes::new(n, CommitNotice::Lazy))
    }),
    ("raft-proto-eager", |n| {
        Box::new(raft_proto::Nodes::new(n, CommitNotice::Eager))
    }),
    #[cfg(feature = "rival-omnipaxos")]
    ("omnipaxos", |n| Box::new(omnipaxos::Nodes::new(n))),
    #[cfg(feature = "rival-raft-io")]
    ("raft-io", |n| Box::new(raft_io::Nodes::new(n))),
    #[cfg(feature = "rival-raft-rs")]
    ("raft-rs-tuned", |n| Box::new(raft_rs::Nodes::new(n, true))),
    #[cfg(feature = "rival-raft-rs")]
    ("raft-rs", |n| Box::new(raft_rs::Nodes::new(n, false))),
    #[cfg(feature = "rival-openraft")]
    ("openraft", |n| Box::new(openraft::Nodes::new(n))),
];

/// The library's name as reported: that of raft-rs says which codec this binary has.
pub fn full_name(lib: &str) -> String {
    let codec = if cfg!(feature = "codec-prost") {
        "prost"
    } else {
        "protobuf"
    };
    if lib.starts_with("raft-rs") {
        format!("{lib}/{codec}")
    } else {
        lib.to_string()
    }
}

/// Whether the rows of `lib` are this core's.
pub fn is_own(lib: &str) -> bool {
    lib.starts_with("raft-proto")
}

/// Whether `lib` is a bound that the harness sets by itself, not a consensus library.
pub fn is_bound(lib: &str) -> bool {
    lib == "null" || lib.starts_with("floor")
}
