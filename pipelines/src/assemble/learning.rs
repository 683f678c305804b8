//! The nodes that learn and measure: `train-base`, `extract`, `meta-train`, `evaluate`.

use std::sync::Arc;

use mlsm_data::{ClassId, EpisodeSpec, Part, TrainPart};
use mlsm_engine::{InputSource, Unit, UnitInput, UnitRef};
use mlsm_nets::{Levels, Precision};
use mlsm_store::{Digest, Store};

use super::photos::PAPER_PIXELS;
use super::plan_graph::{Builder, NodeKind};
use super::{AssembleError, Purpose, paper};
use crate::base_net::{BaseNetCache, BaseNetShape};
use crate::config::{
    BackboneMode, Baseline, BnEval, MetaTrain as Section, ObjectSource, ShotModels, TrainBase as BaseSection,
};
use crate::model::ModelRecipe;
use crate::recipe::word;
use crate::results::RowSpec;
use crate::scoring::Scoring;
use crate::stages::evaluate::Evaluate;
use crate::stages::extract::Extract;
use crate::stages::meta_train::MetaTrain;
use crate::stages::predict::Predict;
use crate::stages::train_base::TrainBase;
use crate::weights;

fn single(stage: Arc<dyn mlsm_engine::Stage>, inputs: Vec<UnitInput>) -> Vec<Unit> {
    vec![Unit { shard: String::new(), aspect: String::new(), stage, inputs }]
}

pub(super) fn train_base(builder: &mut Builder<'_>, store: &Store) -> Result<(), AssembleError> {
    for (name, section) in &builder.config.train_base {
        if builder.config.is_shape_only(name) {
            continue;
        }
        let pixels = &builder.pixels[&section.pixel_shape()];
        let mut inputs = Vec::new();
        for input in builder.train_inputs("", TrainPart::Base, pixels, "pixels") {
            inputs.push(UnitInput { name: input.name.trim_start_matches('/').to_owned(), ..input });
        }
        if section.weights != "none" {
            inputs.push(UnitInput { name: "weights".to_owned(), source: imported(builder.purpose, section, store)? });
        }
        let seed = section.seed.unwrap_or(builder.config.seed);
        let stage = Arc::new(TrainBase { section: section.clone(), seed, runtime: builder.runtime.clone() });
        let node = builder.add(format!("train-base:{name}"), "train-base", single(stage, inputs), NodeKind::Training);
        builder.base_nets.insert(name.clone(), UnitRef { node, unit: 0 });
    }
    Ok(())
}

/// Finds imported weights, or says how to get them.
fn imported(purpose: Purpose, section: &BaseSection, store: &Store) -> Result<InputSource, AssembleError> {
    if let Some(file) = section.weights_file() {
        let bytes = weights::read(file, &BaseNetShape::of(section).net)?;
        return Ok(InputSource::Known(match purpose {
            Purpose::Plan => Digest::of(&bytes),
            Purpose::Run => store.put(&bytes)?.digest,
        }));
    }
    let name = &section.weights;
    if !weights::KNOWN.iter().any(|k| k.name == *name) {
        let known: Vec<_> = weights::KNOWN.iter().map(|k| k.name).collect();
        return Err(AssembleError::Config(format!(
            "no weights are known as `{name}`\n  why: there are: none, {}, and files that end in .safetensors\n  fix: use \
             one of them",
            known.join(", ")
        )));
    }
    match (weights::find(store, name)?, purpose) {
        (Some(digest), _) => Ok(InputSource::Known(digest)),
        (None, Purpose::Plan) => {
            Ok(InputSource::Pending(format!("weights `{name}` are missing: `mlsm weights fetch {name}`")))
        }
        (None, Purpose::Run) => Err(AssembleError::Config(format!(
            "weights `{name}` are missing\n  why: they are not in this store\n  fix: mlsm weights fetch {name} --store {}",
            store.root().display()
        ))),
    }
}

