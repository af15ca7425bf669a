//! The commands that one server answers by itself.

use super::arguments::{Arguments, Parsed, SHOWN_BYTES, shown, syntax_error};
use crate::resp::encode::Version;
use crate::resp::number;
use crate::resp::request::{
    ClientCommand, ClientFilter, CommandCommand, Credentials, LibraryAttribute, LocalCommand,
    Request,
};
use crate::state::Reply;
use bytes::Bytes;

fn local(request: LocalCommand) -> Parsed {
    Ok(Request::Local(request))
}

fn client(command: ClientCommand) -> Parsed {
    local(LocalCommand::Client(command))
}

fn command(command: CommandCommand) -> Parsed {
    local(LocalCommand::Command(command))
}

fn refused(reason: &str) -> Parsed {
    Err(Reply::error("ERR", reason))
}

pub(crate) fn ping(mut arguments: Arguments) -> Parsed {
    match arguments.left() {
        0 | 1 => local(LocalCommand::Ping(arguments.optional())),
        _ => Err(arguments.wrong_number()),
    }
}

pub(crate) fn echo(mut arguments: Arguments) -> Parsed {
    local(LocalCommand::Echo(arguments.next()?))
}

pub(crate) fn select(mut arguments: Arguments) -> Parsed {
    match arguments.integer()? {
        number if i32::try_from(number).is_err() => {
            refused("value is out of range, value must between -2147483648 and 2147483647")
        }
        number => local(LocalCommand::Select(number)),
    }
}

pub(crate) fn quit(_: Arguments) -> Parsed {
    local(LocalCommand::Quit)
}

pub(crate) fn reset(_: Arguments) -> Parsed {
    local(LocalCommand::Reset)
}

pub(crate) fn hello(mut arguments: Arguments) -> Parsed {
    let version = match arguments.optional() {
        None => None,
        Some(word) => {
            let not_a_number = "Protocol version is not an integer or out of range";
            let number = number::integer(&word).ok_or_else(|| Reply::error("ERR", not_a_number))?;
            let version = u8::try_from(number).ok().and_then(Version::from_number);
            let unsupported = || Reply::error("NOPROTO", "unsupported protocol version");
            Some(version.ok_or_else(unsupported)?.number())
        }
    };
    let (mut auth, mut name) = (None, None);
    while let Some(option) = arguments.optional() {
        let left = arguments.left();
        if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
            auth = Some(Credentials {
                user: arguments.next()?,
                password: arguments.next()?,
            });
        } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
            let word = arguments.next()?;
            require_printable(&word, "Client names")?;
            name = Some(word);
        } else {
            let option = shown(&option, SHOWN_BYTES);
            let message = format_args!("Syntax error in HELLO option '{option}'");
            return Err(Reply::error("ERR", message));
        }
    }
    local(LocalCommand::Hello {
        version,
        auth,
        name,
    })
}

/// Refuses blanks and line ends: lists of connections show the word between blanks.
fn require_printable(word: &[u8], what: &str) -> Result<(), Reply> {
    if word.iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    let message = format_args!("{what} cannot contain spaces, newlines or special characters.");
    Err(Reply::error("ERR", message))
}

pub(crate) fn auth(mut arguments: Arguments) -> Parsed {
    let first = arguments.next()?;
    let second = arguments.optional();
    arguments.end()?;
    local(match second {
        None => LocalCommand::Auth {
            user: None,
            password: first,
        },
        Some(password) => LocalCommand::Auth {
            user: Some(first),
            password,
        },
    })
}

pub(crate) fn client_id(_: Arguments) -> Parsed {
    client(ClientCommand::Id)
}

pub(crate) fn client_get_name(_: Arguments) -> Parsed {
    client(ClientCommand::GetName)
}

pub(crate) fn client_set_name(mut arguments: Arguments) -> Parsed {
    let name = arguments.next()?;
    require_printable(&name, "Client names")?;
    client(ClientCommand::SetName(name))
}

pub(crate) fn client_set_info(mut arguments: Arguments) -> Parsed {
    let name = arguments.next()?;
    let (attribute, what) = if name.eq_ignore_ascii_case(b"lib-name") {
        (LibraryAttribute::Name, "lib-name")
    } else if name.eq_ignore_ascii_case(b"lib-ver") {
        (LibraryAttribute::Version, "lib-ver")
    } else {
        let name = shown(&name, SHOWN_BYTES);
        let message = format_args!("Unrecognized option '{name}'");
        return Err(Reply::error("ERR", message));
    };
    let value = arguments.next()?;
    require_printable(&value, what)?;
    client(ClientCommand::SetInfo { attribute, value })
}

