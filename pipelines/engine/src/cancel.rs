//! The request to stop, shared between whoever hears the signal and the stages that obey it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::StageError;

/// A flag that stages look at between units of work; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Wraps a flag that a signal handler sets.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Asks everything that shares the flag to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Tells whether stopping was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Turns a request to stop into an error that unwinds a stage.
    ///
    /// # Errors
    /// [`StageError::Cancelled`] once stopping was asked for.
    pub fn check(&self) -> Result<(), StageError> {
        if self.is_cancelled() { Err(StageError::Cancelled) } else { Ok(()) }
    }
}
