//! Who computes what at this moment, for people who look.
//!
//! Whoever looks must not take the lock of a unit, not even shared and for a moment: a run that was told not to wait would
//! give up for it. So each process that computes holds a lock of its own, `locks/at-work-…`, and the texts of its other locks
//! name that one. Nobody else ever wants it: who can share it for a moment knows that its process is dead, and who cannot,
//! that it lives. That holds wherever `flock` does, between machines and containers as well. `/proc/locks` shows nothing of
//! those, and `F_OFD_GETLK` nothing of `flock` where the file system tells the two apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

use crate::lock::{self, Mode};
use crate::{Digest, Fingerprint, Holder, LockGuard, Store, StoreError, disk};

/// What the names of these files begin with.
pub(crate) const PREFIX: &str = "at-work-";

/// The line of another lock that names one.
const LINE: &str = "by ";

/// The sign that a process which computes is alive; dropping it takes it away.
pub(crate) struct AtWork {
    name: String,
    path: PathBuf,
    _lock: LockGuard,
}

impl AtWork {
    /// Puts the sign up; `None` when the folder refuses, which costs only what people see.
    fn begin(locks: &Path) -> Option<Self> {
        static SIGNS: AtomicU64 = AtomicU64::new(0);
        #[expect(clippy::disallowed_methods, reason = "a name that no other sign has")]
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let unique = format!("{}{moment} {}", Holder::own().to_text(), SIGNS.fetch_add(1, Ordering::Relaxed));
        let name = format!("{PREFIX}{}", Digest::of(unique.as_bytes()).short());
        let path = locks.join(&name);
        // Who looks at this very moment has it for no longer than a moment.
        let lock = lock::take(&path, Mode::Alone, &mut |_| ControlFlow::Continue(())).ok()??;
        Some(Self { name, path, _lock: lock })
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let _ = disk::remove_file(&self.path);
    }
}

impl Store {
    /// Says in the file of a lock who holds it, and by which sign it is seen that the holder lives.
    pub(crate) fn text_of_lock(&self) -> String {
        let sign = self.0.at_work.get_or_init(|| AtWork::begin(&self.root().join("locks")));
        let line = sign.iter().map(|sign| format!("{LINE}{}\n", sign.name)).collect::<String>();
        Holder::own().to_text() + &line
    }

    /// Returns who computes the answers to requests at this moment, as far as they have named themselves; the dead are left
    /// out. Takes no lock that anybody wants, and makes nothing.
    ///
    /// # Errors
    /// Those of [`crate::Upstream::holders`] where the store is a cache.
    pub fn holders(&self, wanted: &BTreeSet<Fingerprint>) -> Result<BTreeMap<Fingerprint, Holder>, StoreError> {
        match self.upstream() {
            Some(upstream) => upstream.holders(wanted),
            None => Ok(holders_in(&self.root().join("locks"), wanted)),
        }
    }
}

/// A folder that cannot be read holds no locks.
fn holders_in(locks: &Path, wanted: &BTreeSet<Fingerprint>) -> BTreeMap<Fingerprint, Holder> {
    let names =
        fs::read_dir(locks).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let held =
        names.filter_map(|name| name.parse::<Fingerprint>().ok()).filter(|fingerprint| wanted.contains(fingerprint));
    let mut lives = BTreeMap::<String, bool>::new();
    let mut found = BTreeMap::new();
    for fingerprint in held {
        let Ok(text) = fs::read_to_string(locks.join(fingerprint.to_string())) else { continue };
        let Some(sign) = text.lines().find_map(|line| line.strip_prefix(LINE)).filter(|name| is_sign(name)) else {
            continue;
        };
        if *lives.entry(sign.to_owned()).or_insert_with(|| is_held(&locks.join(sign))) {
            found.insert(fingerprint, Holder::from_text(&text));
        }
    }
    found
}

/// A text may hold anything, and a path is made of it.
fn is_sign(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            let _ = flock(&file, FlockOperation::Unlock);
            false
        }
        Err(error) => error == rustix::io::Errno::WOULDBLOCK,
    }
}
