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
    /// A file is not TOML, has a key that does not exist, or one of another type.
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
        /// What is wrong; for a key that does not exist, which do.
        what: String,
    },
    /// Both a password and a file with one are given in one file.
    #[error("`password` and `password-file` are both given: leave one of them")]
    TwoPasswords,
    /// The file for the password has an empty first line.
    #[error("{} has no password in its first line", path.display())]
    EmptyPassword {
        /// The file.
        path: PathBuf,
    },
    /// Something without which there is no server.
    #[error("`{0}` is missing: give --{0}, or set it in the file that --config names")]
    Missing(&'static str),
    /// A number or a time that makes no sense.
    #[error("`{key}`: {what}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// What it has to be.
        what: &'static str,
    },
    /// Not where one can listen, or connect to.
    #[error(
        "`{key}` is {text:?}, which is no address: give host:port, as in 127.0.0.1:7001 or \
         [::1]:7001{}", match *key {
            "clients" | "peers" | "http" => "",
            _ => ", which others can connect to",
        }
    )]
    Address {
        /// The key.
        key: &'static str,
        /// What it is.
        text: String,
    },
    /// The settings cannot be written to a file.
    #[error("the settings cannot be kept in a file: {0}")]
    Unwritable(String),
}

impl ConfigError {
    /// What is wrong in this text. Its content is not shown: there may be a password in it.
    pub(super) fn invalid(text: &str, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or(text);
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

    /// The same, of the file at `path`.
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
            | ConfigError::TwoPasswords
            | ConfigError::EmptyPassword { .. }
            | ConfigError::Missing(_)
            | ConfigError::OutOfRange { .. }
            | ConfigError::Address { .. }
            | ConfigError::Unwritable(_) => self,
        }
    }
}
