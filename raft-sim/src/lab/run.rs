//! Runs a scenario.

use super::cluster::{Lab, Setup};
use super::report::Report;
use super::scenario::Scenario;
use super::tracer::TraceLevel;

impl Scenario {
    /// Runs the scenario with everything drawn from `seed`. The same seed makes the same run,
    /// whatever `trace` is.
    pub fn run(&self, seed: u64, trace: TraceLevel) -> Report {
        let setup = Setup {
            name: self.name,
            peers: self.peers,
            reliability: self.reliability,
            service: self.service,
            features: self.features,
        };
        let mut lab = Lab::new(setup, seed, trace);
        let outcome = lab.create().and_then(|()| (self.script)(&mut lab));
        let outcome = outcome.and_then(|()| lab.check_time_limit());
        Report {
            scenario: *self,
            seed,
            figures: lab.figures(),
            warnings: lab.take_warnings(),
            outcome,
            trace: lab.take_trace(),
        }
    }
}
