//! How a row scores queries, from what is stored: what `evaluate` and `predict` share.

use std::collections::BTreeMap;

use mlsm_data::{Episode, ImageId, Part};
use mlsm_engine::{Context, Port, StageError};
use mlsm_nets::{Metric, cl2n, class_mean_scores, unpack};
use mlsm_store::Field;
use tch::{Device, Kind, Tensor};

use crate::artifact::Gallery;
use crate::config::{BackboneMode, BnEval};
use crate::error::net_error;
use crate::model::{Model, ModelRecipe, Represented, Rows};
use crate::recipe::field;
use crate::stages::ports::{self, Side};

/// Methods in which the score of a class depends on its own support photos alone. The others learn from all classes of an
/// episode together, or compare them with one another.
const OWN_SUPPORT_ALONE: [&str; 8] =
    ["mlsm", "prototypical", "simpleshot", "imprinted", "frn", "relation", "siamese", "triplet"];

/// The usual temperature of squared distances between unit-length vectors, one photo a class. `make measure-predict` found .54
/// on drawn birds, .44 on photos and .29 on crops of real ones.
const CL2N_TEMPERATURE: f64 = 0.45;
/// The same between photos of values 0 to 1: 10,000 on those photos, 3,800 on those crops.
const PIXELS_TEMPERATURE: f64 = 5000.0;

/// How far photos of a class lie from its mean, squared, as a share of their vectors' squared length: what a mean of many photos
/// is nearer by than a single photo. `make measure-predict` found from .5 to .7 best where classes have 1 to 20 labelled photos.
const CL2N_SPREAD: f64 = 0.6;

/// How queries are scored.
#[derive(Clone)]
pub enum Scoring {
    /// A method with the weights of input `weights`, on features or pixels of novel photos.
    Method {
        /// The method.
        recipe: ModelRecipe,
        /// What batch normalisation goes by, where the method has no rule of its own. By the batch, rows are pixels, and
        /// a method that learnt on stored features has the base CNN of input `backbone` in front of it.
        bn_eval: BnEval,
    },
    /// Nearest class mean of centred, unit-length embeddings (SimpleShot, Wang et al. 2019), centred by base photos;
    /// an object's embedding may be joined.
    Cl2n {
        /// Whether there is an object.
        with_object: bool,
    },
    /// Nearest class mean of raw pixels, Euclidean.
    Pixels,
}

impl Scoring {
    /// Returns what identifies it in a recipe.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::Method { recipe, bn_eval } => {
                let mut fields = recipe.fields();
                fields.push(field("bn_eval", bn_eval.name()));
                fields
            }
            Self::Cl2n { with_object } => {
                let spread = field("spread", CL2N_SPREAD);
                vec![field("method", "cl2n"), field("with_object", *with_object), field("distances", "f64"), spread]
            }
            Self::Pixels => vec![field("method", "pixels"), field("distances", "f64")],
        }
    }

    /// Returns what it reads.
    pub fn ports(&self) -> Vec<Port> {
        let rows = |side: Side, part| Port::many(ports::rows(side, part));
        match self {
            Self::Method { recipe, bn_eval } => {
                let mut read = recipe.row_ports(Part::Novel);
                read.push(Port::one("weights"));
                if *bn_eval == BnEval::Batch && recipe.mode == BackboneMode::Frozen {
                    read.push(Port::one("backbone"));
                }
                read
            }
            Self::Cl2n { with_object } => {
                let parts = |side: &Side| [rows(*side, Part::Base), rows(*side, Part::Novel)];
                sides_of(*with_object).iter().flat_map(parts).collect()
            }
            Self::Pixels => vec![rows(Side::Image, Part::Novel)],
        }
    }

    /// Returns the number of classes of an episode, of a method that can tell no other number apart.
    pub fn fixed_ways(&self) -> Option<usize> {
        match self {
            Self::Method { recipe, .. } => recipe.fixed_ways(),
            Self::Cl2n { .. } | Self::Pixels => None,
        }
    }

    /// Tells whether classes may have different numbers of support photos: where the score of a class depends on its own
    /// support photos alone.
    pub fn takes_unequal_shots(&self) -> bool {
        match self {
            Self::Method { recipe, bn_eval } => {
                *bn_eval == BnEval::Running && OWN_SUPPORT_ALONE.contains(&recipe.method.name)
            }
            Self::Cl2n { .. } | Self::Pixels => true,
        }
    }

    /// Returns the temperature that its scores usually need to become probabilities (see [`crate::certainty`]): 1 where a
    /// softmax or a sigmoid of scores was trained. That of distances to class means falls as one over `k_shot`, the photos in a
    /// mean.
    pub fn temperature(&self, k_shot: f64) -> f64 {
        match self {
            Self::Method { .. } => 1.0,
            Self::Cl2n { .. } => CL2N_TEMPERATURE / k_shot,
            Self::Pixels => PIXELS_TEMPERATURE / k_shot,
        }
    }

    /// What batch normalisation goes by; empty where there is no network.
    pub fn bn_eval(&self) -> &'static str {
        match self {
            Self::Method { bn_eval: BnEval::Batch, .. } => BnEval::Batch.name(),
            Self::Method { recipe, .. } => recipe.method.bn_eval,
            Self::Cl2n { .. } => "running",
            Self::Pixels => "",
        }
    }
}

