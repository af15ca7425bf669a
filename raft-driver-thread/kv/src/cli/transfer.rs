//! `raft-kv transfer`.

use super::access::AccessArgs;
use super::failure::Failure;
use crate::state::Reply;
use clap::Args;

/// `raft-kv transfer`.
#[derive(Debug, Args)]
pub(super) struct TransferArgs {
    /// The node id of the next leader [default: the server whose log is furthest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) fn run(arguments: &TransferArgs) -> Result<(), Failure> {
    let mut client = arguments.access.connect()?;
    let to = arguments.to.map(|node| node.to_string());
    let mut command: Vec<&[u8]> = vec![b"RAFT", b"TRANSFER"];
    command.extend(to.as_ref().map(|node| node.as_bytes()));
    match client.call(&command)? {
        Reply::Integer(leader) => println!("node {leader} leads"),
        Reply::Ok
        | Reply::Simple(_)
        | Reply::Error(_)
        | Reply::Bulk(_)
        | Reply::Nil
        | Reply::Array(_)
        | Reply::Map(_) => println!("leadership was transferred"),
    }
    Ok(())
}
