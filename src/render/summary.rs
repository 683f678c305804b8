//! The results of a run as tables for people: one line per method, one column per number of shots.

use mlsm_pipelines::results::{AverageRow, CropRow, PairedRow, ResultRow, RowColumn, Summary};

use crate::render::table::{Align, TextTable, wrap};

/// What a table of the summary is about; some are of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The measured rows.
    Results(String),
    /// Their paired differences.
    Differences(String),
    /// The seeds of each row.
    Seeds(String),
    /// The boxes against the true ones.
    Boxes,
    /// The rows beside the boxes that they look at.
    Sources,
}

/// One titled table of the summary.
pub struct Section {
    /// What it is about.
    pub topic: Topic,
    /// Its title.
    pub title: String,
    /// Its rows.
    pub table: TextTable,
    /// What its figures are.
    pub note: String,
}

/// Lays a summary out as titled tables; those without rows are left out.
pub fn sections(summary: &Summary) -> Vec<Section> {
    let protocols = distinct(summary.results.iter().map(|r| r.spec.protocol.clone()));
    let of_protocol = protocols.iter().flat_map(|protocol| {
        let rows: Vec<_> = summary.results.iter().filter(|r| r.spec.protocol == *protocol).cloned().collect();
        let differences: Vec<_> = summary.paired.iter().filter(|r| r.protocol == *protocol).cloned().collect();
        let (each_seed, all) = (several_seeds(&rows, &summary.averages), &summary.averages);
        let main = Section {
            topic: Topic::Results(protocol.clone()),
            title: setting(&rows),
            table: results(&rows, all),
            note: results_note(&rows),
        };
        let seeds = Section {
            topic: Topic::Seeds(protocol.clone()),
            title: "Each seed".to_owned(),
            table: results(&each_seed, &[]),
            note: "accuracy in %, ± 95 % confidence interval of the mean over episodes".to_owned(),
        };
        let paired = Section {
            topic: Topic::Differences(protocol.clone()),
            title: "Differences on the same episodes".to_owned(),
            table: paired(&differences),
            note: paired_note(&differences),
        };
        [main, paired, seeds]
    });
    let crops = Section {
        topic: Topic::Boxes,
        title: "Boxes against the true ones".to_owned(),
        table: crops(&summary.crops),
        note: "IoU: intersection over union with the box of the data set".to_owned(),
    };
    let brought = Section {
        topic: Topic::Sources,
        title: "What each kind of box brings".to_owned(),
        table: brought(summary),
        note: "rows that differ only in what they look at; IoU on novel classes; accuracy in %, ± 95 % confidence interval"
            .to_owned(),
    };
    of_protocol.chain([crops, brought]).filter(|s| !s.table.is_empty()).collect()
}

/// Writes the tables as plain text, within the width of a terminal.
pub fn to_text(summary: &Summary, width: Option<usize>) -> String {
    let within = |text: String| width.map_or(text.clone(), |width| wrap(&text, width).join("\n"));
    let texts = sections(summary).into_iter().map(|s| {
        let (title, note) = (within(s.title), within(format!("({})", s.note)));
        format!("{title}\n\n{}{note}\n", s.table.fit(width))
    });
    let warnings = summary.warnings.iter().map(|w| within(format!("warning: {w}")) + "\n");
    texts.chain(warnings).collect::<Vec<_>>().join("\n")
}

/// Writes the tables as Markdown under a heading.
pub fn to_markdown(summary: &Summary, heading: &str) -> String {
    let texts = sections(summary).into_iter().map(|s| {
        let Section { title, table, note, .. } = s;
        format!("## {title}\n\n{}\n{note}\n", table.to_markdown())
    });
    let warnings = summary.warnings.iter().map(|w| format!("**Warning:** {w}\n"));
    format!("# {heading}\n\n{}", texts.chain(warnings).collect::<Vec<_>>().join("\n"))
}

