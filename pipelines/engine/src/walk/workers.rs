//! The threads that compute: as many as there are units to be computed at once, begun when they are needed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, Scope};
use std::time::Duration;

use crate::EngineError;
use crate::attempt::{Attempt, Bench};
use crate::queue::Job;

/// Room for the calls of one unit: that of a program's main thread, since libtorch's backward pass calls deep.
const STACK: usize = 8 << 20;

/// How one unit ended, or the panic that ended it.
type Ended = (Job, std::thread::Result<Attempt>);

/// Threads that take units; dropping it lets them end after the unit that they compute.
pub(super) struct Workers<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    bench: Bench<'scope>,
    count: usize,
    jobs: Sender<Job>,
    taken: Arc<Mutex<Receiver<Job>>>,
    ended: Sender<Ended>,
    results: Receiver<Ended>,
}

impl<'scope, 'env> Workers<'scope, 'env> {
    /// No thread yet.
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, bench: Bench<'scope>) -> Self {
        let ((jobs, taken), (ended, results)) = (channel(), channel());
        Self { scope, bench, count: 0, jobs, taken: Arc::new(Mutex::new(taken)), ended, results }
    }

    /// Hands a unit to a thread. `running`: how many are computed then, this one included.
    ///
    /// # Errors
    /// [`EngineError::Threads`] when the system refuses a thread.
    pub(super) fn begin(&mut self, job: Job, running: usize) -> Result<(), EngineError> {
        if self.count < running {
            self.count += 1;
            let (bench, taken, ended) = (self.bench, self.taken.clone(), self.ended.clone());
            let thread = Builder::new().name("unit".to_owned()).stack_size(STACK);
            let begun = thread.spawn_scoped(self.scope, move || work(bench, &taken, &ended));
            begun.map_err(|source| EngineError::Threads { threads: self.count, source })?;
        }
        self.jobs.send(job).expect("the receiver lives as long as this");
        Ok(())
    }

    /// Waits until a unit has ended, for `limit` at most.
    ///
    /// # Panics
    /// With the panic of the unit, where one ended it.
    pub(super) fn next_ended(&self, limit: Option<Duration>) -> Option<(Job, Attempt)> {
        let ended = match limit {
            None => self.results.recv().ok(),
            Some(limit) => self.results.recv_timeout(limit).ok(),
        };
        let (job, attempt) = ended?;
        Some((job, attempt.unwrap_or_else(|panic| resume_unwind(panic))))
    }
}

/// Computes units until there are no more.
fn work(bench: Bench<'_>, jobs: &Mutex<Receiver<Job>>, ended: &Sender<Ended>) {
    let next = || jobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
    while let Ok(job) = next() {
        let attempt = catch_unwind(AssertUnwindSafe(|| bench.attempt(&job)));
        if ended.send((job, attempt)).is_err() {
            return;
        }
    }
}
