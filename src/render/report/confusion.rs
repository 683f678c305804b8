//! Which novel classes were taken for which: a matrix for each row of results, seeds taken together.

use std::collections::BTreeMap;

use mlsm_pipelines::results::Summary;
use serde_json::json;

use super::content::{Confusions, Found};
use super::escape;
use super::figure::{Block, Choice, Figure};
use super::page::{details, region};
use super::rows::{Row, distinct, named};
use super::thumbnail::Thumbnails;
use crate::render::table::{Align, TextTable};

/// With more classes the cells of the chart are too small for counts, and tables list pairs alone.
const MOST_IN_FULL: usize = 12;
/// Cells of all charts together: of more, the most accurate rows are drawn.
const MOST_CELLS: usize = 200_000;
/// Pairs of a table.
const MOST_PAIRS: usize = 20;
/// Classes whose photos are shown.
const MOST_PHOTOS: usize = 60;

/// Queries of a true class, by what they were predicted as.
type Counts = BTreeMap<(i64, i64), u64>;

/// Lays the matrices out.
pub fn block(confusions: &Confusions, summary: &Summary, thumbnails: &mut Thumbnails<'_>) -> Found<Block> {
    let rows = rows(confusions, summary);
    if rows.is_empty() {
        return Err("the predictions belong to no row of the results".to_owned());
    }
    let drawn = drawn(&rows, confusions.classes.len());
    let figure = figure(&drawn, rows.len(), &confusions.classes);
    let mut html = figure.html() + &photos(confusions, thumbnails);
    let tables = rows.iter().map(|(name, counts)| {
        let (table, note) = table(counts, &confusions.classes);
        details(name, &region(name, &table.to_html(), &note))
    });
    html += &details("Counts of every row", &tables.collect::<String>());
    Ok(Block { id: "confusion", title: "Confusion matrix".to_owned(), html, figures: vec![figure] })
}

/// Adds up the counts of each row's seeds.
fn rows(confusions: &Confusions, summary: &Summary) -> Vec<(String, Counts)> {
    let settings = distinct(summary.results.iter().map(|r| (r.spec.protocol.clone(), r.spec.k_shot)));
    let several = distinct(settings.iter().map(|(protocol, _)| protocol)).len() > 1;
    let mut found = Vec::new();
    for (protocol, k_shot) in &settings {
        for row in named(summary, protocol, *k_shot) {
            let counts = counts(&row, confusions);
            let protocol = if several { format!(", protocol {protocol}") } else { String::new() };
            found.push((format!("{}, {k_shot}-shot{protocol}", row.label), counts));
        }
    }
    found.retain(|(_, counts)| !counts.is_empty());
    found
}

/// The share of right predictions.
fn right(counts: &Counts) -> f64 {
    let right: u64 = counts.iter().filter(|((truth, predicted), _)| truth == predicted).map(|(_, count)| count).sum();
    right as f64 / counts.values().sum::<u64>().max(1) as f64
}

/// The rows that are drawn, in their order.
fn drawn(rows: &[(String, Counts)], classes: usize) -> Vec<&(String, Counts)> {
    let most = (MOST_CELLS / (classes * classes).max(1)).max(1);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|a, b| right(&rows[*b].1).total_cmp(&right(&rows[*a].1)));
    order.truncate(most);
    order.sort_unstable();
    order.into_iter().map(|place| &rows[place]).collect()
}

/// The place of the row with the most right predictions; the true boxes are no row that could be used.
fn most_accurate(rows: &[&(String, Counts)]) -> usize {
    let usable = rows.iter().enumerate().filter(|(_, (name, _))| !name.contains("(oracle-box)"));
    usable.max_by(|(_, a), (_, b)| right(&a.1).total_cmp(&right(&b.1))).map_or(0, |(place, _)| place)
}

fn counts(row: &Row<'_>, confusions: &Confusions) -> Counts {
    let mut sum = Counts::new();
    for (pair, count) in row.seeds.iter().filter_map(|seed| confusions.counts.get(&seed.node)).flatten() {
        *sum.entry(*pair).or_default() += count;
    }
    sum
}

