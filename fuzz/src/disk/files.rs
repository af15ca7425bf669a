//! A file system in memory.

use raft_driver_thread::storage::disk::files::{FileHandle, Files, Purpose};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Content = Arc<Mutex<Vec<u8>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder, or a file's bytes.
#[derive(Clone, Debug)]
enum Node {
    Folder,
    File(Content),
}

/// The names. Copies are the same file system.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<BTreeMap<PathBuf, Node>>>);

/// What is in it: `None` for a folder.
pub(super) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Memory {
    pub(super) fn holding(image: &Image) -> Memory {
        let nodes = image.iter().map(|(path, content)| {
            let node = content.as_ref().map_or(Node::Folder, |bytes| {
                Node::File(Arc::new(Mutex::new(bytes.clone())))
            });
            (path.clone(), node)
        });
        Memory(Arc::new(Mutex::new(nodes.collect())))
    }

    pub(super) fn image(&self) -> Image {
        let nodes = lock(&self.0);
        let all = nodes.iter().map(|(path, node)| {
            let content = match node {
                Node::Folder => None,
                Node::File(content) => Some(lock(content).clone()),
            };
            (path.clone(), content)
        });
        all.collect()
    }
}

fn not_found<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

impl Files for Memory {
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<Box<dyn FileHandle>> {
        let mut nodes = lock(&self.0);
        let found = match nodes.get(path) {
            Some(Node::File(content)) => Some(content.clone()),
            Some(Node::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
            None => None,
        };
        let content = match (found, purpose) {
            (Some(content), Purpose::Create) => {
                lock(&content).clear();
                content
            }
            (Some(content), Purpose::Read | Purpose::Write) => content,
            (None, Purpose::Create) => {
                let parent = path.parent().unwrap_or(Path::new("/"));
                if !nodes.contains_key(parent) {
                    return not_found();
                }
                let content = Content::default();
                nodes.insert(path.to_owned(), Node::File(content.clone()));
                content
            }
            (None, Purpose::Read | Purpose::Write) => return not_found(),
        };
        Ok(Box::new(Handle(content)))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut nodes = lock(&self.0);
        if nodes.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        nodes.insert(path.to_owned(), Node::Folder);
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if lock(&self.0).contains_key(path) || path == Path::new("/") {
            Ok(())
        } else {
            not_found()
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let nodes = lock(&self.0);
        if !nodes.contains_key(path) {
            return not_found();
        }
        let inside = nodes.keys().filter(|it| it.parent() == Some(path));
        let names = inside.filter_map(|it| it.file_name());
        Ok(names.map(OsString::from).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut nodes = lock(&self.0);
        let Some(node) = nodes.remove(from) else {
            return not_found();
        };
        nodes.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        lock(&self.0)
            .remove(path)
            .map_or_else(not_found, |_| Ok(()))
    }

    fn lock(&self, path: &Path, purpose: Purpose) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut nodes = lock(&self.0);
        if !nodes.contains_key(path) {
            if purpose == Purpose::Read {
                return not_found();
            }
            nodes.insert(path.to_owned(), Node::File(Content::default()));
        }
        Ok(Some(Box::new(())))
    }
}

struct Handle(Content);

impl FileHandle for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = lock(&self.0);
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.get(begin.min(content.len())..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut content = lock(&self.0);
        let mut at = usize::try_from(offset).map_err(io::Error::other)?;
        for piece in pieces {
            let end = at + piece.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[at..end].copy_from_slice(piece);
            at = end;
        }
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        lock(&self.0).resize(length, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
