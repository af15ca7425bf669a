//! Sessions, and the commands about the cluster.

use super::arguments::{Arguments, syntax_error};
use super::types::{Addressee, AdminCommand, Request};
use super::{ParseLimits, resolve};
use crate::resp::table::Parser;
use crate::state::Reply;

/// What parsing a request yields.
type Parsed = Result<Request, Reply>;

pub(crate) fn session_open(_: Arguments) -> Parsed {
    Ok(Request::OpenSession)
}

pub(crate) fn session_close(mut arguments: Arguments) -> Parsed {
    Ok(Request::CloseSession(arguments.unsigned()?))
}

pub(crate) fn once(mut arguments: Arguments, limits: &ParseLimits) -> Parsed {
    let (session, sequence) = (arguments.unsigned()?, arguments.unsigned()?);
    let (spec, parser, arguments) = resolve(arguments.rest(), limits)?;
    match parser {
        Parser::State(parse) => Ok(Request::Once {
            session,
            sequence,
            command: parse(arguments)?,
        }),
        Parser::Other(_) | Parser::Nested(_) | Parser::Subcommands => {
            let name = spec.name;
            let message = format_args!("ONCE takes a command over keys, which '{name}' is not");
            Err(Reply::error("ERR", message))
        }
    }
}

pub(crate) fn status(_: Arguments) -> Parsed {
    Ok(Request::Admin(AdminCommand::Status))
}

pub(crate) fn join(mut arguments: Arguments) -> Parsed {
    let (node, peers) = (arguments.unsigned()?, arguments.next()?);
    let address = std::str::from_utf8(&peers)
        .ok()
        .filter(|text| is_address(text));
    let Some(peers) = address else {
        let peers = super::shown(&peers, super::SHOWN_BYTES);
        let message = format_args!("'{peers}' is not an address: give host:port");
        return Err(Reply::error("ERR", message));
    };
    let peers = peers.to_owned();
    Ok(Request::Admin(AdminCommand::Join { node, peers }))
}

/// Whether it has the form host:port; names are looked up later.
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
    let to = match arguments.left() {
        0 => None,
        _ => Some(arguments.unsigned()?),
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

fn addressee(arguments: &mut Arguments) -> Result<Addressee, Reply> {
    Ok(Addressee {
        cluster: arguments.unsigned()?,
        node: arguments.unsigned()?,
    })
}

/// The words behind the addressee are a whole request.
pub(crate) fn here(mut arguments: Arguments, limits: &ParseLimits) -> Parsed {
    let to = addressee(&mut arguments)?;
    let (_, parser, arguments) = resolve(arguments.rest(), limits)?;
    let request = match parser {
        Parser::Other(parse) => parse(arguments)?,
        Parser::State(_) | Parser::Nested(_) | Parser::Subcommands => return Err(syntax_error()),
    };
    let Request::Admin(request) = request else {
        return Err(syntax_error());
    };
    match request {
        AdminCommand::Join { .. }
        | AdminCommand::Leave(_)
        | AdminCommand::Promote(_)
        | AdminCommand::Transfer(_) => {
            let request = Box::new(request);
            Ok(Request::Admin(AdminCommand::Here { to, request }))
        }
        AdminCommand::Status
        | AdminCommand::Snapshot
        | AdminCommand::BackupOpen
        | AdminCommand::BackupRead
        | AdminCommand::Forward { .. }
        | AdminCommand::Load(_)
        | AdminCommand::Here { .. } => Err(syntax_error()),
    }
}
