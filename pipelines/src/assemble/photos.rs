//! The nodes that work photo by photo: `ingest` and `crop`, one shard per class.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mlsm_data::resize::Resize;
use mlsm_data::{Part, Shard, TrainPart};
use mlsm_engine::{InputSource, Item, NodeIndex, Unit, UnitInput, UnitRef};

use super::AssembleError;
use super::builder::Builder;
use super::plan_graph::NodeKind;
use crate::base_net::{BaseNetCache, BaseNetShape};
use crate::config::{Cam, CamClass, CropFrom, ObjectSource, TrainBase};
use crate::photo_file::PhotoFile;
use crate::stages::crop::{BoxRule, CutFrom, CutObjects, DrawBoxes, ShardObjects};
use crate::stages::ingest::{PHOTO, ReadPhotos, ShardPhotos, SquashPhotos};
use crate::stages::locate::{AskedClass, FitDescriptors, LocateObjects, MapMethod};
use crate::stages::pixels::{PixelShape, Shapes};
use crate::stages::ports::Side;

/// The paper's input, in which raw pixels are compared.
pub(super) const PAPER_PIXELS: PixelShape = PixelShape { size_px: 84, resize: Resize::Squash };

pub(super) fn ingest(builder: &mut Builder<'_>) -> Result<(), AssembleError> {
    let shapes = pixel_shapes(builder);
    let on_bad_image = builder.config.data.on_bad_image;
    let node = builder.begin("ingest".to_owned(), "ingest", NodeKind::Ingest)?;
    builder.pixels = shapes.iter().map(|shape| (*shape, Vec::new())).collect();
    for (shard, _) in builder.shards.clone().iter() {
        let shapes_of_shard = Shapes::new(shapes.iter().copied(), builder.waiting.clone());
        let photos = ShardPhotos { files: files(builder, shard), on_bad_image, shapes: shapes_of_shard };
        let photos = Arc::new(photos);
        let inputs = photo_inputs(builder, &photos.files);
        let class = builder.scene.source.dataset.class(shard.class_id);
        let class_name = class.map_or_else(String::new, |c| c.name.clone());
        let read = Arc::new(ReadPhotos { shard: photos.clone(), class_name });
        let source = builder.shard(node, shard, "source", read, inputs.clone())?;
        builder.sources.push(source);
        for pixels in &shapes {
            let squash = Arc::new(SquashPhotos { shard: photos.clone(), pixels: *pixels });
            let packed = builder.shard(node, shard, &pixels.aspect(), squash, inputs.clone())?;
            builder.pixels.entry(*pixels).or_default().push(packed);
        }
    }
    Ok(())
}

fn pixel_shapes(builder: &Builder<'_>) -> BTreeSet<PixelShape> {
    builder.config.train_base.values().map(TrainBase::pixel_shape).chain([PAPER_PIXELS]).collect()
}

fn files(builder: &Builder<'_>, shard: &Shard) -> Vec<PhotoFile> {
    shard.photos.iter().map(|photo| builder.scene.source.file(photo)).collect()
}

fn photo_inputs(builder: &Builder<'_>, photos: &[PhotoFile]) -> Vec<UnitInput> {
    let photos_of = &builder.scene.source;
    if photos.is_empty() {
        let unread = InputSource::Pending("its photos are not read from the plan's list".to_owned());
        return vec![UnitInput::item(PHOTO, Item { id: String::new(), key: 0 }, unread)];
    }
    let pending = photos_of.pending.as_deref().unwrap_or("its file is absent");
    let input = |photo: &PhotoFile| {
        let source = match photos_of.digests.get(&photo.photo.image_id) {
            Some(digest) => InputSource::Known(*digest),
            None => InputSource::Pending(pending.to_owned()),
        };
        UnitInput::item(PHOTO, photo.item(), source)
    };
    photos.iter().map(input).collect()
}

