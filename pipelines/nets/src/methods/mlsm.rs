//! MLSM: three levels of an image brought to one vector, and a learned similarity of two such vectors.
//!
//! Source: "Multi-level Similarity Learning for Low-Shot Recognition", section III. The adjustment function A_θ turns
//! the maps I and O into 576 numbers by two convolution blocks and the global vector G by one linear layer; after a
//! ReLU each, their sum stands for the image. The similarity function S_η is a small perceptron on a pair of vectors.
//! The backbone F_φ is not part of this: maps in, scores out. Where the paper leaves a choice open, `mlsm_options.rs` has
//! a switch; with `fusion = map` the levels stay maps, and S_η is Relation Net's head (Sung et al. 2018).

#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Reduction, Tensor};

use super::anchor::Anchor;
use super::fuse::Fuse;
use super::mlsm_options::{AnchorKind, FuseNorm, Fusion, FusionPoint, GapSource, Loss, MlsmOptions, Pair, ShotPool};
use super::{Described, Head, Method, Reads, Shape, Support};
use crate::layers::{ConvBlock, Linear};
use crate::params::Params;
use crate::phase::Phase;

/// Filters of the adjustment function.
const WIDTH: i64 = 64;
/// Side to which a map is brought before it is flattened.
const SIDE: i64 = 3;
/// Length of the vector that stands for an image.
pub const VECTOR: i64 = WIDTH * SIDE * SIDE;
/// The map that the paper's layout, unpadded and pooled twice, was made for.
const PAPER_MAP: i64 = 19;
/// Below this side a map of another size is not pooled any more.
const POOL_FROM: i64 = 12;

/// The adjustment and similarity functions.
#[derive(Debug)]
pub struct Mlsm {
    options: MlsmOptions,
    params: Params,
    image: Option<Adjust>,
    object: Option<Adjust>,
    global: Option<Linear>,
    fuse: Fuse,
    reduce: Option<Linear>,
    relation: Option<Adjust>,
    similarity: Vec<Linear>,
    anchor: Option<Anchor>,
}

/// The two convolution blocks for maps.
#[derive(Debug)]
struct Adjust {
    blocks: [ConvBlock; 2],
}

impl Adjust {
    fn new(params: &mut Params, name: &str, channels: i64, rng: &ChaCha8Rng) -> Self {
        let mut block = |index, input| ConvBlock::new(params, &format!("{name}.block{index}"), (input, WIDTH), rng);
        Adjust { blocks: [block(1, channels), block(2, WIDTH)] }
    }

    /// The same weights for maps of objects: normalised by statistics of their own, in training by their batch, in
    /// evaluation by what was seen of objects in training.
    fn of_objects(&self, params: &mut Params, name: &str) -> Self {
        let mut block = |index: usize| self.blocks[index - 1].beside(params, &format!("{name}.block{index}"), "object");
        Adjust { blocks: [block(1), block(2)] }
    }

    /// `[n, c, h, w]` to `[n, 576]`.
    fn vectors(&self, params: &Params, map: &Tensor, phase: Phase) -> Tensor {
        self.after(params, &map.size(), phase, |block, layout| block.forward(params, map, layout, phase))
    }

    /// Each pair of one of `a: [m, c, h, w]` and one of `b: [n, c, h, w]`, side by side, to `[n·m, 576]`.
    fn pair_vectors(&self, params: &Params, (a, b): (&Tensor, &Tensor), phase: Phase) -> Tensor {
        self.after(params, &a.size(), phase, |block, layout| block.forward_pairs(params, (a, b), layout, phase))
    }

    /// Runs `first` on the first block, then what follows. `size`: of the maps that go in.
    fn after(
        &self,
        params: &Params,
        size: &[i64],
        phase: Phase,
        first: impl FnOnce(&ConvBlock, (i64, bool)) -> Tensor,
    ) -> Tensor {
        let side = |size: &[i64]| size[2].min(size[3]);
        let is_papers = size[2..] == [PAPER_MAP, PAPER_MAP]; // 19 -> 8 -> 3
        let layout = |side: i64| if is_papers { (0, true) } else { (1, side >= POOL_FROM) };
        let map = first(&self.blocks[0], layout(side(size)));
        let map = self.blocks[1].forward(params, &map, layout(side(&map.size())), phase);
        let map = if is_papers { map } else { map.adaptive_avg_pool2d([SIDE, SIDE]) };
        map.flatten(1, -1)
    }
}

