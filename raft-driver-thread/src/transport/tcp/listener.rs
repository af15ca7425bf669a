//! Starts and stops the thread that accepts connections.

use super::acceptor::Acceptor;
use raft_proto::{Message, NodeId};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Dropping it stops it.
#[derive(Debug)]
pub(super) struct Listener {
    acceptor: Arc<Acceptor>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub(super) fn start(listener: TcpListener, acceptor: Acceptor) -> io::Result<Listener> {
        let address = listener.local_addr()?;
        let acceptor = Arc::new(acceptor);
        let own = acceptor.clone();
        let builder = std::thread::Builder::new().name("raft-listen".into());
        let thread = builder.spawn(move || own.run(&listener))?;
        Ok(Listener {
            acceptor,
            address,
            thread: Some(thread),
        })
    }

    /// The members, whose connections have places of their own.
    pub(super) fn set_members(&self, members: impl Iterator<Item = NodeId>) {
        self.acceptor.set_members(members);
    }

    /// Answers the node of this number that has connected last.
    pub(super) fn answer(&self, peer: NodeId, message: &Message) {
        self.acceptor.answer(peer, message);
    }

    /// Closes all connections, and joins the threads.
    pub(super) fn stop(&mut self) {
        self.acceptor.stop();
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The thread waits for a connection, and checks then whether it was stopped.
        let mut own = self.address;
        if own.ip().is_unspecified() {
            own.set_ip(match own.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        match TcpStream::connect_timeout(&own, Duration::from_secs(5)) {
            Ok(_) => drop(thread.join()), // Its failure changes nothing.
            Err(error) => tracing::error!(%error, "the listening thread could not be woken"),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}
