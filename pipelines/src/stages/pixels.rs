//! Square pixels: their shape, and how those of a shard are packed. Each photo is opened once for all shapes: the unit that
//! opens it packs what its neighbours in the shard lack, and they find it in memory, since they are computed after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use mlsm_data::RgbImage;
use mlsm_data::resize::{self, Resize};
use mlsm_engine::{Context, StageError, Task};
use mlsm_store::{Field, Fingerprint};

use crate::artifact::{Array, ElementType, encode};
use crate::recipe::{field, word};

/// How many bytes of pixels wait at most, in a run; beyond that, photos are opened again.
const ROOM: usize = 256 << 20;

/// The whole of a photo.
pub(crate) const WHOLE: [f32; 4] = [0.0, 0.0, 1.0, 1.0];

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

    /// How many bytes they take.
    fn bytes(self) -> usize {
        self.size_px as usize * self.size_px as usize * 3
    }
}

/// The pixels of a shard at one shape.
pub(crate) struct Packing {
    shape: PixelShape,
    ids: Vec<i64>,
    pixels: Vec<u8>,
}

impl Packing {
    pub fn new(shape: PixelShape) -> Self {
        Self { shape, ids: Vec::new(), pixels: Vec::new() }
    }

    /// Adds a box, `[x0, y0, x1, y1]` in 0..1, of an image.
    pub fn add(&mut self, id: i64, image: &RgbImage, relative: [f32; 4]) {
        self.ids.push(id);
        self.pixels.extend(resize::crop_squash(image, self.shape.resize.kept(relative), self.shape.size_px));
    }

    /// Encodes `image_id` and `pixels` u8 `[n, size, size, 3]`.
    pub fn encode(self) -> Result<Vec<u8>, StageError> {
        let (count, size) = (self.ids.len(), self.shape.size_px as usize);
        let pixels = Array::from_bytes(ElementType::U8, &[count, size, size, 3], self.pixels);
        encode(&[("image_id", Array::i64(&self.ids)), ("pixels", pixels)])
    }
}

/// The shapes that the units of one shard pack of the same photos, and what they packed for each other.
#[derive(Clone)]
pub(crate) struct Shapes {
    all: Arc<[PixelShape]>,
    waiting: Waiting,
}

/// Pixels that were packed for units that come later, in a whole run.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<BTreeMap<Fingerprint, Packing>>>);

impl Waiting {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Fingerprint, Packing>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Shapes {
    pub fn new(all: impl IntoIterator<Item = PixelShape>, waiting: Waiting) -> Self {
        Self { all: all.into_iter().collect(), waiting }
    }

    /// Takes what a neighbour packed for a unit.
    pub fn take(&self, context: &Context<'_>) -> Option<Packing> {
        self.waiting.all().remove(&context.fingerprint())
    }

    /// Begins what a unit that opens so many photos packs for its neighbours: all shapes but its own that nobody has made yet.
    /// `unit`: the task that packs a shape.
    ///
    /// # Errors
    /// [`StageError::Store`] when the store cannot be read.
    pub fn of_neighbours<T: Task>(
        &self,
        photos: usize,
        context: &Context<'_>,
        unit: impl Fn(PixelShape) -> T,
    ) -> Result<Packings, StageError> {
        let mut room = ROOM.saturating_sub(self.waiting.all().values().map(|packing| packing.pixels.len()).sum());
        let mut packings = Vec::new();
        for shape in self.all.iter() {
            let fingerprint = context.fingerprint_of(&unit(*shape));
            let bytes = photos * shape.bytes();
            let is_own = fingerprint == context.fingerprint();
            if !is_own && bytes <= room && context.store().lookup(&fingerprint)?.is_none() {
                room -= bytes;
                packings.push((fingerprint, Packing::new(*shape)));
            }
        }
        Ok(Packings(packings))
    }

    /// Keeps what was packed until its units come.
    pub fn leave(&self, packings: Packings) {
        self.waiting.all().extend(packings.0);
    }
}

/// What is packed for other units.
pub(crate) struct Packings(Vec<(Fingerprint, Packing)>);

impl Packings {
    /// Adds a box, `[x0, y0, x1, y1]` in 0..1, of an image to each.
    pub fn add(&mut self, id: i64, image: &RgbImage, relative: [f32; 4]) {
        self.0.iter_mut().for_each(|(_, packing)| packing.add(id, image, relative));
    }
}