/// Says in one line what all rows have in common.
fn setting(rows: &[ResultRow]) -> String {
    let Some(first) = rows.first() else { return "Results".to_owned() };
    format!(
        "{}-way accuracy on novel classes, split {}, protocol {}: {} episodes of {} queries a class",
        first.spec.n_way, first.spec.split_rule, first.spec.protocol, first.episodes, first.spec.n_query
    )
}

/// The rows that were trained with several seeds.
fn several_seeds(rows: &[ResultRow], averages: &[AverageRow]) -> Vec<ResultRow> {
    rows.iter().filter(|row| average_of(row, averages).is_some()).cloned().collect()
}

/// Says what the figures are, and what keeps rows from being compared.
fn results_note(rows: &[ResultRow]) -> String {
    let mut note = "accuracy in %, ± 95 % confidence interval of the mean over episodes".to_owned();
    if distinct(rows.iter().map(|r| r.spec.training_seed)).len() > 1 {
        note.push_str("; spread: standard deviation between seeds of training");
    }
    if rows.iter().any(|r| r.spec.paper_accuracy.is_some()) {
        note.push_str("; paper: what the paper prints, of the same photos in another split");
    }
    let differ = |pick: fn(&ResultRow) -> &str| distinct(rows.iter().map(pick)).len() > 1;
    if differ(|r| &r.spec.weights) {
        note.push_str("; rows with outside weights have seen other photos");
    }
    if differ(|r| &r.spec.image_source) {
        note.push_str("; object: what a row looks at besides, or instead of, the whole photo");
    }
    note
}

/// Says what a difference is, and when it counts.
fn paired_note(rows: &[PairedRow]) -> String {
    let note = "percentage points, ± 95 % confidence interval of the paired difference over episodes";
    match rows.iter().any(|r| r.spread.is_some()) {
        true => format!(
            "{note}; spread: standard deviation between seeds of training; seeds: how many have a difference of this sign"
        ),
        false => note.to_owned(),
    }
}

/// A line for each row, its seeds taken together where `averages` has them; a column for each number of shots.
fn results(rows: &[ResultRow], averages: &[AverageRow]) -> TextTable {
    let shots = distinct(rows.iter().map(|r| r.spec.k_shot));
    let titles: Vec<_> = shots.iter().map(|k| format!("{k}-shot")).collect();
    let headings = rows.first().map_or_else(Vec::new, |row| row.spec.columns()).into_iter();
    let mut columns: Vec<_> = headings.filter_map(|column| Some((column.heading?, Align::Left))).collect();
    for title in &titles {
        columns.extend([(title.as_str(), Align::Right), ("spread", Align::Right), ("paper", Align::Right)]);
    }
    let mut table = TextTable::new(&columns);
    let key_of = |row: &ResultRow| identity(row, average_of(row, averages));
    for key in distinct(rows.iter().map(key_of)) {
        let mut cells = key.clone();
        for k_shot in &shots {
            let found = rows.iter().find(|r| r.spec.k_shot == *k_shot && key_of(r) == key);
            let average = found.and_then(|r| average_of(r, averages));
            let accuracy = average.map(|a| (a.accuracy, a.ci95)).or(found.map(|r| (r.accuracy, r.ci95)));
            let paper = found.and_then(|r| r.spec.paper_accuracy);
            cells.push(accuracy.map_or(String::new(), |(accuracy, ci95)| percent(accuracy, ci95)));
            cells.push(average.map_or(String::new(), |a| format!("{:.2}", 100.0 * a.spread)));
            cells.push(paper.map_or(String::new(), |accuracy| format!("{:.2}", 100.0 * accuracy)));
        }
        table.row(cells);
    }
    table
}

/// The row's seeds taken together, where it has several.
fn average_of<'a>(row: &ResultRow, averages: &'a [AverageRow]) -> Option<&'a AverageRow> {
    averages.iter().find(|a| a.nodes.contains(&row.node))
}

