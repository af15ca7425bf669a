//! What requests ask for.

use crate::state::Command;
use bytes::Bytes;

/// A request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A command over the keys.
    Command(Command),
    /// A command over the keys that runs once, however often it is sent.
    Once {
        /// The client's session.
        session: u64,
        /// The request's number in it.
        sequence: u64,
        /// What is to be done.
        command: Command,
    },
    /// Opens a session.
    OpenSession,
    /// Ends a session.
    CloseSession(u64),
    /// Something about the connection, or about this server alone.
    Local(LocalCommand),
    /// Something about the cluster.
    Admin(AdminCommand),
}

/// A request that the server answers by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalCommand {
    /// Is the server there? It answers the bytes, or PONG.
    Ping(Option<Bytes>),
    /// The bytes, back again.
    Echo(Bytes),
    /// Another set of keys. There is only number 0, others are refused before.
    Select(u32),
    /// OK, then no more.
    Quit,
    /// As if it had just been connected; the answer is RESET.
    Reset,
    /// Who the server is; and which version of the protocol to speak from now on, 2 or 3.
    Hello {
        /// The version; `None`: as before.
        version: Option<u8>,
        /// To be checked first.
        auth: Option<Credentials>,
        /// The name that the connection has then.
        name: Option<Bytes>,
    },
    /// The password.
    Auth {
        /// The user, `default` if not said.
        user: Option<Bytes>,
        /// The user's password.
        password: Bytes,
    },
    /// About the connection.
    Client(ClientCommand),
    /// What the server says of itself; of everything if no section is named.
    Info(Vec<Bytes>),
    /// About the commands.
    Command(CommandCommand),
    /// Settings, by patterns of their names.
    ConfigGet(Vec<Bytes>),
    /// From now on, reads may be answered from the state here, as it is.
    ReadOnly,
    /// From now on, reads see all that was written before.
    ReadWrite,
    /// From now on, commands are queued.
    Multi,
    /// Runs the queue; nothing comes in between.
    Exec,
    /// Forgets the queue.
    Discard,
    /// Forgets the watched keys, of which there never are any.
    Unwatch,
}

/// What AUTH, as an option of HELLO, says of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: Bytes,
    /// The user's password.
    pub password: Bytes,
}

/// CLIENT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// The connection's number.
    Id,
    /// The connection's name, nil if it has none.
    GetName,
    /// Names the connection; empty takes the name away. No blanks, no control characters.
    SetName(Bytes),
    /// What the client's library says of itself. No blanks, no control characters.
    SetInfo {
        /// What it says.
        attribute: LibraryAttribute,
        /// How it is.
        value: Bytes,
    },
    /// A line about the connection.
    Info,
    /// A line about each connection.
    List,
    /// Never throw this client out for memory. None ever is: OK.
    NoEvict,
    /// Keys that this client reads do not count as used. None ever do: OK.
    NoTouch,
}

/// What a client's library says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LibraryAttribute {
    /// Its name.
    Name,
    /// Its version.
    Version,
}

/// COMMAND: see [`CommandCommand::reply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandCommand {
    /// All commands.
    All,
    /// How many there are.
    Count,
    /// What they are for; of all if none is named.
    Docs(Vec<Bytes>),
    /// Which words of this request are keys.
    GetKeys(Vec<Bytes>),
    /// Those with these names; all if none is named.
    Info(Vec<Bytes>),
    /// Their names.
    List,
}

/// RAFT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// The server's view of the cluster, as JSON.
    Status,
    /// Takes in a server.
    Join {
        /// Its node id.
        node: u64,
        /// Where the others reach it: host:port.
        peers: String,
    },
    /// Removes a server.
    Leave(u64),
    /// Makes a learner, a server by its node id, a voter once it has caught up.
    Promote(u64),
    /// Hands over the lead, to that server or to whichever is ready.
    Transfer(Option<u64>),
    /// Makes a snapshot here.
    Snapshot,
    /// Holds a view of the state for this connection.
    BackupOpen,
    /// The next piece of it.
    BackupRead,
    /// A batch that another server forwards: an encoded body.
    Forward {
        /// Whom it is for.
        to: Addressee,
        /// The body.
        operation: Bytes,
    },
    /// A piece of a backup: an encoded body.
    Load(Bytes),
    /// What another server hands on to the one that leads: it tries once, and only if it leads. One of
    /// [`Join`](AdminCommand::Join), [`Leave`](AdminCommand::Leave), [`Promote`](AdminCommand::Promote) and
    /// [`Transfer`](AdminCommand::Transfer).
    Here {
        /// Whom it is for.
        to: Addressee,
        /// What is to be done.
        request: Box<AdminCommand>,
    },
}

/// The server that a request is for. Another one may have its address by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// Its cluster.
    pub cluster: u64,
    /// Its node id.
    pub node: u64,
}
