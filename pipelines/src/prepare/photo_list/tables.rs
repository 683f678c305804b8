//! The tables of a list of photos, written and read.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, UInt32Type};
use mlsm_data::{BoundingBox, ClassId, Dataset, ImageId, Photo, Shard};
use mlsm_engine::{Plan, StageError};
use mlsm_store::{Digest, Fingerprint};

use super::INGEST;
use crate::AssembleError;
use crate::artifact::{Column, read_table, table};
use crate::error::misfit;
use crate::prepare::Source;

/// A row of the table of shards.
pub(super) struct ShardRow {
    pub shard: String,
    pub class_id: ClassId,
    pub photos: usize,
    pub list: Option<Digest>,
}

pub(super) fn shards_table(rows: &[ShardRow], dataset: &Dataset) -> Result<Vec<u8>, AssembleError> {
    let name = |class| dataset.class(class).map_or_else(String::new, |class| class.name.clone());
    Ok(table(vec![
        Column::Text("shard", rows.iter().map(|row| row.shard.clone()).collect()),
        Column::U32("class_id", rows.iter().map(|row| row.class_id.0).collect()),
        Column::Text("class_name", rows.iter().map(|row| name(row.class_id)).collect()),
        Column::I64("photos", rows.iter().map(|row| row.photos as i64).collect()),
        Column::Text("list", rows.iter().map(|row| row.list.map_or_else(String::new, |d| d.to_string())).collect()),
    ])?)
}

pub(super) fn photos_table(shards: &[Shard], source: &Source) -> Result<Vec<u8>, AssembleError> {
    let rows: Vec<(&Shard, &Photo)> =
        shards.iter().flat_map(|s| s.photos.iter().map(move |photo| (s, photo))).collect();
    let side = |pick: fn(&BoundingBox) -> f32| rows.iter().map(|(_, p)| p.bbox.as_ref().map(pick)).collect();
    let digest = |photo: &Photo| source.digests.get(&photo.image_id).map_or_else(String::new, Digest::to_string);
    Ok(table(vec![
        Column::Text("shard", rows.iter().map(|(shard, _)| shard.id.clone()).collect()),
        Column::U32("image_id", rows.iter().map(|(_, photo)| photo.image_id.0).collect()),
        Column::Text("path", rows.iter().map(|(_, photo)| photo.path.clone()).collect()),
        Column::F32("box_x", side(|b| b.x)),
        Column::F32("box_y", side(|b| b.y)),
        Column::F32("box_w", side(|b| b.w)),
        Column::F32("box_h", side(|b| b.h)),
        Column::Text("digest", rows.iter().map(|(_, photo)| digest(photo)).collect()),
    ])?)
}

/// A row of a list of photos.
pub(super) struct Row {
    pub shard: String,
    pub image_id: ImageId,
    pub path: String,
    pub bbox: Option<BoundingBox>,
    pub digest: Digest,
}

/// Reads the photos of some shards from a list, in its order.
pub(super) fn photo_rows(bytes: &[u8], shards: &BTreeSet<String>) -> Result<Vec<Row>, AssembleError> {
    let mut rows = Vec::new();
    for batch in read_table(bytes)? {
        let (shard, ids, paths) = (texts(&batch, "shard")?, u32s(&batch, "image_id")?, texts(&batch, "path")?);
        let digests = texts(&batch, "digest")?;
        let sides = ["box_x", "box_y", "box_w", "box_h"].map(|name| f32s(&batch, name));
        let [x, y, w, h] = sides;
        let (x, y, w, h) = (x?, y?, w?, h?);
        for row in (0..batch.num_rows()).filter(|row| shards.contains(shard[*row])) {
            let bbox = match (x[row], y[row], w[row], h[row]) {
                (Some(x), Some(y), Some(w), Some(h)) => Some(BoundingBox { x, y, w, h }),
                _ => None,
            };
            rows.push(Row {
                shard: shard[row].to_owned(),
                image_id: ImageId(ids[row]),
                path: paths[row].to_owned(),
                bbox,
                digest: digest_of(digests[row])?,
            });
        }
    }
    Ok(rows)
}

/// The requests of units that read photos alone: those of `ingest`.
pub(super) fn answers_table(plan: &Plan) -> Result<Vec<u8>, AssembleError> {
    let units = plan.nodes.iter().filter(|node| node.stage == INGEST).flat_map(|node| &node.units);
    let known = units.filter_map(|unit| Some((unit.key.clone(), unit.fingerprint?.to_string())));
    let (units, fingerprints) = known.unzip();
    Ok(table(vec![Column::Text("unit", units), Column::Text("fingerprint", fingerprints)])?)
}

pub(super) fn answers(bytes: &[u8]) -> Result<BTreeMap<String, Fingerprint>, AssembleError> {
    let mut answers = BTreeMap::new();
    for batch in read_table(bytes)? {
        for (unit, text) in texts(&batch, "unit")?.into_iter().zip(texts(&batch, "fingerprint")?) {
            let fingerprint = text.parse().map_err(|_| no_list(format!("`{text}` is no fingerprint")))?;
            answers.insert(unit.to_owned(), fingerprint);
        }
    }
    Ok(answers)
}

pub(super) fn digest_of(text: &str) -> Result<Digest, AssembleError> {
    Ok(text.parse().map_err(|_| no_list(format!("`{text}` is no digest")))?)
}

fn no_list(why: impl Into<String>) -> StageError {
    misfit("cannot read the list of the plan's photos", why)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, AssembleError> {
    Ok(batch.column_by_name(name).ok_or_else(|| no_list(format!("it has no column {name}")))?)
}

pub(super) fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<Vec<&'a str>, AssembleError> {
    let array = column(batch, name)?.as_string_opt::<i32>().ok_or_else(|| no_list(format!("{name} is no text")))?;
    Ok((0..array.len()).map(|row| array.value(row)).collect())
}

pub(super) fn u32s<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [u32], AssembleError> {
    let array = column(batch, name)?.as_primitive_opt::<UInt32Type>();
    Ok(array.ok_or_else(|| no_list(format!("{name} is no whole number")))?.values())
}

fn f32s(batch: &RecordBatch, name: &str) -> Result<Vec<Option<f32>>, AssembleError> {
    let array = column(batch, name)?.as_primitive_opt::<Float32Type>();
    Ok(array.ok_or_else(|| no_list(format!("{name} is no number")))?.iter().collect())
}
