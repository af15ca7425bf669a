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

pub(crate) fn run(args: &ElectionsArgs) -> io::Result<Verdict> {
    // Before the work: whoever waited for it wants the files.
    let files = match args.svg.as_deref().map(create).transpose() {
        Ok(files) => files.unwrap_or_default(),
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
    for (graph, path, file) in files {
        draw(graph, &samples, file).map_err(|error| {
            let text = format!("--svg: write {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
    }
    let report = Report::new(request, &samples);
    match args.json {
        true => writeln!(io::stdout(), "{:#}", report.json())?,
        false => write!(io::stdout(), "{report}")?,
    }
    Ok(Verdict::Passed)
}

/// The folder, if it is not there, and the files in it. An error names what could not be made.
fn create(folder: &Path) -> Result<Vec<(Graph, PathBuf, File)>, (PathBuf, io::Error)> {
    fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error))?;
    let mut files = Vec::new();
    for graph in Graph::ALL {
        let path = folder.join(graph.file);
        match File::create(&path) {
            Ok(file) => files.push((graph, path, file)),
            Err(error) => return Err((path, error)),
        }
    }
    Ok(files)
}

fn draw(graph: Graph, samples: &[Sample], mut file: File) -> io::Result<()> {
    let text = graph.draw(samples).map_err(io::Error::other)?;
    file.write_all(text.as_bytes())
}
