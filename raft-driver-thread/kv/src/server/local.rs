//! Commands that concern the connection, or this server alone.

use super::combine::Batch;
use super::connection::{Connection, Queue};
use super::info;
use crate::resp::{ClientCommand, Credentials, LibraryAttribute, LocalCommand, Version};
use crate::state::{Answer, Operation, Reply};
use bytes::Bytes;
use std::hash::BuildHasher;

impl Connection {
    pub(super) async fn local(&mut self, request: LocalCommand) -> Reply {
        match request {
            LocalCommand::Ping(None) => Reply::Simple("PONG".into()),
            LocalCommand::Ping(Some(message)) | LocalCommand::Echo(message) => Reply::Bulk(message),
            LocalCommand::Select(0) => Reply::Ok,
            LocalCommand::Select(_) => Reply::error("ERR", "DB index is out of range"),
            LocalCommand::Quit => {
                self.is_over = true;
                Reply::Ok
            }
            LocalCommand::Reset => {
                self.version = Version::Two;
                self.place.change(|client| {
                    client.name.clear();
                    client.protocol = Version::Two.number();
                });
                self.is_trusted = self.shared.settings.password.is_none();
                (self.reads_stale, self.queue, self.backup) = (false, None, None);
                Reply::Simple("RESET".into())
            }
            LocalCommand::Hello {
                version,
                auth,
                name,
            } => self.hello(version, auth, name),
            LocalCommand::Auth { user, password } => self.auth(user.as_deref(), &password),
            LocalCommand::Client(command) => self.client(command),
            LocalCommand::Info(sections) => info::info(&self.shared, &sections).await,
            LocalCommand::Command(command) => command.reply(),
            LocalCommand::ConfigGet(_) => Reply::Map(Vec::new()),
            LocalCommand::ReadOnly => {
                self.reads_stale = true;
                Reply::Ok
            }
            LocalCommand::ReadWrite => {
                self.reads_stale = false;
                Reply::Ok
            }
            LocalCommand::Multi
            | LocalCommand::Exec
            | LocalCommand::Discard
            | LocalCommand::Unwatch => self.transaction(&request).await,
        }
    }

    async fn transaction(&mut self, request: &LocalCommand) -> Reply {
        let queue = self.queue.take();
        match (request, queue) {
            (LocalCommand::Multi, None) => {
                self.queue = Some(Queue::default());
                Reply::Ok
            }
            (LocalCommand::Multi, queue) => {
                self.queue = queue;
                Reply::error("ERR", "MULTI calls can not be nested")
            }
            (LocalCommand::Exec, None) => Reply::error("ERR", "EXEC without MULTI"),
            (LocalCommand::Exec, Some(queue)) if queue.is_broken => Reply::error(
                "EXECABORT",
                "Transaction discarded because of previous errors.",
            ),
            (LocalCommand::Exec, Some(queue)) => self.exec(queue).await,
            (LocalCommand::Discard, Some(_)) => Reply::Ok,
            (LocalCommand::Discard, None) => Reply::error("ERR", "DISCARD without MULTI"),
            (LocalCommand::Unwatch, queue) => {
                self.queue = queue;
                Reply::Ok
            }
            (_, queue) => {
                self.queue = queue;
                Reply::error("ERR", "not a request about transactions")
            }
        }
    }

    /// All of a transaction's commands are one batch, in which nothing comes in between.
    async fn exec(&mut self, queue: Queue) -> Reply {
        if queue.commands.is_empty() {
            return Reply::Array(Vec::new());
        }
        let batch = Batch::new(queue.commands, queue.bytes);
        let run = self.try_run(batch).await;
        run.map_or_else(Reply::from, Reply::Array)
    }

    fn auth(&mut self, user: Option<&[u8]>, password: &[u8]) -> Reply {
        let Some(wanted) = &self.shared.settings.password else {
            // The default user takes any password then, if it is named.
            match user {
                Some(b"default") => return Reply::Ok,
                Some(_) => return wrong_password(),
                None => {}
            }
            let what = "AUTH <password> called without any password configured for the default \
                        user. Are you sure your configuration is correct?";
            return Reply::error("ERR", what);
        };
        let is_user = user.is_none_or(|user| user == b"default");
        if is_same(wanted.as_bytes(), password) && is_user {
            self.is_trusted = true;
            return Reply::Ok;
        }
        wrong_password()
    }