pub(super) fn extract(builder: &mut Builder<'_>) {
    for (name, needs_maps) in builder.embeddings() {
        let shape_of_pixels = builder.pixel_shape(&name);
        let mut sources = vec![(None, builder.pixels[&shape_of_pixels].clone())];
        for object in builder.stored_objects_of(&name) {
            sources.push((Some(object), builder.objects[&(object, shape_of_pixels)].clone()));
        }
        let shape = BaseNetShape::of(&builder.config.train_base[&name]);
        let cache = Arc::new(BaseNetCache::default());
        let mut units = Vec::new();
        for (s, (shard, _)) in builder.shards.iter().enumerate() {
            let stage = Arc::new(Extract {
                shape: shape.clone(),
                maps: needs_maps.then_some(builder.config.extract.maps),
                class_id: shard.class_id.0,
                runtime: builder.runtime.clone(),
                cache: cache.clone(),
            });
            for (object, pixels) in &sources {
                let inputs = vec![
                    UnitInput::output("backbone", builder.base_nets[&name], "backbone"),
                    UnitInput::output("pixels", pixels[s], "pixels"),
                ];
                let aspect = object.map_or("image", ObjectSource::name).to_owned();
                units.push(Unit { shard: shard.id.clone(), aspect, stage: stage.clone(), inputs });
            }
        }
        let width = shape.embedding_dim();
        let node = builder.add(format!("extract:{name}"), "extract", units, NodeKind::Extract { width });
        for (i, (object, _)) in sources.iter().enumerate() {
            let refs = (0..builder.shards.len()).map(|s| UnitRef { node, unit: s * sources.len() + i }).collect();
            builder.features.insert((name.clone(), *object), refs);
        }
    }
}

impl Builder<'_> {
    /// Returns the features of whole photos, or of what an object source looks at.
    fn features_of(&self, embedding: &str, object: Option<ObjectSource>) -> &[UnitRef] {
        let object = object.filter(|o| *o != ObjectSource::WholeTwice);
        &self.features[&(embedding.to_owned(), object)]
    }

    /// Returns the packed pixels of whole photos, or of what an object source looks at, as a backbone reads them.
    fn pixels_of(&self, embedding: &str, object: Option<ObjectSource>) -> &[UnitRef] {
        let shape = self.pixel_shape(embedding);
        match object.filter(|o| *o != ObjectSource::WholeTwice) {
            Some(object) => &self.objects[&(object, shape)],
            None => &self.pixels[&shape],
        }
    }

    /// Returns what a model reads of whole photos, or of what an object source looks at.
    fn rows_of(&self, model: &ModelRecipe, embedding: &str, source: Option<ObjectSource>) -> &[UnitRef] {
        match model.mode {
            BackboneMode::Frozen => self.features_of(embedding, source),
            BackboneMode::EndToEnd | BackboneMode::BaseInit => self.pixels_of(embedding, source),
        }
    }

    /// Describes a row as far as its base CNN and its object source go.
    fn row(&self, method: String, embedding: Option<&str>, object: Option<ObjectSource>, seed: u64) -> RowSpec {
        let base = embedding.map(|e| &self.config.train_base[e]);
        let cam = &self.config.cam;
        let is_located = object.is_some_and(ObjectSource::is_located);
        let localiser = is_located.then(|| &self.config.train_base[&cam.localiser]);
        // Outside weights of either network count: both have seen other photos.
        let weights = base.into_iter().chain(localiser).map(BaseSection::weights_name).find(|w| *w != "none");
        RowSpec {
            method,
            backbone: base.map_or("none", |b| b.backbone.as_str()).to_owned(),
            width: base.map(BaseNetShape::of).and_then(|shape| shape.chosen_width()),
            mode: BackboneMode::Frozen.name().to_owned(),
            weights: weights.unwrap_or("none").to_owned(),
            precision: word(base.map_or(Precision::F32, |b| b.precision)),
            cam: if is_located { format!("{}@{}", cam.localiser, cam.threshold) } else { String::new() },
            image_source: object.map_or("raw", ObjectSource::name).to_owned(),
            augmentation: base.map_or_else(String::new, |b| word(b.augmentation)),
            dataset: self.source.name.clone(),
            split_rule: self.split_name(),
            training_seed: seed as i64,
            ..RowSpec::default()
        }
    }

    /// Tells whether the paper's figures may stand beside a row: 200 classes of CUB-200-2011 in parts of the paper's sizes,
    /// its ways, its episodes.
    fn is_papers_setting(&self, protocol: &str, n_way: usize) -> bool {
        let count = |part: Part| self.parts.values().filter(|p| **p == part).count();
        let first = self.source.dataset.class(ClassId(1)).map_or("", |class| class.name.as_str());
        let is_cub = first.ends_with("Black_footed_Albatross");
        let sizes = [Part::Base, Part::Val, Part::Novel].map(count);
        is_cub && sizes == [100, 50, 50] && protocol == "paper" && n_way == 5
    }

    /// Adds a node for each protocol and number of shots; `shots`: only at these, or at all. Of photos of one's own there is
    /// nothing to measure, and one node that predicts.
    fn evaluate(
        &mut self,
        (section, brackets): (&str, &str),
        (scoring, row): (Scoring, RowSpec),
        shots: Option<&[usize]>,
        inputs: &[UnitInput],
    ) {
        if let Some(own) = &self.source.own {
            let stage = Arc::new(Predict::new(own, scoring, self.runtime.clone()));
            let brackets = if brackets.is_empty() { String::new() } else { format!("[{brackets}]") };
            let id = format!("predict:{section}{brackets}");
            self.add(id, "predict", single(stage, inputs.to_vec()), NodeKind::Predict);
            return;
        }
        let evaluate = self.config.evaluate.clone();
        let is_list = evaluate.protocol.to_vec().len() > 1;
        for (protocol, spec) in self.evaluation_specs() {
            let EpisodeSpec { k_shot, .. } = spec;
            if shots.is_some_and(|shots| !shots.contains(&k_shot)) {
                continue;
            }
            let EpisodeSpec { n_way, n_query, .. } = spec;
            let protocol_name = evaluate.protocol_name(protocol).to_owned();
            let is_papers = self.is_papers_setting(&protocol_name, n_way);
            let row = RowSpec {
                n_way: n_way as i64,
                k_shot: k_shot as i64,
                n_query: n_query as i64,
                protocol: protocol_name,
                bn_eval: scoring.bn_eval().to_owned(),
                paper_accuracy: paper::accuracy(&scoring, k_shot).filter(|_| is_papers),
                ..row.clone()
            };
            let stage = Arc::new(Evaluate {
                scoring: scoring.clone(),
                spec,
                episodes: evaluate.episode_count(protocol),
                keep_predictions: evaluate.keeps_predictions(protocol),
                runtime: self.runtime.clone(),
            });
            let comma = if brackets.is_empty() { "" } else { "," };
            let suffix =
                if is_list { format!(",protocol={}", evaluate.protocol_name(protocol)) } else { String::new() };
            let id = format!("evaluate:{section}[{brackets}{comma}k_shot={k_shot}{suffix}]");
            let kind = NodeKind::Evaluate { row: Box::new(row) };
            self.add(id, "evaluate", single(stage, inputs.to_vec()), kind);
        }
    }
}

