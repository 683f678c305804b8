//! Unpacks a dataset's archive (zip, or tar packed by gzip, xz, bzip2, zstd or nothing) without trusting a byte of it.
//!
//! An archive comes from the network: it may be cut off, name paths outside, hold links that lead there, or unpack to
//! more than any disk holds. Only photos, by their names or first bytes, and CUB's lists are written. What is common and
//! harmless is accepted: a file that was appended again (the last one counts, as for tar), a hard link to a file of the
//! archive. Anything else that is not a plain file or folder below the target refuses the whole archive.

mod packing;
mod tape;
mod writer;
mod zipped;

use crate::DataError;
use md5::{Digest as _, Md5};
use packing::Packing;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use writer::Writer;

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
    fs::create_dir_all(target).map_err(|error| DataError::io("make the folder", target, error))?;
    check_md5(archive, md5)?;
    let mut file = File::open(archive).map_err(|error| DataError::io("open", archive, error))?;
    let size = file.metadata().map_err(|error| DataError::io("read", archive, error))?.len();
    let most = limits.total.max(limits.ratio.saturating_mul(size));
    let mut writer = Writer::new(archive, target, what, limits.file, most, progress);
    match Packing::of(&mut file).map_err(|error| DataError::io("read", archive, error))? {
        Packing::Zip => zipped::unpack(file, &mut writer)?,
        Packing::Unread(name) => {
            let fix = "unpack it and give the folder, or pack it as zip or tar";
            return Err(writer.unusable(format!("{name} archives are not read"), fix));
        }
        packing => {
            let again = file.try_clone().map_err(|error| DataError::io("read", archive, error))?;
            let stream = packing.tar_stream(file).map_err(|error| writer.damaged(&error))?;
            if !tape::unpack(stream, &mut writer)? {
                zip_behind_a_program(packing, again, &mut writer)?;
            }
        }
    }
    match what {
        Unpack::All if writer.is_empty() => {
            let fix = "give an archive of a CUB folder, or of a folder with one folder of photos per class";
            Err(writer.unusable("it holds no photo".into(), fix))
        }
        _ => Ok(innermost(target)),
    }
}

/// Unpacks a zip that begins with a program, as archives that unpack themselves do; anything else is no archive.
fn zip_behind_a_program(packing: Packing, mut file: File, writer: &mut Writer<'_>) -> Result<(), DataError> {
    let fix = "give the folder itself, or pack it as zip or tar";
    file.rewind().map_err(|error| DataError::io("read", writer.archive(), error))?;
    let is_zip = packing == Packing::Plain && zip::ZipArchive::new(&file).is_ok();
    match (is_zip, packing) {
        (true, _) => zipped::unpack(file, writer),
        (false, Packing::Plain) => Err(writer.unusable("it is neither a zip nor a tar, by its content".into(), fix)),
        (false, _) => Err(writer.unusable("what is packed in it is not a tar".into(), fix)),
    }
}

/// Compares the digest of a whole file with the one that its publisher gives.
fn check_md5(archive: &Path, expected: Option<&str>) -> Result<(), DataError> {
    let Some(expected) = expected else { return Ok(()) };
    let failed = |error| DataError::io("read", archive, error);
    let mut file = File::open(archive).map_err(failed)?;
    let (mut hash, mut buffer) = (Md5::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    match expected.eq_ignore_ascii_case(&found) {
        true => Ok(()),
        false => Err(DataError::Archive {
            path: archive.to_owned(),
            why: format!("its MD5 digest is {found}, expected {expected}"),
            fix: "download it again from its publisher",
        }),
    }
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

#[cfg(test)]
mod forms;
#[cfg(test)]
mod tests;
