//! `crop`: locates the object of every photo of one shard and cuts it out.
//!
//! Three kinds of units. `LocateObjects` (in `locate.rs`) stores the raw maps, so that another threshold needs no
//! network. [`DrawBoxes`] turns maps (or a rule) into boxes and measures them against true ones. [`CutObjects`] packs
//! the pixels inside the boxes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, Float32Array, UInt32Array};
use arrow::datatypes::{DataType, Float32Type, UInt32Type};
use mlsm_data::{BoundingBox, RgbImage, decode as photo_decode};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::Explanation;
use mlsm_nets::{BoxOptions, Region, cam_box, enlarge_map};
use mlsm_store::Field;
use tch::{Kind, Tensor};

use super::ingest::content_digest;
use super::pixels::{Packing, PixelShape, Shapes, WHOLE};
use crate::artifact::{Array, Column, decode, encode, read_table, table};
use crate::config::CamRegion;
use crate::error::{misfit, torch_error};
use crate::photo_file::{PhotoFile, read_each};
use crate::recipe::{field, word};
use crate::stages::extract::floats;

/// The side of the centre box, as a share of the photo's side.
const CENTRE_SIDE: f32 = 0.7;

/// Where a box comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum BoxRule {
    /// All positions of the enlarged, min–max normalised map at or above a threshold.
    Located {
        /// The threshold.
        threshold: f64,
        /// Which places that reach it count.
        region: CamRegion,
        /// The share of the box's side that is added on each side.
        margin: f64,
        /// A narrower box counts as empty.
        min_box: f64,
        /// The side that maps are enlarged to: the localiser's input.
        map_px: u32,
    },
    /// The whole photo.
    Whole,
    /// A fixed box in the centre.
    Centre,
    /// The true box; the whole photo where none is known.
    Oracle,
}

/// Draws one box per photo.
///
/// Inputs: `boxes` (sizes and true boxes), and `cam` for [`BoxRule::Located`]. Outputs: `crops` (Parquet) and
/// `relative` (image_id, box f32 `[n, 4]` as x0, y0, x1, y1 in 0..1).
pub struct DrawBoxes {
    /// The rule.
    pub rule: BoxRule,
}

impl Task for DrawBoxes {
    fn stage(&self) -> &'static str {
        "crop"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { rule } = self;
        let mut fields = vec![field("what", "boxes")];
        match rule {
            BoxRule::Located { threshold, region, margin, min_box, map_px } => {
                fields.extend([
                    field("rule", "located"),
                    field("threshold", *threshold),
                    field("margin", *margin),
                    field("min_box", *min_box),
                    field("map_px", i64::from(*map_px)),
                    field("region", word(*region)),
                ]);
            }
            BoxRule::Whole => fields.push(field("rule", "whole")),
            BoxRule::Centre => fields.extend([field("rule", "centre"), field("side", f64::from(CENTRE_SIDE))]),
            BoxRule::Oracle => fields.push(field("rule", "oracle")),
        }
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        match &self.rule {
            BoxRule::Located { .. } => vec![Port::one("boxes"), Port::one("cam")],
            BoxRule::Whole | BoxRule::Centre | BoxRule::Oracle => vec![Port::one("boxes")],
        }
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["crops", "relative"]
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let truths = read_truths(&context.open("boxes")?)?;
        let located = match &self.rule {
            BoxRule::Located { threshold, region, margin, min_box, map_px } => {
                let region = if *region == CamRegion::All { Region::All } else { Region::Largest };
                let [threshold, margin, min_box] = [*threshold as f32, *margin as f32, *min_box as f32];
                let options = BoxOptions { threshold, region, margin, min_box };
                Some(read_cams(&context.open("cam")?, &options, *map_px as usize)?)
            }
            _ => None,
        };
        let mut rows = Vec::new();
        for truth in truths {
            let found = located.as_ref().and_then(|l| l.get(&truth.image_id));
            if located.is_some() && found.is_none() {
                continue; // a photo that was skipped at this size
            }
            rows.push(BoxRow::draw(&self.rule, truth, found));
        }
        let ids: Vec<i64> = rows.iter().map(|r| i64::from(r.truth.image_id)).collect();
        let flat: Vec<f32> = rows.iter().flat_map(|r| r.relative).collect();
        let relative = encode(&[("image_id", Array::i64(&ids)), ("box", Array::f32(&[ids.len(), 4], &flat))])?;
        Ok(Outputs::default()
            .with("crops", context.put(&crops_table(&rows)?)?)
            .with("relative", context.put(&relative)?))
    }
}

