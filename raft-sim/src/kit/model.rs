//! The sequential model of a service, against which the histories of clients are checked.

use super::state_machine::StateMachine;
use crate::linearizability::{self, Checker, Limits, OperationId, Verdict};
use crate::service::ServiceDefect;
use bytes::Bytes;
use core::fmt::{self, Debug};
use core::hash::Hash;
use core::marker::PhantomData;
use raft_proto::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

type Step<C, A, M> = dyn Fn(&mut M, &C) -> A + Send + Sync;
type KeyOf<C> = dyn Fn(&C) -> u64 + Send + Sync;
type IsRead<C> = dyn Fn(&C) -> bool + Send + Sync;

/// The sequential model of a service: what it would answer if it did one command at a time and
/// nothing ever failed.
///
/// ```
/// use raft_sim::kit::Model;
///
/// // A register that counts: the command is what is added, the answer is the new value.
/// let model = Model::new(0, |value: &mut u64, added: &u64| {
///     *value += added;
///     *value
/// });
/// # let _ = model;
/// ```
///
/// Often the state machine itself serves as its model: it is restored from no snapshot there.
pub struct Model<C, A, M> {
    initial: M,
    step: Box<Step<C, A, M>>,
    key: Option<Box<KeyOf<C>>>,
    is_read: Option<Box<IsRead<C>>>,
}

impl<C, A, M: Debug> Debug for Model<C, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model from {:?}", self.initial)
    }
}

impl<C, A, M> Model<C, A, M> {
    /// A model that begins with this state. `step` does a command and returns the answer.
    pub fn new(
        initial: M,
        step: impl Fn(&mut M, &C) -> A + Send + Sync + 'static,
    ) -> Model<C, A, M> {
        Model {
            initial,
            step: Box::new(step),
            key: None,
            is_read: None,
        }
    }

    /// The service consists of parts that are independent of each other: each command concerns the
    /// one that `key` names, and each part begins with the initial state. Histories are then much
    /// easier to check.
    #[must_use]
    pub fn keyed(mut self, key: impl Fn(&C) -> u64 + Send + Sync + 'static) -> Model<C, A, M> {
        self.key = Some(Box::new(key));
        self
    }

    /// The commands for which `is_read` holds change nothing. Histories are then easier to check.
    #[must_use]
    pub fn reads(mut self, is_read: impl Fn(&C) -> bool + Send + Sync + 'static) -> Model<C, A, M> {
        self.is_read = Some(Box::new(is_read));
        self
    }
}

/// A command or an answer, read from its encoding.
pub(super) fn decode<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, ServiceDefect> {
    let refuse = |reason: String| ServiceDefect::Encoding(what, reason);
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(refuse(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(refuse(error.to_string())),
    }
}

/// The encoding of a command or an answer.
pub(super) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Bytes, ServiceDefect> {
    let bytes = postcard::to_allocvec(value);
    let refuse = |error: postcard::Error| ServiceDefect::Encoding(what, error.to_string());
    bytes.map(Bytes::from).map_err(refuse)
}

/// A history of typed calls.
pub(super) trait TypedHistory<S: StateMachine>: Debug + Send {
    fn begin(
        &mut self,
        client: u32,
        command: &S::Command,
        now: Time,
    ) -> Result<OperationId, String>;
    fn answer(&mut self, id: OperationId, answer: S::Answer, now: Time) -> Result<(), String>;
    fn give_up(&mut self, id: OperationId) -> Result<(), String>;
    fn expire(&mut self, id: OperationId, now: Time);
    fn finish(self: Box<Self>) -> Result<u64, String>;
}

/// What the checker may spend on each key.
const LIMITS: Limits = Limits {
    stretch: 48,
    states: 1 << 15,
    unknown: 64,
};

/// An empty history of calls that `model` explains.
pub(super) fn history<S, M>(
    model: &Arc<Model<S::Command, S::Answer, M>>,
) -> Box<dyn TypedHistory<S>>
where
    S: StateMachine,
    M: Clone + Debug + Eq + Hash + Send + Sync + 'static,
{
    Box::new(Linear::<S, M> {
        checker: Checker::new(LIMITS),
        model: Arc::clone(model),
    })
}

/// An empty history of calls that nobody checks.
pub(super) fn unchecked<S: StateMachine>() -> Box<dyn TypedHistory<S>> {
    Box::<Unchecked>::default()
}

/// A history that is checked against a model.
struct Linear<S: StateMachine, M: Clone + Debug + Eq + Hash> {
    checker: Checker<Sequential<S, M>>,
    model: Arc<Model<S::Command, S::Answer, M>>,
}

impl<S: StateMachine, M: Clone + Debug + Eq + Hash> Debug for Linear<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.checker.remembered())
    }
}

