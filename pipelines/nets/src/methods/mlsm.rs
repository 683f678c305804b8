//! MLSM: three levels of an image brought to one vector, and a learned similarity of two such vectors.
//!
//! Source: "Multi-level Similarity Learning for Low-Shot Recognition", section III. The adjustment function A_θ turns
//! the maps I and O into 576 numbers by two convolution blocks and the global vector G by one linear layer; after a
//! ReLU each, their sum stands for the image. The similarity function S_η is a small perceptron on a pair of vectors.
//! The backbone F_φ is not part of this: maps in, scores out.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Reduction, Tensor};

use super::mlsm_options::{FuseNorm, Loss, MlsmOptions, Pair, ShotPool};
use crate::layers::{ConvBlock, Linear};
use crate::params::{Params, Role, Slot};

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
    norms: [Option<LevelNorm>; 3],
    similarity: Vec<Linear>,
}

/// The two convolution blocks for maps.
#[derive(Debug)]
struct Adjust {
    blocks: [ConvBlock; 2],
}

/// What scales one level before the sum.
#[derive(Debug)]
enum LevelNorm {
    Layer { weight: Slot, bias: Slot },
    Scalar(Slot),
}

impl Adjust {
    fn new(params: &mut Params, name: &str, channels: i64, rng: &mut ChaCha8Rng) -> Self {
        let mut block = |index, input| ConvBlock::new(params, &format!("{name}.block{index}"), (input, WIDTH), rng);
        Adjust { blocks: [block(1, channels), block(2, WIDTH)] }
    }

    /// `[n, c, h, w]` to `[n, 576]`.
    fn vector(&self, params: &Params, map: &Tensor, train: bool) -> Tensor {
        let [_, _, height, width] = map.size()[..] else { panic!("a feature map has four axes") };
        let mut map = map.shallow_clone();
        if (height, width) == (PAPER_MAP, PAPER_MAP) {
            for block in &self.blocks {
                map = block.forward(params, &map, (0, true), train); // 19 -> 8 -> 3
            }
        } else {
            for block in &self.blocks {
                let pool = map.size()[2].min(map.size()[3]) >= POOL_FROM;
                map = block.forward(params, &map, (1, pool), train);
            }
            map = map.adaptive_avg_pool2d([SIDE, SIDE]);
        }
        map.flatten(1, -1)
    }
}

impl LevelNorm {
    fn new(params: &mut Params, name: &str, kind: FuseNorm) -> Option<Self> {
        let ones = |length| Tensor::ones([length], (Kind::Float, Device::Cpu));
        match kind {
            FuseNorm::None => None,
            FuseNorm::LayerNorm => Some(LevelNorm::Layer {
                weight: params.add(format!("fuse.{name}.weight"), &ones(VECTOR), Role::Trainable),
                bias: params.add(format!("fuse.{name}.bias"), &ones(VECTOR).zeros_like(), Role::Trainable),
            }),
            FuseNorm::Scalars => {
                Some(LevelNorm::Scalar(params.add(format!("fuse.{name}.factor"), &ones(1), Role::Trainable)))
            }
        }
    }

    fn apply(&self, params: &Params, level: &Tensor) -> Tensor {
        match self {
            LevelNorm::Layer { weight, bias } => {
                level.layer_norm([VECTOR], Some(params.at(*weight)), Some(params.at(*bias)), 1e-5, true)
            }
            LevelNorm::Scalar(factor) => level * params.at(*factor),
        }
    }
}

impl Mlsm {
    /// Fresh weights from `rng`, only for the levels that are on.
    pub fn new(options: MlsmOptions, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let MlsmOptions { levels, channels, .. } = options;
        // With shared blocks the object level runs through the image level's; they exist when either is on.
        let shared = options.share_adjust && (levels.image || levels.object);
        let own_image = !options.share_adjust && levels.image;
        let own_object = !options.share_adjust && levels.object;
        let image = (shared || own_image).then(|| Adjust::new(&mut params, "adjust", channels, rng));
        let object = own_object.then(|| Adjust::new(&mut params, "adjust_object", channels, rng));
        let global = levels.global.then(|| Linear::new(&mut params, "global.", channels, VECTOR, rng));
        let on = [(levels.image, "image"), (levels.global, "global"), (levels.object, "object")];
        let norms = on.map(|(on, name)| on.then(|| LevelNorm::new(&mut params, name, options.fuse_norm)).flatten());
        let mut input = VECTOR * options.pair.parts();
        let mut similarity = Vec::new();
        for (index, &output) in options.sim_hidden.iter().chain([1].iter()).enumerate() {
            similarity.push(Linear::new(&mut params, &format!("similarity.{index}."), input, output, rng));
            input = output;
        }
        Mlsm { options, params, image, object, global, norms, similarity }
    }

