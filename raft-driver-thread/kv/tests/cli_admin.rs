//! The command line, where the user `admin` has a password.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Cluster, Running, command, done, leader, refused, until};

#[test]
fn the_command_line_gives_the_password_of_the_user_admin() {
    let secrets = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = secrets.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (path("right", "only mine\n"), path("wrong", "guessed\n"));
    let right = format!("--admin-password-file {right}");
    let mut cluster = Cluster::found(&right);
    let folder = cluster.path().to_path_buf();
    let lead = leader(&cluster.servers);
    let follower = &cluster.servers[lead as usize % 3];
    let ask = |what: &str| format!("{what} --server {}", follower.address());
    for what in [
        "transfer",
        "snapshot",
        "leave --id 3",
        "move --id 3 --peers 127.0.0.1:1",
        "backup --file b",
    ] {
        refused(&folder, &ask(what), "NOPERM");
        let guessed = format!("{} --admin-password-file {wrong}", ask(what));
        refused(&folder, &guessed, "WRONGPASS");
    }
    done(&folder, &ask("status"));
    until("a transfer", || {
        let asked = command(&format!("{} {right}", ask("transfer")));
        let output = { asked }.current_dir(&folder).output().unwrap();
        output.status.success().then_some(())
    });
    let mut by_environment = command(&ask("snapshot"));
    by_environment.env("RAFT_KV_ADMIN_PASSWORD", "only mine");
    assert!(
        by_environment
            .current_dir(&folder)
            .status()
            .unwrap()
            .success()
    );
    let log = fs::read_to_string(folder.join("log")).unwrap();
    let warned = log.lines().find(|line| line.contains("wrong password"));
    assert!(
        warned.is_some_and(|line| line.contains("user=\"admin\"")),
        "{log}"
    );
    // A server that joins asks as the user admin, whose password is one of its settings.
    let peers = free_ports(1)[0];
    let join = format!("--id 4 --clients 127.0.0.1:0 --peers 127.0.0.1:{peers}");
    refused(
        &folder,
        &format!("{} --data none {join}", ask("join")),
        "NOPERM",
    );
    let joined = Running::joined(&folder, &format!("{} --data 4 {join} {right}", ask("join")));
    cluster.servers.push(joined);
    until("a member more", || {
        let status = processes::status(&cluster.servers[0])?;
        (status.members.len() == 4).then_some(())
    });
}
