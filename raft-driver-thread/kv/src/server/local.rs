//! Commands about the connection, or about this server alone.

use super::connection::Connection;
use super::info;
use super::multi;
use super::outcome::integer;
use crate::resp::{ClientCommand, Credentials, LibraryAttribute, LocalCommand, Version};
use crate::state::Reply;
use bytes::Bytes;
use std::time::Duration;

/// How long a client waits after the first wrong password, and how often that doubles.
const WRONG_PASSWORD_PAUSE: Duration = Duration::from_millis(50);
const MAX_DOUBLINGS: u32 = 6;

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
                self.slot.change(|client| {
                    client.name.clear();
                    client.protocol = Version::Two.number();
                });
                self.is_authenticated = self.context.settings.password.is_none();
                (self.reads_stale, self.transaction, self.backup) = (false, None, None);
                Reply::Simple("RESET".into())
            }
            LocalCommand::Hello {
                version,
                auth,
                name,
            } => {
                let reply = self.hello(version, auth, name);
                self.slow_down(reply).await
            }
            LocalCommand::Auth { user, password } => {
                let reply = self.auth(user.as_deref(), &password);
                self.slow_down(reply).await
            }
            LocalCommand::Client(command) => self.client(command),
            LocalCommand::Info(sections) => info::info(&self.context, &sections).await,
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
            LocalCommand::Multi => multi::begin(&mut self.transaction),
            LocalCommand::Discard => multi::discard(&mut self.transaction),
            LocalCommand::Exec => match multi::take_batch(&mut self.transaction) {
                Ok(batch) => {
                    let run = self.try_run(batch).await;
                    run.map_or_else(Reply::from, Reply::Array)
                }
                Err(reply) => reply,
            },
            LocalCommand::Unwatch => Reply::Ok,
        }
    }

    /// Says that a password was wrong, and waits before the client is told: longer each time.
    async fn slow_down(&mut self, reply: Reply) -> Reply {
        if reply != wrong_password() {
            return reply;
        }
        let client = self.slot.get().map(|client| client.address.to_string());
        self.failed_passwords = self.failed_passwords.saturating_add(1);
        let failed = self.failed_passwords;
        tracing::warn!(
            client = client.unwrap_or_default(),
            failed,
            "a client gave a wrong password"
        );
        let pause = WRONG_PASSWORD_PAUSE * (1 << failed.min(MAX_DOUBLINGS));
        tokio::time::sleep(pause).await;
        reply
    }

    fn auth(&mut self, user: Option<&[u8]>, password: &[u8]) -> Reply {
        let Some(wanted) = &self.context.settings.password else {
            // Without a password, the default user may give any, as in Redis.
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
        if is_equal(wanted.as_bytes(), password) && is_user {
            self.is_authenticated = true;
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
        if !self.is_authenticated {
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
        self.slot.change(|client| client.protocol = protocol);
        if let Some(name) = name {
            self.set_name(&name);
        }
        let pair = |key: &str, value: Reply| (Reply::text(key), value);
        Reply::Map(vec![
            pair("server", Reply::text("raft-kv")),
            pair("version", Reply::text(info::COMPATIBLE)),
            pair("proto", Reply::Integer(protocol.into())),
            pair("id", integer(self.slot.id)),
            pair("mode", Reply::text("standalone")),
            pair("role", Reply::text("master")),
            pair("modules", Reply::Array(Vec::new())),
        ])
    }

    fn set_name(&self, name: &[u8]) {
        let name = String::from_utf8_lossy(name).into_owned();
        self.slot.change(|client| client.name = name);
    }

    fn client(&mut self, command: ClientCommand) -> Reply {
        match command {
            ClientCommand::Id => integer(self.slot.id),
            ClientCommand::GetName => match self.slot.get() {
                Some(client) if !client.name.is_empty() => Reply::text(client.name),
                Some(_) | None => Reply::Nil,
            },
            ClientCommand::SetName(name) => {
                self.set_name(&name);
                Reply::Ok
            }
            ClientCommand::SetInfo { attribute, value } => {
                let value = String::from_utf8_lossy(&value).into_owned();
                self.slot.change(|client| match attribute {
                    LibraryAttribute::Name => client.library = value,
                    LibraryAttribute::Version => client.library_version = value,
                });
                Reply::Ok
            }
            ClientCommand::Info => {
                let line = self.slot.get().map(|client| client.line());
                Reply::text(line.unwrap_or_default())
            }
            ClientCommand::List => Reply::text(self.context.clients.list()),
            ClientCommand::NoEvict | ClientCommand::NoTouch => Reply::Ok,
        }
    }
}

fn wrong_password() -> Reply {
    let what = "invalid username-password pair or user is disabled.";
    Reply::error("WRONGPASS", what)
}

/// Compares in constant time, so that the time does not tell where the two differ.
fn is_equal(wanted: &[u8], given: &[u8]) -> bool {
    let differences = wanted
        .iter()
        .zip(given)
        .fold(0, |all, (a, b)| all | (a ^ b));
    wanted.len() == given.len() && differences == 0
}
