//! A path to a violation: as steps that can be taken again, and as a trace to read.

use super::model::Model;
use super::outcome::Violation;
use super::world::{WalkError, World};

/// A shortest path to a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What happens in each step: which of all choices there, counted from 0, and what it is.
    pub steps: Vec<(u16, String)>,
    /// The trace of all nodes. Lines that begin with `#` say what happens next.
    pub trace: Vec<String>,
    /// What is wrong at the end.
    pub violation: Violation,
}

impl Counterexample {
    /// Walks the path that a search found, by the core alone.
    pub(super) fn walk(
        model: &Model,
        path: &[u16],
        violation: Violation,
    ) -> Result<Counterexample, WalkError> {
        let mut world = match World::new(model) {
            Ok(world) => world,
            Err(WalkError::Violation(violation)) => return Ok(Counterexample::opening(violation)),
            Err(error) => return Err(error),
        };
        let mut steps = Vec::new();
        world.lines = Some(Vec::new());
        for (at, number) in path.iter().enumerate() {
            let choices = world.choices();
            let Some(choice) = choices.get(usize::from(*number)) else {
                let (step, what) = (at + 1, format!("choice {number}"));
                return Err(WalkError::Impossible { step, what });
            };
            steps.push((*number, world.describe(*choice)));
            if let Err(violation) = world.take(*choice) {
                let trace = world.lines.unwrap_or_default();
                return Ok(Counterexample {
                    steps,
                    trace,
                    violation,
                });
            }
        }
        // It is broken in what comes next, if all is well from here on.
        if let Err(violation) = world.clone().recovers() {
            return Ok(Counterexample {
                steps,
                trace: world.lines.unwrap_or_default(),
                violation,
            });
        }
        // The tables say that it is violated, and the core does not: the tables are wrong.
        Err(WalkError::Violation(Violation::new(
            "the search and the core agree",
            format!("only the search finds that {violation}"),
        )))
    }

    /// The model's opening is wrong already.
    pub(super) fn opening(violation: Violation) -> Counterexample {
        Counterexample {
            steps: Vec::new(),
            trace: Vec::new(),
            violation,
        }
    }

    /// Walks steps that were written down before, and returns what they come to.
    ///
    /// # Errors
    ///
    /// A step cannot happen, or no property is violated at the end.
    pub fn replay(model: &Model, steps: &[(u16, String)]) -> Result<Counterexample, WalkError> {
        let path: Vec<u16> = steps.iter().map(|(number, _)| *number).collect();
        let expected = Violation::new("nothing", "the steps were written down for a violation");
        let found = Counterexample::walk(model, &path, expected)?;
        let differs = |(it, known): (&(u16, String), &(u16, String))| it != known;
        match found.steps.iter().zip(steps).position(differs) {
            None => Ok(found),
            Some(at) => {
                let what = steps.get(at).map(|it| it.1.clone()).unwrap_or_default();
                Err(WalkError::Impossible { step: at + 1, what })
            }
        }
    }
}
