//! The examples are drivers: each runs three nodes, loses the leader, brings it back, and fails if
//! the nodes have not applied the same. They run here, from the same source.
// The examples share parts, and are programs of their own.
#![allow(clippy::duplicate_mod)]

use std::fmt::Display;
use std::sync::mpsc;
use std::time::Duration;

#[path = "../examples/embedded.rs"]
mod device_driver;
#[path = "../examples/poll.rs"]
mod poll_driver;
#[path = "../examples/tokio.rs"]
mod tokio_driver;

/// Runs an example's `main`, and fails if it fails or does not end.
fn runs<E: Display>(main: impl FnOnce() -> Result<(), E> + Send + 'static) {
    let (done, result) = mpsc::channel();
    let run = move || {
        // The receiver may have given up.
        let _ = done.send(main().map_err(|error| error.to_string()));
    };
    std::thread::spawn(run);
    let result = result.recv_timeout(Duration::from_secs(100));
    assert_eq!(
        result,
        Ok(Ok(())),
        "the example fails, panics or does not end"
    );
}

#[test]
fn the_driver_on_tokio_survives_a_crash_of_the_leader() {
    runs(tokio_driver::main);
}

#[test]
fn the_driver_without_a_runtime_survives_a_crash_of_the_leader() {
    runs(poll_driver::main);
}

#[test]
fn the_driver_without_a_standard_library_survives_lost_datagrams_and_power() {
    runs(device_driver::main);
}
