//! Commands about the connection, or about this server alone.

use super::clients::User;
use super::connection::Connection;
use super::info;
use super::multi;
use super::outcome::integer;
use crate::resp::{ClientCommand, Credentials, LibraryAttribute, LocalCommand, Version};
use crate::settings::{ADMIN_USER, Settings};
use crate::state::{Pattern, Reply};
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
            LocalCommand::Select(database) => self.select(database),
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
                self.user = User::Default;
                (self.reads_stale, self.transaction, self.backup) = (false, None, None);
                self.missing_database = None;
                Reply::Simple("RESET".into())
            }
            LocalCommand::Hello {
                version,
                auth,
                name,
            } => {
                let user = auth.as_ref().map(|credentials| credentials.user.clone());
                let reply = self.hello(version, auth, name);
                self.slow_down(reply, user.as_deref()).await
            }
            LocalCommand::Auth { user, password } => {
                let reply = self.auth(user.as_deref(), &password);
                self.slow_down(reply, user.as_deref()).await
            }
            LocalCommand::Client(command) => self.client(command),
            LocalCommand::Info(sections) => info::info(&self.context, &sections).await,
            LocalCommand::Command(command) => command.reply(),
            LocalCommand::ConfigGet(patterns) => config_get(&self.context.settings, &patterns),
            LocalCommand::ConfigResetStat => info::reset(&self.context).await,
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
            LocalCommand::Exec => self.exec().await,
            LocalCommand::Unwatch => Reply::Ok,
        }
    }

    /// There is only database 0. Some clients choose another one when they connect, and do not look
    /// at the reply. They must not find themselves among the keys of database 0.
    fn select(&mut self, database: i64) -> Reply {
        self.missing_database = Some(database).filter(|database| *database != 0);
        match self.missing_database {
            None => Reply::Ok,
            Some(_) => Reply::error("ERR", "DB index is out of range"),
        }
    }

    /// Says that a password was wrong, and waits before the client is told: longer each time.
    async fn slow_down(&mut self, reply: Reply, user: Option<&[u8]>) -> Reply {
        if reply != wrong_password() {
            return reply;
        }
        let client = self.slot.get().socket.address.to_string();
        self.failed_passwords = self.failed_passwords.saturating_add(1);
        let failed = self.failed_passwords;
        // Only names that the server knows: a client may send anything as a name, also a password.
        let user = match user {
            None | Some(b"default") => "default",
            Some(user) if user == ADMIN_USER.as_bytes() => ADMIN_USER,
            Some(_) => "unknown",
        };
        tracing::warn!(client, user, failed, "a client gave a wrong password");
        let pause = WRONG_PASSWORD_PAUSE * (1 << failed.min(MAX_DOUBLINGS));
        tokio::time::sleep(pause).await;
        reply
    }

    fn auth(&mut self, user: Option<&[u8]>, password: &[u8]) -> Reply {
        if let Some(wanted) = &self.context.settings.admin_password
            && user == Some(ADMIN_USER.as_bytes())
        {
            if !is_equal(wanted.as_bytes(), password) {
                return wrong_password();
            }
            (self.is_authenticated, self.user) = (true, User::Admin);
            return Reply::Ok;
        }
        let Some(wanted) = &self.context.settings.password else {
            // Without a password, the default user may give any, as in Redis.
            match user {
                Some(b"default") => {
                    self.user = User::Default;
                    return Reply::Ok;
                }
                Some(_) => return wrong_password(),
                None => {}
            }
            let what = "AUTH <password> called without any password configured for the default \
                        user. Are you sure your configuration is correct?";
            return Reply::error("ERR", what);
        };
        let is_user = user.is_none_or(|user| user == b"default");
        if is_equal(wanted.as_bytes(), password) && is_user {
            (self.is_authenticated, self.user) = (true, User::Default);
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
            ClientCommand::GetName => match self.slot.get().name {
                name if name.is_empty() => Reply::Nil,
                name => Reply::text(name),
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
                self.show();
                Reply::text(self.slot.get().line())
            }
            ClientCommand::List(filter) => {
                self.show();
                Reply::text(self.context.clients.list(&filter))
            }
            ClientCommand::NoEvict | ClientCommand::NoTouch => Reply::Ok,
        }
    }
}

/// CONFIG GET: the settings that have a counterpart in Redis, under the name that it has there.
fn config_get(settings: &Settings, patterns: &[Bytes]) -> Reply {
    let seconds = |span: Option<Duration>| span.map_or(0, |span| span.as_secs()).to_string();
    let limit = settings.client_output_buffer_limit;
    let known = [
        ("appendfsync", "always".to_owned()),
        ("appendonly", "yes".to_owned()),
        (
            "client-output-buffer-limit",
            format!("normal {limit} {limit} 10 slave 0 0 0 pubsub 0 0 0"),
        ),
        ("databases", "1".to_owned()),
        ("maxclients", settings.max_connections.to_string()),
        ("maxmemory", settings.max_memory.unwrap_or(0).to_string()),
        ("maxmemory-clients", settings.maxmemory_clients.to_string()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("proto-max-bulk-len", settings.max_value_bytes.to_string()),
        ("save", String::new()),
        ("tcp-keepalive", seconds(settings.tcp_keepalive)),
        ("timeout", seconds(settings.client_timeout)),
    ];
    let patterns = patterns.iter().map(|pattern| pattern.to_ascii_lowercase());
    let patterns: Vec<_> = patterns.collect();
    let is_wanted = |name: &str| {
        let mut patterns = patterns.iter().map(|pattern| Pattern::new(pattern));
        patterns.any(|pattern| pattern.matches(name.as_bytes()))
    };
    let pairs = known.into_iter().filter(|(name, _)| is_wanted(name));
    Reply::Map(
        pairs
            .map(|(name, value)| (Reply::text(name), Reply::text(value)))
            .collect(),
    )
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
