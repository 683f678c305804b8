//! `mlsm verify`: reads every artifact again, of a bucket and of its cache as well, and says what is damaged and how it is
//! mended.

use clap::Args;
use mlsm_store::{Access, Finding, VerifyOptions};
use serde::Serialize;

use crate::error::CliError;
use crate::error::words::of_fix;
use crate::render::{bytes, stdout};
use crate::settings::Settings;

/// What to do about what is found.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Sets damaged files aside, so that the next run remakes exactly them
    #[arg(long)]
    repair: bool,
}

/// The answer as JSON.
#[derive(Serialize)]
struct VerifyLine {
    is_whole: bool,
    findings: Vec<String>,
    is_repaired: bool,
}

/// Checks the store.
///
/// # Errors
/// [`CliError::CheckFailed`] when anything was found, repaired or not.
pub fn verify(args: &VerifyArgs, settings: &Settings) -> Result<(), CliError> {
    let store = settings.open_store(if args.repair { Access::Existing } else { Access::ReadOnly })?;
    let bar = bytes::Bar::new(settings, "checked");
    let of_store = store.verify(&VerifyOptions { progress: Some(&|hashed| bar.set(hashed)) })?;
    let bucket = settings.open_bucket()?;
    let verified = bucket.as_ref().map(|bucket| bucket.verify(&|hashed| bar.set(hashed)));
    let of_bucket = verified.transpose()?.unwrap_or_default();
    bar.finish();
    let with_repair = |finding: &Finding| format!("{finding}; repair: {}", of_fix(&finding.repair()));
    let findings: Vec<String> = of_store.iter().chain(&of_bucket).map(with_repair).collect();
    let (is_whole, is_repaired) = (findings.is_empty(), args.repair && !findings.is_empty());
    if is_repaired {
        store.repair(&of_store)?;
        bucket.map_or(Ok(()), |bucket| bucket.repair(&of_bucket))?;
    }
    if settings.is_json() {
        stdout::print_json(&VerifyLine { is_whole, findings, is_repaired })?;
    } else if is_whole {
        stdout::tell("every artifact, manifest and checkpoint is whole\n")?;
    } else {
        let next = match is_repaired {
            true => "set aside in the folder quarantine; the next run remakes them".to_owned(),
            false => "`mlsm verify --repair` sets damaged files aside, so that the next run remakes them".to_owned(),
        };
        stdout::tell(&format!("{}\n{} findings: {next}\n", findings.join("\n"), findings.len()))?;
    }
    if is_whole { Ok(()) } else { Err(CliError::CheckFailed) }
}
