//! Stored features as rows found by photo: taken out of the artifacts of shards, and laid out as such artifacts again.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::Dtype;

use crate::kept_file::{self, Values};

/// The array that says which photo a row is of.
const IDS: &str = "image_id";

/// One output of a stage that works shard by shard, of all photos: its arrays, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rows {
    /// Element type and shape of a row, by the name of the array.
    shapes: BTreeMap<String, (Dtype, Vec<usize>)>,
    /// By photo, the bytes of each array in the order of `shapes`.
    rows: BTreeMap<i64, Vec<Vec<u8>>>,
}

impl Rows {
    /// Adds the rows of a shard's artifact; `None` when they have another form than those that are here.
    pub fn add(&mut self, artifact: &[u8]) -> Option<()> {
        self.add_arrays(kept_file::arrays(artifact)?)
    }

    /// Adds rows from arrays of equal length, the photos' ids among them.
    pub fn add_arrays(&mut self, mut arrays: BTreeMap<String, Values>) -> Option<()> {
        let ids = arrays.remove(IDS)?.to_ids();
        if ids.is_empty() {
            return Some(()); // without rows, an array does not have the shape of one
        }
        let row_shape =
            |values: &Values| (values.shape.first() == Some(&ids.len())).then(|| values.shape[1..].to_vec());
        let shapes = arrays.iter().map(|(name, values)| Some((name.clone(), (values.dtype, row_shape(values)?))));
        let shapes: BTreeMap<_, _> = shapes.collect::<Option<_>>()?;
        if self.rows.is_empty() {
            self.shapes = shapes;
        } else if self.shapes != shapes {
            return None;
        }
        for (at, id) in ids.iter().enumerate() {
            let row = |values: &Values| {
                let length = values.bytes.len() / ids.len();
                values.bytes[at * length..(at + 1) * length].to_vec()
            };
            self.rows.insert(*id, arrays.values().map(row).collect());
        }
        Some(())
    }

    /// Returns the rows of an array of floats.
    pub fn vectors(&self, array: &str) -> BTreeMap<i64, Vec<f64>> {
        let place = self.shapes.iter().position(|(name, (dtype, _))| name == array && *dtype == Dtype::F32);
        let float = |bytes: &[u8]| f64::from(f32::from_le_bytes(bytes.try_into().expect("chunks have four bytes")));
        let row = |arrays: &Vec<Vec<u8>>| Some(arrays[place?].chunks_exact(4).map(float).collect());
        self.rows.iter().filter_map(|(id, arrays)| Some((*id, row(arrays)?))).collect()
    }

    /// Keeps the rows of some photos.
    pub fn retain(&mut self, is_kept: impl Fn(i64) -> bool) {
        self.rows.retain(|id, _| is_kept(*id));
    }

    /// Returns the photos that have a row.
    pub fn photos(&self) -> BTreeSet<i64> {
        self.rows.keys().copied().collect()
    }

    /// Returns the arrays with the rows of some photos, in the order of their ids.
    pub fn arrays(&self, photos: &BTreeSet<i64>) -> BTreeMap<String, Values> {
        let found: Vec<(i64, &Vec<Vec<u8>>)> =
            self.rows.iter().filter(|(id, _)| photos.contains(id)).map(|(id, row)| (*id, row)).collect();
        let ids: Vec<i64> = found.iter().map(|(id, _)| *id).collect();
        let values = |(place, (name, (dtype, row))): (usize, (&String, &(Dtype, Vec<usize>)))| {
            let bytes = found.iter().flat_map(|(_, arrays)| arrays[place].iter().copied()).collect();
            let shape = std::iter::once(found.len()).chain(row.iter().copied()).collect();
            (name.clone(), Values { dtype: *dtype, shape, bytes })
        };
        let arrays = self.shapes.iter().enumerate().map(values);
        arrays.chain([(IDS.to_owned(), Values::ids(&ids))]).collect()
    }

    /// Lays the rows of a shard's photos out as the stage did.
    pub fn artifact(&self, photos: &BTreeSet<i64>) -> Vec<u8> {
        safetensors::serialize(&self.arrays(photos), None).expect("each array has the bytes of its shape")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{Array, encode};

    fn artifact(ids: &[i64]) -> Vec<u8> {
        let values: Vec<f32> = ids.iter().flat_map(|id| [*id as f32, 0.5]).collect();
        encode(&[("image_id", Array::i64(ids)), ("embedding", Array::f32(&[ids.len(), 2], &values))]).unwrap()
    }

    #[test]
    fn artifacts_come_back_to_the_last_byte_whatever_shards_their_rows_came_from() {
        let mut rows = Rows::default();
        for shard in [&[7i64, 9][..], &[], &[1, 8]] {
            rows.add(&artifact(shard)).unwrap();
        }
        assert_eq!(rows.photos(), BTreeSet::from([1, 7, 8, 9]));
        assert_eq!(rows.artifact(&BTreeSet::from([1, 7, 9, 100])), artifact(&[1, 7, 9]));
        rows.retain(|id| id != 7);
        assert_eq!(rows.artifact(&BTreeSet::from([1, 7, 9])), artifact(&[1, 9]));
        let narrow = encode(&[("image_id", Array::i64(&[3])), ("embedding", Array::f32(&[1, 1], &[0.0]))]).unwrap();
        assert_eq!(rows.add(&narrow), None, "a row of another width");
        assert_eq!(rows.add(b"no artifact"), None);
    }
}