    fn hello(
        &mut self,
        version: Option<u8>,
        auth: Option<Credentials>,
        name: Option<Bytes>,
    ) -> Reply {
        if let Some(Credentials { user, password }) = auth {
            let reply = self.auth(Some(&user), &password);
            if reply != Reply::Ok {
                return reply;
            }
        }
        if !self.is_trusted {
            let what = "HELLO must be called with the client already authenticated, otherwise the \
                        HELLO <proto> AUTH <user> <pass> option can be used to authenticate the \
                        client and select the RESP protocol version at the same time";
            return Reply::error("NOAUTH", what);
        }
        self.version = match version.map(Version::from_number) {
            None => self.version,
            Some(Some(version)) => version,
            Some(None) => return Reply::error("NOPROTO", "unsupported protocol version"),
        };
        let protocol = self.version.number();
        self.place.change(|client| client.protocol = protocol);
        if let Some(name) = name {
            self.set_name(&name);
        }
        let pair = |key: &str, value: Reply| (Reply::text(key), value);
        Reply::Map(vec![
            pair("server", Reply::text("raft-kv")),
            pair("version", Reply::text(info::COMPATIBLE)),
            pair("proto", Reply::Integer(protocol.into())),
            pair("id", number(self.place.id)),
            pair("mode", Reply::text("standalone")),
            pair("role", Reply::text("master")),
            pair("modules", Reply::Array(Vec::new())),
        ])
    }

    fn set_name(&self, name: &[u8]) {
        let name = String::from_utf8_lossy(name).into_owned();
        self.place.change(|client| client.name = name);
    }

    fn client(&mut self, command: ClientCommand) -> Reply {
        match command {
            ClientCommand::Id => number(self.place.id),
            ClientCommand::GetName => match self.place.get() {
                Some(client) if !client.name.is_empty() => Reply::text(client.name),
                Some(_) | None => Reply::Nil,
            },
            ClientCommand::SetName(name) => {
                self.set_name(&name);
                Reply::Ok
            }
            ClientCommand::SetInfo { attribute, value } => {
                let value = String::from_utf8_lossy(&value).into_owned();
                self.place.change(|client| match attribute {
                    LibraryAttribute::Name => client.library = value,
                    LibraryAttribute::Version => client.library_version = value,
                });
                Reply::Ok
            }
            ClientCommand::Info => {
                let line = self.place.get().map(|client| client.line());
                Reply::text(line.unwrap_or_default())
            }
            ClientCommand::List => Reply::text(self.shared.clients.list()),
            ClientCommand::NoEvict | ClientCommand::NoTouch => Reply::Ok,
        }
    }

    pub(super) async fn open_session(&mut self) -> Reply {
        match self
            .shared
            .gateway
            .propose(&Operation::OpenSession(draw()))
            .await
        {
            Ok(Answer::Session(session)) => number(session),
            Ok(answer) => Reply::error("ERR", format!("the cluster answered {answer:?}")),
            Err(error) => error.into(),
        }
    }

    pub(super) async fn close_session(&mut self, session: u64) -> Reply {
        let operation = Operation::CloseSession(session);
        match self.shared.gateway.propose(&operation).await {
            Ok(_) => Reply::Ok,
            Err(error) => error.into(),
        }
    }
}

/// A number for a session that nobody guesses. It has no more bits because clients in JavaScript take
/// numbers for floating-point ones.
pub(super) fn draw() -> u64 {
    // Made with random keys, as the maps of the standard library are.
    let keys = std::collections::hash_map::RandomState::new();
    (keys.hash_one(super::clock::millis()) >> 11).max(1)
}

pub(super) fn number(number: u64) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn wrong_password() -> Reply {
    let what = "invalid username-password pair or user is disabled.";
    Reply::error("WRONGPASS", what)
}

/// Compares in a time that does not tell where they differ.
fn is_same(wanted: &[u8], given: &[u8]) -> bool {
    let differences = wanted
        .iter()
        .zip(given)
        .fold(0, |all, (a, b)| all | (a ^ b));
    wanted.len() == given.len() && differences == 0
}
