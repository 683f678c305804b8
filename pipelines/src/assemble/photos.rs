//! The nodes that work photo by photo: `ingest` and `crop`, one shard per class.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mlsm_data::Shard;
use mlsm_engine::{InputSource, NodeIndex, Unit, UnitInput, UnitRef};

use super::plan_graph::{Builder, NodeKind};
use crate::base_net::{BaseNetCache, BaseNetShape};
use crate::config::{CropFrom, ObjectSource};
use crate::stages::crop::{BoxRule, CutFrom, CutObjects, DrawBoxes, LocateObjects};
use crate::stages::ingest::{PhotoFile, ReadPhotos, SquashPhotos};

/// The paper's input size, at which raw pixels are compared.
const PAPER_PX: u32 = 84;

pub(super) fn ingest(builder: &mut Builder<'_>) {
    let sizes = pixel_sizes(builder);
    let mut units = Vec::new();
    for (shard, _) in &builder.shards {
        let photos = files(builder, shard);
        let inputs = photo_inputs(builder, &photos);
        let class_name = builder.source.dataset.class(shard.class_id).map_or_else(String::new, |c| c.name.clone());
        let on_bad_image = builder.config.data.on_bad_image;
        let unit = |aspect: String, stage| Unit { shard: shard.id.clone(), aspect, stage, inputs: inputs.clone() };
        units
            .push(unit("source".to_owned(), Arc::new(ReadPhotos { photos: photos.clone(), class_name, on_bad_image })));
        for size_px in &sizes {
            let stage = Arc::new(SquashPhotos { photos: photos.clone(), size_px: *size_px, on_bad_image });
            units.push(unit(format!("pixels-{size_px}"), stage));
        }
    }
    let node = builder.add("ingest".to_owned(), "ingest", units, NodeKind::Ingest);
    let stride = 1 + sizes.len();
    builder.sources = every(node, builder.shards.len(), stride, 0);
    for (i, size) in sizes.iter().enumerate() {
        builder.pixels.insert(*size, every(node, builder.shards.len(), stride, 1 + i));
    }
}

/// The same aspect of every shard of a node.
fn every(node: NodeIndex, shards: usize, stride: usize, offset: usize) -> Vec<UnitRef> {
    (0..shards).map(|s| UnitRef { node, unit: s * stride + offset }).collect()
}

fn pixel_sizes(builder: &Builder<'_>) -> BTreeSet<u32> {
    let mut sizes: BTreeSet<u32> = builder.config.train_base.keys().map(|name| builder.input_px(name)).collect();
    sizes.insert(PAPER_PX);
    sizes
}

fn files(builder: &Builder<'_>, shard: &Shard) -> Vec<PhotoFile> {
    let root = &builder.source.dataset.images_root;
    shard.photos.iter().map(|p| PhotoFile { photo: p.clone(), file: root.join(&p.path) }).collect()
}

fn photo_inputs(builder: &Builder<'_>, photos: &[PhotoFile]) -> Vec<UnitInput> {
    let pending = builder.source.pending.as_deref().unwrap_or("its file is absent");
    let input = |photo: &PhotoFile| {
        let source = match builder.source.digests.get(&photo.photo.image_id) {
            Some(digest) => InputSource::Known(*digest),
            None => InputSource::Pending(pending.to_owned()),
        };
        UnitInput { name: photo.input_name(), source }
    };
    photos.iter().map(input).collect()
}

/// Adds the node that locates and cuts objects, those of the controls, and those that only measure boxes.
pub(super) fn crop(builder: &mut Builder<'_>) {
    let mut sizes: BTreeMap<ObjectSource, BTreeSet<u32>> = BTreeMap::new();
    for embedding in builder.embeddings().keys() {
        for object in builder.objects_of(embedding) {
            sizes.entry(object).or_default().insert(builder.input_px(embedding));
        }
    }
    if builder.config.uses_grad_cam() {
        grad_cam(builder, sizes.get(&ObjectSource::GradCam).cloned().unwrap_or_default());
        boxes(builder, "crop[source=whole]", BoxRule::Whole, None, BTreeSet::new());
        sizes.entry(ObjectSource::CentreBox).or_default();
    }
    for (object, rule) in [(ObjectSource::CentreBox, BoxRule::Centre), (ObjectSource::OracleBox, BoxRule::Oracle)] {
        if let Some(sizes) = sizes.remove(&object) {
            boxes(builder, &format!("crop[source={}]", object.name()), rule, Some(object), sizes);
        }
    }
}

