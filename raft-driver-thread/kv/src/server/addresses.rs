//! The address book: where clients, and the other servers as clients, reach each server.

use crate::state::Machine;
use raft_driver_thread::Node;
use raft_driver_thread::raft_proto::NodeId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::{Instant, timeout_at};

/// A copy of the addresses in the replicated state, which every server registers itself in. A copy
/// that proves to be old is read again.
#[derive(Default)]
pub(crate) struct AddressBook {
    known: Mutex<BTreeMap<u64, String>>,
}

impl AddressBook {
    /// Where clients reach a server, if it has registered.
    pub(crate) async fn find(
        &self,
        server: NodeId,
        node: &Node<Machine>,
        deadline: Instant,
    ) -> Option<String> {
        if let Some(address) = self.lock().get(&server.0) {
            return Some(address.clone());
        }
        let addresses = |machine: &Machine| -> BTreeMap<u64, String> {
            let servers = machine.addresses();
            servers
                .map(|server| (server.node, server.clients.clone()))
                .collect()
        };
        let addresses = timeout_at(deadline, node.inspect(addresses)).await;
        let addresses = addresses.ok()?.ok()?;
        let address = addresses.get(&server.0).cloned();
        *self.lock() = addresses;
        address
    }

    /// The server may have moved: its address is read from the state again.
    pub(crate) fn forget(&self, server: NodeId) {
        self.lock().remove(&server.0);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
