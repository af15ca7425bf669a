//! What clients did, in words, for people who look at a run.

use crate::linearizability::{KeyValueInput, KeyValueOutput, OperationId, Value};
use crate::view::{OperationRow, Operations};
use raft_proto::Time;
use std::collections::BTreeMap;

/// The clients' operations, in the order in which they were begun.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    operations: Operations,
    texts: Vec<String>,
    /// The rows of operations that wait for an answer.
    waiting: BTreeMap<OperationId, usize>,
}

/// A request in words.
pub(super) fn request(key: u64, input: &KeyValueInput) -> String {
    match input {
        KeyValueInput::Get => format!("get k{key}"),
        KeyValueInput::Set(value) => format!("set k{key} {value}"),
        KeyValueInput::Append(value) => format!("append k{key} {value}"),
        KeyValueInput::CompareAndSet { expected, new } => {
            format!("cas k{key} {} -> {new}", shown(expected.as_ref()))
        }
        KeyValueInput::Delete => format!("delete k{key}"),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".into(), Value::to_string)
}

impl Journal {
    pub(super) fn begins(&mut self, id: OperationId, client: u32, now: Time, text: String) {
        self.waiting.insert(id, self.texts.len());
        self.texts.push(text);
        self.operations.push(OperationRow {
            client,
            at: now.0 as f64,
            until: 0.0,
            outcome: 0,
        });
    }

    pub(super) fn answered(&mut self, id: OperationId, now: Time, output: &KeyValueOutput) {
        let answer = match output {
            KeyValueOutput::Value(value) => shown(value.as_ref()),
            KeyValueOutput::Done => "done".into(),
            KeyValueOutput::Swapped(true) => "swapped".into(),
            KeyValueOutput::Swapped(false) => "not swapped".into(),
        };
        self.called(id, now, &answer);
    }

    /// It is answered with this text.
    pub(super) fn called(&mut self, id: OperationId, now: Time, answer: &str) {
        self.ends(id, now, 1, answer);
    }

    pub(super) fn given_up(&mut self, id: OperationId, now: Time) {
        self.ends(id, now, 2, "given up: it may take effect later, or never");
    }

    fn ends(&mut self, id: OperationId, now: Time, outcome: u8, answer: &str) {
        let Some(row) = self.waiting.remove(&id) else {
            return;
        };
        self.operations.until[row] = now.0 as f64;
        self.operations.outcome[row] = outcome;
        self.texts[row] += &format!(": {answer}");
    }

    /// The operations as a table, and each in words.
    pub(crate) fn into_table(self) -> (Operations, Vec<String>) {
        (self.operations, self.texts)
    }
}
