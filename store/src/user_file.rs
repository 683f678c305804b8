//! Files that a user named: written wholly or not at all, and never in place of what is no plain file.
//!
//! A link stays a link, and what it leads to is written. A pipe, a device, or an open file such as `/dev/stdout` takes the
//! bytes as they come. `-` is what the process prints to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::durable::{folder_of, prepare_folder, settle, temporary};
use crate::{StoreError, disk};

/// Links that lead on to links, before the name counts as a loop; Linux stops at as many.
const MAX_LINKS: usize = 40;

/// Writes a file that a user named.
///
/// # Errors
/// [`StoreError`] when the folder cannot be written or is full.
pub fn publish_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    publish_stream(path, |out| out.write_all(bytes).map_err(|e| StoreError::io("write", path, e)))
}

/// Does the same with bytes that a function writes, too many to hold in memory.
///
/// # Errors
/// [`StoreError`] when the folder cannot be written or is full, and what the function returns; a plain file is then as
/// before.
pub fn publish_stream<E: From<StoreError>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    match destination(path).map_err(|e| StoreError::io("write", path, e))? {
        Destination::Replaced(path) => replace(&path, write),
        Destination::Opened(mut file) => write(&mut file),
    }
}

fn replace<E: From<StoreError>>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
    let temporary = temporary(prepare_folder(path)?);
    let written = disk::create(&temporary).map_err(E::from).and_then(|mut file| {
        write(&mut Stream { file: &mut file, path: &temporary })?;
        Ok(disk::sync(&file, &temporary)?)
    });
    let result = written.and_then(|()| Ok(settle(&temporary, path)?));
    if result.is_err() {
        let _ = disk::remove_file(&temporary); // garbage at worst; the first error says more
    }
    result
}

/// Where the bytes go.
enum Destination {
    /// A plain file, or none yet: a new one takes its place.
    Replaced(PathBuf),
    /// Something that takes bytes as they come.
    Opened(File),
}

/// Returns what the process prints to, or tells its errors to, where a name stands for it: `-`, `/dev/stdout`, `/proc/self/fd/2`.
/// It is not opened anew, since others who write there would then write over it.
///
/// # Errors
/// An error of the system when it cannot be had twice.
pub fn standard_stream(path: &Path) -> io::Result<Option<File>> {
    let own = Path::new("/proc").join(std::process::id().to_string()).join("fd");
    let mut path = if path == Path::new("-") { own.join("1") } else { path.to_owned() };
    for _ in 0..MAX_LINKS {
        let folder = fs::canonicalize(folder_of(&path)).unwrap_or_default();
        let descriptor = match path.file_name().and_then(|name| name.to_str()) {
            Some("1") if folder == own => io::stdout().as_fd().try_clone_to_owned(),
            Some("2") if folder == own => io::stderr().as_fd().try_clone_to_owned(),
            _ => match fs::read_link(&path) {
                Ok(next) => {
                    path = folder.join(next);
                    continue;
                }
                Err(_) => return Ok(None),
            },
        };
        return descriptor.map(|descriptor| Some(File::from(descriptor)));
    }
    Ok(None)
}

/// Follows links to what a name stands for.
fn destination(path: &Path) -> io::Result<Destination> {
    if let Some(stream) = standard_stream(path)? {
        return Ok(Destination::Opened(stream));
    }
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if path.file_name().is_none() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let is_of_process = fs::canonicalize(folder_of(&path)).is_ok_and(|folder| folder.starts_with("/proc"));
        match fs::symlink_metadata(&path) {
            Ok(found) if is_of_process => return open(&path, found.is_symlink()),
            Ok(found) if found.is_symlink() => path = folder_of(&path).join(fs::read_link(&path)?),
            Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if !found.is_file() => return open(&path, false),
            Ok(_) => return Ok(Destination::Replaced(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Destination::Replaced(path)),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// An open file of the process may be a plain one that a shell writes to as well: bytes go behind what is there.
fn open(path: &Path, append: bool) -> io::Result<Destination> {
    #[expect(clippy::disallowed_methods, reason = "a file or pipe that a user names")]
    OpenOptions::new().write(true).append(append).open(path).map(Destination::Opened)
}

/// A file that is written piece by piece, each of them a step of the disk.
struct Stream<'a> {
    file: &'a mut File,
    path: &'a Path,
}

impl Write for Stream<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        disk::write_some(self.file, self.path, buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_published_file_replaces_the_old_one_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/out.txt");
        publish_file(&path, b"one").unwrap();
        publish_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_stream_is_published_whole_or_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        let failed = || StoreError::io("write", &path, io::Error::other("no more"));
        publish_stream(&path, |out| out.write_all(b"one").map_err(|_| failed())).unwrap();
        publish_stream(&path, |out| out.write_all(b"two").map_err(|_| failed()).and(Err(failed()))).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_not_replaced_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(publish_file(folder.path(), b"x").is_err());
        assert!(publish_file(&folder.path().join(".."), b"x").is_err());
    }

    #[test]
    fn links_stay_and_what_they_lead_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/old"), b"before").unwrap();
        symlink("real/old", at("to-old")).unwrap();
        symlink("to-old", at("to-link")).unwrap();
        symlink("real/new", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for (name, file) in [("to-old", "real/old"), ("to-link", "real/old"), ("dangling", "real/new")] {
            publish_file(&at(name), name.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(at(name)).unwrap().is_symlink(), "{name}");
            assert_eq!(fs::read(at(file)).unwrap(), name.as_bytes());
        }
        assert!(publish_file(&at("loop"), b"x").is_err());
    }

    #[test]
    fn a_pipe_and_an_open_file_take_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, log) = (folder.path().join("pipe"), folder.path().join("log"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut read = String::new();
                File::open(pipe).unwrap().read_to_string(&mut read).map(|_| read)
            }
        });
        publish_file(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), "through");

        fs::write(&log, b"first, ").unwrap();
        let open = OpenOptions::new().append(true).open(&log).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&open);
        publish_file(Path::new(&format!("/proc/self/fd/{number}")), b"second").unwrap();
        assert_eq!(fs::read(&log).unwrap(), b"first, second");
    }
}
