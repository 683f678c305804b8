//! Failures on demand: what [`crate::disk`] asks before every step.
//!
//! Two kinds: a [`Trial`] befalls a whole process and is set from outside, so that the real program can be killed at any
//! of its disk calls; `inject` befalls one thread of this crate's tests and knows what a loss of power takes.

#[cfg(test)]
mod inject;
mod trial;

use std::io;
use std::path::Path;

#[cfg(test)]
pub(crate) use inject::{Fault, Power, under};
pub use trial::{ParseTrialError, Trial};
pub(crate) use trial::{free, torn};

/// One call that changes the disk. A write knows how many bytes it is about to write; most paths are read by tests alone.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests tell the paths apart"))]
pub(crate) enum Step<'a> {
    Create(&'a Path),
    Write(&'a Path, u64),
    Sync(&'a Path),
    SyncFolder(&'a Path),
    SyncTree(&'a Path),
    Rename(&'a Path, &'a Path),
    Exchange(&'a Path, &'a Path),
    MakeFolder(&'a Path),
    Remove,
}

/// Lets a step pass, or fails in its place.
pub(crate) fn before(step: Step<'_>) -> io::Result<()> {
    #[cfg(test)]
    inject::before(step)?;
    trial::before(step)
}

/// Tells whether half of the write that was just refused is to be done all the same.
pub(crate) fn tears() -> bool {
    #[cfg(test)]
    if inject::tears() {
        return true;
    }
    trial::tears()
}
