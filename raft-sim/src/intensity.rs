//! The kinds of faults, and how hard each one strikes.
//!
//! A run in which everything fails all the time explores little: no leader lasts long enough for
//! the interesting faults to meet it. So each seed switches each kind on or off and draws how hard
//! it strikes (swarm testing: Groce et al., 2012). A thousand seeds are a thousand different
//! environments.

use core::fmt;
use core::str::FromStr;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal,)*) => {
        /// Something that can go wrong, or that an operator does at a bad moment.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind {
            $($(#[$doc])* $kind,)*
        }

        impl FaultKind {
            /// All of them.
            pub const ALL: [FaultKind; [$($name),*].len()] = [$(FaultKind::$kind),*];

            /// What options and reports call it.
            pub fn name(self) -> &'static str {
                match self {
                    $(FaultKind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// Messages are lost.
    Loss "loss",
    /// Messages are delayed, so that others overtake them.
    Late "late",
    /// Messages arrive twice.
    Duplicate "duplicate",
    /// Bytes are changed on the wire.
    Corrupt "corrupt",
    /// The cluster is split in two, or its leader cut off.
    Split "split",
    /// One link is cut in one direction.
    OneWay "one-way",
    /// One link loses most of what it is given.
    Flaky "flaky",
    /// One link takes much longer.
    SlowLink "slow-link",
    /// A node stands still, and then goes on where it stopped.
    Pause "pause",
    /// A node takes long for every step.
    SlowNode "slow-node",
    /// A node loses power, and with it what was not synced.
    Crash "crash",
    /// All nodes lose power at once.
    CrashAll "crash-all",
    /// A process dies: what it wrote survives unless power is lost before it is synced.
    Kill "kill",
    /// A disk takes long to sync.
    SlowDisk "slow-disk",
    /// A sync fails, and the node starts anew with whatever the disk holds.
    FailWrite "fail-write",
    /// Reads of old entries and of snapshots fail.
    FailRead "fail-read",
    /// Stored bytes decay, which the storage's checksum reports.
    Rot "rot",
    /// A node's disk is lost, and it comes back under a new identity.
    Replace "replace",
    /// Clocks run at different rates.
    Drift "drift",
    /// Clocks jump, or stand still for a while, beyond what leases allow for.
    Jump "jump",
    /// Members are added, promoted, demoted and removed.
    Change "change",
    /// The leadership is transferred.
    Transfer "transfer",
    /// Snapshots are made at random moments.
    Snapshot "snapshot",
    /// Transports say that a peer's messages are lost: when they are, and also when they are not.
    Unreachable "unreachable",
    /// Reads of entries, and reads and writes of snapshots' chunks, take longer than elections.
    SlowRead "slow-read",
    /// Some of these reads and writes fail, or find no snapshot.
    FlakyDisk "flaky-disk",
    /// Services take long to apply entries.
    SlowService "slow-service",
    /// Services make snapshot after snapshot for a while.
    Compact "compact",
    /// For long, a node reaches only one other.
    Partial "partial",
    /// A node comes back under its own number, with an empty disk or an old copy of its disk.
    Return "return",
    /// Processes restart with the seed that they had before.
    Seeds "seeds",
    /// Services take long to open a snapshot that was installed.
    SlowRestore "slow-restore",
    /// Stored snapshots decay, so that their bytes do not match their checksums any more.
    Decay "decay",
    /// Nodes have differing limits.
    Limits "limits",
    /// The operator lets nodes campaign, leaders step down, learners become voters by themselves, and
    /// members change their priorities.
    ByHand "by-hand",
    /// Servers run two releases, and restarts upgrade or downgrade them.
    Upgrade "upgrade",
    /// Records of the log decay, and the storage starts without what follows, and says so.
    Damage "damage",
    /// The operator changes settings of nodes that run.
    Reconfigure "reconfigure",
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The number of kinds.
const KINDS: usize = FaultKind::ALL.len();

/// The greatest intensity.
pub const WORST: u8 = 100;

/// How hard each kind of fault strikes: from 0, not at all, to [`WORST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensities([u8; KINDS]);

impl Default for Intensities {
    fn default() -> Intensities {
        Intensities([0; KINDS])
    }
}

impl Intensities {
    /// How hard this kind strikes.
    pub fn get(&self, kind: FaultKind) -> u8 {
        self.0[kind as usize] // One for each kind.
    }

    /// Sets how hard this kind strikes.
    pub fn set(&mut self, kind: FaultKind, intensity: u8) {
        self.0[kind as usize] = intensity.min(WORST);
    }
}

/// Intensities that the command line gives, and that are not drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrides([Option<u8>; KINDS]);

impl Default for Overrides {
    fn default() -> Overrides {
        Overrides([None; KINDS])
    }
}

impl Overrides {
    /// The intensity that is given for this kind, if one is.
    pub fn get(&self, kind: FaultKind) -> Option<u8> {
        self.0[kind as usize] // One for each kind.
    }

    /// The same, with one more given.
    #[must_use]
    pub fn with(mut self, given: Override) -> Overrides {
        self.0[given.kind as usize] = Some(given.intensity.min(WORST));
        self
    }
}

impl FromIterator<Override> for Overrides {
    fn from_iter<I: IntoIterator<Item = Override>>(all: I) -> Overrides {
        all.into_iter().fold(Overrides::default(), Overrides::with)
    }
}

/// One kind's intensity, as an option gives it: `loss=40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// Which kind.
    pub kind: FaultKind,
    /// How hard it strikes.
    pub intensity: u8,
}

/// Why a text gives no intensity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// It has no `=`, or no number from 0 to 100 after it.
    #[error("write NAME=INTENSITY, from 0 (never) to {WORST} (the worst there is): loss=40")]
    NotAnIntensity,
    /// There is no such kind.
    #[error("there is no fault {0:?}; there are: {known}", known = FaultKind::ALL.map(FaultKind::name).join(" "))]
    Unknown(String),
}

impl FromStr for Override {
    type Err = OverrideError;

    fn from_str(text: &str) -> Result<Override, OverrideError> {
        let (name, intensity) = text.split_once('=').ok_or(OverrideError::NotAnIntensity)?;
        let kind = FaultKind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| OverrideError::Unknown(name.into()))?;
        let intensity = intensity.parse::<u8>().ok();
        let intensity = intensity.filter(|intensity| *intensity <= WORST);
        let intensity = intensity.ok_or(OverrideError::NotAnIntensity)?;
        Ok(Override { kind, intensity })
    }
}
