//! What befalls a cluster, and how it is written.

use super::words::{Unreadable, Words};
use crate::duration::HumanDuration;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// A server by its place, from 0 on: `n1` is in place 0. A server that comes back with a new
/// identity keeps its place.
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

/// Whom something befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This one.
    Node(Place),
    /// Whoever leads at that moment, if anybody does.
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

/// Links that are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// All between one server and the others.
    Around(Target),
    /// All between these and the others.
    Between(Vec<Place>),
    /// One, in one direction.
    One(Place, Place),
}

/// What a member is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetRole {
    /// A voter.
    Voter,
    /// A learner.
    Learner,
    /// No member.
    NonMember,
}

/// Something that befalls the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "`time` is how long it lasts, `of` whom it befalls"
)]
pub enum NemesisOperation {
    /// From now on so many of a thousand messages, on any link, are lost, arrive twice, are held
    /// up for as long as `by`, or have bytes changed.
    Noise {
        loss: u32,
        duplicate: u32,
        late: u32,
        corrupt: u32,
        by: Duration,
        time: Duration,
    },
    /// These links carry nothing.
    Cut { links: Links, time: Duration },
    /// This link loses so many of a thousand messages.
    Flaky {
        from: Place,
        to: Place,
        loss: u32,
        time: Duration,
    },
    /// This link takes longer by `by`.
    SlowLink {
        from: Place,
        to: Place,
        by: Duration,
        time: Duration,
    },
    /// Power is lost: what was not synced may go, the last write may be torn. It restarts after
    /// `time`. If its process is dead already, what that left unsynced may go.
    Crash { of: Target, time: Duration },
    /// The process dies; the machine does not, so that all it wrote is there, synced or not. It
    /// restarts after `time`, and its storage syncs what it finds.
    Kill { of: Target, time: Duration },
    /// It stands still; messages wait for it.
    Pause { of: Target, time: Duration },
    /// Each step takes it `by`.
    SlowNode {
        of: Target,
        by: Duration,
        time: Duration,
    },
    /// Each sync takes longer, by up to `by`.
    SlowDisk {
        of: Target,
        by: Duration,
        time: Duration,
    },
    /// The next sync fails; the node restarts after `time` with whatever the disk holds.
    FailWrite { of: Target, time: Duration },
    /// Entries and snapshots that are read from disk cannot be.
    FailRead { of: Target, time: Duration },
    /// Stored bytes decay: its storage notices, stops it, and will not open again. It comes back as
    /// another node.
    Rot { of: Target },
    /// Its disk is lost; after `time` it comes back, empty, as another node.
    Replace { of: Target, time: Duration },
    /// Its clock jumps ahead by `by`.
    Jump { of: Target, by: Duration },
    /// Its clock stands still.
    Freeze { of: Target, time: Duration },
    /// The lead is to be handed over, to whom the leader likes if nobody is named.
    Transfer { to: Option<Place> },
    /// These are to become what is said; what makes no sense at that moment is left out. The next
    /// leader is asked, as soon as it is elected, if there is none or if it is said so.
    Change {
        roles: Vec<(Place, TargetRole)>,
        is_forced: bool,
        is_for_next: bool,
    },
    /// Its service makes a snapshot.
    Snapshot { of: Target },
}

/// A duration after a word, as in `for 250ms`.
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
                for (place, wish) in roles {
                    let wish = match wish {
                        TargetRole::Voter => "voter",
                        TargetRole::Learner => "learner",
                        TargetRole::NonMember => "out",
                    };
                    write!(f, " {place}={wish}")?;
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
        let wish = word.split_once('=').and_then(|(place, wish)| {
            let wish = match wish {
                "voter" => TargetRole::Voter,
                "learner" => TargetRole::Learner,
                "out" => TargetRole::NonMember,
                _ => return None,
            };
            Some((place.parse().ok()?, wish))
        });
        let expected = "a member such as n3=voter, n3=learner or n3=out, forced or next";
        roles.push(wish.ok_or_else(|| words.expected(expected))?);
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

fn about_a_link(what: &str, words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
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

fn about_a_node(what: &str, words: &mut Words<'_>) -> Result<Option<NemesisOperation>, Unreadable> {
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
        let deed = match words.next_word() {
            Some("noise") => noise(&mut words)?,
            Some("split") => split(&mut words)?,
            Some("change") => change(&mut words)?,
            Some(what @ ("cut" | "flaky" | "slow-link")) => about_a_link(what, &mut words)?,
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
                about_a_node(what, &mut words)?.ok_or_else(|| known.expected(KNOWN))?
            }
            None => return Err(words.expected(KNOWN)),
        };
        words.end()?;
        Ok(deed)
    }
}

impl NemesisOperation {
    /// The servers that it names.
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
