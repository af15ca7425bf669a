//! A state of the whole cluster as numbers.

use super::canonical::scatter;
use super::model::Budget;
use super::tables::Tables;

/// Its words: nodes, history, what is left of the bounds, messages. The messages are sorted by
/// fingerprint, so that equal states have equal words.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) nodes: Vec<u32>,
    pub(super) history: u32,
    pub(super) budget: [u32; 3],
    pub(super) network: Vec<u32>,
}

/// How many words there are before the messages, without the nodes.
const FIXED: usize = 4;

impl State {
    pub(super) fn write(&self, words: &mut Vec<u32>) {
        words.extend_from_slice(&self.nodes);
        words.push(self.history);
        words.extend_from_slice(&self.budget);
        words.extend_from_slice(&self.network);
    }

    /// Reads a state of a cluster of `nodes` nodes.
    pub(super) fn read(&mut self, words: &[u32], nodes: usize) {
        self.nodes.clear();
        self.network.clear();
        let Some((own, rest)) = words.split_at_checked(nodes) else {
            return;
        };
        self.nodes.extend_from_slice(own);
        if let Some(([history, budget @ ..], network)) = rest.split_first_chunk::<FIXED>() {
            self.history = *history;
            self.budget = *budget;
            self.network.extend_from_slice(network);
        }
    }

    /// Reads a state from a file, which may hold anything. Whether it is one of these tables.
    pub(super) fn read_known(&mut self, words: &[u32], tables: &Tables<'_>) -> bool {
        let nodes = tables.model.nodes();
        self.read(words, nodes);
        words.len() >= nodes + FIXED && tables.have_state(self)
    }

    pub(super) fn budget(&self) -> Budget {
        Budget::from_words(self.budget)
    }

    /// The fingerprint: equal for states that differ only in the names of the nodes, if the model
    /// is symmetric.
    ///
    /// The fingerprints of nodes and messages are added: a node's holds its id, and the network is a
    /// multiset. Of all renamings, the least sum counts.
    pub(super) fn print(&self, tables: &Tables<'_>) -> u64 {
        let budget = self.budget.iter().fold(0u64, |hash, word| {
            scatter(hash.wrapping_add(u64::from(*word) + 1))
        });
        let of = |renaming: usize| {
            let pick = |prints: &[u64]| prints.get(renaming).copied().unwrap_or_default();
            let nodes = self.nodes.iter().map(|it| pick(tables.node_prints(*it)));
            let messages = self.network.iter();
            let messages = messages.map(|it| pick(tables.envelope_prints(*it)));
            let history = pick(tables.history_prints(self.history));
            let sum = nodes.chain(messages).fold(budget, u64::wrapping_add);
            scatter(sum.wrapping_add(history))
        };
        (0..tables.renamings()).map(of).min().unwrap_or_default()
    }

    /// Adds messages, sorted as the network is.
    pub(super) fn add_messages(&mut self, sent: &[u32], tables: &Tables<'_>) {
        for message in sent {
            let print = tables.envelope_print(*message);
            let before = |it: &u32| tables.envelope_print(*it) < print;
            let at = self.network.partition_point(before);
            self.network.insert(at, *message);
        }
    }
}
