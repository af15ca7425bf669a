//! The operations of the nemesis, drawn one by one.

use super::choices::Choices;
use super::{Draft, later, rounded};
use crate::duration::DurationRange;
use crate::intensity::FaultKind;
use crate::random::Random;
use crate::request::Faults;
use crate::schedule::nemesis::TargetRole;
use crate::schedule::{
    LinkOperation, Links, MachineOperation, NemesisOperation, Place, ReplacementDisk, Target,
};
use core::time::Duration;
use raft_proto::Time;
use std::collections::VecDeque;

/// The kinds of faults that strike now and then.
const EPISODES: [FaultKind; 15] = [
    FaultKind::Split,
    FaultKind::OneWay,
    FaultKind::Flaky,
    FaultKind::SlowLink,
    FaultKind::Pause,
    FaultKind::SlowNode,
    FaultKind::Crash,
    FaultKind::CrashAll,
    FaultKind::Kill,
    FaultKind::SlowDisk,
    FaultKind::FailWrite,
    FaultKind::FailRead,
    FaultKind::Rot,
    FaultKind::Replace,
    FaultKind::Jump,
];

/// What an operator does now and then.
const OPERATOR_REQUESTS: [FaultKind; 3] =
    [FaultKind::Change, FaultKind::Transfer, FaultKind::Snapshot];

/// When the next operation of one sort is due, and the pauses between them.
#[derive(Clone, Copy)]
struct Pace {
    next: Time,
    pause: DurationRange,
}

/// All operations of the nemesis until the faults end.
pub(super) struct Nemesis {
    choices: Choices,
    ends: Time,
    nodes: u64,
    /// Whether each disk has an incarnation.
    has_incarnations: bool,
    /// How long cuts, outages and the like last.
    outage: DurationRange,
    noise: Pace,
    is_noisy: bool,
    episodes: Pace,
    operator_requests: Pace,
    /// Operations that are drawn, and due no earlier than those that were returned.
    drawn: VecDeque<(Time, NemesisOperation)>,
}

impl Nemesis {
    pub(super) fn new(draft: &Draft, mut random: Random) -> Nemesis {
        let (request, intensities) = (&draft.request, draft.intensities);
        let wild = request.faults == Faults::Wild;
        let is = |kinds: &[FaultKind]| kinds.iter().any(|kind| intensities.get(*kind) > 0);
        let pace = |is_on: bool, pause: DurationRange| Pace {
            next: if is_on { Time::ZERO } else { Time::NEVER },
            pause,
        };
        let often = random.between(100_000, 3_000_000);
        let episodes = if wild {
            DurationRange::micros(20_000, often)
        } else {
            DurationRange::micros(1_000_000, 12_000_000)
        };
        let operator_requests = DurationRange::micros(50_000, random.between(300_000, 4_000_000));
        // Noise all the time, or in turns with silence.
        let noise = if random.chance(500) {
            DurationRange::micros(1 << 60, 1 << 61)
        } else {
            DurationRange::micros(300_000, 6_000_000)
        };
        let noisy = [
            FaultKind::Loss,
            FaultKind::Late,
            FaultKind::Duplicate,
            FaultKind::Corrupt,
        ];
        let mut nemesis = Nemesis {
            ends: Time::from_epoch(request.time),
            nodes: draft.settings.nodes.into(),
            has_incarnations: draft.settings.core.incarnations,
            outage: DurationRange::micros(1_000, if wild { 2_500_000 } else { 4_000_000 }),
            noise: pace(is(&noisy), noise),
            is_noisy: false,
            episodes: pace(is(&EPISODES), episodes),
            operator_requests: pace(is(&OPERATOR_REQUESTS), operator_requests),
            drawn: VecDeque::new(),
            choices: Choices {
                random,
                servers: draft.settings.servers().into(),
                intensities,
            },
        };
        nemesis.episodes.next = nemesis.first(nemesis.episodes);
        nemesis.operator_requests.next = nemesis.first(nemesis.operator_requests);
        nemesis
    }

    fn first(&mut self, pace: Pace) -> Time {
        match pace.next {
            Time::NEVER => Time::NEVER,
            now => later(now, pace.pause.draw(&mut self.choices.random)),
        }
    }

    fn outage(&mut self) -> Duration {
        rounded(self.outage.draw(&mut self.choices.random))
    }

    /// The leader in four of ten cases: faults of the leader show most.
    fn target(&mut self) -> Target {
        self.choices.target(400)
    }

    fn noise(&mut self) -> NemesisOperation {
        self.is_noisy = !self.is_noisy;
        let hard = |kind| u32::from(self.choices.intensities.get(kind));
        let (loss, late) = (hard(FaultKind::Loss), hard(FaultKind::Late));
        let (duplicate, corrupt) = (hard(FaultKind::Duplicate), hard(FaultKind::Corrupt));
        let left = self.ends.since(self.noise.next);
        let time = rounded(self.noise.pause.draw(&mut self.choices.random).min(left));
        self.noise.next = later(self.noise.next, time);
        NemesisOperation::AtLinks(LinkOperation::Noise {
            loss: loss * 5 / 2,
            duplicate: duplicate * 2,
            late: late * 3,
            corrupt: corrupt.div_ceil(2),
            by: Duration::from_millis(u64::from(late) * 30),
            time,
        })
    }

