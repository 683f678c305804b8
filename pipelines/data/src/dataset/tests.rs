//! Whole datasets are read as they are; every kind of broken list is refused with its file and line.

use super::*;
use mlsm_errors::Explain;
use std::fs;
use tempfile::TempDir;

const STRICT: OpenOptions = OpenOptions { strict: true, follow_links: false };
const LENIENT: OpenOptions = OpenOptions { strict: false, follow_links: false };

/// A CUB folder of three photos in two classes, ids with gaps; the photos are empty files.
fn cub() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "images.txt", "4 002.Gull/b.jpg\n2 001.Auk/a.jpg\n9 002.Gull/c.jpg\n");
    write(&folder, "image_class_labels.txt", "2 1\n4 2\n9 2\n");
    write(&folder, "classes.txt", "1 001.Auk\n2 002.Gull\n");
    write(&folder, "bounding_boxes.txt", "2 60.0 27.0 325.0 304.0\n4 1 2 3 4\n9 -1.5 0.0 10.0 10.0\n");
    for photo in ["001.Auk/a.jpg", "002.Gull/b.jpg", "002.Gull/c.jpg"] {
        write(&folder, &format!("images/{photo}"), "");
    }
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn open(folder: &TempDir) -> Result<Dataset, DataError> {
    Dataset::open(folder.path(), &STRICT)
}

fn ids<'a>(photos: impl IntoIterator<Item = &'a Photo>) -> Vec<u32> {
    photos.into_iter().map(|photo| photo.image_id.0).collect()
}

/// Opens the CUB folder with one file's text replaced, and gives the error in words.
fn broken(name: &str, text: &str) -> String {
    let folder = cub();
    write(&folder, name, text);
    let error = open(&folder).unwrap_err();
    assert!(!error.is_config());
    error.explain().to_string()
}

#[test]
fn a_cub_folder_is_read_in_order_of_its_ids() {
    let folder = cub();
    let dataset = open(&folder).unwrap();
    assert_eq!(ids(&dataset.photos), [2, 4, 9]);
    assert_eq!(dataset.class_ids(), [ClassId(1), ClassId(2)]);
    assert_eq!(dataset.class(ClassId(2)).unwrap().name, "002.Gull");
    assert_eq!(ids(dataset.in_class(ClassId(2))), [4, 9]);
    assert_eq!(dataset.in_class(ClassId(3)).count(), 0);
    let photo = dataset.photo(ImageId(2)).unwrap();
    assert_eq!(photo.path, "001.Auk/a.jpg");
    assert_eq!(photo.bbox, Some(BoundingBox { x: 60.0, y: 27.0, w: 325.0, h: 304.0 }));
    assert_eq!((dataset.absent, dataset.images_root), (0, folder.path().join("images")));
}

#[test]
fn a_listed_folder_that_no_file_system_takes_is_absent() {
    let folder = cub();
    write(&folder, "images.txt", &format!("4 002.Gull/b.jpg\n2 001.Auk/a.jpg\n9 {}/c.jpg\n", "x".repeat(300)));
    let dataset = Dataset::open(folder.path(), &LENIENT).unwrap();
    assert_eq!((ids(&dataset.photos), dataset.absent), (vec![2, 4], 1));
}

#[test]
fn a_cub_folder_is_found_inside_the_folder_it_was_extracted_to() {
    let folder = cub();
    let outer = tempfile::tempdir().unwrap();
    fs::rename(folder.path(), outer.path().join("CUB_200_2011")).unwrap();
    assert_eq!(open(&outer).unwrap().photos.len(), 3);
}

#[test]
fn boxes_are_optional_and_line_ends_of_windows_and_empty_lines_harmless() {
    let folder = cub();
    fs::remove_file(folder.path().join("bounding_boxes.txt")).unwrap();
    write(&folder, "classes.txt", "\u{feff}1 001.Auk\r\n\r\n2 002.Gull\r\n");
    let dataset = open(&folder).unwrap();
    assert!(dataset.photos.iter().all(|photo| photo.bbox.is_none()));
    assert_eq!(dataset.classes[0].name, "001.Auk");
}

