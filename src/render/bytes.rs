//! A bar that counts bytes, for work outside a run.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::settings::{Settings, Verbosity};

/// A count of bytes on a terminal; nothing where there is none, and where silence or JSON was asked for.
pub struct Bar(ProgressBar);

impl Bar {
    /// Begins to count; `verb` says what happens to the bytes.
    pub fn new(settings: &Settings, verb: &'static str) -> Self {
        let bar = ProgressBar::no_length();
        let is_silent = settings.is_json() || settings.verbosity == Verbosity::Quiet;
        bar.set_draw_target(if is_silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() });
        let style = ProgressStyle::with_template("{spinner} {bytes} {msg}, {bytes_per_sec}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(verb);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Begins to count things of which the number is known; `verb` says what happens to them.
    pub fn of(settings: &Settings, verb: &'static str, things: &str) -> Self {
        let bar = Self::new(settings, verb);
        let style =
            ProgressStyle::with_template(&format!("{{spinner}} {{pos}}/{{len}} {things} {{msg}}, {{eta}} left"));
        bar.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar
    }

    /// Sets the count and the whole.
    pub fn set_of(&self, count: u64, whole: u64) {
        self.0.set_length(whole);
        self.0.set_position(count);
    }

    /// Sets the count.
    pub fn set(&self, count: u64) {
        self.0.set_position(count);
    }

    /// Takes the bar off the terminal.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
