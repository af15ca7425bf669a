//! The rows of the table, in the order of the commands' names.

use super::spec::Flag::{Admin, Fast, NoAuth, ReadOnly, Write};
use super::spec::KeyPositions::{AllWords, EverySecondWord, FirstWord, NoKeys};
use super::spec::Parser::{Command, Here, Once, Request, Subcommands};
use super::spec::{Arity, CommandSpec, Flag, KeyPositions, Parser, Subcommand};
use crate::resp::parse;

/// A command without subcommands.
const fn plain(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    keys: KeyPositions,
    group: &'static str,
    parser: Parser,
    summary: &'static str,
) -> CommandSpec {
    CommandSpec {
        name,
        arity: Arity(arity),
        flags,
        keys,
        group,
        summary,
        subcommands: &[],
        parser,
    }
}

/// A command whose second word names a subcommand.
const fn container(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    group: &'static str,
    parser: Parser,
    summary: &'static str,
    subcommands: &'static [Subcommand],
) -> CommandSpec {
    CommandSpec {
        name,
        arity: Arity(arity),
        flags,
        keys: NoKeys,
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
        arity: Arity(arity),
        summary,
        parser,
    }
}

// A table: one row a command.
#[rustfmt::skip]
pub(super) const COMMANDS: &[CommandSpec] = &[
    plain("append", 3, &[Write, Fast], FirstWord, "string", Command(parse::append),
        "Appends to a value; returns the new length."),
    plain("auth", -2, &[Fast, NoAuth], NoKeys, "connection", Request(parse::auth),
        "Authenticates the connection with the password."),
    plain("cas", 4, &[Write, Fast], FirstWord, "string", Command(parse::cas),
        "Sets a key's value if it has the expected old value; returns whether it did."),
    container("client", -2, &[], "connection", Subcommands, "About connections.", CLIENT),
    container("command", -1, &[], "server", Request(parse::command_all), "All commands.", COMMAND),
    container("config", -2, &[Admin], "server", Subcommands, "About settings.", CONFIG),
    plain("dbsize", 1, &[ReadOnly, Fast], NoKeys, "server", Command(parse::dbsize),
        "Returns the number of keys."),
    plain("decr", 2, &[Write, Fast], FirstWord, "string", Command(parse::decr),
        "Subtracts 1 from a number."),
    plain("decrby", 3, &[Write, Fast], FirstWord, "string", Command(parse::decrby),
        "Subtracts from a number."),
    plain("del", -2, &[Write], AllWords, "generic", Command(parse::del),
        "Removes keys; returns how many there were."),
    plain("discard", 1, &[Fast], NoKeys, "transactions", Request(parse::discard),
        "Drops the queued commands."),
    plain("echo", 2, &[Fast], NoKeys, "connection", Request(parse::echo),
        "Returns its argument."),
    plain("exec", 1, &[], NoKeys, "transactions", Request(parse::exec),
        "Runs the queued commands; no other command runs in between."),
    plain("exists", -2, &[ReadOnly, Fast], AllWords, "generic", Command(parse::exists),
        "Returns how many of these keys there are."),
    plain("expire", -3, &[Write, Fast], FirstWord, "generic", Command(parse::expire),
        "Lets a key expire after a number of seconds."),
    plain("flushall", -1, &[Write], NoKeys, "server", Command(parse::flush), "Removes all keys."),
    plain("flushdb", -1, &[Write], NoKeys, "server", Command(parse::flush), "Removes all keys."),
    plain("get", 2, &[ReadOnly, Fast], FirstWord, "string", Command(parse::get),
        "Returns the value of a key."),
    plain("getdel", 2, &[Write, Fast], FirstWord, "string", Command(parse::getdel),
        "Removes a key; returns its value."),
    plain("getset", 3, &[Write, Fast], FirstWord, "string", Command(parse::getset),
        "Sets a key's value; returns the old one."),
    plain("hello", -1, &[Fast, NoAuth], NoKeys, "connection", Request(parse::hello),
        "Chooses the version of the protocol; returns facts about the server."),
    plain("incr", 2, &[Write, Fast], FirstWord, "string", Command(parse::incr),
        "Adds 1 to a number."),
    plain("incrby", 3, &[Write, Fast], FirstWord, "string", Command(parse::incrby),
        "Adds to a number."),
    plain("info", -1, &[], NoKeys, "server", Request(parse::info),
        "Returns facts and figures of the server."),
    plain("keys", 2, &[ReadOnly], NoKeys, "generic", Command(parse::keys),
        "Returns all keys that match a pattern."),
    plain("mget", -2, &[ReadOnly, Fast], AllWords, "string", Command(parse::mget),
        "Returns the values of keys."),
    plain("mset", -3, &[Write], EverySecondWord, "string", Command(parse::mset),
        "Sets the values of keys, all at once."),
    plain("multi", 1, &[Fast], NoKeys, "transactions", Request(parse::multi),
        "Queues the commands that follow."),
    plain("once", -4, &[Write], NoKeys, "generic", Once,
        "Runs a command once, however often it is sent: session, sequence, command."),
    plain("persist", 2, &[Write, Fast], FirstWord, "generic", Command(parse::persist),
        "Removes a key's expiry."),
    plain("pexpire", -3, &[Write, Fast], FirstWord, "generic", Command(parse::pexpire),
        "Lets a key expire after a number of milliseconds."),
    plain("ping", -1, &[Fast], NoKeys, "connection", Request(parse::ping),
        "Returns PONG, or its argument."),
    plain("psetex", 4, &[Write], FirstWord, "string", Command(parse::psetex),
        "Sets a key's value for a number of milliseconds."),
    plain("pttl", 2, &[ReadOnly, Fast], FirstWord, "generic", Command(parse::pttl),
        "Returns after how many milliseconds a key expires."),
    plain("quit", -1, &[Fast, NoAuth], NoKeys, "connection", Request(parse::quit),
        "Ends the connection."),
    container("raft", -2, &[Admin], "cluster", Subcommands, "About the cluster.", RAFT),
    plain("readonly", 1, &[Fast], NoKeys, "cluster", Request(parse::readonly),
        "Lets this server answer reads from its own state, which may be stale."),
    plain("readwrite", 1, &[Fast], NoKeys, "cluster", Request(parse::readwrite),
        "Lets reads see every write that was acknowledged before."),
    plain("reset", 1, &[Fast, NoAuth], NoKeys, "connection", Request(parse::reset),
        "Resets the connection."),
    plain("scan", -2, &[ReadOnly], NoKeys, "generic", Command(parse::scan),
        "Returns some of the keys, and the cursor to go on with."),
    plain("select", 2, &[Fast], NoKeys, "connection", Request(parse::select),
        "Accepted for 0, the only database."),
    container("session", -2, &[Write], "generic", Subcommands,
        "About sessions, in which commands run once.", SESSION),
    plain("set", -3, &[Write], FirstWord, "string", Command(parse::set), "Sets a key's value."),
    plain("setex", 4, &[Write], FirstWord, "string", Command(parse::setex),
        "Sets a key's value for a number of seconds."),
    plain("setnx", 3, &[Write, Fast], FirstWord, "string", Command(parse::setnx),
        "Sets the value of a key that does not exist; returns whether it did."),
    plain("strlen", 2, &[ReadOnly, Fast], FirstWord, "string", Command(parse::strlen),
        "Returns the length of a value."),
    plain("ttl", 2, &[ReadOnly, Fast], FirstWord, "generic", Command(parse::ttl),
        "Returns after how many seconds a key expires."),
    plain("type", 2, &[ReadOnly, Fast], FirstWord, "generic", Command(parse::type_of),
        "Returns the type of a key's value."),
    plain("unlink", -2, &[Write, Fast], AllWords, "generic", Command(parse::del),
        "Removes keys; returns how many there were."),
    plain("unwatch", 1, &[Fast], NoKeys, "transactions", Request(parse::unwatch),
        "Accepted: no key is ever watched."),
    plain("watch", -2, &[Fast], NoKeys, "transactions", Request(parse::watch),
        "Refused: use CAS, which compares and sets in one step."),
];