#[test]
fn a_class_without_photos_is_kept() {
    let folder = cub();
    write(&folder, "classes.txt", "1 001.Auk\n2 002.Gull\n3 003.Jay\n");
    assert_eq!(open(&folder).unwrap().classes.len(), 3);
}

#[test]
fn an_absent_photo_fails_strictly_and_is_counted_otherwise() {
    let folder = cub();
    fs::remove_file(folder.path().join("images/002.Gull/b.jpg")).unwrap();
    let error = open(&folder).unwrap_err().explain().to_string();
    assert!(error.contains("1 of 3 listed photos") && error.ends_with("`002.Gull/b.jpg`"), "{error}");
    let dataset = Dataset::open(folder.path(), &LENIENT).unwrap();
    assert_eq!((ids(&dataset.photos), dataset.absent), (vec![2, 9], 1));
    assert_eq!(dataset.first_absent.as_deref(), Some("002.Gull/b.jpg"));
}

#[test]
fn lists_without_any_photo_are_read_when_absence_is_allowed() {
    let folder = cub();
    fs::remove_dir_all(folder.path().join("images")).unwrap();
    let error = open(&folder).unwrap_err().explain().to_string();
    assert!(error.contains("3 of 3 listed photos are absent") && error.contains("and others"), "{error}");
    let dataset = Dataset::open(folder.path(), &LENIENT).unwrap();
    assert_eq!((dataset.photos.len(), dataset.classes.len(), dataset.absent), (0, 2, 3));
}

#[test]
fn a_folder_or_a_broken_link_in_place_of_a_photo_counts_as_absent() {
    let folder = cub();
    let photo = folder.path().join("images/002.Gull/b.jpg");
    fs::remove_file(&photo).unwrap();
    fs::create_dir(&photo).unwrap();
    assert!(matches!(open(&folder), Err(DataError::AbsentPhotos { absent: 1, .. })));
    fs::remove_dir(&photo).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere.jpg", &photo).unwrap();
        assert!(matches!(open(&folder), Err(DataError::AbsentPhotos { absent: 1, .. })));
        fs::remove_file(&photo).unwrap();
        std::os::unix::fs::symlink("c.jpg", &photo).unwrap();
        assert!(open(&folder).is_ok());
    }
}

#[test]
fn a_broken_line_is_named_with_its_file() {
    let cases = [
        ("images.txt", "2 001.Auk/a.jpg\n4\n", "line 2 of", "1 fields, expected 2 (image_id path)"),
        ("images.txt", "2 001.Auk/a.jpg\n\nx b.jpg\n", "line 3 of", "the image id `x` is not a number"),
        ("images.txt", "-2 001.Auk/a.jpg\n", "line 1 of", "the image id `-2` is not a number that fits"),
        ("images.txt", "2 a.jpg\n2 b.jpg\n", "line 2 of", "the image id 2 is listed a second time"),
        ("images.txt", "2 a.jpg\n4 a.jpg\n", "line 2 of", "the photo `a.jpg` is listed a second time"),
        ("image_class_labels.txt", "2 1\n4 7\n9 2\n", "line 2 of", "the class id 7 is not in classes.txt"),
        ("image_class_labels.txt", "2 1\n5 2\n9 2\n", "line 2 of", "the image id 5 is not in images.txt"),
        ("image_class_labels.txt", "2 1\n4 2\n9 2\n9 1\n", "line 4 of", "the image id 9 is listed a second time"),
        ("image_class_labels.txt", "2 1 1\n", "line 1 of", "3 fields, expected 2 (image_id class_id)"),
        ("classes.txt", "1 Auk\n1 Gull\n", "line 2 of", "the class id 1 is listed a second time"),
        ("classes.txt", "1 Auk\ntwo Gull\n", "line 2 of", "the class id `two` is not a number"),
        ("bounding_boxes.txt", "2 1 1 1 1\n4 1 2 3\n", "line 2 of", "4 fields, expected 5 (image_id x y width height)"),
        ("bounding_boxes.txt", "2 1 1 1 one\n", "line 1 of", "the height `one` is not a number"),
        ("bounding_boxes.txt", "2 NaN 1 1 1\n", "line 1 of", "a box of 1 x 1 pixels at NaN, 1 is none"),
        ("bounding_boxes.txt", "2 1 1 0 1\n", "line 1 of", "a box of 0 x 1 pixels"),
    ];
    for (name, text, line, why) in cases {
        let error = broken(name, text);
        assert!(error.contains(line) && error.contains(name) && error.contains(why), "{name} {text:?}: {error}");
    }
}

