//! `raft-kv restore`.

use super::failure::Failure;
use super::init::{self, advertised};
use crate::config::ServerOptions;
use crate::recovery;
use crate::settings::{Founder, Identity};
use clap::Args;
use std::path::PathBuf;

/// `raft-kv restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The server's node id, from 1 on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// The new cluster's id; `drawn` draws one and prints it
    #[arg(long, value_name = "N|drawn", default_value = "drawn")]
    cluster: String,
    /// The address at which other servers reach this one, if it is not that of --peers
    #[arg(long, value_name = "HOST:PORT")]
    advertise_peers: Option<String>,
    /// Settings, which are kept in the data directory for every later start
    #[command(flatten)]
    options: ServerOptions,
}

pub(super) fn run(arguments: RestoreArgs) -> Result<(), Failure> {
    let data = arguments.options.data.clone();
    let data =
        data.ok_or_else(|| Failure::usage("--data is missing: give the data directory to make"))?;
    let peers = advertised(arguments.advertise_peers, &arguments.options)?;
    let node = arguments.id;
    let identity = Identity {
        cluster: init::number(&arguments.cluster)?,
        node,
        founders: vec![Founder { node, peers }],
    };
    init::refuse_password(&arguments.options)?;
    let kept = init::kept(&data, arguments.options)?;
    let restored = recovery::restore(&arguments.file, &data, &identity, &kept)?;
    let (keys, cluster) = (restored.keys, identity.cluster);
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(restored.time));
    let time = time.map_or("an unknown time".into(), |time| {
        humantime::format_rfc3339_seconds(time).to_string()
    });
    println!(
        "{}: the data directory of node {node}, the only server of cluster {cluster}",
        data.display()
    );
    println!("it holds the {keys} keys of the backup of {time}, except those that expired since");
    println!("run it with: raft-kv start --data {}", data.display());
    println!("add servers with: raft-kv join");
    Ok(())
}