/// Size and true box of a photo.
struct Truth {
    image_id: u32,
    width: u32,
    height: u32,
    bbox: Option<BoundingBox>,
}

/// What a localiser found in a photo.
struct Located {
    relative: Option<[f32; 4]>,
    class_id: Option<u32>,
    peak: f32,
}

struct BoxRow {
    truth: Truth,
    relative: [f32; 4],
    fallback: bool,
    cam: Option<(Option<u32>, f32)>,
    iou: Option<f32>,
}

impl BoxRow {
    fn draw(rule: &BoxRule, truth: Truth, located: Option<&Located>) -> Self {
        let side = CENTRE_SIDE / 2.0;
        let found = match rule {
            BoxRule::Located { .. } => located.and_then(|l| l.relative),
            BoxRule::Whole => Some(WHOLE),
            BoxRule::Centre => Some([0.5 - side, 0.5 - side, 0.5 + side, 0.5 + side]),
            BoxRule::Oracle => truth.bbox.as_ref().map(|b| b.clip(truth.width, truth.height)).and_then(|b| {
                let relative = b.relative(truth.width, truth.height);
                (relative[2] > relative[0] && relative[3] > relative[1]).then_some(relative)
            }),
        };
        let relative = found.unwrap_or(WHOLE);
        let drawn = BoundingBox::from_relative(relative, truth.width, truth.height);
        let iou = truth.bbox.as_ref().map(|b| b.clip(truth.width, truth.height).iou(&drawn));
        let cam = located.map(|l| (l.class_id, l.peak));
        Self { truth, relative, fallback: found.is_none(), cam, iou }
    }

    fn pixels(&self) -> BoundingBox {
        BoundingBox::from_relative(self.relative, self.truth.width, self.truth.height)
    }
}

fn crops_table(rows: &[BoxRow]) -> Result<Vec<u8>, StageError> {
    let side = |pick: fn(BoundingBox) -> f32| rows.iter().map(|r| Some(pick(r.pixels()))).collect();
    table(vec![
        Column::U32("image_id", rows.iter().map(|r| r.truth.image_id).collect()),
        Column::F32("box_x", side(|b| b.x)),
        Column::F32("box_y", side(|b| b.y)),
        Column::F32("box_w", side(|b| b.w)),
        Column::F32("box_h", side(|b| b.h)),
        Column::MaybeU32("cam_class_id", rows.iter().map(|r| r.cam.and_then(|c| c.0)).collect()),
        Column::F32("cam_peak", rows.iter().map(|r| r.cam.map(|c| c.1)).collect()),
        Column::Bool("fallback", rows.iter().map(|r| r.fallback).collect()),
        Column::F32("iou", rows.iter().map(|r| r.iou).collect()),
    ])
}

fn read_truths(bytes: &[u8]) -> Result<Vec<Truth>, StageError> {
    let mut truths = Vec::new();
    for batch in read_table(bytes)? {
        let column = |name: &str, kind: DataType| {
            let found = batch.column_by_name(name).filter(|c| *c.data_type() == kind);
            found.cloned().ok_or_else(|| misfit("cannot read the table of boxes", format!("it has no column {name}")))
        };
        let ints = |name| Ok::<_, StageError>(UInt32Array::from(column(name, DataType::UInt32)?.to_data()));
        let reals = |name| Ok::<_, StageError>(Float32Array::from(column(name, DataType::Float32)?.to_data()));
        let (ids, widths, heights) = (ints("image_id")?, ints("width")?, ints("height")?);
        let sides = [reals("box_x")?, reals("box_y")?, reals("box_w")?, reals("box_h")?];
        for i in 0..batch.num_rows() {
            let [x, y, w, h] = sides.each_ref().map(|s| s.value(i));
            let bbox = sides[0].is_valid(i).then_some(BoundingBox { x, y, w, h });
            let (image_id, width, height) = (ids.value(i), widths.value(i), heights.value(i));
            truths.push(Truth { image_id, width, height, bbox });
        }
    }
    Ok(truths)
}

