//! `ingest`: checks, decodes and resizes the photos of one shard.
//!
//! Two kinds of units, each with its own fingerprint. [`ReadPhotos`] describes the photos (`source`, `boxes`), and
//! digests their decoded pixels (`content`), so that whoever reopens a photo later depends on what it shows rather
//! than on its bytes. [`SquashPhotos`] packs the pixels at one size.

use mlsm_data::resize::{self, Resize};
use mlsm_data::{ImageProblem, Photo, decode};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::{Explanation, Fix};
use mlsm_store::{Digest, Field, Value};

use crate::artifact::{Array, Column, ElementType, encode, table};
use crate::config::BadImage;
use crate::photo_file::{PhotoFile, read_each};
use crate::recipe::{field, word};

/// The port that takes photos.
pub const PHOTO: &str = "photo";

/// Decodes a shard's photos one after another, each checked to be the one that was planned with; returns the bad ones, each with what is wrong with it.
fn decode_all(
    photos: &[PhotoFile],
    context: &Context<'_>,
    mut each: impl FnMut(&PhotoFile, &[u8], &decode::RgbImage) -> Result<(), StageError>,
) -> Result<Vec<(PhotoFile, ImageProblem)>, StageError> {
    let mut bad = Vec::new();
    read_each(photos, context, |photo, bytes| {
        let (found, planned) = (Digest::of(&bytes), context.item(PHOTO, photo.photo.image_id.0)?);
        if found != planned {
            return Err(photo.changed(found, planned, context)?);
        }
        match decode::open_rgb(&bytes) {
            Ok(image) => each(photo, &bytes, &image)?,
            Err(problem) => bad.push((photo.clone(), problem)),
        }
        Ok(())
    })?;
    Ok(bad)
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
    /// The photos, ids ascending.
    pub photos: Vec<PhotoFile>,
    /// The name of their class.
    pub class_name: String,
    /// What to do with bad ones.
    pub on_bad_image: BadImage,
}

impl Task for ReadPhotos {
    fn stage(&self) -> &'static str {
        "ingest"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { photos, class_name, on_bad_image } = self;
        let mut fields = vec![
            field("what", "source"),
            field("class_name", class_name.as_str()),
            field("on_bad_image", word(*on_bad_image)),
        ];
        for PhotoFile { photo, root: _, planned: _ } in photos {
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
        let bad = decode_all(&self.photos, context, |photo, bytes, image| {
            let (width, height) = image.dimensions();
            rows.push((photo.photo.clone(), width, height, Digest::of(bytes), bytes.len() as u64));
            content.push(format!("{} {}\n", photo.photo.image_id, content_digest(image)));
            Ok(())
        })?;
        judge(&bad, self.on_bad_image)?;
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

/// The square pixels that a backbone reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PixelShape {
    /// The side.
    pub size_px: u32,
    /// How a photo, or a box of it, becomes square.
    pub resize: Resize,
}

impl PixelShape {
    /// Returns the name of the units that make them.
    pub fn aspect(self) -> String {
        let suffix = if self.resize == Resize::Squash { "" } else { "-center" };
        format!("pixels-{}{suffix}", self.size_px)
    }

    /// Returns what identifies them in a recipe.
    pub(crate) fn fields(self) -> Vec<Field> {
        let Self { size_px, resize } = self;
        vec![field("size_px", i64::from(size_px)), field("resize", word(resize))]
    }

    /// Cuts a box, `[x0, y0, x1, y1]` in 0..1, out of an image.
    pub(crate) fn cut(self, image: &decode::RgbImage, relative: [f32; 4]) -> Vec<u8> {
        resize::crop_squash(image, self.resize.kept(relative), self.size_px)
    }
}

/// The whole of a photo.
pub(crate) const WHOLE: [f32; 4] = [0.0, 0.0, 1.0, 1.0];

/// Packs the photos of one shard at one size.
pub struct SquashPhotos {
    /// The photos, ids ascending.
    pub photos: Vec<PhotoFile>,
    /// What is packed.
    pub pixels: PixelShape,
    /// What to do with bad ones.
    pub on_bad_image: BadImage,
}

impl Task for SquashPhotos {
    fn stage(&self) -> &'static str {
        "ingest"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { photos: _, pixels, on_bad_image } = self; // the inputs name the photos
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
        let (mut ids, mut pixels) = (Vec::new(), Vec::new());
        let bad = decode_all(&self.photos, context, |photo, _, image| {
            ids.push(i64::from(photo.photo.image_id.0));
            pixels.extend(self.pixels.cut(image, WHOLE));
            Ok(())
        })?;
        judge(&bad, self.on_bad_image)?;
        let bytes = pack_pixels(&ids, pixels, self.pixels.size_px)?;
        Ok(Outputs::default().with("pixels", context.put(&bytes)?))
    }
}

/// Packs `pixels` u8 `[n, size, size, 3]` with their image ids.
pub(crate) fn pack_pixels(ids: &[i64], pixels: Vec<u8>, size_px: u32) -> Result<Vec<u8>, StageError> {
    let size = size_px as usize;
    let array = Array::from_bytes(ElementType::U8, &[ids.len(), size, size, 3], pixels);
    encode(&[("image_id", Array::i64(ids)), ("pixels", array)])
}
