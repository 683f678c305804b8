//! The events of this process: a subscriber to the run that says START before exactly one end of each job, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use mlsm_engine::{Event, NodeSummary, Outcome, Subscriber};
use mlsm_pipelines::{Assembly, Config};
use serde_json::{Map, Value, json};

use super::dataset::Catalogue;
use super::facet::{self, PRODUCER, RUN_EVENT, facet};
use super::identity::{self, JobRun, Target, parent_facet, uuid};
use super::sink::Sink;
use super::tables::Table;
use crate::clock;
use crate::error::{CANCELLED, CliError};

/// What a run whose configuration has no name is called.
const NAMELESS: &str = "run";
/// The job that lays tables out.
const PUBLISH: &str = "publish";

/// The lineage of this process's run; nothing is written before [`Lineage::begin`].
#[derive(Default)]
pub struct Lineage(Mutex<Option<State>>);

/// What a run says of itself once its configuration and graph are known.
pub struct Plan<'a> {
    /// The address of the store.
    pub store: String,
    /// The configuration.
    pub config: &'a Config,
    /// The graph.
    pub assembly: &'a Assembly,
    /// The keys of the configuration that are no defaults, with their values.
    pub parameters: Vec<(String, String)>,
}

struct State {
    sink: Sink,
    /// When the run began, since 1970-01-01.
    begun: Duration,
    run: JobRun,
    parents: [Option<JobRun>; 2],
    /// What the facets of the run say once the configuration is known.
    run_facets: Map<String, Value>,
    job_facets: Map<String, Value>,
    catalogue: Catalogue,
    /// The jobs that began and have not ended.
    open: BTreeSet<String>,
    /// What went wrong, by node.
    errors: BTreeMap<String, Vec<String>>,
}

/// How a job ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Complete,
    Fail,
    Abort,
}

/// Returns the lineage of this process.
pub fn stream() -> &'static Lineage {
    static STREAM: OnceLock<Lineage> = OnceLock::new();
    STREAM.get_or_init(Lineage::default)
}

impl Lineage {
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Begins the run of a configuration of this name.
    ///
    /// # Errors
    /// [`CliError::Usage`] when the file cannot be written, or a variable names no parent.
    pub fn begin(&self, target: Target, config: &str) -> Result<(), CliError> {
        let begun = clock::since_epoch();
        let job = if config.is_empty() { NAMELESS } else { config }.to_owned();
        let run = JobRun { namespace: identity::namespace(), job, run_id: uuid(begun, &clock::run_id()) };
        let mut state = State::new(Sink::open(target)?, begun, run, identity::parents()?);
        state.say_of_run("START", None);
        *self.state() = Some(state);
        Ok(())
    }

    /// Tells whether events are written.
    pub fn is_open(&self) -> bool {
        self.state().is_some()
    }

    /// Tells what the run is about: later events describe what nodes read and make, and the configuration.
    pub fn plan(&self, plan: &Plan<'_>) {
        if let Some(state) = self.state().as_mut() {
            state.plan(plan);
        }
    }

    /// Says that tables are being laid out.
    pub fn publishing(&self) {
        if let Some(state) = self.state().as_mut() {
            let inputs = state.catalogue.published();
            state.start(PUBLISH, PUBLISH, [inputs, Vec::new()]);
        }
    }

    /// Says that they lie there. `run_id`: the run that they are of.
    pub fn published(&self, run_id: &str, tables: &[Table]) {
        if let Some(state) = self.state().as_mut() {
            let outputs = tables.iter().map(|table| table.describe(run_id, &state.catalogue)).collect();
            let inputs = state.catalogue.published();
            state.end(PUBLISH, PUBLISH, End::Complete, Map::new(), [inputs, outputs]);
        }
    }

    /// Ends the run and whatever is open; nothing is written after it. Returns what did not arrive.
    pub fn finish(&self, error: Option<&CliError>) -> Option<String> {
        let mut guard = self.state();
        let mut state = guard.take()?;
        let end = match error.map_or(0, CliError::exit_code) {
            0 => End::Complete,
            CANCELLED => End::Abort,
            _ => End::Fail,
        };
        for node in std::mem::take(&mut state.open) {
            let stage = state.catalogue.nodes.get(&node).map_or(node.clone(), |data| data.stage.clone());
            let end = if end == End::Complete { End::Abort } else { end };
            state.end(&node, &stage, end, Map::new(), Default::default());
        }
        state.say_of_run(end.word(), error);
        state.sink.close()
    }
}

impl Subscriber for Lineage {
    fn on(&self, event: &Event) {
        let mut guard = self.state();
        let Some(state) = guard.as_mut() else { return };
        match event {
            Event::NodeStarted { node, .. } => state.node_started(node),
            Event::Failed { node, unit, error } => {
                let named = if unit.is_empty() { error.clone() } else { format!("{unit}: {error}") };
                state.errors.entry(node.clone()).or_default().push(named);
            }
            Event::NodeFinished(summary) => state.node_finished(summary),
            Event::RunStarted { .. }
            | Event::Progress { .. }
            | Event::Warning { .. }
            | Event::Waiting { .. }
            | Event::RunFinished { .. } => {}
        }
    }
}

