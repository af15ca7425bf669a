//! How the operations of the nemesis are read from files. `text.rs` writes them.

use super::{
    LinkOperation, Links, MachineOperation, NemesisOperation, NodeSetting, Place, ReplacementDisk,
    Target, TargetRole,
};
use crate::schedule::words::{Unreadable, Words};
use core::str::FromStr;
use core::time::Duration;

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
    Ok(NemesisOperation::AtLinks(LinkOperation::Cut {
        links: Links::Between(places),
        time: words.duration()?,
    }))
}

fn change(words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    let mut roles = Vec::new();
    let (mut is_forced, mut is_for_next, mut seen_by) = (false, false, None);
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
            "seen-by" => {
                let place = words.word("a server such as n2", |word| word.parse().ok())?;
                seen_by = Some(place);
                continue;
            }
            _ => {}
        }
        let role = word.split_once('=').and_then(|(place, role)| {
            let role = match role {
                "voter" => TargetRole::Voter,
                "learner" => TargetRole::Learner,
                "staging" => TargetRole::Staging,
                "out" => TargetRole::NonMember,
                _ => return None,
            };
            Some((place.parse().ok()?, role))
        });
        let expected =
            "a member such as n3=voter, n3=learner, n3=staging or n3=out, forced, next or seen-by";
        roles.push(role.ok_or_else(|| words.expected(expected))?);
    }
    Ok(NemesisOperation::Change {
        roles,
        is_forced,
        is_for_next,
        seen_by,
    })
}

fn noise(words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    Ok(NemesisOperation::AtLinks(LinkOperation::Noise {
        loss: words.number("loss", 1000)?,
        duplicate: words.number("duplicate", 1000)?,
        late: words.number("late", 1000)?,
        corrupt: words.number("corrupt", 1000)?,
        by: words.time("by")?,
        time: words.time("for")?,
    }))
}

/// `isolate n2 for 1s`, or `isolate n2 but n1 for 1s`.
fn isolate(words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    let of: Target = words.read(TARGET)?;
    let links = match (words.next_word(), of) {
        (Some("for"), of) => Links::Around(of),
        (Some("but"), Target::Node(from)) => {
            let to = words.word("a server such as n2", |word| word.parse().ok())?;
            words.just("for")?;
            Links::AllBut(from, to)
        }
        (_, Target::Node(_)) => return Err(words.expected("for, or but and a server")),
        (_, Target::Leader) => return Err(words.expected("for")),
    };
    let time = words.duration()?;
    Ok(NemesisOperation::AtLinks(LinkOperation::Cut {
        links,
        time,
    }))
}

