//! `raft-sim elections`.

use super::{ElectionsArgs, Verdict};
use raft_proto::PreVoting;
use raft_sim::elections::chart::Graph;
use raft_sim::elections::range::TimeoutRange;
use raft_sim::elections::summary::Report;
use raft_sim::elections::timing::Timing;
use raft_sim::elections::{self, Request, Sample};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that one of the graphs is to be written to.
struct Target {
    graph: Graph,
    path: PathBuf,
    file: File,
}

pub(crate) fn run(args: &ElectionsArgs) -> io::Result<Verdict> {
    // Before the work: whoever waited for it wants the files.
    let targets = match args.svg.as_deref().map(create).transpose() {
        Ok(targets) => targets.unwrap_or_default(),
        Err((path, error)) => {
            let path = path.display();
            writeln!(io::stderr(), "error: --svg: cannot write {path}: {error}")?;
            return Ok(Verdict::Usage);
        }
    };
    let request = Request {
        seed: args.seed,
        trials: args.trials,
        timing: Timing::new(args.broadcast_time.into()),
        own_vote: args.own_vote,
        pre_vote: match args.pre_vote {
            true => PreVoting::On,
            false => PreVoting::Off,
        },
        limit: args.limit,
    };
    let samples = match elections::run(&request, &TimeoutRange::all()) {
        Ok(samples) => samples,
        Err(failed) => {
            writeln!(io::stderr(), "error: seed {}, {failed}", args.seed)?;
            return Ok(Verdict::Failed);
        }
    };
    for target in targets {
        target.draw(&samples)?;
    }
    let report = Report::new(request, &samples);
    match args.json {
        true => writeln!(io::stdout(), "{:#}", report.json())?,
        false => write!(io::stdout(), "{report}")?,
    }
    Ok(Verdict::Passed)
}

/// The folder, if it is not there, and the files in it. An error names what could not be made.
fn create(folder: &Path) -> Result<Vec<Target>, (PathBuf, io::Error)> {
    fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error))?;
    let targets = Graph::ALL.into_iter().map(|graph| {
        let path = folder.join(graph.file);
        match File::create(&path) {
            Ok(file) => Ok(Target { graph, path, file }),
            Err(error) => Err((path, error)),
        }
    });
    targets.collect()
}

impl Target {
    fn draw(mut self, samples: &[Sample]) -> io::Result<()> {
        let text = self.graph.draw(samples).map_err(io::Error::other)?;
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| {
            let text = format!("--svg: write {}: {error}", self.path.display());
            io::Error::new(error.kind(), text)
        })
    }
}
