//! What befalls a cluster, and how it is written.

use super::words::{Unreadable, Words};
use crate::span::Lasting;
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
pub enum Wish {
    /// A voter.
    Voter,
    /// A learner.
    Learner,
    /// No member.
    Out,
}

/// Something that befalls the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "`time` is how long it lasts, `of` whom it befalls"
)]
pub enum Deed {
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
        wishes: Vec<(Place, Wish)>,
        is_forced: bool,
        is_for_next: bool,
    },
    /// Its service makes a snapshot.
    Snapshot { of: Target },
}

/// A duration after a word, as in `for 250ms`.
fn lasts(time: &Duration) -> Lasting {
    Lasting(*time)
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

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deed::Noise {
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
            Deed::Cut { links, time } => write!(f, "{links} for {}", lasts(time)),
            Deed::Flaky {
                from,
                to,
                loss,
                time,
            } => write!(f, "flaky {from}->{to} loss={loss} for {}", lasts(time)),
            Deed::SlowLink { from, to, by, time } => {
                let (by, time) = (lasts(by), lasts(time));
                write!(f, "slow-link {from}->{to} by {by} for {time}")
            }
            Deed::Crash { of, time } => write!(f, "crash {of} for {}", lasts(time)),
            Deed::Kill { of, time } => write!(f, "kill {of} for {}", lasts(time)),
            Deed::Pause { of, time } => write!(f, "pause {of} for {}", lasts(time)),
            Deed::SlowNode { of, by, time } => {
                write!(f, "slow-node {of} by {} for {}", lasts(by), lasts(time))
            }
            Deed::SlowDisk { of, by, time } => {
                write!(f, "slow-disk {of} by {} for {}", lasts(by), lasts(time))
            }
            Deed::FailWrite { of, time } => write!(f, "fail-write {of} for {}", lasts(time)),
            Deed::FailRead { of, time } => write!(f, "fail-read {of} for {}", lasts(time)),
            Deed::Rot { of } => write!(f, "rot {of}"),
            Deed::Replace { of, time } => write!(f, "replace {of} for {}", lasts(time)),
            Deed::Jump { of, by } => write!(f, "jump {of} by {}", lasts(by)),
            Deed::Freeze { of, time } => write!(f, "freeze {of} for {}", lasts(time)),
            Deed::Transfer { to: None } => f.write_str("transfer"),
            Deed::Transfer { to: Some(place) } => write!(f, "transfer to {place}"),
            Deed::Change {
                wishes,
                is_forced,
                is_for_next,
            } => {
                f.write_str("change")?;
                for (place, wish) in wishes {
                    let wish = match wish {
                        Wish::Voter => "voter",
                        Wish::Learner => "learner",
                        Wish::Out => "out",
                    };
                    write!(f, " {place}={wish}")?;
                }
                f.write_str(if *is_forced { " forced" } else { "" })?;
                f.write_str(if *is_for_next { " next" } else { "" })
            }
            Deed::Snapshot { of } => write!(f, "snapshot {of}"),
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

fn split(words: &mut Words<'_>) -> Result<Deed, Unreadable> {
    let mut places = Vec::new();
    loop {
        match words.next_word() {
            Some("for") if !places.is_empty() => break,
            Some(word) if let Ok(place) = word.parse() => places.push(place),
            Some(_) | None => return Err(words.expected("servers such as n1 n3, then for")),
        }
    }
    Ok(Deed::Cut {
        links: Links::Between(places),
        time: words.lasting()?,
    })
}

fn change(words: &mut Words<'_>) -> Result<Deed, Unreadable> {
    let mut wishes = Vec::new();
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
                "voter" => Wish::Voter,
                "learner" => Wish::Learner,
                "out" => Wish::Out,
                _ => return None,
            };
            Some((place.parse().ok()?, wish))
        });
        let expected = "a member such as n3=voter, n3=learner or n3=out, forced or next";
        wishes.push(wish.ok_or_else(|| words.expected(expected))?);
    }
    Ok(Deed::Change {
        wishes,
        is_forced,
        is_for_next,
    })
}

