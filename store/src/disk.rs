//! Every call that changes the disk, and nothing else: the one place where a crash can strike.
//!
//! Each function is one step: it first asks [`crate::faults`], which in tests lets the n-th step fail, tear or take the
//! process down, and which is empty otherwise. Code that writes by other means would escape the crash matrix.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::StoreError;
use crate::faults::{self, Step};

fn step(action: &'static str, path: &Path, step: Step<'_>) -> Result<(), StoreError> {
    faults::before(step).map_err(|e| StoreError::io(action, path, e))
}

/// Creates a file that was not there.
pub(crate) fn create(path: &Path) -> Result<File, StoreError> {
    step("create", path, Step::Create(path))?;
    File::create_new(path).map_err(|e| StoreError::io("create", path, e))
}

/// Writes some of `buffer`, as `Write::write` does.
pub(crate) fn write_some(file: &mut File, path: &Path, buffer: &[u8]) -> io::Result<usize> {
    let refused = faults::before(Step::Write(path));
    if refused.is_err() && faults::tears() {
        file.write_all(&buffer[..buffer.len() / 2])?;
    }
    refused.and_then(|()| file.write(buffer))
}

/// Writes all of `bytes`, as one step.
pub(crate) fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = |e| StoreError::io("write", path, e);
    let refused = faults::before(Step::Write(path));
    if refused.is_err() && faults::tears() {
        file.write_all(&bytes[..bytes.len() / 2]).map_err(failed)?;
    }
    refused.and_then(|()| file.write_all(bytes)).map_err(failed)
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

/// Takes the right to write away from everybody: nobody changes an artifact by mistake.
pub(crate) fn make_read_only(file: &File, path: &Path) -> Result<(), StoreError> {
    file.set_permissions(Permissions::from_mode(0o444)).map_err(|e| StoreError::io("protect", path, e))
}

/// Copies the bytes of a file, sharing its blocks where the file system can.
pub(crate) fn copy(from: &File, to: &mut File, path: &Path) -> Result<(), StoreError> {
    step("write", path, Step::Write(path))?;
    if rustix::fs::ioctl_ficlone(&*to, from).is_ok() {
        return Ok(());
    }
    let mut from = from;
    io::copy(&mut from, to).map(drop).map_err(|e| StoreError::io("write", path, e))
}
