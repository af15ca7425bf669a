//! The commands, by their names in order.

use super::Flag::{Admin, Fast, NoAuth, ReadOnly, Write};
use super::Parser::{Nested, Other, State, Subcommands};
use super::{CommandSpec, Flag, KeyPositions, Parser, Subcommand};
use crate::resp::parse;

/// A command whose arguments one parser takes.
const fn plain(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    keys: KeyPositions,
    group: &'static str,
    parser: Parser,
    summary: &'static str,
) -> CommandSpec {
    let subcommands = &[];
    CommandSpec {
        name,
        arity,
        flags,
        keys,
        group,
        summary,
        subcommands,
        parser,
    }
}

/// A command whose second word chooses.
const fn container(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    group: &'static str,
    parser: Parser,
    summary: &'static str,
    subcommands: &'static [Subcommand],
) -> CommandSpec {
    let keys = KeyPositions::None;
    CommandSpec {
        name,
        arity,
        flags,
        keys,
        group,
        summary,
        subcommands,
        parser,
    }
}

const fn sub(
    name: &'static str,
    full_name: &'static str,
    arity: i32,
    parser: Parser,
    summary: &'static str,
) -> Subcommand {
    Subcommand {
        name,
        full_name,
        arity,
        summary,
        parser,
    }
}

