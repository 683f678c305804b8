use std::fs;

use mlsm_errors::Explain;

use super::*;

fn put(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
}

#[test]
fn photos_are_listed_with_ids_that_no_other_photo_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (support, query) = (folder.path().join("s"), folder.path().join("q"));
    put(&support, &["wren/1.jpg", "wren/2.png", "owl/1.jpg", "empty/notes.txt"]);
    put(&query, &["a.jpg", "deep/er/b.JPG", "notes.txt", ".hidden.jpg"]);
    let own = OwnPhotos::open(&support, &query, Links::LeftOut).unwrap();
    let mut names: Vec<&str> = own.classes().iter().map(|class| class.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["", "owl", "wren"]);
    let mut asked: Vec<&str> = own.asked().map(|(_, path)| path).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["a.jpg", "deep/er/b.JPG"]);
    assert!(own.photos().iter().all(|photo| own.file(photo).unwrap().is_file() && own.has(photo.class_id)));
    put(&support, &["eagle/1.jpg", "owl/0.jpg"]);
    put(&query, &["0.jpg"]);
    let more = OwnPhotos::open(&support, &query, Links::LeftOut).unwrap();
    assert_eq!(more.photos().len(), own.photos().len() + 3);
    assert!(own.photos().iter().all(|photo| more.photos().contains(photo)));
}

#[test]
fn one_photo_may_be_asked_for_and_what_does_not_suffice_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let (support, query) = (folder.path().join("s"), folder.path().join("q"));
    put(&support, &["wren/1.jpg"]);
    put(&query, &["a.jpg"]);
    let refused = |support: &Path, query: &Path| {
        OwnPhotos::open(support, query, Links::LeftOut).unwrap_err().explain().to_string()
    };
    assert!(refused(&support, &query).contains("one class"));
    put(&support, &["owl/1.jpg"]);
    let own = OwnPhotos::open(&support, &query.join("a.jpg"), Links::LeftOut).unwrap();
    assert_eq!(own.asked().map(|(_, path)| path).collect::<Vec<_>>(), ["a.jpg"]);
    fs::remove_file(query.join("a.jpg")).unwrap();
    assert!(refused(&support, &query).contains("no photo"));
    assert!(refused(&support, &folder.path().join("gone")).contains("gone"));
}

#[test]
fn stored_photos_keep_their_ids_and_new_ones_take_others() {
    let folder = tempfile::tempdir().unwrap();
    let (support, query) = (folder.path().join("s"), folder.path().join("q"));
    put(&support, &["wren/1.jpg", "owl/1.jpg"]);
    put(&query, &["a.jpg", "b.jpg"]);
    let contents = |own: &OwnPhotos, content: &[u8]| {
        own.photos().iter().map(|photo| (photo.image_id, content.to_vec())).collect::<BTreeMap<_, _>>()
    };
    let whole = OwnPhotos::open(&support, &query, Links::LeftOut).unwrap();
    let whole = whole.clone().by_content(&contents(&whole, b"same"));
    let labelled = OwnPhotos::labelled(&support, Links::LeftOut).unwrap();
    let labelled = labelled.clone().by_content(&contents(&labelled, b"same"));
    let photos: Vec<Photo> =
        labelled.photos().iter().map(|p| Photo { path: p.path[8..].to_owned(), ..p.clone() }).collect();
    let stored = OwnPhotos::stored(&labelled.classes()[..2], &photos);
    let asked = stored.clone().asking(&query, Links::LeftOut).unwrap();
    let asked = asked.clone().by_content(&contents(&asked, b"same"));
    let sorted = |own: &OwnPhotos| {
        let mut photos = own.photos().to_vec();
        photos.sort_by_key(|photo| photo.image_id);
        photos
    };
    assert_eq!(sorted(&asked), sorted(&whole));
    assert!(asked.photos().iter().all(|photo| asked.file(photo).is_none() == asked.is_stored(photo)));
    put(&support, &["kite/1.jpg"]);
    let joining = stored.joining(&support, Links::LeftOut).unwrap();
    assert_eq!(joining.photos().len(), 3);
    let id = |own: &OwnPhotos, name: &str| own.classes().iter().find(|c| c.name == name).unwrap().class_id;
    assert_eq!(["wren", "owl"].map(|name| id(&joining, name)), ["wren", "owl"].map(|name| id(&whole, name)));
    let kite = id(&joining, "kite");
    let only = joining.without(|photo| photo.class_id != kite);
    assert_eq!((only.photos().len(), only.classes().len()), (1, 2));
}

#[test]
fn a_photo_is_compared_with_the_others_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &["1.jpg", "2.jpg", "deep/1.jpg"]);
    let photo = folder.path().join("1.jpg");
    let own = OwnPhotos::compared(&photo, Some(folder.path()), Links::LeftOut).unwrap();
    let mut asked: Vec<&str> = own.asked().map(|(_, path)| path).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["2.jpg", "deep/1.jpg"]);
    assert_eq!(own.photos().iter().filter(|p| own.file(p).unwrap() == photo).count(), 1);
    assert_eq!(OwnPhotos::compared(&photo, None, Links::LeftOut).unwrap().photos().len(), 1);
    put(folder.path(), &["alone/1.jpg"]);
    let alone = folder.path().join("alone");
    for (photo, folder) in [(&alone, folder.path()), (&alone.join("1.jpg"), alone.as_path())] {
        assert!(OwnPhotos::compared(photo, Some(folder), Links::LeftOut).is_err());
    }
}
