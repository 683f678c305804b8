//! Draws a plan of work from what a run would do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mlsm_engine::{Action, Graph, InputSource, NodeIndex, Plan, UnitRef};
use mlsm_store::RunRecord;

use super::{FORMAT, PlannedTask, PlannedUnit, WorkPlan};
use crate::clock;
use crate::settings::NamedConfig;

/// How many seconds a task shall take at least.
const WORTH: f64 = 30.0;

/// How many times as long a task shall take as the start of its process, which assembles what it needs of the graph.
const STARTS: f64 = 10.0;

/// How long a unit is taken to need of which no earlier run says: a shard, or the only one and a slice of episodes.
const ONE_OF_MANY: f64 = 1.0;
const ALONE: f64 = 60.0;

/// Draws the plan of all units that are not there, as yet without the list of its photos. `runs`: earlier runs, by which times
/// are estimated; `took`: how long it takes to assemble the graph and look for its units.
pub fn draw(config: &NamedConfig, graph: &Graph, plan: &Plan, runs: &[RunRecord], took: Duration) -> WorkPlan {
    let missing = missing(graph, plan);
    let levels = graph.levels(|unit| !missing.contains(&place(unit)));
    let mut order: Vec<(usize, (usize, usize))> = missing.iter().map(|(n, u)| (levels[*n][*u], (*n, *u))).collect();
    order.sort_unstable();
    let positions: BTreeMap<(usize, usize), usize> =
        order.iter().enumerate().map(|(at, (_, place))| (*place, at)).collect();
    let times = Times::of(runs);
    let threads = config.config.numerics.threads;
    let unit = |(level, (n, u)): &(usize, (usize, usize))| {
        let node = graph.node(NodeIndex(*n));
        let unit = &node.units[*u];
        let reads = unit.inputs.iter().filter_map(|input| match &input.source {
            InputSource::Output(from, _) => positions.get(&place(*from)).copied(),
            _ => None,
        });
        let wants_gpu = unit.task.wants_device();
        PlannedUnit {
            node: node.id.clone(),
            unit: unit.key(),
            level: *level,
            reads: reads.collect::<BTreeSet<_>>().into_iter().collect(),
            threads: if wants_gpu { threads } else { 1 },
            wants_gpu,
            seconds: times.of_unit(&node.id, node.stage),
        }
    };
    let units: Vec<PlannedUnit> = order.iter().map(unit).collect();
    let guess = |at: usize| {
        let (node, unit) = order[at].1;
        let is_shard = !graph.node(NodeIndex(node)).units[unit].shard.is_empty();
        units[at].seconds.unwrap_or(if is_shard { ONE_OF_MANY } else { ALONE })
    };
    let tasks = tasks(&units, WORTH.max(STARTS * took.as_secs_f64()), guess);
    WorkPlan {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        drawn: clock::now(),
        config_name: config.name.clone(),
        config: toml::to_string(&config.config.resolved()).expect("a configuration that was read is written"),
        photos: None,
        units,
        tasks,
    }
}

fn place(unit: UnitRef) -> (usize, usize) {
    (unit.node.0, unit.unit)
}

/// Returns the places of the units that a run would compute, or may have to.
fn missing(graph: &Graph, plan: &Plan) -> BTreeSet<(usize, usize)> {
    let mut missing = BTreeSet::new();
    let nodes: BTreeMap<&str, usize> = graph.nodes().iter().enumerate().map(|(at, n)| (n.id.as_str(), at)).collect();
    for node in &plan.nodes {
        let units = node.units.iter().enumerate().filter(|(_, unit)| unit.action != Action::Reuse);
        missing.extend(units.map(|(at, _)| (nodes[node.node.as_str()], at)));
    }
    missing
}

/// Groups neighbours of one level and node until they are worth a task.
fn tasks(units: &[PlannedUnit], worth: f64, seconds: impl Fn(usize) -> f64) -> Vec<PlannedTask> {
    let mut tasks: Vec<PlannedTask> = Vec::new();
    for (at, unit) in units.iter().enumerate() {
        let seconds = seconds(at);
        let joins = |task: &PlannedTask| {
            let first = &units[task.first];
            (first.level, &first.node) == (unit.level, &unit.node) && task.seconds < worth
        };
        match tasks.last_mut().filter(|task| joins(task)) {
            Some(task) => (task.units, task.seconds) = (task.units + 1, task.seconds + seconds),
            None => tasks.push(PlannedTask {
                level: unit.level,
                first: at,
                units: 1,
                threads: unit.threads,
                wants_gpu: unit.wants_gpu,
                seconds,
            }),
        }
    }
    tasks
}

/// Seconds a unit by node, and by stage, from the last run that computed it.
struct Times<'a> {
    of_node: BTreeMap<&'a str, f64>,
    of_stage: BTreeMap<&'a str, f64>,
}

impl<'a> Times<'a> {
    /// `runs`: oldest first.
    fn of(runs: &'a [RunRecord]) -> Self {
        let mut times = Self { of_node: BTreeMap::new(), of_stage: BTreeMap::new() };
        let computed = |outcome: &str| outcome == "executed";
        for node in runs.iter().flat_map(|run| &run.nodes).filter(|n| computed(&n.outcome) && !n.units.is_empty()) {
            let each = node.seconds / node.units.len() as f64;
            times.of_node.insert(&node.node, each);
            times.of_stage.insert(&node.stage, each);
        }
        times
    }

    fn of_unit(&self, node: &str, stage: &str) -> Option<f64> {
        self.of_node.get(node).or_else(|| self.of_stage.get(stage)).copied()
    }
}