// A table: one row a command.
#[rustfmt::skip]
pub(super) const COMMANDS: &[CommandSpec] = &[
    plain("append", 3, &[Write, Fast], KeyPositions::One, "string", State(parse::append),
        "Adds to the end of a value, and says how long it is then."),
    plain("auth", -2, &[Fast, NoAuth], KeyPositions::None, "connection", Other(parse::auth),
        "Says the password."),
    plain("cas", 4, &[Write, Fast], KeyPositions::One, "string", State(parse::cas),
        "Gives a key a value if it holds another one, and says whether it did."),
    container("client", -2, &[], "connection", Subcommands, "About connections.", CLIENT),
    container("command", -1, &[], "server", Other(parse::command_all), "All commands.", COMMAND),
    container("config", -2, &[Admin], "server", Subcommands, "About settings.", CONFIG),
    plain("dbsize", 1, &[ReadOnly, Fast], KeyPositions::None, "server", State(parse::dbsize),
        "How many keys there are."),
    plain("decr", 2, &[Write, Fast], KeyPositions::One, "string", State(parse::decr),
        "Takes 1 from a number."),
    plain("decrby", 3, &[Write, Fast], KeyPositions::One, "string", State(parse::decrby),
        "Takes from a number."),
    plain("del", -2, &[Write], KeyPositions::All, "generic", State(parse::del),
        "Removes keys, and says how many there were."),
    plain("discard", 1, &[Fast], KeyPositions::None, "transactions", Other(parse::discard),
        "Forgets the queued commands."),
    plain("echo", 2, &[Fast], KeyPositions::None, "connection", Other(parse::echo),
        "Answers what it is given."),
    plain("exec", 1, &[], KeyPositions::None, "transactions", Other(parse::exec),
        "Runs the queued commands; nothing comes in between."),
    plain("exists", -2, &[ReadOnly, Fast], KeyPositions::All, "generic", State(parse::exists),
        "How many of these keys there are."),
    plain("expire", -3, &[Write, Fast], KeyPositions::One, "generic", State(parse::expire),
        "Lets a key expire in so many seconds."),
    plain("flushall", -1, &[Write], KeyPositions::None, "server", State(parse::flush), "Removes all keys."),
    plain("flushdb", -1, &[Write], KeyPositions::None, "server", State(parse::flush), "Removes all keys."),
    plain("get", 2, &[ReadOnly, Fast], KeyPositions::One, "string", State(parse::get),
        "The value of a key."),
    plain("getset", 3, &[Write, Fast], KeyPositions::One, "string", State(parse::getset),
        "Gives a key a value, and says the one before."),
    plain("hello", -1, &[Fast, NoAuth], KeyPositions::None, "connection", Other(parse::hello),
        "Chooses the protocol's version, and says who the server is."),
    plain("incr", 2, &[Write, Fast], KeyPositions::One, "string", State(parse::incr),
        "Adds 1 to a number."),
    plain("incrby", 3, &[Write, Fast], KeyPositions::One, "string", State(parse::incrby),
        "Adds to a number."),
    plain("info", -1, &[], KeyPositions::None, "server", Other(parse::info),
        "What the server says of itself."),
    plain("keys", 2, &[ReadOnly], KeyPositions::None, "generic", State(parse::keys),
        "All keys that match a pattern."),
    plain("mget", -2, &[ReadOnly, Fast], KeyPositions::All, "string", State(parse::mget),
        "The values of keys."),
    plain("mset", -3, &[Write], KeyPositions::EverySecond, "string", State(parse::mset),
        "Gives keys values, all at once."),
    plain("multi", 1, &[Fast], KeyPositions::None, "transactions", Other(parse::multi),
        "Queues the commands that follow."),
    plain("once", -4, &[Write], KeyPositions::None, "generic", Nested(parse::once),
        "Runs a command once, however often it is sent: session, sequence, command."),
    plain("persist", 2, &[Write, Fast], KeyPositions::One, "generic", State(parse::persist),
        "Lets a key never expire."),
    plain("pexpire", -3, &[Write, Fast], KeyPositions::One, "generic", State(parse::pexpire),
        "Lets a key expire in so many milliseconds."),
    plain("ping", -1, &[Fast], KeyPositions::None, "connection", Other(parse::ping),
        "Whether the server is there."),
    plain("psetex", 4, &[Write], KeyPositions::One, "string", State(parse::psetex),
        "Gives a key a value for so many milliseconds."),
    plain("pttl", 2, &[ReadOnly, Fast], KeyPositions::One, "generic", State(parse::pttl),
        "In how many milliseconds a key expires."),
    plain("quit", -1, &[Fast, NoAuth], KeyPositions::None, "connection", Other(parse::quit),
        "Ends the connection."),
    container("raft", -2, &[Admin], "cluster", Subcommands, "About the cluster.", RAFT),
    plain("readonly", 1, &[Fast], KeyPositions::None, "cluster", Other(parse::readonly),
        "Lets reads be answered by the server asked, as it knows it."),
    plain("readwrite", 1, &[Fast], KeyPositions::None, "cluster", Other(parse::readwrite),
        "Lets reads see all that was written before."),
    plain("reset", 1, &[Fast, NoAuth], KeyPositions::None, "connection", Other(parse::reset),
        "Makes the connection as new."),
    plain("scan", -2, &[ReadOnly], KeyPositions::None, "generic", State(parse::scan),
        "Some of the keys, from a cursor on."),
    plain("select", 2, &[Fast], KeyPositions::None, "connection", Other(parse::select),
        "Accepted for 0, the only set of keys."),
    container("session", -2, &[Write], "generic", Subcommands,
        "About sessions, in which commands run once.", SESSION),
    plain("set", -3, &[Write], KeyPositions::One, "string", State(parse::set), "Gives a key a value."),
    plain("setex", 4, &[Write], KeyPositions::One, "string", State(parse::setex),
        "Gives a key a value for so many seconds."),
    plain("setnx", 3, &[Write, Fast], KeyPositions::One, "string", State(parse::setnx),
        "Gives a key a value if it has none, and says whether it did."),
    plain("strlen", 2, &[ReadOnly, Fast], KeyPositions::One, "string", State(parse::strlen),
        "How long a value is."),
    plain("ttl", 2, &[ReadOnly, Fast], KeyPositions::One, "generic", State(parse::ttl),
        "In how many seconds a key expires."),
    plain("type", 2, &[ReadOnly, Fast], KeyPositions::One, "generic", State(parse::type_of),
        "The kind of a key's value."),
    plain("unlink", -2, &[Write, Fast], KeyPositions::All, "generic", State(parse::del),
        "Removes keys, and says how many there were."),
    plain("unwatch", 1, &[Fast], KeyPositions::None, "transactions", Other(parse::unwatch),
        "Accepted: no key is ever watched."),
    plain("watch", -2, &[Fast], KeyPositions::None, "transactions", Other(parse::watch),
        "Refused: CAS compares and sets."),
];

