//! Files below a folder that are no photos of the data set, each with its reason: nothing is left out unsaid.

use std::collections::BTreeMap;
use std::fmt;

/// A file or folder that is not used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Its path below the folder that was given; bytes that are no text are escaped.
    pub path: String,
    /// Why it is not used.
    pub reason: Reason,
}

/// Why a file or folder is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Made by an operating system, a storage box or a tool beside people's files.
    System,
    /// Its name begins with a dot.
    Hidden,
    /// A link, and links are not followed.
    Link,
    /// A link whose target does not exist.
    BrokenLink,
    /// A folder that was listed before, under another name.
    Again,
    /// Its name is not UTF-8.
    Name,
    /// It holds no bytes.
    Empty,
    /// Its first bytes are those of no photo.
    NotAPhoto,
    /// It cannot be opened.
    Unreadable,
    /// A pipe, a socket or a device.
    NotAFile,
    /// It lies beside the class folders, so that it has no class.
    BesideClasses,
    /// A class folder that holds no file.
    EmptyFolder,
}

impl Reason {
    /// Returns the reason in words, and what to do where something can be done.
    pub fn words(self) -> &'static str {
        match self {
            Self::System => "a file or folder of an operating system or tool",
            Self::Hidden => "hidden: its name begins with a dot",
            Self::Link => "a link: set data.follow_links = true to follow it",
            Self::BrokenLink => "a link whose target does not exist",
            Self::Again => "a folder that is listed under another name already",
            Self::Name => "its name is not UTF-8: rename it",
            Self::Empty => "an empty file",
            Self::NotAPhoto => "not a photo",
            Self::Unreadable => "it cannot be opened: check its permissions",
            Self::NotAFile => "neither a file nor a folder",
            Self::BesideClasses => "it lies beside the class folders: move it into the folder of its class",
            Self::EmptyFolder => "a class folder without files",
        }
    }

    /// Tells whether a photo may have been lost: it could be one under other settings.
    pub(super) fn may_hide_photos(self) -> bool {
        matches!(self, Self::Link | Self::BrokenLink | Self::Again | Self::Name | Self::Unreadable)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Counts what is left out on one line, with an example of each reason; nothing where nothing is.
pub fn counted(left_out: &[LeftOut]) -> Option<String> {
    let mut by_reason = BTreeMap::<Reason, Vec<&str>>::new();
    for LeftOut { path, reason } in left_out {
        by_reason.entry(*reason).or_default().push(path);
    }
    let part =
        |(reason, paths): (&Reason, &Vec<&str>)| format!("{} {} ({reason})", paths.len(), paths[0].escape_debug());
    let parts: Vec<String> = by_reason.iter().map(part).collect();
    let count = left_out.len();
    let noun = if count == 1 { "file or folder is" } else { "files or folders are" };
    (count > 0).then(|| format!("{count} {noun} left out: {}", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_counts_all_reasons_with_an_example_of_each() {
        let out = |path: &str, reason| LeftOut { path: path.to_owned(), reason };
        let line =
            counted(&[out("a/x.txt", Reason::NotAPhoto), out("b\n", Reason::Link), out("c", Reason::Link)]).unwrap();
        assert!(line.starts_with("3 files or folders are left out: 2 b\\n (a link"), "{line}");
        assert!(line.contains("1 a/x.txt (not a photo)") && !line.contains('\n'), "{line}");
        assert_eq!(counted(&[]), None);
    }
}
