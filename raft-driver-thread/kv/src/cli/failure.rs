//! Why a command failed.

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::data_dir::DataDirError;
use crate::recovery::RecoveryError;
use crate::server::ServerError;
use raft_driver_thread::storage::StorageError;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// The error message, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The command failed: exit code 1.
    pub(super) fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            code: 1,
        }
    }

    /// The arguments are wrong: exit code 2.
    pub(super) fn usage(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            code: 2,
        }
    }

    /// The operating system refused something.
    pub(super) fn io(doing: impl fmt::Display, error: &io::Error) -> Failure {
        Failure::new(format!("{doing}: {error}"))
    }

    /// The exit code of the process.
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Failure {
        Failure::new(error.to_string())
    }
}

/// A setting that is missing or has a wrong value is a usage error. A file that cannot be used is
/// not.
impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        match error {
            ConfigError::Missing(_)
            | ConfigError::OutOfRange { .. }
            | ConfigError::Address { .. }
            | ConfigError::NotAdvertised
            | ConfigError::Unprotected { .. } => Failure::usage(error.to_string()),
            ConfigError::Read { .. }
            | ConfigError::Invalid { .. }
            | ConfigError::TwoPasswords(_)
            | ConfigError::EmptyPassword { .. }
            | ConfigError::Unwritable(_) => Failure::new(error.to_string()),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::new(error.to_string())
    }
}

impl From<RecoveryError> for Failure {
    fn from(error: RecoveryError) -> Failure {
        Failure::new(error.to_string())
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Failure {
        Failure::new(error.to_string())
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Failure {
        Failure::new(error.to_string())
    }
}
