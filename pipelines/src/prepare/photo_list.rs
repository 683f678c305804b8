//! The list of a plan's photos: what planning found, kept in the store for machines that list no folder.
//!
//! ```text
//! shards   (shard, class_id, class_name, photos, list)         one table; a class without photos has an empty shard
//! photos   (shard, image_id, path, box_x … box_h, digest)      tables of whole shards, named by their digests in `list`
//! answers  (unit, fingerprint)                                 one table: the requests of the units that read photos alone
//! ```
//!
//! A machine reads the tables of shards and of answers. What stands in the store under an answer's fingerprint needs no photo
//! any more; of the other shards that its units rest on it reads the lists. Each table is an artifact that is found by its own
//! digest, so that equal photos are kept once, whoever plans with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, UInt32Type};
use mlsm_data::{BoundingBox, Class, ClassId, Dataset, ImageId, Photo, Shard};
use mlsm_engine::{Graph, GraphError, NodeIndex, Plan, UnitRef};
use mlsm_errors::{Explanation, Fix};
use mlsm_store::{Blob, Digest, Fingerprint, Manifest, Request, Store};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Preparation, Scene, Source, bucket};
use crate::AssembleError;
use crate::artifact::{Column, read_table, table};
use crate::config::Config;
use crate::error::misfit;
use crate::photo_file::{KeptRoot, PhotoRoot};
use crate::recipe::field;

/// A list ends with the shard by which it has so many photos.
const ENOUGH: usize = 1 << 14;

/// The stage whose units read photos and nothing else.
const INGEST: &str = "ingest";

/// The stages that open photos.
const OPENING: [&str; 2] = [INGEST, "crop"];

/// The name of the only output of a table's request.
const TABLE: &str = "table";

/// Names the photos of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoList {
    /// The digest of the table of shards.
    pub shards: Digest,
    /// The digest of the table of answers.
    pub answers: Digest,
    /// How many photos there are.
    pub photos: usize,
    /// The name under which results are published.
    pub name: String,
    /// The path at which the photos begin, below the folder that is named or that the store keeps.
    pub below: String,
}

/// A scene whose photos are read from a list, as far as they are needed.
pub struct ListedScene {
    scene: Scene,
    /// The list that has each shard, in the order of the shards.
    lists: Vec<Digest>,
    /// The fingerprints of the units of `ingest`, by key.
    answers: BTreeMap<String, Fingerprint>,
}

/// The units of a graph that some need, apart from those whose answers are in the store.
pub struct Needed {
    units: BTreeSet<(NodeIndex, usize)>,
    answers: BTreeMap<(NodeIndex, usize), Arc<Manifest>>,
}

impl PhotoList {
    /// Keeps the photos of a scene, in the shards of its configuration. `plan`: that of its graph.
    ///
    /// # Errors
    /// [`AssembleError::Store`] when the store cannot be written.
    pub fn keep(config: &Config, scene: &Scene, plan: &Plan, store: &Store) -> Result<Self, AssembleError> {
        let source = &scene.source;
        let shards = source.shards(config.data.shard_photos);
        let mut rows: Vec<ShardRow> = Vec::new();
        let mut rest = shards.as_slice();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(first_list(rest));
            let list = keep(&photos_table(part, source)?, store)?;
            rows.extend(part.iter().map(|shard| ShardRow {
                shard: shard.id.clone(),
                class_id: shard.class_id,
                photos: shard.photos.len(),
                list: Some(list),
            }));
            rest = after;
        }
        let photos = rows.iter().map(|row| row.photos).sum();
        let filled: BTreeSet<ClassId> = rows.iter().map(|row| row.class_id).collect();
        let empty = source.dataset.class_ids().into_iter().filter(|class| !filled.contains(class));
        rows.extend(empty.map(|class_id| ShardRow { shard: String::new(), class_id, photos: 0, list: None }));
        let shards = keep(&shards_table(&rows, &source.dataset)?, store)?;
        let answers = keep(&answers_table(plan)?, store)?;
        Ok(Self { shards, answers, photos, name: source.name.clone(), below: source.below.clone() })
    }
}

