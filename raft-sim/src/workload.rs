//! Clients: they propose to the node that they believe to lead, and follow redirects.

use crate::options::WorkloadOptions;
use crate::random::Random;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::{Commands, Entries, Index, NodeId, Proposal, ProposeError, RequestId};
use std::collections::VecDeque;

/// What a node's clients learned from entries that it applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Commands that are committed.
    pub acknowledged: u64,
    /// Commands in whose place another leader's entries were committed.
    pub replaced: u64,
}

/// The proposals of one node that wait to be applied, in the order of their indexes. They die
/// with the node: its clients then do not know what became of them.
#[derive(Clone, Debug, Default)]
pub struct Outstanding {
    waiting: VecDeque<Proposal>,
}

impl Outstanding {
    /// The node took a proposal. Returns how many commands it had to give up for it: they stood
    /// at the same index in a log that has been truncated since.
    pub fn accepted(&mut self, proposal: Proposal) -> u64 {
        let mut replaced = 0;
        while let Some(last) = self.waiting.back() {
            if last.last_index() < proposal.first.index {
                break;
            }
            replaced += last.count;
            self.waiting.pop_back();
        }
        self.waiting.push_back(proposal);
        replaced
    }

    /// The node applied entries.
    pub fn applied(&mut self, entries: &Entries) -> Answers {
        let mut answers = Answers::default();
        if self.waiting.is_empty() {
            return answers;
        }
        let Some(last) = entries.last_id() else {
            return answers;
        };
        let mut entries = entries.iter();
        while let Some(first) = self.waiting.front().copied() {
            // Commands proposed together are committed together, but may be applied in parts:
            // the last one tells.
            if first.last_index() > last.index {
                break;
            }
            self.waiting.pop_front();
            let found = entries.find(|entry| entry.index() == first.last_index());
            match found {
                Some(entry) if entry.term() == first.first.term => {
                    answers.acknowledged += first.count;
                }
                Some(_) | None => answers.replaced += first.count,
            }
        }
        answers
    }

    /// The node's state was replaced by a snapshot up to `last`: what became of proposals before
    /// it is not known.
    pub fn restored(&mut self, last: Index) {
        self.waiting.retain(|proposal| proposal.first.index > last);
    }
}

#[derive(Clone, Debug)]
struct Client {
    /// Whom it asks next, by slot.
    believed: usize,
}

/// All clients.
#[derive(Clone, Debug)]
pub struct Workload {
    options: WorkloadOptions,
    random: Random,
    nodes: usize,
    clients: Vec<Client>,
    proposals: u64,
}

impl Workload {
    /// How long a client takes to turn to the node that it was redirected to.
    const REDIRECT: Duration = Duration::from_millis(2);

    /// Clients that ask `nodes` servers.
    pub fn new(nodes: usize, options: WorkloadOptions, mut random: Random) -> Workload {
        let any = |_| Client {
            believed: random.below(nodes as u64) as usize,
        };
        let clients = (0..options.clients).map(any).collect();
        Workload {
            options,
            random,
            nodes,
            clients,
            proposals: 0,
        }
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// A pause of a client.
    pub fn think(&mut self) -> Duration {
        self.options.think.draw(&mut self.random)
    }

    /// Whom the client asks now.
    pub fn believed(&self, client: usize) -> usize {
        let client = self.clients.get(client);
        client.map_or(0, |client| client.believed)
    }

    /// A proposal: some commands, each different from all others of the run.
    pub fn propose(&mut self) -> (RequestId, Commands) {
        self.proposals += 1;
        let count = self.random.between(1, self.options.max_batch);
        let number = self.proposals;
        let commands = (0..count).map(|at| {
            let length = self.random.between(8, self.options.max_command);
            let mut command = vec![b'.'; usize::try_from(length).unwrap_or(8)];
            // At least 8 bytes: a number that no other command has, as long as no proposal has
            // more than 2^16 commands.
            command[..8].copy_from_slice(&(number << 16 | at).to_le_bytes());
            Bytes::from(command)
        });
        let commands: Vec<Bytes> = commands.collect();
        (RequestId(number), Commands::from(commands))
    }

    /// The client heard the outcome, or found nobody (`None`). Returns how long it then waits
    /// before it proposes again.
    pub fn heard(
        &mut self,
        client: usize,
        outcome: Option<&Result<Proposal, ProposeError>>,
    ) -> Duration {
        let think = self.think();
        let nodes = self.nodes;
        let Some(client) = self.clients.get_mut(client) else {
            return think;
        };
        let redirect = |to: NodeId| usize::try_from(to.0.saturating_sub(1)).unwrap_or(0) % nodes;
        let another = (client.believed + 1) % nodes;
        let (believed, after) = match outcome {
            Some(Ok(_)) => (client.believed, think),
            Some(Err(ProposeError::NotLeader {
                leader: Some(leader),
            })) => (redirect(*leader), Self::REDIRECT),
            Some(Err(ProposeError::Transferring { target })) => (redirect(*target), think),
            Some(Err(ProposeError::NotLeader { leader: None })) | None => (another, think),
            Some(Err(
                ProposeError::Empty
                | ProposeError::TooLarge { .. }
                | ProposeError::BatchTooLarge { .. }
                | ProposeError::TooManyUncommitted { .. }
                | ProposeError::LogFull
                | ProposeError::Faulted(_),
            )) => (client.believed, think),
        };
        client.believed = believed;
        after
    }
}
