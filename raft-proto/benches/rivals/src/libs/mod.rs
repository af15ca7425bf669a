//! One module per library. To add one: implement `Cluster`, add a line to `LIBS`.
use crate::cluster::Cluster;
use raft_proto::CommitNotice;
#[cfg(feature = "rival-raft-rs")]
use raft_rs::Usage;

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

/// A library, or one way of using it.
pub struct Library {
    pub name: &'static str,
    pub make: Make,
}

const fn library(name: &'static str, make: Make) -> Library {
    Library { name, make }
}

pub const LIBS: &[Library] = &[
    library("null", |n| Box::new(null::Null::new(n))),
    library("floor-entry", |n| Box::new(floor::Floor::by_entry(n))),
    library("floor-batch", |n| Box::new(floor::Floor::by_batch(n))),
    library("raft-proto", |n| {
        Box::new(raft_proto::Nodes::new(n, CommitNotice::Lazy))
    }),
    library("raft-proto-eager", |n| {
        Box::new(raft_proto::Nodes::new(n, CommitNotice::Eager))
    }),
    #[cfg(feature = "rival-omnipaxos")]
    library("omnipaxos", |n| Box::new(omnipaxos::Nodes::new(n))),
    #[cfg(feature = "rival-raft-io")]
    library("raft-io", |n| Box::new(raft_io::Nodes::new(n))),
    #[cfg(feature = "rival-raft-rs")]
    library("raft-rs-tuned", |n| {
        Box::new(raft_rs::Nodes::new(n, Usage::Tuned))
    }),
    #[cfg(feature = "rival-raft-rs")]
    library("raft-rs", |n| {
        Box::new(raft_rs::Nodes::new(n, Usage::Plain))
    }),
    #[cfg(feature = "rival-openraft")]
    library("openraft", |n| Box::new(openraft::Nodes::new(n))),
];

pub fn names() -> Vec<&'static str> {
    LIBS.iter().map(|library| library.name).collect()
}

/// The library's name in the results: that of raft-rs says which codec this binary has.
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

/// Whether `lib` is this core.
pub fn is_own(lib: &str) -> bool {
    lib.starts_with("raft-proto")
}

/// Whether `lib` is a bound that the harness sets, not a consensus library.
pub fn is_bound(lib: &str) -> bool {
    lib == "null" || lib.starts_with("floor")
}
