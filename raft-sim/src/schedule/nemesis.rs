//! The operations of the nemesis, and how files write them.

use super::words::{Unreadable, Words};
use crate::duration::HumanDuration;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// The place of a machine, from 0 on: `n1` begins in place 0. A node that takes over a machine
/// under a new identity has the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Place, ()> {
        let number = text.strip_prefix('n').ok_or(())?;
        let number: usize = number.parse().map_err(|_| ())?;
        number.checked_sub(1).map(Place).ok_or(())
    }
}

/// The machine that an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The machine in this place.
    Node(Place),
    /// The machine of the node that leads at that moment, if there is a leader.
    Leader,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(place) => place.fmt(f),
            Target::Leader => f.write_str("leader"),
        }
    }
}

impl FromStr for Target {
    type Err = ();

    fn from_str(text: &str) -> Result<Target, ()> {
        match text {
            "leader" => Ok(Target::Leader),
            node => node.parse().map(Target::Node),
        }
    }
}

/// The links that a cut concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// All links between one machine and the others.
    Around(Target),
    /// All links between these machines and the others.
    Between(Vec<Place>),
    /// One link, in one direction.
    One(Place, Place),
}

/// The role that a node is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetRole {
    /// A voter.
    Voter,
    /// A learner.
    Learner,
    /// None: it is no member.
    NonMember,
}

/// An operation of the nemesis.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "`time` is how long it lasts, and `of` is the machine that it concerns"
)]
pub enum NemesisOperation {
    /// So many of a thousand messages, on any link, are lost, arrive twice, are delayed by up to
    /// `by`, or have bytes changed.
    Noise {
        loss: u32,
        duplicate: u32,
        late: u32,
        corrupt: u32,
        by: Duration,
        time: Duration,
    },
    /// Links carry nothing.
    Cut { links: Links, time: Duration },
    /// A link loses `loss` of a thousand messages.
    Flaky {
        from: Place,
        to: Place,
        loss: u32,
        time: Duration,
    },
    /// Messages on a link take longer by `by`.
    SlowLink {
        from: Place,
        to: Place,
        by: Duration,
        time: Duration,
    },
    /// The machine loses power: what was not synced may be lost, and the last write may be torn.
    /// The process restarts after `time`. If the process is down already, what it left unsynced may
    /// be lost.
    Crash { of: Target, time: Duration },
    /// The process ends, and the machine goes on: all that was written is there, synced or not. The
    /// process restarts after `time`, and its storage syncs what it finds.
    Kill { of: Target, time: Duration },
    /// The machine stands still; messages wait.
    Pause { of: Target, time: Duration },
    /// Each step takes the machine `by`.
    SlowNode {
        of: Target,
        by: Duration,
        time: Duration,
    },
    /// Each sync takes longer by up to `by`.
    SlowDisk {
        of: Target,
        by: Duration,
        time: Duration,
    },
    /// The next sync fails. The process restarts after `time` with whatever the disk holds.
    FailWrite { of: Target, time: Duration },
    /// Reads of entries and snapshots from disk fail.
    FailRead { of: Target, time: Duration },
    /// Stored bytes decay. The storage notices, the process ends, and the storage does not open
    /// again. A new node takes over the machine.
    Rot { of: Target },
    /// The disk is lost. After `time` a new node takes over the machine, with an empty disk.
    Replace { of: Target, time: Duration },
    /// The clock jumps ahead by `by`.
    Jump { of: Target, by: Duration },
    /// The clock stands still.
    Freeze { of: Target, time: Duration },
    /// The operator asks the leader to transfer its leadership, to `to` or to any node.
    Transfer { to: Option<Place> },
    /// The operator asks the leader to change the members so that nodes have these roles. Roles
    /// that make no sense at that moment are left out. If `is_for_next`, or if there is no leader,
    /// the next leader is asked as soon as it is elected.
    Change {
        roles: Vec<(Place, TargetRole)>,
        is_forced: bool,
        is_for_next: bool,
    },
    /// The service makes a snapshot.
    Snapshot { of: Target },
}

/// A duration as files write it: `250ms`.
fn lasts(time: &Duration) -> HumanDuration {
    HumanDuration(*time)
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Links::Around(target) => write!(f, "isolate {target}"),
            Links::Between(places) => {
                f.write_str("split")?;
                places.iter().try_for_each(|place| write!(f, " {place}"))
            }
            Links::One(from, to) => write!(f, "cut {from}->{to}"),
        }
    }
}