impl State {
    fn new(sink: Sink, begun: Duration, run: JobRun, parents: [Option<JobRun>; 2]) -> Self {
        let engine = json!({ "name": "mlsm", "version": env!("CARGO_PKG_VERSION") });
        let mut run_facets =
            Map::from_iter([("processing_engine".to_owned(), facet(facet::PROCESSING_ENGINE, engine))]);
        if let [Some(parent), root] = &parents {
            run_facets.insert("parent".to_owned(), parent_facet(parent, root.as_ref()));
        }
        Self {
            sink,
            begun,
            run,
            parents,
            run_facets,
            job_facets: Map::from_iter([("jobType".to_owned(), facet::job_type("RUN"))]),
            catalogue: Catalogue::default(),
            open: BTreeSet::new(),
            errors: BTreeMap::new(),
        }
    }

    fn plan(&mut self, plan: &Plan<'_>) {
        self.catalogue = Catalogue::new(&plan.store, plan.config, plan.assembly);
        let id = ("run_id".to_owned(), clock::run_id());
        let parameters = [id].into_iter().chain(plan.parameters.iter().cloned());
        let parameters: Vec<_> = parameters.map(|(key, value)| json!({ "key": key, "value": value })).collect();
        let parameters = facet(facet::EXECUTION_PARAMETERS, json!({ "parameters": parameters }));
        self.run_facets.insert("executionParameters".to_owned(), parameters);
        let source = json!({ "language": "toml", "sourceCode": plan.config.resolved().to_string() });
        self.job_facets.insert("sourceCode".to_owned(), facet(facet::SOURCE_CODE, source));
        self.say_of_run("RUNNING", None);
    }

    fn say_of_run(&mut self, word: &str, error: Option<&CliError>) {
        let mut facets = self.run_facets.clone();
        if let Some(error) = error {
            facets.insert("errorMessage".to_owned(), facet::error_message(error.render().trim_end()));
        }
        self.sink.take(&json!({
            "eventType": word,
            "eventTime": clock::now(),
            "producer": PRODUCER,
            "schemaURL": RUN_EVENT,
            "run": { "runId": self.run.run_id, "facets": facets },
            "job": { "namespace": self.run.namespace, "name": self.run.job, "facets": self.job_facets },
            "inputs": [],
            "outputs": [],
        }));
    }

    fn node_started(&mut self, node: &str) {
        let Some(data) = self.catalogue.nodes.get(node).cloned() else { return };
        let data_sets = [self.catalogue.inputs(&data), self.catalogue.outputs(node, &data)];
        self.start(node, &data.stage, data_sets);
    }

    fn node_finished(&mut self, summary: &NodeSummary) {
        let node = &summary.node;
        let end = match summary.outcome {
            Outcome::Executed | Outcome::Cached => End::Complete,
            Outcome::Failed => End::Fail,
            Outcome::Cancelled if self.open.contains(node) => End::Abort,
            Outcome::Cancelled | Outcome::Skipped => return, // it never began
        };
        self.node_started(node); // one that only found what was there did not say so
        self.catalogue.learn(node, &summary.outputs);
        let Some(data) = self.catalogue.nodes.get(node).cloned() else { return };
        let own = json!({
            "outcome": summary.outcome,
            "reason": summary.reason,
            "fingerprint": summary.fingerprint,
            "seconds": summary.seconds,
            "shards": summary.shards,
        });
        let facets = Map::from_iter([("mlsm_node".to_owned(), facet::own(own))]);
        let data_sets = [self.catalogue.inputs(&data), self.catalogue.outputs(node, &data)];
        self.end(node, &data.stage, end, facets, data_sets);
    }

    /// Says once that a part of the run began.
    fn start(&mut self, part: &str, stage: &str, data_sets: [Vec<Value>; 2]) {
        if self.open.insert(part.to_owned()) {
            self.say(part, stage, "START", Map::new(), data_sets);
        }
    }

    /// Says that a part of the run ended, and what went wrong in it.
    fn end(&mut self, part: &str, stage: &str, end: End, mut facets: Map<String, Value>, data_sets: [Vec<Value>; 2]) {
        self.open.remove(part);
        if end == End::Fail {
            let errors = self.errors.get(part).map(|errors| errors.join("\n"));
            let message = errors.unwrap_or_else(|| "it could not be finished: the run says why".to_owned());
            facets.insert("errorMessage".to_owned(), facet::error_message(&message));
        }
        self.say(part, stage, end.word(), facets, data_sets);
    }

    fn say(
        &mut self,
        part: &str,
        stage: &str,
        word: &str,
        mut facets: Map<String, Value>,
        [inputs, outputs]: [Vec<Value>; 2],
    ) {
        let root = match &self.parents {
            [None, _] => Some(&self.run),
            [Some(_), root] => root.as_ref(), // the caller knows what started it, or nobody does
        };
        facets.insert("parent".to_owned(), parent_facet(&self.run, root));
        let run_id = uuid(self.begun, &format!("{} {part}", self.run.run_id));
        let job = json!({
            "namespace": self.run.namespace,
            "name": format!("{}.{part}", self.run.job),
            "facets": { "jobType": facet::job_type("STAGE"), "documentation": facet::documentation(stage) },
        });
        self.sink.take(&json!({
            "eventType": word,
            "eventTime": clock::now(),
            "producer": PRODUCER,
            "schemaURL": RUN_EVENT,
            "run": { "runId": run_id, "facets": facets },
            "job": job,
            "inputs": inputs,
            "outputs": outputs,
        }));
    }
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Complete => "COMPLETE",
            Self::Fail => "FAIL",
            Self::Abort => "ABORT",
        }
    }
}