impl Mlsm {
    /// Fresh weights from `rng`, only for the levels that are on.
    pub fn new(options: MlsmOptions, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let MlsmOptions { levels, channels, fusion, .. } = options;
        let (is_map, length) = (fusion == Fusion::Map, if fusion == Fusion::Vec64 { WIDTH } else { VECTOR });
        // With shared blocks the object level runs through the image level's weights; they exist when either is on.
        let shared = options.share_adjust && (levels.image || levels.object) && !is_map;
        let own_image = !options.share_adjust && levels.image && !is_map;
        let own_object = !options.share_adjust && levels.object && !is_map;
        let image = (shared || own_image).then(|| Adjust::new(&mut params, "adjust", channels, rng));
        let object = match &image {
            Some(image) if shared && levels.image && levels.object => Some(image.of_objects(&mut params, "adjust")),
            _ => own_object.then(|| Adjust::new(&mut params, "adjust_object", channels, rng)),
        };
        let needs_linear = levels.global && !is_map && !(fusion == Fusion::Vec64 && channels == WIDTH);
        let global = needs_linear.then(|| Linear::new(&mut params, "global.", channels, length, rng));
        let reduces = fusion == Fusion::Vec64 && (levels.image || levels.object);
        let reduce = reduces.then(|| Linear::new(&mut params, "reduce.", VECTOR, WIDTH, rng));
        let fuse = Fuse::new(&mut params, options.fuse_norm, levels, length);
        let parts = options.pair.parts();
        let relation = is_map.then(|| Adjust::new(&mut params, "relation", channels * parts, rng));
        let mut input = if is_map { VECTOR } else { length * parts };
        let mut similarity = Vec::new();
        for (index, &output) in options.sim_hidden.iter().chain([1].iter()).enumerate() {
            similarity.push(Linear::new(&mut params, &format!("similarity.{index}."), input, output, rng));
            input = output;
        }
        let uses = [levels.needs_image_map(), levels.object];
        let is_anchored = options.anchor == AnchorKind::Cl2n;
        let anchor = is_anchored.then(|| Anchor::new(&mut params, channels, options.anchor_side, uses));
        if let (Some(_), Some(last)) = (&anchor, similarity.last()) {
            last.silence(&params); // learning starts at the anchor
        }
        Mlsm { options, params, image, object, global, fuse, reduce, relation, similarity, anchor }
    }

    /// The switches it was made with.
    pub fn options(&self) -> &MlsmOptions {
        &self.options
    }

    /// One vector per image, `[n, d]`: 576 numbers, 64 for `vec64`, a flattened map for `map`; those of each level side
    /// by side where similarities are summed. `image_map`, `object_map`: `[n, c, h, w]`; a map of 19x19 takes the
    /// paper's layout, any other size the padded one. `Phase::Train` normalises by the batch.
    ///
    /// # Panics
    /// When a map is not given that a level needs: `image_map` for I and G, `object_map` for O.
    pub fn represent(&self, image_map: Option<&Tensor>, object_map: Option<&Tensor>, phase: Phase) -> Tensor {
        let MlsmOptions { levels, gap_source, .. } = self.options;
        let [image_level, object_level] = self.map_levels([image_map, object_map], phase);
        let global_level = levels.global.then(|| {
            let image = image_map.expect("level G is on: the image's map must be given");
            let mean = |map: &Tensor| map.mean_dim([2i64, 3].as_slice(), false, Kind::Float); // [n, c]
            let mean = match (gap_source, object_map) {
                (GapSource::ImageAndObject, Some(object)) => (mean(image) + mean(object)) / 2.0,
                _ => mean(image),
            };
            self.global_level(&mean, image)
        });
        let on = [image_level, global_level, object_level].into_iter().enumerate();
        let parts = on.filter_map(|(index, level)| Some((index, level?)));
        let parts = parts.map(|(index, level)| self.fuse.normalised(&self.params, index, &level).flatten(1, -1));
        let vector = match self.options.fusion_point {
            FusionPoint::Features => self.fuse.sum(&self.params, parts),
            FusionPoint::Scores => Tensor::cat(&parts.collect::<Vec<_>>(), 1),
        };
        match &self.anchor {
            Some(anchor) => Tensor::cat(&[vector, anchor.vectors(&self.params, [image_map, object_map])], 1),
            None => vector,
        }
    }

    /// The levels I and O, where they are on.
    fn map_levels(&self, maps: [Option<&Tensor>; 2], phase: Phase) -> [Option<Tensor>; 2] {
        let levels = self.options.levels;
        let image = levels.image.then(|| maps[0].expect("level I is on: the image's map must be given"));
        let object = levels.object.then(|| maps[1].expect("level O is on: the object's map must be given"));
        let of_object = self.object.as_ref().or(self.image.as_ref());
        [
            image.map(|map| self.adjust(self.image.as_ref(), map, phase)),
            object.map(|map| self.adjust(of_object, map, phase)),
        ]
    }

