//! One episode: the labelled photos of each class, the photos that are classified, and their scores.

use mlsm_pipelines::results::Summary;

use super::content::{EpisodeShown, Found, QueryShown};
use super::escape;
use super::figure::{Block, percent};
use super::page::{details, region};
use super::rows::named;
use super::thumbnail::Thumbnails;
use crate::render::table::{Align, TextTable};

/// Queries of a class that are shown as photos; the table has all.
const MOST_QUERIES: usize = 8;

/// Lays the episode out, class after class.
pub fn block(shown: &EpisodeShown, summary: &Summary, thumbnails: &mut Thumbnails<'_>) -> Found<Block> {
    let classes = shown.order();
    let list: String = classes.iter().enumerate().map(|(i, class)| of_class(shown, i, *class, thumbnails)).collect();
    let html = format!(
        "<p>Episode {} of {}, {}: {:.1} % of {} queries are right. Of each class the labelled photos, then the first queries: \
         ✓ right, ✗ and the class that was predicted; the score is that of the predicted class.</p>\n{list}{}",
        shown.episode,
        escape::name(&row_name(shown, summary)),
        escape::name(&shown.node),
        percent(shown.accuracy),
        shown.queries.len(),
        details(
            "Scores of every query",
            &region("Scores", &scores(shown, &classes).to_html(), "the largest score is predicted")
        )
    );
    Ok(Block { id: "episode", title: "One episode".to_owned(), html, figures: Vec::new() })
}

/// The name of the row in the other parts of the page.
fn row_name(shown: &EpisodeShown, summary: &Summary) -> String {
    let of_node = |row: &&mlsm_pipelines::results::ResultRow| row.node == shown.node;
    let Some(result) = summary.results.iter().find(of_node) else { return String::new() };
    let rows = named(summary, &result.spec.protocol, result.spec.k_shot);
    let row = rows.into_iter().find(|row| row.seeds.iter().any(|seed| seed.node == shown.node));
    row.map_or(String::new(), |row| format!("{}, {}-shot", row.label, result.spec.k_shot))
}

fn class_name(shown: &EpisodeShown, class: i64) -> &str {
    shown.classes.get(&class).map_or("", String::as_str)
}

fn of_class(shown: &EpisodeShown, place: usize, class: i64, thumbnails: &mut Thumbnails<'_>) -> String {
    let name = class_name(shown, class);
    let support = shown.support.iter().skip(place * shown.k_shot).take(shown.k_shot);
    let support = support.filter_map(|image| {
        let view = thumbnails.photo(*image, &format!("labelled photo of class {name}"), "")?;
        Some(format!("<li class=\"support\"><figure>{view}<figcaption>labelled</figcaption></figure></li>\n"))
    });
    let support: String = support.collect();
    let queries = shown.queries.iter().filter(|query| query.class_id == class);
    let right = queries.clone().filter(|query| query.predicted_class_id == class).count();
    let total = queries.clone().count();
    let views: String = queries.take(MOST_QUERIES).filter_map(|query| query_view(shown, query, thumbnails)).collect();
    format!(
        "<h3>{}</h3>\n<p>{right} of {total} queries are right.</p>\n<ul class=\"episode\">\n{support}{views}</ul>\n",
        escape::name(name)
    )
}

fn query_view(shown: &EpisodeShown, query: &QueryShown, thumbnails: &mut Thumbnails<'_>) -> Option<String> {
    let predicted = class_name(shown, query.predicted_class_id);
    let best = query.scores.iter().copied().fold(f32::MIN, f32::max);
    let (class, alt, said) = match query.predicted_class_id == query.class_id {
        true => ("right", "query, rightly predicted".to_owned(), format!("✓ {best:.3}")),
        false => {
            ("wrong", format!("query, predicted as {predicted}"), format!("✗ {}, {best:.3}", escape::name(predicted)))
        }
    };
    let view = thumbnails.photo(query.image_id, &alt, "")?;
    Some(format!("<li class=\"{class}\"><figure>{view}<figcaption>{said}</figcaption></figure></li>\n"))
}

fn scores(shown: &EpisodeShown, classes: &[i64]) -> TextTable {
    let names: Vec<_> = classes.iter().map(|class| (class_name(shown, *class), Align::Right)).collect();
    let columns = [("photo", Align::Right), ("class", Align::Left), ("predicted", Align::Left)];
    let mut table = TextTable::new(&[columns.as_slice(), &names].concat()).keep_empty_columns();
    for query in &shown.queries {
        let texts = [
            query.image_id.to_string(),
            class_name(shown, query.class_id).to_owned(),
            class_name(shown, query.predicted_class_id).to_owned(),
        ];
        table.row(texts.into_iter().chain(query.scores.iter().map(|score| format!("{score:.4}"))).collect());
    }
    table
}
