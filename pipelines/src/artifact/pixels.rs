//! The packed pixels of one shard, read in batches from a memory map.

use mlsm_engine::{Context, StageError};
use mlsm_store::Blob;
use tch::{Device, Kind, Tensor};

use super::{ArrayView, decode};

/// What `ingest` and `crop` pack: pixels and the ids of their photos.
pub struct PackedPixels {
    blob: Blob,
    pixels: ArrayView,
    /// The photos, in the order of the pixels.
    pub ids: Vec<i64>,
}

impl PackedPixels {
    /// Opens the input `pixels`.
    ///
    /// # Errors
    /// [`StageError`] when it is damaged or of another shape.
    pub fn open(context: &Context<'_>) -> Result<Self, StageError> {
        let blob = context.open("pixels")?;
        let (pixels, ids) = (decode(&blob, "pixels")?, decode(&blob, "image_id")?.to_i64(&blob));
        Ok(Self { blob, pixels, ids })
    }

    /// Returns batches of up to `most` photos: `[n, side, side, 3]`, u8.
    pub fn batches(&self, most: usize, device: Device) -> impl Iterator<Item = Result<Tensor, StageError>> {
        let [_, height, width, ..] = self.pixels.shape[..] else { unreachable!("pixels have four dimensions") };
        let row = height * width * 3;
        self.blob[self.pixels.range.clone()].chunks(most * row).map(move |part| {
            let shape = [part.len() / row, height, width, 3].map(|d| d as i64);
            let images = Tensor::f_from_data_size(part, &shape, Kind::Uint8).map_err(crate::error::torch_error)?;
            Ok(images.to_device(device))
        })
    }
}
