//! Paired differences as a forest plot: a line at 0, an interval for each pair of rows, and which of them hold over seeds.

use mlsm_pipelines::results::{PairedRow, Summary};
use serde_json::{Value, json};

use super::content::Found;
use super::escape;
use super::figure::{Block, Choice, Figure, axis_of_rows, height_of_rows, line_at, percent};
use super::page::region;
use super::rows::distinct;
use crate::render::summary::{Topic, sections};

/// Lays the differences out, protocol after protocol.
pub fn block(summary: &Summary) -> Found<Block> {
    if summary.paired.is_empty() {
        return Err("no two rows of the run are compared".to_owned());
    }
    let (mut html, mut figures) = (String::new(), Vec::new());
    for section in sections(summary) {
        let Topic::Differences(protocol) = &section.topic else { continue };
        let figure = plot(summary, protocol, figures.len());
        html += &format!("<h3>Protocol {}</h3>\n{}", escape::name(protocol), figure.html());
        html += &region("Differences", &section.table.to_html(), &section.note);
        figures.push(figure);
    }
    Ok(Block { id: "differences", title: "Differences on the same episodes".to_owned(), html, figures })
}

/// Tells whether a difference is larger than its interval, and every seed has its sign.
fn holds(row: &PairedRow) -> bool {
    row.difference.abs() > row.ci95 && row.agreeing == row.seeds
}

fn plot(summary: &Summary, protocol: &str, number: usize) -> Figure {
    let rows: Vec<_> = summary.paired.iter().filter(|row| row.protocol == protocol).collect();
    let shots = distinct(rows.iter().map(|row| row.k_shot));
    let choices = shots.into_iter().map(|k_shot| {
        let of_shots: Vec<_> = rows.iter().copied().filter(|row| row.k_shot == k_shot).collect();
        choice(&of_shots, k_shot)
    });
    let hold = rows.iter().filter(|row| holds(row)).count();
    let counts = format!(
        "{hold} of {} differences are larger than their 95 % interval and have the same sign in every seed: full dots.",
        rows.len()
    );
    Figure {
        id: format!("differences-{number}"),
        label: format!(
            "Forest plot of paired differences around a line at 0. {counts} The table below has all values."
        ),
        note: counts,
        chooser: "Shots",
        choices: choices.collect(),
        first: 0,
    }
}

fn choice(rows: &[&PairedRow], k_shot: i64) -> Choice {
    let labels: Vec<_> = rows.iter().map(|row| format!("{}\n− {}", row.row, row.minus)).collect();
    let trace = |does_hold: bool| {
        let of_kind: Vec<_> = rows.iter().enumerate().filter(|(_, row)| holds(row) == does_hold).collect();
        (!of_kind.is_empty()).then(|| trace(&of_kind, &labels, does_hold))
    };
    let data = [true, false].into_iter().filter_map(trace).collect();
    let layout = json!({
        "height": height_of_rows(&labels), "yaxis": axis_of_rows(&labels), "shapes": [line_at(0.0)],
        "xaxis": {"title": {"text": "percentage points"}}, "showlegend": true,
    });
    Choice { name: format!("{k_shot}-shot"), data, layout }
}

fn trace(rows: &[(usize, &&PairedRow)], labels: &[String], does_hold: bool) -> Value {
    let hover = rows.iter().map(|(y, row)| {
        let seeds = row.spread.map_or(String::new(), |spread| {
            format!("<br>spread {:.2}, {}/{} seeds of this sign", percent(spread), row.agreeing, row.seeds)
        });
        let label = escape::wrapped_label(&labels[*y]);
        format!("{label}<br>{:+.2} ± {:.2}{seeds}", percent(row.difference), percent(row.ci95))
    });
    let (name, symbol, color) = match does_hold {
        true => ("holds", "circle", "--series-0"),
        false => ("within its interval, or seeds disagree", "circle-open", "--series-1"),
    };
    json!({
        "type": "scatter", "mode": "markers", "name": name,
        "x": rows.iter().map(|(_, row)| percent(row.difference)).collect::<Vec<_>>(),
        "y": rows.iter().map(|(y, _)| y).collect::<Vec<_>>(),
        "error_x": {"type": "data", "array": rows.iter().map(|(_, row)| percent(row.ci95)).collect::<Vec<_>>(),
                    "color": color, "thickness": 2, "width": 5},
        "marker": {"size": 8, "symbol": symbol, "color": color, "line": {"width": 2}},
        "hovertext": hover.collect::<Vec<_>>(), "hoverinfo": "text",
    })
}