impl fmt::Display for NemesisOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NemesisOperation::Noise {
                loss,
                duplicate,
                late,
                corrupt,
                by,
                time,
            } => write!(
                f,
                "noise loss={loss} duplicate={duplicate} late={late} corrupt={corrupt} by {} for {}",
                lasts(by),
                lasts(time)
            ),
            NemesisOperation::Cut { links, time } => write!(f, "{links} for {}", lasts(time)),
            NemesisOperation::Flaky {
                from,
                to,
                loss,
                time,
            } => write!(f, "flaky {from}->{to} loss={loss} for {}", lasts(time)),
            NemesisOperation::SlowLink { from, to, by, time } => {
                let (by, time) = (lasts(by), lasts(time));
                write!(f, "slow-link {from}->{to} by {by} for {time}")
            }
            NemesisOperation::Crash { of, time } => write!(f, "crash {of} for {}", lasts(time)),
            NemesisOperation::Kill { of, time } => write!(f, "kill {of} for {}", lasts(time)),
            NemesisOperation::Pause { of, time } => write!(f, "pause {of} for {}", lasts(time)),
            NemesisOperation::SlowNode { of, by, time } => {
                write!(f, "slow-node {of} by {} for {}", lasts(by), lasts(time))
            }
            NemesisOperation::SlowDisk { of, by, time } => {
                write!(f, "slow-disk {of} by {} for {}", lasts(by), lasts(time))
            }
            NemesisOperation::FailWrite { of, time } => {
                write!(f, "fail-write {of} for {}", lasts(time))
            }
            NemesisOperation::FailRead { of, time } => {
                write!(f, "fail-read {of} for {}", lasts(time))
            }
            NemesisOperation::Rot { of } => write!(f, "rot {of}"),
            NemesisOperation::Replace { of, time } => write!(f, "replace {of} for {}", lasts(time)),
            NemesisOperation::Jump { of, by } => write!(f, "jump {of} by {}", lasts(by)),
            NemesisOperation::Freeze { of, time } => write!(f, "freeze {of} for {}", lasts(time)),
            NemesisOperation::Transfer { to: None } => f.write_str("transfer"),
            NemesisOperation::Transfer { to: Some(place) } => write!(f, "transfer to {place}"),
            NemesisOperation::Change {
                roles,
                is_forced,
                is_for_next,
            } => {
                f.write_str("change")?;
                for (place, role) in roles {
                    let role = match role {
                        TargetRole::Voter => "voter",
                        TargetRole::Learner => "learner",
                        TargetRole::NonMember => "out",
                    };
                    write!(f, " {place}={role}")?;
                }
                f.write_str(if *is_forced { " forced" } else { "" })?;
                f.write_str(if *is_for_next { " next" } else { "" })
            }
            NemesisOperation::Snapshot { of } => write!(f, "snapshot {of}"),
        }
    }
}

const TARGET: &str = "a server such as n2, or leader";

fn link(words: &mut Words<'_>) -> Result<(Place, Place), Unreadable> {
    words.word("a link such as n1->n2", |word| {
        let (from, to) = word.split_once("->")?;
        Some((from.parse().ok()?, to.parse().ok()?))
    })
}

fn split(words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    let mut places = Vec::new();
    loop {
        match words.next_word() {
            Some("for") if !places.is_empty() => break,
            Some(word) if let Ok(place) = word.parse() => places.push(place),
            Some(_) | None => return Err(words.expected("servers such as n1 n3, then for")),
        }
    }
    Ok(NemesisOperation::Cut {
        links: Links::Between(places),
        time: words.duration()?,
    })
}

fn change(words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    let mut roles = Vec::new();
    let (mut is_forced, mut is_for_next) = (false, false);
    while let Some(word) = words.next_word() {
        match word {
            "forced" => {
                is_forced = true;
                continue;
            }
            "next" => {
                is_for_next = true;
                continue;
            }
            _ => {}
        }
        let role = word.split_once('=').and_then(|(place, role)| {
            let role = match role {
                "voter" => TargetRole::Voter,
                "learner" => TargetRole::Learner,
                "out" => TargetRole::NonMember,
                _ => return None,
            };
            Some((place.parse().ok()?, role))
        });
        let expected = "a member such as n3=voter, n3=learner or n3=out, forced or next";
        roles.push(role.ok_or_else(|| words.expected(expected))?);
    }
    Ok(NemesisOperation::Change {
        roles,
        is_forced,
        is_for_next,
    })
}

fn noise(words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    Ok(NemesisOperation::Noise {
        loss: words.number("loss", 1000)?,
        duplicate: words.number("duplicate", 1000)?,
        late: words.number("late", 1000)?,
        corrupt: words.number("corrupt", 1000)?,
        by: words.time("by")?,
        time: words.time("for")?,
    })
}