/// Adds the nodes that locate and cut objects, those of the controls, and those that only measure boxes.
pub(super) fn crop(builder: &mut Builder<'_>) -> Result<(), AssembleError> {
    let mut shapes: BTreeMap<ObjectSource, BTreeSet<PixelShape>> = BTreeMap::new();
    for (embedding, object, _) in builder.object_uses() {
        shapes.entry(object).or_default().insert(builder.pixel_shape(embedding));
    }
    if builder.config.uses_localiser() {
        let objects = builder.config.objects();
        if objects.contains(&ObjectSource::GradCam) || !builder.config.cam.audit.is_empty() {
            located(builder, ObjectSource::GradCam, shapes.remove(&ObjectSource::GradCam).unwrap_or_default())?;
        }
        for object in objects.into_iter().filter(|o| o.is_located() && *o != ObjectSource::GradCam) {
            located(builder, object, shapes.remove(&object).unwrap_or_default())?;
        }
        boxes(builder, source_node("whole"), BoxRule::Whole, None, BTreeSet::new())?;
        shapes.entry(ObjectSource::CentreBox).or_default();
    }
    for (object, rule) in [(ObjectSource::CentreBox, BoxRule::Centre), (ObjectSource::OracleBox, BoxRule::Oracle)] {
        if let Some(shapes) = shapes.remove(&object) {
            boxes(builder, source_node(object.name()), rule, Some(object), shapes)?;
        }
    }
    Ok(())
}

/// Adds the node of one localiser: for each shard its maps, its boxes, and the pixels inside at every size.
fn located(builder: &mut Builder<'_>, object: ObjectSource, shapes: BTreeSet<PixelShape>) -> Result<(), AssembleError> {
    let cam = &builder.config.cam;
    let seen = builder.pixel_shape(&cam.localiser);
    let Cam { region, margin, min_box, .. } = *cam;
    let rule = |threshold| BoxRule::Located { threshold, region, margin, min_box, map_px: seen.size_px };
    let id = if object == ObjectSource::GradCam { "crop".to_owned() } else { source_node(object.name()) };
    let node = builder.begin(id, "crop", NodeKind::Crop)?;
    let maps = maps(builder, node, object)?;
    builder.objects.extend(shapes.iter().map(|shape| ((object, *shape), Vec::new())));
    for (s, (shard, _)) in builder.shards.clone().iter().enumerate() {
        let draw = Arc::new(DrawBoxes { rule: rule(cam.threshold) });
        let drawn = builder.shard(node, shard, "boxes", draw, box_inputs(builder, s, Some(maps[s])))?;
        cut(builder, node, (s, shard), drawn, (object, &shapes))?;
    }
    let audited = if object == ObjectSource::GradCam { cam.audit.as_slice() } else { &[] };
    for threshold in audited {
        let node = builder.begin(format!("crop[threshold={threshold}]"), "crop", NodeKind::Crop)?;
        for (s, (shard, _)) in builder.shards.clone().iter().enumerate() {
            let draw = Arc::new(DrawBoxes { rule: rule(*threshold) });
            builder.shard(node, shard, "boxes", draw, box_inputs(builder, s, Some(maps[s])))?;
        }
    }
    Ok(())
}

