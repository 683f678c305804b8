//! `mlsm diff`: what changed between two runs: configuration, program, requests, results.

use std::collections::BTreeMap;

use clap::Args;
use mlsm_pipelines::results::Summary;
use mlsm_store::{Access, Difference, NodeRecord, RunRecord, Store};
use serde::Serialize;

use crate::cmd::report;
use crate::error::CliError;
use crate::render::stdout;
use crate::settings::Settings;

/// The runs to compare.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier run, as `mlsm runs` names it
    #[arg(value_name = "RUN")]
    old: String,
    /// The later run
    #[arg(value_name = "RUN")]
    new: String,
}

/// What differs, also as JSON.
#[derive(Debug, Default, Serialize)]
struct RunDiff {
    run: Vec<String>,
    only_old: Vec<String>,
    only_new: Vec<String>,
    nodes: BTreeMap<String, Vec<String>>,
    results: Vec<ResultDiff>,
}

#[derive(Debug, Serialize)]
struct ResultDiff {
    node: String,
    old: Option<f64>,
    new: Option<f64>,
}

/// Compares two runs.
///
/// # Errors
/// [`CliError::Usage`] for a run that the store does not have.
pub fn diff(args: &DiffArgs, settings: &Settings) -> Result<(), CliError> {
    let store = settings.open_store(Access::ReadOnly)?;
    let runs = store.runs().list()?;
    let find = |id: &str| {
        runs.iter().find(|r| r.run_id == id).ok_or_else(|| {
            let latest: Vec<_> = runs.iter().rev().take(3).map(|r| r.run_id.as_str()).collect();
            let fix = format!("`mlsm runs` lists them; the latest are: {}", latest.join(", "));
            CliError::usage(format!("no run `{id}`"), "the store's log does not have it", fix)
        })
    };
    let (old, new) = (find(&args.old)?, find(&args.new)?);
    let mut found = RunDiff { run: headers(old, new), ..RunDiff::default() };
    let by_id = |run: &'_ RunRecord| run.nodes.iter().map(|n| (n.node.clone(), n.clone())).collect::<BTreeMap<_, _>>();
    let (before, after) = (by_id(old), by_id(new));
    found.only_old = before.keys().filter(|id| !after.contains_key(*id)).cloned().collect();
    found.only_new = after.keys().filter(|id| !before.contains_key(*id)).cloned().collect();
    for (id, node) in &after {
        let Some(earlier) = before.get(id).filter(|n| n.units != node.units) else { continue };
        found.nodes.insert(id.clone(), units(&store, earlier, node)?);
    }
    found.results = results(&store, args)?;
    if settings.is_json() { stdout::print_json(&found) } else { stdout::tell(&text(&found)) }
}

fn headers(old: &RunRecord, new: &RunRecord) -> Vec<String> {
    let pairs = [
        ("configuration", old.config_name.clone(), new.config_name.clone()),
        ("configuration's digest", old.config_digest.short(), new.config_digest.short()),
        ("version", old.version.clone(), new.version.clone()),
        ("device", old.device.clone(), new.device.clone()),
        ("outcome", old.outcome.clone(), new.outcome.clone()),
    ];
    pairs.into_iter().filter(|(_, a, b)| a != b).map(|(what, a, b)| format!("{what}: {a} → {b}")).collect()
}

/// Says in words how the requests of two realisations of a node differ; equal reasons of many shards are said once.
fn units(store: &Store, old: &NodeRecord, new: &NodeRecord) -> Result<Vec<String>, CliError> {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (unit, fingerprint) in &new.units {
        let reason = match old.units.get(unit) {
            Some(earlier) if earlier == fingerprint => continue,
            None => "this unit is new".to_owned(),
            Some(earlier) => match (store.lookup(earlier)?, store.lookup(fingerprint)?) {
                (Some(a), Some(b)) => {
                    let differences: Vec<Difference> = b.request.differences(&a.request);
                    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                }
                _ => "one of the results is gone".to_owned(),
            },
        };
        *reasons.entry(reason).or_default() += 1;
    }
    let gone = old.units.keys().filter(|unit| !new.units.contains_key(*unit)).count();
    if gone > 0 {
        reasons.insert("shards that are gone".to_owned(), gone);
    }
    Ok(reasons.into_iter().map(|(why, n)| if n > 1 { format!("{why} ({n} units)") } else { why }).collect())
}

/// Compares accuracies, as far as both runs' tables are still there.
fn results(store: &Store, args: &DiffArgs) -> Result<Vec<ResultDiff>, CliError> {
    let read = |id: &str| store.published(Some(id))?.map(|published| report::read(&published)).transpose();
    let accuracies = |summary: Option<Summary>| -> BTreeMap<String, f64> {
        summary.into_iter().flat_map(|s| s.results).map(|r| (r.node, r.accuracy)).collect()
    };
    let (old, new) = (accuracies(read(&args.old)?), accuracies(read(&args.new)?));
    let mut nodes: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    nodes.sort();
    nodes.dedup();
    let rows = nodes.into_iter().map(|node| {
        let (old, new) = (old.get(&node).copied(), new.get(&node).copied());
        ResultDiff { node, old, new }
    });
    Ok(rows.filter(|r| r.old != r.new).collect())
}

fn text(found: &RunDiff) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    found.run.iter().for_each(|line| say(line.clone()));
    found.only_old.iter().for_each(|node| say(format!("{node}: only in the earlier run")));
    found.only_new.iter().for_each(|node| say(format!("{node}: only in the later run")));
    for (node, reasons) in &found.nodes {
        say(format!("{node}:"));
        reasons.iter().for_each(|reason| say(format!("  {reason}")));
    }
    let percent = |value: Option<f64>| value.map_or_else(|| "absent".to_owned(), |v| format!("{:.2} %", 100.0 * v));
    for ResultDiff { node, old, new } in &found.results {
        say(format!("{node}: accuracy {} → {}", percent(*old), percent(*new)));
    }
    if text.is_empty() { "the runs do not differ\n".to_owned() } else { text }
}
