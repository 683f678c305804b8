//! Shards: the units in which photos are ingested, cropped, embedded, distributed and held in memory.
//!
//! One a class; a large class in a power-of-two number of buckets by a hash of the image id, so that an added
//! photo joins one bucket and moves no other.

use crate::{ClassId, Dataset, ImageId, Photo};
use serde::{Deserialize, Serialize};

/// Some or all photos of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// `001` for a whole class, `001.3of8` for its third bucket of eight.
    pub id: String,
    /// The class.
    pub class_id: ClassId,
    /// Its photos, by id.
    pub photos: Vec<Photo>,
}

/// How large a shard may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardOptions {
    /// Most photos of a shard; 0 counts as 1.
    pub max_photos: usize,
}

impl Default for ShardOptions {
    fn default() -> Self {
        Self { max_photos: 512 }
    }
}

/// Divides the photos of a dataset into shards, by class and bucket. A class without photos has none, and an
/// empty bucket is left out.
pub fn shards(dataset: &Dataset, options: &ShardOptions) -> Vec<Shard> {
    let of_class = |class_id| {
        let photos: Vec<&Photo> = dataset.in_class(class_id).collect();
        let buckets = bucket_count(&photos, options.max_photos.max(1));
        (0..buckets).map(move |bucket| shard(class_id, &photos, bucket, buckets))
    };
    let all = dataset.classes.iter().flat_map(|class| of_class(class.class_id));
    all.filter(|shard| !shard.photos.is_empty()).collect()
}

fn shard(class_id: ClassId, photos: &[&Photo], bucket: u64, buckets: u64) -> Shard {
    let id = match buckets {
        1 => format!("{class_id:03}"),
        _ => format!("{class_id:03}.{}of{buckets}", bucket + 1),
    };
    let members = photos.iter().filter(|photo| spread(photo.image_id) % buckets == bucket);
    Shard { id, class_id, photos: members.map(|&photo| photo.clone()).collect() }
}

/// The smallest power of two that leaves no bucket with more than `max_photos`.
fn bucket_count(photos: &[&Photo], max_photos: usize) -> u64 {
    let mut buckets = 1;
    // 2^20 buckets are enough for any class; a photo listed twice could ask for ever more.
    while buckets < 1 << 20 {
        let mut sizes = vec![0usize; buckets as usize];
        for photo in photos {
            sizes[(spread(photo.image_id) % buckets) as usize] += 1;
        }
        if sizes.iter().all(|&size| size <= max_photos) {
            break;
        }
        buckets *= 2;
    }
    buckets
}

/// Spreads ids evenly over the integers.
fn spread(image_id: ImageId) -> u64 {
    let hash = blake3::hash(&image_id.0.to_le_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use std::collections::{BTreeMap, BTreeSet};

    fn photo(image_id: u32, class_id: u32) -> Photo {
        let (image_id, class_id) = (ImageId(image_id), ClassId(class_id));
        Photo { image_id, class_id, path: format!("{class_id}/{image_id}.jpg"), bbox: None }
    }

    fn dataset(photos: Vec<Photo>) -> Dataset {
        let ids: BTreeSet<ClassId> = photos.iter().map(|photo| photo.class_id).collect();
        let classes = ids.into_iter().map(|class_id| Class { class_id, name: format!("class {class_id}") }).collect();
        Dataset::new("photos".into(), classes, photos)
    }

    fn of_class(photos: std::ops::Range<u32>, max_photos: usize) -> Vec<Shard> {
        shards(&dataset(photos.map(|id| photo(id, 1)).collect()), &ShardOptions { max_photos })
    }

    #[test]
    fn a_small_class_is_one_shard() {
        let all = shards(&dataset(vec![photo(2, 7), photo(1, 7), photo(3, 120)]), &ShardOptions::default());
        let ids: Vec<&str> = all.iter().map(|shard| shard.id.as_str()).collect();
        assert_eq!(ids, ["007", "120"]);
        assert_eq!(all[0].photos, [photo(1, 7), photo(2, 7)]);
    }

    #[test]
    fn a_large_class_is_divided_without_loss() {
        let all = of_class(0..5000, 512);
        assert!(all.len() >= 16 && all.iter().all(|shard| shard.photos.len() <= 512));
        let mut ids: Vec<u32> = all.iter().flat_map(|shard| &shard.photos).map(|photo| photo.image_id.0).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..5000).collect::<Vec<_>>());
        assert_eq!(all[0].id, "001.1of16");
    }

    #[test]
    fn an_added_photo_changes_one_shard_only() {
        let place = |shards: &[Shard]| -> BTreeMap<String, Vec<Photo>> {
            shards.iter().map(|shard| (shard.id.clone(), shard.photos.clone())).collect()
        };
        let (before, after) = (place(&of_class(0..3000, 512)), place(&of_class(0..3001, 512)));
        assert_eq!(before.len(), after.len());
        assert_eq!(before.iter().filter(|(id, photos)| after[*id] != **photos).count(), 1);
    }

    #[test]
    fn a_limit_of_zero_still_gives_shards_of_one_photo() {
        assert!(of_class(0..20, 0).iter().all(|shard| shard.photos.len() == 1));
    }
}
