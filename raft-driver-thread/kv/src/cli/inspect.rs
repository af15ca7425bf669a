//! `raft-kv inspect`.

use super::failure::Failure;
use crate::data_dir::DataDir;
use crate::recovery;
use clap::Args;
use raft_driver_thread::storage::disk;
use std::path::PathBuf;
use std::process::ExitCode;

/// `raft-kv inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The folder of a server that does not run
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(super) fn run(arguments: &InspectArgs) -> Result<ExitCode, Failure> {
    let folder = DataDir::open(&arguments.data)?;
    let identity = folder.identity();
    println!("node        {}", identity.node);
    println!("cluster     {}", identity.cluster);
    match identity.founders.is_empty() {
        true => println!("founders    none: it joined"),
        false => {
            let named = identity.founders.iter();
            let named: Vec<_> = named
                .map(|it| format!("{}={}", it.node, it.peers))
                .collect();
            println!("founders    {}", named.join(" "));
        }
    }
    if !folder.log_dir().exists() {
        println!("it has never run");
        return Ok(ExitCode::SUCCESS);
    }
    let found = disk::inspect(folder.log_dir(), |_| ())?;
    if let Some(meta) = found
        .snapshot
        .as_ref()
        .filter(|_| found.problems.is_empty())
    {
        let keys = recovery::count_snapshot_keys(&folder, meta.id)?;
        println!("keys        {keys} in the snapshot");
    }
    println!("{found}");
    match found.problems.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::from(1)),
    }
}
