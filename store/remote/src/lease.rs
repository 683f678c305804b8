//! Exclusion between machines: an object that is put by one alone, renewed as long as its holder lives, and taken over when
//! it was not renewed for a while.
//!
//! Clocks are not compared: whoever waits sees how long an object stays as it is. A holder that was paused for longer than
//! its lease may compute what another computes as well; the manifest's conditional put lets one of them win.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mlsm_store::{Digest, Fingerprint, Holder, StoreError};
use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode, PutPayload, UpdateVersion};

use crate::Bucket;

/// What an object holds that was given up.
const FREE: &[u8] = b"free\n";

/// The lease of collections.
const COLLECT: &str = "locks/collect";
/// Where those who write have an object each.
const WRITERS: &str = "writers";

/// A held lease, or a place among those who write; dropping it gives it up.
pub(crate) struct Lease {
    stop: Option<Sender<()>>,
    renewal: Option<JoinHandle<()>>,
    renewed: Arc<Mutex<Instant>>,
    lasts: Duration,
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.renewal.take().map(JoinHandle::join);
    }
}

impl Lease {
    /// Tells whether nobody can have taken it over yet.
    pub(crate) fn is_held(&self) -> bool {
        self.renewed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).elapsed() < self.lasts
    }
}

/// Watches an object that its holder renews.
#[derive(Default)]
struct Watch(Option<(Option<String>, Instant)>);

impl Watch {
    /// Tells whether the object has stayed as it is for longer than a lease lasts.
    fn is_old(&mut self, version: &Option<String>, lease: Duration) -> bool {
        match &self.0 {
            Some((same, since)) if same == version => since.elapsed() > lease,
            _ => {
                self.0 = Some((version.clone(), Instant::now()));
                false
            }
        }
    }
}

/// Takes the lease of a fingerprint. While another holds it, `wait` is called again and again.
pub(crate) fn take(
    bucket: &Bucket,
    fingerprint: &Fingerprint,
    wait: &mut dyn FnMut(&Holder) -> ControlFlow<()>,
) -> Result<Option<Lease>, StoreError> {
    take_at(bucket, bucket.place(&format!("locks/{fingerprint}")), wait)
}

fn take_at(
    bucket: &Bucket,
    place: Path,
    wait: &mut dyn FnMut(&Holder) -> ControlFlow<()>,
) -> Result<Option<Lease>, StoreError> {
    let mut watch = Watch::default();
    let mut pause = Duration::from_millis(20);
    loop {
        if let Some(version) = put(bucket, &place, text(0), PutMode::Create)? {
            return Ok(Some(hold(bucket, place, version, true)));
        }
        let Some((bytes, version)) = bucket.get(&place)? else { continue };
        if bytes == FREE || watch.is_old(&version, bucket.0.lease) {
            let mode = PutMode::Update(UpdateVersion { e_tag: version, version: None });
            if let Some(version) = put(bucket, &place, text(0), mode)? {
                return Ok(Some(hold(bucket, place, version, true)));
            }
            continue; // another one was faster
        }
        if wait(&Holder::from_text(&String::from_utf8_lossy(&bytes))).is_break() {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_secs(1));
    }
}

/// Takes a place among those who write; waits while a collection goes on.
///
/// Both sides put their object first and look for the other's then, so that at least one of them sees the other.
pub(crate) fn join(bucket: &Bucket) -> Result<Lease, StoreError> {
    let mut watch = Watch::default();
    loop {
        let own = text(0);
        let place = bucket.place(&format!("{WRITERS}/{}", Digest::of(&own).short()));
        if let Some(version) = put(bucket, &place, own, PutMode::Create)? {
            let presence = hold(bucket, place, version, false);
            match bucket.get(&bucket.place(COLLECT))? {
                Some((bytes, version)) if bytes != FREE && !watch.is_old(&version, bucket.0.lease) => {}
                _ => return Ok(presence),
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Takes the lease of collections and waits until all who write have left or died; `None` when `wait` breaks off.
pub(crate) fn alone(bucket: &Bucket, wait: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Option<Lease>, StoreError> {
    let Some(lease) = take_at(bucket, bucket.place(COLLECT), &mut |_| wait())? else { return Ok(None) };
    let mut watches = BTreeMap::<Path, Watch>::new();
    loop {
        let mut is_alone = true;
        for place in bucket.list(WRITERS)? {
            let Some((_, version)) = bucket.get(&place.location)? else { continue };
            let watch = watches.entry(place.location.clone()).or_default();
            match watch.is_old(&version, bucket.0.lease) {
                true => bucket.delete(vec![place.location])?, // its writer died
                false => is_alone = false,
            }
        }
        if is_alone {
            return Ok(Some(lease));
        }
        if wait().is_break() {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The holder, and a number that makes each renewal another object.
fn text(renewals: u64) -> Vec<u8> {
    let nonce = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    format!("{}{renewals} {nonce}\n", Holder::own().to_text()).into_bytes()
}

/// Puts the object; returns its version, or nothing when the condition did not hold.
fn put(bucket: &Bucket, place: &Path, bytes: Vec<u8>, mode: PutMode) -> Result<Option<UpdateVersion>, StoreError> {
    match bucket.wait(bucket.0.objects.put_opts(place, PutPayload::from(bytes), mode.into())) {
        Ok(put) => Ok(Some(UpdateVersion::from(put))),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(bucket.failed("write", place, &error)),
    }
}

/// Renews the object from a thread of its own until the lease is dropped, then gives it up: one that others wait for is
/// kept and says so.
fn hold(bucket: &Bucket, place: Path, mut version: UpdateVersion, is_kept: bool) -> Lease {
    let (stop, stopped) = channel::<()>();
    let (bucket, lasts) = (bucket.clone(), bucket.0.lease);
    let renewed = Arc::new(Mutex::new(Instant::now()));
    let last = renewed.clone();
    let renewal = std::thread::spawn(move || {
        for renewals in 1.. {
            let is_over = stopped.recv_timeout(lasts / 3) != Err(RecvTimeoutError::Timeout);
            if is_over && !is_kept {
                let _ = bucket.delete(vec![place]); // what is left counts as dead soon
                return;
            }
            let (bytes, begun) = (if is_over { FREE.to_vec() } else { text(renewals) }, Instant::now());
            match put(&bucket, &place, bytes, PutMode::Update(version.clone())) {
                Ok(Some(next)) => {
                    version = next;
                    *last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = begun;
                }
                Ok(None) => return, // it was taken over: nothing here is ours any more
                Err(_) => {}        // the next try may reach the service; what is offered is safe in any case
            }
            if is_over {
                return;
            }
        }
    });
    Lease { stop: Some(stop), renewal: Some(renewal), renewed, lasts }
}