fn sides_of(with_object: bool) -> &'static [Side] {
    if with_object { &[Side::Image, Side::Object] } else { &[Side::Image] }
}

/// A row that can score episodes. It is never handed the labels of queries.
pub enum Scorer {
    /// A method and the rows that it reads.
    Method(Box<Model>, Rows),
    /// Vectors ready to be compared, and the photos.
    Cl2n(Embeddings, Gallery),
    /// Packed pixels.
    Pixels(Gallery),
}

impl Scorer {
    /// Opens what a row reads.
    ///
    /// # Errors
    /// [`StageError`] when an artifact is damaged or does not fit.
    pub fn open(scoring: &Scoring, context: &Context<'_>, device: Device) -> Result<Self, StageError> {
        Ok(match scoring {
            Scoring::Method { recipe, bn_eval } => {
                let (weights, _) = unpack(&context.open("weights")?).map_err(net_error)?;
                let is_batch = *bn_eval == BnEval::Batch;
                let recipe_here = if is_batch { recipe.on_pixels() } else { recipe.clone() };
                let rows = Rows::open(context, &recipe_here, Part::Novel)?;
                let mut model = Model::new(&recipe_here, 0, device);
                if is_batch && recipe.mode == BackboneMode::Frozen {
                    model.start_from(&context.open("backbone")?)?;
                    model.load_method(&weights)?;
                } else {
                    model.load(&weights, "")?;
                }
                Self::Method(Box::new(model), rows)
            }
            Scoring::Cl2n { with_object } => {
                let open = |side, part| Gallery::open(context, ports::rows(side, part), "embedding");
                let novel = open(Side::Image, Part::Novel)?;
                let images: Vec<ImageId> = novel.classes().values().flatten().copied().collect();
                let mut sides = Vec::new();
                for side in sides_of(*with_object) {
                    let (base, own) = (open(*side, Part::Base)?, open(*side, Part::Novel)?);
                    sides.push(cl2n(&own.gather(&images, device)?, &mean(&base, device)?));
                }
                let spread = CL2N_SPREAD * sides.len() as f64;
                Self::Cl2n(Embeddings::new(images, Tensor::cat(&sides, 1), spread), novel)
            }
            Scoring::Pixels => Self::Pixels(Gallery::open(context, ports::rows(Side::Image, Part::Novel), "pixels")?),
        })
    }

