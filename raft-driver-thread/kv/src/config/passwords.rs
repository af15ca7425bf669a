//! Where passwords come from, besides flags and files of settings.

use super::error::ConfigError;
use super::values::Secret;
use std::fs;
use std::io;
use std::path::Path;

/// The environment variable for the password.
pub const PASSWORD_VARIABLE: &str = "RAFT_KV_PASSWORD";

/// The environment variable for the password of the user `admin`.
pub const ADMIN_PASSWORD_VARIABLE: &str = "RAFT_KV_ADMIN_PASSWORD";

/// The passwords that one place gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passwords {
    /// That of clients.
    pub clients: Option<Secret>,
    /// That of the user `admin`.
    pub admin: Option<Secret>,
}

impl Passwords {
    /// Those of the environment: [`PASSWORD_VARIABLE`] and [`ADMIN_PASSWORD_VARIABLE`].
    pub fn of_environment() -> Passwords {
        let of = |name| std::env::var(name).ok().map(Secret);
        Passwords {
            clients: of(PASSWORD_VARIABLE),
            admin: of(ADMIN_PASSWORD_VARIABLE),
        }
    }
}

/// Reads the password, which is the first line of the file.
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
