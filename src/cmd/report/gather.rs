//! What the HTML report is written from: published tables and artifacts of the run, each checked against its digest.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::Array as _;
use mlsm_pipelines::album::{Album, Square};
use mlsm_pipelines::results::Summary;
use mlsm_pipelines::{CONFIG, Config};
use mlsm_store::{Published, RunRecord, Store};

use super::columns::each;
use super::extremes::{Extremes, Kept};
use super::{embedding, episode, lineage};
use crate::error::CliError;
use crate::render::report::content::{
    Configuration, Confusions, Content, CurvePoint, Found, Gallery, NodeTime, PhotoLine, Shown,
};
use crate::settings;

/// Reads everything.
///
/// # Errors
/// [`CliError::Store`] when something is damaged, [`CliError::Usage`] when a table is of another layout.
pub fn content(store: &Store, published: &Published, summary: Summary) -> Result<Content, CliError> {
    let run_id = published.run_id().to_owned();
    let run = store.runs().list()?.into_iter().find(|run| run.run_id == run_id);
    let run = run.ok_or_else(|| "the record of the run is not in the store".to_owned());
    let kept = Extremes::read(published)?;
    let mut confusions = confusions(published)?;
    let classes = class_names(published)?;
    let episode = episode::read(published, &summary, &classes)?;
    let of_episode = episode.iter().flat_map(|e| e.support.iter().copied().chain(e.queries.iter().map(|q| q.image_id)));
    let embeddings = embedding::read(published)?;
    let of_map = embeddings.iter().flat_map(embedding::Embeddings::images);
    let wanted = kept.iter().flat_map(Extremes::images).chain(of_episode).chain(of_map).collect();
    let lines = photo_lines(published, &wanted, confusions.as_mut().ok())?;
    let (photos, galleries) = match &run {
        Ok(run) => pictures(store, run, kept, &lines, &classes)?,
        Err(why) => (BTreeMap::new(), Err(why.clone())),
    };
    let lineage = match &run {
        Ok(run) => lineage::read(store, run)?,
        Err(why) => Err(why.clone()),
    };
    Ok(Content {
        lineage,
        curves: curves(published)?,
        times: times(published, &run_id)?,
        configuration: configuration(published, run.as_ref().ok())?,
        run_id,
        run,
        summary,
        confusions,
        episode,
        embedding: embeddings.map(|embeddings| embeddings.map(&lines)),
        galleries,
        photos,
        lines,
    })
}

fn absent(table: &str, why: &str) -> String {
    format!("the run has no table `{table}`{why}")
}

fn curves(published: &Published) -> Result<Found<Vec<CurvePoint>>, CliError> {
    let mut points = Vec::new();
    let is_there = each(published, "training", &["node", "step", "split", "metric", "value"], &mut |rows| {
        let (node, split, metric) = (rows.texts("node")?, rows.texts("split")?, rows.texts("metric")?);
        let (step, value) = (rows.ints("step")?, rows.reals("value")?);
        points.extend((0..rows.rows()).filter(|i| value.is_valid(*i)).map(|i| CurvePoint {
            node: node.value(i).to_owned(),
            split: split.value(i).to_owned(),
            metric: metric.value(i).to_owned(),
            step: step.value(i),
            value: value.value(i),
        }));
        Ok(())
    })?;
    Ok(if is_there { Ok(points) } else { Err(absent("training", ": nothing was trained")) })
}

/// Counts the predictions; names and photos are added by [`photo_lines`].
fn confusions(published: &Published) -> Result<Found<Confusions>, CliError> {
    let mut found = Confusions::default();
    let is_there = each(published, "predictions", &["node", "class_id", "predicted_class_id"], &mut |rows| {
        let (node, truth, predicted) = (rows.texts("node")?, rows.ints("class_id")?, rows.ints("predicted_class_id")?);
        for i in 0..rows.rows() {
            if !found.counts.contains_key(node.value(i)) {
                found.counts.insert(node.value(i).to_owned(), BTreeMap::new());
            }
            let counts = found.counts.get_mut(node.value(i)).expect("it was just inserted");
            *counts.entry((truth.value(i), predicted.value(i))).or_default() += 1;
        }
        Ok(())
    })?;
    let asked = || found.counts.values().flat_map(BTreeMap::keys).flat_map(|(truth, predicted)| [*truth, *predicted]);
    let classes = asked().map(|class| (class, format!("class {class}"))).collect();
    found.classes = classes;
    let why = ": its configuration keeps no predictions (`evaluate.predictions`)";
    Ok(if is_there { Ok(found) } else { Err(absent("predictions", why)) })
}

/// Returns the photos that are wanted, and the first of each class in a confusion matrix, which gives the class its name.
fn photo_lines(
    published: &Published,
    wanted: &BTreeSet<i64>,
    mut confusions: Option<&mut Confusions>,
) -> Result<BTreeMap<i64, PhotoLine>, CliError> {
    let mut lines = BTreeMap::new();
    let columns =
        ["image_id", "path", "class_id", "class_name", "split", "width", "height", "box_x", "box_y", "box_w", "box_h"];
    each(published, "images", &columns, &mut |rows| {
        let (image, class, name) = (rows.ints("image_id")?, rows.ints("class_id")?, rows.texts("class_name")?);
        let (path, split) = (rows.texts("path")?, rows.texts("split")?);
        let (width, height, boxes) = (rows.ints("width")?, rows.ints("height")?, rows.boxes()?);
        for i in 0..rows.rows() {
            let mut is_example = false;
            if let Some(confusions) = confusions.as_deref_mut()
                && let Some(known) = confusions.classes.get_mut(&class.value(i))
                && !confusions.examples.contains_key(&class.value(i))
            {
                *known = name.value(i).to_owned();
                confusions.examples.insert(class.value(i), image.value(i));
                is_example = true;
            }
            if is_example || wanted.contains(&image.value(i)) {
                let line = PhotoLine {
                    image_id: image.value(i),
                    path: path.value(i).to_owned(),
                    class_id: class.value(i),
                    class_name: name.value(i).to_owned(),
                    split: split.value(i).to_owned(),
                    size_px: [width.value(i) as f64, height.value(i) as f64],
                    true_box: boxes.get(i),
                };
                lines.insert(line.image_id, line);
            }
        }
        Ok(())
    })?;
    Ok(lines)
}

