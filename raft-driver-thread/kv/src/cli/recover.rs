//! `raft-kv recover`.

use super::failure::Failure;
use super::{help, init};
use crate::config::{self, ServerOptions};
use crate::data_dir::DataDir;
use crate::recovery::{RecoveryError, Survivor};
use crate::settings::{Founder, Identity};
use clap::Args;
use std::path::PathBuf;

/// `raft-kv recover`.
#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    /// The data directory of a stopped server of the lost cluster; it is not changed
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The data directory to make, for the same server in the new cluster
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The address at which other servers reach it [default: that in the lost cluster]
    #[arg(long, value_name = "HOST:PORT")]
    peers: Option<String>,
    /// Confirm: give up what only the lost servers have, and found a new cluster
    #[arg(long)]
    force_new_cluster: bool,
}

pub(super) fn run(arguments: &RecoverArgs) -> Result<(), Failure> {
    if !arguments.force_new_cluster {
        return Err(Failure::usage(help::RECOVER_REFUSED));
    }
    if let Some(peers) = &arguments.peers {
        config::check_reachable("peers", peers)?;
    }
    let survivor = Survivor::read(&arguments.data)?;
    let node = survivor.identity.node;
    let peers = arguments.peers.clone().or_else(|| survivor.peers.clone());
    let peers = peers.ok_or(RecoveryError::NoAddress { node })?;
    let identity = Identity {
        cluster: init::draw()?,
        node,
        founders: vec![Founder { node, peers }],
    };
    let (old, last, keys) = (
        survivor.identity.cluster,
        survivor.last,
        survivor.key_count(),
    );
    let voters: Vec<_> = survivor.voters.iter().map(u64::to_string).collect();
    survivor.found_cluster(&arguments.into, &identity, &kept(arguments)?)?;
    let (data, into) = (arguments.data.display(), arguments.into.display());
    let voters = voters.join(", ");
    println!("A NEW CLUSTER WAS FOUNDED: {}", identity.cluster);
    println!();
    println!("It holds what node {node} had: {keys} keys, as of its last entry, {last}.");
    println!("- Writes that were acknowledged, but had not reached node {node}, ARE LOST.");
    println!(
        "- Writes that failed or were never acknowledged may be in it, if they stood in its log."
    );
    println!("- The other servers of cluster {old} (its voters were {voters}) must not be");
    println!("  started again, nor {data}, except to inspect them.");
    println!("  They do not talk to the new cluster, but clients might talk to them.");
    println!();
    println!("Run it with:       raft-kv start --data {into}");
    println!("Add servers with:  raft-kv join, with new data directories and new node ids");
    Ok(())
}

/// The settings that the old data directory was made with.
fn kept(arguments: &RecoverArgs) -> Result<String, Failure> {
    let kept = DataDir::settings_file(&arguments.data);
    let mut options = if kept.exists() {
        ServerOptions::read(&kept)?
    } else {
        ServerOptions::default()
    };
    if arguments.peers.is_some() {
        options.peers = None; // The new cluster has another address.
    }
    Ok(options.to_toml()?)
}
