//! Exclusion between machines: an object that is put by one alone, renewed as long as its holder lives, and taken over when
//! it was not renewed for a while.
//!
//! Clocks are not compared: whoever waits sees how long an object stays as it is. A holder that was paused for longer than
//! its lease may compute what another computes as well; the manifest's conditional put lets one of them win.

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mlsm_store::{Fingerprint, Holder, StoreError};
use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode, PutPayload, UpdateVersion};

use crate::Bucket;

/// What an object holds that was given up.
const FREE: &[u8] = b"free\n";

/// A held lease; dropping it gives it up.
pub(crate) struct Lease {
    stop: Option<Sender<()>>,
    renewal: Option<JoinHandle<()>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.renewal.take().map(JoinHandle::join);
    }
}

/// Takes the lease of a fingerprint. While another holds it, `wait` is called again and again.
pub(crate) fn take(
    bucket: &Bucket,
    fingerprint: &Fingerprint,
    wait: &mut dyn FnMut(&Holder) -> ControlFlow<()>,
) -> Result<Option<Lease>, StoreError> {
    let place = bucket.place(&format!("locks/{fingerprint}"));
    let mut seen: Option<(Option<String>, Instant)> = None;
    let mut pause = Duration::from_millis(20);
    loop {
        if let Some(version) = put(bucket, &place, text(0), PutMode::Create)? {
            return Ok(Some(hold(bucket, place, version)));
        }
        let Some((bytes, version)) = bucket.get(&place)? else { continue };
        let is_old = match &seen {
            Some((same, since)) if *same == version => since.elapsed() > bucket.0.lease,
            _ => {
                seen = Some((version.clone(), Instant::now()));
                false
            }
        };
        if bytes == FREE || is_old {
            let mode = PutMode::Update(UpdateVersion { e_tag: version, version: None });
            if let Some(version) = put(bucket, &place, text(0), mode)? {
                return Ok(Some(hold(bucket, place, version)));
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

/// Renews the object from a thread of its own until the lease is dropped, then gives it up.
fn hold(bucket: &Bucket, place: Path, mut version: UpdateVersion) -> Lease {
    let (stop, stopped) = channel::<()>();
    let bucket = bucket.clone();
    let renewal = std::thread::spawn(move || {
        for renewals in 1.. {
            let is_over = stopped.recv_timeout(bucket.0.lease / 3) != Err(RecvTimeoutError::Timeout);
            let bytes = if is_over { FREE.to_vec() } else { text(renewals) };
            match put(&bucket, &place, bytes, PutMode::Update(version.clone())) {
                Ok(Some(renewed)) => version = renewed,
                Ok(None) => return, // it was taken over: nothing here is ours any more
                Err(_) => {}        // the next try may reach the service; what is offered is safe in any case
            }
            if is_over {
                return;
            }
        }
    });
    Lease { stop: Some(stop), renewal: Some(renewal) }
}
