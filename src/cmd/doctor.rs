//! `mlsm doctor`: checks what the pipeline needs on this machine, and says how to mend what is missing.

use std::fs;
use std::path::Path;
use std::process::Command;

use mlsm_errors::Explain;
use mlsm_nets::DeviceChoice;
use mlsm_store::Store;
use serde::Serialize;

use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::{stdout, terminal};
use crate::settings::Settings;

/// The space below which a run of the larger presets may fill the disk.
const ENOUGH_BYTES: u64 = 2 << 30;

/// How a check went.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Some verbs or presets will not work.
    Limited,
    /// Runs will not work.
    Bad,
}

/// One check.
#[derive(Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    found: String,
    fix: String,
}

impl Check {
    fn new(check: &'static str, verdict: Verdict, found: impl Into<String>, fix: &str) -> Self {
        let fix = if verdict == Verdict::Ok { String::new() } else { fix.to_owned() };
        Self { check, verdict, found: found.into(), fix }
    }
}

/// Prints every check.
///
/// # Errors
/// [`CliError::CheckFailed`] when runs will not work.
pub fn doctor(settings: &Settings) -> Result<(), CliError> {
    let checks = [
        Check::new("mlsm", Verdict::Ok, env!("CARGO_PKG_VERSION"), ""),
        libtorch(),
        cuda(),
        threads(settings),
        store(&settings.store),
        space(&settings.store),
        python(),
    ];
    if settings.is_json() {
        stdout::print_json(&checks)?;
    } else {
        stdout::tell(&text(&checks))?;
    }
    if checks.iter().any(|c| c.verdict == Verdict::Bad) { Err(CliError::CheckFailed) } else { Ok(()) }
}

fn text(checks: &[Check]) -> String {
    let columns = [("check", Align::Left), ("", Align::Left), ("found", Align::Text), ("fix", Align::Text)];
    let mut table = TextTable::new(&columns);
    for check in checks {
        let word = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Limited => "limited",
            Verdict::Bad => "bad",
        };
        table.row(vec![check.check.to_owned(), word.to_owned(), check.found.clone(), check.fix.clone()]);
    }
    table.fit(Some(terminal::width_of_sentences()))
}

/// Loads libtorch, as a run that computes would, and says which one it is.
fn libtorch() -> Check {
    let fix = "run `make build`; beside a copied program lay its libmlsm_torch.so";
    if let Err(error) = mlsm_nets::load_torch() {
        let why = error.explain().why.join("; ");
        return Check::new("libtorch", Verdict::Bad, format!("cannot be loaded: {why}"), fix);
    }
    let Some(folder) = mlsm_nets::torch_folder() else {
        return Check::new("libtorch", Verdict::Limited, "linked in a way this check does not know", fix);
    };
    let version = folder.parent().and_then(torch_version).unwrap_or_else(|| "?".to_owned());
    let through = mlsm_nets::torch_library().map(|path| format!(", through {}", path.display())).unwrap_or_default();
    Check::new("libtorch", Verdict::Ok, format!("{version} in {}{through}", folder.display()), fix)
}

/// Reads the version that the distribution of libtorch states: a Python package or a bare archive.
fn torch_version(folder: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(folder.join("version.py")) {
        let line = text.lines().find(|l| l.starts_with("__version__"))?;
        return line.split(['\'', '"']).nth(1).map(str::to_owned);
    }
    fs::read_to_string(folder.join("build-version")).ok().map(|text| text.trim().to_owned())
}

fn cuda() -> Check {
    match mlsm_nets::pick(DeviceChoice::Cuda(0)) {
        Ok(_) => Check::new("cuda", Verdict::Ok, "a card can be used", ""),
        Err(error) => {
            let found = error.explain().to_string();
            Check::new(
                "cuda",
                Verdict::Limited,
                found,
                "none is needed; a full PyTorch and a card make training faster",
            )
        }
    }
}

fn threads(settings: &Settings) -> Check {
    Check::new("threads", Verdict::Ok, settings.threads.to_string(), "")
}

/// Looks at the store; touches nothing there.
fn store(path: &Path) -> Check {
    let fix = "name another with `--store DIR`";
    let bad = |found: String| Check::new("store", Verdict::Bad, found, fix);
    match Store::is_absent(path) {
        Err(error) => bad(error.explain().to_string()),
        Ok(true) => Check::new("store", Verdict::Ok, format!("{}: not there yet, a run makes it", path.display()), ""),
        Ok(false) => match rustix::fs::access(path.join("staging"), rustix::fs::Access::WRITE_OK) {
            Ok(()) => Check::new("store", Verdict::Ok, path.display().to_string(), ""),
            Err(error) => bad(format!("{} cannot be written: {error}", path.display())),
        },
    }
}

fn space(path: &Path) -> Check {
    let fix = "free some space, or name a store on another disk with `--store DIR`";
    // A relative path that does not exist yet ends at the working folder.
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    let folder = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    match rustix::fs::statvfs(folder) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let verdict = if free < ENOUGH_BYTES { Verdict::Limited } else { Verdict::Ok };
            Check::new("disk", verdict, format!("{:.1} GiB free", free as f64 / (1u64 << 30) as f64), fix)
        }
        Err(error) => Check::new("disk", Verdict::Limited, error.to_string(), fix),
    }
}

fn python() -> Check {
    let fix = "only `mlsm weights fetch` needs it: install python3 with pip";
    match Command::new("python3").args(["-m", "pip", "--version"]).output() {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            let version = said.split_whitespace().nth(1).unwrap_or("?");
            Check::new("python3 with pip", Verdict::Ok, format!("pip {version}"), fix)
        }
        Ok(_) => Check::new("python3 with pip", Verdict::Limited, "python3 has no pip", fix),
        Err(error) => Check::new("python3 with pip", Verdict::Limited, error.to_string(), fix),
    }
}
