//! The classes and photos that episodes are drawn from.

use super::{Episode, EpisodeSpec};
use crate::streams::{Draw, stream};
use crate::{ClassId, DataError, ImageId, Photo};
use std::collections::BTreeMap;

/// Photos by class; equal sets of photos give equal pools, in whatever order they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    classes: Vec<(ClassId, Vec<ImageId>)>,
}

impl FromIterator<(ClassId, ImageId)> for Pool {
    fn from_iter<I: IntoIterator<Item = (ClassId, ImageId)>>(photos: I) -> Self {
        let mut classes = BTreeMap::<ClassId, Vec<ImageId>>::new();
        for (class_id, image_id) in photos {
            classes.entry(class_id).or_default().push(image_id);
        }
        for ids in classes.values_mut() {
            ids.sort_unstable();
            ids.dedup();
        }
        Pool { classes: classes.into_iter().collect() }
    }
}

impl<'a> FromIterator<&'a Photo> for Pool {
    fn from_iter<I: IntoIterator<Item = &'a Photo>>(photos: I) -> Self {
        photos.into_iter().map(|photo| (photo.class_id, photo.image_id)).collect()
    }
}

impl Pool {
    /// The classes in order, each with its photos in order.
    pub fn classes(&self) -> impl Iterator<Item = (ClassId, &[ImageId])> {
        self.classes.iter().map(|(class_id, ids)| (*class_id, ids.as_slice()))
    }

    /// Checks that every episode of the kind can be drawn.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for impossible numbers, [`DataError::TooFewClasses`], and
    /// [`DataError::TooFewPhotos`] for the first class that is too small.
    pub fn check(&self, spec: &EpisodeSpec) -> Result<(), DataError> {
        spec.check()?;
        let (have, need) = (self.classes.len(), spec.n_way);
        if have < need {
            return Err(DataError::TooFewClasses { have, need });
        }
        let need = spec.photos_per_class();
        match self.classes.iter().find(|(_, ids)| ids.len() < need) {
            None => Ok(()),
            Some((class_id, ids)) => Err(DataError::TooFewPhotos { class_id: *class_id, have: ids.len(), need }),
        }
    }