    fn split(&mut self) -> Option<NemesisOperation> {
        let time = self.outage();
        if self.choices.random.chance(500) {
            let links = Links::Around(self.target());
            return Some(NemesisOperation::AtLinks(LinkOperation::Cut {
                links,
                time,
            }));
        }
        let bits = self.choices.random.next_u64();
        let side = |place: &Place| bits >> place.0 & 1 == 1;
        let places: Vec<Place> = (0..self.choices.servers as usize)
            .map(Place)
            .filter(side)
            .collect();
        let is_split = !places.is_empty() && places.len() < self.choices.servers as usize;
        let links = Links::Between(places);
        is_split.then_some(NemesisOperation::AtLinks(LinkOperation::Cut {
            links,
            time,
        }))
    }

    /// A process that is killed. In some cases its machine loses power before it restarts.
    fn kill(&mut self, at: Time) -> NemesisOperation {
        let (of, time) = (self.target(), self.outage());
        if let Target::Node(_) = of
            && self.choices.random.chance(300)
        {
            let during = self.choices.random.duration(Duration::ZERO, time);
            let crash = NemesisOperation::at(of, MachineOperation::Crash { time });
            self.drawn.push_back((later(at, during), crash));
        }
        NemesisOperation::at(of, MachineOperation::Kill { time })
    }

    fn flaky(&mut self) -> NemesisOperation {
        let ((from, to), time) = (self.choices.link(), self.outage());
        let loss = self.choices.random.between(300, 950) as u32; // below 1000
        NemesisOperation::AtLinks(LinkOperation::Flaky {
            from,
            to,
            loss,
            time,
        })
    }

    fn slow_link(&mut self) -> NemesisOperation {
        let ((from, to), time) = (self.choices.link(), self.outage());
        let by = self.choices.duration(FaultKind::SlowLink, 5_000, 800_000);
        NemesisOperation::AtLinks(LinkOperation::SlowLink { from, to, by, time })
    }

    fn episode(&mut self, at: Time) -> Option<NemesisOperation> {
        let kind = self.choices.kind(&EPISODES)?;
        Some(match kind {
            FaultKind::Split => self.split()?,
            FaultKind::OneWay => {
                let ((from, to), time) = (self.choices.link(), self.outage());
                let links = Links::One(from, to);
                NemesisOperation::AtLinks(LinkOperation::Cut { links, time })
            }
            FaultKind::Flaky => self.flaky(),
            FaultKind::SlowLink => self.slow_link(),
            FaultKind::Pause
            | FaultKind::SlowNode
            | FaultKind::SlowDisk
            | FaultKind::FailWrite
            | FaultKind::FailRead
            | FaultKind::Rot
            | FaultKind::Replace => {
                let of = self.target();
                NemesisOperation::at(of, self.machine_operation(kind))
            }
            FaultKind::CrashAll => self.crash_all(at),
            FaultKind::Kill => self.kill(at),
            FaultKind::Jump => self.jump(),
            FaultKind::Crash
            | FaultKind::Loss
            | FaultKind::Late
            | FaultKind::Duplicate
            | FaultKind::Corrupt
            | FaultKind::Drift
            | FaultKind::Change
            | FaultKind::Transfer
            | FaultKind::Snapshot
            | FaultKind::Unreachable
            | FaultKind::SlowRead
            | FaultKind::FlakyDisk
            | FaultKind::SlowService
            | FaultKind::SlowRestore
            | FaultKind::Compact
            | FaultKind::Partial
            | FaultKind::Return
            | FaultKind::Seeds
            | FaultKind::Decay
            | FaultKind::Damage
            | FaultKind::Limits
            | FaultKind::ByHand
            | FaultKind::Reconfigure
            | FaultKind::Upgrade => self.crash(at),
        })
    }

