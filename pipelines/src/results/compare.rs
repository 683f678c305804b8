//! What rows are compared with each other, over all seeds of their training.

use mlsm_data::{mean_ci, paired};

use super::{AverageRow, PairedRow, ResultRow, Row, RowSpec};

/// The rows that differ in the seed of their training alone.
pub(super) struct Measured<'a> {
    rows: Vec<&'a ResultRow>,
    /// For each episode, the mean over seeds.
    accuracies: Vec<f64>,
    /// The same of each seed, in the order of the rows.
    of_seeds: Vec<&'a [f64]>,
}

impl Measured<'_> {
    /// What all its rows have in common, and the first one's seed.
    fn row(&self) -> &ResultRow {
        self.rows[0]
    }
}

/// Takes the seeds of each row together, in the order in which the rows first stand.
pub(super) fn over_seeds(rows: &[Row]) -> Vec<Measured<'_>> {
    let mut found: Vec<(Vec<&ResultRow>, Vec<&[f64]>)> = Vec::new();
    for (row, accuracies) in rows {
        match found.iter_mut().find(|(same, _)| row.differs_by_seed(same[0])) {
            Some((same, lists)) => {
                same.push(row);
                lists.push(accuracies);
            }
            None => found.push((vec![row], vec![accuracies])),
        }
    }
    let mean = |lists: &[&[f64]], episode: usize| lists.iter().map(|list| list[episode]).sum::<f64>();
    let measured = found.into_iter().map(|(rows, lists)| {
        let accuracies = (0..lists[0].len()).map(|e| mean(&lists, e) / lists.len() as f64).collect();
        Measured { rows, accuracies, of_seeds: lists }
    });
    measured.collect()
}

/// Averages the rows that have several seeds.
pub(super) fn averages(measured: &[Measured<'_>]) -> Vec<AverageRow> {
    let several = measured.iter().filter(|m| m.rows.len() > 1);
    let average = several.map(|m| {
        let over_episodes = mean_ci(&m.accuracies);
        let each: Vec<f64> = m.rows.iter().map(|row| row.accuracy).collect();
        AverageRow {
            nodes: m.rows.iter().map(|row| row.node.clone()).collect(),
            seeds: m.rows.iter().map(|row| row.spec.training_seed).collect(),
            accuracy: over_episodes.mean,
            ci95: over_episodes.ci95,
            spread: spread(&each).unwrap_or_default(),
        }
    });
    average.collect()
}

/// The standard deviation of several values.
fn spread(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt())
}

/// The difference of two rows for each seed of the first: to the same seed of the second, or to all of it where it was
/// not trained with that one.
fn of_seeds(this: &Measured<'_>, other: &Measured<'_>) -> Vec<f64> {
    let each = this.rows.iter().zip(&this.of_seeds).map(|(row, own)| {
        let same = other.rows.iter().position(|theirs| theirs.spec.training_seed == row.spec.training_seed);
        let theirs = same.map_or(other.accuracies.as_slice(), |at| other.of_seeds[at]);
        paired(own, theirs).mean
    });
    each.collect()
}

/// Compares what people ask about: each learnt row with the training-free ones, the levels with each other, and the
/// method with levels with the methods without, a backbone that is learnt with a frozen one, and batch norm by the batch
/// with that by running statistics.
pub(super) fn differences(measured: &[Measured<'_>]) -> Vec<PairedRow> {
    let mut found = Vec::new();
    for this in measured.iter().filter(|m| m.row().is_learnt()) {
        let row = this.row();
        let same = |other: &&Measured<'_>| {
            (other.row().spec.k_shot, &other.row().spec.protocol) == (row.spec.k_shot, &row.spec.protocol)
                && is_compared(row, other.row())
        };
        for other in measured.iter().filter(same) {
            let difference = paired(&this.accuracies, &other.accuracies);
            let each = of_seeds(this, other);
            found.push(PairedRow {
                row: title(row),
                minus: title(other.row()),
                k_shot: row.spec.k_shot,
                protocol: row.spec.protocol.clone(),
                difference: difference.mean,
                ci95: difference.ci95,
                spread: spread(&each),
                seeds: each.len(),
                agreeing: each.iter().filter(|d| d.signum() == difference.mean.signum()).count(),
            });
        }
    }
    found
}

impl ResultRow {
    /// Tells whether the row has learnt in episodes.
    fn is_learnt(&self) -> bool {
        self.spec.method != "pixels" && !self.spec.method.starts_with("cl2n:")
    }

    /// Tells whether two rows are the same but for the seed of their training.
    pub fn differs_by_seed(&self, other: &Self) -> bool {
        let rest = |row: &Self| RowSpec { training_seed: 0, ..row.spec.clone() };
        rest(self) == rest(other) && self.episodes == other.episodes
    }
}