/// Returns how many of the shards, one at least, make a list.
fn first_list(shards: &[Shard]) -> usize {
    let mut photos = 0;
    let is_enough = |shard: &Shard| {
        photos += shard.photos.len();
        photos >= ENOUGH
    };
    shards.iter().position(is_enough).map_or(shards.len(), |last| last + 1)
}

impl ListedScene {
    /// Reads which shards there are, none of their photos, and what else the configuration refers to.
    ///
    /// # Errors
    /// [`AssembleError::Config`] when the store does not have the list; as [`super::prepare`].
    pub fn open(config: &Config, list: &PhotoList, with: &Preparation<'_>) -> Result<Self, AssembleError> {
        let (mut classes, mut shards, mut lists) = (BTreeMap::new(), Vec::new(), Vec::new());
        for batch in read_table(&find(&list.shards, with.store)?)? {
            let (ids, names, in_list) =
                (u32s(&batch, "class_id")?, texts(&batch, "class_name")?, texts(&batch, "list")?);
            let shard_ids = texts(&batch, "shard")?;
            for row in 0..batch.num_rows() {
                let class_id = ClassId(ids[row]);
                classes.insert(class_id, names[row].to_owned());
                if !in_list[row].is_empty() {
                    shards.push(Shard { id: shard_ids[row].to_owned(), class_id, photos: Vec::new() });
                    lists.push(digest_of(in_list[row])?);
                }
            }
        }
        let classes = classes.into_iter().map(|(class_id, name)| Class { class_id, name }).collect();
        let dataset = Dataset::new(Path::new("").to_owned(), classes, Vec::new());
        let source = Source {
            root: root(config, list, with)?,
            below: list.below.clone(),
            listed: Some(shards),
            ..Source::of(dataset, BTreeMap::new(), list.name.clone())
        };
        let answers = answers(&find(&list.answers, with.store)?)?;
        Ok(Self { scene: super::whole(config, source, with)?, lists, answers })
    }

    /// Finds what some units of the scene's graph need, and reads the photos of those shards of which anything is to be computed
    /// or cut. The graph must be assembled anew before it can run.
    ///
    /// # Errors
    /// As [`ListedScene::open`].
    pub fn read_for(&mut self, units: &[UnitRef], graph: &Graph, store: &Store) -> Result<Needed, AssembleError> {
        let mut needed = Needed { units: graph.needed_for(units), answers: BTreeMap::new() };
        let asked = |node: NodeIndex, unit: usize| units.contains(&UnitRef { node, unit });
        let mut shards = BTreeSet::new();
        for (node, unit) in needed.units.iter().copied() {
            let (stage, found) = (graph.node(node).stage, graph.unit(UnitRef { node, unit }));
            let fingerprint = self.answers.get(&found.key()).filter(|_| stage == INGEST && !asked(node, unit));
            let answer = fingerprint.map(|fingerprint| store.lookup(fingerprint)).transpose()?.flatten();
            match answer {
                Some(answer) => drop(needed.answers.insert((node, unit), answer)),
                None if OPENING.contains(&stage) => drop(shards.insert(found.shard.clone())),
                None => {}
            }
        }
        needed.units.retain(|place| !needed.answers.contains_key(place));
        self.read(&shards, store)?;
        Ok(needed)
    }

