//! The nodes that learn and measure: `train-base`, `extract`, `meta-train`, `evaluate`.

use std::ops::Range;
use std::sync::Arc;

use mlsm_data::{ClassId, EpisodeSpec, Part, TrainPart};
use mlsm_engine::{Item, NodeIndex, Task, Unit, UnitInput, UnitRef};
use mlsm_nets::{Levels, Precision};

use super::builder::Builder;
use super::photos::PAPER_PIXELS;
use super::plan_graph::{NodeKind, split_name};
use super::{AssembleError, paper};
use crate::base_net::{BaseNetCache, BaseNetShape};
use crate::config::{
    BackboneMode, Baseline, BnEval, MetaTrain as Section, ObjectSource, ShotModels, TrainBase as BaseSection,
};
use crate::model::ModelRecipe;
use crate::recipe::word;
use crate::results::RowSpec;
use crate::scoring::Scoring;
use crate::stages::evaluate::{Evaluate, EvaluateSlice, JoinSlices, Measuring};
use crate::stages::extract::Extract;
use crate::stages::meta_train::MetaTrain;
use crate::stages::ports::Side;
use crate::stages::predict::Predict;
use crate::stages::train_base::TrainBase;

pub(super) fn train_base(builder: &mut Builder<'_>) -> Result<(), AssembleError> {
    let config = builder.config;
    for (name, section) in config.train_base.iter().filter(|(name, _)| !config.is_shape_only(name)) {
        let pixels = &builder.pixels[&section.pixel_shape()];
        let mut inputs = builder.train_inputs(Side::Image, TrainPart::Base, pixels, "pixels");
        inputs.extend(builder.scene.weights.get(name).map(|source| UnitInput::one("weights", source.clone())));
        let seed = section.seed.unwrap_or(config.seed);
        let task = Arc::new(TrainBase { section: section.clone(), seed, runtime: builder.runtime.clone() });
        let trained = builder.only(format!("train-base:{name}"), task, inputs, NodeKind::Training)?;
        builder.base_nets.insert(name.clone(), trained);
    }
    Ok(())
}

