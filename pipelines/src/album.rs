//! What the photos of a run look like, as its store keeps them: squashed pixels, heat maps, cut objects. For whatever
//! shows photos to people. Nothing here opens a photo's file, computes, or needs libtorch.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;
use mlsm_store::{Blob, Fingerprint, RunRecord, Store, StoreError};

use crate::AssembleError;
use crate::artifact::{ArrayView, decode, read_table};
use crate::error::misfit;

/// Squashed photos larger than this are taken only where there are no smaller ones.
const LARGEST_PX: u32 = 256;

/// Square RGB pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Square {
    /// The side.
    pub side_px: u32,
    /// The pixels, row after row: `[side_px, side_px, 3]`.
    pub rgb: Vec<u8>,
}

/// What a localiser saw in a photo, before it was enlarged.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The values, row after row, not scaled.
    pub values: Vec<f32>,
}

/// The units of a node.
type Units = BTreeMap<String, Fingerprint>;

/// The stored pixels of a run.
pub struct Album<'a> {
    store: &'a Store,
    nodes: BTreeMap<&'a str, &'a Units>,
    /// The shard of each photo that `ingest` packed whole.
    shards: BTreeMap<i64, String>,
}

impl<'a> Album<'a> {
    /// Looks up which shard holds each photo of a run. Artifacts that were collected meanwhile count as absent.
    ///
    /// # Errors
    /// [`AssembleError::Store`] when the store cannot be read.
    pub fn open(store: &'a Store, run: &'a RunRecord) -> Result<Self, AssembleError> {
        let nodes: BTreeMap<_, _> = run.nodes.iter().map(|node| (node.node.as_str(), &node.units)).collect();
        let mut shards = BTreeMap::new();
        for (key, fingerprint) in nodes.get("ingest").copied().into_iter().flatten() {
            let Some((shard, aspect)) = key.rsplit_once('/') else { continue };
            if size_of(aspect).is_none() {
                continue;
            }
            let Some(manifest) = store.lookup(fingerprint)? else { continue };
            let photos = manifest.request.inputs.iter().filter_map(|input| photo_of(&input.name));
            shards.extend(photos.map(|image| (image, shard.to_owned())));
        }
        Ok(Self { store, nodes, shards })
    }

    /// Returns the whole photos that are stored, squashed.
    ///
    /// # Errors
    /// [`AssembleError`] when an artifact is damaged.
    pub fn photos(&self, images: &BTreeSet<i64>) -> Result<BTreeMap<i64, Square>, AssembleError> {
        self.squares("ingest", images)
    }

    /// Returns the objects that a node has cut out, as far as they are stored.
    ///
    /// # Errors
    /// [`AssembleError`] when an artifact is damaged.
    pub fn objects(&self, node: &str, images: &BTreeSet<i64>) -> Result<BTreeMap<i64, Square>, AssembleError> {
        self.squares(node, images)
    }

    /// Returns the maps that a node has drawn its boxes from, as far as they are stored.
    ///
    /// # Errors
    /// [`AssembleError`] when an artifact is damaged.
    pub fn heat_maps(&self, node: &str, images: &BTreeSet<i64>) -> Result<BTreeMap<i64, HeatMap>, AssembleError> {
        let mut found = BTreeMap::new();
        for (shard, wanted) in self.by_shard(images) {
            let Some(blob) = self.open_unit(node, &format!("{shard}/cam"), "cam")? else { continue };
            let maps = array(&blob, "raw")?;
            let [_, height, width] = maps.shape[..] else { return Err(damaged("heat maps", "three dimensions")) };
            let values = maps.to_f32(&blob);
            for (row, image) in rows(&blob, &wanted)? {
                let values = values[row * height * width..(row + 1) * height * width].to_vec();
                found.insert(image, HeatMap { width, height, values });
            }
        }
        Ok(found)
    }

    /// Returns the boxes that a node has drawn, as shares of a photo's sides: left, upper, right, lower edge.
    ///
    /// # Errors
    /// [`AssembleError`] when an artifact is damaged.
    pub fn boxes(&self, node: &str, images: &BTreeSet<i64>) -> Result<BTreeMap<i64, [f32; 4]>, AssembleError> {
        let mut found = BTreeMap::new();
        for (shard, wanted) in self.by_shard(images) {
            let Some(blob) = self.open_unit(node, &format!("{shard}/boxes"), "relative")? else { continue };
            let values = array(&blob, "box")?.to_f32(&blob);
            for (row, image) in rows(&blob, &wanted)? {
                let drawn = values.get(row * 4..row * 4 + 4).and_then(|edges| edges.try_into().ok());
                found.insert(image, drawn.ok_or_else(|| damaged("boxes", "four edges"))?);
            }
        }
        Ok(found)
    }

