//! The command line of raft-kv, where no server runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const COMMANDS: [&str; 14] = [
    "demo",
    "init",
    "start",
    "join",
    "leave",
    "status",
    "transfer",
    "snapshot",
    "backup",
    "restore",
    "inspect",
    "recover",
    "certs",
    "completions",
];

fn raft_kv(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-kv"));
    command.args(arguments.split_whitespace());
    command
        .env_remove("RAFT_KV_PASSWORD")
        .env_remove("RAFT_KV_ADMIN_PASSWORD")
        .env_remove("RAFT_KV_LOG");
    command.current_dir(folder).output().unwrap()
}

fn done(folder: &Path, arguments: &str) -> String {
    let output = raft_kv(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The command fails with this exit code, and its message contains all of these.
fn refused(folder: &Path, arguments: &str, code: i32, parts: &[&str]) {
    let output = raft_kv(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {error}");
    assert!(error.starts_with("error: "), "{arguments}: {error}");
    assert!(!error.contains("panicked"), "{arguments}: {error}");
    for part in parts {
        assert!(error.contains(part), "{arguments}: no {part:?} in: {error}");
    }
}

#[test]
fn each_command_explains_itself_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    let all = done(folder.path(), "--help");
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command} ")), "{all}");
        let help = done(folder.path(), &format!("{command} --help"));
        assert!(help.contains("Examples:"), "{help}");
        assert!(help.contains(&format!("raft-kv {command}")), "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command}: too long: {line}");
        }
    }
    assert!(done(folder.path(), "--version").starts_with("raft-kv "));
}

#[test]
fn wrong_arguments_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let one = "--founder 1=127.0.0.1:7001";
    for (arguments, part) in [
        ("fly", "fly"),
        ("start --fly", "--fly"),
        ("start", "--data"),
        ("start --data d --request-timeout soon", "500ms"),
        ("start --data d --max-value-bytes big", "512KiB"),
        (
            "start --data d --password a --password-file b",
            "--password-file",
        ),
        ("init --data d --id 0 --founder 1=127.0.0.1:7001", "--id"),
        ("init --data d --id 1", "--founder"),
        (
            "init --data d --id 1 --founder 127.0.0.1:7001",
            "1=10.0.0.1:7001",
        ),
        ("init --data d --id 1 --founder 1=127.0.0.1", "host:port"),
        ("init --data d --id 1 --founder 1=0.0.0.0:7001", "connect"),
        (&format!("init --id 1 {one}"), "--data"),
        (&format!("init --data d --id 2 {one}"), "no --founder"),
        (
            &format!("init --data d --id 1 {one} --founder 2=127.0.0.1:7001"),
            "differ",
        ),
        (
            &format!("init --data d --id 1 {one} --cluster mine"),
            "drawn",
        ),
        (&format!("init --data d --id 1 {one} --cluster 0"), "drawn"),
        (
            &format!("init --data d --id 1 {one} --password p"),
            "--password-file",
        ),
        ("join --data d --id 4 --server 127.0.0.1:1", "--peers"),
        (
            "restore --file f --data d --id 1 --peers 127.0.0.1:0",
            "--advertise-peers",
        ),
        ("recover --data d --into e", "--force-new-cluster"),
        ("demo --port 65534", "65534"),
        ("certs --out c --node one", "id=host"),
        ("certs --out c --node 1=a:6379", "without a port"),
        ("certs --out c --node 0=a", "from 1 on"),
        ("status --timeout 0s", "--timeout"),
        ("inspect --data d --log kv=loud", "--log"),
        (
            &format!("init --data d --id 1 {one} --threads 0"),
            "`threads`",
        ),
        (
            &format!("init --data d --id 1 {one} --election-timeout 10ms"),
            "three times",
        ),
        (
            &format!("init --data d --id 1 {one} --clients here"),
            "host:port",
        ),
        (
            "join --data d --id 4 --peers 127.0.0.1:7004 --server 127.0.0.1:1 --timeout 0s",
            "--timeout",
        ),
        (
            "recover --force-new-cluster --data d --into e --peers here",
            "host:port",
        ),
        ("status --server here", "host:port"),
        ("leave --id 0", "--id"),
        ("transfer --to 0", "--to"),
        ("completions dos", "bash"),
    ] {
        refused(folder.path(), arguments, 2, &[part]);
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "something was made"
    );
}