    /// Represents all photos once, for methods that can; what [`Scorer::scores`] is given again.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn known(&self, scoring: &Scoring, device: Device) -> Result<Option<Represented<'_>>, StageError> {
        Ok(match (self, scoring) {
            (Self::Method(_, rows), Scoring::Method { bn_eval: BnEval::Batch, .. }) => {
                Some(Represented::by_batch(rows, device))
            }
            (Self::Method(model, rows), _) => Some(Represented::of(model, rows, device)?),
            _ => None,
        })
    }

    /// Returns the photos.
    pub fn photos(&self) -> &Gallery {
        match self {
            Self::Method(_, rows) => rows.image(),
            Self::Cl2n(_, gallery) | Self::Pixels(gallery) => gallery,
        }
    }

    /// Scores the queries of an episode: `[q, n_way]`, larger is closer.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn scores(
        &self,
        known: Option<&Represented<'_>>,
        episode: &Episode,
        device: Device,
    ) -> Result<Tensor, StageError> {
        let _guard = tch::no_grad_guard();
        match self {
            Self::Method(model, _) => {
                by_shots(episode, |group| model.scores(known.expect("a method's images are represented"), group))
            }
            Self::Cl2n(vectors, _) => nearest_mean(episode, vectors.spread, |images| Ok(vectors.select(images))),
            Self::Pixels(gallery) => nearest_mean(episode, 0.0, |images| {
                Ok(gallery.gather(images, device)?.to_kind(Kind::Float).flatten(1, -1) / 255.0)
            }),
        }
    }
}

/// Scores every query against the mean of each class, whatever its number of support photos. The mean of `k` photos is nearer
/// to every query than a single photo, by `spread` (photos of a class around its mean, squared) times `1 - 1 / k`: so much is
/// taken off, or a class would win by its number of photos. In f64, so that a score, rounded to f32, does not depend on which
/// other photos are scored with it, nor on their order.
fn nearest_mean(
    episode: &Episode,
    spread: f64,
    rows: impl Fn(&[ImageId]) -> Result<Tensor, StageError>,
) -> Result<Tensor, StageError> {
    let mean = |images: &Vec<ImageId>| -> Result<Tensor, StageError> {
        let of_class = rows(images)?.to_kind(Kind::Double);
        Ok(of_class.reshape([1, images.len() as i64, -1]).mean_dim([1i64].as_slice(), false, of_class.kind()))
    };
    let means = episode.support.iter().map(mean).collect::<Result<Vec<_>, _>>()?;
    let (means, query) = (Tensor::cat(&means, 0), rows(&episode.query.concat())?.to_kind(Kind::Double));
    let scores = class_mean_scores(&means, episode.support.len() as i64, 1, &query, Metric::SquaredEuclidean);
    let nearer: Vec<f64> = episode.support.iter().map(|images| spread * (1.0 - 1.0 / images.len() as f64)).collect();
    Ok((scores - Tensor::from_slice(&nearer).to_device(query.device())).to_kind(Kind::Float))
}

/// Scores classes with equal numbers of support photos together, and puts their columns in the order of the episode.
fn by_shots(episode: &Episode, score: impl Fn(&Episode) -> Result<Tensor, StageError>) -> Result<Tensor, StageError> {
    let mut groups = BTreeMap::<usize, Vec<usize>>::new();
    for (way, support) in episode.support.iter().enumerate() {
        groups.entry(support.len()).or_default().push(way);
    }
    if groups.len() == 1 {
        return score(episode);
    }
    let mut columns = Vec::new();
    for ways in groups.values() {
        let classes = ways.iter().map(|way| episode.classes[*way]).collect();
        let support = ways.iter().map(|way| episode.support[*way].clone()).collect();
        columns.push(score(&Episode { classes, support, query: episode.query.clone() })?);
    }
    let order: Vec<usize> = groups.into_values().flatten().collect();
    let mut places: Vec<i64> = (0..order.len() as i64).collect();
    places.sort_by_key(|place| order[*place as usize]);
    let all = Tensor::cat(&columns, 1);
    Ok(all.index_select(1, &Tensor::from_slice(&places).to_device(all.device())))
}

/// One vector for each image.
pub struct Embeddings {
    rows: BTreeMap<ImageId, i64>,
    vectors: Tensor, // [n, d]
    spread: f64,     // of photos of a class around its mean, squared
}

impl Embeddings {
    fn new(images: Vec<ImageId>, vectors: Tensor, spread: f64) -> Self {
        let rows = images.into_iter().enumerate().map(|(row, id)| (id, row as i64)).collect();
        Self { rows, vectors, spread }
    }

    fn select(&self, images: &[ImageId]) -> Tensor {
        let rows: Vec<i64> = images.iter().map(|id| self.rows[id]).collect();
        self.vectors.index_select(0, &Tensor::from_slice(&rows).to_device(self.vectors.device()))
    }
}

