//! SIGINT and SIGTERM: the first asks the run to stop at its next checkpoint, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mlsm_engine::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::CANCELLED;

/// Turns signals into a request to stop.
///
/// The shutdown is registered before the flag: handlers run in that order, so the first signal finds the flag still
/// down and only raises it. Ending at once harms nothing, because artifacts become visible only when whole.
///
/// # Errors
/// The system's error when a handler cannot be installed.
pub fn install() -> std::io::Result<Cancel> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, i32::from(CANCELLED), Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(Cancel::from_flag(asked))
}