pub(super) fn extract(builder: &mut Builder<'_>) -> Result<(), AssembleError> {
    for (name, needs_maps) in builder.embeddings() {
        let shape_of_pixels = builder.pixel_shape(&name);
        let mut sources = vec![(None, builder.pixels[&shape_of_pixels].clone())];
        for object in builder.stored_objects_of(&name) {
            sources.push((Some(object), builder.objects[&(object, shape_of_pixels)].clone()));
        }
        let shape = BaseNetShape::of(&builder.config.train_base[&name]);
        let cache = Arc::new(BaseNetCache::default());
        let kind = NodeKind::Extract { width: shape.embedding_dim() };
        let node = builder.begin(format!("extract:{name}"), "extract", kind)?;
        let backbone = builder.base_nets[&name];
        builder.features.extend(sources.iter().map(|(object, _)| ((name.clone(), *object), Vec::new())));
        for (s, (shard, _)) in builder.shards.clone().iter().enumerate() {
            let task = Arc::new(Extract {
                shape: shape.clone(),
                maps: needs_maps.then_some(builder.config.extract.maps),
                class_id: shard.class_id.0,
                runtime: builder.runtime.clone(),
                cache: cache.clone(),
            });
            for (object, pixels) in &sources {
                let inputs = vec![
                    UnitInput::one("backbone", backbone.output("backbone")),
                    UnitInput::one("pixels", pixels[s].output("pixels")),
                ];
                let aspect = object.map_or("image", ObjectSource::name);
                let added = builder.shard(node, shard, aspect, task.clone(), inputs)?;
                builder.features.entry((name.clone(), *object)).or_default().push(added);
            }
        }
    }
    Ok(())
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
            cam: object.map_or_else(String::new, |object| cam.label(object)),
            image_source: object.map_or("raw", ObjectSource::name).to_owned(),
            augmentation: base.map_or_else(String::new, |b| word(b.augmentation)),
            dataset: self.scene.source.name.clone(),
            split_rule: split_name(self.config),
            training_seed: seed as i64,
            ..RowSpec::default()
        }
    }

    /// Tells whether the paper's figures may stand beside a row: 200 classes of CUB-200-2011 in parts of the paper's sizes,
    /// its ways, its episodes.
    fn is_papers_setting(&self, protocol: &str, n_way: usize) -> bool {
        let count = |part: Part| self.parts.values().filter(|p| **p == part).count();
        let first = self.scene.source.dataset.class(ClassId(1)).map_or("", |class| class.name.as_str());
        let is_cub = first.ends_with("Black_footed_Albatross");
        let sizes = [Part::Base, Part::Val, Part::Novel].map(count);
        is_cub && sizes == [100, 50, 50] && protocol == "paper" && n_way == 5
    }

    /// Adds a node for each protocol and number of shots; `shots`: only at these, or at all. For a user's own photos there is
    /// one node that predicts, and nothing to measure.
    fn evaluate(
        &mut self,
        (section, brackets): (&str, &str),
        (scoring, row): (Scoring, RowSpec),
        shots: Option<&[usize]>,
        inputs: &[UnitInput],
    ) -> Result<(), AssembleError> {
        if let Some(own) = &self.scene.source.own {
            let task = Arc::new(Predict::new(own, scoring, self.runtime.clone()));
            let brackets = if brackets.is_empty() { String::new() } else { format!("[{brackets}]") };
            let id = format!("predict:{section}{brackets}");
            self.only(id, task, inputs.to_vec(), NodeKind::Predict)?;
            return Ok(());
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
            let measuring = Measuring {
                scoring: scoring.clone(),
                spec,
                keep_predictions: evaluate.keeps_predictions(protocol),
                runtime: self.runtime.clone(),
            };
            let comma = if brackets.is_empty() { "" } else { "," };
            let suffix =
                if is_list { format!(",protocol={}", evaluate.protocol_name(protocol)) } else { String::new() };
            let id = format!("evaluate:{section}[{brackets}{comma}k_shot={k_shot}{suffix}]");
            let node = self.begin(id, "evaluate", NodeKind::Evaluate { row: Box::new(row) })?;
            self.measure(node, &measuring, evaluate.slices(protocol), inputs)?;
        }
        Ok(())
    }

    /// Adds the units of a row: one, or its slices and what joins them.
    fn measure(
        &mut self,
        node: NodeIndex,
        measuring: &Measuring,
        slices: Vec<Range<u64>>,
        inputs: &[UnitInput],
    ) -> Result<(), AssembleError> {
        let (measuring, episodes) = (measuring.clone(), slices.last().map_or(0, |last| last.end));
        if slices.len() == 1 {
            self.graph.add(node, Unit::only(Arc::new(Evaluate { measuring, episodes }), inputs.to_vec()))?;
            return Ok(());
        }
        let mut read = Vec::new();
        for slice in slices {
            let aspect = format!("episodes-{}-{}", slice.start, slice.end - 1);
            let item = Item { id: aspect.clone(), key: slice.start as u32 };
            let task = Arc::new(EvaluateSlice { measuring: measuring.clone(), episodes: slice });
            let tables = task.outputs();
            let unit = Unit { shard: String::new(), aspect, task, inputs: inputs.to_vec() };
            let made = self.graph.add(node, unit)?;
            read.extend(tables.iter().map(|table| UnitInput::item(table, item.clone(), made.output(table))));
        }
        self.graph.add(node, Unit::only(Arc::new(JoinSlices { measuring, episodes }), read))?;
        Ok(())
    }
}

