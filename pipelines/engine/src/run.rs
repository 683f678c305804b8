//! The runner: resolve → look up → execute → commit, node by node, and one outcome for each.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_store::{Digest, Fingerprint, Manifest, Recording, Request, Store, StoreError};
use rayon::prelude::*;

use crate::explain::History;
use crate::plan::{Manifests, UnitPlan, node_fingerprint, node_reason, request};
use crate::report::{ByName, Walk, combined_outputs, record};
use crate::{
    Action, Cancel, Context, EngineError, Event, Graph, Node, NodeIndex, NodeSummary, Outcome, RunIdentity, RunReport,
    ShardCount, StageError, Subscriber, Unit,
};

/// How often a run remakes damaged artifacts of one node before it gives up.
const REPAIRS: usize = 8;

/// An answer, and whether it was computed here.
type Made = (Arc<Manifest>, bool);

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Node ids or stage names to bring up to date; none means all.
    pub targets: Vec<String>,
    /// Node ids or stage names that are computed even when they are there.
    pub force: Vec<String>,
    /// The targets are a part of what the configuration asks for: a collection does not count such a run as a complete one.
    pub is_partial: bool,
    /// Goes on with nodes that do not depend on a failed one.
    pub keep_going: bool,
    /// Fails instead of waiting for another run.
    pub no_wait: bool,
    /// Threads for stages whose shards may run side by side.
    pub threads: usize,
    /// The kind of device (`cpu`, `cuda`) on which every reused artifact must have been made; none takes all.
    pub only_from: Option<String>,
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
    let threads = options.threads.max(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|source| EngineError::Threads { threads, source })?;
    let history = History::new(store, &identity.config_name);
    let mut runner = Runner {
        graph,
        store,
        options,
        cancel,
        subscriber,
        pool,
        history,
        manifests: graph.nodes().iter().map(|n| vec![None; n.units.len()]).collect(),
    };
    let started = now();
    let nodes = needed.iter().filter(|n| **n).count();
    subscriber.on(&Event::RunStarted { run_id: identity.run_id.clone(), nodes });
    let walk = runner.all(&needed)?;
    let manifests = runner.by_name();
    let record = record(identity, started, now(), !options.is_partial, &walk, &manifests);
    let Walk { outcome, nodes, errors } = walk;
    let recorded_as = identity.run_id.clone();
    let mut report = RunReport { outcome, nodes, errors, manifests, record, recorded_as };
    report.recorded_as = keep_record(store, &report)?;
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

struct Runner<'a> {
    graph: &'a Graph,
    store: &'a Store,
    options: &'a RunOptions,
    cancel: &'a Cancel,
    subscriber: &'a dyn Subscriber,
    pool: rayon::ThreadPool,
    history: History<'a>,
    manifests: Manifests,
}

/// What can be computed of a node now.
struct Wave {
    missing: Vec<(usize, Request)>,
    /// Units whose inputs are made by units of the same node that must run first.
    blocked: usize,
    plans: Vec<UnitPlan>,
    /// An artifact that was made on a device of another kind than is accepted.
    foreign: Option<String>,
}

/// How the units of one node ended.
struct NodeResult {
    executed: Vec<usize>,
    reason: String,
    error: Option<StageError>,
}

