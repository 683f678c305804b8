//! One episode to be shown: the first of the most accurate row with the fewest shots.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Int64Type};
use mlsm_pipelines::results::{ResultRow, Summary};
use mlsm_store::Published;

use super::columns::each;
use crate::error::CliError;
use crate::render::report::content::{EpisodeShown, Found, QueryShown};

/// The index of the episode.
const EPISODE: i64 = 0;

/// Reads its photos and what was predicted.
///
/// # Errors
/// [`CliError`] when a table is damaged or of another layout.
pub fn read(
    published: &Published,
    summary: &Summary,
    classes: &BTreeMap<i64, String>,
) -> Result<Found<EpisodeShown>, CliError> {
    let Some(row) = chosen(summary) else { return Ok(Err("the run has measured no row".to_owned())) };
    let mut shown =
        EpisodeShown { node: row.node.clone(), k_shot: row.spec.k_shot as usize, ..EpisodeShown::default() };
    each(published, "episodes", &["node", "episode", "support_ids", "accuracy"], &mut |rows| {
        let (node, episode, accuracy) = (rows.texts("node")?, rows.ints("episode")?, rows.reals("accuracy")?);
        let support = rows.lists("support_ids")?;
        for i in (0..rows.rows()).filter(|i| node.value(*i) == row.node && episode.value(*i) == EPISODE) {
            let ids = support.value(i);
            shown.support = ids.as_primitive_opt::<Int64Type>().map_or_else(Vec::new, |ids| ids.values().to_vec());
            shown.accuracy = accuracy.value(i);
        }
        Ok(())
    })?;
    let columns = ["node", "episode", "image_id", "class_id", "predicted_class_id", "scores"];
    each(published, "predictions", &columns, &mut |rows| {
        let (node, episode, image) = (rows.texts("node")?, rows.ints("episode")?, rows.ints("image_id")?);
        let (truth, predicted) = (rows.ints("class_id")?, rows.ints("predicted_class_id")?);
        let scores = rows.lists("scores")?;
        for i in (0..rows.rows()).filter(|i| node.value(*i) == row.node && episode.value(*i) == EPISODE) {
            let of_photo = scores.value(i);
            let of_photo = of_photo.as_primitive_opt::<Float32Type>();
            shown.queries.push(QueryShown {
                image_id: image.value(i),
                class_id: truth.value(i),
                predicted_class_id: predicted.value(i),
                scores: of_photo.map_or_else(Vec::new, |scores| scores.values().to_vec()),
            });
        }
        Ok(())
    })?;
    let name = |class: i64| (class, classes.get(&class).cloned().unwrap_or_else(|| format!("class {class}")));
    shown.classes = shown.order().into_iter().map(name).collect();
    let is_whole = !shown.queries.is_empty() && shown.support.len() == shown.k_shot * shown.classes.len();
    let why = "the tables have no predictions of it (`evaluate.predictions`)";
    Ok(if is_whole { Ok(shown) } else { Err(why.to_owned()) })
}

/// The most accurate row of those with the fewest shots; true boxes are known to no one who predicts.
fn chosen(summary: &Summary) -> Option<&ResultRow> {
    let usable = || summary.results.iter().filter(|row| row.spec.image_source != "oracle-box");
    let fewest = usable().map(|row| row.spec.k_shot).min()?;
    usable().filter(|row| row.spec.k_shot == fewest).max_by(|a, b| a.accuracy.total_cmp(&b.accuracy))
}
