//! How a row came about: the nodes that it rests on, from the photos down to the figure.

use std::collections::{BTreeMap, BTreeSet};

use mlsm_pipelines::results::Summary;
use serde_json::{Value, json};

use super::content::{Found, LineageNode};
use super::escape;
use super::figure::{Block, Choice, Figure};
use super::page::{details, region};
use super::rows::{distinct, named};
use crate::render::table::{Align, TextTable};

/// Rows that can be chosen.
const MOST_ROWS: usize = 60;
/// Pixels between two layers.
const LAYER_PX: usize = 92;

/// Lays the drawing out: one for each row of the results, its first seed.
pub fn block(nodes: &[LineageNode], summary: &Summary) -> Found<Block> {
    let places: BTreeMap<&str, usize> = nodes.iter().enumerate().map(|(at, node)| (node.node.as_str(), at)).collect();
    let protocols = distinct(summary.results.iter().map(|r| (r.spec.protocol.clone(), r.spec.k_shot)));
    let mut choices = Vec::new();
    for (protocol, k_shot) in &protocols {
        for row in named(summary, protocol, *k_shot) {
            let Some(at) = places.get(row.first().node.as_str()) else { continue };
            let protocol = if protocols.iter().any(|(other, _)| other != protocol) { protocol } else { "" };
            choices.push(choice(nodes, *at, &format!("{} {k_shot}-shot {protocol}", row.label)));
        }
    }
    choices.truncate(MOST_ROWS);
    // First the row that rests on most.
    let nodes_of =
        |(i, choice): &(usize, &Choice)| (choice.data[1]["x"].as_array().map_or(0, Vec::len), usize::MAX - i);
    let Some((first, _)) = choices.iter().enumerate().max_by_key(nodes_of) else {
        return Err("the run has no measured row".to_owned());
    };
    let figure = Figure {
        id: "lineage-of-row".to_owned(),
        label:
            "Drawing of the nodes that a row rests on, photos on top, the measured row at the bottom. The table below \
                names them and what each reads."
                .to_owned(),
        note: "Filled: computed in this run. Open: reused. Of several seeds the first is drawn.".to_owned(),
        chooser: "Row",
        choices,
        first,
    };
    let table = region("Nodes and what they read", &table(nodes).to_html(), "by the digests of what was read and made");
    let html = figure.html() + &details("Every node, and what it reads", &table);
    Ok(Block { id: "lineage", title: "Lineage".to_owned(), html, figures: vec![figure] })
}

/// Draws the nodes above one, layer by layer.
fn choice(nodes: &[LineageNode], row: usize, name: &str) -> Choice {
    let shown = ancestors(nodes, row);
    let layers = layers(nodes, &shown);
    let widest = layers.iter().map(Vec::len).max().unwrap_or(1);
    let mut places = BTreeMap::new();
    for (depth, layer) in layers.iter().enumerate() {
        for (i, node) in layer.iter().enumerate() {
            // Odd layers are moved a little, so that a line past a layer does not run through its node.
            let shift = if depth % 2 == 1 { 0.15 } else { 0.0 };
            places.insert(*node, (i as f64 + 0.5 - layer.len() as f64 / 2.0 + shift, depth));
        }
    }
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for node in &shown {
        for read in nodes[*node].reads.iter().filter(|read| places.contains_key(read)) {
            let ends = [places[read], places[node]];
            x.extend([json!(ends[0].0), json!(ends[1].0), Value::Null]);
            y.extend([json!(ends[0].1), json!(ends[1].1), Value::Null]);
        }
    }
    let dots = |of: fn(&LineageNode) -> String| shown.iter().map(|node| of(&nodes[*node])).collect::<Vec<_>>();
    let symbols = dots(|node| if node.outcome == "executed" { "circle".to_owned() } else { "circle-open".to_owned() });
    let data = vec![
        json!({"type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip",
               "line": {"color": "--muted", "width": 1.5}, "showlegend": false}),
        json!({"type": "scatter", "mode": "markers", "showlegend": false,
               "x": shown.iter().map(|node| places[node].0).collect::<Vec<_>>(),
               "y": shown.iter().map(|node| places[node].1).collect::<Vec<_>>(),
               "hoverinfo": "text",
               "hovertext": dots(|node| format!("{}<br>{}", escape::wrapped_label(&node.node), node.outcome)),
               "marker": {"size": 13, "color": "--series-0", "symbol": symbols, "line": {"width": 2}}}),
    ];
    let half = widest as f64 / 2.0 + 0.3;
    let hidden = |range: [f64; 2]| json!({"range": range, "visible": false});
    // Names have a background, so that no line runs through them.
    let name_of = |node: &usize| {
        let (x, y) = places[node];
        json!({"x": x, "y": y, "text": label(&nodes[*node]), "showarrow": false, "yanchor": "top", "yshift": -9,
               "bgcolor": "--bg", "borderpad": 1})
    };
    let layout = json!({
        "annotations": shown.iter().map(name_of).collect::<Vec<_>>(),
        "height": 60 + LAYER_PX * layers.len(), "xaxis": hidden([-half, half]), "margin": {"l": 4, "r": 4, "t": 10, "b": 10},
        "yaxis": hidden([layers.len() as f64 - 0.25, -0.35]),
    });
    Choice { name: name.trim().to_owned(), data, layout }
}