#[test]
fn a_short_file_is_named_with_the_first_photo_it_lacks() {
    let error = broken("image_class_labels.txt", "2 1\n9 2\n");
    assert!(
        error.contains("image_class_labels.txt is incomplete") && error.contains("no class for image 4: 2 lines for 3")
    );
    let error = broken("bounding_boxes.txt", "2 1 1 1 1\n");
    assert!(error.contains("bounding_boxes.txt is incomplete") && error.contains("no box for image 4"), "{error}");
    assert!(broken("images.txt", "\n").contains("it lists no photo"));
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_line() {
    let folder = cub();
    fs::write(folder.path().join("classes.txt"), b"1 Auk\n2 Gull\xff\n").unwrap();
    let error = open(&folder).unwrap_err().explain().to_string();
    assert!(error.contains("line 2 of") && error.contains("not UTF-8"), "{error}");
}

#[test]
fn a_missing_list_is_named() {
    for name in ["images.txt", "image_class_labels.txt", "classes.txt"] {
        let folder = cub();
        fs::remove_file(folder.path().join(name)).unwrap();
        let error = open(&folder).unwrap_err().explain().to_string();
        assert!(error.contains(&format!("it has no `{name}`")), "{error}");
    }
}

#[test]
fn a_path_that_leads_out_of_the_dataset_is_refused() {
    for path in
        ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "a//b.jpg", "./a.jpg", "a\\..\\b.jpg", "C:/a.jpg", "a/"]
    {
        let folder = cub();
        write(&folder, "images.txt", &format!("2 001.Auk/a.jpg\n4 {path}\n"));
        let error = open(&folder).unwrap_err();
        assert!(matches!(&error, DataError::OutsideRoot { line: 2, listed, .. } if listed == path), "{path}: {error}");
    }
}

#[test]
fn class_folders_are_read_without_lists() {
    let folder = tempfile::tempdir().unwrap();
    for file in
        ["wren/1.JPG", "auk/2.png", "auk/1.jpeg", "auk/notes.txt", "auk/.hidden.jpg", "empty/readme.md", "top.jpg"]
    {
        write(&folder, file, "");
    }
    let dataset = open(&folder).unwrap();
    let mut names: Vec<&str> = dataset.classes.iter().map(|class| class.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["auk", "wren"]);
    let of_auk = dataset.classes.iter().find(|class| class.name == "auk").unwrap().class_id;
    let mut auk: Vec<&str> = dataset.in_class(of_auk).map(|photo| photo.path.as_str()).collect();
    auk.sort_unstable();
    assert_eq!(auk, ["auk/1.jpeg", "auk/2.png"]);
    assert_eq!(dataset.images_root, folder.path());
}

