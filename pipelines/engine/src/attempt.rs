//! One unit computed under its lock.

use std::ops::ControlFlow;
use std::sync::Arc;

use mlsm_store::{Answer, Fingerprint, LockGuard, Request, Store};

use crate::queue::Job;
use crate::{Cancel, Context, Event, Graph, Node, RunOptions, StageError, Subscriber, Unit};

/// What every unit of a run is computed with.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub graph: &'a Graph,
    pub store: &'a Store,
    pub options: &'a RunOptions,
    pub cancel: &'a Cancel,
    pub subscriber: &'a dyn Subscriber,
}

/// An answer, and whether it was computed here.
pub(crate) type Made = (Arc<Answer>, bool);

/// How an attempt at a unit ended.
pub(crate) enum Attempt {
    /// It is made, or it failed.
    Ended(Result<Made, StageError>),
    /// Another process computes it: which one, in words.
    Held(String),
}

/// Whether an attempt waits for another process.
enum Wait {
    /// Until it has finished; its node is shown as waiting.
    Yes,
    /// Not at all.
    No,
}

impl Bench<'_> {
    pub(crate) fn is_forced(&self, node: &Node) -> bool {
        self.options.force.iter().any(|f| *f == node.id || f == node.stage)
    }

    /// Computes a unit, unless another process does.
    pub(crate) fn attempt(&self, job: &Job) -> Attempt {
        let (node, unit) = (&self.graph.nodes()[job.place.0], job.place.1);
        match self.locked(node, Wait::No, &job.request) {
            Ok(Ok(guard)) => Attempt::Ended(self.compute(node, &node.units[unit], job.request.clone(), node, &guard)),
            Ok(Err(holder)) if self.options.no_wait => Attempt::Ended(Err(StageError::Busy(holder))),
            Ok(Err(holder)) => Attempt::Held(holder),
            Err(error) => Attempt::Ended(Err(error)),
        }
    }

    /// Computes a unit again whose artifact is damaged; waits for whoever does so already. `shown`: the node whose events
    /// report it, as a node that ended has no more of its own.
    pub(crate) fn remake(&self, node: &Node, unit: &Unit, request: Request, shown: &Node) -> Result<Made, StageError> {
        match self.locked(shown, Wait::Yes, &request)? {
            Ok(guard) => self.compute(node, unit, request, shown, &guard),
            Err(_) => Err(StageError::Cancelled),
        }
    }

    fn compute(
        &self,
        node: &Node,
        unit: &Unit,
        request: Request,
        shown: &Node,
        _: &LockGuard,
    ) -> Result<Made, StageError> {
        let fingerprint = request.fingerprint();
        if !self.is_forced(node)
            && let Some(found) = self.store.answer(&fingerprint)?
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
        let answer = self.store.commit(request.clone(), outputs.artifacts, outputs.provenance)?;
        if answer.outputs != made {
            context.warn(format!("{} gave other bytes than before; the first result is kept", unit.key()));
        }
        self.store.clear_checkpoint(&fingerprint)?;
        Ok((Arc::new(Answer::from(answer.as_ref())), true))
    }

    /// Takes the lock of a request, or says who holds it.
    fn locked(&self, node: &Node, wait: Wait, request: &Request) -> Result<Result<LockGuard, String>, StageError> {
        self.cancel.check()?;
        let fingerprint: Fingerprint = request.fingerprint();
        let mut told = None;
        let guard = self.store.lock(&fingerprint, &mut |holder| {
            let holder = if holder.is_named() { holder.to_string() } else { "another process".to_owned() };
            let is_waiting = matches!(wait, Wait::Yes) && !self.cancel.is_cancelled();
            if told.replace(holder.clone()).is_none() && is_waiting {
                self.subscriber.on(&Event::Waiting { node: node.id.clone(), holder });
            }
            if is_waiting { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(guard.ok_or_else(|| told.unwrap_or_default()))
    }
}
