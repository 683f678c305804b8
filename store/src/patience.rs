//! How a store waits: whom it tells that somebody else holds a lock, and what ends the wait.
//!
//! Every wait of the store goes through here, and so does every long reading: one signal ends all of them.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lock::{self, Mode};
use crate::{Holder, LockGuard, StoreError};

/// How long a wait lasts before anybody is told: most locks are held for a moment.
const TOLD_AFTER: Duration = Duration::from_millis(300);

/// Receives a line about a wait.
type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// The terms on which a store waits. Clones share the request to stop.
#[derive(Clone, Default)]
pub struct Patience {
    stop: Arc<AtomicBool>,
    is_refused: bool,
    tell: Option<Tell>,
}

/// How long a lock is held by others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// For one step of the store: waited for even by who does not want to wait.
    Brief,
    /// For as long as a run, a collection or the drawing of photos takes.
    Long,
}

impl Patience {
    /// Waits until `stop` is raised, which also ends every long reading of the store.
    pub fn new(stop: Arc<AtomicBool>) -> Self {
        Self { stop, ..Self::default() }
    }

    /// Refuses instead of waiting for a run or a collection.
    #[must_use]
    pub fn without_waiting(self) -> Self {
        Self { is_refused: true, ..self }
    }

    /// Receives one line for each wait that takes longer than a moment.
    #[must_use]
    pub fn telling(self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Arc::new(tell)), ..self }
    }

    /// Lets work go on until stopping was asked for.
    ///
    /// # Errors
    /// [`StoreError::Stopped`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.stop.load(Ordering::Relaxed) { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// Takes a lock. `what`: what its holder does, in words.
    pub(crate) fn take(&self, path: &Path, mode: Mode, hold: Hold, what: &str) -> Result<LockGuard, StoreError> {
        #[expect(clippy::disallowed_methods, reason = "how long it has waited")]
        let (begun, mut is_told, mut refused) = (Instant::now(), false, None);
        let guard = lock::take(path, mode, &mut |holder| {
            refused = self.refusal(hold, what, holder);
            if refused.is_some() {
                return ControlFlow::Break(());
            }
            if let Some(tell) = self.tell.as_ref().filter(|_| !is_told && begun.elapsed() >= TOLD_AFTER) {
                tell(&format!("waiting: {what} ({holder})"));
                is_told = true;
            }
            ControlFlow::Continue(())
        })?;
        guard.ok_or_else(|| refused.unwrap_or(StoreError::Stopped))
    }

    fn refusal(&self, hold: Hold, what: &str, holder: &Holder) -> Option<StoreError> {
        if let Err(stopped) = self.check() {
            return Some(stopped);
        }
        let is_busy = self.is_refused && hold == Hold::Long;
        is_busy.then(|| StoreError::Busy { what: what.to_owned(), holder: holder.to_string() })
    }
}
