//! Slurm: array jobs, one or more for each level, that wait for those of the level before.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use clap::Args;

use super::{Submission, SubmittedLine, program, quoted, run_program};
use crate::error::CliError;
use crate::render::stdout;
use crate::settings::Settings;

/// Tasks of one array job: Slurm's own limit (`MaxArraySize`) is 1001 unless a place has changed it.
const ARRAY: usize = 1000;

/// How to submit.
#[derive(Debug, Args)]
pub struct SlurmArgs {
    /// The folder of the plan, the scripts and the tasks' output, which all machines see
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The partition
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// What each task that a GPU speeds up is given, such as gpu:1
    #[arg(long, value_name = "RESOURCE")]
    gres: Option<String>,
    /// The longest time of a task, as sbatch takes it
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// How many tasks of an array may run at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    array_limit: Option<u32>,
    /// Writes the scripts and submits nothing
    #[arg(long)]
    dry_run: bool,
}

/// One array job.
#[derive(Clone, Debug, PartialEq)]
struct Array {
    level: usize,
    /// The tasks of the plan.
    tasks: Range<usize>,
}

/// Writes the scripts, and submits each after those of the level before.
pub(super) fn submit(
    args: &SlurmArgs,
    submission: &Submission<'_>,
    settings: &Settings,
) -> Result<Vec<SubmittedLine>, CliError> {
    let mut lines = Vec::new();
    let (mut before, mut level_before): (Vec<String>, usize) = (Vec::new(), 0);
    let mut of_level: Vec<String> = Vec::new();
    for array in arrays(submission) {
        if array.level != level_before {
            (before, level_before) = (std::mem::take(&mut of_level), array.level);
        }
        let name = format!("level-{:02}-{}.sh", array.level, array.tasks.start);
        let path = submission.file(&name, &script(args, submission, &array)?)?;
        let job = if args.dry_run { None } else { Some(sbatch(&path, &before)?) };
        of_level.extend(job.clone());
        lines.push(SubmittedLine {
            script: path.display().to_string(),
            level: Some(array.level),
            tasks: array.tasks.len(),
            job,
        });
    }
    if !settings.is_json() {
        stdout::print(&text(&lines))?;
    }
    Ok(lines)
}

fn text(lines: &[SubmittedLine]) -> String {
    let mut text = String::new();
    for SubmittedLine { script, level, tasks, job } in lines {
        let level = level.unwrap_or_default();
        let job = job.as_ref().map_or_else(|| "not submitted".to_owned(), |job| format!("job {job}"));
        let _ = writeln!(text, "level {level}: {job}, {tasks} tasks\n  {script}");
    }
    text
}

/// Splits the levels into arrays that Slurm takes.
fn arrays(submission: &Submission<'_>) -> Vec<Array> {
    let of_level = |(level, tasks): (usize, Range<usize>)| {
        let starts = tasks.clone().step_by(ARRAY);
        starts.map(move |start| Array { level, tasks: start..(start + ARRAY).min(tasks.end) })
    };
    submission.plan.levels().into_iter().enumerate().flat_map(of_level).collect()
}

fn script(args: &SlurmArgs, submission: &Submission<'_>, array: &Array) -> Result<String, CliError> {
    let tasks = &submission.plan.tasks[array.tasks.clone()];
    let threads = tasks.iter().map(|task| task.threads).max().unwrap_or(1);
    let wants_gpu = tasks.iter().any(|task| task.wants_gpu);
    let limit = args.array_limit.map(|limit| format!("%{limit}")).unwrap_or_default();
    let log = submission.folder.join(format!("level-{:02}-%A-%a.log", array.level));
    let mut options = vec![
        format!("--job-name=mlsm-{}-{}", submission.plan.config_name, array.level),
        format!("--array=0-{}{limit}", array.tasks.len() - 1),
        format!("--cpus-per-task={threads}"),
        format!("--output={}", log.display()),
        "--requeue".to_owned(),
        "--open-mode=append".to_owned(),
    ];
    options.extend(args.partition.as_ref().map(|name| format!("--partition={name}")));
    options.extend(args.time.as_ref().map(|time| format!("--time={time}")));
    options.extend(args.gres.as_ref().filter(|_| wants_gpu).map(|gres| format!("--gres={gres}")));
    let mut text = String::from("#!/bin/sh\n");
    options.iter().for_each(|option| {
        let _ = writeln!(text, "#SBATCH {}", quoted(option));
    });
    let words = [
        program()?.display().to_string(),
        "work".to_owned(),
        format!("--plan={}", submission.plan_file().display()),
        format!("--store={}", submission.store),
        format!("--threads={threads}"),
    ];
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let _ = writeln!(text, "exec {} --task \"$(({} + SLURM_ARRAY_TASK_ID))\"", words.join(" "), array.tasks.start);
    Ok(text)
}

/// Submits a script and returns the id of its job.
fn sbatch(script: &std::path::Path, after: &[String]) -> Result<String, CliError> {
    let mut arguments = vec!["--parsable".to_owned()];
    if !after.is_empty() {
        // A job whose dependency failed can never start: Slurm takes it out of the queue.
        arguments.push(format!("--dependency=afterok:{}", after.join(":")));
        arguments.push("--kill-on-invalid-dep=yes".to_owned());
    }
    arguments.push(script.display().to_string());
    let fix = "run this where Slurm's commands are, or give --dry-run and submit the scripts yourself";
    let printed = run_program("sbatch", &arguments, fix)?;
    // `--parsable` prints the id, and the cluster after a semicolon where there are several.
    Ok(printed.trim().split(';').next().unwrap_or_default().to_owned())
}
