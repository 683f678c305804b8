//! The page: headings in order, a list of its parts, the parts, what is left out, licences, data and scripts.

use serde_json::Value;

use super::content::{Content, Found};
use super::figure::{Block, Figure};
use super::thumbnail::Thumbnails;
use super::{
    accuracy, configuration, confusion, curves, differences, embedding, episode, escape, gallery, lineage, timings,
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// The charting library; its version and licence stand in `README.md`.
const PLOTLY: &str = include_str!("plotly/plotly-cartesian.min.js");
const PLOTLY_LICENCE: &str = include_str!("plotly/LICENSE");
/// Bytes of a page.
const MOST_BYTES: usize = 14_500_000;
/// Bytes of all its images.
const MOST_IMAGE_BYTES: usize = 8_000_000;
/// Bytes that are kept for the parts with photos, without the photos: matrices, galleries, tables.
const TEXT_BYTES: usize = 4_000_000;
/// The page may show what lies in it, and ask no network for anything.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Writes the report as one HTML file that needs nothing else.
pub fn to_html(content: &Content) -> String {
    let (parts, symbols) = parts(content);
    let heading = format!("Results of run {}", content.run_id);
    document(&Document { heading, facts: facts(content), warnings: &content.summary.warnings, parts, symbols })
}

/// What every page has.
pub struct Document<'a> {
    /// Its heading.
    pub heading: String,
    /// What stands below it, as names and texts.
    pub facts: Vec<(&'static str, String)>,
    /// What people should read first.
    pub warnings: &'a [String],
    /// Its parts.
    pub parts: Vec<Part>,
    /// The images that its parts show.
    pub symbols: String,
}

/// Writes a page.
pub fn document(document: &Document<'_>) -> String {
    let Document { heading, facts, warnings: warned, parts, symbols } = document;
    let (mut blocks, mut left_out) = (Vec::new(), Vec::new());
    for (title, part) in parts {
        match part {
            Ok(block) => blocks.push(block),
            Err(why) => left_out.push((*title, why.clone())),
        }
    }
    let figures: Vec<_> = blocks.iter().flat_map(|block| &block.figures).collect();
    let main: String = blocks.iter().copied().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta \
         http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the results</a>\n<header>\n<h1>{title}</h1>\n{facts}</header>\n\
         {contents}<main id=\"main\" tabindex=\"-1\">\n{warnings}{main}{left_out}</main>\n\
         {footer}{symbols}{scripts}</body>\n</html>\n",
        title = escape::attribute(heading),
        facts = listed(facts),
        contents = contents(&blocks),
        warnings = warnings(warned),
        left_out = omissions(&left_out),
        footer = footer(!figures.is_empty()),
        scripts = scripts(&figures),
    )
}

/// A part, whole or with the reason why it is not there.
pub type Part = (&'static str, Found<Block>);

/// The parts in the order of the page, and its photos: they take the room that everything else leaves.
fn parts(content: &Content) -> (Vec<Part>, String) {
    let Content { summary, curves, confusions, embedding, galleries, episode, .. } = content;
    let before = [
        ("Accuracy", accuracy::block(summary)),
        ("Differences", differences::block(summary)),
        ("Training", given(curves).and_then(|points| curves::block(points))),
    ];
    let after = [
        ("Timings", given(&content.times).and_then(|times| timings::block(times, &content.run))),
        ("Lineage", given(&content.lineage).and_then(|nodes| lineage::block(nodes, summary))),
        ("Configuration", given(&content.configuration).and_then(|c| configuration::block(c, &content.run_id))),
    ];
    let taken = before.iter().chain(&after).filter_map(|(_, part)| part.as_ref().ok()).map(Block::bytes).sum();
    let mut thumbnails = Thumbnails::new(&content.photos, &content.lines, room_for_images(taken));
    let with_photos = [
        ("Confusion matrix", given(confusions).and_then(|c| confusion::block(c, summary, &mut thumbnails))),
        ("One episode", given(episode).and_then(|shown| episode::block(shown, summary, &mut thumbnails))),
        ("Boxes", gallery::block(galleries, summary, &mut thumbnails)),
        ("Embeddings", given(embedding).and_then(|map| embedding::block(map, &mut thumbnails))),
    ];
    (before.into_iter().chain(with_photos).chain(after).collect(), thumbnails.symbols())
}

/// Returns how many bytes a page has room for in images, where parts without photos take so many.
pub fn room_for_images(taken: usize) -> usize {
    MOST_BYTES.saturating_sub(PLOTLY.len() + taken + TEXT_BYTES).min(MOST_IMAGE_BYTES)
}

fn given<T>(part: &Found<T>) -> Result<&T, String> {
    part.as_ref().map_err(String::clone)
}

fn section(block: &Block) -> String {
    let Block { id, title, html, figures: _ } = block;
    format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n{html}</section>\n", escape::attribute(title))
}

/// What the run log says of the run.
fn facts(content: &Content) -> Vec<(&'static str, String)> {
    let Ok(run) = &content.run else { return Vec::new() };
    vec![
        ("configuration", run.config_name.clone()),
        ("finished", run.finished.clone()),
        ("program", format!("mlsm {}", run.version)),
        ("device asked for", run.device.clone()),
        ("digest of the configuration", run.config_digest.short()),
    ]
}

fn listed(facts: &[(&str, String)]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let line = |(name, text): &(&str, String)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escape::name(text));
    format!("<dl class=\"facts\">\n{}</dl>\n", facts.iter().map(line).collect::<String>())
}

