//! `raft-kv snapshot`.

use super::access::AccessArgs;
use super::failure::Failure;
use clap::Args;

/// `raft-kv snapshot`.
#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) fn run(arguments: &SnapshotArgs) -> Result<(), Failure> {
    let mut client = arguments.access.connect()?;
    client.call(&[b"RAFT", b"SNAPSHOT"])?;
    println!("{} is making a snapshot", client.address());
    Ok(())
}
