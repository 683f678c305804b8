//! The measured rows under names of their own, seeds of one training taken together.

use mlsm_pipelines::results::{AverageRow, ResultRow, Summary};

/// A row of results: one training, or all its seeds.
pub struct Row<'a> {
    /// What tells it from the others of its protocol and shots.
    pub label: String,
    /// Its seeds.
    pub seeds: Vec<&'a ResultRow>,
    /// All its seeds, where there are several.
    pub average: Option<&'a AverageRow>,
}

impl Row<'_> {
    /// Returns what all its seeds have in common, and the first one's seed.
    pub fn first(&self) -> &ResultRow {
        self.seeds[0]
    }

    /// Returns mean and half the confidence interval, shares of 1.
    pub fn accuracy(&self) -> (f64, f64) {
        self.average.map_or((self.first().accuracy, self.first().ci95), |a| (a.accuracy, a.ci95))
    }
}

/// Names the rows of one protocol and number of shots, in the order of the results.
pub fn named<'a>(summary: &'a Summary, protocol: &str, k_shot: i64) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for result in summary.results.iter().filter(|r| r.spec.protocol == protocol && r.spec.k_shot == k_shot) {
        let average = summary.averages.iter().find(|a| a.nodes.contains(&result.node));
        let same = rows.iter_mut().find(|row| average.is_some() && row.average == average);
        match same {
            Some(row) => row.seeds.push(result),
            None => rows.push(Row { label: short(result), seeds: vec![result], average }),
        }
    }
    distinguish(&mut rows);
    rows
}

/// Method, levels, and what it looks at where that is not the whole photo.
fn short(row: &ResultRow) -> String {
    let source = if row.spec.image_source == "raw" { String::new() } else { format!("({})", row.spec.image_source) };
    let words = [row.spec.method.clone(), row.spec.levels.clone(), source];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Adds to equal labels what the rows differ in.
fn distinguish(rows: &mut [Row<'_>]) {
    let cells: Vec<Vec<_>> = rows.iter().map(|row| row.first().spec.columns()).collect();
    let Some(columns) = rows.first().map(|row| row.first().spec.columns()) else { return };
    for (column, _) in columns.iter().enumerate().filter(|(_, column)| column.heading.is_some()) {
        let labels: Vec<_> = rows.iter().map(|row| row.label.clone()).collect();
        for i in 0..rows.len() {
            let differs = |j: usize| labels[j] == labels[i] && cells[j][column].cell != cells[i][column].cell;
            let text = cells[i][column].cell.to_string();
            if !text.is_empty() && (0..labels.len()).any(differs) {
                rows[i].label = format!("{} {text}", rows[i].label);
            }
        }
    }
}

/// Returns each value once, in the order in which it first stands.
pub fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut seen, value| {
        if !seen.contains(&value) {
            seen.push(value);
        }
        seen
    })
}
