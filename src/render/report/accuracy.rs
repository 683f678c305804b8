//! The results: for each number of shots a dot plot of every row, beside the table that holds the same values.

use mlsm_pipelines::results::Summary;
use serde_json::json;

use super::content::Found;
use super::escape;
use super::figure::{Block, Choice, Figure, axis_of_rows, height_of_rows, line_at, percent};
use super::page::{details, region};
use super::rows::{Row, distinct, named};
use crate::render::summary::{Topic, sections};

/// Lays the results out, protocol after protocol.
pub fn block(summary: &Summary) -> Found<Block> {
    if summary.results.is_empty() {
        return Err("the run has measured no row".to_owned());
    }
    let (mut html, mut figures) = (String::new(), Vec::new());
    for section in sections(summary) {
        match &section.topic {
            Topic::Results(protocol) => {
                let plots = plots(summary, protocol, figures.len());
                html += &format!("<h3>{}</h3>\n", escape::attribute(&section.title));
                html += &format!("<div class=\"plots\">{}</div>\n", plots.iter().map(Figure::html).collect::<String>());
                html += &region("Accuracy", &section.table.to_html(), &section.note);
                figures.extend(plots);
            }
            Topic::Seeds(_) => {
                html += &details(&section.title, &region(&section.title, &section.table.to_html(), &section.note));
            }
            _ => {}
        }
    }
    Ok(Block { id: "accuracy", title: "Accuracy".to_owned(), html, figures })
}

/// Draws a dot plot for each number of shots. `number`: of figures before them.
fn plots(summary: &Summary, protocol: &str, number: usize) -> Vec<Figure> {
    let of_protocol = summary.results.iter().filter(|r| r.spec.protocol == protocol);
    let shots = distinct(of_protocol.map(|r| r.spec.k_shot));
    shots
        .into_iter()
        .enumerate()
        .map(|(i, k_shot)| plot(&named(summary, protocol, k_shot), number + i, k_shot))
        .collect()
}

fn plot(rows: &[Row<'_>], number: usize, k_shot: i64) -> Figure {
    let labels: Vec<_> = rows.iter().map(|row| row.label.clone()).collect();
    let (x, error): (Vec<_>, Vec<_>) = rows.iter().map(Row::accuracy).map(|(a, ci)| (percent(a), percent(ci))).unzip();
    let hover: Vec<_> = rows.iter().map(hover).collect();
    let means = json!({
        "type": "scatter", "mode": "markers", "name": "mean, 95 % interval over episodes", "x": x,
        "y": (0..rows.len()).collect::<Vec<_>>(), "hovertext": hover, "hoverinfo": "text",
        "marker": {"size": 8, "color": "--series-0"},
        "error_x": {"type": "data", "array": error, "color": "--series-0", "thickness": 2, "width": 5},
    });
    let data = [Some(means), seeds(rows), papers(rows)].into_iter().flatten().collect();
    let chance = 100.0 / rows.iter().map(|row| row.first().spec.n_way).min().unwrap_or(1).max(1) as f64;
    let layout = json!({
        "height": height_of_rows(&labels), "yaxis": axis_of_rows(&labels), "shapes": [line_at(chance)],
        "xaxis": {"title": {"text": "accuracy in %"}}, "showlegend": true,
    });
    let best = rows.iter().max_by(|a, b| a.accuracy().0.total_cmp(&b.accuracy().0));
    let best = best.map_or(String::new(), |row| {
        let (accuracy, ci95) = row.accuracy();
        format!(" Highest: {}, {:.2} ± {:.2} %.", row.label, percent(accuracy), percent(ci95))
    });
    Figure {
        id: format!("accuracy-{number}"),
        label: format!(
            "Dot plot of {k_shot}-shot accuracy, {} rows.{best} The table below has all values.",
            rows.len()
        ),
        note: format!("{k_shot}-shot.{best} Dotted line: chance, {chance:.0} %."),
        chooser: "",
        choices: vec![Choice { name: format!("{k_shot}-shot"), data, layout }],
        first: 0,
    }
}

fn hover(row: &Row<'_>) -> String {
    let (accuracy, ci95) = row.accuracy();
    let spread = row
        .average
        .map_or(String::new(), |a| format!("<br>spread over {} seeds {:.2}", a.seeds.len(), percent(a.spread)));
    format!("{}<br>{:.2} ± {:.2} %{spread}", escape::label(&row.label), percent(accuracy), percent(ci95))
}

/// The seeds of rows that have several.
fn seeds(rows: &[Row<'_>]) -> Option<serde_json::Value> {
    let several = rows.iter().enumerate().filter(|(_, row)| row.average.is_some());
    let dots: Vec<_> = several.flat_map(|(y, row)| row.seeds.iter().map(move |seed| (y, seed))).collect();
    let text = |(_, seed): &(usize, &&mlsm_pipelines::results::ResultRow)| {
        format!("seed {}: {:.2} %", seed.spec.training_seed, percent(seed.accuracy))
    };
    (!dots.is_empty()).then(|| {
        json!({
            "type": "scatter", "mode": "markers", "name": "each seed",
            "x": dots.iter().map(|(_, seed)| percent(seed.accuracy)).collect::<Vec<_>>(),
            "y": dots.iter().map(|(y, _)| *y as f64 + 0.28).collect::<Vec<_>>(),
            "hovertext": dots.iter().map(text).collect::<Vec<_>>(), "hoverinfo": "text",
            "marker": {"size": 7, "symbol": "circle-open", "color": "--series-1", "line": {"width": 1.5}},
        })
    })
}

/// What the paper prints.
fn papers(rows: &[Row<'_>]) -> Option<serde_json::Value> {
    let known = rows.iter().enumerate().filter_map(|(y, row)| Some((y, row.first().spec.paper_accuracy?)));
    let known: Vec<_> = known.collect();
    (!known.is_empty()).then(|| {
        json!({
            "type": "scatter", "mode": "markers", "name": "the paper, other photos",
            "x": known.iter().map(|(_, accuracy)| percent(*accuracy)).collect::<Vec<_>>(),
            "y": known.iter().map(|(y, _)| y).collect::<Vec<_>>(),
            "hovertext": known.iter().map(|(_, a)| format!("the paper: {:.2} %", percent(*a))).collect::<Vec<_>>(),
            "hoverinfo": "text", "marker": {"size": 9, "symbol": "x-thin-open", "color": "--series-2", "line": {"width": 2}},
        })
    })
}
