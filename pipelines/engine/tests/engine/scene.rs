//! Stand-in stages over a real store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use mlsm_engine::{
    Cancel, Context, EngineError, Event, Graph, InputSource, Item, Outputs, Port, RunIdentity, RunOptions, RunReport,
    StageError, Subscriber, Task, Unit, UnitInput, plan, run,
};
use mlsm_store::{Access, Digest, Field, GcOptions, Store, Value};
use tempfile::TempDir;

pub type Work = dyn Fn(&Context<'_>) -> Result<Vec<u8>, StageError> + Send + Sync;

/// A stage that stores one artifact, `out`, and counts how often it ran.
struct StandIn {
    name: &'static str,
    recipe: i64,
    threads: usize,
    device: &'static str,
    ran: Arc<AtomicUsize>,
    work: Arc<Work>,
}

impl Task for StandIn {
    fn stage(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u32 {
        1
    }

    fn recipe(&self) -> Vec<Field> {
        vec![Field { key: "factor".to_owned(), value: Value::from(self.recipe) }]
    }

    fn inputs(&self) -> Vec<Port> {
        vec![Port::many("in")]
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["out"]
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        self.ran.fetch_add(1, Ordering::SeqCst);
        let bytes = (self.work)(context)?;
        let facts = BTreeMap::from([("device".to_owned(), self.device.to_owned())]);
        Ok(Outputs::default().with("out", context.put(&bytes)?).made_by(&facts))
    }

    fn threads(&self) -> usize {
        self.threads
    }
}

/// A store and a pipeline of three photos: `scale` (one shard a photo) → `sum` → `report`.
pub struct Scene {
    _folder: Option<TempDir>,
    pub store: Store,
    pub photos: Vec<Vec<u8>>,
    pub factor: i64,
    pub report_factor: i64,
    pub ran: Arc<AtomicUsize>,
    pub scale: Arc<Work>,
    pub sum: Arc<Work>,
    pub report: Arc<Work>,
    pub config: String,
    pub events: Mutex<Vec<Event>>,
}

/// Runs that this process has begun: no two have one id.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// A collection that keeps the last runs of each configuration, and nothing that no run names.
pub fn keep_last_runs() -> GcOptions {
    GcOptions {
        keep_runs: 1,
        runs_before: None,
        unrecorded_before: SystemTime::now(),
        max_bytes: None,
        unused_before: None,
    }
}

/// The bytes of all inputs, one after another.
pub fn joined(context: &Context<'_>) -> Result<Vec<u8>, StageError> {
    let mut bytes = Vec::new();
    for input in context.inputs() {
        bytes.extend_from_slice(&context.open_digest(&input.digest)?);
    }
    Ok(bytes)
}

/// An input of a stand-in.
pub fn input(id: &str, source: InputSource) -> UnitInput {
    UnitInput::item("in", Item { id: id.to_owned(), key: 0 }, source)
}

impl Scene {
    /// Over a new store.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self::at(&folder.path().join("store"));
        Self { _folder: Some(folder), ..scene }
    }

    /// Over the store of a folder.
    pub fn at(root: &Path) -> Self {
        let store = Store::open(root, Access::ReadWrite).unwrap();
        Self {
            _folder: None,
            store,
            photos: vec![b"one ".to_vec(), b"two ".to_vec(), b"three ".to_vec()],
            factor: 1,
            report_factor: 1,
            ran: Arc::default(),
            scale: Arc::new(|context| Ok(joined(context)?.to_ascii_uppercase())),
            sum: Arc::new(joined),
            report: Arc::new(joined),
            config: "test".to_owned(),
            events: Mutex::default(),
        }
    }

    pub fn task(&self, name: &'static str, recipe: i64, work: &Arc<Work>) -> Arc<dyn Task> {
        let (ran, work) = (self.ran.clone(), work.clone());
        Arc::new(StandIn { name, recipe, threads: if name == "scale" { 1 } else { 2 }, device: "cpu", ran, work })
    }

    pub fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        let scale = graph.begin("scale", "scale").unwrap();
        let mut scaled = Vec::new();
        for (i, photo) in self.photos.iter().enumerate() {
            let digest = self.store.put(photo).unwrap().digest;
            let unit = Unit {
                shard: format!("{i:03}"),
                aspect: String::new(),
                task: self.task("scale", self.factor, &self.scale),
                inputs: vec![input(&format!("photo-{i}"), InputSource::Known(digest))],
            };
            scaled.push(graph.add(scale, unit).unwrap());
        }
        let inputs = scaled.iter().enumerate().map(|(i, unit)| input(&i.to_string(), unit.output("out")));
        let sum = graph.begin("sum", "sum").unwrap();
        let summed = graph.add(sum, Unit::only(self.task("sum", 1, &self.sum), inputs.collect())).unwrap();
        let task = self.task("report", self.report_factor, &self.report);
        let report = graph.begin("report:all", "report").unwrap();
        graph.add(report, Unit::only(task, vec![input("sum", summed.output("out"))])).unwrap();
        graph
    }

    pub fn try_run(&self, options: &RunOptions, cancel: &Cancel) -> Result<RunReport, EngineError> {
        self.events.lock().unwrap().clear();
        let subscriber = |event: &Event| self.events.lock().unwrap().push(event.clone());
        self.begin(&self.graph(), options, cancel, &subscriber)
    }

    pub fn run_graph(&self, graph: &Graph, options: &RunOptions) -> RunReport {
        self.run_graph_with(graph, options, &|_: &Event| {})
    }

    pub fn run_graph_with(&self, graph: &Graph, options: &RunOptions, subscriber: &dyn Subscriber) -> RunReport {
        self.begin(graph, options, &Cancel::default(), subscriber).unwrap()
    }

    fn begin(
        &self,
        graph: &Graph,
        options: &RunOptions,
        cancel: &Cancel,
        subscriber: &dyn Subscriber,
    ) -> Result<RunReport, EngineError> {
        let count = RUNS.fetch_add(1, Ordering::SeqCst);
        let identity = RunIdentity {
            run_id: format!("run-{}-{count:05}", std::process::id()),
            config_name: self.config.clone(),
            config_digest: Digest::of(self.config.as_bytes()),
            version: "0".to_owned(),
            device: "cpu".to_owned(),
        };
        self.ran.store(0, Ordering::SeqCst);
        let now = || format!("{:024}", UNIX_EPOCH.elapsed().unwrap().as_nanos()); // only its order counts
        run(graph, &self.store, &identity, options, cancel, subscriber, &now)
    }

    pub fn run_with(&self, options: &RunOptions) -> RunReport {
        self.try_run(options, &Cancel::default()).unwrap()
    }

    pub fn run(&self) -> RunReport {
        self.run_with(&RunOptions { threads: 2, ..RunOptions::default() })
    }

    pub fn reason(&self, node: &str) -> String {
        let plan = plan(&self.graph(), &self.store, "test", &[]).unwrap();
        plan.nodes.into_iter().find(|n| n.node == node).unwrap().reason
    }
}
