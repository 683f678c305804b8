//! A run as JSON lines, on stdout or at the end of a file: one document for each event, and exactly one `run-finished` as
//! the last, whatever happens. `events.schema.json` beside this file says what each document holds.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use mlsm_engine::{Event, Subscriber};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::error::CliError;
use crate::render::appended::Appended;
use crate::render::pace::Pace;
use crate::render::stdout;

/// The version of the documents: raised when a reader of the earlier ones would misread them.
const SCHEMA: u32 = 1;

/// How often a document says how far a node is, besides the one that says that it is done.
const EVERY: Duration = Duration::from_millis(100);

/// What this process has written of its run to one place.
pub struct JsonEvents {
    state: Mutex<State>,
    pace: Pace,
}

/// Where the documents go.
#[derive(Default)]
enum Place {
    #[default]
    Stdout,
    File(Appended),
    Nowhere,
}

#[derive(Default)]
struct State {
    place: Place,
    /// Whether a run has begun of which the last line is owed.
    is_owed: bool,
    is_finished: bool,
    nodes: Vec<Value>,
    more: Map<String, Value>,
}

/// Returns the one stream of this process: there is one stdout.
pub fn stream() -> &'static JsonEvents {
    static STREAM: OnceLock<JsonEvents> = OnceLock::new();
    STREAM.get_or_init(|| JsonEvents::to(Place::Stdout))
}

/// Returns the log file of this process, into which nothing is written before [`JsonEvents::begin_in`].
pub fn log() -> &'static JsonEvents {
    static LOG: OnceLock<JsonEvents> = OnceLock::new();
    LOG.get_or_init(|| JsonEvents::to(Place::Nowhere))
}

/// Ends both, as [`JsonEvents::finish`] does; the first failure is returned.
///
/// # Errors
/// [`CliError`] when one cannot be written.
pub fn finish(error: Option<&CliError>) -> Result<(), CliError> {
    let [log, stream] = [log(), stream()].map(|events| events.finish(error));
    log.and(stream)
}

/// Adds to what the last line says, such as where the tables lie.
pub fn add(key: &str, value: &str) {
    [log(), stream()].iter().for_each(|events| drop(events.state().more.insert(key.to_owned(), value.into())));
}

impl JsonEvents {
    fn to(place: Place) -> Self {
        Self { state: Mutex::new(State { place, ..State::default() }), pace: Pace::new(EVERY) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Promises that the last line will be `run-finished`.
    pub fn begin(&self) {
        self.state().is_owed = true;
    }

    /// Promises the same of a file, to whose end all is written.
    ///
    /// # Errors
    /// [`CliError::Usage`] when the file cannot be written.
    pub fn begin_in(&self, file: &Path) -> Result<(), CliError> {
        let place = Place::File(Appended::open(file)?);
        *self.state() = State { place, is_owed: true, ..State::default() };
        Ok(())
    }

    /// Takes the promise back, for a verb whose answer is the last line when it ends well.
    pub fn release(&self) {
        self.state().is_owed = false;
    }

    /// Writes the last line, where one is owed; nothing is written after it.
    ///
    /// # Errors
    /// [`CliError`] when it cannot be written.
    pub fn finish(&self, error: Option<&CliError>) -> Result<(), CliError> {
        let mut state = self.state();
        if !state.is_owed || std::mem::replace(&mut state.is_finished, true) {
            return Ok(());
        }
        let code = error.map_or(0, CliError::exit_code);
        let outcome = match code {
            0 => "ok",
            crate::error::CANCELLED => "cancelled",
            _ => "failed",
        };
        let mut document = headed(json!({
            "event": "run-finished",
            "outcome": outcome,
            "exit_code": code,
            "error": error.map(CliError::to_json),
            "nodes": std::mem::take(&mut state.nodes),
        }));
        if let Some(fields) = document.as_object_mut() {
            fields.extend(std::mem::take(&mut state.more));
        }
        state.place.write(&document)
    }
}

impl Place {
    fn write(&mut self, document: &Value) -> Result<(), CliError> {
        match self {
            Self::Stdout => stdout::print_json(document),
            Self::File(file) => file.line(document),
            Self::Nowhere => Ok(()),
        }
    }
}

/// Puts in front of a document what all have.
fn headed(document: Value) -> Value {
    let mut headed = json!({ "schema": SCHEMA, "time": clock::now(), "run_id": clock::run_id() });
    if let (Some(head), Value::Object(fields)) = (headed.as_object_mut(), document) {
        head.extend(fields);
    }
    headed
}

impl Subscriber for JsonEvents {
    fn on(&self, event: &Event) {
        match event {
            Event::NodeStarted { node, .. } => drop(self.pace.is_due(node)),
            Event::Progress { node, done, total, .. } if done != total && !self.pace.is_due(node) => return,
            _ => {}
        }
        let Ok(document) = serde_json::to_value(event) else { return };
        let mut state = self.state();
        if matches!(state.place, Place::Nowhere) || state.is_finished {
            return;
        }
        if let Event::RunFinished { .. } = event {
            // The nodes upstream first, whichever ended first. `finish` writes them, once it is known how all of it ended.
            if let Some(Value::Array(nodes)) = document.get("nodes") {
                state.nodes.clone_from(nodes);
            }
            return;
        }
        if matches!(event, Event::NodeFinished(_)) {
            let mut node = document.clone();
            let _ = node.as_object_mut().map(|fields| fields.remove("event"));
            state.nodes.push(node);
        }
        // A reader that went away must not end the work; the last line reports a full disk.
        let _ = state.place.write(&headed(document));
    }
}
