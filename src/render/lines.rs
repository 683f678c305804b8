//! A run as plain lines on stderr, for logs: a node's start and end, and now and then how far it is.

use std::time::Duration;

use mlsm_engine::{Event, NodeSummary, Outcome, Subscriber};

use crate::render::pace::Pace;
use crate::render::stderr;
use crate::settings::Verbosity;

/// Prints lines; a node's progress at most once in `every`.
pub struct Lines {
    pace: Pace,
    is_verbose: bool,
}

impl Lines {
    /// Prints progress at most once in `every` for each node, or always when verbose.
    pub fn new(every: Duration, verbosity: Verbosity) -> Self {
        let is_verbose = verbosity == Verbosity::Verbose;
        Self { pace: Pace::new(if is_verbose { Duration::ZERO } else { every }), is_verbose }
    }

    fn text(&self, event: &Event) -> Option<String> {
        match event {
            Event::RunStarted { run_id, nodes } if self.is_verbose => Some(format!("run {run_id}: {nodes} nodes")),
            Event::NodeStarted { node, execute, cached, reason } => {
                self.pace.is_due(node);
                Some(started(node, *execute, *cached, reason))
            }
            Event::Progress { node, done, total, unit, detail } if self.pace.is_due(node) => {
                let detail = if detail.is_empty() { String::new() } else { format!(", {detail}") };
                Some(format!("{node}: {done}/{total} {unit}{detail}"))
            }
            Event::Waiting { node, holder } => Some(format!("{node}: waiting for {holder}")),
            Event::NodeFinished(summary) => match summary.outcome {
                Outcome::Cached | Outcome::Skipped if !self.is_verbose => None,
                _ => Some(finished(summary)),
            },
            Event::Warning { node, message } => Some(warning(node, message)),
            Event::Failed { node, unit, error } if self.is_verbose => Some(format!("{node} {unit}: failed: {error}")),
            _ => None,
        }
    }
}

impl Subscriber for Lines {
    fn on(&self, event: &Event) {
        if let Some(text) = self.text(event) {
            stderr::line(&text);
        }
    }
}

/// Says that a node has work to do.
pub fn started(node: &str, execute: usize, cached: usize, reason: &str) -> String {
    let of = if execute + cached > 1 { format!(" {execute} of {}", execute + cached) } else { String::new() };
    let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    format!("{node}: computing{of}{because}")
}

/// Says how a node ended.
pub fn finished(summary: &NodeSummary) -> String {
    let NodeSummary { node, seconds, shards, .. } = summary;
    let kept = if shards.cached > 0 { format!(", {} shards reused", shards.cached) } else { String::new() };
    match summary.outcome {
        Outcome::Executed => format!("{node}: done in {seconds:.1} s{kept}"),
        Outcome::Cached => format!("{node}: up to date"),
        Outcome::Failed => format!("{node}: failed after {seconds:.1} s"),
        Outcome::Skipped => format!("{node}: skipped"),
        Outcome::Cancelled => format!("{node}: cancelled after {seconds:.1} s"),
    }
}

/// Says what people should read though nothing failed.
pub fn warning(node: &str, message: &str) -> String {
    if node.is_empty() { format!("warning: {message}") } else { format!("warning: {node}: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: u64) -> Event {
        let (node, unit, detail) = ("crop".to_owned(), "photos".to_owned(), String::new());
        Event::Progress { node, done, total: 9, unit, detail }
    }

    #[test]
    fn progress_is_told_only_when_it_is_due() {
        let rarely = Lines::new(Duration::from_secs(3600), Verbosity::Normal);
        assert_eq!(rarely.text(&progress(1)), None);
        assert_eq!(rarely.text(&progress(2)), None);
        let always = Lines::new(Duration::ZERO, Verbosity::Normal);
        assert_eq!(always.text(&progress(3)).as_deref(), Some("crop: 3/9 photos"));
    }

    #[test]
    fn a_start_says_how_much_and_why() {
        assert_eq!(started("crop", 1, 11, "003: input changed"), "crop: computing 1 of 12 (003: input changed)");
        assert_eq!(started("evaluate", 1, 0, ""), "evaluate: computing");
    }
}
