//! The options of commands that send a request to a running server.

use super::failure::Failure;
use crate::client::{Access, Client, ClientTls};
use crate::config::{Passwords, Secret, TimeSpan, check_address, read_password};
use clap::Args;
use std::path::PathBuf;

/// The server, and how to connect to it.
#[derive(Clone, Debug, Args)]
pub(super) struct AccessArgs {
    /// The address for clients of a server; may be repeated: if one cannot be reached, the next is
    /// tried
    #[arg(
        long = "server",
        value_name = "HOST:PORT",
        value_parser = server_address,
        default_value = "127.0.0.1:6379"
    )]
    pub(super) servers: Vec<String>,
    /// The password (AUTH). Other users of this machine can see it here: prefer --password-file, or
    /// the environment variable RAFT_KV_PASSWORD
    #[arg(long, conflicts_with = "password_file")]
    password: Option<Secret>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The password of the user `admin`, where the servers have one: for commands that change the
    /// cluster. Prefer --admin-password-file, or the environment variable RAFT_KV_ADMIN_PASSWORD
    #[arg(long, value_name = "PASSWORD", conflicts_with = "admin_password_file")]
    admin_password: Option<Secret>,
    /// A file whose first line is the password of the user `admin`
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// The certificate of the cluster's authority, in PEM; switches TLS on
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// How long connecting, and each reply, may take
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: TimeSpan,
}

impl AccessArgs {
    /// How to connect.
    pub(super) fn access(&self) -> Result<Access, Failure> {
        let environment = Passwords::of_environment();
        let password = given(&self.password, &self.password_file, environment.clients)?;
        let (admin, file) = (&self.admin_password, &self.admin_password_file);
        let admin_password = given(admin, file, environment.admin)?;
        check_timeout(self.timeout)?;
        Ok(Access {
            password,
            admin_password,
            tls: self.authority.as_deref().map(ClientTls::new).transpose()?,
            timeout: self.timeout.0,
        })
    }

    /// A connection to the first server that can be reached.
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        Ok(self.access()?.any(&self.servers)?)
    }
}

/// The password of the first place that gives one.
fn given(
    flag: &Option<Secret>,
    file: &Option<PathBuf>,
    environment: Option<Secret>,
) -> Result<Option<Secret>, Failure> {
    Ok(match (flag, file) {
        (Some(password), _) => Some(password.clone()),
        (None, Some(path)) => Some(read_password(path)?),
        (None, None) => environment,
    })
}

/// Checks a value of --server.
pub(super) fn server_address(text: &str) -> Result<String, String> {
    let checked = check_address("server", text);
    checked.map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Checks the value of --timeout.
pub(super) fn check_timeout(timeout: TimeSpan) -> Result<(), Failure> {
    if timeout.0.is_zero() {
        return Err(Failure::usage("--timeout has to be more than 0"));
    }
    Ok(())
}