pub(super) fn meta_train_and_evaluate(builder: &mut Builder<'_>) {
    for baseline in builder.config.evaluate.baselines.clone() {
        evaluate_baseline(builder, &baseline);
    }
    for (name, section) in builder.config.meta_train.clone() {
        let has_levels = section.kind().has_levels;
        for levels in section.levels() {
            let objects = if has_levels && !levels.object { vec![None] } else { section.objects() };
            for object in objects {
                let seeds = section.seeds.as_ref().map_or_else(|| vec![builder.config.seed], |s| s.to_vec());
                for seed in seeds {
                    for shots in section.shots_of_models() {
                        learnt_row(builder, (&name, &section), (levels, object), (seed, shots));
                    }
                }
            }
        }
    }
}

fn evaluate_baseline(builder: &mut Builder<'_>, baseline: &Baseline) {
    let seed = builder.config.seed;
    let (section, scoring, row, inputs) = match baseline {
        Baseline::Pixels => {
            let inputs = builder.novel_inputs("pixels", &builder.pixels[&PAPER_PIXELS], "pixels");
            ("pixels".to_owned(), Scoring::Pixels, builder.row("pixels".to_owned(), None, None, seed), inputs)
        }
        Baseline::Cl2n { embedding, object } => {
            let mut inputs = Vec::new();
            let sides = [Some(("image", None)), object.map(|o| ("object", Some(o)))];
            for (prefix, object) in sides.into_iter().flatten() {
                let units = builder.features_of(embedding, object);
                inputs.extend(builder.train_inputs(prefix, TrainPart::Base, units, "embedding"));
                inputs.extend(builder.novel_inputs(prefix, units, "embedding"));
            }
            let row = builder.row(format!("cl2n:{embedding}"), Some(embedding), *object, seed);
            (baseline.to_string().replace(':', "-"), Scoring::Cl2n { with_object: object.is_some() }, row, inputs)
        }
    };
    builder.evaluate((&section, ""), (scoring, row), None, &inputs);
}

