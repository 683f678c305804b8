use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use mlsm_errors::Explain;
use std::io::Write as _;
use tar::{Builder, EntryType, Header};

/// One entry: path, kind, link target, content.
pub(super) type Entry<'a> = (&'a str, EntryType, &'a str, &'a [u8]);

pub(super) fn plain<'a>(path: &'a str, content: &'a [u8]) -> Entry<'a> {
    (path, EntryType::Regular, "", content)
}

/// Packs entries as they are, also those that `tar`'s own functions refuse to write.
pub(super) fn packed(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, link, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) struct Scene(tempfile::TempDir);

impl Scene {
    pub fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.tgz"), bytes).unwrap();
        Self(folder)
    }

    fn archive(&self) -> PathBuf {
        self.0.path().join("a.tgz")
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("inner/target")
    }

    pub fn unpack_with(&self, what: Unpack, md5: Option<&str>, limits: Limits) -> Result<PathBuf, DataError> {
        unpack(&self.archive(), &self.target(), what, md5, limits, &|_| {})
    }

    pub fn unpack(&self) -> Result<PathBuf, DataError> {
        self.unpack_with(Unpack::All, None, Limits::default())
    }
}

fn whole() -> Vec<u8> {
    zipped(&packed(&[
        ("birds/", EntryType::Directory, "", b""),
        plain("birds/CUB_200_2011/images.txt", b"1 a/x.jpg\n"),
        plain("./birds/CUB_200_2011/images/a/x.jpg", b"photo"),
        plain("birds/CUB_200_2011/images/a/._x.jpg", b"finder's"),
        plain("birds/CUB_200_2011/attributes/attributes.csv", b"not needed"),
    ]))
}

#[test]
fn photos_and_lists_are_unpacked_and_nothing_else() {
    let scene = Scene::new(&whole());
    let root = scene.unpack().unwrap();
    assert_eq!(root, scene.target().join("birds/CUB_200_2011"));
    assert_eq!(fs::read(root.join("images/a/x.jpg")).unwrap(), b"photo");
    assert!(!root.join("images/a/._x.jpg").exists() && !root.join("attributes").exists());
}

#[test]
fn lists_alone_are_enough_to_plan() {
    let scene = Scene::new(&whole());
    let root = scene.unpack_with(Unpack::Lists, None, Limits::default()).unwrap();
    assert!(root.join("images.txt").exists() && !root.join("images").exists());
}

#[test]
fn an_archive_without_compression_is_read_too() {
    assert!(Scene::new(&packed(&[plain("a/x.jpg", b"1"), plain("b/y.jpg", b"2")])).unpack().is_ok());
}

