//! Settings are given on the command line and in files, by the same names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use clap::{Args, Command, FromArgMatches};
use raft_driver_thread::{CompareOptions, RecorderOptions, ScrubOptions, SnapshotSending};
use raft_kv::config::{ConfigError, Passwords, Secret, ServerOptions};
use raft_kv::settings::{Founder, ProtectedMode, Settings, Tls};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Settings none of which has its default.
fn all() -> Settings {
    Settings {
        data: "/d".into(),
        clients: "127.0.0.1:1".into(),
        advertise_clients: Some("one.example:2".into()),
        peers: "[::1]:3".into(),
        members: vec![
            Founder {
                node: 1,
                peers: "a:1".into(),
            },
            Founder {
                node: 2,
                peers: "b:2".into(),
            },
        ],
        http: Some("127.0.0.1:4".into()),
        password: Some("open".into()),
        admin_password: Some("own".into()),
        tls: Some(Tls {
            authority: "/a.pem".into(),
            certificate: "/c.pem".into(),
            key: "/k.pem".into(),
        }),
        max_connections: 5,
        protected_mode: ProtectedMode::Off,
        client_timeout: Some(Duration::from_secs(3)),
        tcp_keepalive: None,
        client_output_buffer_limit: 3 << 20,
        maxmemory_clients: 4 << 20,
        max_memory: Some(1 << 30),
        max_transaction_bytes: 7 << 10,
        max_value_bytes: 6 << 10,
        request_timeout: Duration::from_secs(7),
        heartbeat_interval: Duration::from_millis(8),
        election_timeout: Duration::from_millis(90),
        max_drift_ppm: None,
        snapshot_every_bytes: 10 << 20,
        snapshot_sending: SnapshotSending {
            max_bytes_per_second: Some(14 << 10),
            max_transfers: 15,
        },
        scrub: Some(ScrubOptions {
            bytes_per_second: 12 << 10,
            pause: Duration::from_secs(13),
        }),
        compare: Some(CompareOptions {
            pause: Duration::from_secs(14),
            ..CompareOptions::default()
        }),
        recordings: Some(RecorderOptions {
            max_file_bytes: 2 << 20,
            ..RecorderOptions::new("/r")
        }),
        release_level: 0,
        threads: 11,
    }
}

const FILE: &str = r#"
data = "/d"
clients = "127.0.0.1:1"
advertise-clients = "one.example:2"
peers = "[::1]:3"
http = "127.0.0.1:4"
members = ["1=a:1", "2=b:2"]
password = "open"
admin-password = "own"
max-connections = 5
protected-mode = "off"
client-timeout = "3s"
tcp-keepalive = "0s"
client-output-buffer-limit = "3MiB"
maxmemory-clients = "4MiB"
max-memory = "1GiB"
max-transaction-bytes = "7KiB"
max-value-bytes = "6KiB"
request-timeout = "7s"
heartbeat-interval = "8ms"
election-timeout = "90ms"
max-drift-ppm = "off"
snapshot-every-bytes = 10485760
snapshot-rate = "14KiB"
snapshot-transfers = 15
scrub-rate = "12KiB"
scrub-interval = "13s"
compare-interval = "14s"
recordings = "/r"
recordings-bytes = "16MiB"
release-level = 0
threads = 11

[tls]
authority = "/a.pem"
certificate = "/c.pem"
key = "/k.pem"
"#;

const FLAGS: &str = "--data /d --clients 127.0.0.1:1 --advertise-clients one.example:2 \
    --peers [::1]:3 --http 127.0.0.1:4 --members 1=a:1,2=b:2 --password open --admin-password own --max-connections 5 \
    --protected-mode off --client-timeout 3s --tcp-keepalive 0s \
    --client-output-buffer-limit 3MiB --maxmemory-clients 4MiB --max-memory 1GiB \
    --max-transaction-bytes 7KiB --max-value-bytes 6144 --request-timeout 7s --heartbeat-interval 8ms \
    --election-timeout 90ms --max-drift-ppm off --snapshot-every-bytes 10MiB \
    --snapshot-rate 14KiB --snapshot-transfers 15 --scrub-rate 12KiB --scrub-interval 13s --compare-interval 14s \
    --recordings /r --recordings-bytes 16MiB --release-level 0 --threads 11 \
    --authority /a.pem --certificate /c.pem --key /k.pem";