    /// Parts vectors `[n, d]` into those of the similarity net and those of the anchor.
    fn parted(&self, vectors: &Tensor) -> (Tensor, Option<Tensor>) {
        let Some(anchor) = &self.anchor else { return (vectors.shallow_clone(), None) };
        let length = anchor.length(self.options.channels);
        let rest = vectors.size()[1] - length;
        (vectors.narrow(1, 0, rest), Some(vectors.narrow(1, rest, length)))
    }

    /// A map as a level: `[n, c, h, w]` to `[n, d]`, or as it is where levels stay maps.
    fn adjust(&self, blocks: Option<&Adjust>, map: &Tensor, phase: Phase) -> Tensor {
        if self.relation.is_some() {
            return map.shallow_clone();
        }
        let blocks = blocks.expect("blocks are made for every level that is on");
        let vector = blocks.vectors(&self.params, map, phase);
        self.reduce.as_ref().map_or(vector.shallow_clone(), |reduce| reduce.forward(&self.params, &vector).relu())
    }

    /// The global vector as a level: `mean: [n, c]`.
    fn global_level(&self, mean: &Tensor, map: &Tensor) -> Tensor {
        match &self.global {
            Some(global) => global.forward(&self.params, mean).relu(),
            None if self.relation.is_some() => mean.unsqueeze(-1).unsqueeze(-1).expand_as(map),
            None => mean.shallow_clone(),
        }
    }

    /// One vector per class. `support`: `[n_way * k_shot, d]`, grouped by class. Returns `[n_way, d]`.
    pub fn class_vectors(&self, support: &Tensor, n_way: i64, k_shot: i64) -> Tensor {
        let mean = |rows: &Tensor| {
            rows.reshape([n_way, k_shot, -1]).mean_dim([1i64].as_slice(), false, Kind::Float) // [n_way, d]
        };
        let (vectors, anchor) = self.parted(support);
        let pooled = match self.options.shot_pool {
            ShotPool::Mean => mean(&vectors),
            ShotPool::Sum => mean(&vectors) * k_shot as f64,
        };
        anchor.map_or(pooled.shallow_clone(), |anchor| Tensor::cat(&[&pooled, &mean(&anchor)], 1))
    }

    /// The similarity of every query to every class, before any sigmoid. `classes`: `[n_way, d]`; `queries`: `[q, d]`.
    /// Returns `[q, n_way]`. `Phase::Train` normalises by the batch, where the head compares maps.
    pub fn scores(&self, classes: &Tensor, queries: &Tensor, phase: Phase) -> Tensor {
        let levels = self.options.similarities();
        let ((classes, class_anchors), (queries, query_anchors)) = (self.parted(classes), self.parted(queries));
        let (classes, queries) = (classes.chunk(levels, 1), queries.chunk(levels, 1));
        let scores = classes.iter().zip(&queries).map(|(a, b)| self.similarity(a, b, phase));
        let scores = match self.options.fusion_point {
            FusionPoint::Features => scores.reduce(|a, b| a + b).expect("there is one similarity"),
            FusionPoint::Scores => self.fuse.sum(&self.params, scores),
        };
        match (&self.anchor, class_anchors, query_anchors) {
            (Some(anchor), Some(classes), Some(queries)) => scores + anchor.scores(&self.params, &classes, &queries),
            _ => scores,
        }
    }

    /// What the similarity net sees of each query and class: parts of `[q, n_way, d]`.
    fn compared(&self, classes: &Tensor, queries: &Tensor) -> Vec<Tensor> {
        let shape = [queries.size()[0], classes.size()[0], -1];
        let (a, b) = (classes.unsqueeze(0).expand(shape, false), queries.unsqueeze(1).expand(shape, false));
        match self.options.pair {
            Pair::Concat => vec![a, b],
            Pair::AbsDiffProduct => vec![(&a - &b).abs(), a * b],
            Pair::ConcatAbsDiffProduct => {
                let compared = [(&a - &b).abs(), &a * &b];
                [a, b].into_iter().chain(compared).collect()
            }
        }
    }

