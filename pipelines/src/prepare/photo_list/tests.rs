//! What a list gives back, and what of it is kept once.

use mlsm_data::{BoundingBox, ImageId};
use mlsm_engine::{Cancel, Event};
use mlsm_store::{Access, StoreError};
use tempfile::TempDir;

use super::*;
use crate::prepare::Purpose;

/// Three classes of 10,000 photos and one without; every third photo has a box.
fn scene() -> Scene {
    let class = |id: u32| Class { class_id: ClassId(id), name: format!("{id:03}.bird") };
    let bbox = |id: u32| id.is_multiple_of(3).then_some(BoundingBox { x: id as f32 / 7.0, y: 0.1, w: 3.0, h: 4.0 });
    let photo = |id: u32| Photo {
        image_id: ImageId(id),
        class_id: ClassId(id / 10_000 + 1),
        path: format!("{}/{id}.jpg", id / 10_000 + 1),
        bbox: bbox(id),
    };
    let dataset =
        Dataset::new("/data/cub/images".into(), (1..=4).map(class).collect(), (0..30_000).map(photo).collect());
    let digests = (0..30_000u32).map(|id| (ImageId(id), Digest::of(&id.to_le_bytes()))).collect();
    let source = Source { below: "images".to_owned(), ..Source::of(dataset, digests, "cub".to_owned()) };
    Scene { source, split: None, weights: BTreeMap::new() }
}

const NO_PLAN: Plan = Plan { nodes: Vec::new() };

fn kept(config: &Config) -> (TempDir, Store, PhotoList) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Access::ReadWrite).unwrap();
    let list = PhotoList::keep(config, &scene(), &NO_PLAN, &store).unwrap();
    (folder, store, list)
}

fn open(config: &Config, list: &PhotoList, store: &Store) -> Result<ListedScene, AssembleError> {
    let (purpose, cancel) = (Purpose::Run, &Cancel::default());
    ListedScene::open(
        config,
        list,
        &Preparation {
            store,
            purpose,
            cancel,
            subscriber: &|_: &Event| {},
            objects: &|_: &str| Err(StoreError::Stopped),
        },
    )
}

#[test]
fn the_shards_that_are_asked_for_have_the_photos_that_were_found_and_the_others_none() {
    let mut config = Config::default();
    config.data.path = Some("/data/cub".into());
    let (_folder, store, list) = kept(&config);
    assert_eq!((list.photos, list.name.as_str(), list.below.as_str()), (30_000, "cub", "images"));
    let mut listed = open(&config, &list, &store).unwrap();
    assert_eq!(listed.scene().source.dataset.classes, scene().source.dataset.classes);
    let all = scene().source.shards(config.data.shard_photos);
    let wanted = BTreeSet::from([all[0].id.clone(), all[all.len() - 1].id.clone()]);
    assert_ne!(listed.lists[0], listed.lists[all.len() - 1], "they lie in two lists");
    listed.read(&wanted, &store).unwrap();
    let source = &listed.scene().source;
    for (found, planned) in source.listed.iter().flatten().zip(&all) {
        let photos = if wanted.contains(&planned.id) { planned.photos.clone() } else { Vec::new() };
        assert_eq!(*found, Shard { photos, ..planned.clone() });
    }
    let photo = &all[0].photos[0];
    assert_eq!(source.digests[&photo.image_id], Digest::of(&photo.image_id.0.to_le_bytes()));
    let file = source.file(photo);
    assert_eq!(file.name(), format!("/data/cub/images/{}", photo.path));
}

#[test]
fn equal_photos_are_kept_once_and_a_photo_more_makes_one_list_anew() {
    let config = Config::default();
    let (_folder, store, list) = kept(&config);
    let manifests = store.fingerprints();
    assert_eq!(PhotoList::keep(&config, &scene(), &NO_PLAN, &store).unwrap(), list);
    assert_eq!(store.fingerprints(), manifests);
    let mut other = scene();
    other.source.digests.insert(ImageId(7), Digest::of(b"another photo"));
    assert_ne!(PhotoList::keep(&config, &other, &NO_PLAN, &store).unwrap().shards, list.shards);
    assert_eq!(store.fingerprints().len(), manifests.len() + 2, "a list, and the table that names it");
}

#[test]
fn a_store_without_the_list_is_refused_and_what_helps_is_another_plan() {
    let config = Config::default();
    let (_folder, store, mut list) = kept(&config);
    list.shards = Digest::of(b"a list of another store");
    let refused = open(&config, &list, &store).err().unwrap().explain();
    assert_eq!(refused.fixes, [Fix::NewPlan, Fix::OtherStore]);
}
