//! The lab's interface to a cluster: servers are started, crashed, connected and disconnected,
//! commands are proposed, and time passes.

use super::cluster::{CLUSTER, Client, Lab, LabEvent, ServerState, node_id};
use super::codec;
use super::failure::Failure;
use crate::features::CoreFeatures;
use crate::process::{DiskSyncs, Process};
use crate::random::Random;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::wire::Receiver;
use raft_proto::{
    Commands, Config, EntryId, Input, LeaderNoop, ProposeError, RequestId, Start, Time,
};

impl Lab {
    /// Starts all servers, then connects them.
    pub(crate) fn create(&mut self) -> Result<(), Failure> {
        for server in 0..self.peers() {
            self.receivers.push(Receiver::new(&self.config(server, 0)));
        }
        for server in 0..self.peers() {
            self.start_server(server)?;
        }
        for server in 0..self.peers() {
            self.connect(server);
        }
        Ok(())
    }

    /// Connects `server` with all connected servers.
    pub(crate) fn connect(&mut self, server: usize) {
        self.note(|| format!("lab: connect n{server}"));
        self.servers[server].is_connected = true;
    }

    /// Cuts `server` off from all others.
    pub(crate) fn disconnect(&mut self, server: usize) {
        self.note(|| format!("lab: disconnect n{server}"));
        self.servers[server].is_connected = false;
    }

    /// Disconnects and kills `server`. What it had persisted remains.
    pub(crate) fn crash(&mut self, server: usize) -> Result<(), Failure> {
        self.disconnect(server);
        self.note(|| format!("lab: crash n{server}"));
        let running = &mut self.servers[server].state;
        let state = core::mem::replace(running, ServerState::Crashed(Box::default()));
        let disk = match state {
            ServerState::Running(process) => process.crash(&mut self.disks),
            ServerState::Crashed(disk) => Ok(*disk),
        };
        let disk = disk.map_err(|error| self.process_failure(server, &error))?;
        self.servers[server].state = ServerState::Crashed(Box::new(disk));
        Ok(())
    }

    /// Starts `server`, after crashing it if it runs, with what it had persisted. It is not
    /// connected.
    pub(crate) fn start_server(&mut self, server: usize) -> Result<(), Failure> {
        self.crash(server)?;
        self.note(|| format!("lab: start n{server}"));
        let seed = self.seeds.next_u64();
        let config = self.config(server, seed);
        let ServerState::Crashed(disk) = &mut self.servers[server].state else {
            return Ok(()); // Unreachable: it has just been crashed.
        };
        let disk = core::mem::take(&mut **disk);
        let snapshot = disk.recovered_snapshot().map(|(_, data)| data.clone());
        let loaded = self.service.start(server, snapshot.as_deref());
        loaded.map_err(|violation| self.failure(violation))?;
        let process = Process::start(config, disk, DiskSyncs::Immediate)
            .map_err(|error| self.process_failure(server, &error))?;
        let slot = &mut self.servers[server];
        slot.state = ServerState::Running(Box::new(process));
        slot.incarnation += 1;
        slot.handled = 0;
        slot.wake = Time::NEVER;
        self.give(server, Input::Tick)
    }

    /// Starts a server, after crashing it if it runs, and connects it.
    pub(crate) fn restart(&mut self, server: usize) -> Result<(), Failure> {
        self.start_server(server)?;
        self.connect(server);
        Ok(())
    }

    fn config(&self, server: usize, seed: u64) -> Config {
        let voters = (0..self.peers()).map(node_id);
        let start = Start::voters(voters);
        let mut config = Config::new(CLUSTER, node_id(server), start, seed);
        config.heartbeat_interval = Duration::from_millis(200);
        config.append_timeout = Duration::from_millis(30);
        config.election_timeout_min = Duration::from_millis(600);
        config.election_timeout_max = Duration::from_millis(1200);
        config.leader_noop = LeaderNoop::Off;
        config.max_inflight_appends = 1;
        config.trailing_entries = 16;
        // The lab counts commands by index: no feature may add entries of its own.
        let mut draws = Random::new(seed, "features");
        CoreFeatures::draw(self.features, false, &mut draws).apply(&mut config);
        config
    }

    /// The lab's `Start`: proposes a command to `server`. Returns the position that it gets if it
    /// is committed; `None` if the server does not lead, or does not run.
    pub(crate) fn start(
        &mut self,
        server: usize,
        command: &Bytes,
    ) -> Result<Option<EntryId>, Failure> {
        if !self.is_running(server) {
            return Ok(None);
        }
        self.proposed = None;
        let commands = Commands::from(command.clone());
        let id = RequestId(0);
        self.give(server, Input::Propose { id, commands })?;
        match self.proposed.take() {
            Some(Ok(proposal)) => Ok(Some(proposal.first)),
            Some(Err(ProposeError::NotLeader { .. })) => Ok(None),
            Some(Err(error)) => self.fail(
                "a leader accepts a command",
                format!("server {server}: {error}"),
            ),
            None => self.fail(
                "the outcome of a proposal comes out of the step that proposed it",
                format!("none from server {server}"),
            ),
        }
    }

    /// A command that has not been proposed before, in all likelihood.
    pub(crate) fn fresh_command(&mut self) -> Bytes {
        codec::command(self.random.next_u64() >> 1)
    }

    /// Lets `duration` pass.
    pub(crate) fn sleep(&mut self, duration: Duration) -> Result<(), Failure> {
        self.run_until(self.now.after(duration))?;
        self.check_time_limit()
    }

    pub(crate) fn sleep_ms(&mut self, millis: u64) -> Result<(), Failure> {
        self.sleep(Duration::from_millis(millis))
    }

    /// Lets a client act beside the script, from now on.
    pub(crate) fn spawn(&mut self, client: impl Client + 'static) {
        self.clients.push(Some(Box::new(client)));
        let number = self.clients.len() - 1;
        self.schedule(Duration::ZERO, LabEvent::Client(number));
    }

    /// Waits until all clients have ended.
    pub(crate) fn join_clients(&mut self) -> Result<(), Failure> {
        while self.clients.iter().any(Option::is_some) {
            self.sleep_ms(1)?;
        }
        self.clients.clear();
        Ok(())
    }
}