fn contents(blocks: &[&Block]) -> String {
    let line = |b: &&Block| format!("<li><a href=\"#{}\">{}</a></li>\n", b.id, escape::attribute(&b.title));
    format!(
        "<nav aria-label=\"Parts of this page\">\n<ul>\n{}</ul>\n</nav>\n",
        blocks.iter().map(line).collect::<String>()
    )
}

fn warnings(warnings: &[String]) -> String {
    let line = |w: &String| format!("<p class=\"warning\"><strong>Warning:</strong> {}</p>\n", escape::attribute(w));
    warnings.iter().map(line).collect()
}

fn omissions(left_out: &[(&str, String)]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let line = |(title, why): &(&str, String)| format!("<li>{title}: {}.</li>\n", escape::attribute(why));
    let lines: String = left_out.iter().map(line).collect();
    format!(
        "<section aria-labelledby=\"left-out\">\n<h2 id=\"left-out\">Left out</h2>\n<ul>\n{lines}</ul>\n</section>\n"
    )
}

fn footer(has_figures: bool) -> String {
    let licence = match has_figures {
        true => {
            let text = format!(
                "<pre tabindex=\"0\" role=\"region\" aria-label=\"Licence of plotly.js\">{}</pre>\n",
                escape_lines(PLOTLY_LICENCE)
            );
            format!(
                "<p>Charts: plotly.js {}, MIT licence.</p>\n{}",
                plotly_version(),
                details("Licence of plotly.js", &text)
            )
        }
        false => String::new(),
    };
    format!(
        "<footer>\n<p>Written by mlsm {}. This file holds everything it shows.</p>\n{licence}</footer>\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn escape_lines(text: &str) -> String {
    text.lines().map(escape::attribute).collect::<Vec<_>>().join("\n")
}

/// Reads the version off the library's first lines: `* plotly.js (cartesian - minified) v4.1.1`.
fn plotly_version() -> &'static str {
    let line = PLOTLY.lines().find(|line| line.contains("plotly.js (")).unwrap_or_default();
    line.rsplit_once(" v").map_or("", |(_, version)| version)
}

/// The library and the data, where there is anything to draw.
fn scripts(figures: &[&Figure]) -> String {
    if figures.is_empty() {
        return String::new();
    }
    let data = Value::Array(figures.iter().map(|figure| figure.json()).collect());
    format!(
        "<script type=\"application/json\" id=\"figures\">{}</script>\n\
         <script>\n{PLOTLY}\n</script>\n<script>\n{SCRIPT}</script>\n",
        escape::script(&data)
    )
}

/// Lays a table out that may be wider than the page: it is scrolled by itself, also by keyboard.
pub fn region(label: &str, table: &str, note: &str) -> String {
    let (label, note) = (escape::attribute(label), escape::attribute(note));
    format!(
        "<div class=\"table\" role=\"region\" tabindex=\"0\" aria-label=\"Table: {label}\">\n{table}</div>\n\
         <p class=\"note\">{note}</p>\n"
    )
}

/// Lays out what is shown when it is asked for.
pub fn details(title: &str, inside: &str) -> String {
    format!("<details>\n<summary>{}</summary>\n{inside}</details>\n", escape::attribute(title))
}