/// What tells one line of the result table from the others; what goes without saying is left blank.
fn identity(row: &ResultRow, average: Option<&AverageRow>) -> Vec<String> {
    let seeds = average.map_or_else(|| vec![row.spec.training_seed], |a| a.seeds.clone());
    let printed = row.spec.columns().into_iter().filter(|column| column.heading.is_some());
    let cell = |column: RowColumn| match column.cell.to_string() {
        _ if column.name == "training_seed" => seeds.iter().map(i64::to_string).collect::<Vec<_>>().join(", "),
        text if text == column.usual => String::new(),
        text => text,
    };
    printed.map(cell).collect()
}

fn paired(rows: &[PairedRow]) -> TextTable {
    let shots = distinct(rows.iter().map(|r| r.k_shot));
    let titles: Vec<_> = shots.iter().map(|k| format!("{k}-shot")).collect();
    let mut columns = vec![("row", Align::Left), ("minus", Align::Left)];
    for title in &titles {
        columns.extend([(title.as_str(), Align::Right), ("spread", Align::Right), ("seeds", Align::Right)]);
    }
    let mut table = TextTable::new(&columns);
    for (row, minus) in distinct(rows.iter().map(|r| (r.row.clone(), r.minus.clone()))) {
        let mut cells = vec![row.clone(), minus.clone()];
        for k_shot in &shots {
            let found = rows.iter().find(|r| r.row == row && r.minus == minus && r.k_shot == *k_shot);
            cells.push(found.map_or(String::new(), |r| signed(r.difference, r.ci95)));
            let spread = found.and_then(|r| Some((r.spread?, r.agreeing, r.seeds)));
            cells.push(spread.map_or(String::new(), |(spread, ..)| format!("{:.2}", 100.0 * spread)));
            cells.push(spread.map_or(String::new(), |(_, agreeing, seeds)| format!("{agreeing}/{seeds}")));
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

/// The rows of a method that differ only in what they look at, beside how well those boxes fit.
fn brought(summary: &Summary) -> TextTable {
    let rows = &summary.results;
    let shots = distinct(rows.iter().map(|r| r.spec.k_shot));
    let titles: Vec<_> = shots.iter().map(|k| format!("{k}-shot")).collect();
    let mut columns = vec![("row", Align::Left), ("boxes", Align::Left), ("mean IoU", Align::Right)];
    columns.extend(titles.iter().map(|title| (title.as_str(), Align::Right)));
    let mut table = TextTable::new(&columns);
    let family = |r: &ResultRow| {
        let looks = (
            r.spec.method.clone(),
            r.spec.levels.clone(),
            r.spec.backbone.clone(),
            r.spec.mode.clone(),
            r.spec.bn_eval.clone(),
        );
        (looks, r.spec.protocol.clone())
    };
    for of in distinct(rows.iter().map(family)) {
        let own: Vec<_> = rows.iter().filter(|r| family(r) == of).collect();
        let sources = distinct(own.iter().map(|r| r.spec.image_source.as_str()));
        if sources.iter().filter(|source| **source != "raw").count() < 2 {
            continue; // nothing to compare
        }
        for source in sources {
            let iou = summary.crops.iter().find(|c| c.part == "novel" && c.node == boxes_node(source));
            let name = format!("{} {}", own[0].spec.method, own[0].spec.levels);
            let mut cells = vec![name.trim().to_owned(), source.to_owned()];
            cells.push(iou.map_or(String::new(), |c| format!("{:.3}", c.mean_iou)));
            for k_shot in &shots {
                let found = own.iter().find(|r| r.spec.k_shot == *k_shot && r.spec.image_source == source);
                let of_seeds = found.and_then(|r| average_of(r, &summary.averages)).map(|a| (a.accuracy, a.ci95));
                let accuracy = of_seeds.or(found.map(|r| (r.accuracy, r.ci95)));
                cells.push(accuracy.map_or(String::new(), |(accuracy, ci95)| percent(accuracy, ci95)));
            }
            table.row(cells);
        }
    }
    table
}

/// The node that draws the boxes of an object source.
fn boxes_node(source: &str) -> String {
    match source {
        "grad-cam" => "crop".to_owned(),
        "whole-twice" | "raw" => "crop[source=whole]".to_owned(),
        other => format!("crop[source={other}]"),
    }
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
