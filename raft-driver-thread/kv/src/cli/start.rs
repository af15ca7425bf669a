//! `raft-kv start`.

use super::failure::Failure;
use super::serve::serve;
use crate::config::{PASSWORD_VARIABLE, ServerOptions};
use crate::data_dir::DataDir;
use clap::Args;
use std::path::PathBuf;

/// `raft-kv start`.
#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// A file with settings, in TOML; its keys are the names of these flags, without the dashes
    /// before
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Start only if the data directory belongs to this node
    #[arg(long, value_name = "N")]
    id: Option<u64>,
    /// Start only if the data directory belongs to this cluster
    #[arg(long, value_name = "N")]
    cluster: Option<u64>,
    #[command(flatten)]
    options: ServerOptions,
}

pub(super) fn run(arguments: StartArgs) -> Result<(), Failure> {
    let password = std::env::var(PASSWORD_VARIABLE).ok();
    let config = arguments.config.as_deref();
    let options = ServerOptions::gather(arguments.options, password, config)?;
    let data = options.data.clone().ok_or_else(|| {
        Failure::usage(
            "--data is missing: give the data directory that `raft-kv init` or `join` made",
        )
    })?;
    let data_dir = DataDir::open(&data)?;
    let identity = data_dir.identity();
    identity.require(&data, arguments.cluster, arguments.id)?;
    serve(options, &data_dir, |_| Ok(()))
}
