//! The results of a run as tables for people: one line per method, one column per number of shots.

use mlsm_pipelines::results::{CropRow, PairedRow, ResultRow, Summary};

use crate::render::table::{Align, TextTable, escape_html};

/// One titled table of the summary.
pub struct Section {
    title: String,
    table: TextTable,
    note: &'static str,
}

/// Lays a summary out as titled tables; those without rows are left out.
pub fn sections(summary: &Summary) -> Vec<Section> {
    let protocols = distinct(summary.results.iter().map(|r| r.protocol.clone()));
    let of_protocol = protocols.iter().flat_map(|protocol| {
        let rows: Vec<_> = summary.results.iter().filter(|r| r.protocol == *protocol).cloned().collect();
        let differences: Vec<_> = summary.paired.iter().filter(|r| r.protocol == *protocol).cloned().collect();
        let results = Section {
            title: setting(&rows),
            table: results(&rows),
            note: "accuracy in %, ± 95 % confidence interval of the mean over episodes",
        };
        let paired = Section {
            title: "Differences on the same episodes".to_owned(),
            table: paired(&differences),
            note: "percentage points, ± 95 % confidence interval of the paired difference",
        };
        [results, paired]
    });
    let crops = Section {
        title: "Boxes against the true ones".to_owned(),
        table: crops(&summary.crops),
        note: "IoU: intersection over union with the box of the data set",
    };
    of_protocol.chain([crops]).filter(|s| !s.table.is_empty()).collect()
}

/// Writes the tables as plain text.
pub fn to_text(summary: &Summary) -> String {
    let texts = sections(summary).into_iter().map(|s| format!("{}\n\n{}({})\n", s.title, s.table.to_text(), s.note));
    let warnings = summary.warnings.iter().map(|w| format!("warning: {w}\n"));
    texts.chain(warnings).collect::<Vec<_>>().join("\n")
}

/// Writes the tables as Markdown under a heading.
pub fn to_markdown(summary: &Summary, heading: &str) -> String {
    let texts = sections(summary).into_iter().map(|s| {
        let Section { title, table, note } = s;
        format!("## {title}\n\n{}\n{note}\n", table.to_markdown())
    });
    let warnings = summary.warnings.iter().map(|w| format!("**Warning:** {w}\n"));
    format!("# {heading}\n\n{}", texts.chain(warnings).collect::<Vec<_>>().join("\n"))
}

/// Writes the tables as one HTML page that needs nothing else.
pub fn to_html(summary: &Summary, heading: &str) -> String {
    let heading = escape_html(heading);
    let tables = sections(summary)
        .into_iter()
        .map(|s| format!("<h2>{}</h2>\n{}<p>{}</p>\n", escape_html(&s.title), s.table.to_html(), escape_html(s.note)));
    let warnings = summary.warnings.iter().map(|w| format!("<p><strong>Warning:</strong> {}</p>\n", escape_html(w)));
    let body: String = tables.chain(warnings).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{heading}</title>\n<style>{STYLE}</style>\
         </head>\n<body><h1>{heading}</h1>\n{body}</body></html>\n"
    )
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse}th,td{padding:.2rem .8rem;border-bottom:1px solid #ccc;text-align:left}\
    .number{text-align:right;font-variant-numeric:tabular-nums}p{color:#666}";

/// Says in one line what all rows have in common.
fn setting(rows: &[ResultRow]) -> String {
    let Some(first) = rows.first() else { return "Results".to_owned() };
    format!(
        "{}-way accuracy on novel classes, split {}, protocol {}: {} episodes of {} queries a class",
        first.n_way, first.split, first.protocol, first.episodes, first.n_query
    )
}

fn results(rows: &[ResultRow]) -> TextTable {
    let shots = distinct(rows.iter().map(|r| r.k_shot));
    let titles: Vec<_> = shots.iter().map(|k| format!("{k}-shot")).collect();
    let mut columns: Vec<_> =
        ["method", "levels", "object", "backbone", "mode", "weights", "seed"].map(|title| (title, Align::Left)).into();
    columns.extend(titles.iter().map(|title| (title.as_str(), Align::Right)));
    let mut table = TextTable::new(&columns);
    for key in distinct(rows.iter().map(identity)) {
        let mut cells = key.to_vec();
        for k_shot in &shots {
            let found = rows.iter().find(|r| identity(r) == key && r.k_shot == *k_shot);
            cells.push(found.map_or(String::new(), |r| percent(r.accuracy, r.ci95)));
        }
        table.row(cells);
    }
    table
}

/// What tells one line of the result table from the others; what goes without saying is left blank.
fn identity(row: &ResultRow) -> [String; 7] {
    let unless = |silent: &str, text: &str| if text == silent { String::new() } else { text.to_owned() };
    [
        row.method.clone(),
        row.levels.clone(),
        row.image_source.clone(),
        unless("none", &row.backbone),
        unless("frozen", &row.mode),
        unless("none", &row.weights),
        row.seed.to_string(),
    ]
}

fn paired(rows: &[PairedRow]) -> TextTable {
    let shots = distinct(rows.iter().map(|r| r.k_shot));
    let titles: Vec<_> = shots.iter().map(|k| format!("{k}-shot")).collect();
    let mut columns = vec![("row", Align::Left), ("minus", Align::Left)];
    columns.extend(titles.iter().map(|title| (title.as_str(), Align::Right)));
    let mut table = TextTable::new(&columns);
    for (row, minus) in distinct(rows.iter().map(|r| (r.row.clone(), r.minus.clone()))) {
        let mut cells = vec![row.clone(), minus.clone()];
        for k_shot in &shots {
            let found = rows.iter().find(|r| r.row == row && r.minus == minus && r.k_shot == *k_shot);
            cells.push(found.map_or(String::new(), |r| signed(r.difference, r.ci95)));
        }
        table.row(cells);
    }
    table
}

fn crops(rows: &[CropRow]) -> TextTable {
    let mut table = TextTable::new(&[
        ("boxes", Align::Left),
        ("classes", Align::Left),
        ("photos", Align::Right),
        ("mean IoU", Align::Right),
        ("IoU ≥ 0.5", Align::Right),
        ("fallbacks", Align::Right),
    ]);
    for row in rows {
        table.row(vec![
            row.node.clone(),
            row.part.clone(),
            row.photos.to_string(),
            format!("{:.3}", row.mean_iou),
            format!("{:.1} %", 100.0 * row.share_iou_50),
            row.fallback.to_string(),
        ]);
    }
    table
}

/// `0.7213 ± 0.0091` becomes `72.13 ± 0.91`.
fn percent(value: f64, ci95: f64) -> String {
    format!("{:.2} ± {:.2}", 100.0 * value, 100.0 * ci95)
}

fn signed(value: f64, ci95: f64) -> String {
    format!("{:+.2} ± {:.2}", 100.0 * value, 100.0 * ci95)
}

/// Returns each value once, in the order in which it first stands.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

#[cfg(test)]
mod tests;