    /// What strikes one machine at a time.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all kinds are listed where an episode is drawn"
    )]
    fn machine_operation(&mut self, kind: FaultKind) -> MachineOperation {
        match kind {
            FaultKind::Pause => MachineOperation::Pause {
                time: self.choices.duration(kind, 5_000, 3_000_000),
            },
            FaultKind::SlowNode => MachineOperation::SlowNode {
                by: self.choices.duration(kind, 100, 6_000),
                time: self.outage(),
            },
            FaultKind::SlowDisk => MachineOperation::SlowDisk {
                by: self.choices.duration(kind, 2_000, 1_500_000),
                time: self.outage(),
            },
            FaultKind::FailWrite => MachineOperation::FailWrite {
                time: self.outage(),
            },
            FaultKind::FailRead => MachineOperation::FailRead {
                time: self.outage(),
            },
            FaultKind::Replace => MachineOperation::Replace {
                with: self.replacement(),
                time: self.outage(),
            },
            _ => MachineOperation::Rot,
        }
    }

    /// Where disks have incarnations, most lost ones are made anew under the same number.
    fn replacement(&mut self) -> ReplacementDisk {
        if self.has_incarnations && self.choices.random.chance(600) {
            ReplacementDisk::Empty
        } else {
            ReplacementDisk::NewNode
        }
    }

    /// All machines at once; each restarts after a time of its own.
    fn crash_all(&mut self, at: Time) -> NemesisOperation {
        for place in 1..self.choices.servers as usize {
            let (of, time) = (Target::Node(Place(place)), self.outage());
            self.drawn.push_back((
                at,
                NemesisOperation::at(of, MachineOperation::Crash { time }),
            ));
        }
        NemesisOperation::at(
            Target::Node(Place(0)),
            MachineOperation::Crash {
                time: self.outage(),
            },
        )
    }

    /// A clock that jumps, or stands still.
    fn jump(&mut self) -> NemesisOperation {
        let jumps = self.choices.random.chance(500);
        let of = self.target();
        let by = self.choices.duration(FaultKind::Jump, 5_000, 3_000_000);
        if jumps {
            NemesisOperation::at(of, MachineOperation::Jump { by })
        } else {
            NemesisOperation::at(of, MachineOperation::Freeze { time: by })
        }
    }

    /// One machine, or as many as a minority.
    fn crash(&mut self, at: Time) -> NemesisOperation {
        if self.choices.random.chance(300) {
            for _ in 1..self.choices.random.between(1, (self.nodes / 2).max(1)) {
                let (of, time) = (Target::Node(self.choices.any()), self.outage());
                self.drawn.push_back((
                    at,
                    NemesisOperation::at(of, MachineOperation::Crash { time }),
                ));
            }
        }
        let (of, time) = (self.target(), self.outage());
        NemesisOperation::at(of, MachineOperation::Crash { time })
    }

    fn operator_request(&mut self) -> Option<NemesisOperation> {
        let kind = self.choices.kind(&OPERATOR_REQUESTS)?;
        if kind == FaultKind::Snapshot {
            return Some(NemesisOperation::at(
                self.target(),
                MachineOperation::Snapshot,
            ));
        }
        if kind == FaultKind::Transfer {
            let any = self.choices.any();
            let to = (!self.choices.random.chance(300)).then_some(any);
            return Some(NemesisOperation::Transfer { to });
        }
        let mut roles: Vec<(Place, TargetRole)> = Vec::new();
        for _ in 0..self.choices.random.between(1, 3) {
            let place = self.choices.any();
            let role = match self.choices.random.below(10) {
                0..5 => TargetRole::Voter,
                5..7 => TargetRole::Learner,
                _ => TargetRole::NonMember,
            };
            if roles.iter().all(|(other, _)| *other != place) {
                roles.push((place, role));
            }
        }
        Some(NemesisOperation::Change {
            roles,
            is_forced: self.choices.random.chance(300),
            is_for_next: self.choices.random.chance(300),
            seen_by: (self.choices.random.chance(400)).then(|| self.choices.any()),
        })
    }

    /// Draws the operation that is due next.
    fn draw(&mut self) {
        let nexts = [
            self.noise.next,
            self.episodes.next,
            self.operator_requests.next,
        ];
        let at = nexts.into_iter().min().unwrap_or(Time::NEVER);
        if at == self.noise.next {
            let operation = self.noise();
            if self.is_noisy {
                self.drawn.push_back((at, operation));
            }
        } else if at == self.episodes.next {
            if let Some(operation) = self.episode(at) {
                self.drawn.push_back((at, operation));
            }
            self.episodes.next = later(at, self.episodes.pause.draw(&mut self.choices.random));
        } else {
            if let Some(operation) = self.operator_request() {
                self.drawn.push_back((at, operation));
            }
            self.operator_requests.next = later(
                at,
                self.operator_requests.pause.draw(&mut self.choices.random),
            );
        }
        self.drawn.make_contiguous().sort_by_key(|(at, _)| *at);
    }
}

impl Iterator for Nemesis {
    type Item = (Time, NemesisOperation);

    fn next(&mut self) -> Option<(Time, NemesisOperation)> {
        loop {
            let next = self.noise.next.min(self.episodes.next);
            let next = next.min(self.operator_requests.next);
            match self.drawn.front() {
                // Operations that are drawn later are not due earlier.
                Some((at, _)) if *at <= next => {
                    let (at, operation) = self.drawn.pop_front()?;
                    return (at < self.ends).then_some((at, operation));
                }
                _ if next >= self.ends => {
                    let (at, operation) = self.drawn.pop_front()?;
                    return (at < self.ends).then_some((at, operation));
                }
                Some(_) | None => self.draw(),
            }
        }
    }
}