#[test]
fn a_failure_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("bad.toml"),
        "clients = \"a:1\"\nthreat = 2\n",
    )
    .unwrap();
    fs::write(folder.path().join("file"), "no backup").unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    let restore = "restore --data d --id 1 --peers 127.0.0.1:7001";
    for (arguments, parts) in [
        (
            "start --data d",
            &["not a data directory", "raft-kv init", "raft-kv join"][..],
        ),
        ("inspect --data d", &["not a data directory"]),
        (
            "recover --force-new-cluster --data d --into e",
            &["not a data directory"],
        ),
        ("start --data d --config none.toml", &["none.toml"]),
        (
            "start --data d --config bad.toml",
            &["bad.toml", "line 2", "`threat`", "`threads`"],
        ),
        ("start --data d --password-file none", &["none"]),
        (
            "start --data d --password-file empty",
            &["empty", "password"],
        ),
        // Nothing listens at port 1.
        ("status --server 127.0.0.1:1", &["127.0.0.1:1", "refused"]),
        ("backup --file b --server 127.0.0.1:1", &["127.0.0.1:1"]),
        (
            "leave --id 2 --server nowhere.invalid:1",
            &["nowhere.invalid"],
        ),
        (
            "join --data d --id 4 --peers 127.0.0.1:7004 --server 127.0.0.1:1",
            &["127.0.0.1:1"],
        ),
        (&format!("{restore} --file none"), &["none"]),
        (&format!("{restore} --file file"), &["backup"]),
        (&format!("{restore} --file empty"), &["backup"]),
    ] {
        refused(folder.path(), arguments, 1, parts);
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        3,
        "something was made"
    );
}

#[test]
fn init_makes_a_data_directory_once_and_keeps_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let founders = "--founder 1=127.0.0.1:7001 --founder 2=127.0.0.1:7002";
    let said = done(
        path,
        &format!("init --data one --id 1 {founders} --threads 3"),
    );
    let cluster = said
        .lines()
        .find_map(|line| line.strip_prefix("cluster "))
        .unwrap();
    let said = done(
        path,
        &format!("init --data two --id 2 {founders} --cluster {cluster}"),
    );
    assert!(said.contains(&format!("cluster {cluster}")), "{said}");
    let again = format!("init --data one --id 2 {founders}");
    refused(
        path,
        &again,
        1,
        &["one is a data directory already", "raft-kv start"],
    );
    let kept = fs::read_to_string(path.join("one/raft-kv.toml")).unwrap();
    assert_eq!(kept, "threads = 3\n");
    let shown = done(path, "inspect --data one");
    for part in [
        cluster,
        "1=127.0.0.1:7001 2=127.0.0.1:7002",
        "it has never run",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let shown = done(path, "inspect --data one --json");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["node"], 1);
    assert_eq!(shown["cluster"].to_string(), cluster);
    assert_eq!(shown["founders"][1]["peers"], "127.0.0.1:7002");
    assert!(shown["log"].is_null());
    refused(path, "start --data one --id 2", 1, &["belongs to node 1"]);
    refused(
        path,
        "start --data two --cluster 5",
        1,
        &["belongs to cluster"],
    );
    let recover = "recover --force-new-cluster --data one --into three";
    refused(path, recover, 1, &["nothing to recover"]);
    fs::write(path.join("one/cluster.toml"), "format = 9").unwrap();
    refused(
        path,
        "start --data one",
        1,
        &["format version 9", "reads 1"],
    );
}

#[test]
fn certificates_are_added_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(
        path,
        "certs --out c --node 1=127.0.0.1,localhost --node 2=two.example",
    );
    let names = |folder: &str| {
        let files = fs::read_dir(path.join(folder)).unwrap();
        let mut names: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let first = [
        "authority.key",
        "authority.pem",
        "node-1.key",
        "node-1.pem",
        "node-2.key",
        "node-2.pem",
    ];
    assert_eq!(names("c"), first);
    #[cfg(unix)]
    for name in first {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path.join("c").join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert!(name.ends_with(".pem") || mode == 0o600, "{name} {mode:o}");
    }
    let authority = fs::read(path.join("c/authority.pem")).unwrap();
    // What it issues later is checked against the authority before it is written.
    done(path, "certs --out c --node 3=three.example");
    assert_eq!(fs::read(path.join("c/authority.pem")).unwrap(), authority);
    let certificate = fs::read(path.join("c/node-1.pem")).unwrap();
    refused(
        path,
        "certs --out c --node 4=a --node 1=b",
        1,
        &["node-1.pem", "already"],
    );
    assert_eq!(fs::read(path.join("c/node-1.pem")).unwrap(), certificate);
    assert_eq!(names("c").len(), 8);
    // Another authority's key signs nothing in its name.
    done(path, "certs --out other --node 1=a");
    fs::copy(
        path.join("other/authority.key"),
        path.join("c/authority.key"),
    )
    .unwrap();
    refused(path, "certs --out c --node 4=a", 1, &["authority.key"]);
    assert_eq!(names("c").len(), 8);
    fs::remove_file(path.join("c/authority.key")).unwrap();
    refused(
        path,
        "certs --out c --node 4=a",
        1,
        &["without", "authority.key"],
    );
}

#[test]
fn completions_name_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = done(folder.path(), &format!("completions {shell}"));
        for command in COMMANDS {
            assert!(
                script.contains(command),
                "{shell} does not complete {command}"
            );
        }
    }
}
