//! Chooses how a run is shown: bars on a terminal, lines without one, JSON on request, nothing when quiet.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use mlsm_engine::{Event, Subscriber};

use crate::render::json::{self, JsonEvents};
use crate::render::lineage;
use crate::render::lines::Lines;
use crate::render::progress::Bars;
use crate::settings::{Settings, Verbosity};

/// How often a line says how far a node is.
const EVERY: Duration = Duration::from_secs(30);

/// A way to show a run.
pub enum View {
    /// Bars with rate and time left.
    Bars(Bars),
    /// Plain lines.
    Lines(Lines),
    /// One JSON document for each event.
    Json(&'static JsonEvents),
    /// Nothing.
    Quiet,
}

impl View {
    /// Chooses by the flags and by what stderr is.
    pub fn new(settings: &Settings) -> Self {
        match (settings.is_json(), settings.verbosity) {
            (true, _) => Self::Json(json::stream()),
            (false, Verbosity::Quiet) => Self::Quiet,
            (false, verbosity @ Verbosity::Verbose) => Self::Lines(Lines::new(EVERY, verbosity)),
            (false, Verbosity::Normal) if stderr().is_terminal() => Self::Bars(Bars::default()),
            (false, verbosity @ Verbosity::Normal) => Self::Lines(Lines::new(EVERY, verbosity)),
        }
    }

    /// Shows an event here, and hands it to the log file and to the lineage.
    pub fn send(&self, event: &Event) {
        self.on(event);
        json::log().on(event);
        lineage::stream().on(event);
    }

    /// Says something that belongs to no node.
    pub fn warn(&self, message: &str) {
        self.on(&Event::Warning { node: String::new(), message: message.to_owned() });
    }
}

impl Subscriber for View {
    fn on(&self, event: &Event) {
        match self {
            Self::Bars(bars) => bars.on(event),
            Self::Lines(lines) => lines.on(event),
            Self::Json(json) => json.on(event),
            Self::Quiet => {}
        }
    }
}
