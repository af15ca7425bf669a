//! What the replicated state knows of a server.

use serde::{Deserialize, Serialize};

/// Where clients reach a server. The other servers forward requests to this address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAddress {
    /// The server's node id.
    pub node: u64,
    /// Where clients reach it: host:port.
    pub clients: String,
    /// The release that it runs.
    pub release: String,
}
