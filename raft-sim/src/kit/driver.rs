//! State machines of `raft-driver-thread`, tested without a node.

use super::state_machine::StateMachine;
use core::fmt::{self, Debug};
use raft_driver_thread::{Commands, StateMachine as DriverMachine};
use raft_proto::{EntriesBuilder, EntryId, EntryKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::error::Error;
use std::sync::Arc;

/// Encodes a command as the service's clients do.
type Encode<C> = dyn Fn(&C) -> Vec<u8> + Send + Sync;
/// Makes of the service's answer one that can be kept and compared.
type Answered<M, A> = dyn Fn(<M as DriverMachine>::Answer) -> A + Send + Sync;

/// A state machine of `raft-driver-thread`, for the kit.
///
/// `C` is the type of commands that the test draws, and `A` that of the answers that it looks at.
/// The machine itself gets bytes, as from a node, and gives its own answers.
///
/// Replicas are compared by the machine's digest, if it offers one.
///
/// ```
/// use raft_driver_thread::{Commands, StateMachine};
/// use raft_sim::kit::{Driven, Kit, Model};
/// use std::io::{self, Read, Write};
///
/// /// Adds up bytes.
/// #[derive(Default)]
/// struct Sum(u64);
///
/// impl StateMachine for Sum {
///     type Answer = u64;
///     type Snapshot = u64;
///
///     fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
///         for command in commands {
///             self.0 += u64::from(command.payload[0]);
///             answers.push(self.0);
///         }
///     }
///
///     fn snapshot(&mut self) -> u64 {
///         self.0
///     }
///
///     fn write_snapshot(snapshot: u64, writer: &mut dyn Write) -> io::Result<()> {
///         writer.write_all(&snapshot.to_le_bytes())
///     }
///
///     fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
///         let mut bytes = [0; 8];
///         reader.read_exact(&mut bytes)?;
///         self.0 = u64::from_le_bytes(bytes);
///         Ok(())
///     }
/// }
///
/// let sums = Driven::makes(Sum::default, |byte: &u8| vec![*byte], |sum: u64| sum);
/// Kit::new(sums, |_, random| random.below(100) as u8)
///     .linearizable(Model::new(0, |sum: &mut u64, byte: &u8| {
///         *sum += u64::from(*byte);
///         *sum
///     }))
///     .seeds(0..10)
///     .run();
/// ```
pub struct Driven<M: DriverMachine, C, A> {
    /// A snapshot is made of a machine that may change meanwhile, and the kit's does not.
    machine: RefCell<M>,
    encode: Arc<Encode<C>>,
    answered: Arc<Answered<M, A>>,
}

impl<M: DriverMachine, C, A> Debug for Driven<M, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<M>())
    }
}

impl<M: DriverMachine, C: 'static, A: 'static> Driven<M, C, A> {
    /// What makes such machines, for [`Kit::new`](super::Kit::new). `encode` writes a command as the
    /// service's clients do, and `answered` makes of the service's answer one that can be kept and
    /// compared.
    pub fn makes(
        new: impl Fn() -> M + Send + Sync + 'static,
        encode: impl Fn(&C) -> Vec<u8> + Send + Sync + 'static,
        answered: impl Fn(M::Answer) -> A + Send + Sync + 'static,
    ) -> impl Fn() -> Driven<M, C, A> + Send + Sync + 'static {
        let encode: Arc<Encode<C>> = Arc::new(encode);
        let answered: Arc<Answered<M, A>> = Arc::new(answered);
        move || Driven {
            machine: RefCell::new(new()),
            encode: Arc::clone(&encode),
            answered: Arc::clone(&answered),
        }
    }

    /// Looks at the machine, as an invariant does.
    pub fn with<T>(&self, look: impl FnOnce(&M) -> T) -> T {
        look(&self.machine.borrow())
    }

    /// Changes the machine, as a fault of one's own does.
    pub fn machine_mut(&mut self) -> &mut M {
        self.machine.get_mut()
    }
}

impl<M, C, A> StateMachine for Driven<M, C, A>
where
    M: DriverMachine,
    C: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static,
    A: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Command = C;
    type Answer = A;

    /// The kit calls [`apply_entry`](StateMachine::apply_entry).
    ///
    /// # Panics
    ///
    /// If that fails.
    #[expect(clippy::panic, reason = "the kit handles the error of apply_entry")]
    fn apply(&mut self, command: C) -> A {
        match self.apply_entry(EntryId::new(1, 1), command) {
            Ok(answer) => answer,
            Err(reason) => panic!("{reason}"),
        }
    }

    fn apply_entry(&mut self, entry: EntryId, command: C) -> Result<A, String> {
        let mut entries = EntriesBuilder::new();
        let payload = (self.encode)(&command).into();
        let pushed = entries.push(entry, EntryKind::Command, payload);
        pushed.map_err(|error| error.to_string())?;
        let machine = self.machine.get_mut();
        let mut answers = Vec::new();
        machine.apply(Commands::new(&entries.finish()), &mut answers);
        if let Some(reason) = machine.failure() {
            return Err(reason);
        }
        let count = answers.len();
        match (answers.pop(), answers.is_empty()) {
            (Some(answer), true) => Ok((self.answered)(answer)),
            (_, _) => Err(format!("it gave {count} answers to one command")),
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let snapshot = self.machine.borrow_mut().snapshot();
        // Writing to memory does not fail. A service's own error would leave the snapshot cut off,
        // and restoring it fails.
        let _ = M::write_snapshot(snapshot, &mut bytes);
        bytes
    }

    fn restore(&mut self, mut snapshot: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.machine.get_mut().restore(&mut snapshot)?;
        Ok(())
    }

    fn digest(&self) -> Option<u64> {
        let digest = self.machine.borrow().digest()?;
        Some((digest.value ^ (digest.value >> 64)) as u64 ^ digest.kind)
    }
}