fn link_operation(what: &str, words: &mut Words<'_>) -> Result<LinkOperation, Unreadable> {
    let (from, to) = link(words)?;
    Ok(match what {
        "flaky" => LinkOperation::Flaky {
            from,
            to,
            loss: words.number("loss", 1000)?,
            time: words.time("for")?,
        },
        "slow-link" => LinkOperation::SlowLink {
            from,
            to,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        "unreachable" => LinkOperation::Unreachable {
            from,
            to,
            times: words.number("times", 1000)?,
            time: words.time("for")?,
        },
        _ => LinkOperation::Cut {
            links: Links::One(from, to),
            time: words.time("for")?,
        },
    })
}

/// Reads what follows the machine.
type ReadDetails = fn(&mut Words<'_>) -> Result<MachineOperation, Unreadable>;

/// The greatest number of a fault of the user's own.
const MOST_FAULTS: u32 = 999;

/// How the rest of a line is read that begins with this word and a machine: `crash n2 for 1s`.
fn machine_operation(keyword: &str) -> Option<ReadDetails> {
    use MachineOperation::*;
    Some(match keyword {
        "crash" => |words| words.time("for").map(|time| Crash { time }),
        "kill" => |words| words.time("for").map(|time| Kill { time }),
        "pause" => |words| words.time("for").map(|time| Pause { time }),
        "freeze" => |words| words.time("for").map(|time| Freeze { time }),
        "fail-write" => |words| words.time("for").map(|time| FailWrite { time }),
        "fail-read" => |words| words.time("for").map(|time| FailRead { time }),
        "decay" => |words| words.time("for").map(|time| Decay { time }),
        "slow-node" => |words| delayed(words).map(|(by, time)| SlowNode { by, time }),
        "slow-disk" => |words| delayed(words).map(|(by, time)| SlowDisk { by, time }),
        "slow-read" => |words| delayed(words).map(|(by, time)| SlowRead { by, time }),
        "slow-service" => |words| delayed(words).map(|(by, time)| SlowService { by, time }),
        "jump" => |words| words.time("by").map(|by| Jump { by }),
        "rot" => |_| Ok(Rot),
        "backup" => |_| Ok(Backup),
        "snapshot" => |_| Ok(Snapshot),
        "campaign" => |_| Ok(Campaign),
        "step-down" => |_| Ok(StepDown),
        "compact" => |words| {
            let (every, time) = (words.time("every")?, words.time("for")?);
            Ok(Compact { every, time })
        },
        "damage" => |words| {
            let (kept, time) = (words.number("kept", 1000)?, words.time("for")?);
            Ok(Damage { kept, time })
        },
        "flaky-disk" => |words| {
            let failed = words.number("failed", 1000)?;
            let gone = words.number("gone", 1000)?;
            let time = words.time("for")?;
            Ok(FlakyDisk { failed, gone, time })
        },
        "strike" => |words| {
            let fault = words.number("fault", MOST_FAULTS)?;
            Ok(Strike { fault })
        },
        "reconfigure" => reconfigure,
        "replace" => replace,
        _ => return None,
    })
}

/// `by 20ms for 1s`.
fn delayed(words: &mut Words<'_>) -> Result<(Duration, Duration), Unreadable> {
    Ok((words.time("by")?, words.time("for")?))
}

/// `heartbeat-interval=50`, after `reconfigure n2`.
fn reconfigure(words: &mut Words<'_>) -> Result<MachineOperation, Unreadable> {
    let expected = "a setting and a number, such as heartbeat-interval=50";
    let (setting, value) = words.word(expected, |word| {
        let (setting, value) = word.split_once('=')?;
        Some((setting.parse::<NodeSetting>().ok()?, value.parse().ok()?))
    })?;
    Ok(MachineOperation::Reconfigure { setting, value })
}

/// `for 1s`, or `with empty-disk for 1s`, after `replace n2`.
fn replace(words: &mut Words<'_>) -> Result<MachineOperation, Unreadable> {
    let with = match words.next_word() {
        Some("for") => ReplacementDisk::NewNode,
        Some("with") => {
            let with = words.word(
                "empty-disk, empty-disk-anyway or old-copy",
                |word| match word {
                    "empty-disk" => Some(ReplacementDisk::Empty),
                    "empty-disk-anyway" => Some(ReplacementDisk::EmptyAnyway),
                    "old-copy" => Some(ReplacementDisk::OldCopy),
                    _ => None,
                },
            )?;
            words.just("for")?;
            with
        }
        Some(_) | None => return Err(words.expected("for, or with and a disk")),
    };
    let time = words.duration()?;
    Ok(MachineOperation::Replace { with, time })
}

impl FromStr for NemesisOperation {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<NemesisOperation, Unreadable> {
        const KNOWN: &str = "noise, split, isolate, cut, flaky, slow-link, crash, kill, pause, \
            slow-node, slow-disk, fail-write, fail-read, rot, damage, damage-all, replace, backup, jump, \
            freeze, transfer, change, snapshot, compact, unreachable, slow-read, flaky-disk, slow-service, \
            decay, campaign, step-down, reconfigure, strike or update";
        let mut words = Words::of(line);
        let operation = match words.next_word() {
            Some("noise") => noise(&mut words)?,
            Some("damage-all") => NemesisOperation::DamageAll {
                lost: words.number("lost", 1000)?,
                time: words.time("for")?,
            },
            Some("split") => split(&mut words)?,
            Some("change") => change(&mut words)?,
            Some("isolate") => isolate(&mut words)?,
            Some(what @ ("cut" | "flaky" | "slow-link" | "unreachable")) => {
                NemesisOperation::AtLinks(link_operation(what, &mut words)?)
            }
            Some("transfer") => NemesisOperation::Transfer {
                to: match words.next_word() {
                    None => None,
                    Some("to") => {
                        Some(words.word("a server such as n2", |word| word.parse().ok())?)
                    }
                    Some(_) => return Err(words.expected("to, or the end of the line")),
                },
            },
            Some("update") => NemesisOperation::Update {
                of: words.read("a server such as n2")?,
                priority: words.number("priority", u8::MAX.into())? as u8, // at most 255
            },
            Some(keyword) => {
                let details = machine_operation(keyword).ok_or_else(|| words.expected(KNOWN))?;
                NemesisOperation::at(words.read(TARGET)?, details(&mut words)?)
            }
            None => return Err(words.expected(KNOWN)),
        };
        words.end()?;
        Ok(operation)
    }
}