    /// Returns the scene. Units of shards whose photos were not read cannot run.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Reads the photos of some shards.
    fn read(&mut self, shards: &BTreeSet<String>, store: &Store) -> Result<(), AssembleError> {
        let source = &mut self.scene.source;
        let listed = source.listed.get_or_insert_default();
        let wanted = listed.iter().zip(&self.lists).filter(|(shard, _)| shards.contains(&shard.id));
        let wanted: BTreeSet<&Digest> = wanted.map(|(_, list)| list).collect();
        let wanted: Vec<&Digest> = wanted.into_iter().collect();
        let rows = |list: &&Digest| -> Result<Vec<Row>, AssembleError> { photo_rows(&find(list, store)?, shards) };
        let read: Result<Vec<Vec<Row>>, AssembleError> = wanted.par_iter().map(rows).collect();
        let mut by_shard: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in read?.into_iter().flatten() {
            by_shard.entry(row.shard.clone()).or_default().push(row);
        }
        for shard in listed.iter_mut().filter(|shard| shard.photos.is_empty()) {
            let Some(rows) = by_shard.remove(&shard.id) else { continue };
            source.digests.extend(rows.iter().map(|row| (row.image_id, row.digest)));
            let class_id = shard.class_id;
            let photo = |Row { image_id, path, bbox, .. }| Photo { image_id, class_id, path, bbox };
            shard.photos = rows.into_iter().map(photo).collect();
        }
        Ok(())
    }
}

impl Needed {
    /// Returns the part of a graph that has to run. `graph`: assembled of the scene for which this was found.
    ///
    /// # Errors
    /// [`AssembleError::Graph`] for another graph.
    pub fn part_of(&self, graph: &Graph) -> Result<Graph, AssembleError> {
        let known = |at: UnitRef, output| {
            let answer = self.answers.get(&(at.node, at.unit)).and_then(|answer| answer.outputs.get(output));
            answer.map(|found| found.digest).ok_or_else(|| GraphError::Later { unit: graph.unit(at).key(), output })
        };
        Ok(graph.part(|at| self.units.contains(&(at.node, at.unit)), known)?)
    }
}

/// Where the photos of a list lie on this machine; nothing is looked at before one of them is read.
fn root(config: &Config, list: &PhotoList, with: &Preparation<'_>) -> Result<PhotoRoot, AssembleError> {
    if let Some(address) = config.bucket() {
        return Ok(PhotoRoot::Bucket { objects: bucket::place(address, with)?, below: list.below.as_str().into() });
    }
    Ok(match config.data_path().filter(|path| !path.is_file()) {
        Some(folder) => PhotoRoot::Folder(folder.join(&list.below).into()),
        None => PhotoRoot::Kept(Arc::new(KeptRoot::new(config.clone(), list.below.clone()))),
    })
}

/// A row of the table of shards.
struct ShardRow {
    shard: String,
    class_id: ClassId,
    photos: usize,
    list: Option<Digest>,
}

fn shards_table(rows: &[ShardRow], dataset: &Dataset) -> Result<Vec<u8>, AssembleError> {
    let name = |class| dataset.class(class).map_or_else(String::new, |class| class.name.clone());
    Ok(table(vec![
        Column::Text("shard", rows.iter().map(|row| row.shard.clone()).collect()),
        Column::U32("class_id", rows.iter().map(|row| row.class_id.0).collect()),
        Column::Text("class_name", rows.iter().map(|row| name(row.class_id)).collect()),
        Column::I64("photos", rows.iter().map(|row| row.photos as i64).collect()),
        Column::Text("list", rows.iter().map(|row| row.list.map_or_else(String::new, |d| d.to_string())).collect()),
    ])?)
}

