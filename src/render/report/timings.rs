//! How long each node took, and what was reused.

use mlsm_store::RunRecord;
use serde_json::{Value, json};

use super::content::{Found, NodeTime};
use super::escape;
use super::figure::{Block, Choice, Figure, axis_of_rows, height_of_rows};
use super::page::{details, region};
use super::rows::distinct;
use crate::render::table::{Align, TextTable};

/// Nodes of the chart; the table has all.
const MOST_BARS: usize = 14;

/// Lays the times out.
pub fn block(times: &[NodeTime], run: &Found<RunRecord>) -> Found<Block> {
    if times.is_empty() {
        return Err("the table `nodes` has no node of this run".to_owned());
    }
    let figure = figure(times);
    let clock = run.as_ref().map_or(String::new(), |run| {
        format!("Started {}, finished {}. ", escape::attribute(&run.started), escape::attribute(&run.finished))
    });
    let html = format!("<p>{clock}{}</p>\n", counts(times)) + &figure.html();
    let html = html
        + &region(
            "Seconds by stage",
            &by_stage(times).to_html(),
            "Seconds of nodes that ran beside each other overlap.",
        );
    let note = "computed earlier: the run that had made what this run reused, and the seconds it took there";
    let html = html + &details("Every node", &region("Every node", &nodes(times).to_html(), note));
    Ok(Block { id: "timings", title: "Timings, and what was reused".to_owned(), html, figures: vec![figure] })
}

fn counts(times: &[NodeTime]) -> String {
    let outcomes = distinct(times.iter().map(|t| word(&t.outcome)));
    let count = |outcome: &&str| format!("{} {outcome}", times.iter().filter(|t| word(&t.outcome) == *outcome).count());
    format!("{} nodes: {}.", times.len(), outcomes.iter().map(count).collect::<Vec<_>>().join(", "))
}

/// The word that people read for an outcome.
fn word(outcome: &str) -> &str {
    if outcome == "cached" { "reused" } else { outcome }
}

fn figure(times: &[NodeTime]) -> Figure {
    let mut longest: Vec<_> = times.iter().collect();
    longest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    longest.truncate(MOST_BARS);
    let labels: Vec<_> = longest.iter().map(|time| spaced(&time.node)).collect();
    let outcomes = distinct(longest.iter().map(|time| word(&time.outcome)));
    let data: Vec<_> = outcomes.iter().enumerate().map(|(i, outcome)| bars(&longest, outcome, i)).collect();
    let slowest = format!("Longest: {}, {:.1} s.", longest[0].node, longest[0].seconds);
    let layout = json!({
        "height": height_of_rows(&labels), "yaxis": axis_of_rows(&labels), "barmode": "overlay", "bargap": 0.45,
        "xaxis": {"title": {"text": "seconds"}, "rangemode": "tozero"}, "showlegend": true,
    });
    Figure {
        id: "node-seconds".to_owned(),
        label: format!(
            "Bars of the seconds of the {} longest nodes. {slowest} The table below has every node.",
            longest.len()
        ),
        note: format!("The {} longest of {} nodes. {slowest}", longest.len(), times.len()),
        chooser: "",
        choices: vec![Choice { name: "seconds".to_owned(), data, layout }],
        first: 0,
    }
}

fn bars(nodes: &[&NodeTime], outcome: &str, place: usize) -> Value {
    let of_outcome = || nodes.iter().enumerate().filter(|(_, time)| word(&time.outcome) == outcome);
    json!({
        "type": "bar", "orientation": "h", "name": outcome, "showlegend": true,
        "x": of_outcome().map(|(_, time)| time.seconds).collect::<Vec<_>>(),
        "y": of_outcome().map(|(y, _)| y).collect::<Vec<_>>(),
        "hovertext": of_outcome().map(|(_, t)| format!("{}<br>{:.2} s", escape::wrapped_label(&spaced(&t.node)), t.seconds))
            .collect::<Vec<_>>(),
        "hoverinfo": "text", "marker": {"color": format!("--series-{place}")},
    })
}

/// A node's name with places to break it, and without words that go without saying.
fn spaced(node: &str) -> String {
    let short = node.replace("levels=", "").replace("object=", "").replace(']', "");
    short.replace(',', ", ").replace('[', " ").replace(':', ": ")
}

fn by_stage(times: &[NodeTime]) -> TextTable {
    let numbers = ["nodes", "executed", "reused", "seconds"].map(|name| (name, Align::Right));
    let mut table = TextTable::new(&[&[("stage", Align::Left)], numbers.as_slice()].concat());
    for stage in distinct(times.iter().map(|time| time.stage.as_str())) {
        let of_stage: Vec<_> = times.iter().filter(|time| time.stage == stage).collect();
        let count = |outcome: &str| of_stage.iter().filter(|time| time.outcome == outcome).count().to_string();
        let seconds: f64 = of_stage.iter().map(|time| time.seconds).sum();
        let cells = [of_stage.len().to_string(), count("executed"), count("cached"), format!("{seconds:.2}")];
        table.row([stage.to_owned()].into_iter().chain(cells).collect());
    }
    table
}

fn nodes(times: &[NodeTime]) -> TextTable {
    let mut table = TextTable::new(&[
        ("node", Align::Left),
        ("outcome", Align::Left),
        ("seconds", Align::Right),
        ("why", Align::Left),
        ("computed earlier", Align::Left),
    ]);
    for time in times {
        let earlier = time.earlier.as_ref().map_or(String::new(), |(run, seconds)| format!("{run}: {seconds:.2} s"));
        let seconds = format!("{:.2}", time.seconds);
        table.row(vec![time.node.clone(), word(&time.outcome).to_owned(), seconds, time.reason.clone(), earlier]);
    }
    table
}