    /// Returns the widths and heights of photos, in pixels.
    ///
    /// # Errors
    /// [`AssembleError`] when an artifact is damaged.
    pub fn sizes(&self, images: &BTreeSet<i64>) -> Result<BTreeMap<i64, [u32; 2]>, AssembleError> {
        let mut found = BTreeMap::new();
        for (shard, wanted) in self.by_shard(images) {
            let Some(blob) = self.open_unit("ingest", &format!("{shard}/source"), "boxes")? else { continue };
            for batch in read_table(&blob)? {
                let column = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<UInt32Type>();
                let (Some(ids), Some(widths), Some(heights)) = (column("image_id"), column("width"), column("height"))
                else {
                    return Err(damaged("sizes", "three columns"));
                };
                let sizes = ids.values().iter().zip(widths.values()).zip(heights.values());
                let sizes = sizes.map(|((id, width), height)| (i64::from(*id), [*width, *height]));
                found.extend(sizes.filter(|(id, _)| wanted.contains(id)));
            }
        }
        Ok(found)
    }

    fn squares(&self, node: &str, images: &BTreeSet<i64>) -> Result<BTreeMap<i64, Square>, AssembleError> {
        let mut found = BTreeMap::new();
        let Some(size_px) = self.nodes.get(node).and_then(|units| best_size(units)) else { return Ok(found) };
        for (shard, wanted) in self.by_shard(images) {
            let Some(blob) = self.open_unit(node, &format!("{shard}/pixels-{size_px}"), "pixels")? else { continue };
            let pixels = array(&blob, "pixels")?;
            let [_, height, width, 3] = pixels.shape[..] else { return Err(damaged("pixels", "RGB")) };
            let bytes = &blob[pixels.range];
            for (row, image) in rows(&blob, &wanted)? {
                let rgb = bytes[row * height * width * 3..(row + 1) * height * width * 3].to_vec();
                found.insert(image, Square { side_px: width as u32, rgb });
            }
        }
        Ok(found)
    }

    fn by_shard(&self, images: &BTreeSet<i64>) -> BTreeMap<&str, BTreeSet<i64>> {
        let mut shards = BTreeMap::<&str, BTreeSet<i64>>::new();
        for (image, shard) in images.iter().filter_map(|image| Some((image, self.shards.get(image)?))) {
            shards.entry(shard).or_default().insert(*image);
        }
        shards
    }

    /// Opens an output of a unit; `None` where the store does not have it.
    fn open_unit(&self, node: &str, unit: &str, output: &str) -> Result<Option<Blob>, AssembleError> {
        let Some(fingerprint) = self.nodes.get(node).and_then(|units| units.get(unit)) else { return Ok(None) };
        let manifest = self.store.lookup(fingerprint)?;
        let Some(output) = manifest.as_ref().and_then(|manifest| manifest.outputs.get(output)) else { return Ok(None) };
        match self.store.open_blob(&output.digest) {
            Err(StoreError::Missing { .. }) => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }
}

/// Reads which photo an input of `ingest` is: `photo/7 wren/7.jpg`.
fn photo_of(input: &str) -> Option<i64> {
    input.strip_prefix("photo/")?.split(' ').next()?.parse().ok()
}

/// Reads the side of whole, squashed photos: `pixels-84`, but not `pixels-84-center`, in which boxes lie elsewhere.
fn size_of(aspect: &str) -> Option<u32> {
    aspect.strip_prefix("pixels-")?.parse().ok()
}

/// The largest size that is still a thumbnail, or the smallest there is.
fn best_size(units: &Units) -> Option<u32> {
    let sizes: BTreeSet<u32> = units.keys().filter_map(|key| size_of(key.rsplit_once('/')?.1)).collect();
    sizes.range(..=LARGEST_PX).next_back().or_else(|| sizes.first()).copied()
}

fn array(blob: &Blob, name: &str) -> Result<ArrayView, AssembleError> {
    decode(blob, name).map_err(AssembleError::from)
}

/// Finds the rows of the photos that are wanted.
fn rows(blob: &Blob, wanted: &BTreeSet<i64>) -> Result<Vec<(usize, i64)>, AssembleError> {
    let ids = array(blob, "image_id")?.to_i64(blob);
    Ok(ids.into_iter().enumerate().filter(|(_, image)| wanted.contains(image)).collect())
}

fn damaged(what: &str, expected: &str) -> AssembleError {
    misfit(format!("cannot read an artifact of {what}"), format!("it does not have {expected}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_found_by_the_names_of_inputs_and_sizes_by_those_of_units() {
        assert_eq!(photo_of("photo/12 001.A wren/a photo.jpg"), Some(12));
        assert_eq!(photo_of("backbone"), None);
        assert_eq!((size_of("pixels-84"), size_of("pixels-84-center"), size_of("source")), (Some(84), None, None));
        let sizes = |names: &[&str]| {
            let unit = |name: &&str| (format!("001/{name}"), "0".repeat(64).parse().unwrap());
            best_size(&names.iter().map(unit).collect())
        };
        assert_eq!(sizes(&["pixels-84", "pixels-224", "pixels-448", "source"]), Some(224));
        assert_eq!(sizes(&["pixels-448", "pixels-384"]), Some(384));
        assert_eq!(sizes(&["pixels-84-center", "source"]), None);
    }
}