fn class_names(published: &Published) -> Result<BTreeMap<i64, String>, CliError> {
    let mut names = BTreeMap::new();
    each(published, "splits", &["class_id", "class_name"], &mut |rows| {
        let (class, name) = (rows.ints("class_id")?, rows.texts("class_name")?);
        names.extend((0..rows.rows()).map(|i| (class.value(i), name.value(i).to_owned())));
        Ok(())
    })?;
    Ok(names)
}

/// The stored photos, and the galleries of boxes on them.
type Pictures = (BTreeMap<i64, Square>, Found<Vec<Gallery>>);

fn pictures(
    store: &Store,
    run: &RunRecord,
    kept: Option<Extremes>,
    lines: &BTreeMap<i64, PhotoLine>,
    classes: &BTreeMap<i64, String>,
) -> Result<Pictures, CliError> {
    let album = Album::open(store, run)?;
    let photos = album.photos(&lines.keys().copied().collect())?;
    let Some(kept) = kept else { return Ok((photos, Err(absent("crops", ": no boxes were drawn")))) };
    let mut galleries = Vec::new();
    for Kept { node, part, boxes, groups } in kept.of_nodes() {
        let images = groups.iter().flat_map(|(_, lines)| lines).map(|line| line.image_id).collect();
        let (mut heat, mut objects) = (album.heat_maps(&node, &images)?, album.objects(&node, &images)?);
        let mut shown = |line: crate::render::report::content::BoxLine| {
            Some(Shown {
                photo: lines.get(&line.image_id).filter(|_| photos.contains_key(&line.image_id))?.clone(),
                cam_class: line.cam_class_id.and_then(|class| classes.get(&class).cloned()),
                heat: heat.remove(&line.image_id),
                object: objects.remove(&line.image_id),
                line,
            })
        };
        let groups =
            groups.into_iter().map(|(title, lines)| (title, lines.into_iter().filter_map(&mut shown).collect()));
        galleries.push(Gallery { node, part, boxes, groups: groups.collect() });
    }
    let is_empty = galleries.iter().all(|g: &Gallery| g.groups.iter().all(|(_, shown)| shown.is_empty()));
    let why = "the store has no squashed pixels of these photos";
    Ok((photos, if is_empty { Err(why.to_owned()) } else { Ok(galleries) }))
}

/// Returns the nodes of the run; of those that it reused, also which run had computed them.
fn times(published: &Published, run_id: &str) -> Result<Found<Vec<NodeTime>>, CliError> {
    let mut times: Vec<(String, NodeTime)> = Vec::new();
    let mut executed = BTreeMap::<String, (String, f64)>::new();
    let columns = ["run_id", "node", "stage", "outcome", "fingerprint", "seconds", "reason"];
    let is_there = each(published, "nodes", &columns, &mut |rows| {
        let [run, node, stage, outcome, fingerprint, reason] =
            ["run_id", "node", "stage", "outcome", "fingerprint", "reason"].map(|name| rows.texts(name));
        let (run, node, stage, outcome, fingerprint, reason) = (run?, node?, stage?, outcome?, fingerprint?, reason?);
        let seconds = rows.reals("seconds")?;
        for i in 0..rows.rows() {
            if run.value(i) == run_id {
                let time = NodeTime {
                    node: node.value(i).to_owned(),
                    stage: stage.value(i).to_owned(),
                    outcome: outcome.value(i).to_owned(),
                    seconds: seconds.value(i),
                    reason: reason.value(i).to_owned(),
                    earlier: None,
                };
                times.push((fingerprint.value(i).to_owned(), time));
            } else if outcome.value(i) == "executed" {
                executed.insert(fingerprint.value(i).to_owned(), (run.value(i).to_owned(), seconds.value(i)));
            }
        }
        Ok(())
    })?;
    let with_earlier = times.into_iter().map(|(fingerprint, time)| match time.outcome.as_str() {
        "cached" => NodeTime { earlier: executed.get(&fingerprint).cloned(), ..time },
        _ => time,
    });
    Ok(if is_there { Ok(with_earlier.collect()) } else { Err(absent("nodes", "")) })
}

fn configuration(published: &Published, run: Option<&RunRecord>) -> Result<Found<Configuration>, CliError> {
    if !published.files().any(|file| file == CONFIG) {
        return Ok(Err("the run was published without it, by an earlier version; `mlsm run` publishes it".to_owned()));
    }
    let toml = String::from_utf8_lossy(&published.read(CONFIG)?).into_owned();
    let resolved = toml::from_str(&toml).ok().and_then(|table| Config::from_table(table).ok());
    let name = run.map(|run| run.config_name.as_str());
    let preset = name.filter(|name| resolved.is_some() && settings::preset(name) == resolved).map(str::to_owned);
    Ok(Ok(Configuration { toml, preset }))
}