#[rustfmt::skip]
const CLIENT: &[Subcommand] = &[
    sub("getname", "client|getname", 2, Other(parse::client_get_name), "The connection's name."),
    sub("id", "client|id", 2, Other(parse::client_id), "The connection's number."),
    sub("info", "client|info", 2, Other(parse::client_info), "What is known of the connection."),
    sub("kill", "client|kill", -3, Other(parse::client_kill), "Refused."),
    sub("list", "client|list", -2, Other(parse::client_list), "What is known of all connections."),
    sub("no-evict", "client|no-evict", 3, Other(parse::client_no_evict),
        "Accepted: no client is ever evicted."),
    sub("no-touch", "client|no-touch", 3, Other(parse::client_no_touch),
        "Accepted: reading a key never changes anything of it."),
    sub("reply", "client|reply", 3, Other(parse::client_reply), "Refused."),
    sub("setinfo", "client|setinfo", 4, Other(parse::client_set_info),
        "Names the client's library, or its version."),
    sub("setname", "client|setname", 3, Other(parse::client_set_name), "Names the connection."),
];

#[rustfmt::skip]
const COMMAND: &[Subcommand] = &[
    sub("count", "command|count", 2, Other(parse::command_count), "How many commands there are."),
    sub("docs", "command|docs", -2, Other(parse::command_docs), "What commands are for."),
    sub("getkeys", "command|getkeys", -4, Other(parse::command_get_keys),
        "Which words of a request are keys."),
    sub("info", "command|info", -2, Other(parse::command_info), "Commands with these names."),
    sub("list", "command|list", -2, Other(parse::command_list), "The names of all commands."),
];

#[rustfmt::skip]
const CONFIG: &[Subcommand] = &[
    sub("get", "config|get", -3, Other(parse::config_get), "Settings, by patterns of their names."),
    sub("set", "config|set", -4, Other(parse::config_set),
        "Refused: settings are read when the server starts."),
];

#[rustfmt::skip]
const RAFT: &[Subcommand] = &[
    sub("backup", "raft|backup", 3, Other(parse::backup),
        "OPEN holds a view of all keys; READ reads on in it."),
    sub("forward", "raft|forward", 5, Other(parse::forward),
        "What servers hand on to the one that leads."),
    sub("here", "raft|here", -6, Nested(parse::here),
        "What servers hand on about the cluster to the one that leads."),
    sub("join", "raft|join", 4, Other(parse::join),
        "Takes in a server: node id, address for the other servers."),
    sub("leave", "raft|leave", 3, Other(parse::leave), "Removes a server: node id."),
    sub("load", "raft|load", 3, Other(parse::load), "Brings in a piece of a backup."),
    sub("promote", "raft|promote", 3, Other(parse::promote),
        "Makes a learner a voter: node id."),
    sub("snapshot", "raft|snapshot", 2, Other(parse::snapshot), "Makes a snapshot on this server."),
    sub("status", "raft|status", 2, Other(parse::status), "The cluster as this server sees it."),
    sub("transfer", "raft|transfer", -2, Other(parse::transfer),
        "Hands over the lead, to a server by its node id or to any."),
];

#[rustfmt::skip]
const SESSION: &[Subcommand] = &[
    sub("close", "session|close", 3, Other(parse::session_close), "Ends a session."),
    sub("open", "session|open", 2, Other(parse::session_open),
        "Opens a session for ONCE, and says its number."),
];