impl Runner<'_> {
    fn all(&mut self, needed: &[bool]) -> Result<Walk, EngineError> {
        let (mut nodes, mut errors) = (Vec::new(), Vec::new());
        let mut broken = vec![false; needed.len()];
        let mut stopped = None;
        for index in (0..needed.len()).filter(|i| needed[*i]) {
            let node = &self.graph.nodes()[index];
            if self.cancel.is_cancelled() && stopped.is_none() {
                stopped = Some(Outcome::Cancelled);
            }
            let upstream_broken = self.graph.upstream(node).any(|from| broken[from.0]);
            if stopped.is_some() || upstream_broken {
                broken[index] = true;
                let outcome = stopped.unwrap_or(Outcome::Skipped);
                nodes.push(self.finish(node, index, outcome, 0.0, &[], String::new()));
                continue;
            }
            #[expect(clippy::disallowed_methods, reason = "how long a node took")]
            let clock = Instant::now();
            let result = self.node(index)?;
            let outcome = match &result.error {
                None if result.executed.is_empty() => Outcome::Cached,
                None => Outcome::Executed,
                Some(StageError::Cancelled) => Outcome::Cancelled,
                Some(_) => Outcome::Failed,
            };
            let seconds = clock.elapsed().as_secs_f64();
            nodes.push(self.finish(node, index, outcome, seconds, &result.executed, result.reason));
            if let Some(error) = result.error {
                broken[index] = true;
                if matches!(error, StageError::Cancelled) {
                    stopped = Some(Outcome::Cancelled);
                } else {
                    if !self.options.keep_going {
                        stopped = Some(Outcome::Skipped);
                    }
                    errors.push((node.id.clone(), error));
                }
            }
        }
        let outcome = match nodes.iter().any(|n: &NodeSummary| n.outcome == Outcome::Cancelled) {
            true => "cancelled",
            false if errors.is_empty() => "ok",
            false => "failed",
        };
        Ok(Walk { outcome, nodes, errors })
    }

    /// Resolves a node, finds what is missing, computes it: in waves, where units read earlier units of the node.
    fn node(&mut self, index: usize) -> Result<NodeResult, EngineError> {
        let node = self.graph.node(NodeIndex(index)).clone();
        let (mut executed, mut first_reason, mut repairs) = (Vec::new(), None, 0);
        let mut has_started = false;
        loop {
            let wave = self.wave(index, &node, &executed)?;
            let reason = first_reason.get_or_insert_with(|| node_reason(&wave.plans)).clone();
            if let Some(foreign) = wave.foreign {
                let only = self.options.only_from.as_deref().unwrap_or_default();
                let said = Explanation::new(foreign).because(format!("only artifacts made on {only} are accepted"));
                let error = StageError::Setup(said.fix(Fix::AnyDevice).fix(Fix::OtherStore));
                return Ok(NodeResult { executed, reason, error: Some(error) });
            }
            if wave.missing.is_empty() {
                return match wave.blocked {
                    0 => Ok(NodeResult { executed, reason, error: None }),
                    _ => Err(EngineError::Pending { unit: node.id }),
                };
            }
            if !std::mem::replace(&mut has_started, true) {
                let execute = wave.missing.len() + wave.blocked;
                let (id, cached) = (node.id.clone(), node.units.len() - execute);
                self.subscriber.on(&Event::NodeStarted { node: id, execute, cached, reason: reason.clone() });
            }
            let before = node.units.len() - wave.missing.len() - wave.blocked;
            let mut error = None;
            for (unit, result) in self.execute(&node, wave.missing, before) {
                match result {
                    Ok((manifest, is_new)) => {
                        self.manifests[index][unit] = Some(manifest);
                        executed.extend(is_new.then_some(unit));
                    }
                    Err(failure) => error = worst(error, failure),
                }
            }
            match error {
                None if wave.blocked > 0 => {}
                Some(StageError::Store(StoreError::Damaged { digest, .. } | StoreError::Missing { digest }))
                    if repairs < REPAIRS && self.repair(&node, digest)? =>
                {
                    repairs += 1;
                }
                error => return Ok(NodeResult { executed, reason, error }),
            }
        }
    }

    /// Looks every unit up whose inputs are known; units that read others of this node may have to wait.
    fn wave(&mut self, index: usize, node: &Node, executed: &[usize]) -> Result<Wave, EngineError> {
        let forced = self.is_forced(node);
        let mut wave = Wave { missing: Vec::new(), blocked: 0, plans: Vec::new(), foreign: None };
        for (i, unit) in node.units.iter().enumerate() {
            let Some(request) = request(unit, &self.manifests)? else {
                wave.blocked += 1;
                self.manifests[index][i] = None;
                continue;
            };
            let fingerprint = request.fingerprint();
            let found = self.store.lookup(&fingerprint)?;
            if let Some(foreign) = found.as_ref().and_then(|m| self.foreign_device(m)) {
                wave.foreign.get_or_insert_with(|| format!("{} {} was made on {foreign}", node.id, unit.key()));
            }
            let wanted = found.is_none() || (forced && !executed.contains(&i));
            let reason = match (&found, wanted) {
                (Some(_), true) => "forced".to_owned(),
                (_, true) => self.history.reason(&node.id, &unit.key(), &request),
                (_, false) => String::new(),
            };
            let action = if wanted { Action::Execute } else { Action::Reuse };
            wave.plans.push(UnitPlan {
                key: unit.key(),
                action,
                request: None,
                fingerprint: Some(fingerprint),
                reason,
            });
            self.manifests[index][i] = if wanted { None } else { found };
            if wanted {
                wave.missing.push((i, request));
            }
        }
        Ok(wave)
    }

    /// Returns the device of an artifact whose kind is not accepted.
    fn foreign_device(&self, manifest: &Manifest) -> Option<String> {
        let (only, device) = (self.options.only_from.as_ref()?, manifest.provenance.get("device")?);
        (device.split(':').next() != Some(only)).then(|| device.clone())
    }

    fn is_forced(&self, node: &Node) -> bool {
        self.options.force.iter().any(|f| *f == node.id || f == node.stage)
    }

    /// Computes units: those that use torch's threads one after another, the others side by side.
    fn execute(
        &self,
        node: &Node,
        missing: Vec<(usize, Request)>,
        before: usize,
    ) -> Vec<(usize, Result<Made, StageError>)> {
        let (done, failed) = (AtomicUsize::new(before), AtomicUsize::new(0));
        let one = |(i, request): (usize, Request)| {
            let unit = &node.units[i];
            // Bad photos are all reported, so that one round mends them; any other failure ends the node.
            let result = match failed.load(Ordering::Relaxed) {
                0 => self.unit(node, unit, request, node),
                _ => Err(StageError::Cancelled),
            };
            match &result {
                Ok(_) => {
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if node.units.len() > 1 {
                        let (done, total) = (done as u64, node.units.len() as u64);
                        let (node, detail, unit) = (node.id.clone(), unit.key(), "units".to_owned());
                        self.subscriber.on(&Event::Progress { node, done, total, unit, detail });
                    }
                }
                Err(StageError::Cancelled) => {}
                Err(error) => {
                    let is_data = matches!(error, StageError::BadData(_));
                    failed.fetch_add(usize::from(!is_data), Ordering::Relaxed);
                    let (node, unit, error) = (node.id.clone(), unit.key(), error.explain().to_string());
                    self.subscriber.on(&Event::Failed { node, unit, error });
                }
            }
            (i, result)
        };
        let (parallel, serial): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|(i, _)| node.units[*i].task.is_parallel());
        let mut results: Vec<_> = serial.into_iter().map(one).collect();
        results.extend(self.pool.install(|| parallel.into_par_iter().map(one).collect::<Vec<_>>()));
        results
    }

    /// Computes one unit under its lock, unless another process was first; says whether it was computed here. `shown`: the
    /// node whose events report it, as a node that ended has no more of its own.
    fn unit(&self, node: &Node, unit: &Unit, request: Request, shown: &Node) -> Result<Made, StageError> {
        self.cancel.check()?;
        let fingerprint = request.fingerprint();
        let Some(_guard) = self.lock(&shown.id, &fingerprint)? else { return Err(StageError::Cancelled) };
        if !self.is_forced(node)
            && let Some(found) = self.store.lookup(&fingerprint)?
        {
            return Ok((found, false));
        }
        let context = Context {
            store: self.store,
            node: &shown.id,
            fingerprint,
            wiring: &unit.inputs,
            inputs: &request.inputs,
            cancel: self.cancel,
            subscriber: self.subscriber,
            is_single: node.units.len() == 1,
        };
        let outputs = unit.task.run(&context)?.check(unit.task.as_ref())?;
        let made = outputs.artifacts.clone();
        let manifest = self.store.commit(request.clone(), outputs.artifacts, outputs.provenance)?;
        if manifest.outputs != made {
            context.warn(format!("{} gave other bytes than before; the first result is kept", unit.key()));
        }
        self.store.clear_checkpoint(&fingerprint)?;
        Ok((manifest, true))
    }

    fn lock(&self, node: &str, fingerprint: &Fingerprint) -> Result<Option<mlsm_store::LockGuard>, StageError> {
        let (mut told, mut busy) = (false, None);
        let guard = self.store.lock(fingerprint, &mut |holder| {
            let holder = format!("process {} on {} since {}", holder.pid, holder.host, holder.since);
            if self.options.no_wait {
                busy = Some(holder);
                return ControlFlow::Break(());
            }
            if !told {
                told = true;
                self.subscriber.on(&Event::Waiting { node: node.to_owned(), holder });
            }
            if self.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        match busy {
            Some(holder) => Err(StageError::Busy(holder)),
            None => Ok(guard),
        }
    }

    /// Remakes the upstream units whose output was found damaged; false when no node can.
    fn repair(&mut self, reader: &Node, digest: Digest) -> Result<bool, EngineError> {
        let mut damaged = Vec::new();
        for (n, units) in self.manifests.iter().enumerate() {
            for (u, manifest) in units.iter().enumerate() {
                if manifest.as_ref().is_some_and(|m| m.outputs.values().any(|o| o.digest == digest)) {
                    damaged.push((n, u));
                }
            }
        }
        for (n, u) in &damaged {
            let node = self.graph.nodes()[*n].clone();
            let unit = &node.units[*u];
            let message = format!("artifact {} of {} {} was damaged: remade", digest.short(), node.id, unit.key());
            self.subscriber.on(&Event::Warning { node: reader.id.clone(), message });
            let Some(again) = request(unit, &self.manifests)? else { return Ok(false) };
            match self.unit(&node, unit, again, reader) {
                Ok((manifest, _)) => self.manifests[*n][*u] = Some(manifest),
                Err(StageError::Store(StoreError::Damaged { digest, .. })) => return self.repair(reader, digest),
                Err(_) => return Ok(false),
            }
        }
        Ok(!damaged.is_empty())
    }

    fn finish(
        &self,
        node: &Node,
        index: usize,
        outcome: Outcome,
        seconds: f64,
        executed: &[usize],
        reason: String,
    ) -> NodeSummary {
        let whole: Option<Vec<_>> = self.manifests[index].iter().map(Option::as_ref).collect();
        let keyed: Vec<_> = node.units.iter().map(Unit::key).zip(whole.unwrap_or_default()).collect();
        let fingerprints: Vec<_> = keyed.iter().map(|(k, m)| (k.clone(), m.fingerprint)).collect();
        let shards = |units: &mut dyn Iterator<Item = usize>| -> std::collections::BTreeSet<String> {
            units.map(|i| node.units[i].shard.clone()).collect()
        };
        let all = shards(&mut (0..node.units.len())).len();
        let made = shards(&mut executed.iter().copied()).len();
        let is_whole = matches!(outcome, Outcome::Executed | Outcome::Cached);
        let summary = NodeSummary {
            node: node.id.clone(),
            stage: node.stage.to_owned(),
            outcome,
            fingerprint: if is_whole { node_fingerprint(node, &fingerprints) } else { None },
            outputs: if is_whole { combined_outputs(&keyed) } else { BTreeMap::new() },
            seconds,
            shards: ShardCount { executed: made, cached: if is_whole { all - made } else { 0 } },
            reason: if outcome == Outcome::Cached { String::new() } else { reason },
        };
        self.subscriber.on(&Event::NodeFinished(summary.clone()));
        summary
    }

    fn by_name(&self) -> ByName {
        let mut named = BTreeMap::new();
        for (node, manifests) in self.graph.nodes().iter().zip(&self.manifests) {
            let units = node.units.iter().zip(manifests);
            let units = units.filter_map(|(u, m)| Some((u.key(), m.clone()?)));
            named.insert(node.id.clone(), units.collect());
        }
        named
    }
}

/// A real failure says more than "cancelled"; bad data of several shards is reported together.
fn worst(earlier: Option<StageError>, later: StageError) -> Option<StageError> {
    Some(match (earlier, later) {
        (None, error) | (Some(StageError::Cancelled), error) => error,
        (Some(StageError::BadData(a)), StageError::BadData(b)) => StageError::BadData(a.and(b)),
        (Some(error), _) => error,
    })
}
