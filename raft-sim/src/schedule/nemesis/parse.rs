//! How the operations of the nemesis are read from files. `text.rs` writes them.

use super::{Links, NemesisOperation, NodeSetting, Place, ReplacementDisk, Target, TargetRole};
use crate::schedule::words::{Unreadable, Words};
use core::str::FromStr;

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
    Ok(NemesisOperation::Noise {
        loss: words.number("loss", 1000)?,
        duplicate: words.number("duplicate", 1000)?,
        late: words.number("late", 1000)?,
        corrupt: words.number("corrupt", 1000)?,
        by: words.time("by")?,
        time: words.time("for")?,
    })
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
    Ok(NemesisOperation::Cut { links, time })
}

/// `replace n2 for 1s`, or `replace n2 with empty-disk for 1s`.
fn replace(words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    let of: Target = words.read(TARGET)?;
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
    Ok(NemesisOperation::Replace { of, with, time })
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
        "unreachable" => NemesisOperation::Unreachable {
            from,
            to,
            times: words.number("times", 1000)?,
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
        "slow-service" => NemesisOperation::SlowService {
            of: of()?,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        "compact" => NemesisOperation::Compact {
            of: of()?,
            every: words.time("every")?,
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
        "snapshot" => NemesisOperation::Snapshot { of: of()? },
        "campaign" => NemesisOperation::Campaign { of: of()? },
        "step-down" => NemesisOperation::StepDown { of: of()? },
        "reconfigure" => return reconfigure(words).map(Some),
        "update" => NemesisOperation::Update {
            of: words.read("a server such as n2")?,
            priority: words.number("priority", u8::MAX.into())? as u8, // at most 255
        },
        _ => return disk_operation(what, words),
    }))
}

/// `reconfigure n2 heartbeat-interval=50`.
fn reconfigure(words: &mut Words<'_>) -> Result<NemesisOperation, Unreadable> {
    let of: Target = words.read(TARGET)?;
    let expected = "a setting and a number, such as heartbeat-interval=50";
    let (setting, value) = words.word(expected, |word| {
        let (setting, value) = word.split_once('=')?;
        Some((setting.parse::<NodeSetting>().ok()?, value.parse().ok()?))
    })?;
    Ok(NemesisOperation::Reconfigure { of, setting, value })
}

fn disk_operation(
    what: &str,
    words: &mut Words<'_>,
) -> Result<Option<NemesisOperation>, Unreadable> {
    let mut of = || words.read(TARGET);
    Ok(Some(match what {
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
        "slow-read" => NemesisOperation::SlowRead {
            of: of()?,
            by: words.time("by")?,
            time: words.time("for")?,
        },
        "flaky-disk" => NemesisOperation::FlakyDisk {
            of: of()?,
            failed: words.number("failed", 1000)?,
            gone: words.number("gone", 1000)?,
            time: words.time("for")?,
        },
        "decay" => NemesisOperation::Decay {
            of: of()?,
            time: words.time("for")?,
        },
        "backup" => NemesisOperation::Backup { of: of()? },
        "rot" => NemesisOperation::Rot { of: of()? },
        "damage" => NemesisOperation::Damage {
            of: of()?,
            kept: words.number("kept", 1000)?,
            time: words.time("for")?,
        },
        _ => return Ok(None),
    }))
}

impl FromStr for NemesisOperation {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<NemesisOperation, Unreadable> {
        const KNOWN: &str = "noise, split, isolate, cut, flaky, slow-link, crash, kill, pause, \
            slow-node, slow-disk, fail-write, fail-read, rot, damage, damage-all, replace, backup, jump, \
            freeze, transfer, change, snapshot, compact, unreachable, slow-read, flaky-disk, slow-service, \
            decay, campaign, step-down, reconfigure or update";
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
            Some("replace") => replace(&mut words)?,
            Some(what @ ("cut" | "flaky" | "slow-link" | "unreachable")) => {
                link_operation(what, &mut words)?
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
