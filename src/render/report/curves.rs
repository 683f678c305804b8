//! Training curves: a line for each trained node, seeds of one training in one colour.

use serde_json::{Value, json};

use super::content::{CurvePoint, Found};
use super::escape;
use super::figure::{Block, Choice, Figure};
use super::page::{details, region};
use super::rows::distinct;
use crate::render::table::{Align, TextTable};

/// Colours of the style sheet.
const COLOURS: usize = 8;
/// Lines of dashes, for more curves than there are colours.
const DASHES: [&str; 4] = ["solid", "dash", "dot", "dashdot"];
/// Values of a curve that the table has, and points that the chart has; of a longer one every n-th, and the last.
const MOST_VALUES: usize = 40;
const MOST_POINTS: usize = 200;

/// Lays the curves out.
pub fn block(points: &[CurvePoint]) -> Found<Block> {
    let figure = figure(points);
    if figure.choices.is_empty() {
        return Err("nothing was measured during training".to_owned());
    }
    let all = region("Measured values", &values(points).to_html(), "Of long curves, every n-th value and the last.");
    let html =
        figure.html() + &region("Training curves", &ends(points).to_html(), "The first and last value of each curve.");
    let html = html + &details("Measured values", &all);
    Ok(Block { id: "training", title: "Training".to_owned(), html, figures: vec![figure] })
}

/// One metric of one node on one part, by step.
struct Curve<'a> {
    node: &'a str,
    split: &'a str,
    metric: &'a str,
    points: Vec<&'a CurvePoint>,
}

fn curves(points: &[CurvePoint]) -> Vec<Curve<'_>> {
    let mut curves: Vec<Curve<'_>> = Vec::new();
    for point in points {
        let is_same = |c: &&mut Curve<'_>| c.node == point.node && c.split == point.split && c.metric == point.metric;
        match curves.iter_mut().rev().find(is_same) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve {
                node: &point.node,
                split: &point.split,
                metric: &point.metric,
                points: vec![point],
            }),
        }
    }
    curves.iter_mut().for_each(|curve| curve.points.sort_by_key(|point| point.step));
    curves
}

/// A chart for each stage, metric and part; the intervals of a metric are its error bars.
fn figure(points: &[CurvePoint]) -> Figure {
    let curves = curves(points);
    let kind = |curve: &Curve<'_>| (stage(curve.node).to_owned(), curve.metric.to_owned(), curve.split.to_owned());
    let kinds = distinct(curves.iter().filter(|c| !c.metric.starts_with("ci95")).map(kind));
    let choices = kinds.iter().map(|(stage, metric, split)| {
        let of_kind: Vec<_> =
            curves.iter().filter(|c| c.metric == metric && c.split == split && self::stage(c.node) == stage).collect();
        let families = distinct(of_kind.iter().map(|curve| without_seed(curve.node)));
        let lines = of_kind.iter().map(|curve| {
            let family = without_seed(curve.node);
            let place = families.iter().position(|known| *known == family).unwrap_or_default();
            let is_first = of_kind.iter().find(|c| without_seed(c.node) == family).is_some_and(|c| c.node == curve.node);
            line(curve, &interval(curve, &curves), &family, place, is_first)
        });
        let layout = json!({
            "height": 320 + 22 * families.len(), "showlegend": families.len() > 1,
            "xaxis": {"title": {"text": "steps or episodes"}, "rangemode": "tozero"}, "yaxis": {"title": {"text": metric}},
        });
        Choice { name: format!("{stage}: {metric} on {split} classes"), data: lines.collect(), layout }
    });
    Figure {
        id: "curves".to_owned(),
        label: "Training curves, a line for each training. The table below has the first and last value of each."
            .to_owned(),
        note: "A line for each training; seeds of one training have one colour. Bars: 95 % interval over episodes."
            .to_owned(),
        chooser: "Measured",
        choices: choices.collect(),
        first: 0,
    }
}

fn stage(node: &str) -> &str {
    node.split([':', '[']).next().unwrap_or(node)
}

