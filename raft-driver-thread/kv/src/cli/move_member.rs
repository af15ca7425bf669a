//! `raft-kv move`.

use super::access::{AccessArgs, server_address};
use super::failure::Failure;
use clap::Args;

/// `raft-kv move`.
#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// The node id of the server
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// The address at which the other servers reach it from now on
    #[arg(long, value_name = "HOST:PORT", value_parser = server_address)]
    peers: String,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) fn run(arguments: &MoveArgs) -> Result<(), Failure> {
    let id = arguments.id.to_string();
    let mut client = arguments.access.connect()?;
    client.call(&[b"RAFT", b"MOVE", id.as_bytes(), arguments.peers.as_bytes()])?;
    println!(
        "the others reach node {id} at {} from now on",
        arguments.peers
    );
    Ok(())
}