fn flags(text: &str) -> Result<ServerOptions, clap::Error> {
    let command = ServerOptions::augment_args(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(text.split_whitespace())?;
    ServerOptions::from_arg_matches(&matches)
}

fn refused(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.toml");
    fs::write(&path, text).unwrap();
    let error = ServerOptions::read(&path).unwrap_err().to_string();
    assert!(error.contains("file.toml"), "{error}");
    error
}

fn settings_error(text: &str) -> String {
    let options = ServerOptions::parse(&format!("data = \"/d\"\n{text}")).unwrap();
    options.settings().unwrap_err().to_string()
}

#[test]
fn every_setting_can_be_given_in_a_file() {
    let options = ServerOptions::parse(FILE).unwrap();
    assert_eq!(options.settings().unwrap(), all());
}

#[test]
fn servers_compare_their_states_unless_the_interval_is_zero() {
    let compare = |text: &str| {
        let options = ServerOptions::parse(&format!("data = \"/d\"\n{text}")).unwrap();
        options.settings().unwrap().compare
    };
    assert_eq!(compare(""), Some(CompareOptions::default()));
    assert_eq!(compare("compare-interval = \"0s\""), None);
}

#[test]
fn servers_look_for_decay_unless_the_rate_is_zero() {
    let scrub = |text: &str| {
        let options = ServerOptions::parse(&format!("data = \"/d\"\n{text}")).unwrap();
        options.settings().unwrap().scrub
    };
    assert_eq!(scrub(""), Some(ScrubOptions::new(4 << 20)));
    assert_eq!(scrub("scrub-rate = 0\nscrub-interval = \"1s\""), None);
    let pause = Duration::from_secs(1);
    let often = scrub("scrub-interval = \"1s\"").unwrap();
    assert_eq!((often.bytes_per_second, often.pause), (4 << 20, pause));
}

#[test]
fn every_setting_can_be_given_as_a_flag() {
    assert_eq!(flags(FLAGS).unwrap().settings().unwrap(), all());
}

#[test]
fn flags_and_keys_have_the_same_names() {
    let command = ServerOptions::augment_args(Command::new("test"));
    let mut flags: Vec<_> = command
        .get_arguments()
        .filter_map(|it| it.get_long())
        .collect();
    flags.sort_unstable();
    let table: toml::Table = FILE.parse().unwrap();
    let tls = table["tls"].as_table().unwrap().keys();
    let keys = table.keys().chain(tls).map(String::as_str);
    let mut keys: Vec<_> = keys
        .filter(|key| *key != "tls")
        .chain(["password-file", "admin-password-file"])
        .collect();
    keys.sort_unstable();
    assert_eq!(flags, keys);
}

#[test]
fn a_setting_that_is_not_given_has_its_default() {
    let settings = flags("--data here").unwrap().settings().unwrap();
    assert_eq!(settings, Settings::new("here"));
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_the_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (
        directory.path().join("data"),
        directory.path().join("file.toml"),
    );
    fs::create_dir(&data).unwrap();
    let saved = "clients = \"saved:1\"\npeers = \"saved:1\"\nhttp = \"saved:1\"\npassword = \"saved\"\nprotected-mode = \"off\"";
    fs::write(data.join("raft-kv.toml"), saved).unwrap();
    let text = "data = \"data\"\nclients = \"file:1\"\npeers = \"file:1\"\npassword = \"file\"";
    fs::write(&file, text).unwrap();
    let gather = |given: &str, password: Option<&str>| {
        let environment = Passwords {
            clients: password.map(|text| Secret(text.to_owned())),
            admin: Some(Secret("own".to_owned())),
        };
        let all = ServerOptions::gather(flags(given).unwrap(), environment, Some(&file));
        all.unwrap().settings().unwrap()
    };
    let settings = gather("--clients flag:1 --password flag", Some("environment"));
    assert_eq!(settings.data, data);
    assert_eq!(settings.clients, "flag:1");
    assert_eq!(settings.peers, "file:1");
    assert_eq!(settings.http.as_deref(), Some("saved:1"));
    assert_eq!(settings.password.as_deref(), Some("flag"));
    let settings = gather("", Some("environment"));
    assert_eq!(settings.password.as_deref(), Some("environment"));
    assert_eq!(settings.admin_password.as_deref(), Some("own"));
    assert_eq!(gather("", None).password.as_deref(), Some("file"));
}

#[test]
fn a_password_can_be_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), "open sesame\nmore\n").unwrap();
    let file = directory.path().join("file.toml");
    let text = "password-file = \"secret\"\nadmin-password-file = \"other\"\ndata = \"/d\"";
    fs::write(&file, text).unwrap();
    fs::write(directory.path().join("other"), "own\n").unwrap();
    let gather =
        || ServerOptions::gather(ServerOptions::default(), Passwords::default(), Some(&file));
    let settings = gather().unwrap().settings().unwrap();
    assert_eq!(settings.admin_password.as_deref(), Some("own"));
    assert_eq!(settings.password.as_deref(), Some("open sesame"));
    fs::write(directory.path().join("secret"), "\n").unwrap();
    let all = gather();
    assert!(matches!(all, Err(ConfigError::EmptyPassword { .. })));
    let both = ServerOptions::parse("password = \"a\"\npassword-file = \"b\"");
    assert!(matches!(both, Err(ConfigError::TwoPasswords("password"))));
    assert!(flags("--password a --password-file b").is_err());
}