/// Adds the units that compute the maps of a localiser, one for each shard.
fn maps(builder: &mut Builder<'_>, node: NodeIndex, object: ObjectSource) -> Result<Vec<UnitRef>, AssembleError> {
    let cam = &builder.config.cam;
    let localiser = builder.base_nets[&cam.localiser];
    let seen = builder.pixel_shape(&cam.localiser);
    let shape = BaseNetShape::of(&builder.config.train_base[&cam.localiser]);
    let (runtime, cache) = (builder.runtime.clone(), Arc::new(BaseNetCache::default()));
    let net = ["backbone", "head", "classes"].map(|output| UnitInput::one(output, localiser.output(output)));
    let mut read = net[..1].to_vec();
    let layers_back = if object.is_class_free() { cam.layers_back } else { 0 };
    let method = match object {
        ObjectSource::Cam => MapMethod::Cam,
        ObjectSource::Ddt => MapMethod::Ddt,
        ObjectSource::ClassFree => MapMethod::ClassFree,
        _ => MapMethod::GradCam,
    };
    match method {
        MapMethod::GradCam | MapMethod::Cam => read = net.to_vec(),
        MapMethod::ClassFree => {}
        MapMethod::Ddt => {
            let (runtime, cache) = (runtime.clone(), cache.clone());
            let task = FitDescriptors { shape: shape.clone(), layers_back, runtime, cache };
            let mut inputs = read.clone();
            inputs.extend(builder.train_inputs(Side::Image, TrainPart::Base, &builder.pixels[&seen], "pixels"));
            let unit = Unit { aspect: "fit".to_owned(), ..Unit::only(Arc::new(task), inputs) };
            let fit = builder.graph.add(node, unit)?;
            read.push(UnitInput::one("fit", fit.output("fit")));
        }
    }
    let mut maps = Vec::new();
    for (s, (shard, part)) in builder.shards.clone().iter().enumerate() {
        let class = match (cam.class, part) {
            (CamClass::LabelIfBase, Part::Base) => AskedClass::Given(shard.class_id.0),
            (CamClass::LabelIfBase | CamClass::Argmax, _) => AskedClass::Largest,
            (CamClass::TopkMean, _) => AskedClass::TopMean,
        };
        let (shape, runtime, cache) = (shape.clone(), runtime.clone(), cache.clone());
        let task = Arc::new(LocateObjects { method, class, shape, layers_back, runtime, cache });
        let mut inputs = read.clone();
        inputs.push(UnitInput::one("pixels", builder.pixels[&seen][s].output("pixels")));
        maps.push(builder.shard(node, shard, "cam", task, inputs)?);
    }
    Ok(maps)
}

fn source_node(name: &str) -> String {
    format!("crop[source={name}]")
}

fn box_inputs(builder: &Builder<'_>, s: usize, located: Option<UnitRef>) -> Vec<UnitInput> {
    let mut inputs = vec![UnitInput::one("boxes", builder.sources[s].output("boxes"))];
    inputs.extend(located.map(|maps| UnitInput::one("cam", maps.output("cam"))));
    inputs
}

/// Adds a node whose boxes follow a rule that needs no network.
fn boxes(
    builder: &mut Builder<'_>,
    id: String,
    rule: BoxRule,
    object: Option<ObjectSource>,
    shapes: BTreeSet<PixelShape>,
) -> Result<(), AssembleError> {
    let draw = Arc::new(DrawBoxes { rule });
    let node = builder.begin(id, "crop", NodeKind::Crop)?;
    builder.objects.extend(object.into_iter().flat_map(|o| shapes.iter().map(move |shape| ((o, *shape), Vec::new()))));
    for (s, (shard, _)) in builder.shards.clone().iter().enumerate() {
        let drawn = builder.shard(node, shard, "boxes", draw.clone(), box_inputs(builder, s, None))?;
        if let Some(object) = object {
            cut(builder, node, (s, shard), drawn, (object, &shapes))?;
        }
    }
    Ok(())
}

/// Adds the units that cut the boxes of a shard out, one for each size.
fn cut(
    builder: &mut Builder<'_>,
    node: NodeIndex,
    (s, shard): (usize, &Shard),
    drawn: UnitRef,
    (object, shapes): (ObjectSource, &BTreeSet<PixelShape>),
) -> Result<(), AssembleError> {
    let mut inputs = vec![UnitInput::one("relative", drawn.output("relative"))];
    let from = match builder.config.cam.crop_from {
        CropFrom::Original => {
            inputs.push(UnitInput::one("content", builder.sources[s].output("content")));
            CutFrom::Photos(files(builder, shard))
        }
        CropFrom::Squashed => {
            let whole = builder.pixels.keys().filter(|shape| shape.resize == Resize::Squash);
            let largest = whole.max().copied().unwrap_or(PAPER_PIXELS);
            inputs.push(UnitInput::one("pixels", builder.pixels[&largest][s].output("pixels")));
            CutFrom::Packed
        }
    };
    let objects = ShardObjects { from, shapes: Shapes::new(shapes.iter().copied(), builder.waiting.clone()) };
    let objects = Arc::new(objects);
    for pixels in shapes {
        let task = Arc::new(CutObjects { shard: objects.clone(), pixels: *pixels });
        let added = builder.shard(node, shard, &pixels.aspect(), task, inputs.clone())?;
        builder.objects.entry((object, *pixels)).or_default().push(added);
    }
    Ok(())
}
