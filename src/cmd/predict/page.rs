//! What the page of `mlsm predict --report` is written from: predictions, and what the store keeps of the photos.

use std::collections::{BTreeMap, BTreeSet};

use mlsm_data::OwnPhotos;
use mlsm_engine::Graph;
use mlsm_pipelines::album::Album;
use mlsm_pipelines::predictions::{Photo, Predictions};
use mlsm_store::{RunRecord, Store};

use super::answer;
use crate::error::CliError;
use crate::render::report::content::PhotoLine;
use crate::render::report::predictions::{Predicted, PredictedPhoto};

/// Classes of a photo that are named.
const CLASSES: usize = 5;

/// What predicted, and of what.
pub struct Source<'a> {
    /// The photos.
    pub own: &'a OwnPhotos,
    /// The graph of the run.
    pub graph: &'a Graph,
    /// The node that predicted.
    pub node: &'a str,
    /// The run.
    pub run: &'a RunRecord,
    /// The recorded run that computed it: this one, or an earlier one.
    pub run_id: &'a str,
    /// Where its artifacts are.
    pub store: &'a Store,
}

/// Reads what the page shows. `unknown_below`: how probable a class must be.
///
/// # Errors
/// [`CliError`] when an artifact is damaged.
pub fn gather(
    predictions: &Predictions,
    source: &Source<'_>,
    unknown_below: Option<f64>,
    comments: Vec<String>,
) -> Result<Predicted, CliError> {
    let Source { own, graph, node, run, run_id, store } = source;
    let ids: BTreeMap<&str, i64> = own.asked().map(|(id, path)| (path, i64::from(id.0))).collect();
    let album = Album::open(store, run)?;
    let (read, unread): (Vec<&Photo>, Vec<&Photo>) =
        predictions.photos.iter().partition(|photo| !photo.ranked.is_empty());
    let nearest = read.iter().flat_map(|photo| photo.nearest.iter().map(|(id, _)| i64::from(*id)));
    let images: BTreeSet<i64> =
        read.iter().filter_map(|photo| ids.get(photo.path.as_str()).copied()).chain(nearest).collect();
    let boxes = match drawn_by(graph, node) {
        Some(crop) => album.boxes(crop, &images)?,
        None => BTreeMap::new(),
    };
    let photo = |photo: &&Photo| {
        let image_id = *ids.get(photo.path.as_str())?;
        Some(PredictedPhoto {
            image_id,
            path: photo.path.clone(),
            answer: answer::class(predictions, photo, unknown_below).to_owned(),
            ranked: answer::likeliest(predictions, photo, CLASSES),
            nearest: photo.nearest.iter().map(|(id, score)| (i64::from(*id), *score)).collect(),
            object: boxes.get(&image_id).copied(),
        })
    };
    Ok(Predicted {
        run_id: run_id.to_string(),
        row: node.strip_prefix(super::NODE).unwrap_or(node).to_owned(),
        classes: labelled(own),
        comments,
        photos: read.iter().filter_map(photo).collect(),
        unread: unread.into_iter().map(|photo| photo.path.clone()).collect(),
        lines: lines(own, &album.sizes(&images)?),
        pixels: album.photos(&images)?,
    })
}

/// Returns the node that drew the boxes that a node's row rests on, directly or through others.
fn drawn_by<'a>(graph: &'a Graph, node: &str) -> Option<&'a str> {
    let mut next: Vec<_> = graph.nodes().iter().filter(|known| known.id == node).collect();
    let mut seen = BTreeSet::new();
    while let Some(node) = next.pop() {
        if node.stage == "crop" {
            return Some(&node.id);
        }
        let upstream = graph.upstream(node).map(|at| graph.node(at));
        next.extend(upstream.filter(|node| seen.insert(node.id.clone())));
    }
    None
}

/// Counts the labelled photos of each class.
fn labelled(own: &OwnPhotos) -> BTreeMap<String, usize> {
    let named = own.classes().iter().filter(|class| class.class_id != own.query_class());
    let count = |class_id| own.photos().iter().filter(|photo| photo.class_id == class_id).count();
    named.map(|class| (class.name.clone(), count(class.class_id))).collect()
}

fn lines(own: &OwnPhotos, sizes: &BTreeMap<i64, [u32; 2]>) -> BTreeMap<i64, PhotoLine> {
    let names: BTreeMap<_, _> = own.classes().iter().map(|class| (class.class_id, class.name.as_str())).collect();
    let line = |photo: &mlsm_data::Photo| {
        let image_id = i64::from(photo.image_id.0);
        // Of a photo in a support file there is a name alone, and no picture that a size would be of.
        let nominal = own.is_stored(photo).then_some([1.0, 1.0]);
        let size_px = sizes.get(&image_id).map(|size| size.map(f64::from)).or(nominal)?;
        let class_name = names.get(&photo.class_id).copied().unwrap_or_default().to_owned();
        Some((image_id, PhotoLine { image_id, path: photo.path.clone(), class_name, size_px, ..PhotoLine::default() }))
    };
    own.photos().iter().filter_map(line).collect()
}
