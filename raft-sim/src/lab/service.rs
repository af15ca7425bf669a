//! The replicated service of the lab, and the checks on what it applies.
//!
//! The service is the list of commands itself. All servers must apply the same command at an index
//! (State Machine Safety, section 5.4.3), so one list serves all servers. The state of each server
//! is its position in the list.

use super::codec::{put_number, take_number};
use super::failure::Violation;
use bytes::Bytes;
use raft_proto::Entry;

/// What the service does besides applying commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    /// Nothing.
    Log,
    /// It makes a snapshot whenever it has applied an index that ends in 9.
    Snapshots,
}

/// The services of all servers.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) kind: ServiceKind,
    /// The command at each index from 1 on that any server has ever applied.
    commands: Vec<Bytes>,
    /// All of `commands`, as a snapshot holds them, and the end of each one there.
    encoded: Vec<u8>,
    ends: Vec<usize>,
    servers: Vec<Progress>,
}

/// The position of a server.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The tester's record: the server has applied all indexes up to this one. It survives a crash;
    /// a snapshot replaces it.
    recorded: u64,
    /// The last index applied by this incarnation.
    last_applied: u64,
}

impl Service {
    pub(crate) fn new(kind: ServiceKind, servers: usize) -> Service {
        Service {
            kind,
            commands: Vec::new(),
            encoded: Vec::new(),
            ends: Vec::new(),
            servers: vec![Progress::default(); servers],
        }
    }

    /// The highest index that any server has applied.
    pub(crate) fn highest(&self) -> u64 {
        self.commands.len() as u64
    }

    /// The command that was applied at `index`, by any server.
    pub(crate) fn command(&self, index: u64) -> Option<&Bytes> {
        self.commands.get(index.checked_sub(1)? as usize)
    }

    /// Every command applied, by index.
    pub(crate) fn commands(&self) -> &[Bytes] {
        &self.commands
    }

    /// The number of servers, running or not, whose record has `index`.
    pub(crate) fn committed_on(&self, index: u64) -> usize {
        let has = |progress: &&Progress| index >= 1 && progress.recorded >= index;
        self.servers.iter().filter(has).count()
    }

    /// `server` starts again, from a snapshot if it has one.
    pub(crate) fn start(
        &mut self,
        server: usize,
        snapshot: Option<&[u8]>,
    ) -> Result<(), Violation> {
        self.servers[server].last_applied = 0;
        match snapshot {
            Some(snapshot) => self.load(server, snapshot).map(|_| ()),
            None => Ok(()),
        }
    }

    /// `server` applies `entry`: in order, and the same command as all others.
    pub(crate) fn apply(&mut self, server: usize, entry: &Entry<'_>) -> Result<(), Violation> {
        let index = entry.index().0;
        let progress = &mut self.servers[server];
        let next = match self.kind {
            ServiceKind::Log => index.min(progress.recorded + 1).max(1),
            ServiceKind::Snapshots => progress.last_applied + 1,
        };
        if index != next || index > progress.recorded + 1 {
            return Err(Violation::new(
                format!("server {server} applies in order: index {next} is next"),
                format!("it applies index {index}"),
            ));
        }
        progress.last_applied = index;
        progress.recorded = progress.recorded.max(index);
        // Lossless: the list fits into memory.
        match self.commands.get(index as usize - 1) {
            Some(command) if command[..] == *entry.payload() => Ok(()),
            Some(command) => Err(Violation::new(
                format!("all servers apply the same command at index {index}: {command:?}"),
                format!("server {server} applies {:?}", entry.payload()),
            )),
            None => {
                self.append(entry);
                Ok(())
            }
        }
    }

    fn append(&mut self, entry: &Entry<'_>) {
        self.commands.push(entry.share_payload());
        if self.kind == ServiceKind::Snapshots {
            put_number(&mut self.encoded, entry.payload().len() as u64);
            self.encoded.extend_from_slice(entry.payload());
            self.ends.push(self.encoded.len());
        }
    }

    /// The snapshot that the service makes after applying `index`, if one is due: the index, and
    /// all commands up to it. It grows without bound; only the Raft state is bounded.
    pub(crate) fn snapshot_due(&self, index: u64) -> Option<Bytes> {
        if self.kind == ServiceKind::Log || !(index + 1).is_multiple_of(10) {
            return None;
        }
        let commands = self.encoded_through(index)?;
        let mut snapshot = Vec::with_capacity(commands.len() + 10);
        put_number(&mut snapshot, index);
        snapshot.extend_from_slice(commands);
        Some(Bytes::from(snapshot))
    }

    fn encoded_through(&self, index: u64) -> Option<&[u8]> {
        let end = *self.ends.get(index.checked_sub(1)? as usize)?;
        self.encoded.get(..end)
    }

    /// The core hands a snapshot to `server`, and says that it ends at `announced`.
    pub(crate) fn restore(
        &mut self,
        server: usize,
        announced: u64,
        snapshot: &[u8],
    ) -> Result<(), Violation> {
        let index = self.load(server, snapshot)?;
        if index == announced {
            return Ok(());
        }
        Err(Violation::new(
            format!("the snapshot for server {server} ends at index {announced}, as announced"),
            format!("it ends at index {index}"),
        ))
    }

    /// The state of the server becomes the content of the snapshot, which must be a prefix of the
    /// commands that were applied.
    fn load(&mut self, server: usize, snapshot: &[u8]) -> Result<u64, Violation> {
        let expected = || format!("the snapshot for server {server} is one that a server made");
        let mut rest = snapshot;
        let Some(index) = take_number(&mut rest) else {
            return Err(Violation::new(expected(), "it is empty or damaged"));
        };
        if self.encoded_through(index) != Some(rest) {
            let found = format!("its commands up to {index} are not those that were applied");
            return Err(Violation::new(expected(), found));
        }
        self.servers[server] = Progress {
            recorded: index,
            last_applied: index,
        };
        Ok(index)
    }
}
