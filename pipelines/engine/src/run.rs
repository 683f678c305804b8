//! A run from its first event to its record.

use mlsm_store::{Recording, Store, StoreError};

use crate::attempt::Bench;
use crate::explain::History;
use crate::report::{Walk, record};
use crate::walk::walk;
use crate::{Cancel, EngineError, Event, Graph, RunIdentity, RunReport, Subscriber};

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Node ids or stage names to bring up to date; none means all.
    pub targets: Vec<String>,
    /// Node ids or stage names that are computed even when they are there.
    pub force: Vec<String>,
    /// How much of what the configuration asks for it is.
    pub extent: Extent,
    /// Goes on with nodes that do not depend on a failed one.
    pub keep_going: bool,
    /// Fails instead of waiting for another run.
    pub no_wait: bool,
    /// Threads that units may keep busy together; one that wants more is computed alone.
    pub threads: usize,
    /// The kind of device (`cpu`, `cuda`) on which every reused artifact must have been made; none takes all.
    pub only_from: Option<String>,
}

/// How much of what a configuration asks for a run brings up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    #[default]
    Whole,
    /// Some stages: a collection does not count such a run as a complete one.
    Stages,
    /// Some units, for a run that comes later: it is not recorded.
    Units,
}

/// Brings the targets up to date and records the run.
///
/// `now` gives the time as RFC 3339. Errors of stages are part of the report.
///
/// # Errors
/// [`EngineError`] when nothing could be started: a target that does not exist, a store that cannot be used.
pub fn run(
    graph: &Graph,
    store: &Store,
    identity: &RunIdentity,
    options: &RunOptions,
    cancel: &Cancel,
    subscriber: &dyn Subscriber,
    now: &dyn Fn() -> String,
) -> Result<RunReport, EngineError> {
    let needed = graph.needed_by(&options.targets)?;
    options.force.iter().try_for_each(|name| graph.check_name(name))?;
    let started = now();
    let nodes = needed.iter().filter(|n| **n).count();
    subscriber.on(&Event::RunStarted { run_id: identity.run_id.clone(), nodes });
    let bench = Bench { graph, store, options, cancel, subscriber };
    let history = History::new(store, &identity.config_name);
    let (walk, answers) = walk(bench, history, &needed, options.threads.max(1))?;
    let record = record(identity, started, now(), options.extent == Extent::Whole, &walk, &answers);
    let Walk { outcome, nodes, errors } = walk;
    let recorded_as = identity.run_id.clone();
    let mut report = RunReport { outcome, nodes, errors, answers, record, recorded_as };
    if options.extent != Extent::Units {
        report.recorded_as = keep_record(store, &report)?;
    }
    let pending = store.pending().len();
    if pending > 0 {
        let message = format!("{pending} results are kept here and could not be shared yet: the next run shares them");
        subscriber.on(&Event::Warning { node: String::new(), message });
    }
    let (run_id, outcome) = (identity.run_id.clone(), report.outcome.to_owned());
    subscriber.on(&Event::RunFinished { run_id, outcome, nodes: report.nodes.clone() });
    Ok(report)
}

/// Records a run; one that only found what an earlier run of its configuration made is a use of that one. Returns the run
/// that is on record.
fn keep_record(store: &Store, report: &RunReport) -> Result<String, StoreError> {
    let record = &report.record;
    let is_found = report.is_all_cached();
    if is_found
        && record.is_complete()
        && let Some(earlier) = store.note_use(record, Recording::None)?
    {
        return Ok(earlier);
    }
    if !is_found || record.is_complete() {
        store.runs().append(record)?;
    }
    if record.is_complete() {
        store.note_use(record, Recording::Kept)?;
    }
    Ok(record.run_id.clone())
}
