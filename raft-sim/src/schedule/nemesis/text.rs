//! How files write the operations of the nemesis. `parse.rs` reads them.

use super::{Links, NemesisOperation, Place, ReplacementDisk, TargetRole};
use crate::duration::HumanDuration;
use core::fmt;
use core::time::Duration;

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
            Links::AllBut(from, to) => write!(f, "isolate {from} but {to}"),
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
            NemesisOperation::Flaky { .. }
            | NemesisOperation::SlowLink { .. }
            | NemesisOperation::Unreachable { .. } => self.write_at_link(f),
            NemesisOperation::DamageAll { lost, time } => {
                write!(f, "damage-all lost={lost} for {}", lasts(time))
            }
            NemesisOperation::Transfer { to: None } => f.write_str("transfer"),
            NemesisOperation::Transfer { to: Some(place) } => write!(f, "transfer to {place}"),
            NemesisOperation::Change {
                roles,
                is_forced,
                is_for_next,
                seen_by,
            } => {
                write_roles(roles, f)?;
                f.write_str(if *is_forced { " forced" } else { "" })?;
                f.write_str(if *is_for_next { " next" } else { "" })?;
                seen_by.map_or(Ok(()), |place| write!(f, " seen-by {place}"))
            }
            NemesisOperation::Crash { .. }
            | NemesisOperation::Kill { .. }
            | NemesisOperation::Pause { .. }
            | NemesisOperation::SlowNode { .. }
            | NemesisOperation::SlowDisk { .. }
            | NemesisOperation::FailWrite { .. }
            | NemesisOperation::FailRead { .. }
            | NemesisOperation::Rot { .. }
            | NemesisOperation::Damage { .. }
            | NemesisOperation::Replace { .. }
            | NemesisOperation::Backup { .. }
            | NemesisOperation::Jump { .. }
            | NemesisOperation::Freeze { .. }
            | NemesisOperation::Snapshot { .. }
            | NemesisOperation::Compact { .. }
            | NemesisOperation::SlowRead { .. }
            | NemesisOperation::FlakyDisk { .. }
            | NemesisOperation::SlowService { .. }
            | NemesisOperation::Decay { .. }
            | NemesisOperation::Campaign { .. }
            | NemesisOperation::StepDown { .. }
            | NemesisOperation::Reconfigure { .. } => self.write_at_machine(f),
            NemesisOperation::Update { of, priority } => {
                write!(f, "update {of} priority={priority}")
            }
        }
    }
}

/// Writes a change of the members.
fn write_roles(roles: &[(Place, TargetRole)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("change")?;
    for (place, role) in roles {
        let role = match role {
            TargetRole::Voter => "voter",
            TargetRole::Learner => "learner",
            TargetRole::Staging => "staging",
            TargetRole::NonMember => "out",
        };
        write!(f, " {place}={role}")?;
    }
    Ok(())
}

impl NemesisOperation {
    /// Writes an operation that concerns one link.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all kinds are listed where an operation is written"
    )]
    fn write_at_link(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
            NemesisOperation::Unreachable {
                from,
                to,
                times,
                time,
            } => {
                let time = lasts(time);
                write!(f, "unreachable {from}->{to} times={times} for {time}")
            }
            _ => Ok(()), // Only operations at a link come here.
        }
    }

    /// Writes an operation that concerns one machine.
    fn write_at_machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
            NemesisOperation::Damage { of, kept, time } => {
                write!(f, "damage {of} kept={kept} for {}", lasts(time))
            }
            NemesisOperation::Replace { of, with, time } => {
                write!(f, "replace {of}")?;
                f.write_str(match with {
                    ReplacementDisk::NewNode => "",
                    ReplacementDisk::Empty => " with empty-disk",
                    ReplacementDisk::EmptyAnyway => " with empty-disk-anyway",
                    ReplacementDisk::OldCopy => " with old-copy",
                })?;
                write!(f, " for {}", lasts(time))
            }
            NemesisOperation::Backup { of } => write!(f, "backup {of}"),
            NemesisOperation::Jump { of, by } => write!(f, "jump {of} by {}", lasts(by)),
            NemesisOperation::Freeze { of, time } => write!(f, "freeze {of} for {}", lasts(time)),
            NemesisOperation::Snapshot { of } => write!(f, "snapshot {of}"),
            NemesisOperation::Compact { of, every, time } => {
                write!(f, "compact {of} every {} for {}", lasts(every), lasts(time))
            }
            NemesisOperation::SlowRead { of, by, time } => {
                write!(f, "slow-read {of} by {} for {}", lasts(by), lasts(time))
            }
            NemesisOperation::FlakyDisk {
                of,
                failed,
                gone,
                time,
            } => {
                let time = lasts(time);
                write!(f, "flaky-disk {of} failed={failed} gone={gone} for {time}")
            }
            NemesisOperation::SlowService { of, by, time } => {
                write!(f, "slow-service {of} by {} for {}", lasts(by), lasts(time))
            }
            NemesisOperation::Decay { of, time } => write!(f, "decay {of} for {}", lasts(time)),
            NemesisOperation::Campaign { of } => write!(f, "campaign {of}"),
            NemesisOperation::StepDown { of } => write!(f, "step-down {of}"),
            NemesisOperation::Reconfigure { of, setting, value } => {
                write!(f, "reconfigure {of} {setting}={value}")
            }
            // These concern links, or the leader that the operator asks.
            NemesisOperation::Noise { .. }
            | NemesisOperation::Cut { .. }
            | NemesisOperation::Flaky { .. }
            | NemesisOperation::SlowLink { .. }
            | NemesisOperation::DamageAll { .. }
            | NemesisOperation::Transfer { .. }
            | NemesisOperation::Change { .. }
            | NemesisOperation::Update { .. }
            | NemesisOperation::Unreachable { .. } => Ok(()),
        }
    }
}