#[test]
fn numbered_class_folders_keep_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["003.Auk/1.jpg", "012.Gull/1.jpg", "200.Wren/1.jpg"] {
        write(&folder, file, "");
    }
    assert_eq!(open(&folder).unwrap().class_ids(), [ClassId(3), ClassId(12), ClassId(200)]);
    write(&folder, "unnumbered/1.jpg", "");
    let ids = open(&folder).unwrap().class_ids();
    assert_eq!(ids[..3], [ClassId(3), ClassId(12), ClassId(200)], "a class without a number changes no other");
    assert!(ids[3].0 >= NAMED);
}

#[test]
fn an_added_class_changes_no_other_id() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["gull", "owl", "wren"] {
        write(&folder, &format!("{class}/1.jpg"), "");
    }
    let before = open(&folder).unwrap();
    for class in ["auk", "kite", "zebra finch"] {
        write(&folder, &format!("{class}/1.jpg"), "");
    }
    let after = open(&folder).unwrap();
    assert_eq!((after.classes.len(), after.photos.len()), (6, 6));
    assert!(before.classes.iter().all(|class| after.classes.contains(class)), "in front, between and behind");
    assert!(before.photos.iter().all(|photo| after.photo(photo.image_id) == Some(photo)));
}

#[test]
fn an_added_photo_changes_no_other_id() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..50 {
        write(&folder, &format!("auk/{number}.jpg"), "");
        write(&folder, &format!("wren/{number}.jpg"), "");
    }
    let before = open(&folder).unwrap();
    write(&folder, "auk/000.jpg", "");
    let after = open(&folder).unwrap();
    assert_eq!(after.photos.len(), 101);
    assert!(before.photos.iter().all(|photo| after.photo(photo.image_id) == Some(photo)));
}

#[test]
fn what_is_no_dataset_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let reason = |path: &Path| Dataset::open(path, &LENIENT).unwrap_err().explain().to_string();
    assert!(reason(folder.path()).contains("neither CUB's lists"));
    assert!(reason(&folder.path().join("missing")).contains("there is no such folder"));
    write(&folder, "CUB_200_2011.tgz", "");
    assert!(reason(folder.path()).contains("such as CUB_200_2011.tgz, belong to no class"));
    assert!(reason(&folder.path().join("CUB_200_2011.tgz")).contains("it is a file, not a folder"));
}

#[test]
fn everything_that_is_no_photo_is_listed_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    for file in
        ["auk/1.jpg", "auk/deep/er/2.jpg", "wren/1.jfif", "auk/._1.jpg", "auk/Thumbs.db", "auk/.x", "auk/notes.txt"]
    {
        write(&folder, file, "text");
    }
    for file in ["@eaDir/1.jpg", "classes.txt", "auk/empty", "auk/photo"] {
        write(&folder, file, "");
    }
    fs::write(folder.path().join("auk/photo"), b"GIF89a.......").unwrap();
    let dataset = open(&folder).unwrap();
    let mut photos: Vec<&str> = dataset.photos.iter().map(|photo| photo.path.as_str()).collect();
    photos.sort_unstable();
    assert_eq!(photos, ["auk/1.jpg", "auk/deep/er/2.jpg", "auk/photo", "wren/1.jfif"]);
    let out: Vec<(&str, Reason)> = dataset.left_out.iter().map(|entry| (entry.path.as_str(), entry.reason)).collect();
    let expected = [
        ("@eaDir", Reason::System),
        ("auk/._1.jpg", Reason::System),
        ("auk/.x", Reason::Hidden),
        ("auk/Thumbs.db", Reason::System),
        ("auk/empty", Reason::Empty),
        ("auk/notes.txt", Reason::NotAPhoto),
        ("classes.txt", Reason::BesideClasses),
    ];
    assert_eq!(out, expected);
}