fn noise(words: &mut Words<'_>) -> Result<Deed, Unreadable> {
    Ok(Deed::Noise {
        loss: words.number("loss", 1000)?,
        duplicate: words.number("duplicate", 1000)?,
        late: words.number("late", 1000)?,
        corrupt: words.number("corrupt", 1000)?,
        by: words.time("by")?,
        time: words.time("for")?,
    })
}

fn about_a_link(what: &str, words: &mut Words<'_>) -> Result<Deed, Unreadable> {
    let (from, to) = link(words)?;
    Ok(match what {
        "flaky" => Deed::Flaky {
            from,
            to,
            loss: words.number("loss", 1000)?,
            time: words.time("for")?,
        },
        "slow-link" => Deed::SlowLink {
            from,
            to,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        _ => Deed::Cut {
            links: Links::One(from, to),
            time: words.time("for")?,
        },
    })
}

fn about_a_node(what: &str, words: &mut Words<'_>) -> Result<Option<Deed>, Unreadable> {
    let mut of = || words.read(TARGET);
    Ok(Some(match what {
        "isolate" => Deed::Cut {
            links: Links::Around(of()?),
            time: words.time("for")?,
        },
        "crash" => Deed::Crash {
            of: of()?,
            time: words.time("for")?,
        },
        "kill" => Deed::Kill {
            of: of()?,
            time: words.time("for")?,
        },
        "pause" => Deed::Pause {
            of: of()?,
            time: words.time("for")?,
        },
        "slow-node" => Deed::SlowNode {
            of: of()?,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        "slow-disk" => Deed::SlowDisk {
            of: of()?,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        "fail-write" => Deed::FailWrite {
            of: of()?,
            time: words.time("for")?,
        },
        "fail-read" => Deed::FailRead {
            of: of()?,
            time: words.time("for")?,
        },
        "replace" => Deed::Replace {
            of: of()?,
            time: words.time("for")?,
        },
        "freeze" => Deed::Freeze {
            of: of()?,
            time: words.time("for")?,
        },
        "jump" => Deed::Jump {
            of: of()?,
            by: words.time("by")?,
        },
        "rot" => Deed::Rot { of: of()? },
        "snapshot" => Deed::Snapshot { of: of()? },
        _ => return Ok(None),
    }))
}

impl FromStr for Deed {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<Deed, Unreadable> {
        const KNOWN: &str = "noise, split, isolate, cut, flaky, slow-link, crash, kill, pause, \
            slow-node, slow-disk, fail-write, fail-read, rot, replace, jump, freeze, transfer, \
            change or snapshot";
        let mut words = Words::of(line);
        let deed = match words.next_word() {
            Some("noise") => noise(&mut words)?,
            Some("split") => split(&mut words)?,
            Some("change") => change(&mut words)?,
            Some(what @ ("cut" | "flaky" | "slow-link")) => about_a_link(what, &mut words)?,
            Some("transfer") => Deed::Transfer {
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

impl Deed {
    /// The servers that it names.
    pub fn places(&self) -> Vec<Place> {
        let node = |target: &Target| match target {
            Target::Node(place) => vec![*place],
            Target::Leader => Vec::new(),
        };
        match self {
            Deed::Noise { .. } => Vec::new(),
            Deed::Cut { links, .. } => match links {
                Links::Around(target) => node(target),
                Links::Between(places) => places.clone(),
                Links::One(from, to) => vec![*from, *to],
            },
            Deed::Flaky { from, to, .. } | Deed::SlowLink { from, to, .. } => vec![*from, *to],
            Deed::Crash { of, .. }
            | Deed::Kill { of, .. }
            | Deed::Pause { of, .. }
            | Deed::SlowNode { of, .. }
            | Deed::SlowDisk { of, .. }
            | Deed::FailWrite { of, .. }
            | Deed::FailRead { of, .. }
            | Deed::Rot { of }
            | Deed::Replace { of, .. }
            | Deed::Jump { of, .. }
            | Deed::Freeze { of, .. }
            | Deed::Snapshot { of } => node(of),
            Deed::Transfer { to } => to.iter().copied().collect(),
            Deed::Change { wishes, .. } => wishes.iter().map(|(place, _)| *place).collect(),
        }
    }
}
