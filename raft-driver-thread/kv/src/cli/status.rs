//! `raft-kv status`.

use super::access::AccessArgs;
use super::failure::Failure;
use crate::client::Access;
use crate::config::ByteSize;
use crate::status::{MemberStatus, NodeStatus};
use clap::Args;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use std::thread;

/// `raft-kv status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// For programs: all that each server says of itself
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// A member, and what it says of itself.
#[derive(Serialize)]
struct Seen {
    node: u64,
    /// Where clients reach it.
    clients: Option<String>,
    status: Option<NodeStatus>,
    /// Why there is no status.
    error: Option<String>,
}

pub(super) fn run(arguments: &StatusArgs) -> Result<(), Failure> {
    let access = arguments.access.access()?;
    let mut client = access.any(&arguments.access.servers)?;
    let asked = client.status()?;
    let seen = ask(&access, asked, client.address());
    if arguments.json {
        let json = serde_json::to_string_pretty(&seen);
        let json = json.map_err(|error| Failure::new(error.to_string()))?;
        println!("{json}");
        return Ok(());
    }
    print(&seen);
    Ok(())
}

/// Asks all members that the first server knows of, at once.
fn ask(access: &Access, first: NodeStatus, address: &str) -> Vec<Seen> {
    let mut seen: Vec<_> = thread::scope(|scope| {
        let members = first
            .members
            .iter()
            .filter(|member| member.node != first.node);
        let ask = |member| scope.spawn(move || ask_member(access, member));
        let asking: Vec<_> = members.map(ask).collect();
        // None of them panics.
        asking
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    seen.push(Seen {
        node: first.node,
        clients: Some(address.to_owned()),
        status: Some(first),
        error: None,
    });
    seen.sort_by_key(|seen| seen.node);
    seen
}

fn ask_member(access: &Access, member: &MemberStatus) -> Seen {
    let said = match &member.clients {
        None => Err("it has not said yet where clients reach it".into()),
        Some(clients) => access
            .connect_to_node(clients, member.node)
            .and_then(|mut client| client.status())
            .map_err(|error| error.to_string()),
    };
    let (status, error) = match said {
        Ok(status) => (Some(status), None),
        Err(error) => (None, Some(error)),
    };
    Seen {
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

fn print(seen: &[Seen]) {
    let all = || seen.iter().filter_map(|seen| seen.status.as_ref());
    // What an old leader says that does not know of the new one is of an earlier term.
    let leader = all()
        .filter(|it| it.role == "leader")
        .max_by_key(|it| it.term);
    let commit = all().map(|status| status.commit_index).max().unwrap_or(0);
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADER);
    for seen in seen {
        table.add_row(row(seen, leader, commit));
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
    for seen in seen {
        if let Some(error) = &seen.error {
            println!("node {}: {error}", seen.node);
        }
    }
    if leader.is_none() {
        println!("no server that was reached leads");
    }
}

/// `commit` is the greatest that any server knows.
fn row(seen: &Seen, leader: Option<&NodeStatus>, commit: u64) -> Vec<Cell> {
    let leads = leader.is_some_and(|leader| leader.node == seen.node);
    let members = leader.map_or(&[][..], |leader| &leader.members);
    let member = members.iter().find(|member| member.node == seen.node);
    let agrees = member.and_then(|member| member.match_index);
    let agrees = agrees.map_or("-".to_owned(), |index| index.to_string());
    let address = seen.clients.clone().unwrap_or("-".to_owned());
    let leads = if leads { "*" } else { "" }.to_owned();
    let cells = match &seen.status {
        None => {
            let mut cells = vec![seen.node.to_string(), "unreachable".to_owned(), leads];
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
