//! A file system in memory that records every call, and rebuilds what a power failure may leave.

use raft_driver_thread::raft_proto::Checksum;
use raft_driver_thread::storage::disk::files::{FileHandle, Files, Purpose};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// A name: of a folder, or of the file with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Folder,
    File(usize),
}

/// A change of the names in a folder.
#[derive(Clone, Debug)]
pub(crate) enum Naming {
    Link(PathBuf, Node),
    Rename(PathBuf, PathBuf, Node),
    Remove(PathBuf),
}

impl Naming {
    pub(crate) fn folder(&self) -> &Path {
        let (Naming::Link(path, _) | Naming::Rename(path, _, _) | Naming::Remove(path)) = self;
        path.parent().unwrap()
    }

    pub(crate) fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Naming::Link(path, node) => {
                names.insert(path.clone(), *node);
            }
            Naming::Rename(from, to, node) => {
                // The file may be known by neither name, if its first one was lost.
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
            Naming::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

/// A call that changes the disk, or makes a change durable.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Name(Naming),
    SyncFolder(PathBuf),
    Length(usize, u64),
    Write(usize, u64, Vec<u8>),
    Sync(usize),
    /// The sync failed: what was to be written is taken for written, and is not.
    FailedSync(usize),
}

/// Names, and the bytes of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Image {
    pub(crate) names: BTreeMap<PathBuf, Node>,
    pub(crate) files: Vec<Vec<u8>>,
}

impl Image {
    /// Different for different images, but for one pair in very many.
    pub(crate) fn digest(&self) -> u64 {
        let names = BuildHasherDefault::<DefaultHasher>::default().hash_one(&self.names);
        let files = self.files.iter();
        files.fold(names, |digest, bytes| {
            let file = u64::from(Checksum::of(bytes)) << 32 | bytes.len() as u64;
            (digest ^ file)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
        })
    }

    pub(crate) fn write(&mut self, file: usize, offset: u64, bytes: &[u8]) {
        let bytes_of = &mut self.files[file];
        let end = offset as usize + bytes.len();
        if bytes_of.len() < end {
            bytes_of.resize(end, 0);
        }
        bytes_of[offset as usize..end].copy_from_slice(bytes);
    }
}

#[derive(Default)]
struct Inner {
    image: Image,
    calls: Vec<Call>,
    locked: BTreeSet<PathBuf>,
    /// How many syncs are left until one fails.
    syncs_until_failure: Option<usize>,
}

impl Inner {
    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.image.names);
        self.calls.push(Call::Name(naming));
    }

    /// The sync of a file; it fails if its turn has come.
    fn sync(&mut self, file: usize) -> io::Result<()> {
        if let Some(left) = &mut self.syncs_until_failure {
            if *left == 0 {
                self.syncs_until_failure = None;
                self.calls.push(Call::FailedSync(file));
                return Err(io::Error::other("the disk is broken"));
            }
            *left -= 1;
        }
        self.calls.push(Call::Sync(file));
        Ok(())
    }
}

/// The disk, and the page cache before it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    /// A disk that holds this, durably.
    pub(crate) fn holding(image: Image) -> Disk {
        let inner = Inner {
            image,
            ..Inner::default()
        };
        Disk(Arc::new(Mutex::new(inner)))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// What a process sees.
    pub(crate) fn image(&self) -> Image {
        self.inner().image.clone()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.inner().calls.clone()
    }

    pub(crate) fn call_count(&self) -> usize {
        self.inner().calls.len()
    }

    /// After so many syncs, one fails.
    pub(crate) fn fail_sync_after(&self, count: usize) {
        self.inner().syncs_until_failure = Some(count);
    }
}

struct Handle {
    disk: Disk,
    file: usize,
}

impl Files for Disk {
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<Box<dyn FileHandle>> {
        let mut inner = self.inner();
        let found = inner.image.names.get(path).copied();
        let file = match (found, purpose) {
            (Some(Node::File(file)), Purpose::Create) => {
                inner.image.files[file].clear();
                inner.calls.push(Call::Length(file, 0));
                file
            }
            (Some(Node::File(file)), Purpose::Read | Purpose::Write) => file,
            (Some(Node::Folder), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (None, Purpose::Create) => {
                let file = inner.image.files.len();
                inner.image.files.push(Vec::new());
                inner.name(Naming::Link(path.to_owned(), Node::File(file)));
                file
            }
            (None, Purpose::Read | Purpose::Write) => return Err(io::ErrorKind::NotFound.into()),
        };
        let disk = self.clone();
        Ok(Box::new(Handle { disk, file }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.image.names.contains_key(path) || path.parent().is_none() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let parent = path.parent().unwrap();
        if parent.parent().is_some() && !inner.image.names.contains_key(parent) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.name(Naming::Link(path.to_owned(), Node::Folder));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.inner().calls.push(Call::SyncFolder(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let inner = self.inner();
        if !inner.image.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = inner.image.names.keys();
        let inside = names.filter(|name| name.parent() == Some(path));
        Ok(inside
            .map(|name| name.file_name().unwrap().to_owned())
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        let node = inner.image.names.get(from).copied();
        let node = node.ok_or(io::ErrorKind::NotFound)?;
        inner.name(Naming::Rename(from.to_owned(), to.to_owned(), node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.image.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.name(Naming::Remove(path.to_owned()));
        Ok(())
    }

    fn lock(&self, path: &Path, purpose: Purpose) -> io::Result<Option<Box<dyn Send + Sync>>> {
        struct Lock(Disk, PathBuf);
        impl Drop for Lock {
            fn drop(&mut self) {
                self.0.inner().locked.remove(&self.1);
            }
        }
        let is_there = self.inner().image.names.contains_key(path);
        if !is_there {
            drop(self.open(path, purpose)?);
        }
        let is_free = self.inner().locked.insert(path.to_owned());
        Ok(is_free.then(|| Box::new(Lock(self.clone(), path.to_owned())) as Box<_>))
    }
}

impl FileHandle for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.inner().image.files[self.file].len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.inner();
        let bytes = inner.image.files[self.file].get(offset as usize..);
        let bytes = bytes.unwrap_or_default();
        let read = bytes.len().min(buffer.len());
        buffer[..read].copy_from_slice(&bytes[..read]);
        Ok(read)
    }

    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let bytes: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        let mut inner = self.disk.inner();
        inner.image.write(self.file, offset, &bytes);
        inner.calls.push(Call::Write(self.file, offset, bytes));
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.image.files[self.file].resize(length as usize, 0);
        inner.calls.push(Call::Length(self.file, length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.inner().sync(self.file)
    }
}
