//! Photos that the store keeps: made once, never read damaged, collected when no kept answer was made of them.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::faults::{Fault, Power, under};

fn key() -> Fingerprint {
    request("photos").fingerprint()
}

fn draw(folder: &Path) -> Result<(), StoreError> {
    let failed = |e| StoreError::Io { action: "write", path: folder.to_owned(), source: e };
    fs::create_dir(folder.join("001")).map_err(failed)?;
    fs::write(folder.join("001/a.jpg"), b"a photo").map_err(failed)?;
    fs::write(folder.join("classes.txt"), b"1 001").map_err(failed)
}

fn keep(store: &Store) -> PathBuf {
    store.keep_dataset(&key(), draw).unwrap()
}

fn verify(store: &Store) -> Vec<Finding> {
    store.verify(&VerifyOptions::default()).unwrap()
}

#[test]
fn photos_are_made_once_even_by_several_at_a_time() {
    let folder = folder();
    let (made, stores) = (AtomicUsize::new(0), [open(&folder), open(&folder)]);
    assert_eq!(stores[0].dataset(&key()).unwrap(), None);
    std::thread::scope(|scope| {
        for i in 0..4 {
            let (made, store) = (&made, &stores[i % 2]);
            scope.spawn(move || {
                let make = |folder: &Path| {
                    made.fetch_add(1, Ordering::SeqCst);
                    draw(folder)
                };
                store.keep_dataset(&key(), make).unwrap()
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
    let photos = stores[0].dataset(&key()).unwrap().unwrap();
    assert_eq!(fs::read(photos.join("001/a.jpg")).unwrap(), b"a photo");
    assert_eq!(verify(&stores[0]), []);
}

#[test]
fn a_photo_that_is_damaged_gone_or_strange_is_found_and_its_data_set_set_aside() {
    let folder = folder();
    let store = open(&folder);
    let harms: [fn(&Path) -> PathBuf; 5] = [
        |photos| {
            fs::write(photos.join("001/a.jpg"), b"a pHoto").unwrap();
            photos.join("001/a.jpg")
        },
        |photos| {
            fs::remove_file(photos.join("classes.txt")).unwrap();
            photos.join("classes.txt")
        },
        |photos| {
            fs::write(photos.join("001/b.jpg"), b"not kept here").unwrap();
            photos.join("001/b.jpg")
        },
        |photos| {
            let list = photos.with_file_name(".contents");
            fs::remove_file(&list).unwrap();
            list
        },
        |photos| {
            fs::remove_dir_all(photos.join("001")).unwrap();
            photos.join("001/a.jpg")
        },
    ];
    for harm in harms {
        let photos = keep(&store);
        assert_eq!(store.dataset(&key()).unwrap(), Some(photos.clone()));
        let harmed = harm(&photos);
        let found = verify(&store);
        let path = photos.parent().unwrap().to_owned();
        assert_eq!(found, [Finding::DamagedDataset { path, file: harmed.clone() }]);
        match store.dataset(&key()) {
            Err(StoreError::DamagedDataset { file, path }) => {
                assert_eq!(file, harmed);
                assert!(path.starts_with(store.root().join("quarantine")) && path.exists());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((store.dataset(&key()).unwrap(), verify(&store)), (None, vec![]));
    }
}

#[test]
fn what_fails_or_is_struck_while_photos_are_made_leaves_none_or_all() {
    for fault in [Fault::Death, Fault::Tear, Fault::Full] {
        for at in 0.. {
            let folder = folder();
            let store = open(&folder);
            let (result, steps, volatile) = under(Some((fault, at)), || store.keep_dataset(&key(), draw));
            drop(store);
            if fault == Fault::Death {
                Power::fails(volatile);
            }
            let store = open(&folder);
            assert_eq!(verify(&store), [], "{fault:?} at step {at}");
            let there = store.dataset(&key()).unwrap();
            assert!(result.is_err() || there.is_some(), "{fault:?} at step {at}");
            keep(&store);
            if at >= steps {
                assert!(at > 5, "{at} steps");
                break;
            }
        }
    }
    let folder = folder();
    let refused = open(&folder).keep_dataset(&key(), |_| Err(StoreError::Full { path: "photo".into() }));
    assert!(refused.is_err_and(|error| error.is_full()));
    assert_eq!(fs::read_dir(folder.path().join("store/staging")).unwrap().count(), 0);
}