/// Enlarges each raw map to the localiser's input, normalises it and draws its box.
fn read_cams(bytes: &[u8], options: &BoxOptions, px: usize) -> Result<BTreeMap<u32, Located>, StageError> {
    let ids = decode(bytes, "image_id")?.to_i64(bytes);
    let classes = decode(bytes, "class_id")?.to_i64(bytes);
    let peaks = decode(bytes, "peak")?.to_f32(bytes);
    let view = decode(bytes, "raw")?;
    let shape: Vec<i64> = view.shape.iter().map(|d| *d as i64).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let _guard = tch::no_grad_guard();
    let raw = Tensor::f_from_data_size(&bytes[view.range], &shape, Kind::Float).map_err(torch_error)?;
    let mut located = BTreeMap::new();
    for (i, id) in ids.iter().enumerate() {
        let map = enlarge_map(&raw.get(i as i64).unsqueeze(0), px as i64, px as i64); // [1, px, px]
        let relative = cam_box(&floats(&map)?, px, options);
        located.insert(*id as u32, Located { relative, class_id: u32::try_from(classes[i]).ok(), peak: peaks[i] });
    }
    Ok(located)
}

/// Which pixels are cut.
pub enum CutFrom {
    /// The photos themselves: reopened, and checked to show what `ingest` saw.
    Photos(Vec<PhotoFile>),
    /// The packed pixels of input `pixels`.
    Packed,
}

/// The objects of one shard, which several units pack.
pub struct ShardObjects {
    /// What they are cut out of.
    pub(crate) from: CutFrom,
    /// The shapes at which they are packed.
    pub(crate) shapes: Shapes,
}

/// Cuts the boxes out and squashes them.
///
/// Inputs: `relative`, and `content` or `pixels`. Output: `pixels` (image_id, pixels u8 `[n, s, s, 3]`).
pub struct CutObjects {
    /// What is cut.
    pub shard: Arc<ShardObjects>,
    /// What the result looks like.
    pub pixels: PixelShape,
}

impl Task for CutObjects {
    fn stage(&self) -> &'static str {
        "crop"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { shard, pixels } = self;
        let ShardObjects { from, shapes: _ } = shard.as_ref();
        let from = match from {
            CutFrom::Photos(_) => "original",
            CutFrom::Packed => "squashed",
        };
        let mut fields = vec![field("what", "pixels"), field("crop_from", from)];
        fields.extend(pixels.fields());
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        let pixels = match &self.shard.from {
            CutFrom::Photos(_) => "content",
            CutFrom::Packed => "pixels",
        };
        vec![Port::one("relative"), Port::one(pixels)]
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["pixels"]
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let shapes = &self.shard.shapes;
        let packed = shapes.take(context).map_or_else(|| self.pack(context), Ok)?;
        Ok(Outputs::default().with("pixels", context.put(&packed.encode()?)?))
    }
}

