//! The options of commands that ask a running server.

use super::failure::Failure;
use crate::client::{Access, Client, ClientTls};
use crate::config::{PASSWORD_VARIABLE, Secret, TimeSpan, read_password};
use clap::Args;
use std::path::PathBuf;

/// Which server is asked, and how it is reached.
#[derive(Clone, Debug, Args)]
pub(super) struct AccessArgs {
    /// Where a server listens to clients; can be repeated: the next is tried if one is not reached
    #[arg(
        long = "server",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:6379"
    )]
    pub(super) servers: Vec<String>,
    /// The password (AUTH). Others on this machine can see it here: better use --password-file, or
    /// the environment's RAFT_KV_PASSWORD
    #[arg(long, conflicts_with = "password_file")]
    password: Option<Secret>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The certificate of the cluster's authority, in PEM: switches TLS on
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// How long a connection, and each answer, may take
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: TimeSpan,
}

impl AccessArgs {
    /// How servers are reached.
    pub(super) fn access(&self) -> Result<Access, Failure> {
        let password = match (&self.password, &self.password_file) {
            (Some(password), _) => Some(password.clone()),
            (None, Some(path)) => Some(read_password(path)?),
            (None, None) => std::env::var(PASSWORD_VARIABLE).ok().map(Secret),
        };
        if self.timeout.0.is_zero() {
            return Err(Failure::usage("--timeout has to be more than 0"));
        }
        Ok(Access {
            password,
            tls: self.authority.as_deref().map(ClientTls::new).transpose()?,
            timeout: self.timeout.0,
        })
    }

    /// A connection to the first server that is reached.
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        Ok(self.access()?.any(&self.servers)?)
    }
}