#[rustfmt::skip]
const CLIENT: &[Subcommand] = &[
    sub("getname", "client|getname", 2, Request(parse::client_get_name),
        "Returns the connection's name."),
    sub("id", "client|id", 2, Request(parse::client_id), "Returns the connection's number."),
    sub("info", "client|info", 2, Request(parse::client_info),
        "Returns a line about the connection."),
    sub("kill", "client|kill", -3, Request(parse::client_kill), "Refused."),
    sub("list", "client|list", -2, Request(parse::client_list),
        "Returns a line about each connection."),
    sub("no-evict", "client|no-evict", 3, Request(parse::client_no_evict),
        "Accepted: no client is ever evicted."),
    sub("no-touch", "client|no-touch", 3, Request(parse::client_no_touch),
        "Accepted: reading a key never changes anything of it."),
    sub("reply", "client|reply", 3, Request(parse::client_reply), "Refused."),
    sub("setinfo", "client|setinfo", 4, Request(parse::client_set_info),
        "Names the client's library, or its version."),
    sub("setname", "client|setname", 3, Request(parse::client_set_name), "Names the connection."),
];

#[rustfmt::skip]
const COMMAND: &[Subcommand] = &[
    sub("count", "command|count", 2, Request(parse::command_count),
        "Returns the number of commands."),
    sub("docs", "command|docs", -2, Request(parse::command_docs),
        "Returns the documentation of commands."),
    sub("getkeys", "command|getkeys", -4, Request(parse::command_get_keys),
        "Returns the keys among the words of a request."),
    sub("info", "command|info", -2, Request(parse::command_info),
        "Returns the commands with these names."),
    sub("list", "command|list", -2, Request(parse::command_list),
        "Returns the names of all commands."),
];