    /// The switches it was made with.
    pub fn options(&self) -> &MlsmOptions {
        &self.options
    }

    /// One vector per image, `[n, 576]`. `image_map`, `object_map`: `[n, c, h, w]`; a map of 19x19 takes the paper's
    /// layout, any other size the padded one. `train`: normalises by the batch.
    ///
    /// # Panics
    /// When a map is not given that a level needs: `image_map` for I and G, `object_map` for O.
    pub fn represent(&self, image_map: Option<&Tensor>, object_map: Option<&Tensor>, train: bool) -> Tensor {
        let levels = self.options.levels;
        let mut sum: Option<Tensor> = None;
        let mut add = |index: usize, level: Tensor| {
            let level = self.norms[index].as_ref().map_or(level.shallow_clone(), |n| n.apply(&self.params, &level));
            sum = Some(sum.take().map_or(level.shallow_clone(), |sum| sum + level));
        };
        if levels.image {
            let map = image_map.expect("level I is on: the image's map must be given");
            add(0, self.adjust(&self.image, map, train));
        }
        if let Some(global) = &self.global {
            let map = image_map.expect("level G is on: the image's map must be given");
            let mean = map.mean_dim([2i64, 3].as_slice(), false, Kind::Float); // [n, c]
            add(1, global.forward(&self.params, &mean).relu());
        }
        if levels.object {
            let map = object_map.expect("level O is on: the object's map must be given");
            let blocks = if self.options.share_adjust { &self.image } else { &self.object };
            add(2, self.adjust(blocks, map, train));
        }
        sum.expect("levels hold at least one")
    }

    fn adjust(&self, blocks: &Option<Adjust>, map: &Tensor, train: bool) -> Tensor {
        blocks.as_ref().expect("blocks are made for every level that is on").vector(&self.params, map, train)
    }

    /// One vector per class. `support`: `[n_way * k_shot, 576]`, grouped by class. Returns `[n_way, 576]`.
    pub fn class_vectors(&self, support: &Tensor, n_way: i64, k_shot: i64) -> Tensor {
        let grouped = support.reshape([n_way, k_shot, -1]);
        match self.options.shot_pool {
            ShotPool::Mean => grouped.mean_dim([1i64].as_slice(), false, Kind::Float),
            ShotPool::Sum => grouped.sum_dim_intlist([1i64].as_slice(), false, Kind::Float),
        }
    }

