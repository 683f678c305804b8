//! Locks between processes and threads. The kernel releases them when their holder dies.
//!
//! There is one way to wait, [`take`]: it asks again and again, says who holds the lock, and can be broken off. Nothing
//! here ever blocks in the kernel, since a signal could not end that.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::{Fingerprint, Listing, Store, StoreError, disk};

/// What stands for a part of a holder of which its file says nothing: a lock is taken before it is written.
const UNKNOWN: &str = "unknown";

/// What the line of a job begins with: the object of a lease had another fourth line before there were jobs.
const JOB: &str = "job ";

/// The job of a scheduler for which this process works.
static OWN_JOB: OnceLock<String> = OnceLock::new();

/// Who holds a lock, as far as its file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: String,
    /// Since when: seconds since 1970, UTC.
    pub since: String,
    /// The job of a scheduler for which the process works, where it named one.
    pub job: Option<String>,
}

/// With whom a lock is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// With all who take it so.
    Shared,
    /// With nobody.
    Alone,
}

/// A held lock; dropping it releases it.
pub struct LockGuard {
    file: File,
    mode: Mode,
    _lease: Option<Box<dyn Send + Sync>>,
}

/// Takes the lock of a file, which is made when it is not there. While others hold it, `wait` is called again and again:
/// quickly at first, later fifty times a second; `None` when it breaks off.
pub(crate) fn take(
    path: &Path,
    mode: Mode,
    wait: &mut dyn FnMut(&Holder) -> ControlFlow<()>,
) -> Result<Option<LockGuard>, StoreError> {
    take_saying(path, mode, &|| Holder::own().to_text(), wait)
}

/// Does the same with another text than the holder's alone; it is asked for once the lock is held.
fn take_saying(
    path: &Path,
    mode: Mode,
    text: &dyn Fn() -> String,
    wait: &mut dyn FnMut(&Holder) -> ControlFlow<()>,
) -> Result<Option<LockGuard>, StoreError> {
    let mut file = disk::open_lock(path)?;
    let mut pause = Duration::from_millis(1);
    while !try_lock(&file, path, mode)? {
        if wait(&read_holder(&mut file)).is_break() {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(20));
    }
    if mode == Mode::Alone {
        // The text is for people who wait; the lock itself is the kernel's.
        let _ = disk::overwrite(&mut file, path, text().as_bytes());
    }
    Ok(Some(LockGuard { file, mode, _lease: None }))
}

/// Takes a lock that nobody holds.
pub(crate) fn try_take(path: &Path, mode: Mode) -> Result<Option<LockGuard>, StoreError> {
    take(path, mode, &mut |_| ControlFlow::Break(()))
}

fn try_lock(file: &File, path: &Path, mode: Mode) -> Result<bool, StoreError> {
    let operation = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Alone => FlockOperation::NonBlockingLockExclusive,
    };
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(false),
        Err(e) => Err(StoreError::io("lock", path, e.into())),
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        if self.mode == Mode::Alone {
            disk::empty(&self.file); // nobody looks at it as the lock of this process any more
        }
        // Closing is not enough: a child that is being forked holds the file until it becomes another program.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Store {
    /// Takes the lock of a fingerprint. While another holds it, `wait` is called again and again: quickly at first, later
    /// fifty times a second.
    ///
    /// Returns `None` when `wait` breaks off.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`], [`StoreError::Io`]; those of [`crate::Upstream::lease`] where the store is a cache.
    pub fn lock(
        &self,
        fingerprint: &Fingerprint,
        wait: &mut dyn FnMut(&Holder) -> ControlFlow<()>,
    ) -> Result<Option<LockGuard>, StoreError> {
        self.writable()?;
        // One file per first two digits would do for exclusion but make strangers wait; a collection removes the files.
        let path = self.0.root.join("locks").join(fingerprint.to_string());
        let text = || self.text_of_lock();
        let Some(mut guard) = take_saying(&path, Mode::Alone, &text, wait)? else { return Ok(None) };
        if let Some(upstream) = self.upstream() {
            let Some(lease) = upstream.lease(fingerprint, wait)? else { return Ok(None) };
            guard._lease = Some(lease);
            self.fetch(upstream, fingerprint, Listing::Fresh)?; // whoever held it before has left something there
        }
        Ok(Some(guard))
    }
}

impl Holder {
    /// This process, since now.
    pub fn own() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        #[expect(clippy::disallowed_methods, reason = "says since when a lock is held")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self {
            host: host.trim().to_owned(),
            pid: std::process::id().to_string(),
            since: since.to_string(),
            job: OWN_JOB.get().cloned(),
        }
    }

    /// Says for which job of a scheduler this process works, in a line of words; the first call counts.
    pub fn work_for(job: &str) {
        let line: String = job.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        let _ = OWN_JOB.set(line.trim().to_owned());
    }

    /// A line each for host, process and time, and one for the job where there is one.
    pub fn to_text(&self) -> String {
        let job = self.job.iter().map(|job| format!("{JOB}{job}\n")).collect::<String>();
        format!("{}\n{}\n{}\n{job}", self.host, self.pid, self.since)
    }

    /// Reads what [`Holder::to_text`] wrote; what is missing is unknown.
    pub fn from_text(text: &str) -> Self {
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap_or(UNKNOWN).to_owned();
        let (host, pid, since) = (next(), next(), next());
        let job = lines.next().and_then(|line| line.strip_prefix(JOB)).map(str::to_owned);
        Self { host, pid, since, job }
    }

    /// Tells whether it has said who it is.
    pub fn is_named(&self) -> bool {
        self.pid != UNKNOWN
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_named() {
            return f.write_str("it has not named itself yet");
        }
        let job = self.job.iter().map(|job| format!(" for {job}")).collect::<String>();
        write!(f, "process {} on {}{job} since second {} of 1970", self.pid, self.host, self.since)
    }
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    Holder::from_text(&text)
}