impl CutObjects {
    /// Cuts all boxes out; packs by the way what other units of the shard lack.
    fn pack(&self, context: &Context<'_>) -> Result<Packing, StageError> {
        let blob = context.open("relative")?;
        let ids = decode(&blob, "image_id")?.to_i64(&blob);
        let flat = decode(&blob, "box")?.to_f32(&blob);
        let boxes: BTreeMap<i64, [f32; 4]> =
            ids.iter().zip(flat.chunks_exact(4)).map(|(id, b)| (*id, [b[0], b[1], b[2], b[3]])).collect();
        let ShardObjects { from, shapes } = self.shard.as_ref();
        let unit = |pixels| Self { shard: self.shard.clone(), pixels };
        let (mut own, mut others) = (Packing::new(self.pixels), shapes.of_neighbours(boxes.len(), context, unit)?);
        let mut one = |id: i64, image: &RgbImage| {
            if let Some(relative) = boxes.get(&id) {
                own.add(id, image, *relative);
                others.add(id, image, *relative);
            }
        };
        match from {
            CutFrom::Photos(photos) if photos.is_empty() => return Err(unread()),
            CutFrom::Photos(photos) => reopen(photos, &boxes, context, &mut one)?,
            CutFrom::Packed => unpack(context, &mut one)?,
        }
        shapes.leave(others);
        Ok(own)
    }
}

/// What was cut of this shard was in the store when the work began, so that nobody read which photos it has.
fn unread() -> StageError {
    let said = Explanation::new("cannot cut objects out of photos that were not listed");
    let said = said.because("what was cut of them was in the store when the work began, and was lost since");
    StageError::Failed(said.fix("give the same command again"))
}

fn unpack(context: &Context<'_>, one: &mut dyn FnMut(i64, &RgbImage)) -> Result<(), StageError> {
    let blob = context.open("pixels")?;
    let (view, ids) = (decode(&blob, "pixels")?, decode(&blob, "image_id")?.to_i64(&blob));
    let side = view.shape[1];
    for (id, row) in ids.iter().zip(blob[view.range].chunks_exact(side * side * 3)) {
        let image = RgbImage::from_raw(side as u32, side as u32, row.to_vec());
        one(*id, &image.ok_or_else(|| misfit("cannot read packed pixels", "their length fits no square"))?);
    }
    Ok(())
}

fn reopen(
    photos: &[PhotoFile],
    boxes: &BTreeMap<i64, [f32; 4]>,
    context: &Context<'_>,
    one: &mut dyn FnMut(i64, &RgbImage),
) -> Result<(), StageError> {
    let content = context.open("content")?;
    let text = String::from_utf8_lossy(&content);
    let expected: BTreeMap<&str, &str> = text.lines().filter_map(|l| l.split_once(' ')).collect();
    let with_box = photos.iter().filter(|file| boxes.contains_key(&i64::from(file.photo.image_id.0)));
    read_each(with_box, context, |file, bytes| {
        let image_id = file.photo.image_id;
        let changed = |why: String| {
            let said = Explanation::new(format!("cannot cut the object out of photo {}", file.name()));
            StageError::BadData(said.because(why).fix(file.planned.fix()))
        };
        let image = photo_decode::open_rgb(&bytes).map_err(|problem| changed(problem.why()))?;
        if expected.get(image_id.to_string().as_str()) != Some(&content_digest(&image).to_string().as_str()) {
            return Err(changed("it shows something else than when it was ingested".to_owned()));
        }
        one(i64::from(image_id.0), &image);
        Ok(())
    })
}

/// Reads the IoU and fallback columns of a table of crops.
///
/// # Errors
/// [`StageError::Failed`] when it is not such a table.
pub fn read_audit(bytes: &[u8]) -> Result<Vec<(u32, Option<f32>, bool)>, StageError> {
    let mut rows = Vec::new();
    for batch in read_table(bytes)? {
        let missing = || misfit("cannot read the table of crops", "it lacks a column");
        let column = |name: &str| batch.column_by_name(name).ok_or_else(missing);
        use arrow::array::AsArray;
        let ids = column("image_id")?.as_primitive_opt::<UInt32Type>().ok_or_else(missing)?;
        let iou = column("iou")?.as_primitive_opt::<Float32Type>().ok_or_else(missing)?;
        let fallback = column("fallback")?.as_boolean_opt().ok_or_else(missing)?;
        for i in 0..batch.num_rows() {
            rows.push((ids.value(i), iou.is_valid(i).then(|| iou.value(i)), fallback.value(i)));
        }
    }
    Ok(rows)
}