pub(super) fn meta_train_and_evaluate(builder: &mut Builder<'_>) -> Result<(), AssembleError> {
    for baseline in builder.config.evaluate.baselines.clone() {
        evaluate_baseline(builder, &baseline)?;
    }
    for (name, section) in builder.config.meta_train.clone() {
        let has_levels = section.kind().has_levels;
        for levels in section.levels() {
            let objects = if has_levels && !levels.object { vec![None] } else { section.objects() };
            for object in objects {
                let seeds = section.seeds.as_ref().map_or_else(|| vec![builder.config.seed], |s| s.to_vec());
                for seed in seeds {
                    for shots in section.shots_of_models() {
                        learnt_row(builder, (&name, &section), (levels, object), (seed, shots))?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn evaluate_baseline(builder: &mut Builder<'_>, baseline: &Baseline) -> Result<(), AssembleError> {
    let seed = builder.config.seed;
    let (section, scoring, row, inputs) = match baseline {
        Baseline::Pixels => {
            let inputs = builder.novel_inputs(Side::Image, &builder.pixels[&PAPER_PIXELS], "pixels");
            ("pixels".to_owned(), Scoring::Pixels, builder.row("pixels".to_owned(), None, None, seed), inputs)
        }
        Baseline::Cl2n { embedding, object } => {
            let mut inputs = Vec::new();
            let sides = [Some((Side::Image, None)), object.map(|o| (Side::Object, Some(o)))];
            for (side, object) in sides.into_iter().flatten() {
                let units = builder.features_of(embedding, object);
                inputs.extend(builder.train_inputs(side, TrainPart::Base, units, "embedding"));
                inputs.extend(builder.novel_inputs(side, units, "embedding"));
            }
            let row = builder.row(format!("cl2n:{embedding}"), Some(embedding), *object, seed);
            (baseline.to_string().replace(':', "-"), Scoring::Cl2n { with_object: object.is_some() }, row, inputs)
        }
    };
    builder.evaluate((&section, ""), (scoring, row), None, &inputs)
}

fn learnt_row(
    builder: &mut Builder<'_>,
    (name, section): (&str, &Section),
    (levels, object): (Levels, Option<ObjectSource>),
    (seed, shots): (u64, Vec<usize>),
) -> Result<(), AssembleError> {
    let base = &builder.config.train_base[&section.embedding];
    let model = ModelRecipe::new(section, base, levels, object);
    let has_levels = model.method.has_levels;
    let sides = match has_levels {
        true => vec![(Side::Image, None), (Side::Object, object)],
        false => vec![(Side::Image, object)],
    };
    let sides: Vec<_> = sides.into_iter().filter(|(side, source)| *side == Side::Image || source.is_some()).collect();
    let output = |model: &ModelRecipe| if model.array() == "map" { "maps" } else { model.array() };
    let backbone =
        |builder: &Builder<'_>| UnitInput::one("backbone", builder.base_nets[&section.embedding].output("backbone"));
    let novel = |builder: &Builder<'_>, bn_eval| {
        let read = if bn_eval == BnEval::Batch { model.on_pixels() } else { model.clone() };
        let inputs = sides.iter().flat_map(|(side, source)| {
            builder.novel_inputs(*side, builder.rows_of(&read, &section.embedding, *source), output(&read))
        });
        let mut inputs: Vec<_> = inputs.collect();
        if bn_eval == BnEval::Batch && model.mode == BackboneMode::Frozen {
            inputs.push(backbone(builder));
        }
        inputs
    };
    let mut training = Vec::new();
    for (side, source) in &sides {
        let units = builder.rows_of(&model, &section.embedding, *source);
        training.extend(builder.train_inputs(*side, TrainPart::Base, units, output(&model)));
        training.extend(builder.train_inputs(*side, TrainPart::Val, units, output(&model)));
    }
    if model.mode == BackboneMode::BaseInit {
        training.push(backbone(builder));
    }
    let source = object.map(|o| format!("{}={}", if has_levels { "object" } else { "image_source" }, o.name()));
    let each = (section.shot_models == ShotModels::Each).then(|| format!("train_shot={}", shots[0]));
    let parts = [has_levels.then(|| format!("levels={levels}")), source, Some(format!("seed={seed}")), each];
    let brackets = parts.into_iter().flatten().collect::<Vec<_>>().join(",");
    let task = Arc::new(MetaTrain {
        section: section.clone(),
        model: model.clone(),
        shots: shots.clone(),
        seed,
        runtime: builder.runtime.clone(),
    });
    let id = format!("meta-train:{name}[{brackets}]");
    let trained = builder.only(id, task, training, NodeKind::Training)?;
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
        inputs.push(UnitInput::one("weights", trained.output("weights")));
        let suffix = if bn_eval == BnEval::Batch { ",bn_eval=batch" } else { "" };
        let scoring = Scoring::Method { recipe: model.clone(), bn_eval };
        builder.evaluate((name, &format!("{brackets}{suffix}")), (scoring, row.clone()), measured, &inputs)?;
    }
    Ok(())
}
