//! How settings are given: on the command line, in a file, both by the same names.
//!
//! What is given in several places is taken from the first of: the command line, the environment
//! (the password only), the file that `--config` names, and the file that the data folder was made
//! with.

mod error;
mod values;

pub use error::ConfigError;
pub use values::{ByteSize, ClockDrift, MemberAddress, Secret, TimeSpan};

use super::data_dir::DataDir;
use super::settings::{Settings, Tls};
use clap::Args;
use raft_driver_thread::raft_proto::Config;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The environment variable that a password is taken from.
pub const PASSWORD_VARIABLE: &str = "RAFT_KV_PASSWORD";

/// The [`Settings`] as far as one place gives them. Each field is a flag and a key of the file, with
/// dashes in its name: `--max-connections 100`, `max-connections = 100`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerOptions {
    /// The folder with all that the server keeps
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where clients are listened to; port 0 takes a free one [default: 127.0.0.1:6379]
    #[arg(long, value_name = "HOST:PORT")]
    pub clients: Option<String>,
    /// What the other servers are told of where clients reach this one, if not there
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise_clients: Option<String>,
    /// Where the other servers are listened to [default: as the cluster was told]
    #[arg(long, value_name = "HOST:PORT")]
    pub peers: Option<String>,
    /// Servers of the cluster, for one that joins and has not heard of them yet; `raft-kv join`
    /// finds them by itself
    #[arg(long, value_name = "ID=HOST:PORT,...", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberAddress>,
    /// Where /metrics, /healthz and /readyz are served [default: nowhere]
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// What clients have to say first (AUTH). Others on this machine can see it here: better use
    /// --password-file, or the environment's RAFT_KV_PASSWORD
    #[arg(long, conflicts_with = "password_file")]
    #[serde(skip_serializing)]
    pub password: Option<Secret>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// TLS; in a file, the table `[tls]`
    #[command(flatten)]
    #[serde(skip_serializing_if = "TlsOptions::is_empty")]
    pub tls: TlsOptions,
    /// How many clients may be connected; more are refused [default: 10000]
    #[arg(long, value_name = "N")]
    pub max_connections: Option<usize>,
    /// How long a value may be, and a key, as in 512KiB; the same on all servers [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    pub max_value_bytes: Option<ByteSize>,
    /// How long a request may wait for a leader and its majority [default: 5s]
    #[arg(long, value_name = "TIME")]
    pub request_timeout: Option<TimeSpan>,
    /// How often a leader says that it leads [default: 50ms]
    #[arg(long, value_name = "TIME")]
    pub heartbeat_interval: Option<TimeSpan>,
    /// How long a follower waits at least for that before it asks for an election, and less than half as
    /// long again; the same on all servers [default: 500ms]
    #[arg(long, value_name = "TIME")]
    pub election_timeout: Option<TimeSpan>,
    /// By how much clocks may differ in speed, in parts in a million, for reads under a lease; off
    /// for none; the same on all servers [default: 500]
    #[arg(long, value_name = "PPM|off")]
    pub max_drift_ppm: Option<ClockDrift>,
    /// After how much log a snapshot is made [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub snapshot_every_bytes: Option<ByteSize>,
    /// How many threads serve clients [default: one for every two cores]
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
    /// What a file gives. Its relative paths begin at the file's folder.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Read`], [`ConfigError::Invalid`] with the line and the key.
    pub fn read(path: &Path) -> Result<ServerOptions, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let options = ServerOptions::parse(&text);
        let options = options.map_err(|error| error.of_file(path))?;
        Ok(options.relative_to(path.parent().unwrap_or(Path::new(""))))
    }

    /// What the text of a file gives.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`], for a file without a name.
    pub fn parse(text: &str) -> Result<ServerOptions, ConfigError> {
        let options: ServerOptions =
            toml::from_str(text).map_err(|error| ConfigError::invalid(text, &error))?;
        match options.password.is_some() && options.password_file.is_some() {
            true => Err(ConfigError::TwoPasswords),
            false => Ok(options),
        }
    }

    /// What all places give together, with `flags` first. The password is looked up, so that
    /// [`settings`](ServerOptions::settings) has all that it needs.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: of one of the places.
    pub fn gather(
        flags: ServerOptions,
        password: Option<String>,
        config: Option<&Path>,
    ) -> Result<ServerOptions, ConfigError> {
        let environment = ServerOptions {
            password: password.map(Secret),
            ..ServerOptions::default()
        };
        let mut all = flags.with_password()?.or(environment);
        if let Some(path) = config {
            all = all.or(ServerOptions::read(path)?.with_password()?);
        }
        let kept = all.data.as_deref().map(DataDir::settings_file);
        if let Some(path) = kept.filter(|path| path.exists()) {
            all = all.or(ServerOptions::read(&path)?.with_password()?);
        }
        Ok(all)
    }

    /// What this gives, and where it gives nothing, what `base` does.
    #[must_use]
    pub fn or(self, base: ServerOptions) -> ServerOptions {
        ServerOptions {
            data: self.data.or(base.data),
            clients: self.clients.or(base.clients),
            advertise_clients: self.advertise_clients.or(base.advertise_clients),
            peers: self.peers.or(base.peers),
            members: match self.members.is_empty() {
                true => base.members,
                false => self.members,
            },
            http: self.http.or(base.http),
            password: self.password.or(base.password),
            password_file: self.password_file.or(base.password_file),
            tls: TlsOptions {
                authority: self.tls.authority.or(base.tls.authority),
                certificate: self.tls.certificate.or(base.tls.certificate),
                key: self.tls.key.or(base.tls.key),
            },
            max_connections: self.max_connections.or(base.max_connections),
            max_value_bytes: self.max_value_bytes.or(base.max_value_bytes),
            request_timeout: self.request_timeout.or(base.request_timeout),
            heartbeat_interval: self.heartbeat_interval.or(base.heartbeat_interval),
            election_timeout: self.election_timeout.or(base.election_timeout),
            max_drift_ppm: self.max_drift_ppm.or(base.max_drift_ppm),
            snapshot_every_bytes: self.snapshot_every_bytes.or(base.snapshot_every_bytes),
            threads: self.threads.or(base.threads),
        }
    }

    /// With the password that the file holds which is named here, if one is.
    fn with_password(mut self) -> Result<ServerOptions, ConfigError> {
        if let (None, Some(path)) = (&self.password, &self.password_file) {
            self.password = Some(read_password(path)?);
        }
        Ok(self)
    }

    /// With all paths beginning at `folder` that are not absolute.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> ServerOptions {
        let paths = [
            &mut self.data,
            &mut self.password_file,
            &mut self.tls.authority,
            &mut self.tls.certificate,
            &mut self.tls.key,
        ];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
        self
    }

    /// As a file gives it, but for the folder and the password, which are never written.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unwritable`] if it cannot be said in TOML, as a path that is no text.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let kept = ServerOptions {
            data: None,
            ..self.clone()
        };
        toml::to_string(&kept).map_err(|error| ConfigError::Unwritable(error.to_string()))
    }

    /// The settings of a server, checked.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`], [`ConfigError::OutOfRange`], [`ConfigError::Address`]
    pub fn settings(self) -> Result<Settings, ConfigError> {
        let data = self.data.ok_or(ConfigError::Missing("data"))?;
        let default = Settings::new(data);
        let span = |given: Option<TimeSpan>, default| given.map_or(default, |span| span.0);
        let max_value = self.max_value_bytes.map(|size| usize::try_from(size.0));
        let max_value = max_value.unwrap_or(Ok(default.max_value_bytes));
        let settings = Settings {
            clients: self.clients.unwrap_or(default.clients),
            advertise_clients: self.advertise_clients,
            peers: self.peers.unwrap_or(default.peers),
            members: self.members.into_iter().map(|member| member.0).collect(),
            http: self.http,
            password: self.password.map(|secret| secret.0),
            tls: self.tls.all()?,
            max_connections: self.max_connections.unwrap_or(default.max_connections),
            max_value_bytes: max_value.unwrap_or(usize::MAX), // More than there can be.
            request_timeout: span(self.request_timeout, default.request_timeout),
            heartbeat_interval: span(self.heartbeat_interval, default.heartbeat_interval),
            election_timeout: span(self.election_timeout, default.election_timeout),
            max_drift_ppm: self.max_drift_ppm.map_or(default.max_drift_ppm, |it| it.0),
            snapshot_every_bytes: self
                .snapshot_every_bytes
                .map_or(default.snapshot_every_bytes, |size| size.0),
            threads: self.threads.unwrap_or(default.threads),
            data: default.data,
        };
        check(&settings)?;
        Ok(settings)
    }
}

