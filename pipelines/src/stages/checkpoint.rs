//! When a training saves its state: the moment changes nothing in the result.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(5);

/// The time since the last checkpoint.
pub(crate) struct Pace(Instant);

impl Pace {
    /// Counts from now on.
    #[expect(clippy::disallowed_methods, reason = "the moment of a checkpoint is in no result")]
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Tells whether the next checkpoint is due.
    pub fn is_due(&self) -> bool {
        self.0.elapsed() > EVERY
    }
}
