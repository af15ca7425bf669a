//! Small file systems in memory, for faults that fill a disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The size of one while it is not full. It takes memory only for what is in it.
const SIZE: u64 = 1 << 30;
/// The environment variable that says that this process has a mount namespace of its own.
const OWN_MOUNTS: &str = "TORTURE_OWN_MOUNTS";

/// Replaces this process by one in a mount namespace of its own. Nobody else sees its mounts, and
/// the kernel removes them when it ends. Where that is not allowed, does nothing: then no disk is
/// filled.
pub(crate) fn enter_mount_namespace() {
    if std::env::var_os(OWN_MOUNTS).is_some() {
        return;
    }
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    for way in ways {
        let mut attempt = Command::new("unshare");
        attempt
            .args(way)
            .args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
        let attempt = attempt.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let Ok(itself) = std::env::current_exe() else {
            return;
        };
        if attempt.is_ok_and(|status| status.success()) {
            use std::os::unix::process::CommandExt;
            let mut again = Command::new("unshare");
            again
                .args(way)
                .arg(itself)
                .args(std::env::args_os().skip(1));
            // Returns only if it fails.
            let _ = again.env(OWN_MOUNTS, "1").exec();
        }
    }
}

/// A file system for the data of one server.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one in this new directory, if this process is allowed to.
    pub(crate) fn mount(path: &Path) -> Option<SmallDisk> {
        std::env::var_os(OWN_MOUNTS)?;
        fs::create_dir_all(path).ok()?;
        let path = path.to_path_buf();
        mount::mount(&path, SIZE).ok()?;
        Some(SmallDisk { path })
    }

    /// Fills it: from now on hardly anything can be written.
    pub(crate) fn fill(&self) -> io::Result<()> {
        // It cannot become smaller than its content, which may grow meanwhile.
        for _ in 0..100 {
            if mount::resize(&self.path, mount::used(&self.path)?).is_ok() {
                return Ok(());
            }
        }
        mount::resize(&self.path, mount::used(&self.path)?)
    }

    /// Makes space again.
    pub(crate) fn free(&self) -> io::Result<()> {
        mount::resize(&self.path, SIZE)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // If this fails, it is unmounted with the process.
        let _ = mount::unmount(&self.path);
    }
}

#[cfg(target_os = "linux")]
mod mount {
    use rustix::fs::statvfs;
    use rustix::mount::{MountFlags, UnmountFlags};
    use std::ffi::CString;
    use std::io;
    use std::path::Path;

    pub(super) fn mount(path: &Path, size: u64) -> io::Result<()> {
        let size = CString::new(format!("size={size}"))?;
        let flags = MountFlags::empty();
        Ok(rustix::mount::mount(
            "tmpfs",
            path,
            "tmpfs",
            flags,
            size.as_c_str(),
        )?)
    }

    pub(super) fn resize(path: &Path, size: u64) -> io::Result<()> {
        let flags = MountFlags::empty();
        Ok(rustix::mount::mount_remount(
            path,
            flags,
            format!("size={size}"),
        )?)
    }

    pub(super) fn used(path: &Path) -> io::Result<u64> {
        let all = statvfs(path)?;
        Ok((all.f_blocks - all.f_bfree) * all.f_frsize)
    }

    pub(super) fn unmount(path: &Path) -> io::Result<()> {
        Ok(rustix::mount::unmount(path, UnmountFlags::DETACH)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod mount {
    use std::io;
    use std::path::Path;

    pub(super) fn mount(_: &Path, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn resize(_: &Path, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn used(_: &Path) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn unmount(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
