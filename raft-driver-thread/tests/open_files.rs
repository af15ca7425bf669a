//! The limit of open files is raised as far as it may be, or the number needed is named. A process
//! of its own, as the limit is the process'.
#![cfg(all(feature = "disk", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_driver_thread::raise_open_files;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn the_limit_of_open_files_is_raised_or_the_number_needed_is_named() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let low = Rlimit {
        current: Some(64),
        maximum,
    };
    setrlimit(Resource::Nofile, low).unwrap();
    let raised = raise_open_files(100).unwrap();
    assert!(raised >= 100, "{raised}");
    let fixed = Rlimit {
        current: Some(64),
        maximum: Some(200),
    };
    setrlimit(Resource::Nofile, fixed).unwrap();
    assert_eq!(raise_open_files(10), Ok(200));
    let refused = raise_open_files(201).unwrap_err();
    assert_eq!((refused.needed, refused.limit), (201, 200));
    assert!(refused.to_string().contains("ulimit -Hn 201"), "{refused}");
}