fn photos_table(shards: &[Shard], source: &Source) -> Result<Vec<u8>, AssembleError> {
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
struct Row {
    shard: String,
    image_id: ImageId,
    path: String,
    bbox: Option<BoundingBox>,
    digest: Digest,
}

/// Reads the photos of some shards from a list, in its order.
fn photo_rows(bytes: &[u8], shards: &BTreeSet<String>) -> Result<Vec<Row>, AssembleError> {
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
fn answers_table(plan: &Plan) -> Result<Vec<u8>, AssembleError> {
    let units = plan.nodes.iter().filter(|node| node.stage == INGEST).flat_map(|node| &node.units);
    let known = units.filter_map(|unit| Some((unit.key.clone(), unit.fingerprint?.to_string())));
    let (units, fingerprints) = known.unzip();
    Ok(table(vec![Column::Text("unit", units), Column::Text("fingerprint", fingerprints)])?)
}

fn answers(bytes: &[u8]) -> Result<BTreeMap<String, Fingerprint>, AssembleError> {
    let mut answers = BTreeMap::new();
    for batch in read_table(bytes)? {
        for (unit, text) in texts(&batch, "unit")?.into_iter().zip(texts(&batch, "fingerprint")?) {
            let fingerprint = text.parse().map_err(|_| no_list(format!("`{text}` is no fingerprint")))?;
            answers.insert(unit.to_owned(), fingerprint);
        }
    }
    Ok(answers)
}

/// Asks for a table by its digest.
fn request(digest: &Digest) -> Request {
    let recipe = vec![field("digest", digest.to_string())];
    Request { stage: "photo-list".to_owned(), version: 1, recipe, inputs: Vec::new() }
}

/// Keeps a table where every machine that sees the store finds it.
fn keep(table: &[u8], store: &Store) -> Result<Digest, AssembleError> {
    let output = store.put(table)?;
    store.commit(request(&output.digest), BTreeMap::from([(TABLE.to_owned(), output)]), BTreeMap::new())?;
    Ok(output.digest)
}

fn find(digest: &Digest, store: &Store) -> Result<Blob, AssembleError> {
    match store.lookup(&request(digest).fingerprint())? {
        Some(_) => Ok(store.open_blob(digest)?),
        None => {
            let said = Explanation::new("the list of the plan's photos is not in the store").because(format!(
                "{} does not have {}: it was collected, or the plan was drawn on another store",
                store.root().display(),
                digest.short()
            ));
            Err(AssembleError::Config(said.fix(Fix::NewPlan).fix(Fix::OtherStore)))
        }
    }
}

fn digest_of(text: &str) -> Result<Digest, AssembleError> {
    Ok(text.parse().map_err(|_| no_list(format!("`{text}` is no digest")))?)
}

fn no_list(why: impl Into<String>) -> mlsm_engine::StageError {
    misfit("cannot read the list of the plan's photos", why)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::ArrayRef, AssembleError> {
    Ok(batch.column_by_name(name).ok_or_else(|| no_list(format!("it has no column {name}")))?)
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<Vec<&'a str>, AssembleError> {
    let array = column(batch, name)?.as_string_opt::<i32>().ok_or_else(|| no_list(format!("{name} is no text")))?;
    Ok((0..array.len()).map(|row| array.value(row)).collect())
}

fn u32s<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [u32], AssembleError> {
    let array = column(batch, name)?.as_primitive_opt::<UInt32Type>();
    Ok(array.ok_or_else(|| no_list(format!("{name} is no whole number")))?.values())
}

fn f32s(batch: &RecordBatch, name: &str) -> Result<Vec<Option<f32>>, AssembleError> {
    let array = column(batch, name)?.as_primitive_opt::<Float32Type>();
    Ok(array.ok_or_else(|| no_list(format!("{name} is no number")))?.iter().collect())
}

#[cfg(test)]
mod tests {
    use mlsm_engine::{Cancel, Event};
    use mlsm_errors::Explain as _;
    use mlsm_store::{Access, StoreError};
    use tempfile::TempDir;

    use super::*;
    use crate::prepare::Purpose;

    /// Three classes of 10,000 photos and one without; every third photo has a box.
    fn scene() -> Scene {
        let class = |id: u32| Class { class_id: ClassId(id), name: format!("{id:03}.bird") };
        let bbox = |id: u32| (id % 3 == 0).then_some(BoundingBox { x: id as f32 / 7.0, y: 0.1, w: 3.0, h: 4.0 });
        let photo = |id: u32| Photo {
            image_id: ImageId(id),
            class_id: ClassId(id / 10_000 + 1),
            path: format!("{}/{id}.jpg", id / 10_000 + 1),
            bbox: bbox(id),
        };
        let dataset =
            Dataset::new("/data/cub/images".into(), (1..=4).map(class).collect(), (0..30_000).map(photo).collect());
        let digests = (0..30_000u32).map(|id| (ImageId(id), Digest::of(&id.to_le_bytes()))).collect();
        let source = Source { below: "images".to_owned(), ..Source::of(dataset, digests, "cub".to_owned()) };
        Scene { source, split: None, weights: BTreeMap::new() }
    }

    const NO_PLAN: Plan = Plan { nodes: Vec::new() };

    fn kept(config: &Config) -> (TempDir, Store, PhotoList) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::ReadWrite).unwrap();
        let list = PhotoList::keep(config, &scene(), &NO_PLAN, &store).unwrap();
        (folder, store, list)
    }

    fn open(config: &Config, list: &PhotoList, store: &Store) -> Result<ListedScene, AssembleError> {
        let (purpose, cancel) = (Purpose::Run, &Cancel::default());
        ListedScene::open(
            config,
            list,
            &Preparation {
                store,
                purpose,
                cancel,
                subscriber: &|_: &Event| {},
                objects: &|_: &str| Err(StoreError::Stopped),
            },
        )
    }

    #[test]
    fn the_shards_that_are_asked_for_have_the_photos_that_were_found_and_the_others_none() {
        let mut config = Config::default();
        config.data.path = Some("/data/cub".into());
        let (_folder, store, list) = kept(&config);
        assert_eq!((list.photos, list.name.as_str(), list.below.as_str()), (30_000, "cub", "images"));
        let mut listed = open(&config, &list, &store).unwrap();
        assert_eq!(listed.scene().source.dataset.classes, scene().source.dataset.classes);
        let all = scene().source.shards(config.data.shard_photos);
        let wanted = BTreeSet::from([all[0].id.clone(), all[all.len() - 1].id.clone()]);
        assert_ne!(listed.lists[0], listed.lists[all.len() - 1], "they lie in two lists");
        listed.read(&wanted, &store).unwrap();
        let source = &listed.scene().source;
        for (found, planned) in source.listed.iter().flatten().zip(&all) {
            let photos = if wanted.contains(&planned.id) { planned.photos.clone() } else { Vec::new() };
            assert_eq!(*found, Shard { photos, ..planned.clone() });
        }
        let photo = &all[0].photos[0];
        assert_eq!(source.digests[&photo.image_id], Digest::of(&photo.image_id.0.to_le_bytes()));
        let file = source.file(photo);
        assert_eq!(file.name(), format!("/data/cub/images/{}", photo.path));
    }

    #[test]
    fn equal_photos_are_kept_once_and_a_photo_more_makes_one_list_anew() {
        let config = Config::default();
        let (_folder, store, list) = kept(&config);
        let manifests = store.fingerprints();
        assert_eq!(PhotoList::keep(&config, &scene(), &NO_PLAN, &store).unwrap(), list);
        assert_eq!(store.fingerprints(), manifests);
        let mut other = scene();
        other.source.digests.insert(ImageId(7), Digest::of(b"another photo"));
        assert_ne!(PhotoList::keep(&config, &other, &NO_PLAN, &store).unwrap().shards, list.shards);
        assert_eq!(store.fingerprints().len(), manifests.len() + 2, "a list, and the table that names it");
    }

    #[test]
    fn a_store_without_the_list_is_refused_and_what_helps_is_another_plan() {
        let config = Config::default();
        let (_folder, store, mut list) = kept(&config);
        list.shards = Digest::of(b"a list of another store");
        let refused = open(&config, &list, &store).err().unwrap().explain();
        assert_eq!(refused.fixes, [Fix::NewPlan, Fix::OtherStore]);
    }
}