fn figure(rows: &[&(String, Counts)], of: usize, classes: &BTreeMap<i64, String>) -> Figure {
    let names: Vec<_> = classes.values().map(|name| escape::label(name)).collect();
    let left_out =
        if rows.len() < of { format!(" The {} most accurate of {of} rows.", rows.len()) } else { String::new() };
    let choices = rows.iter().map(|(name, counts)| {
        let of = |truth: &i64, predicted: &i64| counts.get(&(*truth, *predicted)).copied().unwrap_or_default();
        let total = |truth: &i64| classes.keys().map(|predicted| of(truth, predicted)).sum::<u64>();
        let line = |truth: &i64| classes.keys().map(|predicted| of(truth, predicted)).collect::<Vec<_>>();
        let share = |truth: &i64| {
            let total = total(truth).max(1) as f64;
            line(truth).iter().map(|count| (1e4 * *count as f64 / total).round() / 1e4).collect::<Vec<_>>()
        };
        let mut trace = json!({
            "type": "heatmap", "x": names, "y": names, "z": classes.keys().map(share).collect::<Vec<_>>(),
            "text": classes.keys().map(line).collect::<Vec<_>>(), "zmin": 0, "zmax": 1,
            "colorscale": [[0, "--heat-0"], [0.5, "--heat-1"], [1, "--heat-2"]], "xgap": 1, "ygap": 1,
            "colorbar": {"title": {"text": "share"}, "thickness": 10, "tickformat": ".0%", "outlinewidth": 0},
            "hovertemplate": "%{y}<br>predicted as %{x}<br>%{text} queries, %{z:.1%}<extra></extra>",
        });
        if classes.len() <= MOST_IN_FULL {
            trace["texttemplate"] = json!("%{z:.0%}");
        }
        let layout = json!({
            "height": 200 + (30 * classes.len()).clamp(160, 900),
            "yaxis": {"type": "category", "autorange": "reversed", "automargin": true, "title": {"text": "true class"}},
            "xaxis": {"type": "category", "automargin": true, "tickangle": -60, "title": {"text": "predicted class"}},
        });
        Choice { name: name.clone(), data: vec![trace], layout }
    });
    Figure {
        id: "confusion-matrix".to_owned(),
        label: format!(
            "Confusion matrix over {} novel classes, of the chosen row. The tables below have the counts.",
            classes.len()
        ),
        note: format!(
            "Queries of a true class (line) by predicted class (column), over all episodes and seeds; colour: share of the \
             line.{left_out}"
        ),
        chooser: "Row",
        choices: choices.collect(),
        first: most_accurate(rows),
    }
}

/// The matrix itself, or the pairs that are confused most.
fn table(counts: &Counts, classes: &BTreeMap<i64, String>) -> (TextTable, String) {
    let of = |truth: i64, predicted: i64| counts.get(&(truth, predicted)).copied().unwrap_or_default();
    if classes.len() <= MOST_IN_FULL {
        let headings: Vec<_> = classes.values().map(|name| (name.as_str(), Align::Right)).collect();
        let mut table =
            TextTable::new(&[&[("true class", Align::Left)], headings.as_slice()].concat()).keep_empty_columns();
        for (truth, name) in classes {
            let cells = classes.keys().map(|predicted| of(*truth, *predicted).to_string());
            table.row([name.clone()].into_iter().chain(cells).collect());
        }
        return (table, "queries of a true class, by predicted class".to_owned());
    }
    let columns = [("true class", Align::Left), ("predicted class", Align::Left)];
    let mut table =
        TextTable::new(&[columns.as_slice(), &["queries", "share"].map(|name| (name, Align::Right))].concat());
    let mut pairs: Vec<_> = counts.iter().filter(|((truth, predicted), _)| truth != predicted).collect();
    pairs.sort_by_key(|(pair, count)| (std::cmp::Reverse(**count), **pair));
    for ((truth, predicted), count) in pairs.into_iter().take(MOST_PAIRS) {
        let total: u64 = counts.iter().filter(|((t, _), _)| t == truth).map(|(_, count)| count).sum();
        let class = |id: &i64| classes.get(id).cloned().unwrap_or_else(|| id.to_string());
        let share = format!("{:.1} %", 100.0 * *count as f64 / total.max(1) as f64);
        table.row(vec![class(truth), class(predicted), count.to_string(), share]);
    }
    (table, format!("the {MOST_PAIRS} pairs that are confused most; share: of the queries of the true class"))
}

/// A photo of each class.
fn photos(confusions: &Confusions, thumbnails: &mut Thumbnails<'_>) -> String {
    let photo = |(class, name): (&i64, &String)| {
        let view = thumbnails.photo(*confusions.examples.get(class)?, &format!("a photo of class {name}"), "")?;
        Some(format!("<li><figure>{view}<figcaption>{}</figcaption></figure></li>\n", escape::name(name)))
    };
    let photos: String = confusions.classes.iter().take(MOST_PHOTOS).filter_map(photo).collect();
    match photos.is_empty() {
        true => String::new(),
        false => format!("<h3>The novel classes</h3>\n<ul class=\"classes\">\n{photos}</ul>\n"),
    }
}
