//! The words of an error: the one place that lays out what failed, why and what helps, and that names flags and verbs.

use std::fmt::Write as _;
use std::path::Path;

use mlsm_errors::{Change, Explanation, Fix};
use serde::Serialize;

/// A failure in words, for text and JSON alike.
#[derive(Serialize)]
pub struct Words {
    what: String,
    why: String,
    fix: String,
}

impl Words {
    /// Adds that work which is finished is not lost.
    pub fn keeping(mut self) -> Self {
        let separator = if self.fix.is_empty() { "" } else { "; " };
        let _ = write!(self.fix, "{separator}finished artifacts are kept");
        self
    }

    /// Lays them out for people.
    pub fn paragraph(&self) -> String {
        let mut text = format!("error: {}\n", self.what);
        for why in self.why.lines() {
            let _ = writeln!(text, "  why: {why}");
        }
        if !self.fix.is_empty() {
            let _ = writeln!(text, "  fix: {}", self.fix);
        }
        text
    }
}

impl From<Explanation> for Words {
    fn from(said: Explanation) -> Self {
        let Explanation { what, why, fixes } = said;
        let fixes: Vec<String> = fixes.iter().map(of_fix).collect();
        Self { what, why: why.join("\n"), fix: fixes.join(", or ") }
    }
}

/// Says what helps, as a phrase that begins with a verb or a command.
pub fn of_fix(fix: &Fix) -> String {
    match fix {
        Fix::Words(words) => words.clone(),
        Fix::Key { key, change } => of_change(key, change),
        Fix::OtherStore => "name another store with `--store`".to_owned(),
        Fix::OtherDevice => "give `--device cpu`".to_owned(),
        Fix::AnyDevice => "leave `--strict-device` out".to_owned(),
        Fix::FewerThreads => "give a smaller `--threads`".to_owned(),
        Fix::OtherRow { such_as: "" } => "choose another `--row`".to_owned(),
        Fix::OtherRow { such_as } => format!("choose a `--row` such as {such_as}"),
        Fix::Wait => "wait for it: leave `--no-wait` out".to_owned(),
        Fix::FetchWeights { name, store } => format!("`mlsm weights fetch {name} --store {}`", argument(store)),
        Fix::ListNodes => "use one of the nodes that `mlsm plan` lists".to_owned(),
        Fix::NewPlan => "draw the plan anew: `mlsm plan --out`, or submit again".to_owned(),
        Fix::RedoUpstream => "run again with `--force STAGE` for the stage before it".to_owned(),
        Fix::RepairStore { then: "" } => "`mlsm verify --repair`".to_owned(),
        Fix::RepairStore { then } => format!("`mlsm verify --repair`, {then}"),
    }
}

fn of_change(key: &str, change: &Change) -> String {
    match change {
        Change::To(value) => format!("set `{key} = {value}`"),
        Change::Lower => format!("lower `{key}`"),
        Change::Other => format!("change `{key}`"),
        Change::Remove => format!("remove `{key}`"),
    }
}

/// Writes a path as a shell reads it.
fn argument(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+:@%,=".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
