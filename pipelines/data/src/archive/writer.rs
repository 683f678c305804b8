//! Writes what is wanted of an archive below a folder, and counts the bytes while they are written.

use super::Unpack;
use super::tape::TooMuch;
use crate::brief::brief;
use crate::{DataError, dataset, decode};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// The lists of a CUB folder.
const LISTS: [&str; 5] =
    ["images.txt", "image_class_labels.txt", "classes.txt", "bounding_boxes.txt", "train_test_split.txt"];

/// Takes the entries of one archive; whatever stands in their headers is checked here.
pub(super) struct Writer<'a> {
    archive: &'a Path,
    target: &'a Path,
    what: Unpack,
    /// Bytes that one file may have.
    of_file: u64,
    /// Bytes that may be unpacked in all.
    pub most: u64,
    written: u64,
    /// Files that lie in the target.
    count: u64,
    /// Paths of all files so far, the unwanted ones included.
    listed: BTreeSet<PathBuf>,
    progress: &'a dyn Fn(u64),
}

impl<'a> Writer<'a> {
    pub fn new(
        archive: &'a Path,
        target: &'a Path,
        what: Unpack,
        of_file: u64,
        most: u64,
        progress: &'a dyn Fn(u64),
    ) -> Self {
        Self { archive, target, what, of_file, most, written: 0, count: 0, listed: BTreeSet::new(), progress }
    }

    pub fn archive(&self) -> &'a Path {
        self.archive
    }

    /// Tells whether nothing lies in the target.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns where a file goes below the target; an error for a path that leads out.
    pub fn place(&self, listed: &Path) -> Result<PathBuf, DataError> {
        let mut path = PathBuf::new();
        for component in listed.components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::CurDir => {}
                _ => return Err(self.hostile(format!("{} leads out of the folder", listed.display()))),
            }
        }
        Ok(path)
    }

    /// Writes a file if it is a list or a photo; one of the same path that was written before is replaced.
    pub fn file(&mut self, listed: &Path, size: u64, content: &mut dyn Read) -> Result<(), DataError> {
        let path = self.place(listed)?;
        let place = self.target.join(&path);
        let is_again = !self.listed.insert(path) && place.is_file();
        let mut head = Vec::new();
        if !self.is_wanted(listed, content, &mut head)? {
            if is_again {
                #[expect(clippy::disallowed_methods, reason = "unpacks into a folder that the store gave")]
                fs::remove_file(&place).map_err(|error| DataError::io("remove", &place, error))?;
                self.count -= 1;
            }
            return Ok(());
        }
        if size > self.of_file {
            let why = format!("{} claims {size} bytes, the limit is {}", listed.display(), self.of_file);
            return Err(self.hostile(why));
        }
        let mut out = self.create(listed, &place)?;
        self.copy(&mut (&head[..]).chain(content), &mut out, &place)?;
        self.count += u64::from(!is_again);
        if self.count.is_multiple_of(100) {
            (self.progress)(self.count);
        }
        Ok(())
    }

    /// Tells whether a file is a list or a photo, by its name or by its first bytes, which are then in `head`.
    fn is_wanted(&self, listed: &Path, content: &mut dyn Read, head: &mut Vec<u8>) -> Result<bool, DataError> {
        let name = listed.file_name().unwrap_or_default().to_string_lossy();
        if LISTS.contains(&&*name) {
            return Ok(true);
        }
        if self.what == Unpack::Lists || name.starts_with("._") {
            return Ok(false);
        }
        content.take(decode::HEAD as u64).read_to_end(head).map_err(|error| self.damaged(&error))?;
        Ok(dataset::is_photo_name(&name) || decode::is_photo(head))
    }

    /// Copies the file that a hard link names; it stands in front of the link, as tar writes it.
    pub fn hard_link(&mut self, listed: &Path, to: &Path) -> Result<(), DataError> {
        let (path, source) = (self.place(listed)?, self.place(to)?);
        if !self.listed.contains(&source) {
            return Err(self.hostile(format!(
                "{} is a link to {}, which it does not hold",
                listed.display(),
                to.display()
            )));
        }
        let source_file = self.target.join(&source);
        if path == source || !source_file.is_file() {
            self.listed.insert(path);
            return Ok(());
        }
        let mut file = File::open(&source_file).map_err(|error| DataError::io("read", &source_file, error))?;
        let size = file.metadata().map_err(|error| DataError::io("read", &source_file, error))?.len();
        self.file(listed, size, &mut file)
    }

    fn create(&self, listed: &Path, place: &Path) -> Result<File, DataError> {
        let refuse = |action, at: &Path, error: io::Error| match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => {
                self.hostile(format!("{} is both a file and a folder", listed.display()))
            }
            io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
                let start: String = listed.to_string_lossy().chars().take(80).collect();
                let why = format!("{} … cannot be the name of a file", start.escape_debug());
                self.unusable(why, "pack it again with shorter names, or unpack it and give the folder")
            }
            _ => DataError::io(action, at, error),
        };
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(|error| refuse("make the folder", folder, error))?;
        }
        #[expect(clippy::disallowed_methods, reason = "unpacks into a folder that the store gave")]
        File::create(place).map_err(|error| refuse("write", place, error))
    }

    /// Copies in pieces, so that an error of the archive can be told from one of the disk.
    fn copy(&mut self, content: &mut dyn Read, out: &mut File, place: &Path) -> Result<(), DataError> {
        let (mut buffer, mut length) = (vec![0; 1 << 16], 0u64);
        loop {
            let n = content.read(&mut buffer).map_err(|error| self.damaged(&error))?;
            if n == 0 {
                return Ok(());
            }
            length += n as u64;
            self.written += n as u64;
            if length > self.of_file || self.written > self.most {
                return Err(self.too_much());
            }
            io::Write::write_all(out, &buffer[..n]).map_err(|error| DataError::io("write", place, error))?;
        }
    }

    /// Refuses an archive that is whole and cannot be used as it is.
    pub fn unusable(&self, why: String, fix: &'static str) -> DataError {
        DataError::Archive { path: self.archive.to_owned(), why: brief(why), fix }
    }

    /// Refuses an archive that nobody packs for a good reason.
    pub fn hostile(&self, why: String) -> DataError {
        self.unusable(why, "do not use this copy; get it from its publisher")
    }

    /// Refuses an archive that cannot be read to its end.
    pub fn damaged(&self, error: &io::Error) -> DataError {
        if error.get_ref().is_some_and(|inner| inner.is::<TooMuch>()) {
            return self.too_much();
        }
        match error.kind() {
            io::ErrorKind::OutOfMemory => {
                let fix = "unpack it and give the folder, or pack it again by a usual setting";
                self.unusable("unpacking it takes more than 256 MiB of memory".to_owned(), fix)
            }
            _ => self.unusable(format!("it is cut off or damaged: {error}"), "download it again, or pack it again"),
        }
    }

    fn too_much(&self) -> DataError {
        self.hostile(format!("it unpacks to more than {} bytes, which photos of its size never do", self.most))
    }
}
