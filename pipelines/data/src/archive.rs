//! Unpacks a dataset's archive (`.tgz`, `.tar.gz`, `.tar`) without trusting a byte of it.
//!
//! An archive comes from the network: it may be cut off, name paths outside, hold links that lead there, or unpack to
//! more than any disk holds. Only photos and CUB's lists are written; anything that is not a plain file or folder below
//! the target refuses the whole archive.

use crate::DataError;
use flate2::read::MultiGzDecoder;
use md5::{Digest as _, Md5};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, EntryType};

/// The lists of a CUB folder.
const LISTS: [&str; 5] =
    ["images.txt", "image_class_labels.txt", "classes.txt", "bounding_boxes.txt", "train_test_split.txt"];

/// How much an archive may unpack to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file.
    pub file: u64,
    /// Bytes in all, for an archive of any size.
    pub total: u64,
    /// Bytes in all, as a multiple of the archive's own: photos hardly compress.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: 256 << 20, total: 256 << 20, ratio: 20 }
    }
}

/// What of an archive is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpack {
    /// Photos and lists.
    All,
    /// The lists alone: enough to plan.
    Lists,
}

/// Unpacks `archive` into the empty folder `target`, made when it does not exist, and returns the folder of the dataset in it.
///
/// `md5`: the digest that the publisher gives for the archive, as hexadecimal digits; checked when given. On an error,
/// `target` may be left half full: the caller removes it. `progress` is told how many files are written.
///
/// # Errors
/// [`DataError::Archive`] for an archive that is damaged, hostile or not the expected one, [`DataError::Io`] when the
/// file system refuses.
pub fn unpack(
    archive: &Path,
    target: &Path,
    what: Unpack,
    md5: Option<&str>,
    limits: Limits,
    progress: &dyn Fn(u64),
) -> Result<PathBuf, DataError> {
    let io = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| DataError::Io { action, path, source }
    };
    fs::create_dir_all(target).map_err(io("make the folder", target))?;
    let file = File::open(archive).map_err(io("open", archive))?;
    let size = file.metadata().map_err(io("read", archive))?.len();
    let most = limits.total.max(limits.ratio.saturating_mul(size));
    let mut source = BufReader::with_capacity(1 << 20, Hashed { file, hash: Md5::new() });
    {
        let is_gzip = source.fill_buf().map_err(io("read", archive))?.starts_with(&[0x1f, 0x8b]);
        let plain: Box<dyn Read + '_> =
            if is_gzip { Box::new(MultiGzDecoder::new(&mut source)) } else { Box::new(&mut source) };
        let mut reader = Archive::new(Bounded { inner: plain, left: most });
        let mut count = 0u64;
        for entry in reader.entries().map_err(|e| damaged(archive, &e, most))? {
            let mut entry = entry.map_err(|e| damaged(archive, &e, most))?;
            let listed = entry.path().map_err(|e| damaged(archive, &e, most))?.into_owned();
            let Some(path) = wanted(archive, &listed, entry.header().entry_type(), what)? else { continue };
            if entry.size() > limits.file {
                let why = format!("{} claims {} bytes, the limit is {}", listed.display(), entry.size(), limits.file);
                return Err(hostile(archive, why));
            }
            let path = target.join(path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(io("make the folder", folder))?;
            }
            let mut out = match File::create_new(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(hostile(archive, format!("it holds {} twice", listed.display())));
                }
                out => out.map_err(io("write", &path))?,
            };
            copy(&mut entry, &mut out, archive, &path, most)?;
            count += 1;
            if count.is_multiple_of(100) {
                progress(count);
            }
        }
        // The rest holds gzip's checksum; a bomb may also hide behind the end of the archive.
        io::copy(&mut reader.into_inner(), &mut io::sink()).map_err(|e| damaged(archive, &e, most))?;
    }
    io::copy(&mut source, &mut io::sink()).map_err(io("read", archive))?;
    let found = hex(&source.into_inner().hash.finalize());
    match md5 {
        Some(expected) if !expected.eq_ignore_ascii_case(&found) => Err(DataError::Archive {
            path: archive.to_owned(),
            why: format!("its MD5 digest is {found}, expected {expected}"),
            fix: "download it again from its publisher",
        }),
        _ => Ok(innermost(target)),
    }
}

/// Copies in pieces, so that an error of the archive can be told from one of the disk.
fn copy(entry: &mut dyn Read, out: &mut File, archive: &Path, path: &Path, most: u64) -> Result<(), DataError> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match entry.read(&mut buffer).map_err(|e| damaged(archive, &e, most))? {
            0 => return Ok(()),
            n => io::Write::write_all(out, &buffer[..n]).map_err(|source| DataError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            })?,
        }
    }
}

/// Returns where an entry goes below the target; nothing for folders and for files that no dataset needs.
fn wanted(archive: &Path, listed: &Path, kind: EntryType, what: Unpack) -> Result<Option<PathBuf>, DataError> {
    let mut path = PathBuf::new();
    for component in listed.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => return Err(hostile(archive, format!("{} leads out of the folder", listed.display()))),
        }
    }
    match kind {
        EntryType::Directory | EntryType::XGlobalHeader => return Ok(None),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {}
        EntryType::Link | EntryType::Symlink => {
            return Err(hostile(archive, format!("{} is a link", listed.display())));
        }
        _ => return Err(hostile(archive, format!("{} is neither a file nor a folder", listed.display()))),
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let is_list = LISTS.contains(&name);
    let is_photo = what == Unpack::All && !name.starts_with("._") && crate::dataset::is_photo_name(name);
    Ok((is_list || is_photo).then_some(path))
}

/// Descends while a folder holds nothing but one folder: archives often wrap the dataset in one.
pub fn innermost(target: &Path) -> PathBuf {
    let mut folder = target.to_owned();
    loop {
        let mut entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        match (entries.next(), entries.next()) {
            (Some(only), None) if only.path().is_dir() => folder = only.path(),
            _ => return folder,
        }
    }
}

fn hostile(archive: &Path, why: String) -> DataError {
    DataError::Archive { path: archive.to_owned(), why, fix: "do not use this copy; get it from its publisher" }
}

fn damaged(archive: &Path, error: &io::Error, most: u64) -> DataError {
    match error.get_ref().is_some_and(|e| e.is::<TooMuch>()) {
        true => hostile(archive, format!("it unpacks to more than {most} bytes, which photos of its size never do")),
        false => DataError::Archive {
            path: archive.to_owned(),
            why: format!("it is cut off or damaged: {error}"),
            fix: "download it again, or pack it again",
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A file that is hashed while it is read.
struct Hashed {
    file: File,
    hash: Md5,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

/// A stream that ends in an error once it has given more than it may.
struct Bounded<'a> {
    inner: Box<dyn Read + 'a>,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("too much")]
struct TooMuch;

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| io::Error::other(TooMuch))?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
