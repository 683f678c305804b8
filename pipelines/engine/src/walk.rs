//! The walk over the graph: a node begins when all that it reads has ended, and its units are computed side by side.
//!
//! One thread decides, and owns all that changes; others compute one unit after another and say how each ended.

mod wave;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_store::{Answer, Digest, StoreError};

use self::workers::Workers;
use crate::attempt::{Attempt, Bench, Made};
use crate::explain::History;
use crate::plan::{Answers, node_fingerprint, node_reason, request};
use crate::queue::{Job, Queue};
use crate::report::{ByName, Walk, combined_outputs};
use crate::{EngineError, Event, Node, NodeSummary, Outcome, ShardCount, StageError, Unit};

/// How often a run remakes damaged artifacts of one node before it gives up.
const REPAIRS: usize = 8;

/// How often a request to stop is looked for while nothing is computed here.
const GLANCE: Duration = Duration::from_millis(50);

/// Brings all nodes that are needed up to date.
pub(crate) fn walk(
    bench: Bench<'_>,
    history: History<'_>,
    needed: &[bool],
    threads: usize,
) -> Result<(Walk, ByName), EngineError> {
    let mut walker = Walker::new(bench, history, needed, threads);
    std::thread::scope(|scope| {
        let mut workers = Workers::new(scope, bench);
        loop {
            walker.advance()?;
            while let Some(job) = walker.next_job() {
                workers.begin(job, walker.queue.running())?;
            }
            match (walker.queue.running(), walker.queue.due()) {
                (0, None) => return Ok::<(), EngineError>(()),
                (0, Some(due)) => std::thread::sleep(due.saturating_duration_since(now()).min(GLANCE)),
                (_, due) => {
                    if let Some((job, attempt)) =
                        workers.next_ended(due.map(|due| due.saturating_duration_since(now())))
                    {
                        walker.settle_attempt(job, attempt)?;
                    }
                }
            }
        }
    })?;
    Ok(walker.end())
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "how long a node took, and when to try again")]
    Instant::now()
}

/// What is decided, and what it rests on.
struct Walker<'a> {
    bench: Bench<'a>,
    history: History<'a>,
    /// The nodes that each node reads.
    upstream: Vec<BTreeSet<usize>>,
    states: Vec<State>,
    queue: Queue,
    answers: Answers,
    /// Why nothing new begins.
    stopped: Option<Outcome>,
    errors: Vec<(String, StageError)>,
}

/// Where a node is.
enum State {
    /// Nobody asked for it.
    Unwanted,
    /// It waits for what it reads.
    Waiting,
    /// Its units are queued or computed.
    Working(Work),
    /// It has ended.
    Ended(NodeSummary),
}

/// What is known of a node whose units are at work.
#[derive(Default)]
struct Work {
    begun: Option<Instant>,
    reason: Option<String>,
    executed: BTreeSet<usize>,
    /// Units that exist.
    done: usize,
    /// Units that are queued or computed.
    open: usize,
    /// Units that wait for others of the node.
    blocked: usize,
    /// Whether units were given up.
    is_cut: bool,
    error: Option<StageError>,
    repairs: usize,
}

impl<'a> Walker<'a> {
    fn new(bench: Bench<'a>, history: History<'a>, needed: &[bool], threads: usize) -> Self {
        let nodes = bench.graph.nodes();
        let reads = |node: &Node| bench.graph.upstream(node).map(|from| from.0).collect::<BTreeSet<_>>();
        let upstream = nodes.iter().enumerate().map(|(i, node)| {
            let mut reads = if needed[i] { reads(node) } else { BTreeSet::new() };
            reads.remove(&i); // its own units wait for each other in waves
            reads
        });
        let state = |is_needed: &bool| if *is_needed { State::Waiting } else { State::Unwanted };
        Self {
            bench,
            history,
            upstream: upstream.collect(),
            states: needed.iter().map(state).collect(),
            queue: Queue::new(threads),
            answers: nodes.iter().map(|n| vec![None; n.units.len()]).collect(),
            stopped: None,
            errors: Vec::new(),
        }
    }

