//! What a scenario is.

use super::cluster::Lab;
use super::failure::Failure;
use super::figures::Figures;
use super::network::Reliability;
use super::service::ServiceKind;
use crate::features::Features;
use core::fmt;

/// A part of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Leader election.
    A,
    /// The log.
    B,
    /// Persistence.
    C,
    /// Log compaction.
    D,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::A => "3A",
            Part::B => "3B",
            Part::C => "3C",
            Part::D => "3D",
        })
    }
}

/// One scenario of the lab.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its number, from 1 to 28, in the lab's order.
    pub number: u8,
    /// The lab's part.
    pub part: Part,
    /// The lab's name.
    pub name: &'static str,
    /// The number of servers.
    pub peers: usize,
    /// The figures printed on the lab's page, where it has them.
    pub page: Option<Figures>,
    /// What servers use beyond the paper's Figure 2.
    pub features: Features,
    pub(super) reliability: Reliability,
    pub(super) service: ServiceKind,
    pub(super) script: fn(&mut Lab) -> Result<(), Failure>,
}

impl Scenario {
    /// The same scenario, with servers that use these features too.
    #[must_use]
    pub fn with_features(self, features: Features) -> Scenario {
        Scenario { features, ..self }
    }

    /// The line with which it begins: `Test (3A): initial election ...`.
    pub fn title(&self) -> String {
        format!("Test ({}): {} ...", self.part, self.name)
    }

    /// Whether its clients propose as fast as they are served, so that RPCs and bytes can be
    /// compared only per commit.
    pub fn is_paced_by_service(&self) -> bool {
        matches!(self.number, 20 | 21)
    }
}
