//! `raft-kv status`.

use super::access::AccessArgs;
use super::failure::Failure;
use crate::client::{Access, Client};
use crate::config::ByteSize;
use crate::status::{MemberStatus, NodeStatus};
use clap::Args;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

/// A server that has run for less than this may be starting together with its cluster.
const STARTUP: Duration = Duration::from_secs(10);

/// How long to wait for a cluster that is starting.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a member cannot be asked that has not registered its address.
const NO_ADDRESS: &str = "its address is not known yet: it may still be starting, or was never \
    started; it registers its address once it runs and there is a leader";

/// `raft-kv status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// For programs: print everything that each server reports, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// A member, and its report.
#[derive(Serialize)]
struct MemberReport {
    node: u64,
    /// Its address for clients, if it is known.
    clients: Option<String>,
    status: Option<NodeStatus>,
    /// Why there is no report.
    error: Option<String>,
}

pub(super) fn run(arguments: &StatusArgs) -> Result<(), Failure> {
    let access = arguments.access.access()?;
    let mut client = access.any(&arguments.access.servers)?;
    let first = status_once_started(&mut client)?;
    let reports = ask_members(&access, first, client.address());
    if arguments.json {
        let json = serde_json::to_string_pretty(&reports);
        let json = json.map_err(|error| Failure::new(error.to_string()))?;
        println!("{json}");
        return Ok(());
    }
    print(&reports);
    Ok(())
}

/// The server's status. While the cluster is starting, waits until there is a leader and every
/// member has registered its address.
fn status_once_started(client: &mut Client) -> Result<NodeStatus, Failure> {
    let begun = Instant::now();
    loop {
        let status = client.status()?;
        let mut members = status.members.iter();
        let is_ready = status.leader.is_some() && members.all(|member| member.clients.is_some());
        let is_starting = status.uptime_seconds < STARTUP.as_secs();
        if is_ready || !is_starting || begun.elapsed() >= STARTUP_TIMEOUT {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Asks all members that the first server knows of, at the same time.
fn ask_members(access: &Access, first: NodeStatus, address: &str) -> Vec<MemberReport> {
    let mut reports: Vec<_> = thread::scope(|scope| {
        let members = first
            .members
            .iter()
            .filter(|member| member.node != first.node);
        let ask = |member| scope.spawn(move || ask_member(access, member));
        let requests: Vec<_> = members.map(ask).collect();
        // None of them panics.
        requests
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    reports.push(MemberReport {
        node: first.node,
        clients: Some(address.to_owned()),
        status: Some(first),
        error: None,
    });
    reports.sort_by_key(|report| report.node);
    reports
}

fn ask_member(access: &Access, member: &MemberStatus) -> MemberReport {
    let asked = match &member.clients {
        None => Err(NO_ADDRESS.into()),
        Some(clients) => access
            .connect_to_node(clients, member.node)
            .and_then(|mut client| client.status())
            .map_err(|error| error.to_string()),
    };
    let (status, error) = match asked {
        Ok(status) => (Some(status), None),
        Err(error) => (None, Some(error)),
    };
    MemberReport {
        node: member.node,
        clients: member.clients.clone(),
        status,
        error,
    }
}

const HEADER: [&str; 13] = [
    "node", "role", "leads", "term", "commit", "applied", "lag", "match", "keys", "disk",
    "clients", "version", "address",
];

fn print(reports: &[MemberReport]) {
    let all = || reports.iter().filter_map(|report| report.status.as_ref());
    // A former leader that does not know of the new one yet has an earlier term.
    let leader = all()
        .filter(|it| it.role == "leader")
        .max_by_key(|it| it.term);
    let commit = all().map(|status| status.commit_index).max().unwrap_or(0);
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADER);
    for report in reports {
        table.add_row(row(report, leader, commit));
    }
    let numbers = HEADER
        .iter()
        .enumerate()
        .filter(|(_, name)| !["role", "version", "address"].contains(name));
    for (column, _) in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(first) = all().next() {
        println!("cluster {}", first.cluster);
    }
    println!("{table}");
    for report in reports {
        if let Some(error) = &report.error {
            println!("node {}: {error}", report.node);
        }
    }
    if let Some(line) = levels(reports) {
        println!("{line}");
    }
    // Several servers see the same; whether a member is well, only the leader sees.
    let members = leader.map_or(&[][..], |leader| &leader.members);
    let warnings: BTreeSet<_> = all()
        .flat_map(|seen| seen.warnings_given(members))
        .collect();
    for warning in warnings {
        println!("warning: {warning}");
    }
    if leader.is_none() {
        println!("there is no leader among the servers that replied");
    }
}

/// Which release level is in force, while not all servers are of that level.
fn levels(reports: &[MemberReport]) -> Option<String> {
    let all = || reports.iter().filter_map(|report| report.status.as_ref());
    let in_force = all().map(|seen| seen.levels.in_force).max()?;
    if all().all(|seen| seen.levels.own == in_force) {
        return None;
    }
    let own = all().map(|seen| format!("node {} reads {}", seen.node, seen.levels.own));
    let own: Vec<String> = own.collect();
    Some(format!(
        "release level {in_force} is in force, and rises when all members read more: {}",
        own.join(", ")
    ))
}

/// A row of the table. `commit` is the greatest commit index of all servers.
fn row(report: &MemberReport, leader: Option<&NodeStatus>, commit: u64) -> Vec<Cell> {
    let leads = leader.is_some_and(|leader| leader.node == report.node);
    let members = leader.map_or(&[][..], |leader| &leader.members);
    let member = members.iter().find(|member| member.node == report.node);
    let agrees = member.and_then(|member| member.match_index);
    let agrees = agrees.map_or("-".to_owned(), |index| index.to_string());
    let address = report.clients.clone().unwrap_or("-".to_owned());
    let leads = if leads { "*" } else { "" }.to_owned();
    let cells = match &report.status {
        None => {
            let role = if report.clients.is_some() {
                "unreachable"
            } else {
                "unknown"
            };
            let mut cells = vec![report.node.to_string(), role.to_owned(), leads];
            cells.extend(["-", "-", "-", "-"].map(str::to_owned));
            cells.push(agrees);
            cells.extend(["-", "-", "-", "-"].map(str::to_owned));
            cells.push(address);
            cells
        }
        Some(it) => vec![
            it.node.to_string(),
            it.role.clone(),
            leads,
            it.term.to_string(),
            it.commit_index.to_string(),
            it.applied_index.to_string(),
            commit.saturating_sub(it.applied_index).to_string(),
            agrees,
            it.keys.to_string(),
            ByteSize(it.disk_bytes).rounded(),
            it.connections.to_string(),
            it.release.clone(),
            address,
        ],
    };
    cells.into_iter().map(Cell::new).collect()
}
