//! `mlsm gc`: removes what no kept run reaches, from the store or the bucket; without `--apply` it only says what.

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use clap::Args;
use mlsm_store::{Access, GcOptions, GcPlan, Store};

use crate::clock;
use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::{stderr, stdout, terminal};
use crate::settings::{Settings, Waiting};
use crate::signals;

/// How long the work of a killed run is kept for the next one.
const UNRECORDED: Duration = Duration::from_secs(7 * 86_400);

/// What is kept.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Removes what the plan names
    #[arg(long)]
    apply: bool,
    /// Keeps the last complete runs of each configuration (its name and its keys), and as many of the others
    #[arg(long, value_name = "N", default_value_t = 3)]
    keep: usize,
    /// Drops configurations that no run used for longer, such as `90d`; the last run of each name stays
    #[arg(long, value_name = "AGE", value_parser = age)]
    unused_for: Option<Duration>,
    /// Drops only runs that finished longer ago, such as `30d` or `12h`
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Drops further runs, those first that were used longest ago, until artifacts take less, such as `20GB`; the last
    /// complete run of each name of a configuration stays
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Fails instead of waiting for runs that are going on
    #[arg(long)]
    no_wait: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        _ => return Err("an age ends in d, h or m".to_owned()),
    };
    let count: u64 = number.parse().map_err(|_| format!("`{number}` is not a whole number"))?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}

fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err("a size ends in B, kB, MB, GB or TB".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| format!("`{digits}` is not a whole number"))?;
    Ok(count.saturating_mul(factor))
}

/// Plans or collects.
///
/// # Errors
/// [`CliError::Busy`] when a run is going on and waiting was not wanted.
pub fn gc(args: &GcArgs, settings: &Settings) -> Result<(), CliError> {
    let options = GcOptions {
        keep_runs: args.keep,
        runs_before: args.older_than.map(clock::ago),
        #[expect(clippy::disallowed_methods, reason = "what is younger is kept")]
        unrecorded_before: SystemTime::now() - UNRECORDED,
        max_bytes: args.max_size,
        unused_before: args.unused_for.map(clock::ago),
    };
    let bucket = settings.open_bucket()?;
    let waiting = if args.no_wait { Waiting::Refused } else { Waiting::Allowed };
    let store = || Store::open_with(&settings.store, Access::ReadOnly, &settings.patience(waiting));
    if !args.apply {
        let plan = bucket.map_or_else(|| store()?.plan_gc(&options), |bucket| bucket.plan_gc(&options))?;
        return tell(&plan, settings, "would be removed; `mlsm gc --apply` removes it");
    }
    let (mut told, cancel) = (false, signals::cancel());
    let mut wait = || {
        if args.no_wait || cancel.is_cancelled() {
            return ControlFlow::Break(());
        }
        if !told {
            stderr::line("waiting for runs that write this store");
            told = true;
        }
        ControlFlow::Continue(())
    };
    let removed = match bucket {
        Some(bucket) => bucket.apply_gc(&options, &mut wait)?,
        None => store()?.apply_gc(&options, &mut wait)?,
    };
    match removed {
        Some(plan) => tell(&plan, settings, "was removed"),
        None if cancel.is_cancelled() => Err(CliError::Cancelled),
        None => Err(CliError::Busy),
    }
}

fn tell(plan: &GcPlan, settings: &Settings, what: &str) -> Result<(), CliError> {
    if settings.is_json() {
        return stdout::print_json(plan);
    }
    let mut table = TextTable::new(&[("of", Align::Left), ("bytes", Align::Right)]);
    for (stage, bytes) in &plan.by_stage {
        table.row(vec![format!("stage {stage}"), bytes.to_string()]);
    }
    for (name, bytes) in &plan.by_table {
        table.row(vec![format!("table {name}"), bytes.to_string()]);
    }
    for (folder, bytes) in &plan.by_folder {
        table.row(vec![format!("folder {folder}"), bytes.to_string()]);
    }
    let (runs, kept) = (plan.dropped_runs.len(), plan.kept_runs.len());
    let counts = format!("{} manifests, {} artifacts, {} bytes in all", plan.manifests, plan.blobs, plan.bytes);
    let rest = format!("{kept} runs and {} bytes of artifacts are kept, {runs} runs are not", plan.kept_bytes);
    let is_nothing = plan.by_stage.is_empty() && plan.by_table.is_empty() && plan.by_folder.is_empty();
    let removed = if is_nothing { String::new() } else { table.fit(terminal::width()) };
    stdout::tell(&format!("{removed}{counts} {what}\n{rest}\n{}", costs(plan)))
}

/// Says what the next run of each configuration would have to compute again.
fn costs(plan: &GcPlan) -> String {
    if plan.configurations.is_empty() {
        return String::new();
    }
    let mut columns = ["configuration", "keys", "last used", "would compute again"].map(|title| (title, Align::Left));
    columns[3].1 = Align::Text;
    let mut table = TextTable::new(&columns);
    for cost in &plan.configurations {
        let units: Vec<_> = cost.recompute.iter().map(|(stage, units)| format!("{stage} ({units} units)")).collect();
        let units = if units.is_empty() { "nothing".to_owned() } else { units.join(", ") };
        table.row(vec![cost.config_name.clone(), cost.config_digest.short(), cost.used.clone(), units]);
    }
    format!("\n{}", table.fit(terminal::width()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read_with_their_units() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(age("90m"), Ok(Duration::from_secs(5400)));
        assert!(age("30").is_err() && age("xd").is_err() && age("").is_err());
        assert_eq!((size("20GB"), size("7"), size("3 kb").is_err()), (Ok(20_000_000_000), Ok(7), true));
        assert!(size("3x").is_err());
    }
}
