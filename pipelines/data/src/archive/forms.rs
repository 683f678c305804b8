//! The forms of archives that people have: each whole, cut off, empty and hostile.

use super::tests::{Scene, packed, plain, zipped as gzip};
use mlsm_errors::Explain;
use std::fs;
use std::io::{Cursor, Write as _};
use zip::write::{SimpleFileOptions, ZipWriter};

/// An xz of two photos, as `tar cJf` writes it: the library here only reads xz.
const XZ: &[u8] = include_bytes!("../../fixtures/archives/two.tar.xz");

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn bzip2_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn refused(bytes: &[u8]) -> String {
    Scene::new(bytes).unpack().unwrap_err().explain().to_string()
}

#[test]
fn every_packing_is_known_by_content_and_a_cut_one_is_refused() {
    let tar = packed(&[plain("birds/a/x.jpg", b"photo"), plain("birds/b/y.jpg", b"other")]);
    let packings = [
        ("gzip", gzip(&tar)),
        ("bzip2", bzip2_of(&tar)),
        ("zstd", zstd::encode_all(&tar[..], 1).unwrap()),
        ("xz", XZ.to_vec()),
        ("zip", zip_of(&[("birds/a/x.jpg", b"photo"), ("birds/b/y.jpg", b"other")])),
        ("tar", tar),
    ];
    for (name, bytes) in packings {
        let scene = Scene::new(&bytes);
        let root = scene.unpack().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(fs::read(root.join("a/x.jpg")).unwrap(), b"photo", "{name}");
        assert_eq!(fs::read(root.join("b/y.jpg")).unwrap(), b"other", "{name}");
        for length in (1..bytes.len()).step_by(1 + bytes.len() / 60).filter(|n| name != "tar" || *n <= 2048) {
            let error = Scene::new(&bytes[..length]).unpack().unwrap_err().explain();
            assert!(!error.why.is_empty() && !error.fixes.is_empty(), "{name}, {length}: {error}");
        }
    }
}

#[test]
fn an_empty_archive_and_what_is_none_are_refused_by_name() {
    for empty in [packed(&[]), gzip(&packed(&[])), zip_of(&[]), packed(&[plain("notes.pdf", b"1")])] {
        assert!(refused(&empty).contains("holds no photo"), "{}", refused(&empty));
    }
    assert!(refused(b"").contains("neither a zip nor a tar"));
    assert!(refused(&[b'x'; 4000]).contains("neither a zip nor a tar"));
    assert!(refused(&gzip(&[b'x'; 4000])).contains("is not a tar"));
    for (name, head) in [("7z", b"7z\xbc\xaf\x27\x1c".as_slice()), ("RAR", b"Rar!\x1a\x07\x01\0")] {
        assert!(refused(head).contains(&format!("{name} archives are not read")));
    }
}

#[test]
fn a_zip_that_leads_out_or_links_out_is_refused() {
    for name in ["../x.jpg", "a/../../x.jpg", "/tmp/x.jpg", "..\\x.jpg"] {
        assert!(refused(&zip_of(&[(name, b"1")])).contains("leads out"), "{name}");
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("a", "/tmp", SimpleFileOptions::default()).unwrap();
    zip.start_file("a/through.jpg", SimpleFileOptions::default()).unwrap();
    assert!(refused(&zip.finish().unwrap().into_inner()).contains("a is a link"));
}

#[test]
fn a_zip_bomb_is_refused_while_it_unpacks() {
    let scene = Scene::new(&zip_of(&[("a/x.jpg", &vec![0; 4 << 20])]));
    let limits = super::Limits { file: 8 << 20, total: 1 << 20, ratio: 1 };
    let error = scene.unpack_with(super::Unpack::All, None, limits).unwrap_err().explain().to_string();
    assert!(error.contains("unpacks to more than 1048576 bytes"), "{error}");
}

#[test]
fn a_zip_as_macos_and_pipes_write_it_is_read() {
    let entries: [(&str, &[u8]); 4] =
        [("a/x.jpg", b"1"), ("__MACOSX/a/._x.jpg", b"2"), ("a/._x.jpg", b"3"), ("b\\y.jpg", b"4")];
    let mut zip = ZipWriter::new_stream(Vec::new()); // sizes stand behind the data
    for (name, content) in entries {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let behind_a_program = [b"MZ a program".as_slice(), &bytes].concat();
    for bytes in [bytes, behind_a_program] {
        let scene = Scene::new(&bytes);
        let root = scene.unpack().unwrap();
        assert_eq!(fs::read(root.join("a/x.jpg")).unwrap(), b"1");
        assert_eq!(fs::read(root.join("b/y.jpg")).unwrap(), b"4");
        assert!(!root.join("a/._x.jpg").exists() && !root.join("__MACOSX").exists());
    }
}

#[test]
fn bytes_behind_a_gzip_are_padding_and_its_members_are_one() {
    let tar = packed(&[plain("a/x.jpg", b"1"), plain("b/y.jpg", b"2")]);
    let members = [gzip(&tar[..700]), gzip(&tar[700..])].concat();
    for bytes in [members.clone(), [members.clone(), vec![0; 600]].concat(), [members, b"surplus".to_vec()].concat()] {
        let scene = Scene::new(&bytes);
        assert_eq!(fs::read(scene.unpack().unwrap().join("b/y.jpg")).unwrap(), b"2");
    }
}

#[test]
fn a_packing_that_claims_memory_beyond_reason_is_refused_before_it_is_taken() {
    // A block header of xz: its size, no flags, LZMA2 with a dictionary of 2 GiB (38), padding and the CRC32 of these.
    let mut bytes = XZ.to_vec();
    bytes[12..24].copy_from_slice(&[2, 0, 0x21, 1, 38, 0, 0, 0, 0, 0, 0, 0]);
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[12..20]);
    bytes[20..24].copy_from_slice(&sum.sum().to_le_bytes());
    assert!(refused(&bytes).contains("MiB of memory"), "{}", refused(&bytes));
}

#[test]
fn a_name_that_no_file_system_takes_is_the_fault_of_the_archive() {
    let long = "x".repeat(300) + ".jpg";
    let deep = "a/".repeat(3000) + "x.jpg";
    for name in [long.as_str(), &deep, "a/x\0y.jpg", "a\0b/x.jpg"] {
        let error = refused(&zip_of(&[("a/x.jpg", b"1"), (name, b"1")]));
        assert!(error.contains("cannot be the name of a file"), "{error}");
    }
}

#[test]
fn an_archive_whose_only_photo_is_replaced_by_what_is_none_is_empty() {
    let photo = b"\xff\xd8\xff\xe0 begins as a photo does";
    let replaced = packed(&[plain("a/x", photo), plain("a/x", b"a text")]);
    assert!(refused(&replaced).contains("holds no photo"));
    let back = packed(&[plain("a/x", photo), plain("a/x", b"a text"), plain("a/x", photo), plain("a/x", photo)]);
    let scene = Scene::new(&back);
    assert_eq!(fs::read(scene.unpack().unwrap().join("x")).unwrap(), photo);
}

#[test]
fn a_long_name_in_an_archive_makes_no_long_message() {
    let out = "../".repeat(20_000) + "x.jpg";
    let error = refused(&zip_of(&[(&out, b"1")]));
    assert!(error.contains("../../") && error.len() < 1000, "{} bytes", error.len());
}
