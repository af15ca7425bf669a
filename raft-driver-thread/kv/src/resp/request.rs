//! What a request asks for, once it has been parsed.

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
        /// The request's number in the session.
        sequence: u64,
        /// The command.
        command: Command,
    },
    /// Opens a session.
    OpenSession,
    /// Ends a session.
    CloseSession(u64),
    /// A command about the connection, or about this server alone.
    Local(LocalCommand),
    /// A command about the cluster.
    Admin(AdminCommand),
}

impl Request {
    /// The least release level that reads what this request has replicated.
    pub fn level(&self) -> u32 {
        match self {
            Request::Command(command) | Request::Once { command, .. } => command.level(),
            Request::OpenSession
            | Request::CloseSession(_)
            | Request::Local(_)
            | Request::Admin(_) => 0,
        }
    }
}

/// A command that the server answers by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalCommand {
    /// Returns the bytes, or PONG.
    Ping(Option<Bytes>),
    /// Returns the bytes.
    Echo(Bytes),
    /// Chooses a database. There is only number 0.
    Select(i64),
    /// Answers OK, and ends the connection.
    Quit,
    /// Makes the connection as it was when the client connected. The answer is RESET.
    Reset,
    /// Returns facts about the server, and may choose the version of the protocol.
    Hello {
        /// The version, 2 or 3; `None`: the version stays.
        version: Option<u8>,
        /// Checked before anything else.
        auth: Option<Credentials>,
        /// The connection's new name.
        name: Option<Bytes>,
    },
    /// Authenticates the connection.
    Auth {
        /// The user; `None`: the user `default`.
        user: Option<Bytes>,
        /// The user's password.
        password: Bytes,
    },
    /// A command about connections.
    Client(ClientCommand),
    /// Returns these sections of the server's facts and figures; all sections if none is named.
    Info(Vec<Bytes>),
    /// A command about the commands.
    Command(CommandCommand),
    /// Returns settings, by patterns of their names.
    ConfigGet(Vec<Bytes>),
    /// Sets what INFO counts back to 0. Metrics go on.
    ConfigResetStat,
    /// From now on, this server may answer reads from its own state, which may be stale.
    ReadOnly,
    /// From now on, reads see every write that was acknowledged before.
    ReadWrite,
    /// From now on, commands are queued.
    Multi,
    /// Runs the queued commands. No other command runs in between.
    Exec,
    /// Drops the queued commands.
    Discard,
    /// Forgets the watched keys, of which there never are any.
    Unwatch,
}

/// The AUTH option of HELLO.
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
    /// Returns the connection's number.
    Id,
    /// Returns the connection's name, nil if it has none.
    GetName,
    /// Names the connection. An empty name removes the name. It has no blanks and no control
    /// characters.
    SetName(Bytes),
    /// Describes the client's library.
    SetInfo {
        /// The attribute of the library.
        attribute: LibraryAttribute,
        /// Its value, without blanks and control characters.
        value: Bytes,
    },
    /// Returns a line about this connection.
    Info,
    /// Returns a line about each connection that is asked for.
    List(ClientFilter),
    /// Asks never to be disconnected for lack of memory. No client ever is: OK.
    NoEvict,
    /// Asks that its reads do not count as uses of the keys. No reads do: OK.
    NoTouch,
}

/// Which connections CLIENT LIST shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFilter {
    /// All. So does TYPE normal: there are no others.
    All,
    /// None: those of a type that does not exist here.
    Nobody,
    /// Those with these numbers, if they are connected.
    Ids(Vec<u64>),
}

/// An attribute of a client's library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LibraryAttribute {
    /// Its name.
    Name,
    /// Its version.
    Version,
}

/// COMMAND; [`CommandCommand::reply`] answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandCommand {
    /// Describes all commands.
    All,
    /// Returns the number of commands.
    Count,
    /// Returns the documentation of the commands with these names; of all if none is named.
    Docs(Vec<Bytes>),
    /// Returns the keys among the words of this request.
    GetKeys(Vec<Bytes>),
    /// Describes the commands with these names; all if none is named.
    Info(Vec<Bytes>),
    /// Returns the names of all commands.
    List,
}

/// RAFT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Returns the cluster as this server sees it, as JSON.
    Status,
    /// Adds a server.
    Join(Join),
    /// Removes a server, by its node id.
    Leave(u64),
    /// Makes a learner a voter once it has caught up, by its node id.
    Promote(u64),
    /// Changes where the other servers reach a member.
    Move(Move),
    /// Has this server begin an election.
    Campaign,
    /// Has this server, which leads, give up its leadership.
    StepDown,
    /// Transfers leadership to the server with this node id; `None`: to any server that is ready.
    Transfer(Option<u64>),
    /// Takes a snapshot on this server.
    Snapshot,
    /// Takes a view of the state for this connection's backup.
    BackupOpen,
    /// Returns the next chunk of this connection's backup.
    BackupRead,
    /// Proposes an operation that another server forwards.
    Forward {
        /// The server that is meant to be the leader.
        to: Addressee,
        /// The encoded [`Operation`](crate::state::Operation).
        operation: Bytes,
    },
    /// Loads a piece of a backup: an encoded
    /// [`Operation::Load`](crate::state::Operation::Load).
    Load(Bytes),
    /// Runs a request that another server forwards to the leader. The addressee tries once, and
    /// only if it is the leader.
    Here {
        /// The server that is meant to be the leader.
        to: Addressee,
        /// One of [`Join`](AdminCommand::Join), [`Leave`](AdminCommand::Leave),
        /// [`Promote`](AdminCommand::Promote), [`Move`](AdminCommand::Move) and
        /// [`Transfer`](AdminCommand::Transfer).
        request: Box<AdminCommand>,
    },
}

/// A server that is to become a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its node id.
    pub node: u64,
    /// Where the other servers reach it: host:port.
    pub peers: String,
    /// The incarnation of its storage; `None`: the leader names the one that it hears.
    pub incarnation: Option<u64>,
    /// The disks of a member with this number that it may replace.
    pub replace: Replace,
}

/// A member that is to be reached elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Its node id.
    pub node: u64,
    /// Where the other servers reach it from now on: host:port.
    pub peers: String,
}

/// Which disk of a member another one may replace under its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Only one that the leader does not hear.
    Lost,
    /// Any, also one that is well.
    Any,
}

/// The server for which a request is meant. By now, another server may have its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// Its cluster.
    pub cluster: u64,
    /// Its node id.
    pub node: u64,
}
