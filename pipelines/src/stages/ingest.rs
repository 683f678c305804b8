//! `ingest`: checks, decodes and resizes the photos of one shard.
//!
//! Two kinds of units, each with its own fingerprint. [`ReadPhotos`] describes the photos (`source`, `boxes`), and
//! digests their decoded pixels (`content`), so that whoever reopens a photo later depends on what it shows rather
//! than on its bytes. [`SquashPhotos`] packs the pixels at one size.

use std::sync::Arc;

use mlsm_data::{ImageProblem, Photo, decode};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::{Explanation, Fix};
use mlsm_store::{Digest, Field, Value};

use super::pixels::{Packing, PixelShape, Shapes, WHOLE};
use crate::artifact::{Column, table};
use crate::config::BadImage;
use crate::photo_file::{PhotoFile, read_each};
use crate::recipe::{field, word};

/// The port that takes photos.
pub const PHOTO: &str = "photo";

/// The photos of one shard, which several units read.
pub struct ShardPhotos {
    /// The photos, ids ascending.
    pub(crate) files: Vec<PhotoFile>,
    /// What to do with bad ones.
    pub(crate) on_bad_image: BadImage,
    /// The shapes at which they are packed.
    pub(crate) shapes: Shapes,
}

impl ShardPhotos {
    /// Decodes the photos one after another, each checked to be the one that was planned with; packs by the way what other units
    /// of the shard lack. Returns the bad ones, each with what is wrong with it.
    fn read(
        self: &Arc<Self>,
        context: &Context<'_>,
        mut each: impl FnMut(&PhotoFile, &[u8], &decode::RgbImage),
    ) -> Result<Vec<(PhotoFile, ImageProblem)>, StageError> {
        let unit = |pixels| SquashPhotos { shard: self.clone(), pixels };
        let mut packings = self.shapes.of_neighbours(self.files.len(), context, unit)?;
        let mut bad = Vec::new();
        read_each(&self.files, context, |photo, bytes| {
            let (found, planned) = (Digest::of(&bytes), context.item(PHOTO, photo.photo.image_id.0)?);
            if found != planned {
                return Err(photo.changed(found, planned, context)?);
            }
            match decode::open_rgb(&bytes) {
                Ok(image) => {
                    packings.add(photo.photo.image_id.0.into(), &image, WHOLE);
                    each(photo, &bytes, &image);
                }
                Err(problem) => bad.push((photo.clone(), problem)),
            }
            Ok(())
        })?;
        judge(&bad, self.on_bad_image)?;
        self.shapes.leave(packings);
        Ok(bad)
    }
}

/// Applies `data.on_bad_image`.
fn judge(bad: &[(PhotoFile, ImageProblem)], policy: BadImage) -> Result<(), StageError> {
    const SHOWN: usize = 5;
    if policy == BadImage::Skip {
        return Ok(());
    }
    let undecodable = |(photo, problem): &(PhotoFile, ImageProblem)| {
        let said = Explanation::new(format!("cannot decode photo {}", photo.name())).because(problem.why());
        said.fix(problem.fix())
    };
    let Some(mut said) = bad.iter().take(SHOWN).map(undecodable).reduce(Explanation::and) else { return Ok(()) };
    if bad.len() > SHOWN {
        said = said.because(format!("and {} more photos of this shard", bad.len() - SHOWN));
    }
    Err(StageError::BadData(said.fix(Fix::set("data.on_bad_image", "\"skip\""))))
}

/// Describes the photos of one shard.
pub struct ReadPhotos {
    /// The photos.
    pub shard: Arc<ShardPhotos>,
    /// The name of their class.
    pub class_name: String,
}

