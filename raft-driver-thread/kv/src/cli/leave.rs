//! `raft-kv leave`.

use super::access::AccessArgs;
use super::failure::Failure;
use clap::Args;

/// `raft-kv leave`.
#[derive(Debug, Args)]
pub(super) struct LeaveArgs {
    /// The node id of the server to remove
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) fn run(arguments: &LeaveArgs) -> Result<(), Failure> {
    let id = arguments.id.to_string();
    let mut client = arguments.access.connect()?;
    client.call(&[b"RAFT", b"LEAVE", id.as_bytes()])?;
    println!(
        "node {id} is no member any more: stop it. If its id is used again, then with a new data \
         directory: raft-kv join"
    );
    Ok(())
}
