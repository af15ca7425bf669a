//! `raft-kv start`.

use super::failure::Failure;
use super::serve::serve;
use crate::config::{Passwords, ServerOptions};
use crate::data_dir::{DataDir, DataDirError};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// How long a server that is about to end may hold the data directory.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between two looks.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Opens the data directory. A server that was killed a moment ago may still be ending.
fn open(data: &Path) -> Result<DataDir, DataDirError> {
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        match DataDir::open(data) {
            Err(DataDirError::Locked { .. }) if begun.elapsed() < LOCK_TIMEOUT => {
                if !is_told {
                    let (path, seconds) = (data.display(), LOCK_TIMEOUT.as_secs());
                    eprintln!("{path} is in use: waiting up to {seconds} s for that server to end");
                    is_told = true;
                }
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
}

pub(super) fn run(arguments: StartArgs) -> Result<(), Failure> {
    let config = arguments.config.as_deref();
    let options = ServerOptions::gather(arguments.options, Passwords::of_environment(), config)?;
    let data = options.data.clone().ok_or_else(|| {
        Failure::usage(
            "--data is missing: give the data directory that `raft-kv init` or `join` made",
        )
    })?;
    let data_dir = open(&data)?;
    let identity = data_dir.identity();
    identity.require(&data, arguments.cluster, arguments.id)?;
    serve(options, &data_dir, |_| Ok(()))
}
