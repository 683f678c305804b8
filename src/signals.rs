//! SIGINT, SIGTERM and SIGHUP: the first asks the work to stop at its next step, and the process ends soon after in any
//! case; the second ends it at once.
//!
//! Work that asks often enough stops by itself and keeps a checkpoint. What cannot ask, a long call into a library or into
//! the system, is not waited for: ending harms nothing, since artifacts become visible only when they are whole.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mlsm_engine::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::error::{CANCELLED, CliError};
use crate::render::{json, lineage};

/// How long work that can keep a checkpoint has for it.
pub const TO_KEEP_WORK: Duration = Duration::from_millis(1500);
/// How long work that leaves nothing behind has.
pub const TO_LOOK: Duration = Duration::from_millis(100);
/// How long work has that was given a time, once that is over: a checkpoint may be far away.
const AFTER_TIME: Duration = Duration::from_secs(30);
/// How long the last lines may take when nobody reads them.
const LAST_LINE: Duration = Duration::from_millis(200);

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static GRACE_MS: AtomicU64 = AtomicU64::new(0);
static IS_TIME_OVER: AtomicBool = AtomicBool::new(false);

/// Listens to signals from now on; those that the caller has told this process to ignore stay ignored.
///
/// # Errors
/// The system's error when a handler cannot be installed.
pub fn install() -> std::io::Result<()> {
    let heard: Vec<_> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)).collect();
    let mut signals = Signals::new(&heard)?;
    heard.iter().try_for_each(|signal| flag::register(*signal, asked()).map(drop))?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_none() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the time that the work was given")]
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(GRACE_MS.load(Ordering::SeqCst)) {
            std::thread::sleep(Duration::from_millis(10));
            if signals.pending().next().is_some() {
                break;
            }
        }
        end();
    })?;
    Ok(())
}

/// Gives the work of a verb so much time to end after the first signal.
pub fn allow(grace: Duration) {
    GRACE_MS.store(u64::try_from(grace.as_millis()).unwrap_or(0), Ordering::SeqCst);
}

/// Returns the flag that the first signal raises.
pub fn asked() -> Arc<AtomicBool> {
    Arc::clone(ASKED.get_or_init(Arc::default))
}

/// Asks the work to stop after so much time, as the first signal does, and ends the process soon after.
pub fn stop_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        IS_TIME_OVER.store(true, Ordering::SeqCst);
        asked().store(true, Ordering::SeqCst);
        std::thread::sleep(AFTER_TIME);
        end();
    });
}

/// Tells whether the time that the work was given is over.
pub fn is_time_over() -> bool {
    IS_TIME_OVER.load(Ordering::SeqCst)
}

/// Returns the same as a request to stop.
pub fn cancel() -> Cancel {
    Cancel::from_flag(asked())
}

/// Ends the process in the middle of its work, after the last line of JSON where one was promised.
fn end() -> ! {
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let error = CliError::Cancelled.with_cause();
        let _ = json::finish(Some(&error));
        let _ = lineage::stream().finish(Some(&error));
        let _ = said.send(());
    });
    let _ = heard.recv_timeout(LAST_LINE); // whoever should read it may not
    mlsm_nets::leave(CANCELLED)
}

/// Tells whether this process was started with a signal ignored, as `nohup` does.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
