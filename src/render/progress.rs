//! A run as bars on a terminal, with the time left; finished nodes stay as lines above them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mlsm_engine::{Event, Outcome, Subscriber};

use crate::render::lines;

const STEPS: &str = "{prefix} {wide_bar} {pos}/{len} {msg} {eta} left";
const WORKING: &str = "{prefix} {spinner} {msg} {elapsed}";
const BYTES: &str = "{prefix} {wide_bar} {bytes}/{total_bytes} {eta} left";

/// Returns a bar for bytes that arrive; on a terminal alone.
pub fn bytes(name: &str) -> ProgressBar {
    ProgressBar::no_length().with_prefix(name.to_owned()).with_style(style(BYTES))
}

/// Bars by node.
#[derive(Default)]
pub struct Bars {
    all: MultiProgress,
    open: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    fn with_bar(&self, node: &str, change: impl FnOnce(&ProgressBar)) {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        let bar = open.entry(node.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::no_length().with_prefix(node.to_owned()).with_style(style(WORKING)));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        change(bar);
    }

    fn advance(&self, node: &str, done: u64, total: u64, message: String) {
        self.with_bar(node, |bar| {
            if bar.length() != Some(total) {
                bar.set_style(style(STEPS));
                bar.set_length(total);
                // A resumed training starts in the middle: its earlier steps must not count towards the rate.
                bar.set_position(done);
                bar.reset_eta();
            }
            bar.set_message(message);
            bar.set_position(done);
        });
    }

    fn close(&self, node: &str) {
        if let Some(bar) = self.open.lock().expect("no holder of this lock panics").remove(node) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    fn line(&self, text: &str) {
        let _ = self.all.println(text);
    }
}

impl Subscriber for Bars {
    fn on(&self, event: &Event) {
        match event {
            Event::NodeStarted { node, execute, reason, .. } => self.with_bar(node, |bar| {
                let shards = if *execute > 1 { format!("{execute} shards ") } else { String::new() };
                bar.set_message(format!("{shards}({reason})"));
            }),
            Event::Progress { node, done, total, unit, detail } => {
                self.advance(node, *done, *total, format!("{unit} {detail}"));
            }
            Event::Waiting { node, holder } => self.with_bar(node, |bar| {
                bar.set_style(style(WORKING));
                bar.set_message(format!("waiting for {holder}"));
            }),
            Event::NodeFinished(summary) => {
                self.close(&summary.node);
                if !matches!(summary.outcome, Outcome::Cached | Outcome::Skipped) {
                    self.line(&lines::finished(summary));
                }
            }
            Event::Warning { node, message } => self.line(&lines::warning(node, message)),
            Event::RunFinished { .. } => {
                let _ = self.all.clear();
            }
            Event::RunStarted { .. } | Event::Failed { .. } => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well formed").progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_well_formed() {
        assert!([STEPS, WORKING].iter().all(|template| ProgressStyle::with_template(template).is_ok()));
    }
}
