//! Several nodes in the text of a violation.

use raft_proto::NodeId;
use std::fmt;

/// Some nodes, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes(pub Vec<NodeId>);

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else {
            return f.write_str("none");
        };
        write!(f, "{first}")?;
        others.iter().try_for_each(|other| write!(f, " {other}"))
    }
}
