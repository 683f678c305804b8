//! `mlsm verify`: reads every artifact again and says what is damaged and how it is mended.

use mlsm_store::{Access, VerifyOptions};
use serde::Serialize;

use crate::error::CliError;
use crate::render::stdout;
use crate::settings::Settings;

/// The answer as JSON.
#[derive(Serialize)]
struct VerifyLine {
    is_whole: bool,
    findings: Vec<String>,
}

/// Checks the store.
///
/// # Errors
/// [`CliError::CheckFailed`] when anything was found.
pub fn verify(settings: &Settings) -> Result<(), CliError> {
    let store = settings.open_store(Access::ReadOnly)?;
    let findings: Vec<String> = store.verify(&VerifyOptions::default())?.iter().map(ToString::to_string).collect();
    let is_whole = findings.is_empty();
    if settings.is_json() {
        stdout::print_json(&VerifyLine { is_whole, findings })?;
    } else if is_whole {
        stdout::print("every artifact, manifest and checkpoint is whole\n")?;
    } else {
        stdout::print(&format!("{}\n{} findings\n", findings.join("\n"), findings.len()))?;
    }
    if is_whole { Ok(()) } else { Err(CliError::CheckFailed) }
}
