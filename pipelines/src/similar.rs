//! Which photos of a folder resemble a photo most: cosines of centred, unit-length embeddings, those that a row of nearest
//! class means compares. Every photo is a shard of its own, so that only new ones are computed.

use std::collections::{BTreeMap, BTreeSet};

use mlsm_data::{OwnPhotos, Photo};
use mlsm_engine::{Graph, InputSource, UnitRef};
use mlsm_errors::{Explanation, Fix};
use mlsm_store::Digest;

use crate::AssembleError;
use crate::assemble::Assembly;
use crate::prepare::Scene;
use crate::support::{Made, Rows};

/// What a row of nearest class means reads.
const EMBEDDING: &str = "embedding";

/// A photo of the folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Resembling {
    /// Its path below the folder.
    pub path: String,
    /// The cosine, from -1 to 1.
    pub score: f64,
}

/// The photos of a folder by how they resemble one.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Those that could be read, the most similar first; of equal ones the first by path.
    pub photos: Vec<Resembling>,
    /// The paths of those that could not be read.
    pub unread: Vec<String>,
}

/// What the names of nodes that compute embeddings begin with.
pub const EXTRACT: &str = "extract:";
/// The aspect of whole photos.
const WHOLE: &str = "image";

/// Keeps of a graph what gives the embeddings that a row reads, or those of a node of `extract`; imported weights are known
/// without training a head on them.
///
/// # Errors
/// [`AssembleError::Config`] when the row compares no embeddings, or a network would have to be learnt and there is nothing
/// to learn from.
pub fn wire(assembly: Assembly, scene: &Scene, node: &str) -> Result<Assembly, AssembleError> {
    let graph = &assembly.graph;
    let row = node.split_once(':').map_or(node, |(_, row)| row);
    let is_row = !node.starts_with(EXTRACT);
    if is_row && !read_by(graph, node).iter().all(|(_, output)| *output == EMBEDDING) {
        let said = Explanation::new(format!("row {row} says of no two photos how similar they are"));
        let said = said.because("it does not compare stored embeddings");
        return Err(AssembleError::Config(said.fix(Fix::OtherRow { such_as: "cl2n" })));
    }
    let has_photos = !of_config(scene).is_empty();
    if !is_row && !has_photos {
        let said = Explanation::new(format!("{node} has no photos to compare with"));
        let said = said.because("the configuration names none");
        return Err(AssembleError::Config(said.fix("name a folder of photos").fix(Fix::set("data.path", "FOLDER"))));
    }
    let below = graph.units_below(node);
    let is_kept = |at: UnitRef| {
        let is_read = !is_row || graph.node(at.node).id != node;
        let is_computed = has_photos || !graph.unit(at).shard.is_empty();
        below.contains(&(at.node, at.unit)) && is_read && is_computed
    };
    let known = |at: UnitRef, output: &'static str| -> Result<Digest, AssembleError> {
        let name = &graph.node(at.node).id;
        let weights = name.strip_prefix("train-base:").and_then(|base| scene.weights.get(base));
        match weights {
            Some(InputSource::Known(digest)) if output == "backbone" => Ok(*digest),
            _ => {
                let said = Explanation::new(format!("photos cannot be compared by row {row}"));
                let said = said.because(format!("{name} learns from photos with labels, and there are none"));
                Err(AssembleError::Config(said.fix(Fix::other("data.path")).fix(Fix::OtherRow { such_as: "cl2n" })))
            }
        }
    };
    let graph = graph.part(is_kept, known)?;
    Ok(Assembly { graph, ..assembly })
}