    fn similarity(&self, classes: &Tensor, queries: &Tensor, phase: Phase) -> Tensor {
        let (n_way, q) = (classes.size()[0], queries.size()[0]);
        let mut hidden = match &self.relation {
            None => Tensor::cat(&self.compared(classes, queries), 2), // [q, n_way, d * parts]
            Some(relation) => {
                let positions = classes.size()[1] / self.options.channels;
                let side = (positions as f64).sqrt().round() as i64; // maps are square
                let maps = |rows: &Tensor| rows.reshape([-1, self.options.channels, side, side]);
                let vectors = match self.options.pair {
                    Pair::Concat => relation.pair_vectors(&self.params, (&maps(classes), &maps(queries)), phase),
                    _ => {
                        let compared = self.compared(classes, queries);
                        let pairs = Tensor::cat(&compared.iter().map(maps).collect::<Vec<_>>(), 1);
                        relation.vectors(&self.params, &pairs, phase)
                    }
                };
                vectors.reshape([q, n_way, VECTOR])
            }
        };
        let (last, before) = self.similarity.split_last().expect("the similarity net has an output layer");
        for layer in before {
            hidden = layer.forward(&self.params, &hidden).relu_();
        }
        last.forward(&self.params, &hidden).squeeze_dim(2)
    }

    /// Scores as probabilities: of "same class" by a sigmoid for `mse` and `bce`, over the classes by a softmax for
    /// `ce`. `scores`: `[q, n_way]` from [`Mlsm::scores`]; so is the result.
    pub fn probabilities(&self, scores: &Tensor) -> Tensor {
        match self.options.loss {
            Loss::Mse | Loss::Bce => scores.sigmoid(),
            Loss::Ce => scores.softmax(-1, scores.kind()),
        }
    }

    /// The training loss, a scalar. `scores`: `[q, n_way]` from [`Mlsm::scores`]; `labels`: `[q]`, i64, the index of
    /// each query's class within the episode.
    pub fn loss(&self, scores: &Tensor, labels: &Tensor) -> Tensor {
        let labels = labels.to_device(scores.device());
        let same = || labels.one_hot(scores.size()[1]).to_kind(scores.kind()); // [q, n_way]
        match self.options.loss {
            Loss::Mse => {
                let weights = same() * (self.options.pos_weight - 1.0) + 1.0;
                ((scores.sigmoid() - same()).square() * weights).mean(scores.kind())
            }
            Loss::Bce => {
                let weight = Tensor::from(self.options.pos_weight).to_kind(scores.kind()).to_device(scores.device());
                scores.binary_cross_entropy_with_logits(&same(), None::<&Tensor>, Some(&weight), Reduction::Mean)
            }
            Loss::Ce => scores.log_softmax(-1, scores.kind()).nll_loss(&labels),
        }
    }
}

/// The classes of an episode.
struct MlsmHead<'a> {
    mlsm: &'a Mlsm,
    classes: Tensor, // [n_way, d]
    phase: Phase,
}

impl Head for MlsmHead<'_> {
    fn scores(&self, queries: &Tensor) -> Tensor {
        self.mlsm.scores(&self.classes, queries, self.phase)
    }
}

impl Described for Mlsm {
    type Options = MlsmOptions;
    const NAME: &'static str = "mlsm";
    const READS: Reads = Reads::Maps;
    const HAS_LEVELS: bool = true;
    const SOURCE: &'static str = "Multi-level Similarity Learning for Low-Shot Recognition, 2019, eq. 3 to 5";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        if options.fusion == Fusion::Map && options.fuse_norm == FuseNorm::LayerNorm {
            return Err(("fuse_norm", "`layernorm` is for vectors, not for the maps of `fusion = \"map\"`".to_owned()));
        }
        super::positive("pos_weight", options.pos_weight)
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let (levels, channels, anchor_side) = (shape.levels, shape.channels, shape.embedding_side);
        Mlsm::new(MlsmOptions { levels, channels, anchor_side, ..options }, rng, device)
    }
}

impl Method for Mlsm {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn represent(&self, image: Option<&Tensor>, object: Option<&Tensor>, phase: Phase) -> Tensor {
        Mlsm::represent(self, image, object, phase)
    }

    fn head<'a>(&'a self, support: &Support<'_>, phase: Phase) -> Box<dyn Head + 'a> {
        let classes = self.class_vectors(support.rows, support.n_way, support.k_shot);
        Box::new(MlsmHead { mlsm: self, classes, phase })
    }

    fn episode_loss(&self, support: &Support<'_>, queries: &Tensor, labels: &Tensor) -> Tensor {
        self.loss(&self.head(support, Phase::Train).scores(queries), labels)
    }

    /// What the anchor sees of maps, before centring.
    fn base_statistic(&self, maps: &Tensor) -> Option<Tensor> {
        self.anchor.as_ref().map(|anchor| anchor.embedding(maps))
    }

    fn set_base_means(&mut self, means: [Option<&Tensor>; 2]) {
        if let Some(anchor) = &self.anchor {
            anchor.set_means(&self.params, means);
        }
    }
}