    /// The similarity of every query to every class, before any sigmoid. `classes`: `[n_way, 576]`; `queries`:
    /// `[q, 576]`. Returns `[q, n_way]`.
    pub fn scores(&self, classes: &Tensor, queries: &Tensor) -> Tensor {
        let (n_way, q) = (classes.size()[0], queries.size()[0]);
        let a = classes.unsqueeze(0).expand([q, n_way, -1], false);
        let b = queries.unsqueeze(1).expand([q, n_way, -1], false);
        let joined = match self.options.pair {
            Pair::Concat => vec![a, b],
            Pair::AbsDiffProduct => vec![(&a - &b).abs(), a * b],
            Pair::ConcatAbsDiffProduct => {
                let compared = [(&a - &b).abs(), &a * &b];
                [a, b].into_iter().chain(compared).collect()
            }
        };
        let mut hidden = Tensor::cat(&joined, 2); // [q, n_way, 576 * parts]
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
            Loss::Mse => scores.sigmoid().mse_loss(&same(), Reduction::Mean),
            Loss::Bce => {
                scores.binary_cross_entropy_with_logits(&same(), None::<&Tensor>, None::<&Tensor>, Reduction::Mean)
            }
            Loss::Ce => scores.log_softmax(-1, scores.kind()).nll_loss(&labels),
        }
    }

    /// The head's tensors.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The head's tensors, to load others.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::Levels;
    use rand_chacha::rand_core::SeedableRng;

    fn made(levels: &str, change: impl Fn(&mut MlsmOptions)) -> Mlsm {
        let mut options = MlsmOptions { levels: levels.parse().unwrap(), channels: 8, ..MlsmOptions::default() };
        change(&mut options);
        Mlsm::new(options, &mut ChaCha8Rng::seed_from_u64(3), Device::Cpu)
    }

    fn map(n: i64, side: i64) -> Tensor {
        Tensor::arange(n * 8 * side * side, (Kind::Float, Device::Cpu)).sin().reshape([n, 8, side, side])
    }

    #[test]
    fn every_map_size_gives_vectors_of_576() {
        let head = made("I+G+O", |_| ());
        for side in [5, 7, 12, 19, 21, 28] {
            let (image, object) = (map(2, side), map(2, side) * 0.5);
            let vectors = head.represent(Some(&image), Some(&object), true);
            assert_eq!(vectors.size(), [2, VECTOR], "side {side}");
        }
    }

    #[test]
    fn each_level_needs_only_its_own_map_and_weights() {
        let names = |head: &Mlsm| head.params().names().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert!(!names(&made("G", |_| ())).contains("adjust"));
        assert!(!names(&made("O", |_| ())).contains("global"));
        assert!(names(&made("I+O", |o| o.share_adjust = false)).contains("adjust_object"));
        let some = map(2, 7);
        let alone = [
            made("O", |_| ()).represent(None, Some(&some), false),
            made("O", |o| o.share_adjust = false).represent(None, Some(&some), false),
            made("I+G", |_| ()).represent(Some(&some), None, false),
        ];
        assert!(alone.iter().all(|vectors| vectors.size() == [2, VECTOR]));
    }

    #[test]
    fn the_sum_of_levels_is_the_sum_of_single_levels() {
        let (image, object) = (map(2, 19), map(2, 19) * 0.5);
        let part = |head: &Mlsm, levels: Levels| {
            let mut single = Mlsm::new(head.options.clone(), &mut ChaCha8Rng::seed_from_u64(3), Device::Cpu);
            single.options.levels = levels;
            single.global = single.global.filter(|_| levels.global);
            single.represent(Some(&image), Some(&object), false)
        };
        let head = made("I+G+O", |_| ());
        let none = Levels { image: false, global: false, object: false };
        let sum = part(&head, Levels { image: true, ..none })
            + part(&head, Levels { global: true, ..none })
            + part(&head, Levels { object: true, ..none });
        let whole = head.represent(Some(&image), Some(&object), false);
        assert!((sum - whole).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn each_pair_loss_and_norm_gives_finite_scores_and_gradients() {
        let labels = Tensor::from_slice(&[0i64, 1, 1]);
        for pair in [Pair::Concat, Pair::AbsDiffProduct, Pair::ConcatAbsDiffProduct] {
            for loss in [Loss::Mse, Loss::Bce, Loss::Ce] {
                for norm in [FuseNorm::None, FuseNorm::LayerNorm, FuseNorm::Scalars] {
                    let head = made("I+G+O", |o| (o.pair, o.loss, o.fuse_norm) = (pair, loss, norm));
                    let all = head.represent(Some(&map(7, 5)), Some(&map(7, 5).cos()), true);
                    let classes = head.class_vectors(&all.narrow(0, 0, 4), 2, 2);
                    let scores = head.scores(&classes, &all.narrow(0, 4, 3));
                    assert_eq!(scores.size(), [3, 2]);
                    let params: Vec<Tensor> = head.params().trainable().into_iter().map(|(_, tensor)| tensor).collect();
                    let found = crate::gradients(&head.loss(&scores, &labels), &params).unwrap();
                    assert!(found.iter().all(|g| g.isfinite().all().int64_value(&[]) == 1), "{pair} {loss} {norm}");
                    let likely = head.probabilities(&scores);
                    assert!(likely.min().double_value(&[]) >= 0.0 && likely.max().double_value(&[]) <= 1.0);
                }
            }
        }
    }
}
