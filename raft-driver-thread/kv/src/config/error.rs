//! What is wrong with settings.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with settings, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not TOML, has an unknown key, or a value of another type.
    #[error(
        "{}, line {line}{}: {what}", path.display(),
        key.as_ref().map(|key| format!(", key `{key}`")).unwrap_or_default()
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// The key in that line, if there is one.
        key: Option<String>,
        /// What is wrong; for an unknown key, also the keys that exist.
        what: String,
    },
    /// One file gives both a password and a file with a password.
    #[error("`{0}` and `{0}-file` are both given: leave one of them")]
    TwoPasswords(&'static str),
    /// The first line of the file with the password is empty.
    #[error("the first line of {} has no password", path.display())]
    EmptyPassword {
        /// The file.
        path: PathBuf,
    },
    /// A setting without a default is not given.
    #[error("`{0}` is missing: give --{0}, or set it in the file that --config names")]
    Missing(&'static str),
    /// A number or a time is out of its range.
    #[error("`{key}`: {what}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// What it must be.
        what: &'static str,
    },
    /// An address on which the server cannot listen, or to which others cannot connect.
    #[error(
        "`{key}` is {text:?}, which is not an address{}: give host:port, as in 127.0.0.1:7001 or \
         [::1]:7001", match *key {
            "clients" | "peers" | "http" => "",
            _ => " that others can connect to",
        }
    )]
    Address {
        /// The key.
        key: &'static str,
        /// The value.
        text: String,
    },
    /// Clients are served at all addresses of this machine, and nobody knows which of them to use.
    #[error(
        "`clients` stands for all addresses of this machine, so that other servers and clients \
         cannot be told where to connect: write --advertise-clients host:port too, with the \
         address that reaches this machine, as in --advertise-clients 10.0.0.1:6379"
    )]
    NotAdvertised,
    /// Other machines could connect, and nothing would keep anybody from reading and writing all.
    #[error(
        "`{key}` is {address}, which other machines can reach, in plain text{}: give --authority, \
         --certificate and --key (TLS; `raft-kv certs` makes them){}, or write --protected-mode \
         off if the network is secured by other means",
        if *key == "peers" { " and without any proof of who they are" } else { " and without a password" },
        if *key == "peers" { "" } else { " or --password-file" },
    )]
    Unprotected {
        /// The key.
        key: &'static str,
        /// Its value.
        address: String,
    },
    /// TOML cannot express the settings.
    #[error("the settings cannot be saved in a file: {0}")]
    Unwritable(String),
}

impl ConfigError {
    /// An error in this text. It does not quote the value, which may be a password.
    pub(super) fn invalid(text: &str, error: &toml::de::Error) -> ConfigError {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or(text);
        let line = before.matches('\n').count();
        let key = text.lines().nth(line);
        let key = key.and_then(|line| line.split_once('='));
        let key = key.map(|(key, _)| key.trim().to_owned());
        ConfigError::Invalid {
            path: PathBuf::new(),
            line: line + 1,
            key: key.filter(|key| !key.is_empty()),
            what: error.message().to_owned(),
        }
    }

    /// The same error, in the file at `path`.
    pub(super) fn of_file(self, path: &Path) -> ConfigError {
        match self {
            ConfigError::Invalid {
                line, key, what, ..
            } => ConfigError::Invalid {
                path: path.to_owned(),
                line,
                key,
                what,
            },
            ConfigError::Read { .. }
            | ConfigError::TwoPasswords(_)
            | ConfigError::EmptyPassword { .. }
            | ConfigError::Missing(_)
            | ConfigError::OutOfRange { .. }
            | ConfigError::Address { .. }
            | ConfigError::NotAdvertised
            | ConfigError::Unprotected { .. }
            | ConfigError::Unwritable(_) => self,
        }
    }
}
