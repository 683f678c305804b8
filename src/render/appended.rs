//! A file at whose end lines are written while a run goes on: its log, its lineage. Several runs may share one, as each
//! line is one write.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use mlsm_store::{StoreError, standard_stream};
use serde::Serialize;

use crate::error::CliError;

/// The file, and why it could not be written any more.
pub struct Appended {
    path: PathBuf,
    file: File,
    failed: Option<io::Error>,
}

impl Appended {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// [`CliError::Usage`] when it cannot be written.
    #[expect(clippy::disallowed_methods, reason = "the user's own file, which grows line by line")]
    pub fn open(path: &Path) -> Result<Self, CliError> {
        let refused = |error: io::Error| {
            let what = format!("cannot write to `{}`", path.display());
            CliError::usage(what, error.to_string(), "name a file in a folder that exists and that you may write")
        };
        let mut file = match standard_stream(path).map_err(refused)? {
            Some(stream) => stream,
            None => OpenOptions::new().append(true).create(true).open(path).map_err(refused)?,
        };
        if file.metadata().map_err(refused)?.is_file() && lacks_end(path).map_err(refused)? {
            file.write_all(b"\n").map_err(refused)?;
        }
        Ok(Self { path: path.to_owned(), file, failed: None })
    }

    /// Writes one JSON document on one line. After a failure nothing more is written, as a line may be half there.
    ///
    /// # Errors
    /// [`CliError::Store`] when this line or an earlier one could not be written.
    pub fn line(&mut self, document: &impl Serialize) -> Result<(), CliError> {
        if self.failed.is_none() {
            let bytes = serde_json::to_vec(document).map_err(io::Error::from);
            let written = bytes.and_then(|bytes| self.file.write_all(&[&bytes[..], b"\n"].concat()));
            self.failed = written.err();
        }
        match &self.failed {
            None => Ok(()),
            Some(error) => {
                let error = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
                Err(StoreError::io("write", &self.path, error).into())
            }
        }
    }
}

/// Tells whether the last line has no end: whoever wrote it was killed.
fn lacks_end(path: &Path) -> io::Result<bool> {
    let Ok(mut file) = File::open(path) else { return Ok(false) }; // it may be written, not read
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_follows_what_is_there_also_where_the_last_line_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, "{\"a\":1}\n{\"torn").unwrap();
        Appended::open(&path).unwrap().line(&serde_json::json!({ "b": 2 })).unwrap();
        Appended::open(&path).unwrap().line(&serde_json::json!({ "c": 3 })).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"a\":1}\n{\"torn\n{\"b\":2}\n{\"c\":3}\n");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = Appended::open(&folder.path().join("no/such/folder.jsonl")).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        assert!(error.render().contains("folder.jsonl"), "{}", error.render());
    }

    #[test]
    fn a_full_disk_is_told_with_every_later_line() {
        let mut full = Appended::open(Path::new("/dev/full")).unwrap();
        for _ in 0..2 {
            assert_eq!(full.line(&serde_json::json!({})).unwrap_err().exit_code(), 3);
        }
    }
}
