//! The operations of the nemesis that drive the rarer inputs of the core, drawn one by one. They
//! come from a stream of their own: what the other kinds do does not depend on them.

use super::choices::Choices;
use super::{Draft, later, majority, reconfigurations, rounded};
use crate::duration::DurationRange;
use crate::intensity::FaultKind;
use crate::random::Random;
use crate::request::Faults;
use crate::schedule::nemesis::TargetRole;
use crate::schedule::{
    LinkOperation, Links, MachineOperation, NemesisOperation, ReplacementDisk, Target,
};
use crate::settings::Settings;
use core::time::Duration;
use raft_proto::Time;
use std::collections::BTreeMap;

/// The kinds that strike now and then. The others are settings of the whole run.
const EPISODES: [FaultKind; 11] = [
    FaultKind::Unreachable,
    FaultKind::SlowRead,
    FaultKind::FlakyDisk,
    FaultKind::SlowService,
    FaultKind::Compact,
    FaultKind::Partial,
    FaultKind::Return,
    FaultKind::Decay,
    FaultKind::ByHand,
    FaultKind::Damage,
    FaultKind::Reconfigure,
];

/// These operations until the faults end.
pub(super) struct Inputs {
    choices: Choices,
    settings: Settings,
    ends: Time,
    pause: DurationRange,
    /// When the next episode begins.
    next: Time,
    /// Operations that are drawn, by their times and in the order in which they were drawn.
    drawn: BTreeMap<(Time, u64), NemesisOperation>,
    count: u64,
}

impl Inputs {
    pub(super) fn new(draft: &Draft, mut random: Random) -> Inputs {
        let (request, intensities) = (&draft.request, draft.intensities);
        let often = random.between(300_000, 5_000_000);
        let pause = if request.faults == Faults::Wild {
            DurationRange::micros(50_000, often)
        } else {
            DurationRange::micros(1_000_000, 15_000_000)
        };
        let is_on = EPISODES.iter().any(|kind| intensities.get(*kind) > 0);
        let first = later(Time::ZERO, pause.draw(&mut random));
        let lost = majority::draw(draft);
        Inputs {
            settings: draft.settings.clone(),
            ends: Time::from_epoch(request.time),
            pause,
            next: if is_on { first } else { Time::NEVER },
            count: lost.len() as u64,
            drawn: (0..)
                .zip(lost)
                .map(|(at, (due, lost))| ((due, at), lost))
                .collect(),
            choices: Choices {
                random,
                servers: draft.settings.servers().into(),
                intensities,
            },
        }
    }

    fn push(&mut self, at: Time, operation: NemesisOperation) {
        self.count += 1;
        self.drawn.insert((at, self.count), operation);
    }

    /// The leader in half of all cases: it is the one that reads for others.
    fn target(&mut self) -> Target {
        self.choices.target(500)
    }