impl TlsOptions {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == TlsOptions::default()
    }

    /// The three files, if they are given.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] if only some are.
    pub fn all(self) -> Result<Option<Tls>, ConfigError> {
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

/// The first line of a file, which is the password.
///
/// # Errors
///
/// [`ConfigError::Read`], [`ConfigError::EmptyPassword`].
pub fn read_password(path: &Path) -> Result<Secret, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source: io::Error| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(Secret(line.to_owned())),
        None => Err(ConfigError::EmptyPassword {
            path: path.to_owned(),
        }),
    }
}

/// Checks what no type does.
fn check(settings: &Settings) -> Result<(), ConfigError> {
    check_address("clients", &settings.clients)?;
    check_address("peers", &settings.peers)?;
    if let Some(http) = &settings.http {
        check_address("http", http)?;
    }
    if let Some(advertised) = &settings.advertise_clients {
        check_reachable("advertise-clients", advertised)?;
    }
    let refuse = |key, what| Err(ConfigError::OutOfRange { key, what });
    if settings.password.as_deref() == Some("") {
        return refuse("password", "it has to have a character at least");
    }
    if settings.max_connections == 0 {
        return refuse("max-connections", "it has to be 1 at least");
    }
    if settings.max_value_bytes == 0 {
        return refuse("max-value-bytes", "it has to be 1 at least");
    }
    // What the protocol of Redis allows; entries of the log hold it well.
    if settings.max_value_bytes > 512 << 20 {
        return refuse("max-value-bytes", "it can be 512MiB at most");
    }
    if settings.request_timeout.is_zero() {
        return refuse("request-timeout", "it has to be more than 0");
    }
    if settings.heartbeat_interval.is_zero() {
        return refuse("heartbeat-interval", "it has to be more than 0");
    }
    if settings.election_timeout < settings.heartbeat_interval.saturating_mul(3) {
        let what = "it has to be three times heartbeat-interval at least";
        return refuse("election-timeout", what);
    }
    let drift = settings.max_drift_ppm.unwrap_or(0);
    if drift > Config::MAX_DRIFT_PPM {
        return refuse("max-drift-ppm", "it can be 100000 at most, or off");
    }
    if settings.snapshot_every_bytes == 0 {
        return refuse("snapshot-every-bytes", "it has to be 1 at least");
    }
    if settings.threads == 0 {
        return refuse("threads", "it has to be 1 at least");
    }
    Ok(())
}

/// Checks that this is host:port, where a port of 0 asks for a free one.
///
/// # Errors
///
/// [`ConfigError::Address`].
pub fn check_address(key: &'static str, text: &str) -> Result<u16, ConfigError> {
    let port = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty() && !host.contains(char::is_whitespace))
        // Of a host in numbers, colons stand in brackets.
        .filter(|(host, _)| !host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
        .and_then(|(_, port)| port.parse().ok());
    port.ok_or_else(|| ConfigError::Address {
        key,
        text: text.to_owned(),
    })
}

/// Checks that this is host:port that others can connect to.
///
/// # Errors
///
/// [`ConfigError::Address`].
pub fn check_reachable(key: &'static str, text: &str) -> Result<(), ConfigError> {
    let host = text.rsplit_once(':').map_or("", |(host, _)| host);
    match check_address(key, text)? == 0 || ["0.0.0.0", "[::]"].contains(&host) {
        true => Err(ConfigError::Address {
            key,
            text: text.to_owned(),
        }),
        false => Ok(()),
    }
}
