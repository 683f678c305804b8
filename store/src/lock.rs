//! Locks per fingerprint between processes and threads. The kernel releases them when their holder dies.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::{Fingerprint, Store, StoreError, disk};

/// Who holds a lock, as far as its file tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: String,
    /// Since when: seconds since 1970, UTC.
    pub since: String,
}

/// A held lock; dropping it releases it.
pub struct LockGuard {
    file: File,
    _lease: Option<Box<dyn Send + Sync>>,
}

/// Waits for a lock of the store itself, which nobody holds for longer than a moment.
pub(crate) fn wait_for(path: &Path) -> Result<LockGuard, StoreError> {
    let failed = |e| StoreError::io("lock", path, e);
    let file = open_file(path)?;
    flock(&file, FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
    Ok(LockGuard::from_file(file))
}

/// Opens the file of a lock. It is made when it is not there, and never removed: two holders could have one each.
pub(crate) fn open_file(path: &Path) -> Result<File, StoreError> {
    disk::open_lock(path)
}

impl LockGuard {
    /// Guards a file that is locked already.
    pub(crate) fn from_file(file: File) -> Self {
        Self { file, _lease: None }
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Closing is not enough: a child that is being forked holds the file until it becomes another program.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Store {
    /// Takes the lock of a fingerprint. While another holds it, `wait` is called again and again: quickly at first, later
    /// about ten times a second.
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
        // One file per first two digits would do for exclusion but make strangers wait; files are small and kept.
        let path = self.0.root.join("locks").join(fingerprint.to_string());
        let failed = |e| StoreError::io("lock", &path, e);
        let mut file = open_file(&path)?;
        let mut pause = Duration::from_millis(1);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    if wait(&read_holder(&mut file)).is_break() {
                        return Ok(None);
                    }
                    std::thread::sleep(pause);
                    pause = (2 * pause).min(Duration::from_millis(100));
                }
                Err(e) => return Err(failed(e.into())),
            }
        }
        // The text is for people who wait; the lock itself is the kernel's.
        let _ = disk::overwrite(&mut file, &path, Holder::own().to_text().as_bytes());
        let mut guard = LockGuard::from_file(file);
        if let Some(upstream) = self.upstream() {
            let Some(lease) = upstream.lease(fingerprint, wait)? else { return Ok(None) };
            guard._lease = Some(lease);
            self.fetch(upstream, fingerprint, true)?; // whoever held it before has left something there
        }
        Ok(Some(guard))
    }
}

impl Holder {
    /// This process, since now.
    pub fn own() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self { host: host.trim().to_owned(), pid: std::process::id().to_string(), since: since.to_string() }
    }

    /// A line each for host, process and time.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.host, self.pid, self.since)
    }

    /// Reads what [`Holder::to_text`] wrote; what is missing is unknown.
    pub fn from_text(text: &str) -> Self {
        let mut lines = text.lines().map(str::to_owned);
        let mut next = || lines.next().unwrap_or_else(|| "unknown".to_owned());
        Self { host: next(), pid: next(), since: next() }
    }
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    Holder::from_text(&text)
}
