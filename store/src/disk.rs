//! Every call that changes the disk, and nothing else: the one place where a crash can strike.
//!
//! Each function is one step: it first asks [`crate::faults`], which lets the n-th step fail, tear or take the process
//! down when a test wants that. Code that writes by other means would escape the crash matrices.

#![expect(clippy::disallowed_methods, reason = "the one file through which the store changes a disk")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};

use crate::StoreError;
use crate::error::NoRoom;
use crate::faults::{self, Step};

/// From how many bytes on the free space is looked up before a write.
const LARGE: u64 = 1 << 20;

fn step(action: &'static str, path: &Path, step: Step<'_>) -> Result<(), StoreError> {
    faults::before(step).map_err(|e| StoreError::io(action, path, e))
}

/// Creates a file that was not there.
pub(crate) fn create(path: &Path) -> Result<File, StoreError> {
    step("create", path, Step::Create(path))?;
    File::create_new(path).map_err(|e| StoreError::io("create", path, e))
}

/// Makes an empty file; one that another process has just made is no error.
pub(crate) fn touch(path: &Path) -> Result<(), StoreError> {
    step("create", path, Step::Create(path))?;
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    opened.map(drop).map_err(|e| StoreError::io("create", path, e))
}

/// Opens the file of a lock, and makes it when it is not there.
pub(crate) fn open_lock(path: &Path) -> Result<File, StoreError> {
    let failed = |e| StoreError::io("lock", path, e);
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            step("lock", path, Step::Create(path))?;
            // Not a new one: another process may have been faster, and both must lock the same file.
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)
        }
        result => result.map_err(failed),
    }
}

/// Lets a write pass when the disk has room for it; of one that is to tear, half is done.
fn before_write(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    check_room(path, bytes.len() as u64)?;
    let refused = faults::before(Step::Write(path, bytes.len() as u64));
    if refused.is_err() && faults::tears() {
        let half = file.write_all(&bytes[..bytes.len() / 2]);
        faults::torn();
        half?;
    }
    refused
}

/// Refuses a large write that the disk has no room for, before any of it is done. Small ones just fail.
fn check_room(path: &Path, needed: u64) -> io::Result<()> {
    if needed < LARGE {
        return Ok(());
    }
    let Ok(disk) = statvfs(path) else { return Ok(()) }; // the write itself will tell
    let free = faults::free(disk.f_bavail.saturating_mul(disk.f_frsize));
    if free < needed { Err(io::Error::new(io::ErrorKind::StorageFull, NoRoom { needed, free })) } else { Ok(()) }
}

/// Writes some of `buffer`, as `Write::write` does.
pub(crate) fn write_some(file: &mut File, path: &Path, buffer: &[u8]) -> io::Result<usize> {
    before_write(file, path, buffer)?;
    file.write(buffer)
}

/// Writes all of `bytes`, as one step.
pub(crate) fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    before_write(file, path, bytes).and_then(|()| file.write_all(bytes)).map_err(|e| StoreError::io("write", path, e))
}

/// Puts `bytes` in place of all that a file holds.
pub(crate) fn overwrite(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
    emptied.map_err(|e| StoreError::io("write", path, e))?;
    write_all(file, path, bytes)
}

/// Takes the text out of the file of a lock. No step: nothing depends on it, and it happens when a lock is given up.
pub(crate) fn empty(file: &File) {
    let _ = file.set_len(0);
}

/// Appends `bytes` by one `write`, so that the records of several processes do not mix.
pub(crate) fn append(path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
    let mut file = OpenOptions::new().append(true).open(path).map_err(|e| StoreError::io("open", path, e))?;
    write_all(&mut file, path, bytes)?;
    Ok(file)
}

/// Makes the bytes of a file durable.
pub(crate) fn sync(file: &File, path: &Path) -> Result<(), StoreError> {
    step("sync", path, Step::Sync(path))?;
    file.sync_all().map_err(|e| StoreError::io("sync", path, e))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    step("sync", folder, Step::SyncFolder(folder))?;
    let opened = File::open(folder).map_err(|e| StoreError::io("open", folder, e))?;
    opened.sync_all().map_err(|e| StoreError::io("sync", folder, e))
}

/// Makes a tree of many small files durable at once: one call for the file system instead of one for each file.
pub(crate) fn sync_tree(folder: &Path) -> Result<(), StoreError> {
    step("sync", folder, Step::SyncTree(folder))?;
    let opened = File::open(folder).map_err(|e| StoreError::io("open", folder, e))?;
    rustix::fs::syncfs(&opened).map_err(|e| StoreError::io("sync", folder, e.into()))
}

/// Gives a file another name; what had that name is replaced.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    step("rename", to, Step::Rename(from, to))?;
    fs::rename(from, to).map_err(|e| StoreError::io("rename", to, e))
}

/// Gives a file a name unless that is taken; tells whether it did. Where the file system cannot, it replaces.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<bool, StoreError> {
    step("rename", to, Step::Rename(from, to))?;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST) => Ok(false),
        Err(_) => fs::rename(from, to).map(|()| true).map_err(|e| StoreError::io("rename", to, e)),
    }
}

/// Swaps two folders, so that neither name is ever without one.
pub(crate) fn exchange(one: &Path, other: &Path) -> Result<(), StoreError> {
    step("rename", other, Step::Exchange(one, other))?;
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(|e| StoreError::io("rename", other, e.into()))
}

/// Makes one folder; one that another process has just made is no error.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    step("create", folder, Step::MakeFolder(folder))?;
    match fs::create_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        result => result.map_err(|e| StoreError::io("create", folder, e)),
    }
}

/// Makes a symbolic link.
pub(crate) fn link(target: &Path, link: &Path) -> Result<(), StoreError> {
    step("link", link, Step::Create(link))?;
    std::os::unix::fs::symlink(target, link).map_err(|e| StoreError::io("link", link, e))
}

/// Removes a file; one that is gone already is no error.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    step("remove", path, Step::Remove)?;
    ignore_absent(fs::remove_file(path)).map_err(|e| StoreError::io("remove", path, e))
}

/// Removes a folder with all that is in it; one that is gone already is no error.
pub(crate) fn remove_tree(path: &Path) -> Result<(), StoreError> {
    step("remove", path, Step::Remove)?;
    ignore_absent(fs::remove_dir_all(path)).map_err(|e| StoreError::io("remove", path, e))
}

fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Takes the right to write away from everybody: nobody changes an artifact by mistake. Who may read it stays as the
/// process's umask had it when the file was made.
pub(crate) fn make_read_only(file: &File, path: &Path) -> Result<(), StoreError> {
    let failed = |e| StoreError::io("protect", path, e);
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    file.set_permissions(Permissions::from_mode(mode & 0o444)).map_err(failed)
}

/// Copies the bytes of a file, sharing its blocks where the file system can.
pub(crate) fn copy(from: &File, to: &mut File, path: &Path) -> Result<(), StoreError> {
    let failed = |e| StoreError::io("write", path, e);
    let bytes = from.metadata().map_err(failed)?.len();
    step("write", path, Step::Write(path, bytes))?;
    if rustix::fs::ioctl_ficlone(&*to, from).is_ok() {
        return Ok(());
    }
    let mut from = from;
    check_room(path, bytes).and_then(|()| io::copy(&mut from, to)).map(drop).map_err(failed)
}