/// Averages the embeddings of the base photos.
fn mean(gallery: &Gallery, device: Device) -> Result<Tensor, StageError> {
    let images: Vec<ImageId> = gallery.classes().values().flatten().copied().collect();
    let mut sum = Tensor::zeros(gallery.row_shape(), (Kind::Double, device));
    for chunk in images.chunks(256) {
        sum += gallery.gather(chunk, device)?.to_kind(Kind::Double).sum_dim_intlist([0i64].as_slice(), false, None);
    }
    Ok((sum / images.len() as f64).to_kind(Kind::Float))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlsm_data::ClassId;

    /// An episode of two classes over four images whose values are those of `rows`.
    fn scored(support: [&[u32]; 2]) -> Vec<f32> {
        let rows = Tensor::from_slice(&[0.3f32, 0.7, 0.1, 0.9, 0.5, 0.2, 0.8, 0.4]).reshape([4, 2]);
        let ids = |images: &[u32]| images.iter().map(|id| ImageId(*id)).collect::<Vec<_>>();
        let episode = Episode {
            classes: vec![ClassId(1), ClassId(2)],
            support: support.iter().map(|images| ids(images)).collect(),
            query: vec![ids(&[3])],
        };
        let select = |images: &[ImageId]| {
            let at: Vec<i64> = images.iter().map(|id| i64::from(id.0)).collect();
            Ok(rows.index_select(0, &Tensor::from_slice(&at)))
        };
        let direct = nearest_mean(&episode, 0.5, select).unwrap();
        let grouped = by_shots(&episode, |group| nearest_mean(group, 0.5, select)).unwrap();
        assert!((&direct - &grouped).abs().max().double_value(&[]) < 1e-6);
        Vec::<f32>::try_from(direct.view([-1])).unwrap()
    }

    #[test]
    fn the_score_of_a_class_does_not_depend_on_the_number_of_photos_of_another() {
        let equal = scored([&[0, 1], &[2, 1]]);
        assert_eq!(scored([&[0, 1], &[2]])[0].to_bits(), equal[0].to_bits());
        assert_eq!(scored([&[0, 1], &[2, 1, 0]])[0].to_bits(), equal[0].to_bits());
        assert_ne!(scored([&[0], &[2, 1]])[0].to_bits(), equal[0].to_bits());
        assert_eq!(scored([&[0], &[2, 1]])[1].to_bits(), equal[1].to_bits());
    }

    /// Photos of unit length: a fifth of it is common to all, a fifth to the class, the rest to each photo alone.
    #[test]
    fn a_class_wins_by_its_photos_and_not_by_their_number() {
        let (one, many) = (1, 20);
        let photo = |class: i64, at: i64| {
            let vector = Tensor::zeros([3 + 22], (Kind::Double, Device::Cpu));
            for (place, part) in [(0, 0.2f64), (1 + class, 0.2), (3 + at, 0.6)] {
                let _ = vector.get(place).fill_(part.sqrt());
            }
            vector
        };
        let rows: Vec<Tensor> = (0..many + 2).map(|at| photo(i64::from(at > 1), at)).collect();
        let ids = |from: i64, to: i64| (from..to).map(|id| ImageId(id as u32)).collect::<Vec<_>>();
        let episode = Episode {
            classes: vec![ClassId(1), ClassId(2)],
            support: vec![ids(0, one), ids(2, 2 + many)],
            query: vec![ids(1, 2)],
        };
        let scores = |spread: f64| {
            let select = |images: &[ImageId]| {
                Ok(Tensor::stack(&images.iter().map(|id| &rows[id.0 as usize]).collect::<Vec<_>>(), 0))
            };
            Vec::<f32>::try_from(nearest_mean(&episode, spread, select).unwrap().view([-1])).unwrap()
        };
        let near =
            |scores: Vec<f32>, expected: [f32; 2]| scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(scores(0.0), [-1.2, -1.03]), "the class of more photos wins: {:?}", scores(0.0));
        assert!(near(scores(0.6), [-1.2, -1.6]), "{:?}", scores(0.6));
    }
}