impl Task for ReadPhotos {
    fn stage(&self) -> &'static str {
        "ingest"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { shard, class_name } = self;
        let ShardPhotos { files, on_bad_image, shapes: _ } = shard.as_ref();
        let mut fields = vec![
            field("what", "source"),
            field("class_name", class_name.as_str()),
            field("on_bad_image", word(*on_bad_image)),
        ];
        for PhotoFile { photo, root: _, planned: _ } in files {
            let Photo { image_id, class_id, path, bbox } = photo;
            let bbox = match bbox {
                Some(b) => Value::List([b.x, b.y, b.w, b.h].iter().map(|v| Value::from(f64::from(*v))).collect()),
                None => Value::Null,
            };
            let row = vec![Value::from(path.as_str()), Value::from(i64::from(class_id.0)), bbox];
            fields.push(field(&format!("image {image_id}"), Value::List(row)));
        }
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        vec![Port::many(PHOTO)]
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["source", "boxes", "content", "skipped"]
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let mut rows: Vec<(Photo, u32, u32, Digest, u64)> = Vec::new();
        let mut content = Vec::new();
        let bad = self.shard.read(context, |photo, bytes, image| {
            let (width, height) = image.dimensions();
            rows.push((photo.photo.clone(), width, height, Digest::of(bytes), bytes.len() as u64));
            content.push(format!("{} {}\n", photo.photo.image_id, content_digest(image)));
        })?;
        let boxes = table(boxes_columns(&rows))?;
        let mut columns = boxes_columns(&rows);
        columns.extend([
            Column::Text("path", rows.iter().map(|r| r.0.path.clone()).collect()),
            Column::U32("class_id", rows.iter().map(|r| r.0.class_id.0).collect()),
            Column::Text("class_name", vec![self.class_name.clone(); rows.len()]),
            Column::Text("digest", rows.iter().map(|r| r.3.to_string()).collect()),
            Column::I64("bytes", rows.iter().map(|r| r.4 as i64).collect()),
        ]);
        let outputs = Outputs::default()
            .with("source", context.put(&table(columns)?)?)
            .with("boxes", context.put(&boxes)?)
            .with("content", context.put(content.concat().as_bytes())?);
        if bad.is_empty() {
            return Ok(outputs);
        }
        let of_class = match self.class_name.as_str() {
            "" => String::new(),
            name => format!(" of class {name}"),
        };
        context.warn(format!("skipped {} photos{of_class} that cannot be decoded", bad.len()));
        let skipped = table(vec![
            Column::U32("image_id", bad.iter().map(|(p, _)| p.photo.image_id.0).collect()),
            Column::Text("path", bad.iter().map(|(p, _)| p.photo.path.clone()).collect()),
            Column::U32("class_id", bad.iter().map(|(p, _)| p.photo.class_id.0).collect()),
            Column::Text("reason", bad.into_iter().map(|(_, problem)| problem.to_string()).collect()),
        ])?;
        Ok(outputs.with("skipped", context.put(&skipped)?))
    }
}

fn boxes_columns(rows: &[(Photo, u32, u32, Digest, u64)]) -> Vec<Column> {
    let side = |pick: fn(&mlsm_data::BoundingBox) -> f32| rows.iter().map(|r| r.0.bbox.as_ref().map(pick)).collect();
    vec![
        Column::U32("image_id", rows.iter().map(|r| r.0.image_id.0).collect()),
        Column::U32("width", rows.iter().map(|r| r.1).collect()),
        Column::U32("height", rows.iter().map(|r| r.2).collect()),
        Column::F32("box_x", side(|b| b.x)),
        Column::F32("box_y", side(|b| b.y)),
        Column::F32("box_w", side(|b| b.w)),
        Column::F32("box_h", side(|b| b.h)),
    ]
}

/// Digests what a photo shows: its size and its upright RGB pixels.
pub(crate) fn content_digest(image: &decode::RgbImage) -> Digest {
    let (width, height) = image.dimensions();
    let mut bytes = [width.to_le_bytes(), height.to_le_bytes()].concat();
    bytes.extend_from_slice(image.as_raw());
    Digest::of(&bytes)
}

/// Packs the photos of one shard at one size.
pub struct SquashPhotos {
    /// The photos.
    pub shard: Arc<ShardPhotos>,
    /// What is packed.
    pub pixels: PixelShape,
}

impl Task for SquashPhotos {
    fn stage(&self) -> &'static str {
        "ingest"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { shard, pixels } = self;
        let ShardPhotos { files: _, on_bad_image, shapes: _ } = shard.as_ref(); // the inputs name the photos
        let mut fields = vec![field("what", "pixels")];
        fields.extend(pixels.fields());
        fields.push(field("on_bad_image", word(*on_bad_image)));
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        vec![Port::many(PHOTO)]
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["pixels"]
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let packed = self.shard.shapes.take(context).map_or_else(|| self.pack(context), Ok)?;
        Ok(Outputs::default().with("pixels", context.put(&packed.encode()?)?))
    }
}

impl SquashPhotos {
    fn pack(&self, context: &Context<'_>) -> Result<Packing, StageError> {
        let mut own = Packing::new(self.pixels);
        self.shard.read(context, |photo, _, image| own.add(photo.photo.image_id.0.into(), image, WHOLE))?;
        Ok(own)
    }
}
