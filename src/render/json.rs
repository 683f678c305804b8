//! A run as JSON lines on stdout: one document for each event, `run-finished` last.

use std::sync::Mutex;

use mlsm_engine::{Event, Subscriber};
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::render::stdout;

/// Prints events as they come, but holds `run-finished` back until tables are published, so that it stays the last.
#[derive(Default)]
pub struct JsonEvents {
    last: Mutex<Option<Value>>,
}

impl JsonEvents {
    /// Prints the `run-finished` event with what was learnt after it, such as where the tables lie.
    ///
    /// # Errors
    /// [`CliError::Stdout`] when the output cannot be written.
    pub fn finish(&self, more: Map<String, Value>) -> Result<(), CliError> {
        let held = self.last.lock().expect("no holder of this lock panics").take();
        let Some(mut event) = held else { return Ok(()) };
        if let Some(fields) = event.as_object_mut() {
            fields.extend(more);
        }
        stdout::print_json(&event)
    }
}

impl Subscriber for JsonEvents {
    fn on(&self, event: &Event) {
        let Ok(document) = serde_json::to_value(event) else { return };
        if matches!(event, Event::RunFinished { .. }) {
            *self.last.lock().expect("no holder of this lock panics") = Some(document);
        } else {
            // A reader that went away must not end the work; the last line reports a full disk.
            let _ = stdout::print_json(&document);
        }
    }
}
