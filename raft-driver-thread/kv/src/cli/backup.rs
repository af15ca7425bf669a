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
    /// The file to write; it appears once it is complete
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) fn run(arguments: &BackupArgs) -> Result<(), Failure> {
    let file = &arguments.file;
    let exists = || {
        let file = file.display();
        Failure::new(format!(
            "{file} exists already: name another file, or give --replace"
        ))
    };
    if file.exists() && !arguments.replace {
        return Err(exists());
    }
    let failed = |error: &io::Error| Failure::io(format!("write {}", file.display()), error);
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let mut client = arguments.access.connect()?;
    let begun = Instant::now();
    let temporary = tempfile::Builder::new()
        .prefix(".backup.")
        .tempfile_in(directory);
    let mut temporary = temporary.map_err(|error| failed(&error))?;
    let bytes = receive(&mut client, &mut temporary, &failed)?;
    temporary
        .as_file()
        .sync_all()
        .map_err(|error| failed(&error))?;
    temporary.rewind().map_err(|error| failed(&error))?;
    // Damage has to be found now, not when the backup is needed.
    let backed_up = check_backup(temporary.as_file()).map_err(|error| failed(&error))?;
    let named = if arguments.replace {
        temporary.persist(file)
    } else {
        temporary.persist_noclobber(file)
    };
    named.map_err(|error| {
        if error.error.kind() == io::ErrorKind::AlreadyExists {
            exists()
        } else {
            failed(&error.error)
        }
    })?;
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed(&error))?;
    let seconds = begun.elapsed().as_secs_f64();
    let (size, keys) = (ByteSize(bytes).rounded(), backed_up.keys);
    println!("{}: {keys} keys, {size}, in {seconds:.1} s", file.display());
    Ok(())
}

/// Receives the backup, chunk by chunk, and returns its length in bytes.
fn receive(
    client: &mut Client,
    file: &mut impl Write,
    failed: &impl Fn(&io::Error) -> Failure,
) -> Result<u64, Failure> {
    client.call(&[b"RAFT", b"BACKUP", b"OPEN"])?;
    let mut bytes = 0;
    while let Some(chunk) = client.bulk(&[b"RAFT", b"BACKUP", b"READ"])? {
        file.write_all(&chunk).map_err(|error| failed(&error))?;
        bytes += chunk.len() as u64;
    }
    Ok(bytes)
}