    fn time(&mut self) -> Duration {
        rounded(DurationRange::micros(10_000, 4_000_000).draw(&mut self.choices.random))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only some kinds are episodes of this sort"
    )]
    fn episode(&mut self, at: Time) {
        let Some(kind) = self.choices.kind(&EPISODES) else {
            return;
        };
        let per_mille = |inputs: &mut Inputs| {
            let most = 9 * u64::from(inputs.choices.intensities.get(kind));
            inputs.choices.random.between(0, most) as u32 // at most 900
        };
        let operation = match kind {
            FaultKind::Unreachable => {
                let (from, to) = self.choices.link();
                let times = self.choices.random.between(1, 12) as u32; // at most 12
                let time = self.choices.duration(kind, 1_000, 1_000_000);
                NemesisOperation::AtLinks(LinkOperation::Unreachable {
                    from,
                    to,
                    times,
                    time,
                })
            }
            FaultKind::SlowRead => NemesisOperation::at(
                self.target(),
                MachineOperation::SlowRead {
                    by: self.choices.duration(kind, 10_000, 3_000_000),
                    time: self.time(),
                },
            ),
            FaultKind::FlakyDisk => NemesisOperation::at(
                self.target(),
                MachineOperation::FlakyDisk {
                    failed: per_mille(self),
                    gone: per_mille(self) / 3,
                    time: self.time(),
                },
            ),
            FaultKind::SlowService => NemesisOperation::at(
                self.target(),
                MachineOperation::SlowService {
                    by: self.choices.duration(kind, 10_000, 1_500_000),
                    time: self.time(),
                },
            ),
            FaultKind::Compact => NemesisOperation::at(
                self.target(),
                MachineOperation::Compact {
                    every: rounded(
                        DurationRange::micros(5_000, 200_000).draw(&mut self.choices.random),
                    ),
                    time: self.time(),
                },
            ),
            FaultKind::Partial => self.partial(at),
            FaultKind::Return => return self.returns(at),
            FaultKind::Decay => {
                NemesisOperation::at(self.target(), MachineOperation::Decay { time: self.time() })
            }
            FaultKind::ByHand => self.by_hand(),
            FaultKind::Damage => self.damage(),
            FaultKind::Reconfigure => {
                let (of, random) = (self.target(), &mut self.choices.random);
                let (setting, value) = reconfigurations::draw(&self.settings, random);
                NemesisOperation::at(of, MachineOperation::Reconfigure { setting, value })
            }
            _ => return, // `EPISODES` holds no other kind.
        };
        self.push(at, operation);
    }

    /// One disk loses the end of its log; or all of them lose records, each one others.
    fn damage(&mut self) -> NemesisOperation {
        let of = self.target();
        let drawn = self.choices.random.between(0, 999) as u32; // below 1000
        let time = self.time();
        if drawn.is_multiple_of(3) {
            let lost = drawn;
            NemesisOperation::DamageAll { lost, time }
        } else {
            let kept = drawn;
            NemesisOperation::at(of, MachineOperation::Damage { kept, time })
        }
    }

    /// One machine reaches only one other, for long; two machines do not reach each other; or a
    /// machine hears another one, but is not heard by it.
    fn partial(&mut self, at: Time) -> NemesisOperation {
        let (from, to) = self.choices.link();
        let time = self
            .choices
            .duration(FaultKind::Partial, 1_000_000, 20_000_000);
        let links = match self.choices.random.below(4) {
            0..2 => Links::AllBut(from, to),
            2 => {
                let links = Links::One(to, from);
                self.push(
                    at,
                    NemesisOperation::AtLinks(LinkOperation::Cut { links, time }),
                );
                Links::One(from, to)
            }
            _ => Links::One(from, to),
        };
        NemesisOperation::AtLinks(LinkOperation::Cut { links, time })
    }

    /// What an operator asks of a node now and then.
    fn by_hand(&mut self) -> NemesisOperation {
        let place = self.choices.any();
        match self.choices.random.below(8) {
            // Mostly of nodes that hear a leader, and of such as hear none.
            0..3 => NemesisOperation::at(Target::Node(place), MachineOperation::Campaign),
            3 => NemesisOperation::at(Target::Node(place), MachineOperation::StepDown),
            4..6 => NemesisOperation::at(Target::Leader, MachineOperation::StepDown),
            6 => NemesisOperation::Change {
                roles: vec![(place, TargetRole::Staging)],
                is_forced: false,
                is_for_next: false,
                seen_by: None,
            },
            _ => NemesisOperation::Update {
                of: place,
                priority: self.choices.random.below(4) as u8, // below 4
            },
        }
    }

    /// One or two nodes are taken out of the membership. They lose their disks, or get old copies
    /// of them, come back under their own numbers, and are added again: first as learners.
    fn returns(&mut self, at: Time) {
        let (first, second) = self.choices.link();
        let mut places = vec![first];
        if self.choices.random.chance(300) && self.choices.servers > 4 {
            places.push(second);
        }
        let roles = |role| places.iter().map(|place| (*place, role)).collect();
        let change = |roles, is_forced| NemesisOperation::Change {
            roles,
            is_forced,
            is_for_next: false,
            seen_by: None,
        };
        let mut next = at;
        let mut step = |inputs: &mut Inputs, least, most| {
            let pause = DurationRange::micros(least, most).draw(&mut inputs.choices.random);
            next = later(next, pause);
            next
        };
        let is_copied = self.choices.random.chance(500);
        if is_copied {
            for place in &places {
                let of = Target::Node(*place);
                self.push(at, NemesisOperation::at(of, MachineOperation::Backup));
            }
        }
        let out = step(self, 0, 3_000_000);
        self.push(out, change(roles(TargetRole::NonMember), true));
        let lost = step(self, 200_000, 2_000_000);
        for place in &places {
            let with = if is_copied && !self.choices.random.chance(300) {
                ReplacementDisk::OldCopy
            } else {
                ReplacementDisk::Empty
            };
            let (of, time) = (Target::Node(*place), self.time());
            self.push(
                lost,
                NemesisOperation::at(of, MachineOperation::Replace { with, time }),
            );
        }
        let learner = step(self, 100_000, 4_000_000);
        self.push(learner, change(roles(TargetRole::Learner), false));
        let voter = step(self, 200_000, 3_000_000);
        let is_forced = self.choices.random.chance(300);
        self.push(voter, change(roles(TargetRole::Voter), is_forced));
    }
}

impl Iterator for Inputs {
    type Item = (Time, NemesisOperation);

    fn next(&mut self) -> Option<(Time, NemesisOperation)> {
        loop {
            let first = self.drawn.first_key_value().map(|((at, _), _)| *at);
            // Operations that are drawn later are not due earlier.
            if self.next >= self.ends || first.is_some_and(|first| first <= self.next) {
                let ((at, _), operation) = self.drawn.pop_first()?;
                return (at < self.ends).then_some((at, operation));
            }
            let at = self.next;
            self.episode(at);
            self.next = later(at, self.pause.draw(&mut self.choices.random));
        }
    }
}