#[test]
fn what_leads_out_of_the_folder_refuses_the_archive() {
    let hostile: [(Entry<'_>, &str); 11] = [
        (plain("../x.jpg", b"1"), "leads out"),
        (plain("a/../../x.jpg", b"1"), "leads out"),
        (plain("/tmp/x.jpg", b"1"), "leads out"),
        (("a/x.jpg", EntryType::Symlink, "/etc/passwd", b""), "is a link"),
        (("a/x.jpg", EntryType::Link, "/etc/passwd", b""), "leads out"),
        (("a/x.jpg", EntryType::Link, "../../x.jpg", b""), "leads out"),
        (("a/x.jpg", EntryType::Link, "b/gone.jpg", b""), "does not hold"),
        (("../a", EntryType::Directory, "", b""), "leads out"),
        (("a", EntryType::Symlink, "/tmp", b""), "is a link"),
        (("a/x.jpg", EntryType::Fifo, "", b""), "neither a file nor a folder"),
        (("a/x.jpg", EntryType::Char, "", b""), "neither a file nor a folder"),
    ];
    for (entry, why) in hostile {
        let scene = Scene::new(&zipped(&packed(&[entry])));
        let error = scene.unpack().unwrap_err().explain().to_string();
        assert!(error.contains(why), "{error}");
        let outside: Vec<_> = fs::read_dir(scene.0.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(outside.iter().all(|name| name == "a.tgz" || name == "inner"), "{outside:?}");
    }
}

#[test]
fn a_file_behind_a_link_of_the_archive_is_never_written() {
    let entries = [("a", EntryType::Symlink, "/tmp", b"".as_slice()), plain("a/through.jpg", b"1")];
    assert!(Scene::new(&packed(&entries)).unpack().unwrap_err().explain().to_string().contains("a is a link"));
    assert!(!Path::new("/tmp/through.jpg").exists());
}

#[test]
fn a_file_that_was_appended_again_counts_as_the_last() {
    let scene = Scene::new(&packed(&[plain("a/x.jpg", b"older"), plain("b/y.jpg", b"y"), plain("a/x.jpg", b"new")]));
    assert_eq!(fs::read(scene.unpack().unwrap().join("a/x.jpg")).unwrap(), b"new");
}

#[test]
fn a_path_that_is_a_file_and_a_folder_refuses_the_archive() {
    let error = Scene::new(&packed(&[plain("a.jpg", b"1"), plain("a.jpg/x.jpg", b"2")])).unpack().unwrap_err();
    assert!(error.explain().to_string().contains("both a file and a folder"), "{error:?}");
}

#[test]
fn a_hard_link_inside_is_the_file_that_it_names() {
    let link = |path, to| (path, EntryType::Link, to, b"".as_slice());
    let scene = Scene::new(&packed(&[
        plain("a/x.jpg", b"photo"),
        plain("a/notes.pdf", b"text"),
        link("b/y.jpg", "./a/x.jpg"),
        link("b/notes.pdf", "a/notes.pdf"),
        link("a/x.jpg", "a/x.jpg"),
    ]));
    let root = scene.unpack().unwrap();
    assert_eq!(fs::read(root.join("b/y.jpg")).unwrap(), b"photo");
    assert_eq!(fs::read(root.join("a/x.jpg")).unwrap(), b"photo");
    assert!(!root.join("b/notes.pdf").exists());
}

#[test]
fn a_photo_without_its_ending_is_unpacked_and_a_text_is_not() {
    let gif = b"GIF89a\x01\0\x01\0\0\0\0;".as_slice();
    let scene = Scene::new(&packed(&[plain("a/photo", gif), plain("a/notes", b"text"), plain("b/y.jpg", b"y")]));
    let root = scene.unpack().unwrap();
    assert!(root.join("a/photo").exists() && !root.join("a/notes").exists());
}

#[test]
fn a_name_that_is_no_text_is_unpacked_as_it_is() {
    let mut bytes = packed(&[plain("a/?.jpg", b"1"), plain("b/y.jpg", b"2")]);
    bytes[2] = 0xe4;
    let mut header = Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&bytes[..512]);
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    let scene = Scene::new(&bytes);
    let root = scene.unpack().unwrap();
    assert_eq!(fs::read_dir(root.join("a")).unwrap().count(), 1);
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_disk() {
    let zeros = vec![0; 4 << 20];
    let limits = Limits { file: 8 << 20, total: 1 << 20, ratio: 1 };
    let scene = Scene::new(&zipped(&packed(&[plain("a/x.jpg", &zeros)])));
    let error = scene.unpack_with(Unpack::All, None, limits).unwrap_err().explain().to_string();
    assert!(error.contains("unpacks to more than 1048576 bytes"), "{error}");

    let limits = Limits { file: 1 << 20, ..Limits::default() };
    let error = scene.unpack_with(Unpack::Lists, None, limits);
    assert!(error.is_ok(), "a file that is not wanted is read over");
    fs::remove_dir_all(scene.target()).unwrap();
    let error = scene.unpack_with(Unpack::All, None, limits).unwrap_err().explain().to_string();
    assert!(error.contains("claims 4194304 bytes"), "{error}");

    let behind = [packed(&[plain("a/x.jpg", b"1")]), zeros].concat();
    let limits = Limits { file: 8 << 20, total: 1 << 20, ratio: 1 };
    let error = Scene::new(&zipped(&behind)).unpack_with(Unpack::All, None, limits).unwrap_err();
    assert!(error.explain().to_string().contains("unpacks to more"), "{error:?}");
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    let bytes = whole();
    for length in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        let scene = Scene::new(&bytes[..length]);
        let result = scene.unpack();
        assert!(matches!(&result, Err(DataError::Archive { .. })) || length == 0, "{length}: {result:?}");
    }
}

#[test]
fn the_publishers_digest_is_checked() {
    let scene = Scene::new(&whole());
    let error = scene.unpack_with(Unpack::All, Some("97eceeb196236b17998738112f37df78"), Limits::default());
    let error = error.unwrap_err().explain().to_string();
    assert!(error.contains("expected 97eceeb196236b17998738112f37df78"), "{error}");
    let found = error.split("digest is ").nth(1).unwrap()[..32].to_uppercase();
    fs::remove_dir_all(scene.target()).unwrap();
    assert!(scene.unpack_with(Unpack::All, Some(&found), Limits::default()).is_ok());
}
