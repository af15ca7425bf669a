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
    /// The folder of a server of the lost cluster; it must not run. It stays as it is
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The folder to make, for the same server in the new cluster
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Where the servers that will join reach it [default: as the lost cluster was told]
    #[arg(long, value_name = "HOST:PORT")]
    peers: Option<String>,
    /// Yes: give up what only the lost servers know, and found a new cluster
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
    println!("- Writes that were answered, and that node {node} had not heard of, ARE LOST.");
    println!("- Writes that were never answered, or failed, and stood in its log, may be in it.");
    println!("- The other servers of cluster {old} (its voters were {voters}) must not be");
    println!("  started again, nor {data}, unless to look at them.");
    println!("  They do not talk to the new cluster, but clients might still talk to them.");
    println!();
    println!("Run it with:       raft-kv start --data {into}");
    println!("Add servers with:  raft-kv join, in new folders, under new numbers");
    Ok(())
}

/// The settings that the old folder was made with.
fn kept(arguments: &RecoverArgs) -> Result<String, Failure> {
    let kept = DataDir::settings_file(&arguments.data);
    let mut options = match kept.exists() {
        true => ServerOptions::read(&kept)?,
        false => ServerOptions::default(),
    };
    if arguments.peers.is_some() {
        options.peers = None; // As the new cluster is told.
    }
    Ok(options.to_toml()?)
}
