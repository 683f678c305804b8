//! The nodes that work photo by photo: `ingest` and `crop`, one shard per class.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mlsm_data::resize::Resize;
use mlsm_data::{Part, Shard, TrainPart};
use mlsm_engine::{InputSource, NodeIndex, Unit, UnitInput, UnitRef};

use super::plan_graph::{Builder, NodeKind};
use crate::base_net::{BaseNetCache, BaseNetShape};
use crate::config::{Cam, CamClass, CropFrom, ObjectSource, TrainBase};
use crate::stages::crop::{BoxRule, CutFrom, CutObjects, DrawBoxes};
use crate::stages::ingest::{PhotoFile, PixelShape, ReadPhotos, SquashPhotos};
use crate::stages::locate::{AskedClass, FitDescriptors, LocateObjects, MapMethod};

/// The paper's input, in which raw pixels are compared.
pub(super) const PAPER_PIXELS: PixelShape = PixelShape { size_px: 84, resize: Resize::Squash };

pub(super) fn ingest(builder: &mut Builder<'_>) {
    let shapes = pixel_shapes(builder);
    let mut units = Vec::new();
    for (shard, _) in &builder.shards {
        let photos = files(builder, shard);
        let inputs = photo_inputs(builder, &photos);
        let class_name = builder.source.dataset.class(shard.class_id).map_or_else(String::new, |c| c.name.clone());
        let on_bad_image = builder.config.data.on_bad_image;
        let unit = |aspect: String, stage| Unit { shard: shard.id.clone(), aspect, stage, inputs: inputs.clone() };
        units
            .push(unit("source".to_owned(), Arc::new(ReadPhotos { photos: photos.clone(), class_name, on_bad_image })));
        for pixels in &shapes {
            let stage = Arc::new(SquashPhotos { photos: photos.clone(), pixels: *pixels, on_bad_image });
            units.push(unit(pixels.aspect(), stage));
        }
    }
    let node = builder.add("ingest".to_owned(), "ingest", units, NodeKind::Ingest);
    let stride = 1 + shapes.len();
    builder.sources = every(node, builder.shards.len(), stride, 0);
    for (i, shape) in shapes.iter().enumerate() {
        builder.pixels.insert(*shape, every(node, builder.shards.len(), stride, 1 + i));
    }
}

/// The same aspect of every shard of a node.
fn every(node: NodeIndex, shards: usize, stride: usize, offset: usize) -> Vec<UnitRef> {
    (0..shards).map(|s| UnitRef { node, unit: s * stride + offset }).collect()
}

fn pixel_shapes(builder: &Builder<'_>) -> BTreeSet<PixelShape> {
    builder.config.train_base.values().map(TrainBase::pixel_shape).chain([PAPER_PIXELS]).collect()
}

fn files(builder: &Builder<'_>, shard: &Shard) -> Vec<PhotoFile> {
    shard.photos.iter().map(|p| PhotoFile { photo: p.clone(), file: builder.source.file(p) }).collect()
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
    let mut shapes: BTreeMap<ObjectSource, BTreeSet<PixelShape>> = BTreeMap::new();
    for (embedding, object, _) in builder.object_uses() {
        shapes.entry(object).or_default().insert(builder.pixel_shape(embedding));
    }
    if builder.config.uses_localiser() {
        let objects = builder.config.objects();
        if objects.contains(&ObjectSource::GradCam) || !builder.config.cam.audit.is_empty() {
            located(builder, ObjectSource::GradCam, shapes.remove(&ObjectSource::GradCam).unwrap_or_default());
        }
        for object in objects.into_iter().filter(|o| o.is_located() && *o != ObjectSource::GradCam) {
            located(builder, object, shapes.remove(&object).unwrap_or_default());
        }
        boxes(builder, &source_node("whole"), BoxRule::Whole, None, BTreeSet::new());
        shapes.entry(ObjectSource::CentreBox).or_default();
    }
    for (object, rule) in [(ObjectSource::CentreBox, BoxRule::Centre), (ObjectSource::OracleBox, BoxRule::Oracle)] {
        if let Some(shapes) = shapes.remove(&object) {
            boxes(builder, &source_node(object.name()), rule, Some(object), shapes);
        }
    }
}