    fn node(&self, index: usize) -> &'a Node {
        &self.bench.graph.nodes()[index]
    }

    fn work(&mut self, index: usize) -> &mut Work {
        match &mut self.states[index] {
            State::Working(work) => work,
            _ => unreachable!("only nodes at work have units that end"),
        }
    }

    /// Begins every node whose inputs have all ended; skips those that can never begin.
    fn advance(&mut self) -> Result<(), EngineError> {
        if self.bench.cancel.is_cancelled() {
            self.stop(Outcome::Cancelled)?;
        }
        for index in 0..self.states.len() {
            if !matches!(self.states[index], State::Waiting) {
                continue;
            }
            let ended = |from: &usize| match &self.states[*from] {
                State::Ended(summary) => Some(summary.outcome),
                _ => None,
            };
            let outcomes: Vec<_> = self.upstream[index].iter().map(ended).collect();
            let is_broken = |o: &Option<Outcome>| o.is_some_and(|o| !matches!(o, Outcome::Executed | Outcome::Cached));
            if let Some(outcome) = self.stopped {
                self.finish(index, Work::default(), outcome);
            } else if outcomes.iter().any(is_broken) {
                self.finish(index, Work::default(), Outcome::Skipped);
            } else if outcomes.iter().all(Option::is_some) {
                self.states[index] = State::Working(Work::default());
                self.begin_wave(index)?;
            }
        }
        Ok(())
    }

    /// Lets nothing new begin; what is computed goes on to its end, unless it obeys a request to stop.
    fn stop(&mut self, outcome: Outcome) -> Result<(), EngineError> {
        self.stopped.get_or_insert(outcome);
        self.give_up(None)
    }

    fn give_up(&mut self, node: Option<usize>) -> Result<(), EngineError> {
        for index in self.queue.give_up(node) {
            let work = self.work(index);
            (work.open, work.is_cut) = (work.open - 1, true);
            if work.open == 0 {
                self.end_wave(index)?;
            }
        }
        Ok(())
    }

    /// Takes the next unit; its node begins with its first one.
    fn next_job(&mut self) -> Option<Job> {
        let job = self.queue.next(now())?;
        let node = self.node(job.node());
        let work = self.work(job.node());
        if work.begun.is_none() {
            work.begun = Some(now());
            let (execute, cached) = (work.open + work.blocked, work.done);
            let reason = work.reason.clone().unwrap_or_default();
            self.bench.subscriber.on(&Event::NodeStarted { node: node.id.clone(), execute, cached, reason });
        }
        Some(job)
    }

    /// Queues what is missing of a node; ends it when nothing is.
    fn begin_wave(&mut self, index: usize) -> Result<(), EngineError> {
        let executed = std::mem::take(&mut self.work(index).executed);
        let wave = self.wave(index, &executed)?;
        let (units, only_from) = (self.node(index).units.len(), self.bench.options.only_from.clone());
        let work = self.work(index);
        work.executed = executed;
        work.reason.get_or_insert_with(|| node_reason(&wave.plans));
        (work.open, work.blocked) = (wave.missing.len(), wave.blocked);
        work.done = units - work.open - work.blocked;
        if let Some(foreign) = wave.foreign {
            let why = format!("only artifacts made on {} are accepted", only_from.unwrap_or_default());
            let said = Explanation::new(foreign).because(why).fix(Fix::AnyDevice).fix(Fix::OtherStore);
            work.error = Some(StageError::Setup(said));
            return self.conclude(index);
        }
        match (wave.missing.is_empty(), wave.blocked) {
            (true, 0) => self.conclude(index),
            (true, _) => Err(EngineError::Pending { unit: self.node(index).id.clone() }),
            (false, _) => {
                wave.missing.into_iter().for_each(|job| self.queue.push(job));
                Ok(())
            }
        }
    }

    fn settle_attempt(&mut self, job: Job, attempt: Attempt) -> Result<(), EngineError> {
        self.queue.ended(&job);
        match attempt {
            Attempt::Ended(result) => self.settle(&job, result),
            Attempt::Held(holder) => {
                self.put_aside(job, holder);
                Ok(())
            }
        }
    }

    fn put_aside(&mut self, job: Job, holder: String) {
        if job.is_new() {
            let node = self.node(job.node()).id.clone();
            self.bench.subscriber.on(&Event::Waiting { node, holder });
        }
        self.queue.put_aside(job, now());
    }

    /// Notes how a unit ended. Bad photos are all reported, so that one round mends them; any other failure ends the node.
    fn settle(&mut self, job: &Job, result: Result<Made, StageError>) -> Result<(), EngineError> {
        let (index, unit) = job.place;
        let node = self.node(index);
        match result {
            Ok((answer, is_new)) => {
                self.answers[index][unit] = Some(answer);
                let work = self.work(index);
                work.executed.extend(is_new.then_some(unit));
                work.done += 1;
                let (done, total) = (work.done as u64, node.units.len() as u64);
                if total > 1 {
                    let (node, detail, unit) = (node.id.clone(), node.units[unit].key(), "units".to_owned());
                    self.bench.subscriber.on(&Event::Progress { node, done, total, unit, detail });
                }
            }
            Err(failure) => {
                if !matches!(failure, StageError::Cancelled) {
                    let (node, unit) = (node.id.clone(), node.units[unit].key());
                    self.bench.subscriber.on(&Event::Failed { node, unit, error: failure.explain().to_string() });
                }
                if !matches!(failure, StageError::BadData(_)) {
                    self.give_up(Some(index))?; // this unit is still open: the wave does not end here
                }
                let work = self.work(index);
                work.error = Some(failure.after(work.error.take()));
            }
        }
        let work = self.work(index);
        work.open -= 1;
        if work.open == 0 { self.end_wave(index) } else { Ok(()) }
    }

    /// After the last unit of a wave: the next one, a repair, or the end of the node.
    fn end_wave(&mut self, index: usize) -> Result<(), EngineError> {
        let is_stopped = self.stopped.is_some();
        let work = self.work(index);
        let repairs = work.repairs;
        work.is_cut |= is_stopped && work.blocked > 0;
        match &work.error {
            _ if is_stopped => self.conclude(index),
            None if work.blocked > 0 && !work.is_cut => self.begin_wave(index),
            Some(StageError::Store(StoreError::Damaged { digest, .. } | StoreError::Missing { digest }))
                if repairs < REPAIRS =>
            {
                let digest = *digest;
                if !self.repair(self.node(index), digest)? {
                    return self.conclude(index);
                }
                let work = self.work(index);
                (work.repairs, work.error, work.is_cut) = (repairs + 1, None, false);
                self.begin_wave(index)
            }
            _ => self.conclude(index),
        }
    }

    /// Ends a node whose units have all ended.
    fn conclude(&mut self, index: usize) -> Result<(), EngineError> {
        let mut work = std::mem::take(self.work(index));
        let outcome = match &work.error {
            Some(StageError::Cancelled) => Outcome::Cancelled,
            Some(_) => Outcome::Failed,
            None if work.is_cut => self.stopped.unwrap_or(Outcome::Skipped),
            None if work.executed.is_empty() => Outcome::Cached,
            None => Outcome::Executed,
        };
        let error = work.error.take();
        self.finish(index, work, outcome);
        match error {
            None => Ok(()),
            Some(StageError::Cancelled) => self.stop(Outcome::Cancelled),
            Some(error) => {
                self.errors.push((self.node(index).id.clone(), error));
                if self.bench.options.keep_going { Ok(()) } else { self.stop(Outcome::Skipped) }
            }
        }
    }

    /// Remakes the upstream units whose output was found damaged; false when none can be.
    fn repair(&mut self, reader: &Node, digest: Digest) -> Result<bool, EngineError> {
        let mut damaged = Vec::new();
        for (n, units) in self.answers.iter().enumerate() {
            for (u, answer) in units.iter().enumerate() {
                if answer.as_ref().is_some_and(|m| m.outputs.values().any(|o| o.digest == digest)) {
                    damaged.push((n, u));
                }
            }
        }
        for (n, u) in &damaged {
            let node = self.node(*n);
            let unit = &node.units[*u];
            let message = format!("artifact {} of {} {} was damaged: remade", digest.short(), node.id, unit.key());
            self.bench.subscriber.on(&Event::Warning { node: reader.id.clone(), message });
            let Some(again) = request(unit, &self.answers)? else { return Ok(false) };
            match self.bench.remake(node, unit, again, reader) {
                Ok((answer, _)) => self.answers[*n][*u] = Some(answer),
                Err(StageError::Store(StoreError::Damaged { digest, .. })) => return self.repair(reader, digest),
                Err(_) => return Ok(false),
            }
        }
        Ok(!damaged.is_empty())
    }

    fn finish(&mut self, index: usize, work: Work, outcome: Outcome) {
        let node = self.node(index);
        let whole: Option<Vec<_>> = self.answers[index].iter().map(Option::as_ref).collect();
        let keyed: Vec<_> = node.units.iter().map(Unit::key).zip(whole.unwrap_or_default()).collect();
        let fingerprints: Vec<_> = keyed.iter().map(|(k, m)| (k.clone(), m.fingerprint)).collect();
        let shards = |units: &mut dyn Iterator<Item = usize>| -> BTreeSet<String> {
            units.map(|i| node.units[i].shard.clone()).collect()
        };
        let all = shards(&mut (0..node.units.len())).len();
        let made = shards(&mut work.executed.iter().copied()).len();
        let is_whole = matches!(outcome, Outcome::Executed | Outcome::Cached);
        let summary = NodeSummary {
            node: node.id.clone(),
            stage: node.stage.to_owned(),
            outcome,
            fingerprint: if is_whole { node_fingerprint(node, &fingerprints) } else { None },
            outputs: if is_whole { combined_outputs(&keyed) } else { BTreeMap::new() },
            seconds: work.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64()),
            shards: ShardCount { executed: made, cached: if is_whole { all - made } else { 0 } },
            reason: work.reason.filter(|_| outcome != Outcome::Cached).unwrap_or_default(),
        };
        self.bench.subscriber.on(&Event::NodeFinished(summary.clone()));
        self.states[index] = State::Ended(summary);
    }

    /// Sums up, nodes upstream first.
    fn end(self) -> (Walk, ByName) {
        let Self { bench, states, answers, errors, .. } = self;
        let mut named = BTreeMap::new();
        for (node, answers) in bench.graph.nodes().iter().zip(answers) {
            let units = node.units.iter().zip(answers);
            let units: BTreeMap<String, Arc<Answer>> = units.filter_map(|(u, m)| Some((u.key(), m?))).collect();
            named.insert(node.id.clone(), units);
        }
        let ended = states.into_iter().filter_map(|state| match state {
            State::Ended(summary) => Some(summary),
            _ => None,
        });
        let nodes: Vec<NodeSummary> = ended.collect();
        let outcome = match nodes.iter().any(|n| n.outcome == Outcome::Cancelled) {
            true => "cancelled",
            false if errors.is_empty() => "ok",
            false => "failed",
        };
        (Walk { outcome, nodes, errors }, named)
    }
}