pub(crate) fn client_info(_: Arguments) -> Parsed {
    client(ClientCommand::Info)
}

pub(crate) fn client_list(mut arguments: Arguments) -> Parsed {
    let filter = match (arguments.option().as_deref(), arguments.left()) {
        (None, _) => ClientFilter::All,
        (Some(b"TYPE"), 1) => client_type(&arguments.next()?)?,
        (Some(b"ID"), 1..) => {
            let invalid = || Reply::error("ERR", "Invalid client ID");
            let id = |word: Bytes| number::unsigned(&word).filter(|id| *id > 0);
            let ids = arguments.rest().into_iter();
            let ids: Option<_> = ids.map(id).collect();
            ClientFilter::Ids(ids.ok_or_else(invalid)?)
        }
        (Some(_), _) => return Err(syntax_error()),
    };
    client(ClientCommand::List(filter))
}

fn client_type(word: &[u8]) -> Result<ClientFilter, Reply> {
    let is = |name: &&str| word.eq_ignore_ascii_case(name.as_bytes());
    if is(&"normal") {
        return Ok(ClientFilter::All);
    }
    if ["master", "replica", "slave", "pubsub"].iter().any(is) {
        return Ok(ClientFilter::Nobody);
    }
    let word = shown(word, SHOWN_BYTES);
    let message = format_args!("Unknown client type '{word}'");
    Err(Reply::error("ERR", message))
}

pub(crate) fn client_no_evict(arguments: Arguments) -> Parsed {
    on_or_off(arguments, ClientCommand::NoEvict)
}

pub(crate) fn client_no_touch(arguments: Arguments) -> Parsed {
    on_or_off(arguments, ClientCommand::NoTouch)
}

/// Takes ON or OFF, neither of which changes anything here.
fn on_or_off(mut arguments: Arguments, command: ClientCommand) -> Parsed {
    match arguments.option().as_deref() {
        Some(b"ON" | b"OFF") => client(command),
        None | Some(_) => Err(syntax_error()),
    }
}

pub(crate) fn client_reply(_: Arguments) -> Parsed {
    refused("CLIENT REPLY is not supported: every request is answered")
}

pub(crate) fn client_kill(_: Arguments) -> Parsed {
    refused("CLIENT KILL is not supported: clients end their connections themselves")
}

pub(crate) fn info(arguments: Arguments) -> Parsed {
    local(LocalCommand::Info(arguments.rest()))
}

pub(crate) fn command_all(_: Arguments) -> Parsed {
    command(CommandCommand::All)
}

pub(crate) fn command_count(_: Arguments) -> Parsed {
    command(CommandCommand::Count)
}

pub(crate) fn command_docs(arguments: Arguments) -> Parsed {
    command(CommandCommand::Docs(arguments.rest()))
}

pub(crate) fn command_get_keys(arguments: Arguments) -> Parsed {
    command(CommandCommand::GetKeys(arguments.rest()))
}

pub(crate) fn command_info(arguments: Arguments) -> Parsed {
    command(CommandCommand::Info(arguments.rest()))
}

pub(crate) fn command_list(arguments: Arguments) -> Parsed {
    arguments.end()?;
    command(CommandCommand::List)
}

pub(crate) fn config_get(arguments: Arguments) -> Parsed {
    local(LocalCommand::ConfigGet(arguments.rest()))
}

pub(crate) fn config_reset_stat(_: Arguments) -> Parsed {
    local(LocalCommand::ConfigResetStat)
}

pub(crate) fn config_set(_: Arguments) -> Parsed {
    refused("CONFIG SET is not supported: settings are read when the server starts")
}

pub(crate) fn readonly(_: Arguments) -> Parsed {
    local(LocalCommand::ReadOnly)
}

pub(crate) fn readwrite(_: Arguments) -> Parsed {
    local(LocalCommand::ReadWrite)
}

pub(crate) fn multi(_: Arguments) -> Parsed {
    local(LocalCommand::Multi)
}

pub(crate) fn exec(_: Arguments) -> Parsed {
    local(LocalCommand::Exec)
}

pub(crate) fn discard(_: Arguments) -> Parsed {
    local(LocalCommand::Discard)
}

pub(crate) fn watch(_: Arguments) -> Parsed {
    refused("WATCH is not supported: CAS compares a key and sets it in one step")
}

pub(crate) fn unwatch(_: Arguments) -> Parsed {
    local(LocalCommand::Unwatch)
}
