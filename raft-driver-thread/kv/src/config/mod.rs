//! Settings as people give them: on the command line and in files, by the same names.
//!
//! A setting that is given in several places is taken from the first of these: the command line,
//! the environment (the passwords only), the file that `--config` names, and the settings with
//! which the data directory was created.

mod check;
mod error;
mod passwords;
mod values;

pub use check::{check_address, check_reachable};
pub use error::ConfigError;
pub use passwords::{ADMIN_PASSWORD_VARIABLE, PASSWORD_VARIABLE, Passwords, read_password};
pub use values::{ByteSize, ClockDrift, MemberAddress, Secret, TimeSpan};

use super::data_dir::DataDir;
use super::settings::{ProtectedMode, Settings, Tls};
use clap::Args;
use raft_driver_thread::{CompareOptions, RecorderOptions, ScrubOptions, SnapshotSending};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The [`Settings`] as far as one place gives them.
///
/// Each field is a flag and a key of the file, with dashes in its name: `--max-connections 100`,
/// `max-connections = 100`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerOptions {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen for clients; port 0 takes a free one [default: 127.0.0.1:6379]
    #[arg(long, value_name = "HOST:PORT")]
    pub clients: Option<String>,
    /// Where clients reach this server, for the other servers to know [default: --clients]
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise_clients: Option<String>,
    /// Where to listen for the other servers [default: the address that the cluster knows]
    #[arg(long, value_name = "HOST:PORT")]
    pub peers: Option<String>,
    /// Servers of the cluster, for a server that joins and has not heard from them yet;
    /// `raft-kv join` finds them by itself
    #[arg(long, value_name = "ID=HOST:PORT,...", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberAddress>,
    /// Where to serve /metrics, /healthz and /readyz [default: nowhere]
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// The password that clients must give first (AUTH). Other users of this machine can see it
    /// on the command line: prefer --password-file, or RAFT_KV_PASSWORD in the environment
    #[arg(long, conflicts_with = "password_file")]
    #[serde(skip_serializing)]
    pub password: Option<Secret>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The password of the user `admin`: clients must give it (AUTH admin ...) before they may
    /// change the cluster (RAFT ...). Prefer --admin-password-file, or RAFT_KV_ADMIN_PASSWORD in
    /// the environment [default: every client may change the cluster]
    #[arg(long, value_name = "PASSWORD", conflicts_with = "admin_password_file")]
    #[serde(skip_serializing)]
    pub admin_password: Option<Secret>,
    /// A file whose first line is the password of the user `admin`
    #[arg(long, value_name = "FILE")]
    pub admin_password_file: Option<PathBuf>,
    /// TLS; in a file, the table `[tls]`
    #[command(flatten)]
    #[serde(skip_serializing_if = "TlsOptions::is_empty")]
    pub tls: TlsOptions,
    /// The most clients that may be connected; more are refused [default: 10000]
    #[arg(long, value_name = "N")]
    pub max_connections: Option<usize>,
    /// Whether to refuse addresses of other machines in plain text without a password, where
    /// anybody could read and write all [default: on]
    #[arg(long, value_name = "on|off")]
    pub protected_mode: Option<ProtectedMode>,
    /// Close a client's connection after this long without a request; 0s for never [default: 0s]
    #[arg(long, value_name = "TIME")]
    pub client_timeout: Option<TimeSpan>,
    /// Ask after this long a silence whether a client is still there; 0s for never [default: 300s]
    #[arg(long, value_name = "TIME")]
    pub tcp_keepalive: Option<TimeSpan>,
    /// The most bytes of replies that wait for one client; then it has to read some within 10s
    /// [default: 512MiB]
    #[arg(long, value_name = "SIZE")]
    pub client_output_buffer_limit: Option<ByteSize>,
    /// The most bytes of replies that wait for all clients together [default: 2GiB]
    #[arg(long, value_name = "SIZE")]
    pub maxmemory_clients: Option<ByteSize>,
    /// The most bytes of memory for keys and values; commands that could take more are refused
    /// then, as in Redis without eviction; 0 for no limit [default: 0]
    #[arg(long, value_name = "SIZE")]
    pub max_memory: Option<ByteSize>,
    /// The longest transaction: all arguments together, and 24 bytes for each command; the same on
    /// all servers [default: 4MiB]
    #[arg(long, value_name = "SIZE")]
    pub max_transaction_bytes: Option<ByteSize>,
    /// The longest value, and key, as in 512KiB; the same on all servers [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    pub max_value_bytes: Option<ByteSize>,
    /// The longest that a request waits for a leader and its majority [default: 5s]
    #[arg(long, value_name = "TIME")]
    pub request_timeout: Option<TimeSpan>,
    /// How often a leader sends heartbeats [default: 50ms]
    #[arg(long, value_name = "TIME")]
    pub heartbeat_interval: Option<TimeSpan>,
    /// The least time that a follower waits for a heartbeat before it starts an election; each
    /// wait is drawn between this and one and a half times this; the same on all servers
    /// [default: 500ms]
    #[arg(long, value_name = "TIME")]
    pub election_timeout: Option<TimeSpan>,
    /// The most by which clock rates may differ, in parts per million, for reads under a lease;
    /// off disables these; the same on all servers [default: 500]
    #[arg(long, value_name = "PPM|off")]
    pub max_drift_ppm: Option<ClockDrift>,
    /// How many bytes of log between two snapshots; as many as the last one has, if that is more
    /// [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub snapshot_every_bytes: Option<ByteSize>,
    /// The most bytes a second of snapshots that a leader sends, to all servers that need one
    /// together; 0 for no limit [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub snapshot_rate: Option<ByteSize>,
    /// The most servers that are sent a snapshot at the same time; others wait [default: 2]
    #[arg(long, value_name = "N")]
    pub snapshot_transfers: Option<usize>,
    /// The most bytes a second that are read again from the disk, to find what has decayed before
    /// it is needed; 0 to read nothing [default: 4MiB]
    #[arg(long, value_name = "SIZE")]
    pub scrub_rate: Option<ByteSize>,
    /// How long to wait, when all was read again, before that begins anew [default: 1h]
    #[arg(long, value_name = "TIME")]
    pub scrub_interval: Option<TimeSpan>,
    /// How often the server compares its state with those of the others, to find the one that is wrong;
    /// 0 for never [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub compare_interval: Option<TimeSpan>,
    /// The folder in which to record every event, with keys and values, for `raft-sim replay`
    /// [default: nothing is recorded]
    #[arg(long, value_name = "DIR")]
    pub recordings: Option<PathBuf>,
    /// How many bytes of recordings are kept, checkpoints not counted; older ones are deleted
    /// [default: 512MiB]
    #[arg(long, value_name = "SIZE")]
    pub recordings_bytes: Option<ByteSize>,
    /// Behave as the release of this level, and hold the whole cluster at it: until no server is
    /// started with this, all can go back to that release. Without it, the level rises for good as
    /// soon as all servers read it [default: the level of this release]
    #[arg(long, value_name = "N")]
    pub release_level: Option<u32>,
    /// The threads that serve clients [default: one for every two cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