#[cfg(unix)]
#[test]
fn links_are_left_out_or_followed_once_and_a_class_of_links_is_an_error() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "auk/1.jpg", "x");
    write(&folder, "wren/1.jpg", "x");
    for (name, to) in [("auk/up", ".."), ("auk/self", "."), ("wren/side", "../auk"), ("back", ".")] {
        symlink(to, folder.path().join(name)).unwrap();
    }
    let dataset = open(&folder).unwrap();
    assert_eq!((dataset.photos.len(), dataset.left_out.len()), (2, 4));
    let followed = Dataset::open(folder.path(), &OpenOptions { strict: true, follow_links: true }).unwrap();
    assert!(followed.left_out.iter().any(|entry| entry.reason == Reason::Again));
    fs::create_dir(folder.path().join("owl")).unwrap();
    symlink("../auk/1.jpg", folder.path().join("owl/1.jpg")).unwrap();
    let error = open(&folder).unwrap_err().explain().to_string();
    assert!(error.contains("class owl") && error.contains("data.follow_links = true"), "{error}");
}

/// What an object store would list of a folder.
fn listed(folder: &TempDir) -> Result<Dataset, DataError> {
    let root = folder.path();
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(place) = folders.pop() {
        for entry in fs::read_dir(place).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => {
                    files.push((name, 0)); // as some tools mark a folder
                    folders.push(path);
                }
                false => files.push((name, entry.metadata().unwrap().len())),
            }
        }
    }
    let read = |path: &str, first: Option<u64>| {
        let bytes = fs::read(root.join(path))?;
        let length = first.map_or(bytes.len(), |first| bytes.len().min(first as usize));
        Ok(bytes[..length].to_vec())
    };
    Dataset::open_listed(&ListedFiles::new(root.to_str().unwrap(), files, &read), &LENIENT)
}

#[test]
fn an_object_store_has_the_data_set_that_a_folder_has() {
    let folder = cub();
    assert_eq!(listed(&folder).unwrap(), open(&folder).unwrap());
    fs::remove_file(folder.path().join("images/002.Gull/b.jpg")).unwrap();
    let dataset = listed(&folder).unwrap();
    assert_eq!(dataset, Dataset::open(folder.path(), &LENIENT).unwrap());
    assert_eq!(dataset.absent, 1);
    let outer = tempfile::tempdir().unwrap();
    fs::rename(folder.keep(), outer.path().join("CUB_200_2011")).unwrap();
    assert_eq!(listed(&outer).unwrap(), Dataset::open(outer.path(), &LENIENT).unwrap());
}

#[test]
fn class_folders_in_an_object_store_leave_out_what_those_on_a_disk_do() {
    let folder = tempfile::tempdir().unwrap();
    let png = "\u{89}PNG"; // two bytes of UTF-8: no photo
    for (name, text) in [
        ("001.Auk/a.jpg", "x"),
        ("001.Auk/deep/er/b.PNG", "x"),
        ("001.Auk/notes.md", "about auks"),
        ("001.Auk/empty", ""),
        ("001.Auk/.hidden/c.jpg", "x"),
        ("001.Auk/Thumbs.db", "x"),
        ("002.Gull/@eaDir/d.jpg", "x"),
        ("002.Gull/e.webp", "x"),
        ("003.Owl/only.txt", png),
        ("@eaDir/f.jpg", "x"),
        ("beside.jpg", "x"),
    ] {
        write(&folder, name, text);
    }
    fs::write(folder.path().join("001.Auk/nameless"), b"\xff\xd8\xff\xe0\0\x10JFIF\0").unwrap();
    let (found, expected) = (listed(&folder).unwrap(), Dataset::open(folder.path(), &LENIENT).unwrap());
    assert_eq!(found, expected);
    assert_eq!(found.photos.len(), 4);
    assert!(listed(&tempfile::tempdir().unwrap()).is_err());
}

#[test]
fn a_long_field_of_a_list_makes_no_long_message() {
    for text in ["x".repeat(100_000) + " a.jpg", "1 ../".to_owned() + &"x".repeat(100_000)] {
        let error = broken("images.txt", &format!("4 002.Gull/b.jpg\n{text}\n"));
        assert!(error.contains("line 2") && error.len() < 1500, "{} bytes", error.len());
    }
}
