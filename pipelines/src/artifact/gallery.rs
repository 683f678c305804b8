//! Rows of many shards, found by image id and read from memory maps: what training and episodes look things up in.

use std::collections::BTreeMap;

use mlsm_data::{ClassId, ImageId, Pool};
use mlsm_engine::{Context, Item, StageError};
use mlsm_errors::Explanation;
use mlsm_store::Blob;
use tch::{Device, Kind, Tensor};

use super::{ArrayView, ElementType, decode};
use crate::error::misfit;

struct Shard {
    blob: Blob,
    rows: ArrayView,
}

/// One array of many shards, by image.
pub struct Gallery {
    shards: Vec<Shard>,
    index: BTreeMap<ImageId, (usize, usize)>,
    classes: BTreeMap<ClassId, Vec<ImageId>>,
    element: ElementType,
    row_shape: Vec<i64>,
}

fn no_photos(port: &str) -> Explanation {
    let said = Explanation::new(format!("there are no photos for {port}")).because("none of its shards holds one");
    said.fix("give photos that can be read, or choose a split with classes in this part")
}

impl Gallery {
    /// Opens array `name` of every shard that a port was given; the key of an item is the class of the shard.
    ///
    /// # Errors
    /// [`StageError`] when an artifact is damaged or not of this shape, or there is none.
    pub fn open(context: &Context<'_>, port: &str, name: &str) -> Result<Self, StageError> {
        let mut gallery = Self {
            shards: Vec::new(),
            index: BTreeMap::new(),
            classes: BTreeMap::new(),
            element: ElementType::F32,
            row_shape: Vec::new(),
        };
        for (shard, digest) in context.items(port) {
            gallery.add(shard, context.open_digest(&digest)?, name)?;
        }
        match gallery.shards.is_empty() {
            true => Err(StageError::BadData(no_photos(port))),
            false => Ok(gallery),
        }
    }

    fn add(&mut self, shard: &Item, blob: Blob, name: &str) -> Result<(), StageError> {
        let rows = decode(&blob, name)?;
        let ids = decode(&blob, "image_id")?.to_i64(&blob);
        let row_shape: Vec<i64> = rows.shape.iter().skip(1).map(|d| *d as i64).collect();
        if ids.is_empty() {
            return Ok(());
        }
        if self.shards.is_empty() {
            (self.element, self.row_shape) = (rows.element, row_shape);
        } else if (rows.element, &row_shape) != (self.element, &self.row_shape) {
            return Err(misfit(
                format!("cannot read shard {}", shard.id),
                "its rows have another shape than those of the first",
            ));
        }
        let class = ClassId(shard.key);
        for (row, id) in ids.iter().enumerate() {
            let image = ImageId(u32::try_from(*id).map_err(|_| {
                misfit(format!("cannot read shard {}", shard.id), format!("it holds the image id {id}"))
            })?);
            self.index.insert(image, (self.shards.len(), row));
            self.classes.entry(class).or_default().push(image);
        }
        self.classes.entry(class).or_default().sort();
        self.shards.push(Shard { blob, rows });
        Ok(())
    }

    /// Returns all images by class, ids ascending.
    pub fn classes(&self) -> &BTreeMap<ClassId, Vec<ImageId>> {
        &self.classes
    }

    /// Returns the pool that episodes are drawn from.
    pub fn pool(&self) -> Pool {
        self.classes.iter().flat_map(|(class, ids)| ids.iter().map(|id| (*class, *id))).collect()
    }

    /// Returns the shape of one row.
    pub fn row_shape(&self) -> &[i64] {
        &self.row_shape
    }

    /// Copies rows into a tensor `[n, …]` of the stored type; floats of any width arrive as f32.
    ///
    /// # Errors
    /// [`StageError::Failed`] when an image is not in the gallery.
    pub fn gather(&self, images: &[ImageId], device: Device) -> Result<Tensor, StageError> {
        let row_bytes = self.row_shape.iter().product::<i64>() as usize * self.element.size();
        let mut bytes = Vec::with_capacity(row_bytes * images.len());
        for image in images {
            let (shard, row) =
                *self.index.get(image).ok_or_else(|| StageError::defect(format!("image {image} has no stored row")))?;
            let Shard { blob, rows } = &self.shards[shard];
            let start = rows.range.start + row * row_bytes;
            bytes.extend_from_slice(&blob[start..start + row_bytes]);
        }
        let shape: Vec<i64> = std::iter::once(images.len() as i64).chain(self.row_shape.iter().copied()).collect();
        let kind = match self.element {
            ElementType::U8 => Kind::Uint8,
            ElementType::F16 => Kind::Half,
            ElementType::F32 => Kind::Float,
            ElementType::I64 => Kind::Int64,
        };
        let tensor = Tensor::f_from_data_size(&bytes, &shape, kind).map_err(crate::error::torch_error)?;
        let tensor = tensor.to_device(device);
        Ok(if kind == Kind::Half { tensor.to_kind(Kind::Float) } else { tensor })
    }
}