fn is_compared(row: &ResultRow, other: &ResultRow) -> bool {
    let is_control =
        |row: &ResultRow| matches!(row.spec.image_source.as_str(), "whole-twice" | "centre-box" | "oracle-box");
    if !other.is_learnt() {
        return !is_control(row) && (other.spec.backbone == "none" || other.spec.backbone == row.spec.backbone);
    }
    let has_levels = |row: &ResultRow| !row.spec.levels.is_empty();
    if has_levels(row) && !has_levels(other) {
        return !is_control(row);
    }
    let looks = |row: &ResultRow| (row.spec.levels.clone(), row.spec.image_source.clone(), row.spec.backbone.clone());
    let is_alike = looks(row) == looks(other);
    if is_alike && row.spec.mode != "frozen" && other.spec.mode == "frozen" && has_levels(other) {
        return row.spec.bn_eval == other.spec.bn_eval;
    }
    if is_alike
        && row.spec.method == other.spec.method
        && row.spec.mode == other.spec.mode
        && row.spec.bn_eval != other.spec.bn_eval
    {
        return other.spec.bn_eval == "running";
    }
    let is_main = row.spec.levels == "I+G+O" && !is_control(row) && row.spec.image_source != "raw";
    row.spec.method == other.spec.method && is_main && row.node != other.node
}

fn title(row: &ResultRow) -> String {
    let levels = if row.spec.levels.is_empty() { String::new() } else { format!(" {}", row.spec.levels) };
    let source = if row.spec.image_source == "raw" { String::new() } else { format!(" ({})", row.spec.image_source) };
    let mode = if row.spec.mode == "frozen" { String::new() } else { format!(" {}", row.spec.mode) };
    let by_batch = if row.node.contains("bn_eval=batch") { " by batch" } else { "" };
    format!("{}{levels}{source}{mode}{by_batch}", row.spec.method)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: &str, levels: &str, seed: i64, accuracies: &[f64]) -> Row {
        let spec = RowSpec {
            method: method.to_owned(),
            levels: levels.to_owned(),
            training_seed: seed,
            backbone: "conv4-np19".to_owned(),
            image_source: "raw".to_owned(),
            mode: "frozen".to_owned(),
            bn_eval: "running".to_owned(),
            ..RowSpec::default()
        };
        (ResultRow::new(&format!("evaluate:{method}[{levels}{seed}]"), spec, accuracies), accuracies.to_vec())
    }

    #[test]
    fn seeds_are_averaged_episode_by_episode() {
        let rows = [
            row("mlsm", "I", 0, &[0.2, 0.6]),
            row("pixels", "", 0, &[0.1, 0.1]),
            row("mlsm", "I", 1, &[0.6, 0.2]),
            row("mlsm", "I", 2, &[0.7, 0.7]),
        ];
        let measured = over_seeds(&rows);
        let averages = averages(&measured);
        assert_eq!(averages.len(), 1);
        let AverageRow { seeds, accuracy, ci95, spread, nodes } = &averages[0];
        assert_eq!((seeds.as_slice(), nodes.len()), ([0, 1, 2].as_slice(), 3));
        assert!((accuracy - 0.5).abs() < 1e-12 && ci95.abs() < 1e-12, "both episodes average to a half: {averages:?}");
        assert!((spread - 0.03f64.sqrt()).abs() < 1e-12, "of .4, .4 and .7: {spread}");

        let differences = differences(&measured);
        assert_eq!(differences.len(), 1, "one line for all seeds: {differences:?}");
        let PairedRow { difference, spread, seeds, agreeing, .. } = &differences[0];
        assert!((difference - 0.4).abs() < 1e-12);
        assert_eq!((*seeds, *agreeing), (3, 3));
        assert!((spread.unwrap() - 0.03f64.sqrt()).abs() < 1e-12, "of .3, .3 and .6");
    }

    #[test]
    fn rows_that_differ_in_more_than_the_seed_stay_apart() {
        let rows = [row("mlsm", "I", 0, &[0.5, 0.6]), row("mlsm", "I+G", 1, &[0.5, 0.6])];
        assert_eq!(over_seeds(&rows).len(), 2);
        assert!(averages(&over_seeds(&rows)).is_empty());
    }

    #[test]
    fn a_learnt_backbone_is_compared_with_a_frozen_one_and_the_batch_with_running_statistics() {
        let with = |change: &dyn Fn(&mut ResultRow)| {
            let (mut row, accuracies) = row("mlsm", "I", 0, &[0.5, 0.6]);
            change(&mut row);
            (row, accuracies)
        };
        let frozen = with(&|_| ());
        let learnt = with(&|r| (r.spec.method, r.spec.mode) = ("learnt".to_owned(), "base-init".to_owned()));
        let batch =
            with(&|r| (r.spec.bn_eval, r.node) = ("batch".to_owned(), "evaluate:mlsm[bn_eval=batch]".to_owned()));
        let rows = [frozen, learnt, batch];
        let found = differences(&over_seeds(&rows));
        let pairs: Vec<_> = found.iter().map(|d| (d.row.as_str(), d.minus.as_str())).collect();
        assert_eq!(pairs, [("learnt I base-init", "mlsm I"), ("mlsm I by batch", "mlsm I")]);
    }
}
