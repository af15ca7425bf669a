//! `raft-kv backup`.

use super::access::AccessArgs;
use super::failure::Failure;
use crate::client::Client;
use crate::config::ByteSize;
use crate::recovery::check_backup;
use clap::Args;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `raft-kv backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The file to write; it is there when all of it is
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there already
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) fn run(arguments: &BackupArgs) -> Result<(), Failure> {
    let file = &arguments.file;
    let there = || {
        let file = file.display();
        Failure::new(format!(
            "{file} is there already: name another, or say --replace"
        ))
    };
    if file.exists() && !arguments.replace {
        return Err(there());
    }
    let failed = |error: &io::Error| Failure::io(format!("write {}", file.display()), error);
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let mut client = arguments.access.connect()?;
    let begun = Instant::now();
    let aside = tempfile::Builder::new()
        .prefix(".backup.")
        .tempfile_in(folder);
    let mut aside = aside.map_err(|error| failed(&error))?;
    let bytes = receive(&mut client, &mut aside, &failed)?;
    aside.as_file().sync_all().map_err(|error| failed(&error))?;
    aside.rewind().map_err(|error| failed(&error))?;
    // What was not whole would be found out when it is too late.
    let backed_up = check_backup(aside.as_file()).map_err(|error| failed(&error))?;
    let named = match arguments.replace {
        true => aside.persist(file),
        false => aside.persist_noclobber(file),
    };
    named.map_err(
        |error| match error.error.kind() == io::ErrorKind::AlreadyExists {
            true => there(),
            false => failed(&error.error),
        },
    )?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(&error))?;
    let seconds = begun.elapsed().as_secs_f64();
    let (size, keys) = (ByteSize(bytes).rounded(), backed_up.keys);
    println!("{}: {keys} keys, {size}, in {seconds:.1} s", file.display());
    Ok(())
}

/// All pieces, in order; how many bytes they are.
fn receive(
    client: &mut Client,
    file: &mut impl Write,
    failed: &impl Fn(&io::Error) -> Failure,
) -> Result<u64, Failure> {
    client.call(&[b"RAFT", b"BACKUP", b"OPEN"])?;
    let mut bytes = 0;
    while let Some(piece) = client.bulk(&[b"RAFT", b"BACKUP", b"READ"])? {
        file.write_all(&piece).map_err(|error| failed(&error))?;
        bytes += piece.len() as u64;
    }
    Ok(bytes)
}