    /// Draws episode `index`: a function of the pool, the kind and the index alone.
    ///
    /// Query photos are drawn before support photos and every class has a stream of its own. So at equal
    /// `seed`, `n_way` and `n_query`, 1-shot and 5-shot episodes of one index have the same classes and
    /// queries, and the 1-shot support is the first of the 5-shot support: methods compare in pairs.
    ///
    /// ```
    /// use mlsm_data::{ClassId, EpisodeSpec, ImageId, Pool};
    ///
    /// let photos = (0..60).map(|id| (ClassId(id / 10), ImageId(id))); // six classes of ten photos
    /// let pool: Pool = photos.collect();
    /// let spec = EpisodeSpec { n_way: 5, k_shot: 1, n_query: 4, seed: 0 };
    /// pool.check(&spec)?;
    /// let episode = pool.episode(&spec, 0);
    /// assert_eq!((episode.support.len(), episode.support[0].len(), episode.query[0].len()), (5, 1, 4));
    /// assert_eq!(pool.episode(&spec, 0), episode, "an episode depends on nothing else");
    /// # Ok::<(), mlsm_data::DataError>(())
    /// ```
    ///
    /// # Panics
    /// When [`Pool::check`] refuses the kind.
    pub fn episode(&self, spec: &EpisodeSpec, index: u64) -> Episode {
        let mut rng = stream(spec.seed, "episode/classes", index);
        let mut episode = Episode { classes: Vec::new(), support: Vec::new(), query: Vec::new() };
        for position in rng.choose_distinct(self.classes.len(), spec.n_way) {
            let (class_id, ids) = &self.classes[position];
            let mut rng = stream(spec.seed, &format!("episode/photos of class {class_id}"), index);
            let drawn = rng.choose_distinct(ids.len(), spec.photos_per_class());
            let mut drawn = drawn.into_iter().map(|photo| ids[photo]);
            episode.classes.push(*class_id);
            episode.query.push(drawn.by_ref().take(spec.n_query).collect());
            episode.support.push(drawn.collect());
        }
        episode
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn pool(classes: u32, photos: u32) -> Pool {
        (1..=classes).flat_map(|c| (0..photos).map(move |i| (ClassId(c), ImageId(c * 1000 + i)))).collect()
    }

    fn spec(n_way: usize, k_shot: usize, n_query: usize) -> EpisodeSpec {
        EpisodeSpec { n_way, k_shot, n_query, seed: 5 }
    }

    #[test]
    fn an_episode_is_a_function_of_seed_and_index() {
        let pool = pool(10, 30);
        assert_eq!(pool.episode(&spec(5, 1, 15), 3), pool.episode(&spec(5, 1, 15), 3));
        assert_ne!(pool.episode(&spec(5, 1, 15), 3), pool.episode(&spec(5, 1, 15), 4));
        let other_seed = EpisodeSpec { seed: 6, ..spec(5, 1, 15) };
        assert_ne!(pool.episode(&spec(5, 1, 15), 3), pool.episode(&other_seed, 3));
    }

    #[test]
    fn the_order_of_the_photos_does_not_matter() {
        let forwards = pool(6, 20);
        let mut all: Vec<_> = forwards.classes().flat_map(|(c, ids)| ids.iter().map(move |&i| (c, i))).collect();
        all.reverse();
        assert_eq!(all.into_iter().collect::<Pool>(), forwards);
    }

    #[test]
    fn one_and_five_shot_episodes_share_classes_and_queries() {
        let pool = pool(10, 30);
        let (one, five) = (pool.episode(&spec(5, 1, 15), 8), pool.episode(&spec(5, 5, 15), 8));
        assert_eq!((&one.classes, &one.query), (&five.classes, &five.query));
        assert!(one.support.iter().zip(&five.support).all(|(one, five)| one[0] == five[0]));
    }

    #[test]
    fn every_class_and_photo_is_drawn_equally_often() {
        let pool = pool(4, 5);
        let mut counts = BTreeMap::<ImageId, f64>::new();
        for index in 0..10_000 {
            for id in pool.episode(&spec(2, 1, 1), index).support.concat() {
                *counts.entry(id).or_default() += 1.0;
            }
        }
        assert_eq!(counts.len(), 20);
        let chi_square: f64 = counts.values().map(|c| (c - 1000.0) * (c - 1000.0) / 1000.0).sum();
        // 99.99 % point of chi-square with 19 degrees of freedom.
        assert!(chi_square < 50.8, "{chi_square}");
    }

    #[test]
    fn too_few_classes_are_counted_in_the_error() {
        let error = pool(4, 30).check(&spec(5, 1, 15)).unwrap_err();
        assert!(matches!(error, DataError::TooFewClasses { have: 4, need: 5 }), "{error}");
    }

    #[test]
    fn a_class_with_too_few_photos_is_named_in_the_error() {
        let mut photos: Vec<_> = (1..=5).flat_map(|c| (0..16).map(move |i| (ClassId(c), ImageId(i)))).collect();
        photos.retain(|&(class, image)| class != ClassId(3) || image.0 < 9);
        let error = photos.into_iter().collect::<Pool>().check(&spec(5, 1, 15)).unwrap_err();
        assert!(matches!(error, DataError::TooFewPhotos { class_id: ClassId(3), have: 9, need: 16 }), "{error}");
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for bad in [spec(1, 1, 15), spec(5, 0, 15), spec(5, 1, 0)] {
            assert!(pool(10, 30).check(&bad).unwrap_err().is_config());
        }
        assert!(pool(10, 30).check(&spec(5, usize::MAX, 1)).is_err());
    }

    proptest! {
        #[test]
        fn support_and_query_are_disjoint_and_of_the_asked_shape(
            seed: u64, index: u64, n_way in 2usize..8, k_shot in 1usize..6, n_query in 1usize..10,
        ) {
            let pool = pool(8, 16);
            let spec = EpisodeSpec { n_way, k_shot, n_query, seed };
            prop_assume!(pool.check(&spec).is_ok());
            let episode = pool.episode(&spec, index);
            prop_assert_eq!(episode.classes.iter().collect::<BTreeSet<_>>().len(), n_way);
            for (way, class_id) in episode.classes.iter().enumerate() {
                prop_assert_eq!((episode.support[way].len(), episode.query[way].len()), (k_shot, n_query));
                let both: BTreeSet<_> = episode.support[way].iter().chain(&episode.query[way]).collect();
                prop_assert_eq!(both.len(), k_shot + n_query);
                prop_assert!(both.iter().all(|id| id.0 / 1000 == class_id.0));
            }
        }
    }
}
