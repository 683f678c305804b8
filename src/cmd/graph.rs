//! `mlsm graph`: the nodes of a configuration, what each reads, and what a run would do with them.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use mlsm_engine::{Action, Node};
use serde::Serialize;

use crate::cmd::plan;
use crate::error::CliError;
use crate::render::stdout;
use crate::settings::Settings;

/// How to draw.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// How to draw the graph [default: text]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

/// A language for graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each node, with what it reads.
    Text,
    /// A Mermaid flowchart, as Markdown on code hosts shows it.
    Mermaid,
    /// Graphviz.
    Dot,
    /// JSON: nodes and edges.
    Json,
}

/// One node.
#[derive(Serialize)]
struct NodeLine {
    node: String,
    stage: String,
    units: usize,
    action: Action,
    reads: Vec<String>,
}

/// Draws the graph.
///
/// # Errors
/// [`CliError`] of the configuration, the store or the data set.
pub fn graph(args: &GraphArgs, settings: &Settings) -> Result<(), CliError> {
    let (workspace, plan) = plan::planned(settings, &[])?;
    let graph = &workspace.assembly.graph;
    let reads = |node: &Node| {
        let read = graph.upstream(node).map(|read| graph.node(read).id.clone());
        read.filter(|read| *read != node.id).collect() // a unit may read another of its own node
    };
    let line = |(node, plan): (&Node, &mlsm_engine::NodePlan)| NodeLine {
        node: node.id.clone(),
        stage: node.stage.to_owned(),
        units: node.units.len(),
        action: plan.action,
        reads: reads(node),
    };
    let nodes: Vec<NodeLine> = graph.nodes().iter().zip(&plan.nodes).map(line).collect();
    let format = args.format.unwrap_or(if settings.is_json() { Format::Json } else { Format::Text });
    match format {
        Format::Json => stdout::print_json(&serde_json::json!({ "nodes": nodes })),
        Format::Text => stdout::tell(&text(&nodes)),
        Format::Mermaid => stdout::print(&mermaid(&nodes)),
        Format::Dot => stdout::print(&dot(&nodes)),
    }
}

fn text(nodes: &[NodeLine]) -> String {
    let mut text = String::new();
    for node in nodes {
        let units = if node.units == 1 { String::new() } else { format!(", {} units", node.units) };
        let _ = writeln!(text, "{} ({}{units})", node.node, plan::word(node.action));
        node.reads.iter().for_each(|read| {
            let _ = writeln!(text, "  reads {read}");
        });
    }
    text
}

fn mermaid(nodes: &[NodeLine]) -> String {
    let mut text = String::from("flowchart LR\n");
    for (at, node) in nodes.iter().enumerate() {
        let name = node.node.replace('"', "#quot;");
        let _ = writeln!(text, "  n{at}[\"{name}\"]:::{}", plan::word(node.action));
    }
    for (from, to) in edges(nodes) {
        let _ = writeln!(text, "  n{from} --> n{to}");
    }
    for (action, fill) in COLOURS {
        let _ = writeln!(text, "  classDef {} fill:{fill},color:#000", plan::word(action));
    }
    text
}

fn dot(nodes: &[NodeLine]) -> String {
    let mut text = String::from("digraph mlsm {\n  rankdir=LR\n  node [shape=box, style=filled]\n");
    for (at, node) in nodes.iter().enumerate() {
        let name = node.node.replace('\\', "\\\\").replace('"', "\\\"");
        let (_, fill) = COLOURS.into_iter().find(|(action, _)| *action == node.action).unwrap_or(COLOURS[0]);
        let _ = writeln!(text, "  n{at} [label=\"{name}\", fillcolor=\"{fill}\"]");
    }
    for (from, to) in edges(nodes) {
        let _ = writeln!(text, "  n{from} -> n{to}");
    }
    text + "}\n"
}

/// What a run would do with a node, and the colour of its box.
const COLOURS: [(Action, &str); 3] =
    [(Action::Reuse, "#c8e6c9"), (Action::Execute, "#ffe0b2"), (Action::Unknown, "#e0e0e0")];

/// The places of nodes that read each other: what is read, then who reads it.
fn edges(nodes: &[NodeLine]) -> impl Iterator<Item = (usize, usize)> {
    let place = |name: &String| nodes.iter().position(|node| node.node == *name);
    nodes.iter().enumerate().flat_map(move |(to, node)| node.reads.iter().filter_map(place).map(move |from| (from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<NodeLine> {
        let node = |node: &str, units, action, reads: &[&str]| NodeLine {
            node: node.to_owned(),
            stage: "crop".to_owned(),
            units,
            action,
            reads: reads.iter().map(|read| (*read).to_owned()).collect(),
        };
        vec![
            node("ingest", 3, Action::Reuse, &[]),
            node("crop[source=\"a\"]", 1, Action::Execute, &["ingest"]),
            node("extract", 1, Action::Unknown, &["ingest", "crop[source=\"a\"]"]),
        ]
    }

    #[test]
    fn every_language_has_each_node_and_each_edge() {
        assert!(text(&nodes()).starts_with("ingest (reuse, 3 units)\ncrop[source=\"a\"] (execute)\n  reads ingest\n"));
        let drawn = mermaid(&nodes());
        assert!(drawn.contains("n1[\"crop[source=#quot;a#quot;]\"]:::execute\n"), "{drawn}");
        assert_eq!(drawn.matches("-->").count(), 3);
        let drawn = dot(&nodes());
        assert!(drawn.contains("n2 [label=\"extract\", fillcolor=\"#e0e0e0\"]\n"), "{drawn}");
        assert!(drawn.contains("label=\"crop[source=\\\"a\\\"]\"") && drawn.contains("  n0 -> n2\n"));
    }
}