/// Returns a node and everything that it rests on, in the order of the run.
fn ancestors(nodes: &[LineageNode], of: usize) -> BTreeSet<usize> {
    let (mut found, mut next) = (BTreeSet::from([of]), vec![of]);
    while let Some(node) = next.pop() {
        next.extend(nodes[node].reads.iter().filter(|read| found.insert(**read)));
    }
    found
}

/// Puts each node below all that it reads.
fn layers(nodes: &[LineageNode], shown: &BTreeSet<usize>) -> Vec<Vec<usize>> {
    let mut depths = BTreeMap::<usize, usize>::new();
    for node in shown {
        let above = nodes[*node].reads.iter().filter_map(|read| depths.get(read)).max();
        depths.insert(*node, above.map_or(0, |depth| depth + 1));
    }
    let mut layers = vec![Vec::new(); depths.values().max().map_or(0, |depth| depth + 1)];
    depths.into_iter().for_each(|(node, depth)| layers[depth].push(node));
    layers
}

/// The stage, and below it what tells the node from others of it.
fn label(node: &LineageNode) -> String {
    let rest = node.node.strip_prefix(&node.stage).unwrap_or(&node.node);
    let rest = rest.trim_matches(|c| matches!(c, ':' | '[' | ']')).replace(',', ", ").replace('[', " ");
    let lines = escape::lines(&rest).into_iter().filter(|line| !line.is_empty()).take(2);
    let stage = format!("<b>{}</b>", escape::label(&node.stage));
    [stage].into_iter().chain(lines.map(|line| escape::label(&line))).collect::<Vec<_>>().join("<br>")
}

fn table(nodes: &[LineageNode]) -> TextTable {
    let mut table = TextTable::new(&[("node", Align::Left), ("outcome", Align::Left), ("reads", Align::Left)]);
    for node in nodes {
        let reads: Vec<_> = node.reads.iter().map(|read| nodes[*read].node.as_str()).collect();
        let reads = if reads.is_empty() { "photos".to_owned() } else { reads.join(", ") };
        table.row(vec![node.node.clone(), node.outcome.clone(), reads]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<LineageNode> {
        let node = |node: &str, stage: &str, outcome: &str, reads: &[usize]| LineageNode {
            node: node.to_owned(),
            stage: stage.to_owned(),
            outcome: outcome.to_owned(),
            reads: reads.iter().copied().collect(),
        };
        vec![
            node("ingest", "ingest", "cached", &[]),
            node("train-base:conv4", "train-base", "cached", &[0]),
            node("crop", "crop", "executed", &[0, 1]),
            node("extract:other", "extract", "executed", &[1]),
            node("evaluate:mlsm[levels=I,shots=1]", "evaluate", "executed", &[0, 2]),
        ]
    }

    #[test]
    fn a_row_is_drawn_below_all_it_rests_on_and_nothing_else() {
        let nodes = nodes();
        let shown = ancestors(&nodes, 4);
        assert_eq!(shown.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 4]);
        assert_eq!(layers(&nodes, &shown), [vec![0], vec![1], vec![2], vec![4]]);
        let drawn = choice(&nodes, 4, "mlsm I 1-shot ");
        assert_eq!(drawn.name, "mlsm I 1-shot");
        assert_eq!(drawn.data[1]["y"], json!([0, 1, 2, 3]));
        assert_eq!(drawn.data[1]["marker"]["symbol"], json!(["circle-open", "circle-open", "circle", "circle"]));
        assert_eq!(drawn.data[0]["x"].as_array().unwrap().len(), 3 * 5, "a line for each thing that is read");
    }

    #[test]
    fn a_node_is_named_by_its_stage_and_what_tells_it_from_others() {
        let plain = |node: &LineageNode| label(node).replace(['\u{2068}', '\u{2069}'], "");
        assert_eq!(plain(&nodes()[1]), "<b>train-base</b><br>conv4");
        assert_eq!(plain(&nodes()[0]), "<b>ingest</b>");
        assert_eq!(plain(&nodes()[4]), "<b>evaluate</b><br>mlsm levels=I, shots=1");
    }
}