/// The files of TLS: all three or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsOptions {
    /// The certificate of the cluster's authority, in PEM: switches TLS on
    #[arg(long, value_name = "FILE")]
    pub authority: Option<PathBuf>,
    /// This server's certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

impl ServerOptions {
    /// Reads a file. Its relative paths begin at the directory of the file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Read`]; [`ConfigError::Invalid`], with the line and the key.
    pub fn read(path: &Path) -> Result<ServerOptions, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let options = ServerOptions::parse(&text);
        let options = options.map_err(|error| error.of_file(path))?;
        Ok(options.relative_to(path.parent().unwrap_or(Path::new(""))))
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`], without the name of the file; [`ConfigError::TwoPasswords`].
    pub fn parse(text: &str) -> Result<ServerOptions, ConfigError> {
        let options: ServerOptions =
            toml::from_str(text).map_err(|error| ConfigError::invalid(text, &error))?;
        if options.password.is_some() && options.password_file.is_some() {
            return Err(ConfigError::TwoPasswords("password"));
        }
        if options.admin_password.is_some() && options.admin_password_file.is_some() {
            return Err(ConfigError::TwoPasswords("admin-password"));
        }
        Ok(options)
    }

    /// Merges the options of all places, `flags` first, and reads the files with passwords.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], of any of the places.
    pub fn gather(
        flags: ServerOptions,
        environment: Passwords,
        config: Option<&Path>,
    ) -> Result<ServerOptions, ConfigError> {
        let environment = ServerOptions {
            password: environment.clients,
            admin_password: environment.admin,
            ..ServerOptions::default()
        };
        let mut all = flags.with_passwords()?.or(environment);
        if let Some(path) = config {
            all = all.or(ServerOptions::read(path)?.with_passwords()?);
        }
        let saved = all.data.as_deref().map(DataDir::settings_file);
        if let Some(path) = saved.filter(|path| path.exists()) {
            all = all.or(ServerOptions::read(&path)?.with_passwords()?);
        }
        Ok(all)
    }

    /// These options, and those of `base` where these give nothing.
    #[must_use]
    pub fn or(self, base: ServerOptions) -> ServerOptions {
        ServerOptions {
            data: self.data.or(base.data),
            clients: self.clients.or(base.clients),
            advertise_clients: self.advertise_clients.or(base.advertise_clients),
            peers: self.peers.or(base.peers),
            members: if self.members.is_empty() {
                base.members
            } else {
                self.members
            },
            http: self.http.or(base.http),
            password: self.password.or(base.password),
            password_file: self.password_file.or(base.password_file),
            admin_password: self.admin_password.or(base.admin_password),
            admin_password_file: self.admin_password_file.or(base.admin_password_file),
            tls: TlsOptions {
                authority: self.tls.authority.or(base.tls.authority),
                certificate: self.tls.certificate.or(base.tls.certificate),
                key: self.tls.key.or(base.tls.key),
            },
            max_connections: self.max_connections.or(base.max_connections),
            protected_mode: self.protected_mode.or(base.protected_mode),
            client_timeout: self.client_timeout.or(base.client_timeout),
            tcp_keepalive: self.tcp_keepalive.or(base.tcp_keepalive),
            client_output_buffer_limit: self
                .client_output_buffer_limit
                .or(base.client_output_buffer_limit),
            maxmemory_clients: self.maxmemory_clients.or(base.maxmemory_clients),
            max_memory: self.max_memory.or(base.max_memory),
            max_transaction_bytes: self.max_transaction_bytes.or(base.max_transaction_bytes),
            max_value_bytes: self.max_value_bytes.or(base.max_value_bytes),
            request_timeout: self.request_timeout.or(base.request_timeout),
            heartbeat_interval: self.heartbeat_interval.or(base.heartbeat_interval),
            election_timeout: self.election_timeout.or(base.election_timeout),
            max_drift_ppm: self.max_drift_ppm.or(base.max_drift_ppm),
            snapshot_every_bytes: self.snapshot_every_bytes.or(base.snapshot_every_bytes),
            snapshot_rate: self.snapshot_rate.or(base.snapshot_rate),
            snapshot_transfers: self.snapshot_transfers.or(base.snapshot_transfers),
            scrub_rate: self.scrub_rate.or(base.scrub_rate),
            scrub_interval: self.scrub_interval.or(base.scrub_interval),
            compare_interval: self.compare_interval.or(base.compare_interval),
            recordings: self.recordings.or(base.recordings),
            recordings_bytes: self.recordings_bytes.or(base.recordings_bytes),
            release_level: self.release_level.or(base.release_level),
            threads: self.threads.or(base.threads),
        }
    }

    /// Reads the passwords from their files, if any are named.
    fn with_passwords(mut self) -> Result<ServerOptions, ConfigError> {
        if let (None, Some(path)) = (&self.password, &self.password_file) {
            self.password = Some(read_password(path)?);
        }
        if let (None, Some(path)) = (&self.admin_password, &self.admin_password_file) {
            self.admin_password = Some(read_password(path)?);
        }
        Ok(self)
    }

    /// Lets all relative paths begin at `directory`.
    #[must_use]
    pub fn relative_to(mut self, directory: &Path) -> ServerOptions {
        let paths = [
            &mut self.data,
            &mut self.password_file,
            &mut self.admin_password_file,
            &mut self.recordings,
            &mut self.tls.authority,
            &mut self.tls.certificate,
            &mut self.tls.key,
        ];
        for path in paths.into_iter().flatten() {
            *path = directory.join(&*path);
        }
        self
    }

    /// The text of a file with these options, without the data directory and the passwords.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unwritable`] if TOML cannot express them, such as a path that is not text.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let saved = ServerOptions {
            data: None,
            ..self.clone()
        };
        toml::to_string(&saved).map_err(|error| ConfigError::Unwritable(error.to_string()))
    }

    /// The settings of a server, with the defaults, checked.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`], [`ConfigError::OutOfRange`], [`ConfigError::Address`]
    pub fn settings(self) -> Result<Settings, ConfigError> {
        let data = self.data.ok_or(ConfigError::Missing("data"))?;
        let default = Settings::new(data);
        let span = |given: Option<TimeSpan>, default| given.map_or(default, |span| span.0);
        let size = |given: Option<ByteSize>, default| given.map_or(default, |size| size.0);
        let unless_zero = |span: Duration| Some(span).filter(|span| !span.is_zero());
        // A size too large for this machine is refused by the check.
        let memory = |given: Option<ByteSize>, default| {
            given.map_or(default, |size| {
                usize::try_from(size.0).unwrap_or(usize::MAX)
            })
        };
        let max_value_bytes = memory(self.max_value_bytes, default.max_value_bytes);
        let settings = Settings {
            clients: self.clients.unwrap_or(default.clients),
            advertise_clients: self.advertise_clients,
            peers: self.peers.unwrap_or(default.peers),
            members: self.members.into_iter().map(|member| member.0).collect(),
            http: self.http,
            password: self.password.map(|secret| secret.0),
            admin_password: self.admin_password.map(|secret| secret.0),
            tls: self.tls.complete()?,
            max_connections: self.max_connections.unwrap_or(default.max_connections),
            protected_mode: self.protected_mode.unwrap_or(default.protected_mode),
            client_timeout: unless_zero(span(self.client_timeout, Duration::ZERO)),
            tcp_keepalive: match self.tcp_keepalive {
                Some(keepalive) => unless_zero(keepalive.0),
                None => default.tcp_keepalive,
            },
            client_output_buffer_limit: size(
                self.client_output_buffer_limit,
                default.client_output_buffer_limit,
            ),
            maxmemory_clients: size(self.maxmemory_clients, default.maxmemory_clients),
            max_memory: Some(size(self.max_memory, 0)).filter(|size| *size > 0),
            max_transaction_bytes: memory(
                self.max_transaction_bytes,
                default.max_transaction_bytes.max(max_value_bytes),
            ),
            max_value_bytes,
            request_timeout: span(self.request_timeout, default.request_timeout),
            heartbeat_interval: span(self.heartbeat_interval, default.heartbeat_interval),
            election_timeout: span(self.election_timeout, default.election_timeout),
            max_drift_ppm: self.max_drift_ppm.map_or(default.max_drift_ppm, |it| it.0),
            snapshot_every_bytes: size(self.snapshot_every_bytes, default.snapshot_every_bytes),
            snapshot_sending: SnapshotSending {
                max_bytes_per_second: match self.snapshot_rate {
                    Some(rate) => Some(rate.0).filter(|rate| *rate > 0),
                    None => default.snapshot_sending.max_bytes_per_second,
                },
                max_transfers: (self.snapshot_transfers)
                    .unwrap_or(default.snapshot_sending.max_transfers),
            },
            scrub: scrub(self.scrub_rate, self.scrub_interval, default.scrub),
            compare: compare(self.compare_interval, default.compare),
            recordings: recordings(self.recordings, self.recordings_bytes)?,
            release_level: self.release_level.unwrap_or(default.release_level),
            threads: self.threads.unwrap_or(default.threads),
            data: default.data,
        };
        check::check(&settings)?;
        Ok(settings)
    }
}