/// Ranks the photos of the folder. `row`: what [`embeddings`] returned of the whole graph.
///
/// # Errors
/// [`AssembleError::Data`] when the photo itself could not be read; [`AssembleError`] when an artifact is damaged.
pub fn rank(made: &Made<'_>, row: &[[String; 2]]) -> Result<Ranking, AssembleError> {
    let own = made.scene.source.own.as_ref().expect("the scene was prepared beside the own photos");
    let listed = of_config(made.scene);
    let mut asked: BTreeMap<i64, &str> = own.asked().map(|(id, path)| (i64::from(id.0), path)).collect();
    if asked.is_empty() {
        let photos = made.scene.source.dataset.photos.iter().map(|photo| (i64::from(photo.image_id.0), photo));
        asked.extend(photos.filter(|(id, _)| listed.contains(id)).map(|(id, photo)| (id, photo.path.as_str())));
    }
    let mut sides = Vec::new();
    for [node, aspect] in row {
        let rows = made.rows([node, aspect, EMBEDDING])?;
        sides.push(unit_length(
            &rows,
            &if listed.is_empty() { asked.keys().copied().collect() } else { listed.clone() },
        ));
    }
    let photo = |own: &OwnPhotos| {
        let mut others = own.photos().iter().filter(|photo| photo.class_id != own.query_class());
        others.next().map(|photo: &Photo| (i64::from(photo.image_id.0), photo.path.clone()))
    };
    let (photo, name) = photo(own).expect("there is one photo that the others are compared with");
    if sides.iter().any(|side| !side.contains_key(&photo)) {
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        let said = Explanation::new(format!("photo {name} could not be read")).because("it cannot be decoded");
        return Err(AssembleError::Data(said.fix("give a photo that can be read")));
    }
    let (mut photos, mut unread) = (Vec::new(), Vec::new());
    for (id, path) in asked {
        let cosine = |side: &BTreeMap<i64, Vec<f64>>| Some(dot(&side[&photo], side.get(&id)?));
        match sides.iter().map(cosine).sum::<Option<f64>>() {
            Some(sum) => photos.push(Resembling { path: path.to_owned(), score: sum / sides.len() as f64 }),
            None => unread.push(path.to_owned()),
        }
    }
    photos.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.path.cmp(&b.path)));
    unread.sort();
    Ok(Ranking { photos, unread })
}

/// Returns the nodes and aspects whose embeddings a row reads, each once; of a node of `extract`, those of whole photos.
pub fn embeddings(graph: &Graph, node: &str) -> Vec<[String; 2]> {
    if node.starts_with(EXTRACT) {
        return vec![[node, WHOLE].map(str::to_owned)];
    }
    let of = |(at, _): &(UnitRef, &str)| [graph.node(at.node).id.clone(), graph.unit(*at).aspect.clone()];
    read_by(graph, node).iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns what a row reads of other units.
fn read_by(graph: &Graph, node: &str) -> Vec<(UnitRef, &'static str)> {
    let units = graph.nodes().iter().filter(|known| known.id == node).flat_map(|known| &known.units);
    let source = |source: &InputSource| match source {
        InputSource::Output(at, output) => Some((*at, *output)),
        _ => None,
    };
    units.flat_map(|unit| &unit.inputs).filter_map(|input| source(&input.source)).collect()
}

/// Returns the photos that a configuration has.
fn of_config(scene: &Scene) -> BTreeSet<i64> {
    let own = scene.source.own.as_ref();
    let others = scene.source.dataset.photos.iter().filter(|photo| !own.is_some_and(|own| own.has(photo.class_id)));
    others.map(|photo| i64::from(photo.image_id.0)).collect()
}

/// Subtracts the mean of some photos, where there are two or more, and scales each vector to length one; a vector that is the
/// mean stays zero.
fn unit_length(rows: &Rows, centred_by: &BTreeSet<i64>) -> BTreeMap<i64, Vec<f64>> {
    let vectors = rows.vectors(EMBEDDING);
    let centre: Vec<&Vec<f64>> = centred_by.iter().filter_map(|id| vectors.get(id)).collect();
    let mean = |at: usize| match centre.len() {
        0 | 1 => 0.0,
        n => centre.iter().map(|vector| vector[at]).sum::<f64>() / n as f64,
    };
    let width = vectors.values().next().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..width).map(mean).collect();
    let scaled = |vector: &Vec<f64>| {
        let moved: Vec<f64> = vector.iter().zip(&mean).map(|(value, mean)| value - mean).collect();
        let length = dot(&moved, &moved).sqrt();
        if length > 0.0 { moved.iter().map(|value| value / length).collect() } else { moved }
    };
    vectors.iter().map(|(id, vector)| (*id, scaled(vector))).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{Array, encode};

    #[test]
    fn vectors_are_centred_by_the_photos_named_and_have_length_one() {
        let values = [1.0f32, 1.0, 3.0, 1.0, 2.0, 5.0];
        let artifact =
            encode(&[("image_id", Array::i64(&[1, 2, 3])), (EMBEDDING, Array::f32(&[3, 2], &values))]).unwrap();
        let mut rows = Rows::default();
        rows.add(&artifact).unwrap();
        let centred = unit_length(&rows, &BTreeSet::from([1, 2]));
        assert_eq!(centred, BTreeMap::from([(1, vec![-1.0, 0.0]), (2, vec![1.0, 0.0]), (3, vec![0.0, 1.0])]));
        let one = unit_length(&rows, &BTreeSet::from([1]));
        assert!((dot(&one[&1], &one[&2]) - 4.0 / 20f64.sqrt()).abs() < 1e-12, "one photo is no centre");
        assert_eq!(unit_length(&rows, &BTreeSet::from([1, 2, 3]))[&1].len(), 2);
    }
}
