//! `raft-kv init`.

use super::failure::Failure;
use crate::config::{self, MemberAddress, ServerOptions};
use crate::data_dir::DataDir;
use crate::settings::{Founder, Identity};
use clap::Args;
use std::path::Path;

/// `raft-kv init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The server's node id, from 1 on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// The cluster's id, the same for all founders; `drawn` draws one and prints it
    #[arg(long, value_name = "N|drawn", default_value = "drawn")]
    cluster: String,
    /// A founder of the cluster, and the address at which the other servers reach it; once for each
    /// founder, this one included, and the same on all of them
    #[arg(long = "founder", value_name = "ID=HOST:PORT", required = true)]
    founders: Vec<MemberAddress>,
    /// Settings, which are kept in the data directory for every later start
    #[command(flatten)]
    options: ServerOptions,
}

pub(super) fn run(arguments: InitArgs) -> Result<(), Failure> {
    let data = arguments.options.data.clone();
    let data =
        data.ok_or_else(|| Failure::usage("--data is missing: give the data directory to make"))?;
    let founders: Vec<_> = arguments.founders.into_iter().map(|it| it.0).collect();
    check(arguments.id, &founders)?;
    let cluster = number(&arguments.cluster)?;
    let identity = Identity {
        cluster,
        node: arguments.id,
        founders,
    };
    refuse_password(&arguments.options)?;
    make(&data, &identity, arguments.options)?;
    println!(
        "{} is the data directory of node {}",
        data.display(),
        identity.node
    );
    println!("cluster {cluster}");
    if identity.founders.len() > 1 {
        println!(
            "run `raft-kv init` for the other founders with the same --founder and --cluster {cluster}"
        );
        println!("the cluster is founded once all founders run");
    }
    println!("run it with: raft-kv start --data {}", data.display());
    Ok(())
}

/// A password is never written to a file, and a server that is started without it would let every
/// client in.
pub(super) fn refuse_password(options: &ServerOptions) -> Result<(), Failure> {
    let flag = match (&options.password, &options.admin_password) {
        (None, None) => return Ok(()),
        (Some(_), _) => "--password",
        (None, Some(_)) => "--admin-password",
    };
    Err(Failure::usage(format!(
        "{flag} is not kept in the data directory: give {flag}-file, or give it to each start"
    )))
}

/// Makes a data directory, with the settings for later starts. If the settings are wrong, nothing
/// is made.
pub(super) fn make(
    data: &Path,
    identity: &Identity,
    options: ServerOptions,
) -> Result<(), Failure> {
    let kept = kept(data, options)?;
    let data_dir = DataDir::create(data, identity)?;
    data_dir.save_settings(&kept)?;
    Ok(())
}

/// The settings for later starts, checked, as the text of a file.
pub(super) fn kept(data: &Path, options: ServerOptions) -> Result<String, Failure> {
    let here = std::env::current_dir();
    let here = here.map_err(|error| Failure::io("find the working directory", &error))?;
    let options = ServerOptions {
        data: Some(data.to_owned()),
        ..options.relative_to(&here)
    };
    let kept = options.to_toml()?;
    options.settings()?;
    Ok(kept)
}

/// The address at which the other servers reach this one.
pub(super) fn advertised(
    given: Option<String>,
    options: &ServerOptions,
) -> Result<String, Failure> {
    if let Some(given) = given {
        config::check_reachable("advertise-peers", &given)?;
        return Ok(given);
    }
    let listening = options.peers.clone();
    let listening = listening.ok_or_else(|| {
        Failure::usage(
            "--peers is missing: give the address at which this server listens to the others",
        )
    })?;
    config::check_reachable("peers", &listening).map_err(|error| {
        Failure::usage(format!("{error}, or give --advertise-peers host:port too"))
    })?;
    Ok(listening)
}

/// A cluster's id, given or drawn.
pub(super) fn number(text: &str) -> Result<u64, Failure> {
    match text {
        "drawn" => draw(),
        number => cluster(number).map_err(Failure::usage),
    }
}

/// A cluster's id.
fn cluster(text: &str) -> Result<u64, String> {
    let number = text.parse().ok();
    // The range that TOML can hold.
    let number = number.filter(|number| (1..=i64::MAX.unsigned_abs()).contains(number));
    number.ok_or_else(|| {
        format!("--cluster is {text:?}: give the id that another founder printed, or drawn")
    })
}

/// An id that no other cluster has.
pub(super) fn draw() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    let random = rustls::crypto::ring::default_provider().secure_random;
    let filled = random.fill(&mut bytes);
    filled.map_err(|_| Failure::new("the operating system provides no random numbers"))?;
    // Not 0, and not more than TOML can hold.
    Ok((u64::from_le_bytes(bytes) >> 1).max(1))
}

fn check(id: u64, founders: &[Founder]) -> Result<(), Failure> {
    for (place, founder) in founders.iter().enumerate() {
        for other in founders.iter().skip(place + 1) {
            if founder.node == other.node || founder.peers == other.peers {
                let (a, b) = (founder, other);
                return Err(Failure::usage(format!(
                    "--founder {}={} and {}={}: ids and addresses have to differ",
                    a.node, a.peers, b.node, b.peers
                )));
            }
        }
    }
    if founders.iter().any(|founder| founder.node == id) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "node {id} is no --founder: name it among them, or add it later with `raft-kv join`"
    )))
}
