//! `raft-kv join`.

use super::access::{check_timeout, server_address};
use super::failure::Failure;
use super::init::{self, advertised};
use super::serve::serve;
use crate::client::{Access, ClientTls};
use crate::config::{
    ByteSize, ClockDrift, MemberAddress, Passwords, Secret, ServerOptions, TimeSpan,
};
use crate::data_dir::{DataDir, DataDirError};
use crate::settings::{Founder, Identity};
use crate::status::{MemberStatus, NodeStatus};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `raft-kv join`.
#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// The address for clients of a server of the cluster; may be repeated: if one cannot be
    /// reached, the next is tried
    #[arg(long = "server", value_name = "HOST:PORT", required = true, value_parser = server_address)]
    servers: Vec<String>,
    /// The new server's node id; that of a member whose disk is lost, to replace the disk
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// Replace the disk of a member with this node id, even if its server runs and is well
    #[arg(long)]
    replace: bool,
    /// The address at which the other servers reach this one, if it is not that of --peers
    #[arg(long, value_name = "HOST:PORT")]
    advertise_peers: Option<String>,
    /// A file with settings, in TOML; its keys are the names of these flags, without the dashes
    /// before
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long connecting, and each reply, may take
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: TimeSpan,
    /// Settings, which are kept in the data directory for every later start
    #[command(flatten)]
    options: ServerOptions,
}

pub(super) fn run(arguments: JoinArgs) -> Result<(), Failure> {
    let config = arguments.config.as_deref();
    let mut given = arguments.options.clone();
    let mut options =
        ServerOptions::gather(arguments.options, Passwords::of_environment(), config)?;
    let data = options.data.clone();
    let data =
        data.ok_or_else(|| Failure::usage("--data is missing: give the data directory to make"))?;
    let peers = advertised(arguments.advertise_peers, &options)?;
    let authority = options.tls.authority.as_deref();
    let access = Access {
        password: options.password.clone(),
        admin_password: options.admin_password.clone(),
        tls: authority.map(ClientTls::new).transpose()?,
        timeout: arguments.timeout.0,
    };
    check_timeout(arguments.timeout)?;
    let status = access.any(&arguments.servers)?.status()?;
    let identity = Identity {
        cluster: status.cluster,
        node: arguments.id,
        founders: Vec::new(),
    };
    given.members = members(&status);
    given = agree(given, &status)?;
    options = given.clone().or(options);
    let is_lost =
        |password: &Option<Secret>, file: &Option<PathBuf>| password.is_some() && file.is_none();
    if is_lost(&options.password, &options.password_file)
        || is_lost(&options.admin_password, &options.admin_password_file)
    {
        println!("a password is not kept in the data directory: give it to later starts too");
    }
    make(&data, &identity, given, config)?;
    let id = arguments.id.to_string();
    serve(options, &DataDir::open(&data)?, |server| {
        // A data directory of a release without incarnations has none; then the leader hears it.
        let incarnation = server.incarnation().map(|it| it.to_string());
        let option = arguments.replace.then_some("REPLACE");
        let option = option.filter(|_| incarnation.is_some());
        let words = ["RAFT", "JOIN", &id, &peers].into_iter();
        let words = words.chain(incarnation.as_deref()).chain(option);
        let words: Vec<_> = words.map(str::as_bytes).collect();
        access.any(&arguments.servers)?.call(&words)?;
        println!("node {id} is a member now; it becomes a voter as soon as it has all data");
        Ok(())
    })
}

/// Takes over the settings that have to be the same on all servers.
fn agree(given: ServerOptions, status: &NodeStatus) -> Result<ServerOptions, Failure> {
    let theirs = status.agreed;
    let timeout = Duration::from_millis(theirs.election_timeout_millis);
    let (timeout, drift) = (TimeSpan(timeout), ClockDrift(theirs.max_drift_ppm));
    let size = ByteSize(theirs.max_value_bytes);
    let transaction = theirs.max_transaction_bytes.map(ByteSize);
    let differs = [
        (
            "--max-transaction-bytes",
            (given.max_transaction_bytes.zip(transaction)).is_some_and(|(own, its)| own != its),
        ),
        (
            "--election-timeout",
            given.election_timeout.is_some_and(|it| it != timeout),
        ),
        (
            "--max-drift-ppm",
            given.max_drift_ppm.is_some_and(|it| it != drift),
        ),
        (
            "--max-value-bytes",
            given.max_value_bytes.is_some_and(|it| it != size),
        ),
    ];
    if let Some((flag, _)) = differs.into_iter().find(|(_, differs)| *differs) {
        let what =
            format!("{flag} has to be the same on all servers: leave it out, and it will be");
        return Err(Failure::new(what));
    }
    Ok(ServerOptions {
        election_timeout: Some(timeout),
        max_drift_ppm: Some(drift),
        max_value_bytes: Some(size),
        max_transaction_bytes: transaction.or(given.max_transaction_bytes),
        ..given
    })
}

/// The servers that send messages to this one before its log names them.
fn members(status: &NodeStatus) -> Vec<MemberAddress> {
    let known = status
        .members
        .iter()
        .filter(|member| !member.peers.is_empty());
    let address = |member: &MemberStatus| {
        MemberAddress(Founder {
            node: member.node,
            peers: member.peers.clone(),
        })
    };
    known.map(address).collect()
}

/// Makes the data directory, or uses the one that this command made before it was interrupted.
fn make(
    data: &Path,
    identity: &Identity,
    given: ServerOptions,
    config: Option<&Path>,
) -> Result<(), Failure> {
    match DataDir::identity_of(data) {
        Err(DataDirError::NotADataDir { .. }) => {
            let file = config.map(ServerOptions::read).transpose()?;
            init::make(data, identity, given.or(file.unwrap_or_default()))
        }
        Err(error) => Err(error.into()),
        Ok(found) => {
            found.require(data, Some(identity.cluster), Some(identity.node))?;
            Ok(())
        }
    }
}