#[test]
fn a_password_is_never_shown() {
    let options = ServerOptions::parse("password = \"sesame\"").unwrap();
    assert!(!format!("{options:?}").contains("sesame"));
    assert!(!options.to_toml().unwrap().contains("sesame"));
    for wrong in [
        "password = 1234",
        "password = \"1234",
        "password = [\"1234\"]",
    ] {
        let error = refused(wrong);
        assert!(!error.contains("1234"), "{error}");
        assert!(error.contains("line 1"), "{error}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_keys_that_exist() {
    let error = refused("clients = \"a:1\"\nthread = 3\n");
    for part in ["line 2", "`thread`", "`threads`", "`max-connections`"] {
        assert!(error.contains(part), "{error}");
    }
    let error = refused("[tls]\nauthority = \"a\"\ncert = \"b\"\n");
    for part in ["line 3", "`cert`", "`certificate`"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_line_and_key() {
    for (text, key) in [
        ("\nthreads = \"two\"", "threads"),
        ("\nclients = 6379", "clients"),
        ("\nrequest-timeout = 5", "request-timeout"),
        ("\nrequest-timeout = \"soon\"", "request-timeout"),
        ("\nmax-value-bytes = \"8 Miles\"", "max-value-bytes"),
        ("\nmax-value-bytes = -1", "max-value-bytes"),
        ("\nmembers = [\"1=0.0.0.0:1\"]", "members"),
        ("\nmax-drift-ppm = true", "max-drift-ppm"),
        ("\ntls = true", "tls"),
    ] {
        let error = refused(text);
        assert!(error.contains("line 2"), "{error}");
        assert!(error.contains(&format!("`{key}`")), "{error}");
    }
    assert!(refused("clients = \n").contains("line 1"));
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (text, key) in [
        ("clients = \"6379\"", "clients"),
        ("clients = \"::1:6379\"", "clients"),
        ("peers = \":7001\"", "peers"),
        ("http = \"host:99999\"", "http"),
        ("advertise-clients = \"0.0.0.0:6379\"", "advertise-clients"),
        ("advertise-clients = \"one:0\"", "advertise-clients"),
        ("password = \"\"", "password"),
        ("admin-password = \"\"", "admin-password"),
        ("password = \"a\"\nadmin-password = \"a\"", "admin-password"),
        (
            "recordings = \"r\"\nrecordings-bytes = \"1KiB\"",
            "recordings-bytes",
        ),
        ("recordings-bytes = \"16MiB\"", "recordings"),
        ("max-connections = 0", "max-connections"),
        ("max-value-bytes = 0", "max-value-bytes"),
        ("max-value-bytes = \"1GiB\"", "max-value-bytes"),
        ("request-timeout = \"0s\"", "request-timeout"),
        ("heartbeat-interval = \"0s\"", "heartbeat-interval"),
        ("heartbeat-interval = \"300ms\"", "election-timeout"),
        ("max-drift-ppm = 1000000", "max-drift-ppm"),
        ("snapshot-every-bytes = 0", "snapshot-every-bytes"),
        ("threads = 0", "threads"),
        ("snapshot-transfers = 0", "snapshot-transfers"),
        ("release-level = 2", "release-level"),
        ("tcp-keepalive = \"500ms\"", "tcp-keepalive"),
        ("max-transaction-bytes = 1000", "max-transaction-bytes"),
        ("max-transaction-bytes = \"2GiB\"", "max-transaction-bytes"),
        (
            "client-output-buffer-limit = 5",
            "client-output-buffer-limit",
        ),
        ("maxmemory-clients = \"1MiB\"", "maxmemory-clients"),
        ("tls = { authority = \"a\", key = \"k\" }", "certificate"),
    ] {
        let error = settings_error(text);
        assert!(error.contains(&format!("`{key}`")), "{text}: {error}");
    }
    let error = ServerOptions::default().settings().unwrap_err().to_string();
    assert!(error.contains("--data"), "{error}");
}

#[test]
fn what_anybody_could_read_and_write_is_not_offered_to_other_machines_unless_asked_for() {
    let error = settings_error("clients = \"10.0.0.1:6379\"");
    for part in [
        "`clients`",
        "10.0.0.1:6379",
        "without a password",
        "--protected-mode",
    ] {
        assert!(error.contains(part), "{error}");
    }
    // A password for clients does not protect the port for servers.
    let password = "clients = \"10.0.0.1:6379\"\npassword = \"p\"\n";
    let error = settings_error(&format!("{password}peers = \"10.0.0.1:7001\""));
    for part in ["`peers`", "10.0.0.1:7001", "any proof", "--authority"] {
        assert!(error.contains(part), "{error}");
    }
    let tls = "tls = { authority = \"a\", certificate = \"c\", key = \"k\" }";
    for allowed in [
        "clients = \"127.0.0.2:6379\"\npeers = \"[::1]:7001\"",
        "clients = \"localhost:6379\"",
        password,
        "clients = \"10.0.0.1:6379\"\npeers = \"10.0.0.1:7001\"\nprotected-mode = \"off\"",
        &format!("clients = \"10.0.0.1:6379\"\npeers = \"10.0.0.1:7001\"\n{tls}"),
    ] {
        let options = ServerOptions::parse(&format!("data = \"/d\"\n{allowed}")).unwrap();
        assert!(options.settings().is_ok(), "{allowed}");
    }
}

#[test]
fn an_address_that_stands_for_all_needs_one_that_others_are_told() {
    for clients in ["0.0.0.0:6379", "[::]:6379"] {
        let all = format!("clients = \"{clients}\"\nprotected-mode = \"off\"\n");
        let error = settings_error(&all);
        assert!(
            error.contains("write --advertise-clients host:port"),
            "{error}"
        );
        let told = format!("data = \"/d\"\n{all}advertise-clients = \"one:6379\"");
        assert!(ServerOptions::parse(&told).unwrap().settings().is_ok());
    }
}

#[test]
fn relative_paths_in_a_file_begin_at_its_directory() {
    let options = ServerOptions::parse("data = \"one\"\ntls = { authority = \"/a\" }").unwrap();
    let options = options.relative_to(Path::new("/etc/raft"));
    assert_eq!(options.data.unwrap(), Path::new("/etc/raft/one"));
    assert_eq!(options.tls.authority.unwrap(), Path::new("/a"));
}

#[test]
fn saved_settings_are_read_back_the_same() {
    let options = ServerOptions::parse(FILE).unwrap();
    let saved = ServerOptions::parse(&options.to_toml().unwrap()).unwrap();
    let given = ServerOptions {
        data: None,
        password: None,
        admin_password: None,
        ..options
    };
    assert_eq!(saved, given);
}
