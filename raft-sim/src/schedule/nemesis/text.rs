//! How files write the operations of the nemesis. `parse.rs` reads them.

use super::{
    LinkOperation, Links, MachineOperation, NemesisOperation, Place, ReplacementDisk, Target,
    TargetRole,
};
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
            NemesisOperation::AtLinks(operation) => operation.fmt(f),
            NemesisOperation::AtMachine { of, operation } => operation.write(of, f),
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

impl fmt::Display for LinkOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkOperation::Noise {
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
            LinkOperation::Cut { links, time } => write!(f, "{links} for {}", lasts(time)),
            LinkOperation::Flaky {
                from,
                to,
                loss,
                time,
            } => write!(f, "flaky {from}->{to} loss={loss} for {}", lasts(time)),
            LinkOperation::SlowLink { from, to, by, time } => {
                let (by, time) = (lasts(by), lasts(time));
                write!(f, "slow-link {from}->{to} by {by} for {time}")
            }
            LinkOperation::Unreachable {
                from,
                to,
                times,
                time,
            } => {
                let time = lasts(time);
                write!(f, "unreachable {from}->{to} times={times} for {time}")
            }
        }
    }
}

impl MachineOperation {
    /// Writes the operation on this machine: the keyword, the machine, the details.
    fn write(&self, of: &Target, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {of}", self.keyword())?;
        match self {
            MachineOperation::Rot
            | MachineOperation::Backup
            | MachineOperation::Snapshot
            | MachineOperation::Campaign
            | MachineOperation::StepDown => Ok(()),
            MachineOperation::Crash { time }
            | MachineOperation::Kill { time }
            | MachineOperation::Pause { time }
            | MachineOperation::FailWrite { time }
            | MachineOperation::FailRead { time }
            | MachineOperation::Freeze { time }
            | MachineOperation::Decay { time } => write!(f, " for {}", lasts(time)),
            MachineOperation::SlowNode { by, time }
            | MachineOperation::SlowDisk { by, time }
            | MachineOperation::SlowRead { by, time }
            | MachineOperation::SlowService { by, time } => {
                write!(f, " by {} for {}", lasts(by), lasts(time))
            }
            MachineOperation::Jump { by } => write!(f, " by {}", lasts(by)),
            MachineOperation::Damage { kept, time } => {
                write!(f, " kept={kept} for {}", lasts(time))
            }
            MachineOperation::Replace { with, time } => {
                f.write_str(match with {
                    ReplacementDisk::NewNode => "",
                    ReplacementDisk::Empty => " with empty-disk",
                    ReplacementDisk::EmptyAnyway => " with empty-disk-anyway",
                    ReplacementDisk::OldCopy => " with old-copy",
                })?;
                write!(f, " for {}", lasts(time))
            }
            MachineOperation::Compact { every, time } => {
                write!(f, " every {} for {}", lasts(every), lasts(time))
            }
            MachineOperation::FlakyDisk { failed, gone, time } => {
                write!(f, " failed={failed} gone={gone} for {}", lasts(time))
            }
            MachineOperation::Reconfigure { setting, value } => write!(f, " {setting}={value}"),
            MachineOperation::Strike { fault } => write!(f, " fault={fault}"),
        }
    }

    /// The word that files begin the operation with.
    fn keyword(&self) -> &'static str {
        match self {
            MachineOperation::Crash { .. } => "crash",
            MachineOperation::Kill { .. } => "kill",
            MachineOperation::Pause { .. } => "pause",
            MachineOperation::SlowNode { .. } => "slow-node",
            MachineOperation::SlowDisk { .. } => "slow-disk",
            MachineOperation::FailWrite { .. } => "fail-write",
            MachineOperation::FailRead { .. } => "fail-read",
            MachineOperation::Rot => "rot",
            MachineOperation::Damage { .. } => "damage",
            MachineOperation::Replace { .. } => "replace",
            MachineOperation::Backup => "backup",
            MachineOperation::Jump { .. } => "jump",
            MachineOperation::Freeze { .. } => "freeze",
            MachineOperation::Snapshot => "snapshot",
            MachineOperation::Strike { .. } => "strike",
            MachineOperation::Compact { .. } => "compact",
            MachineOperation::SlowRead { .. } => "slow-read",
            MachineOperation::FlakyDisk { .. } => "flaky-disk",
            MachineOperation::SlowService { .. } => "slow-service",
            MachineOperation::Decay { .. } => "decay",
            MachineOperation::Campaign => "campaign",
            MachineOperation::StepDown => "step-down",
            MachineOperation::Reconfigure { .. } => "reconfigure",
        }
    }
}