fn link_operation(what: &str, words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    let (from, to) = link(words)?;
    Ok(match what {
        "flaky" => NemesisOperation::Flaky {
            from,
            to,
            loss: words.number("loss", 1000)?,
            time: words.time("for")?,
        },
        "slow-link" => NemesisOperation::SlowLink {
            from,
            to,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        _ => NemesisOperation::Cut {
            links: Links::One(from, to),
            time: words.time("for")?,
        },
    })
}

fn machine_operation(
    what: &str,
    words: &mut Words<'_>,
) -> Result<Option<NemesisOperation>, Unreadable> {
    let mut of = || words.read(TARGET);
    Ok(Some(match what {
        "isolate" => NemesisOperation::Cut {
            links: Links::Around(of()?),
            time: words.time("for")?,
        },
        "crash" => NemesisOperation::Crash {
            of: of()?,
            time: words.time("for")?,
        },
        "kill" => NemesisOperation::Kill {
            of: of()?,
            time: words.time("for")?,
        },
        "pause" => NemesisOperation::Pause {
            of: of()?,
            time: words.time("for")?,
        },
        "slow-node" => NemesisOperation::SlowNode {
            of: of()?,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        "slow-disk" => NemesisOperation::SlowDisk {
            of: of()?,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        "fail-write" => NemesisOperation::FailWrite {
            of: of()?,
            time: words.time("for")?,
        },
        "fail-read" => NemesisOperation::FailRead {
            of: of()?,
            time: words.time("for")?,
        },
        "replace" => NemesisOperation::Replace {
            of: of()?,
            time: words.time("for")?,
        },
        "freeze" => NemesisOperation::Freeze {
            of: of()?,
            time: words.time("for")?,
        },
        "jump" => NemesisOperation::Jump {
            of: of()?,
            by: words.time("by")?,
        },
        "rot" => NemesisOperation::Rot { of: of()? },
        "snapshot" => NemesisOperation::Snapshot { of: of()? },
        _ => return Ok(None),
    }))
}

impl FromStr for NemesisOperation {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<NemesisOperation, Unreadable> {
        const KNOWN: &str = "noise, split, isolate, cut, flaky, slow-link, crash, kill, pause, \
            slow-node, slow-disk, fail-write, fail-read, rot, replace, jump, freeze, transfer, \
            change or snapshot";
        let mut words = Words::of(line);
        let operation = match words.next_word() {
            Some("noise") => noise(&mut words)?,
            Some("split") => split(&mut words)?,
            Some("change") => change(&mut words)?,
            Some(what @ ("cut" | "flaky" | "slow-link")) => link_operation(what, &mut words)?,
            Some("transfer") => NemesisOperation::Transfer {
                to: match words.next_word() {
                    None => None,
                    Some("to") => {
                        Some(words.word("a server such as n2", |word| word.parse().ok())?)
                    }
                    Some(_) => return Err(words.expected("to, or the end of the line")),
                },
            },
            Some(what) => {
                let known = words.clone();
                machine_operation(what, &mut words)?.ok_or_else(|| known.expected(KNOWN))?
            }
            None => return Err(words.expected(KNOWN)),
        };
        words.end()?;
        Ok(operation)
    }
}

impl NemesisOperation {
    /// The machines that it names.
    pub fn places(&self) -> Vec<Place> {
        let node = |target: &Target| match target {
            Target::Node(place) => vec![*place],
            Target::Leader => Vec::new(),
        };
        match self {
            NemesisOperation::Noise { .. } => Vec::new(),
            NemesisOperation::Cut { links, .. } => match links {
                Links::Around(target) => node(target),
                Links::Between(places) => places.clone(),
                Links::One(from, to) => vec![*from, *to],
            },
            NemesisOperation::Flaky { from, to, .. }
            | NemesisOperation::SlowLink { from, to, .. } => vec![*from, *to],
            NemesisOperation::Crash { of, .. }
            | NemesisOperation::Kill { of, .. }
            | NemesisOperation::Pause { of, .. }
            | NemesisOperation::SlowNode { of, .. }
            | NemesisOperation::SlowDisk { of, .. }
            | NemesisOperation::FailWrite { of, .. }
            | NemesisOperation::FailRead { of, .. }
            | NemesisOperation::Rot { of }
            | NemesisOperation::Replace { of, .. }
            | NemesisOperation::Jump { of, .. }
            | NemesisOperation::Freeze { of, .. }
            | NemesisOperation::Snapshot { of } => node(of),
            NemesisOperation::Transfer { to } => to.iter().copied().collect(),
            NemesisOperation::Change { roles, .. } => {
                roles.iter().map(|(place, _)| *place).collect()
            }
        }
    }
}