impl<S, M> TypedHistory<S> for Linear<S, M>
where
    S: StateMachine,
    M: Clone + Debug + Eq + Hash + Send + Sync + 'static,
{
    fn begin(
        &mut self,
        client: u32,
        command: &S::Command,
        now: Time,
    ) -> Result<OperationId, String> {
        let key = self.model.key.as_ref().map_or(0, |key| key(command));
        let input = Input {
            command: command.clone(),
            model: Arc::clone(&self.model),
        };
        let begun = self.checker.invoke(client.into(), key, input, now.0);
        begun.map_err(|error| error.to_string())
    }

    fn answer(&mut self, id: OperationId, answer: S::Answer, now: Time) -> Result<(), String> {
        let completed = self.checker.complete(id, Output(answer), now.0);
        completed.map_err(|error| error.to_string())
    }

    fn give_up(&mut self, id: OperationId) -> Result<(), String> {
        let given_up = self.checker.unknown(id);
        given_up.map_err(|error| error.to_string())
    }

    fn expire(&mut self, id: OperationId, now: Time) {
        self.checker.expire(id, now.0);
    }

    fn finish(self: Box<Self>) -> Result<u64, String> {
        match self.checker.finish() {
            Verdict::Linearizable => Ok(0),
            Verdict::NotLinearizable(why) => Err(why.to_string()),
            Verdict::Unknown(keys) => Ok(keys.len() as u64),
        }
    }
}

/// The model, as the checker knows it. The checker makes the initial state from nothing, so that is
/// `None` here, and each input carries the model.
struct Sequential<S, M>(PhantomData<fn() -> (S, M)>);

impl<S, M> Clone for Sequential<S, M> {
    fn clone(&self) -> Self {
        Sequential(PhantomData)
    }
}

impl<S, M> Debug for Sequential<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sequential")
    }
}

impl<S, M> PartialEq for Sequential<S, M> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<S, M> Eq for Sequential<S, M> {}

/// A command, and the model that says what it does.
struct Input<S: StateMachine, M> {
    command: S::Command,
    model: Arc<Model<S::Command, S::Answer, M>>,
}

impl<S: StateMachine, M> Clone for Input<S, M> {
    fn clone(&self) -> Self {
        Input {
            command: self.command.clone(),
            model: Arc::clone(&self.model),
        }
    }
}

impl<S: StateMachine, M> Debug for Input<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}

impl<S: StateMachine, M> PartialEq for Input<S, M> {
    fn eq(&self, other: &Self) -> bool {
        let encoding = |input: &Self| encode("command", &input.command).ok();
        encoding(self) == encoding(other)
    }
}

impl<S: StateMachine, M> Eq for Input<S, M> {}

/// An answer.
struct Output<A>(A);

impl<A: Clone> Clone for Output<A> {
    fn clone(&self) -> Self {
        Output(self.0.clone())
    }
}

impl<A: Debug> Debug for Output<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<A: PartialEq> PartialEq for Output<A> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<A: PartialEq> Eq for Output<A> {}

impl<S, M> linearizability::Model for Sequential<S, M>
where
    S: StateMachine,
    M: Clone + Debug + Eq + Hash,
{
    type Key = u64;
    type Input = Input<S, M>;
    type Output = Output<S::Answer>;
    type State = Option<M>;

    fn initial() -> Option<M> {
        None
    }

    fn step(
        state: &Option<M>,
        input: &Input<S, M>,
        output: Option<&Output<S::Answer>>,
    ) -> Option<Option<M>> {
        let model = &input.model;
        let mut next = state.clone().unwrap_or_else(|| model.initial.clone());
        let expected = (model.step)(&mut next, &input.command);
        let fits = output.is_none_or(|output| output.0 == expected);
        fits.then_some(Some(next))
    }

    fn is_read(input: &Input<S, M>, _: Option<&Output<S::Answer>>) -> bool {
        let is_read = input.model.is_read.as_ref();
        is_read.is_some_and(|is_read| is_read(&input.command))
    }

    fn describe_state(state: &Option<M>) -> String {
        match state {
            Some(state) => format!("{state:?}"),
            None => "the initial one".into(),
        }
    }
}

/// A history that is not checked: only calls are numbered.
#[derive(Debug, Default)]
struct Unchecked {
    begun: u64,
}

impl<S: StateMachine> TypedHistory<S> for Unchecked {
    fn begin(&mut self, _: u32, _: &S::Command, _: Time) -> Result<OperationId, String> {
        self.begun += 1;
        Ok(OperationId::numbered(self.begun))
    }

    fn answer(&mut self, _: OperationId, _: S::Answer, _: Time) -> Result<(), String> {
        Ok(())
    }

    fn give_up(&mut self, _: OperationId) -> Result<(), String> {
        Ok(())
    }

    fn expire(&mut self, _: OperationId, _: Time) {}

    fn finish(self: Box<Self>) -> Result<u64, String> {
        Ok(0)
    }
}
