//! Archives: nothing lands outside the folder, no more than the limits, and what is wrong is said of the archive.

use std::fs;
use std::path::Path;

use mlsm_data::DataError;
use mlsm_data::archive::{Limits, Unpack, unpack};

const LIMITS: Limits = Limits { file: 64 << 10, total: 256 << 10, ratio: 4 };

/// Unpacks an archive and looks at all that it left.
pub fn check(bytes: &[u8]) {
    let scratch = tempfile::tempdir().expect("a folder for temporary files");
    let (archive, target) = (scratch.path().join("archive"), scratch.path().join("target"));
    fs::write(&archive, bytes).expect("a file is written");
    let unpacked = unpack(&archive, &target, Unpack::All, None, LIMITS, &|_| {});
    let beside = fs::read_dir(scratch.path()).expect("it is there").count();
    assert_eq!(beside, 2, "something lies beside the folder");
    let most = LIMITS.total.max(LIMITS.ratio * bytes.len() as u64);
    let (count, total) = sizes(&target);
    assert!(total <= most, "{total} bytes of at most {most}");
    match unpacked {
        Ok(root) => assert!(root.starts_with(&target) && count > 0),
        Err(DataError::Archive { why, .. }) => assert!(!why.is_empty() && why.len() < 2000),
        Err(error) => panic!("the archive is to blame, not the disk: {error:?}"),
    }
}

/// Number and bytes of the files below a folder, none of which may be a link or large.
fn sizes(folder: &Path) -> (u64, u64) {
    let (mut count, mut total) = (0, 0);
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let stat = entry.path().symlink_metadata().expect("it is there");
        if stat.is_dir() {
            let (inner_count, inner_total) = sizes(&entry.path());
            (count, total) = (count + inner_count, total + inner_total);
        } else {
            assert!(stat.is_file() && stat.len() <= LIMITS.file, "{}", entry.path().display());
            (count, total) = (count + 1, total + stat.len());
        }
    }
    (count, total)
}

/// Lays records out as a tar with the right sums, which no fuzzer finds: a kind, a name, the name that a link points to, and
/// a content, each behind a byte of its length.
pub fn check_entries(bytes: &[u8]) {
    let (mut tar, mut rest) = (Vec::new(), bytes);
    while let Some((kind, after)) = rest.split_first() {
        let (name, after) = field(after);
        let (link, after) = field(after);
        let (content, after) = field(after);
        tar.extend(header(*kind, name, link, content.len()));
        tar.extend(content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
        rest = after;
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    check(&tar);
}

const BLOCK: usize = 512;

fn field(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = bytes.split_first() else { return (bytes, bytes) };
    rest.split_at(rest.len().min(usize::from(*length)))
}

/// A header as GNU's tar writes it.
fn header(kind: u8, name: &[u8], link: &[u8], length: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, most: usize, text: &[u8]| {
        let text = &text[..text.len().min(most)];
        header[at..at + text.len()].copy_from_slice(text);
    };
    put(0, 100, name);
    put(124, 12, format!("{length:011o}").as_bytes());
    put(148, 8, &[b' '; 8]);
    put(156, 1, &[kind]);
    put(157, 100, link);
    put(257, 8, b"ustar  ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}
