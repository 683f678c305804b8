//! `mlsm submit`: gives a run to the scheduler that a place already has. The scheduler starts, retries and counts; each of
//! its tasks is one `mlsm work`, and the store holds what is computed.

mod kubernetes;
mod ray;
mod slurm;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mlsm_pipelines::Purpose;
use mlsm_store::publish_file;
use serde::Serialize;

use crate::clock;
use crate::cmd::{plan, run};
use crate::error::CliError;
use crate::render::view::View;
use crate::render::{stderr, stdout};
use crate::settings::{Settings, Verbosity};
use crate::work_plan::WorkPlan;
use crate::workspace::Workspace;

/// To whom.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The scheduler
    #[command(subcommand)]
    pub engine: Engine,
}

/// A scheduler.
#[derive(Debug, Subcommand)]
pub enum Engine {
    /// Slurm: an array job for each level of the plan, each after the one before; prints the ids of the jobs
    Slurm(slurm::SlurmArgs),
    /// Ray: a driver that the cluster's own Python runs; waits for the end
    Ray(ray::RayArgs),
    /// Kubernetes: writes an indexed Job, its Kustomization and a container file
    Kubernetes(kubernetes::KubernetesArgs),
}

/// A script that a scheduler was given, as JSON.
#[derive(Serialize)]
struct SubmittedLine {
    script: String,
    /// The level of its tasks; none where it has those of all levels.
    level: Option<usize>,
    tasks: usize,
    job: Option<String>,
}

/// Plans, writes what the scheduler needs, and submits it. Where nothing is left to compute, nothing is submitted. As JSON, one
/// list of what was submitted.
///
/// # Errors
/// [`CliError`] of the set-up; [`CliError::Usage`] when the scheduler is absent or refuses.
pub fn submit(engine: &Engine, settings: &Settings) -> Result<(), CliError> {
    let cancel = run::cancellable()?;
    // JSON on stdout must stay one document.
    let view = if settings.is_json() { View::Quiet } else { View::new(settings) };
    // As for a run: photos are drawn and unpacked, so that the units are known.
    let handout = Workspace::to_hand_out(settings, Purpose::Run, &cancel, &view)?;
    let (plan, _) = plan::drawn(&handout, &[])?;
    drop(handout);
    let folder = match engine {
        Engine::Slurm(args) => args.out.clone(),
        Engine::Ray(args) => args.out.clone(),
        Engine::Kubernetes(args) => Some(args.out.clone()),
    };
    let folder = folder.unwrap_or_else(|| PathBuf::from(format!("mlsm-{}-{}", plan.config_name, clock::run_id())));
    if settings.verbosity != Verbosity::Quiet {
        stderr::line(&plan.summary());
    }
    if plan.units.is_empty() {
        stderr::line("nothing is submitted: `mlsm run` publishes the tables");
        return tell(&[], settings);
    }
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let submission = Submission { plan: &plan, folder: &folder, store: settings.address() };
    if let Engine::Kubernetes(_) = engine {
        kubernetes::check(&submission)?;
    }
    publish_file(&submission.plan_file(), &plan.to_json())?;
    let submitted = match engine {
        Engine::Slurm(args) => slurm::submit(args, &submission, settings)?,
        Engine::Ray(args) => ray::submit(args, &submission, settings)?,
        Engine::Kubernetes(args) => kubernetes::write(args, &submission)?,
    };
    tell(&submitted, settings)
}

/// Text is told by each scheduler's own.
fn tell(submitted: &[SubmittedLine], settings: &Settings) -> Result<(), CliError> {
    if settings.is_json() { stdout::print_json(&submitted) } else { Ok(()) }
}

/// What every scheduler is given.
struct Submission<'a> {
    plan: &'a WorkPlan,
    /// Where the plan and the scripts lie.
    folder: &'a Path,
    /// The address of the store.
    store: String,
}

impl Submission<'_> {
    fn plan_file(&self) -> PathBuf {
        self.folder.join("plan.json")
    }

    /// Writes a file beside the plan.
    fn file(&self, name: &str, text: &str) -> Result<PathBuf, CliError> {
        let path = self.folder.join(name);
        publish_file(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// Returns the path of this program, for scripts that start it on machines which see the same folders.
fn program() -> Result<PathBuf, CliError> {
    std::env::current_exe().map_err(|e| {
        CliError::usage("cannot find this program's own file", e.to_string(), "start mlsm by its whole path")
    })
}

/// Writes a word so that a POSIX shell reads it back as it is.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=.,:/@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Starts a scheduler's own program and returns what it prints.
fn run_program(program: &str, arguments: &[String], fix: &str) -> Result<String, CliError> {
    let output = std::process::Command::new(program)
        .args(arguments)
        .output()
        .map_err(|e| CliError::usage(format!("cannot start {program}"), e.to_string(), fix))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CliError::usage(format!("{program} refused: {}", arguments.join(" ")), said, fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        let words = ["plain", "s3://bucket/a b", "it's", "", "$HOME", "a\"b", "x;y", "ü"];
        for word in words {
            let line = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
