//! The command line.

mod access;
mod backup;
mod certs;
mod completions;
mod demo;
mod failure;
mod help;
mod init;
mod inspect;
mod join;
mod leave;
mod logging;
mod move_member;
mod recover;
mod restore;
mod serve;
mod snapshot;
mod start;
mod status;
mod transfer;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use logging::Logging;
use std::ffi::OsString;
use std::process::ExitCode;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "raft-kv", version, about = help::ABOUT, long_about = help::LONG_ABOUT)]
#[command(after_help = help::AFTER, max_term_width = 100)]
struct Cli {
    /// What to log on standard error, as in debug, or warn,raft_driver_thread=info [default: the
    /// environment variable RAFT_KV_LOG, else warn]
    #[arg(long, global = true, value_name = "FILTER", display_order = 900)]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a cluster of three in this process, to try it out
    #[command(after_help = help::DEMO)]
    Demo(demo::DemoArgs),
    /// Make the data directory of a server that founds a new cluster
    #[command(after_help = help::INIT)]
    Init(Box<init::InitArgs>),
    /// Run a server until Ctrl-C or SIGTERM
    #[command(after_help = help::START)]
    Start(Box<start::StartArgs>),
    /// Add a server to a running cluster, and run it
    #[command(after_help = help::JOIN)]
    Join(Box<join::JoinArgs>),
    /// Remove a server from the cluster
    #[command(after_help = help::LEAVE)]
    Leave(leave::LeaveArgs),
    /// Change the address at which the other servers reach a server
    #[command(after_help = help::MOVE)]
    Move(move_member::MoveArgs),
    /// Show all servers of a cluster: their roles, their progress, their size
    #[command(after_help = help::STATUS)]
    Status(status::StatusArgs),
    /// Transfer leadership to another server
    #[command(after_help = help::TRANSFER)]
    Transfer(transfer::TransferArgs),
    /// Have a server make a snapshot now, and discard the log before it
    #[command(after_help = help::SNAPSHOT)]
    Snapshot(snapshot::SnapshotArgs),
    /// Back up all keys, as of one moment, to a file
    #[command(after_help = help::BACKUP)]
    Backup(backup::BackupArgs),
    /// Found a new cluster of one server with the keys of a backup
    #[command(after_help = help::RESTORE)]
    Restore(Box<restore::RestoreArgs>),
    /// When a majority is lost for good: found a new cluster with the data of one server
    #[command(after_help = help::RECOVER)]
    Recover(recover::RecoverArgs),
    /// Show what the data directory of a stopped server holds, and whether it is damaged
    #[command(after_help = help::INSPECT)]
    Inspect(inspect::InspectArgs),
    /// Make certificates for TLS: of an authority for the cluster, and of each server
    #[command(after_help = help::CERTS)]
    Certs(certs::CertsArgs),
    /// Print a script with which a shell completes these commands
    #[command(after_help = help::COMPLETIONS)]
    Completions(completions::CompletionsArgs),
}

/// Runs the command that the arguments give; the first one is the program's name. The exit code is
/// 0 for success, 1 for failure, and 2 for wrong arguments.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // If this fails, the terminal is closed.
            let _ = error.print();
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return ExitCode::from(code);
        }
    };
    let done = Logging::start(cli.log).and_then(|logging| perform(cli.command, &logging));
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.code()
        }
    }
}

fn perform(command: Command, logging: &Logging) -> Result<ExitCode, Failure> {
    let done = match command {
        Command::Init(arguments) => init::run(*arguments),
        Command::Demo(arguments) => demo::run(&arguments, logging),
        Command::Start(arguments) => start::run(*arguments),
        Command::Join(arguments) => join::run(*arguments),
        Command::Leave(arguments) => leave::run(&arguments),
        Command::Move(arguments) => move_member::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Transfer(arguments) => transfer::run(&arguments),
        Command::Snapshot(arguments) => snapshot::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(*arguments),
        Command::Recover(arguments) => recover::run(&arguments),
        Command::Inspect(arguments) => return inspect::run(&arguments),
        Command::Certs(arguments) => certs::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
    };
    done.map(|()| ExitCode::SUCCESS)
}
