//! The metrics of a run for Prometheus, in its text format: what `mlsm run --metrics-file` writes for a collector of text
//! files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use mlsm_engine::{NodeSummary, Outcome};
use mlsm_pipelines::results::{ResultRow, Summary};

/// What a run was and how it went.
pub struct RunMetrics<'a> {
    /// The name of the configuration; empty when none was named.
    pub config: &'a str,
    /// The exit code of the process.
    pub exit_code: u8,
    /// Seconds since 1970-01-01 at its end.
    pub finished: Duration,
    /// How long it took.
    pub took: Duration,
    /// The nodes, as far as it came.
    pub nodes: &'a [NodeSummary],
    /// The results, where it published some.
    pub results: Option<&'a Summary>,
}

/// One metric: its name, type and meaning, and its samples.
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// Writes the metrics; all are gauges, as each file stands for one run.
pub fn to_text(run: &RunMetrics<'_>) -> String {
    let mut text = String::new();
    for Metric { name, help, samples } in metrics(run).into_iter().filter(|metric| !metric.samples.is_empty()) {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for (labels, value) in samples {
            let config = ("config", run.config.to_owned());
            let labels =
                [config].into_iter().chain(labels).map(|(label, value)| format!("{label}=\"{}\"", escaped(&value)));
            let _ = writeln!(text, "{name}{{{}}} {value}", labels.collect::<Vec<_>>().join(","));
        }
    }
    text
}

fn metrics(run: &RunMetrics<'_>) -> Vec<Metric> {
    let one = |name, help, value| Metric { name, help, samples: vec![(Vec::new(), value)] };
    let mut counts = BTreeMap::<(&str, &str), f64>::new();
    let mut seconds = BTreeMap::<&str, f64>::new();
    for node in run.nodes {
        *counts.entry((&node.stage, word(node.outcome))).or_default() += 1.0;
        *seconds.entry(&node.stage).or_default() += node.seconds;
    }
    let stage = |stage: &str| ("stage", stage.to_owned());
    let of_outcome =
        |((name, outcome), n): ((&str, &str), f64)| (vec![stage(name), ("outcome", outcome.to_owned())], n);
    let of_stage = |(name, seconds): (&str, f64)| (vec![stage(name)], seconds);
    let rows = run.results.map(|results| results.results.as_slice()).unwrap_or_default();
    let of_row = |row: &ResultRow| {
        let labels = vec![
            ("node", row.node.clone()),
            ("method", row.spec.method.clone()),
            ("k_shot", row.spec.k_shot.to_string()),
        ];
        (labels, row.accuracy)
    };
    vec![
        one("mlsm_run_exit_code", "Exit code of the last run: 0 is success.", f64::from(run.exit_code)),
        one("mlsm_run_finished_timestamp_seconds", "When the last run ended.", run.finished.as_secs_f64().round()),
        one("mlsm_run_duration_seconds", "How long the last run took.", run.took.as_secs_f64()),
        Metric {
            name: "mlsm_run_nodes",
            help: "Nodes of the last run, by stage and outcome.",
            samples: counts.into_iter().map(of_outcome).collect(),
        },
        Metric {
            name: "mlsm_run_stage_seconds",
            help: "Time that the last run spent in a stage.",
            samples: seconds.into_iter().map(of_stage).collect(),
        },
        Metric {
            name: "mlsm_accuracy_ratio",
            help: "Mean accuracy of a row over episodes, from 0 to 1.",
            samples: rows.iter().map(of_row).collect(),
        },
    ]
}

/// Names an outcome for people.
pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Executed => "executed",
        Outcome::Cached => "reused",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
        Outcome::Cancelled => "cancelled",
    }
}

/// Escapes the value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use mlsm_engine::ShardCount;

    use super::*;

    #[test]
    fn each_metric_states_its_meaning_once_and_labels_are_escaped() {
        let node = |stage: &str, outcome, seconds| NodeSummary {
            node: stage.to_owned(),
            stage: stage.to_owned(),
            outcome,
            fingerprint: None,
            outputs: BTreeMap::new(),
            seconds,
            shards: ShardCount::default(),
            reason: String::new(),
        };
        let nodes = [
            node("crop", Outcome::Executed, 1.5),
            node("crop", Outcome::Failed, 0.5),
            node("ingest", Outcome::Cached, 0.0),
        ];
        let text = to_text(&RunMetrics {
            config: "a\"b",
            exit_code: 3,
            finished: Duration::from_secs(1_700_000_000),
            took: Duration::from_millis(2250),
            nodes: &nodes,
            results: None,
        });
        for line in [
            "# TYPE mlsm_run_exit_code gauge\nmlsm_run_exit_code{config=\"a\\\"b\"} 3\n",
            "mlsm_run_finished_timestamp_seconds{config=\"a\\\"b\"} 1700000000\n",
            "mlsm_run_duration_seconds{config=\"a\\\"b\"} 2.25\n",
            "mlsm_run_nodes{config=\"a\\\"b\",stage=\"crop\",outcome=\"failed\"} 1\n",
            "mlsm_run_stage_seconds{config=\"a\\\"b\",stage=\"crop\"} 2\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("mlsm_accuracy_ratio"), "{text}");
    }
}
