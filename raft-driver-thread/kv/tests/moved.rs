//! A server that moves to another address, one that joins and is promoted by the leader, and
//! elections by hand.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::state::Reply;

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Cluster, Running, done, get, leader, refused, set, status, until};

/// Where the others reach `node`, as this server knows it.
fn peers(server: &Running, node: u64) -> Option<String> {
    let members = status(server)?.members.into_iter();
    let mut members = members.filter(|member| member.node == node);
    members.next().map(|member| member.peers)
}

#[test]
fn a_server_moves_to_another_address_and_keeps_its_data_and_its_vote() {
    let mut cluster = Cluster::found("");
    let path = cluster.path().to_owned();
    set(&mut cluster.servers[0].client(), "a", "1");
    let moving = 1 + leader(&cluster.servers) % 3;
    let at = moving as usize - 1;
    assert_eq!(cluster.servers.remove(at).stop(), Some(0));
    let to = format!("127.0.0.1:{}", free_ports(1)[0]);
    let first = cluster.servers[0].address().to_owned();
    let said = done(
        &path,
        &format!("move --id {moving} --peers {to} --server {first}"),
    );
    assert!(said.contains(&to), "{said}");
    for server in &cluster.servers {
        until("all know the new address", || {
            (peers(server, moving)? == to).then_some(())
        });
    }
    let again = Running::server(&path, &format!("start --data {moving} --peers {to}"));
    assert_eq!(get(&mut again.client(), "a").as_deref(), Some("1"));
    // It is needed: of the others, one is stopped.
    let stopped = cluster.servers.remove(0);
    assert_eq!(stopped.stop(), Some(0));
    set(&mut again.client(), "b", "2");
    let members = status(&again).unwrap().members;
    let member = members.iter().find(|member| member.node == moving).unwrap();
    assert_eq!(
        (member.role.as_str(), member.peers.as_str()),
        ("voter", &*to)
    );
}

#[test]
fn an_address_that_another_has_and_a_server_that_is_no_member_are_refused() {
    let cluster = Cluster::found("");
    let path = cluster.path();
    let first = cluster.servers[0].address();
    leader(&cluster.servers);
    let taken = peers(&cluster.servers[0], 2).unwrap();
    let taken = format!("move --id 3 --peers {taken} --server {first}");
    refused(path, &taken, "is the address of n2");
    let unknown = format!("move --id 9 --peers 127.0.0.1:1 --server {first}");
    refused(path, &unknown, "is no member");
}

// The server that joined asks for nothing: the leader makes it a voter.
#[test]
fn a_server_that_joins_is_staging_and_becomes_a_voter_by_itself() {
    let cluster = Cluster::found("");
    let path = cluster.path();
    set(&mut cluster.servers[0].client(), "a", "1");
    let first = cluster.servers[0].address();
    let port = free_ports(1)[0];
    let mut client = cluster.servers[0].client();
    // It is added before it runs, so that it stays what it is until then.
    let address = format!("127.0.0.1:{port}");
    let added = client.call(&[b"RAFT", b"JOIN", b"4", address.as_bytes()]);
    assert_eq!(added.unwrap(), Reply::Ok);
    let role = |server| {
        let members = status(server)?.members.into_iter();
        let mut members = members.filter(|member| member.node == 4);
        members.next().map(|member| member.role)
    };
    // Another server may have done it, and this one hears of it later.
    let heard = until("it is a member", || role(&cluster.servers[0]));
    assert_eq!(heard, "staging");
    let arguments =
        format!("join --data 4 --id 4 --peers {address} --clients 127.0.0.1:0 --server {first}");
    let joined = Running::joined(path, &arguments);
    until("it is a voter", || {
        (role(&joined)? == "voter").then_some(())
    });
}

#[test]
fn a_server_campaigns_or_steps_down_when_it_is_told_to() {
    let cluster = Cluster::found("");
    // One that does not hear the leader may campaign, and becomes the leader.
    until("a server that hears the leader refuses", || {
        let other = &cluster.servers[(leader(&cluster.servers) % 3) as usize];
        let error = other.client().call(&[b"RAFT", b"CAMPAIGN"]).err()?;
        error.to_string().contains("hears a leader").then_some(())
    });
    let ended = until("the leader steps down", || {
        let first = &cluster.servers[leader(&cluster.servers) as usize - 1];
        let said = first.client().call(&[b"RAFT", b"STEPDOWN"]).ok()?;
        let Reply::Integer(term) = said else {
            panic!("{said:?}");
        };
        Some(u64::try_from(term).unwrap())
    });
    until("a later term has a leader", || {
        let status = status(&cluster.servers[0])?;
        (status.term > ended && status.leader.is_some()).then_some(())
    });
}
