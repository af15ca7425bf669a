//! A server that has printed its addresses handles signals, however soon they follow.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/processes.rs"]
mod processes;

use processes::{command, done, ports::free_ports, until};
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_getpipe_size;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// Starts a server whose output takes just this text, so that it waits before it says more, and
/// sends it these signals when it has said that. Returns its exit code, and the last line that it
/// printed.
fn signalled(folder: &Path, text: &str, signals: &[Signal]) -> (Option<i32>, String) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let size = fcntl_getpipe_size(&writer).unwrap();
    let mut filling = vec![b'.'; size - text.len()];
    *filling.last_mut().unwrap() = b'\n';
    writer.write_all(&filling).unwrap();
    let mut server = command("start --data one");
    let mut child = server.current_dir(folder).stdout(writer).spawn().unwrap();
    drop(server);
    until("the output to be full", || {
        (ioctl_fionread(&reader).unwrap() == size as u64).then_some(())
    });
    for signal in signals {
        kill_process(Pid::from_child(&child), *signal).unwrap();
    }
    let lines = BufReader::new(reader).lines().map(Result::unwrap);
    let last = lines.last().unwrap();
    (child.wait().unwrap().code(), last)
}

#[test]
fn a_signal_right_after_the_printed_addresses_is_handled_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let [clients, peers] = free_ports(2)[..] else {
        panic!("two ports");
    };
    let clients = format!("127.0.0.1:{clients}");
    let init = format!("init --data one --id 1 --cluster 77 --clients {clients}");
    done(
        folder.path(),
        &format!("{init} --founder 1=127.0.0.1:{peers}"),
    );
    let text = format!("node 1 of cluster 77\nclients  {clients}\n");
    // SIGHUP has it read its certificates, and go on.
    let signals: [&[_]; 3] = [
        &[Signal::TERM],
        &[Signal::INT],
        &[Signal::HUP, Signal::TERM],
    ];
    for signals in signals {
        let (code, last) = signalled(folder.path(), &text, signals);
        assert_eq!((code, &*last), (Some(0), "stopping"), "{signals:?}");
    }
}
