//! A trial of the whole process: it is killed at its n-th disk call or within its n-th write, may write so many bytes
//! only, or is delayed at random. Without one, a disk call costs the look at one pointer.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use thiserror::Error;

use super::Step;

/// What befalls this process at its disk calls, counted from 0 over all threads.
///
/// Written as `kill=120`, `tear=3`, `quota=1000000`, `delay=7`, or several of them with commas between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// SIGKILL in place of this call.
    pub kill: Option<u64>,
    /// SIGKILL in the middle of this write; writes are counted apart.
    pub tear: Option<u64>,
    /// How many bytes may be written; then the disk is full.
    pub quota: Option<u64>,
    /// Seed of random delays before calls, up to a millisecond each.
    pub delay: Option<u64>,
}

/// A text that is no [`Trial`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no trial: it is kill, tear, quota or delay, `=` and a whole number, with commas between several")]
pub struct ParseTrialError(String);

impl FromStr for Trial {
    type Err = ParseTrialError;

    fn from_str(text: &str) -> Result<Self, ParseTrialError> {
        let mut trial = Self::default();
        for part in text.split(',') {
            let wrong = || ParseTrialError(part.to_owned());
            let (key, number) = part.split_once('=').ok_or_else(wrong)?;
            let field = match key {
                "kill" => &mut trial.kill,
                "tear" => &mut trial.tear,
                "quota" => &mut trial.quota,
                "delay" => &mut trial.delay,
                _ => return Err(wrong()),
            };
            *field = Some(number.parse().map_err(|_| wrong())?);
        }
        Ok(trial)
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [("kill", self.kill), ("tear", self.tear), ("quota", self.quota), ("delay", self.delay)];
        let given: Vec<_> = all.iter().filter_map(|(key, n)| n.map(|n| format!("{key}={n}"))).collect();
        f.write_str(&given.join(","))
    }
}

impl Trial {
    /// Begins the trial of this process; a second one is ignored.
    pub fn begin(self) {
        let _ = PROCESS.set(Process { trial: self, ..Process::default() });
    }

    /// Returns how many disk calls this process has made since a trial began.
    pub fn calls() -> u64 {
        PROCESS.get().map_or(0, |process| process.calls.load(Ordering::SeqCst))
    }
}

#[derive(Default)]
struct Process {
    trial: Trial,
    calls: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
}

/// How the write ends whose half is being done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tear {
    No,
    Full,
    Death,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

thread_local! {
    static TEAR: Cell<Tear> = const { Cell::new(Tear::No) };
}

pub(super) fn before(step: Step<'_>) -> io::Result<()> {
    let Some(process) = PROCESS.get() else { return Ok(()) };
    let trial = &process.trial;
    let call = process.calls.fetch_add(1, Ordering::SeqCst);
    if let Some(seed) = trial.delay {
        std::thread::sleep(Duration::from_micros(delay_us(seed, call)));
    }
    if trial.kill == Some(call) {
        die();
    }
    let Step::Write(_, bytes) = step else { return Ok(()) };
    if trial.tear == Some(process.writes.fetch_add(1, Ordering::SeqCst)) {
        TEAR.set(Tear::Death);
        return Err(io::Error::other("the process is about to die"));
    }
    if trial.quota.is_some_and(|quota| process.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes > quota) {
        TEAR.set(Tear::Full);
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

pub(super) fn tears() -> bool {
    TEAR.get() != Tear::No
}

/// Ends a write that was torn: half of it is done, and a process that was to die within it dies now.
pub(crate) fn torn() {
    if TEAR.replace(Tear::No) == Tear::Death {
        die();
    }
}

/// Returns how many of the disk's free bytes a quota leaves.
pub(crate) fn free(of_disk: u64) -> u64 {
    let Some(Process { trial: Trial { quota: Some(quota), .. }, bytes, .. }) = PROCESS.get() else { return of_disk };
    of_disk.min(quota.saturating_sub(bytes.load(Ordering::SeqCst)))
}

/// Dies as by `kill -9`, with nothing done any more.
fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park(); // until the signal has come
    }
}

/// One call in four waits, up to a millisecond (SplitMix64 of seed and call).
fn delay_us(seed: u64, call: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(call.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    if z.is_multiple_of(4) { (z >> 32) % 1000 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_read_as_it_is_written() {
        let trial = Trial { kill: Some(3), quota: Some(10), ..Trial::default() };
        assert_eq!(trial.to_string(), "kill=3,quota=10");
        assert_eq!(trial.to_string().parse(), Ok(trial));
        for wrong in ["", "kill", "kill=x", "kill=-1", "die=3", "kill=3,"] {
            assert!(wrong.parse::<Trial>().is_err(), "{wrong}");
        }
    }
}