/// What is given, and the defaults where nothing is.
fn scrub(
    rate: Option<ByteSize>,
    interval: Option<TimeSpan>,
    default: Option<ScrubOptions>,
) -> Option<ScrubOptions> {
    let rate = rate.map(|rate| rate.0);
    let rate = rate.or(default.map(|default| default.bytes_per_second));
    let pause = interval.map(|interval| interval.0);
    let pause = pause.or(default.map(|default| default.pause));
    let bytes_per_second = rate.filter(|rate| *rate > 0)?;
    Some(ScrubOptions {
        pause: pause.unwrap_or(ScrubOptions::new(bytes_per_second).pause),
        bytes_per_second,
    })
}

/// What is given, and the default if nothing is.
fn compare(interval: Option<TimeSpan>, default: Option<CompareOptions>) -> Option<CompareOptions> {
    let Some(TimeSpan(pause)) = interval else {
        return default;
    };
    (!pause.is_zero()).then(|| CompareOptions {
        pause,
        ..CompareOptions::default()
    })
}

/// A ring of files in this folder, of so many bytes.
fn recordings(
    folder: Option<PathBuf>,
    bytes: Option<ByteSize>,
) -> Result<Option<RecorderOptions>, ConfigError> {
    let Some(folder) = folder else {
        return match bytes {
            Some(_) => Err(ConfigError::Missing("recordings")),
            None => Ok(None),
        };
    };
    let default = RecorderOptions::new(folder);
    let files = default.max_files as u64;
    Ok(Some(RecorderOptions {
        max_file_bytes: bytes.map_or(default.max_file_bytes, |bytes| bytes.0 / files),
        ..default
    }))
}

impl TlsOptions {
    /// Whether no file is given.
    pub fn is_empty(&self) -> bool {
        *self == TlsOptions::default()
    }

    /// The three files, if any of them is given.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] if only some are given.
    pub fn complete(self) -> Result<Option<Tls>, ConfigError> {
        match (self.authority, self.certificate, self.key) {
            (None, None, None) => Ok(None),
            (Some(authority), Some(certificate), Some(key)) => Ok(Some(Tls {
                authority,
                certificate,
                key,
            })),
            (None, _, _) => Err(ConfigError::Missing("authority")),
            (_, None, _) => Err(ConfigError::Missing("certificate")),
            (_, _, None) => Err(ConfigError::Missing("key")),
        }
    }
}