fn learnt_row(
    builder: &mut Builder<'_>,
    (name, section): (&str, &Section),
    (levels, object): (Levels, Option<ObjectSource>),
    (seed, shots): (u64, Vec<usize>),
) {
    let base = &builder.config.train_base[&section.embedding];
    let model = ModelRecipe::new(section, base, levels, object);
    let has_levels = model.method.has_levels;
    let sides = match has_levels {
        true => vec![("image", None), ("object", object)],
        false => vec![("image", object)],
    };
    let sides: Vec<_> = sides.into_iter().filter(|(prefix, source)| *prefix == "image" || source.is_some()).collect();
    let output = |model: &ModelRecipe| if model.array() == "map" { "maps" } else { model.array() };
    let novel = |builder: &Builder<'_>, bn_eval| {
        let read = if bn_eval == BnEval::Batch { model.on_pixels() } else { model.clone() };
        let inputs = sides.iter().flat_map(|(prefix, source)| {
            builder.novel_inputs(prefix, builder.rows_of(&read, &section.embedding, *source), output(&read))
        });
        let mut inputs: Vec<_> = inputs.collect();
        if bn_eval == BnEval::Batch && model.mode == BackboneMode::Frozen {
            inputs.push(UnitInput::output("backbone", builder.base_nets[&section.embedding], "backbone"));
        }
        inputs
    };
    let mut training = Vec::new();
    for (prefix, source) in &sides {
        let units = builder.rows_of(&model, &section.embedding, *source);
        training.extend(builder.train_inputs(prefix, TrainPart::Base, units, output(&model)));
        training.extend(builder.train_inputs(prefix, TrainPart::Val, units, output(&model)));
    }
    if model.mode == BackboneMode::BaseInit {
        training.push(UnitInput::output("backbone", builder.base_nets[&section.embedding], "backbone"));
    }
    let source = object.map(|o| format!("{}={}", if has_levels { "object" } else { "image_source" }, o.name()));
    let each = (section.shot_models == ShotModels::Each).then(|| format!("train_shot={}", shots[0]));
    let parts = [has_levels.then(|| format!("levels={levels}")), source, Some(format!("seed={seed}")), each];
    let brackets = parts.into_iter().flatten().collect::<Vec<_>>().join(",");
    let stage = Arc::new(MetaTrain {
        section: section.clone(),
        model: model.clone(),
        shots: shots.clone(),
        seed,
        runtime: builder.runtime.clone(),
    });
    let id = format!("meta-train:{name}[{brackets}]");
    let node = builder.add(id, "meta-train", single(stage, training), NodeKind::Training);
    let mut row = builder.row(name.to_owned(), Some(&section.embedding), object, seed);
    if has_levels {
        row.levels = levels.to_string();
    }
    let switch = |key: &str| section.switches.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    (row.pair, row.loss) = (switch("pair"), switch("loss"));
    row.mode = section.mode().name().to_owned();
    let in_episodes = word(section.augmentation);
    match section.mode() {
        BackboneMode::Frozen => {}
        BackboneMode::EndToEnd => row.augmentation = in_episodes, // the base CNN's training plays no part
        BackboneMode::BaseInit if in_episodes != "none" => row.augmentation = in_episodes,
        BackboneMode::BaseInit => {}
    }
    let measured = (section.shot_models == ShotModels::Each).then_some(shots.as_slice());
    for bn_eval in section.bn_evals() {
        let mut inputs = novel(builder, bn_eval);
        inputs.push(UnitInput::output("weights", UnitRef { node, unit: 0 }, "weights"));
        let suffix = if bn_eval == BnEval::Batch { ",bn_eval=batch" } else { "" };
        let scoring = Scoring::Method { recipe: model.clone(), bn_eval };
        builder.evaluate((name, &format!("{brackets}{suffix}")), (scoring, row.clone()), measured, &inputs);
    }
}
