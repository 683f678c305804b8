//! The entries of a zip, by its central directory.

use super::Writer;
use crate::DataError;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// What to do about a zip that is whole and not read.
const ANOTHER_FORM: &str = "unpack it and give the folder, or pack it again by the usual method of zip";

/// Unpacks a zip.
pub(super) fn unpack(file: File, writer: &mut Writer<'_>) -> Result<(), DataError> {
    let mut archive =
        ZipArchive::new(BufReader::with_capacity(1 << 16, file)).map_err(|error| refused(error, writer))?;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| refused(error, writer))?;
        let listed = path_of(&entry);
        let (is_folder, is_encrypted, method) = (entry.is_dir(), entry.encrypted(), entry.compression());
        let kind = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
        drop(entry);
        match kind {
            0o120_000 => return Err(writer.hostile(format!("{} is a link", listed.display()))),
            0 | 0o040_000 | 0o100_000 => {}
            _ => return Err(writer.hostile(format!("{} is neither a file nor a folder", listed.display()))),
        }
        if is_folder {
            writer.place(&listed)?;
            continue;
        }
        if is_encrypted {
            let why = format!("{} is encrypted", listed.display());
            return Err(writer.unusable(why, "unpack it with its password and give the folder"));
        }
        if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(writer.unusable(format!("it is packed by {method}, which is not read"), ANOTHER_FORM));
        }
        let mut entry = archive.by_index(index).map_err(|error| refused(error, writer))?;
        let size = entry.size();
        writer.file(&listed, size, &mut entry)?;
    }
    Ok(())
}

/// Returns the path of an entry: UTF-8 whether it is marked so or not, else in the code page of old zips. Some programs
/// part folders by `\`.
fn path_of<R: io::Read>(entry: &ZipFile<'_, R>) -> PathBuf {
    let raw = entry.name_raw();
    let name = match std::str::from_utf8(raw) {
        Ok(name) => name.to_owned(),
        Err(_) => entry.name().map_or_else(|_| String::from_utf8_lossy(raw).into_owned(), |name| name.into_owned()),
    };
    match name.contains('/') {
        true => PathBuf::from(name),
        false => PathBuf::from(name.replace('\\', "/")),
    }
}

fn refused(error: ZipError, writer: &Writer<'_>) -> DataError {
    match error {
        ZipError::UnsupportedArchive(what) => {
            writer.unusable(format!("it is a zip of a form that is not read: {what}"), ANOTHER_FORM)
        }
        other => writer.damaged(&io::Error::from(other)),
    }
}
