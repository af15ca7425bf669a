//! The commands about sessions and about the cluster.

use super::arguments::{Arguments, Parsed, SHOWN_BYTES, shown, syntax_error};
use crate::resp::request::{Addressee, AdminCommand, Join, Move, Replace, Request};
use crate::state::Reply;

pub(crate) fn session_open(_: Arguments) -> Parsed {
    Ok(Request::OpenSession)
}

pub(crate) fn session_close(mut arguments: Arguments) -> Parsed {
    Ok(Request::CloseSession(arguments.unsigned()?))
}

pub(crate) fn status(_: Arguments) -> Parsed {
    Ok(Request::Admin(AdminCommand::Status))
}

pub(crate) fn join(mut arguments: Arguments) -> Parsed {
    let (node, peers) = (arguments.unsigned()?, address(&mut arguments)?);
    let incarnation = arguments.optional();
    let incarnation = incarnation.map(|word| incarnation_of(&word)).transpose()?;
    let replace = match arguments.option().as_deref() {
        None => Replace::Lost,
        Some(b"REPLACE") => Replace::Any,
        Some(_) => return Err(syntax_error()),
    };
    arguments.end()?;
    Ok(Request::Admin(AdminCommand::Join(Join {
        node,
        peers,
        incarnation,
        replace,
    })))
}

pub(crate) fn move_member(mut arguments: Arguments) -> Parsed {
    let (node, peers) = (arguments.unsigned()?, address(&mut arguments)?);
    Ok(Request::Admin(AdminCommand::Move(Move { node, peers })))
}

pub(crate) fn campaign(_: Arguments) -> Parsed {
    Ok(Request::Admin(AdminCommand::Campaign))
}

pub(crate) fn step_down(_: Arguments) -> Parsed {
    Ok(Request::Admin(AdminCommand::StepDown))
}

/// An address of a server, for other servers.
fn address(arguments: &mut Arguments) -> Result<String, Reply> {
    let word = arguments.next()?;
    let text = std::str::from_utf8(&word).ok();
    let address = text.filter(|text| is_address(text));
    address.map(str::to_owned).ok_or_else(|| {
        let word = shown(&word, SHOWN_BYTES);
        let message = format_args!("'{word}' is not an address: give host:port");
        Reply::error("ERR", message)
    })
}

/// An incarnation, as `RAFT STATUS` writes it.
fn incarnation_of(word: &[u8]) -> Result<u64, Reply> {
    let text = std::str::from_utf8(word).ok();
    let number = text.and_then(|text| u64::from_str_radix(text, 16).ok());
    number.ok_or_else(|| {
        let word = shown(word, SHOWN_BYTES);
        let message = format_args!("'{word}' is no incarnation: give hexadecimal digits");
        Reply::error("ERR", message)
    })
}

/// Whether the text has the form host:port. Host names are resolved later.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let blank = |letter: char| letter.is_whitespace() || letter.is_control();
    !host.is_empty() && !host.contains(blank) && port.parse().is_ok_and(|port: u16| port > 0)
}

pub(crate) fn leave(mut arguments: Arguments) -> Parsed {
    Ok(Request::Admin(AdminCommand::Leave(arguments.unsigned()?)))
}

pub(crate) fn promote(mut arguments: Arguments) -> Parsed {
    Ok(Request::Admin(AdminCommand::Promote(arguments.unsigned()?)))
}

pub(crate) fn transfer(mut arguments: Arguments) -> Parsed {
    let to = if arguments.left() > 0 {
        Some(arguments.unsigned()?)
    } else {
        None
    };
    arguments.end()?;
    Ok(Request::Admin(AdminCommand::Transfer(to)))
}

pub(crate) fn snapshot(_: Arguments) -> Parsed {
    Ok(Request::Admin(AdminCommand::Snapshot))
}

pub(crate) fn backup(mut arguments: Arguments) -> Parsed {
    match arguments.option().as_deref() {
        Some(b"OPEN") => Ok(Request::Admin(AdminCommand::BackupOpen)),
        Some(b"READ") => Ok(Request::Admin(AdminCommand::BackupRead)),
        None | Some(_) => Err(syntax_error()),
    }
}

pub(crate) fn forward(mut arguments: Arguments) -> Parsed {
    let to = addressee(&mut arguments)?;
    let operation = arguments.next()?;
    Ok(Request::Admin(AdminCommand::Forward { to, operation }))
}

pub(crate) fn load(mut arguments: Arguments) -> Parsed {
    Ok(Request::Admin(AdminCommand::Load(arguments.next()?)))
}

/// The first two arguments of what servers send each other.
pub(crate) fn addressee(arguments: &mut Arguments) -> Result<Addressee, Reply> {
    Ok(Addressee {
        cluster: arguments.unsigned()?,
        node: arguments.unsigned()?,
    })
}