fn grad_cam(builder: &mut Builder<'_>, sizes: BTreeSet<u32>) {
    let cam = builder.config.cam.clone();
    let localiser = builder.base_nets[&cam.localiser];
    let px = builder.input_px(&cam.localiser);
    let locate = Arc::new(LocateObjects {
        shape: BaseNetShape::of(&builder.config.train_base[&cam.localiser]),
        runtime: builder.runtime.clone(),
        cache: Arc::new(BaseNetCache::default()),
    });
    let rule = |threshold: f64| BoxRule::GradCam { threshold, margin: cam.margin, min_box: cam.min_box, map_px: px };
    let draw = Arc::new(DrawBoxes { rule: rule(cam.threshold) });
    let node = NodeIndex(builder.graph.nodes().len());
    let stride = 2 + sizes.len();
    let mut units = Vec::new();
    for (s, (shard, _)) in builder.shards.iter().enumerate() {
        let unit =
            |aspect: &str, stage, inputs| Unit { shard: shard.id.clone(), aspect: aspect.to_owned(), stage, inputs };
        let net = ["backbone", "head", "classes"].map(|output| UnitInput::output(output, localiser, output));
        let mut inputs = net.to_vec();
        inputs.push(UnitInput::output("pixels", builder.pixels[&px][s], "pixels"));
        units.push(unit("cam", locate.clone(), inputs));
        let located = UnitRef { node, unit: s * stride };
        units.push(unit("boxes", draw.clone(), box_inputs(builder, s, Some(located))));
        for size_px in &sizes {
            let drawn = UnitRef { node, unit: s * stride + 1 };
            let (stage, inputs) = cut(builder, shard, s, drawn, *size_px);
            units.push(unit(&format!("pixels-{size_px}"), Arc::new(stage), inputs));
        }
    }
    builder.add("crop".to_owned(), "crop", units, NodeKind::Crop);
    let count = builder.shards.len();
    for (i, size) in sizes.iter().enumerate() {
        builder.objects.insert((ObjectSource::GradCam, *size), every(node, count, stride, 2 + i));
    }
    for threshold in &cam.audit {
        let draw = Arc::new(DrawBoxes { rule: rule(*threshold) });
        let units = (0..count).map(|s| Unit {
            shard: builder.shards[s].0.id.clone(),
            aspect: "boxes".to_owned(),
            stage: draw.clone(),
            inputs: box_inputs(builder, s, Some(UnitRef { node, unit: s * stride })),
        });
        let units = units.collect();
        builder.add(format!("crop[threshold={threshold}]"), "crop", units, NodeKind::Crop);
    }
}

fn box_inputs(builder: &Builder<'_>, s: usize, located: Option<UnitRef>) -> Vec<UnitInput> {
    let mut inputs = vec![UnitInput::output("boxes", builder.sources[s], "boxes")];
    inputs.extend(located.map(|unit| UnitInput::output("cam", unit, "cam")));
    inputs
}

/// Adds a node whose boxes follow a rule that needs no network.
fn boxes(builder: &mut Builder<'_>, id: &str, rule: BoxRule, object: Option<ObjectSource>, sizes: BTreeSet<u32>) {
    let draw = Arc::new(DrawBoxes { rule });
    let node = NodeIndex(builder.graph.nodes().len());
    let stride = 1 + sizes.len();
    let mut units = Vec::new();
    for (s, (shard, _)) in builder.shards.iter().enumerate() {
        let unit =
            |aspect: &str, stage, inputs| Unit { shard: shard.id.clone(), aspect: aspect.to_owned(), stage, inputs };
        units.push(unit("boxes", draw.clone(), box_inputs(builder, s, None)));
        for size_px in &sizes {
            let (stage, inputs) = cut(builder, shard, s, UnitRef { node, unit: s * stride }, *size_px);
            units.push(unit(&format!("pixels-{size_px}"), Arc::new(stage), inputs));
        }
    }
    builder.add(id.to_owned(), "crop", units, NodeKind::Crop);
    if let Some(object) = object {
        for (i, size) in sizes.iter().enumerate() {
            builder.objects.insert((object, *size), every(node, builder.shards.len(), stride, 1 + i));
        }
    }
}

fn cut(builder: &Builder<'_>, shard: &Shard, s: usize, drawn: UnitRef, size_px: u32) -> (CutObjects, Vec<UnitInput>) {
    let mut inputs = vec![UnitInput::output("relative", drawn, "relative")];
    let from = match builder.config.cam.crop_from {
        CropFrom::Original => {
            inputs.push(UnitInput::output("content", builder.sources[s], "content"));
            CutFrom::Photos(files(builder, shard))
        }
        CropFrom::Squashed => {
            let largest = builder.pixels.keys().next_back().copied().unwrap_or(PAPER_PX);
            inputs.push(UnitInput::output("pixels", builder.pixels[&largest][s], "pixels"));
            CutFrom::Packed
        }
    };
    (CutObjects { from, size_px }, inputs)
}