#[rustfmt::skip]
const CONFIG: &[Subcommand] = &[
    sub("get", "config|get", -3, Request(parse::config_get),
        "Returns settings, by patterns of their names."),
    sub("resetstat", "config|resetstat", 2, Request(parse::config_reset_stat),
        "Sets what INFO counts back to 0."),
    sub("set", "config|set", -4, Request(parse::config_set),
        "Refused: settings are read when the server starts."),
];

#[rustfmt::skip]
const RAFT: &[Subcommand] = &[
    sub("backup", "raft|backup", 3, Request(parse::backup),
        "OPEN takes a view of all keys; READ returns the next piece of it."),
    sub("campaign", "raft|campaign", 2, Request(parse::campaign),
        "Has this server begin an election."),
    sub("forward", "raft|forward", 5, Request(parse::forward),
        "Between servers: proposes an operation at the leader."),
    sub("here", "raft|here", -6, Here,
        "Between servers: runs a request about the cluster at the leader."),
    sub("join", "raft|join", -4, Request(parse::join),
        "Adds a server: node id, address for the other servers, incarnation, REPLACE."),
    sub("leave", "raft|leave", 3, Request(parse::leave), "Removes a server: node id."),
    sub("load", "raft|load", 3, Request(parse::load), "Loads a piece of a backup."),
    sub("move", "raft|move", 4, Request(parse::move_member),
        "Changes where the others reach a server: node id, host:port."),
    sub("promote", "raft|promote", 3, Request(parse::promote),
        "Makes a learner a voter: node id."),
    sub("snapshot", "raft|snapshot", 2, Request(parse::snapshot),
        "Takes a snapshot on this server."),
    sub("status", "raft|status", 2, Request(parse::status),
        "Returns the cluster as this server sees it."),
    sub("stepdown", "raft|stepdown", 2, Request(parse::step_down),
        "Has this server give up its leadership."),
    sub("transfer", "raft|transfer", -2, Request(parse::transfer),
        "Transfers leadership: to this node id, or to any ready server."),
];

#[rustfmt::skip]
const SESSION: &[Subcommand] = &[
    sub("close", "session|close", 3, Request(parse::session_close), "Ends a session."),
    sub("open", "session|open", 2, Request(parse::session_open),
        "Opens a session for ONCE; returns its number."),
];
