//! The state machine under test.

use core::error::Error;
use core::fmt::Debug;
use raft_proto::EntryId;
use rustc_hash::FxHasher;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::hash::Hasher;

/// A state machine of the user's own: the replicated service that the [`Kit`](super::Kit) tests.
///
/// Every replica applies the same commands in the same order, and has to reach the same state and
/// the same answers. So [`apply`](StateMachine::apply) uses nothing but the state and the command:
/// no clock, no random numbers, no order of a hash table.
///
/// The state is in memory. What the kit keeps of it over a crash is the last
/// [`snapshot`](StateMachine::snapshot), and the commands after it, which are applied again.
pub trait StateMachine: Send + 'static {
    /// A command of a client. A service with an encoding of its own takes `Vec<u8>`.
    type Command: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The answer to a command.
    type Answer: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Applies a command.
    fn apply(&mut self, command: Self::Command) -> Self::Answer;

    /// As [`apply`](StateMachine::apply), which it calls. To be overridden by a service that uses
    /// the index or the term of a command's entry, or that may be unable to go on.
    ///
    /// # Errors
    ///
    /// Why the service cannot go on. That fails the test.
    fn apply_entry(
        &mut self,
        entry: EntryId,
        command: Self::Command,
    ) -> Result<Self::Answer, String> {
        let _ = entry;
        Ok(self.apply(command))
    }

    /// The state as it is now.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces the state by that of a snapshot: of a state machine that is new, when a process
    /// starts; of one that has applied commands, when its log is too old.
    ///
    /// # Errors
    ///
    /// Why the bytes are no snapshot. All bytes that come here were written by
    /// [`snapshot`](StateMachine::snapshot), so an error fails the test.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Equal for equal states, and for different ones different but for chance. The kit compares
    /// the replicas by it, after each command and each restored snapshot. The default is a hash of
    /// the snapshot. To be overridden if that takes too long, or if equal states may write
    /// different bytes, as those of a hash table do. `None`: replicas are not compared.
    fn digest(&self) -> Option<u64> {
        let mut hasher = FxHasher::default();
        hasher.write(&self.snapshot());
        Some(hasher.finish())
    }
}

/// The client for which a command is drawn.
#[derive(Debug)]
pub struct Client<'a, S: StateMachine> {
    /// Its number, from 0 on.
    pub number: u32,
    /// The last answer that it got, if it got any.
    pub last_answer: Option<&'a S::Answer>,
}

/// The outcome of an invariant: a `bool`, or a `Result` whose error says what is wrong.
pub trait Holds {
    /// What is wrong; `None` if the invariant holds.
    fn broken(self) -> Option<String>;
}

impl Holds for bool {
    fn broken(self) -> Option<String> {
        (!self).then(String::new)
    }
}

impl<E: core::fmt::Display> Holds for Result<(), E> {
    fn broken(self) -> Option<String> {
        self.err().map(|reason| reason.to_string())
    }
}
