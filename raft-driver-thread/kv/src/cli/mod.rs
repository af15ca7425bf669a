//! The command line.

mod access;
mod backup;
mod certs;
mod demo;
mod failure;
mod help;
mod init;
mod inspect;
mod join;
mod leave;
mod recover;
mod restore;
mod serve;
mod snapshot;
mod start;
mod status;
mod transfer;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::ffi::OsString;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// The environment variable that says what is logged.
const LOG_VARIABLE: &str = "RAFT_KV_LOG";
/// What is logged if nothing says so.
const LOG_DEFAULT: &str = "warn,raft_driver_thread::kv=info";

/// What can be asked.
#[derive(Debug, Parser)]
#[command(name = "raft-kv", version, about = help::ABOUT, long_about = help::LONG_ABOUT)]
#[command(after_help = help::AFTER, max_term_width = 100)]
struct Cli {
    /// What is logged on standard error, as in debug, or warn,raft_driver_thread::kv=info [default:
    /// the environment's RAFT_KV_LOG, else warn,raft_driver_thread::kv=info]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a cluster of three in this process, to try it out
    #[command(after_help = help::DEMO)]
    Demo(demo::DemoArgs),
    /// Make the data folder of a server that founds a new cluster
    #[command(after_help = help::INIT)]
    Init(Box<init::InitArgs>),
    /// Run a server, until it is told to stop (Ctrl-C, SIGTERM)
    #[command(after_help = help::START)]
    Start(Box<start::StartArgs>),
    /// Add a server to a cluster that runs, and run it
    #[command(after_help = help::JOIN)]
    Join(Box<join::JoinArgs>),
    /// Remove a server from the cluster
    #[command(after_help = help::LEAVE)]
    Leave(leave::LeaveArgs),
    /// Show all servers of a cluster: who leads, how far each is, how large
    #[command(after_help = help::STATUS)]
    Status(status::StatusArgs),
    /// Hand the lead over to another server
    #[command(after_help = help::TRANSFER)]
    Transfer(transfer::TransferArgs),
    /// Let a server make a snapshot now, and cut its log
    #[command(after_help = help::SNAPSHOT)]
    Snapshot(snapshot::SnapshotArgs),
    /// Write all keys to a file, as they are at one moment
    #[command(after_help = help::BACKUP)]
    Backup(backup::BackupArgs),
    /// Found a new cluster of one server with the keys of a backup
    #[command(after_help = help::RESTORE)]
    Restore(Box<restore::RestoreArgs>),
    /// Found a new cluster with what one server has, when a majority is lost for good
    #[command(after_help = help::RECOVER)]
    Recover(recover::RecoverArgs),
    /// Show what the data folder of a stopped server holds, and whether all of it is whole
    #[command(after_help = help::INSPECT)]
    Inspect(inspect::InspectArgs),
    /// Make certificates for TLS: an authority of the cluster's own, and one for each server
    #[command(after_help = help::CERTS)]
    Certs(certs::CertsArgs),
}

/// Does what the arguments say, the program's name first, and says how that ended: 0 if it was
/// done, 1 if not, 2 if the arguments make no sense.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal hears nothing.
            let _ = error.print();
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return ExitCode::from(code);
        }
    };
    let done = log(cli.log).and_then(|()| perform(cli.command));
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.code()
        }
    }
}

fn perform(command: Command) -> Result<ExitCode, Failure> {
    let done = match command {
        Command::Init(arguments) => init::run(*arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Start(arguments) => start::run(*arguments),
        Command::Join(arguments) => join::run(*arguments),
        Command::Leave(arguments) => leave::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Transfer(arguments) => transfer::run(&arguments),
        Command::Snapshot(arguments) => snapshot::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(*arguments),
        Command::Recover(arguments) => recover::run(&arguments),
        Command::Inspect(arguments) => return inspect::run(&arguments),
        Command::Certs(arguments) => certs::run(&arguments),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Lets what is traced go to standard error.
fn log(given: Option<String>) -> Result<(), Failure> {
    let given = given.or_else(|| std::env::var(LOG_VARIABLE).ok());
    let filter = given.as_deref().unwrap_or(LOG_DEFAULT);
    let filter = EnvFilter::try_new(filter);
    let filter = filter.map_err(|error| Failure::usage(format!("--log: {error}")))?;
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // Whoever runs this within a larger process may have one already.
    let _ = logger.try_init();
    Ok(())
}
