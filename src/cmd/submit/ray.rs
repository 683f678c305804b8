//! Ray: a driver in Python, which the cluster's own Python runs. Its tasks start `mlsm work`; no data passes through Ray.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;

use super::{Submission, SubmittedLine, program};
use crate::error::CliError;
use crate::settings::Settings;

/// The driver, as it is kept with the project.
const DRIVER: &str = include_str!("../../../configs/clusters/ray_driver.py");

/// How to submit.
#[derive(Debug, Args)]
pub struct RayArgs {
    /// The folder of the plan and the driver, which all machines see
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The address of the cluster's head, as ray.init takes it
    #[arg(long, value_name = "ADDRESS", default_value = "auto")]
    address: String,
    /// The Python that has the package ray
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// How often a task is tried again whose machine was lost or whose process failed
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries: u32,
    /// Writes the driver and runs nothing
    #[arg(long)]
    dry_run: bool,
}

/// Writes the driver and runs it to its end.
pub(super) fn submit(
    args: &RayArgs,
    submission: &Submission<'_>,
    settings: &Settings,
) -> Result<Vec<SubmittedLine>, CliError> {
    let driver = submission.file("ray_driver.py", DRIVER)?;
    let tasks = submission.plan.tasks.len();
    let submitted = vec![SubmittedLine { script: driver.display().to_string(), level: None, tasks, job: None }];
    if args.dry_run {
        return Ok(submitted);
    }
    let mut command = Command::new(&args.python);
    command.arg(&driver).arg(submission.plan_file()).arg(program()?).arg(&submission.store);
    command.arg(&args.address).arg(args.retries.to_string());
    if settings.is_json() {
        command.stdout(Stdio::from(std::io::stderr())); // what the driver says of each level is no JSON
    }
    let python = args.python.display();
    let status = command.status().map_err(|e| {
        CliError::usage(format!("cannot start {python}"), e.to_string(), "name the cluster's Python with --python")
    })?;
    if status.success() {
        return Ok(submitted);
    }
    let why = "its messages stand above; what was computed is in the store";
    Err(CliError::usage("the driver failed", why, "mend the cause, then give the same command again"))
}