/// Adds the node of one localiser: for each shard its maps, its boxes, and the pixels inside at every size.
fn located(builder: &mut Builder<'_>, object: ObjectSource, shapes: BTreeSet<PixelShape>) {
    let cam = builder.config.cam.clone();
    let localiser = builder.base_nets[&cam.localiser];
    let seen = builder.pixel_shape(&cam.localiser);
    let shape = BaseNetShape::of(&builder.config.train_base[&cam.localiser]);
    let (runtime, cache) = (builder.runtime.clone(), Arc::new(BaseNetCache::default()));
    let net = ["backbone", "head", "classes"].map(|output| UnitInput::output(output, localiser, output));
    let Cam { region, margin, min_box, .. } = cam;
    let rule = |threshold| BoxRule::Located { threshold, region, margin, min_box, map_px: seen.size_px };
    let draw = Arc::new(DrawBoxes { rule: rule(cam.threshold) });
    let node = NodeIndex(builder.graph.nodes().len());
    let mut units = Vec::new();
    if object == ObjectSource::Ddt {
        let stage = FitDescriptors { shape: shape.clone(), runtime: runtime.clone(), cache: cache.clone() };
        let mut inputs = vec![net[0].clone()];
        inputs.extend(builder.train_inputs("pixels", TrainPart::Base, &builder.pixels[&seen], "pixels"));
        units.push(Unit { shard: String::new(), aspect: "fit".to_owned(), stage: Arc::new(stage), inputs });
    }
    let (first, stride) = (units.len(), 2 + shapes.len());
    let method = match object {
        ObjectSource::Cam => MapMethod::Cam,
        ObjectSource::Ddt => MapMethod::Ddt,
        ObjectSource::ClassFree => MapMethod::ClassFree,
        _ => MapMethod::GradCam,
    };
    let locate =
        |class| LocateObjects { method, class, shape: shape.clone(), runtime: runtime.clone(), cache: cache.clone() };
    for (s, (shard, part)) in builder.shards.iter().enumerate() {
        let class = match (cam.class, part) {
            (CamClass::LabelIfBase, Part::Base) => AskedClass::Given(shard.class_id.0),
            (CamClass::LabelIfBase | CamClass::Argmax, _) => AskedClass::Largest,
            (CamClass::TopkMean, _) => AskedClass::TopMean,
        };
        let unit =
            |aspect: &str, stage, inputs| Unit { shard: shard.id.clone(), aspect: aspect.to_owned(), stage, inputs };
        let mut inputs = match method {
            MapMethod::GradCam | MapMethod::Cam => net.to_vec(),
            MapMethod::Ddt => vec![net[0].clone(), UnitInput::output("fit", UnitRef { node, unit: 0 }, "fit")],
            MapMethod::ClassFree => vec![net[0].clone()],
        };
        inputs.push(UnitInput::output("pixels", builder.pixels[&seen][s], "pixels"));
        units.push(unit("cam", Arc::new(locate(class)), inputs));
        let maps = UnitRef { node, unit: first + s * stride };
        units.push(unit("boxes", draw.clone(), box_inputs(builder, s, Some(maps))));
        for pixels in &shapes {
            let drawn = UnitRef { node, unit: first + s * stride + 1 };
            let (stage, inputs) = cut(builder, shard, s, drawn, *pixels);
            units.push(unit(&pixels.aspect(), Arc::new(stage), inputs));
        }
    }
    let id = if object == ObjectSource::GradCam { "crop".to_owned() } else { source_node(object.name()) };
    builder.add(id, "crop", units, NodeKind::Crop);
    let count = builder.shards.len();
    for (i, shape) in shapes.iter().enumerate() {
        builder.objects.insert((object, *shape), every(node, count, stride, first + 2 + i));
    }
    let audited = if object == ObjectSource::GradCam { cam.audit.as_slice() } else { &[] };
    for threshold in audited {
        let draw = Arc::new(DrawBoxes { rule: rule(*threshold) });
        let units = (0..count).map(|s| Unit {
            shard: builder.shards[s].0.id.clone(),
            aspect: "boxes".to_owned(),
            stage: draw.clone(),
            inputs: box_inputs(builder, s, Some(UnitRef { node, unit: first + s * stride })),
        });
        let units = units.collect();
        builder.add(format!("crop[threshold={threshold}]"), "crop", units, NodeKind::Crop);
    }
}

fn source_node(name: &str) -> String {
    format!("crop[source={name}]")
}

fn box_inputs(builder: &Builder<'_>, s: usize, located: Option<UnitRef>) -> Vec<UnitInput> {
    let mut inputs = vec![UnitInput::output("boxes", builder.sources[s], "boxes")];
    inputs.extend(located.map(|unit| UnitInput::output("cam", unit, "cam")));
    inputs
}

/// Adds a node whose boxes follow a rule that needs no network.
fn boxes(
    builder: &mut Builder<'_>,
    id: &str,
    rule: BoxRule,
    object: Option<ObjectSource>,
    shapes: BTreeSet<PixelShape>,
) {
    let draw = Arc::new(DrawBoxes { rule });
    let node = NodeIndex(builder.graph.nodes().len());
    let stride = 1 + shapes.len();
    let mut units = Vec::new();
    for (s, (shard, _)) in builder.shards.iter().enumerate() {
        let unit =
            |aspect: &str, stage, inputs| Unit { shard: shard.id.clone(), aspect: aspect.to_owned(), stage, inputs };
        units.push(unit("boxes", draw.clone(), box_inputs(builder, s, None)));
        for pixels in &shapes {
            let (stage, inputs) = cut(builder, shard, s, UnitRef { node, unit: s * stride }, *pixels);
            units.push(unit(&pixels.aspect(), Arc::new(stage), inputs));
        }
    }
    builder.add(id.to_owned(), "crop", units, NodeKind::Crop);
    if let Some(object) = object {
        for (i, shape) in shapes.iter().enumerate() {
            builder.objects.insert((object, *shape), every(node, builder.shards.len(), stride, 1 + i));
        }
    }
}

fn cut(
    builder: &Builder<'_>,
    shard: &Shard,
    s: usize,
    drawn: UnitRef,
    pixels: PixelShape,
) -> (CutObjects, Vec<UnitInput>) {
    let mut inputs = vec![UnitInput::output("relative", drawn, "relative")];
    let from = match builder.config.cam.crop_from {
        CropFrom::Original => {
            inputs.push(UnitInput::output("content", builder.sources[s], "content"));
            CutFrom::Photos(files(builder, shard))
        }
        CropFrom::Squashed => {
            let whole = builder.pixels.keys().filter(|shape| shape.resize == Resize::Squash);
            let largest = whole.max().copied().unwrap_or(PAPER_PIXELS);
            inputs.push(UnitInput::output("pixels", builder.pixels[&largest][s], "pixels"));
            CutFrom::Packed
        }
    };
    (CutObjects { from, pixels }, inputs)
}