/// `meta-train:mlsm[levels=I,seed=0]` without its seed, and without its stage.
fn without_seed(node: &str) -> String {
    let name = node.split_once(':').map_or(node, |(_, name)| name);
    let Some((head, rest)) = name.split_once('[') else { return name.to_owned() };
    let kept: Vec<_> = rest.trim_end_matches(']').split(',').filter(|part| !part.starts_with("seed=")).collect();
    if kept.is_empty() { head.to_owned() } else { format!("{head} {}", kept.join(" ")) }
}

/// The half intervals of a curve's values: `ci95_1_shot` beside `accuracy_1_shot`.
fn interval(curve: &Curve<'_>, all: &[Curve<'_>]) -> Option<Vec<f64>> {
    let name = format!("ci95{}", curve.metric.strip_prefix("accuracy")?);
    let found = all.iter().find(|c| c.node == curve.node && c.split == curve.split && c.metric == name)?;
    let at = |step: i64| found.points.iter().find(|point| point.step == step).map(|point| point.value);
    curve.points.iter().map(|point| at(point.step)).collect()
}

fn line(curve: &Curve<'_>, interval: &Option<Vec<f64>>, family: &str, place: usize, is_first: bool) -> Value {
    let color = format!("--series-{}", place % COLOURS);
    let points = thinned(curve.points.len(), MOST_POINTS);
    // What stands between `%{` and `}` would be filled in.
    let name = escape::wrapped_label(&curve.node.replace(',', ", ")).replace("%{", "%\u{200b}{");
    let mut trace = json!({
        "type": "scatter", "mode": "lines+markers", "name": escape::label(family), "legendgroup": family,
        "showlegend": is_first,
        "x": points.iter().map(|i| curve.points[*i].step).collect::<Vec<_>>(),
        "y": points.iter().map(|i| curve.points[*i].value).collect::<Vec<_>>(),
        "hovertemplate": format!("{name}<br>step %{{x}}: %{{y:.4f}}<extra></extra>"),
        "line": {"color": color, "width": 2, "dash": DASHES[(place / COLOURS) % DASHES.len()]},
        "marker": {"color": color, "size": 5},
    });
    if let Some(interval) = interval {
        let interval: Vec<_> = points.iter().map(|i| interval[*i]).collect();
        trace["error_y"] = json!({"type": "data", "array": interval, "color": color, "thickness": 1, "width": 3});
    }
    trace
}

/// The places of at most so many values, and that of the last.
fn thinned(values: usize, most: usize) -> Vec<usize> {
    let every = values.div_ceil(most).max(1);
    (0..values).filter(|i| i % every == 0 || i + 1 == values).collect()
}

/// A line for each curve.
fn ends(points: &[CurvePoint]) -> TextTable {
    let columns = ["training", "classes", "metric"].map(|name| (name, Align::Left));
    let numbers = ["values", "first step", "first", "last step", "last"].map(|name| (name, Align::Right));
    let mut table = TextTable::new(&[columns.as_slice(), &numbers].concat());
    for Curve { node, split, metric, points } in curves(points).iter().filter(|c| !c.metric.starts_with("ci95")) {
        let texts = [node, split, metric].map(|text| (*text).to_owned());
        let end = |point: &CurvePoint| [point.step.to_string(), format!("{:.4}", point.value)];
        let ends = points.first().into_iter().chain(points.last()).flat_map(|point| end(point));
        table.row(texts.into_iter().chain([points.len().to_string()]).chain(ends).collect());
    }
    table
}

fn values(points: &[CurvePoint]) -> TextTable {
    let columns = ["training", "classes", "metric"].map(|name| (name, Align::Left));
    let mut table = TextTable::new(&[columns.as_slice(), &[("step", Align::Right), ("value", Align::Right)]].concat());
    for Curve { node, split, metric, points } in &curves(points) {
        for point in thinned(points.len(), MOST_VALUES).into_iter().map(|i| points[i]) {
            let texts = [node, split, metric].map(|text| (*text).to_owned());
            table.row(texts.into_iter().chain([point.step.to_string(), format!("{:.4}", point.value)]).collect());
        }
    }
    table
}
