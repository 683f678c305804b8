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
pub(crate) const FREE: &[u8] = b"free\n";

/// The lease of collections.
const COLLECT: &str = "locks/collect";
/// Where those who write have an object each.
const WRITERS: &str = "writers";

/// A held lease, or a place among those who write; dropping it gives it up.
pub(crate) struct Lease {
    stop: Option<Sender<()>>,
    renewal: Option<JoinHandle<()>>,
    term: Term,
}

/// Until when nobody can have taken a lease over. Clones are of the same lease.
#[derive(Clone)]
pub(crate) struct Term {
    renewed: Arc<Mutex<Instant>>,
    lasts: Duration,
}

impl Term {
    fn new(lasts: Duration) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a lease ends by time")]
        Self { renewed: Arc::new(Mutex::new(Instant::now())), lasts }
    }

    fn renew(&self, begun: Instant) {
        *self.renewed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = begun;
    }

    /// Tells whether nobody can have taken it over yet.
    pub(crate) fn is_running(&self) -> bool {
        self.renewed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).elapsed() < self.lasts
    }
}

/// How long giving a lease up may take: a service that does not answer lets it run out.
const GIVEN_UP: Duration = Duration::from_secs(1);

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(renewal) = self.renewal.take() else { return };
        #[expect(clippy::disallowed_methods, reason = "a lease ends by time")]
        let begun = Instant::now();
        while !renewal.is_finished() && begun.elapsed() < GIVEN_UP {
            std::thread::sleep(Duration::from_millis(2));
        }
        if renewal.is_finished() {
            let _ = renewal.join();
        }
    }
}

impl Lease {
    /// Tells whether nobody can have taken it over yet.
    pub(crate) fn is_held(&self) -> bool {
        self.term.is_running()
    }
}

/// Watches an object that its holder renews.
#[derive(Default)]
struct Watch(Option<(UpdateVersion, Instant)>);

impl Watch {
    /// Tells whether the object has stayed as it is for longer than a lease lasts.
    fn is_old(&mut self, version: &UpdateVersion, lease: Duration) -> bool {
        match &self.0 {
            Some((same, since)) if same == version => since.elapsed() > lease,
            _ => {
                #[expect(clippy::disallowed_methods, reason = "a lease ends by time")]
                let now = Instant::now();
                self.0 = Some((version.clone(), now));
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
        bucket.go_on()?;
        let own = text(0);
        if let Some(version) = put(bucket, &place, own.clone(), PutMode::Create)? {
            return Ok(Some(hold(bucket, place, own, version, true)));
        }
        let Some((bytes, version)) = bucket.get(&place)? else { continue };
        if bytes == FREE || watch.is_old(&version, bucket.0.lease) {
            if let Some(version) = put(bucket, &place, own.clone(), PutMode::Update(version))? {
                return Ok(Some(hold(bucket, place, own, version, true)));
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
        bucket.go_on()?;
        let own = text(0);
        let place = bucket.place(&format!("{WRITERS}/{}", Digest::of(&own).short()));
        if let Some(version) = put(bucket, &place, own.clone(), PutMode::Create)? {
            let presence = hold(bucket, place, own, version, false);
            match bucket.get(&bucket.place(COLLECT))? {
                Some((bytes, version)) if bytes != FREE && !watch.is_old(&version, bucket.0.lease) => {}
                _ => {
                    let mut own = bucket.0.presence.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    *own = Some(presence.term.clone());
                    return Ok(presence);
                }
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
        bucket.go_on()?;
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
    match bucket.ask(bucket.0.objects.put_opts(place, PutPayload::from(bytes), mode.into())) {
        Ok(put) => Ok(Some(UpdateVersion::from(put))),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(bucket.failed("write", place, &error)),
    }
}

/// Renews the object from a thread of its own until the lease is dropped, then gives it up: one that others wait for is
/// kept and says so.
fn hold(bucket: &Bucket, place: Path, own: Vec<u8>, version: UpdateVersion, is_kept: bool) -> Lease {
    let (stop, stopped) = channel::<()>();
    let (bucket, term) = (bucket.clone(), Term::new(bucket.0.lease));
    let mut renewal = Renewal { bucket, place, version, tried: vec![own], is_kept, is_away: false, term: term.clone() };
    let renewal = std::thread::spawn(move || {
        for renewals in 1.. {
            let is_over = stopped.recv_timeout(renewal.term.lasts / 3) != Err(RecvTimeoutError::Timeout);
            if is_over {
                renewal.give_up();
                return;
            }
            if renewal.renew(text(renewals)).is_break() {
                return;
            }
        }
    });
    Lease { stop: Some(stop), renewal: Some(renewal), term }
}

/// What renews an object.
struct Renewal {
    bucket: Bucket,
    place: Path,
    version: UpdateVersion,
    /// What the object may hold that is ours: what was put last, and what was tried since, whose answers may be lost.
    tried: Vec<Vec<u8>>,
    is_kept: bool,
    /// Whether others may have taken this machine for dead, and it waits for their collection to end.
    is_away: bool,
    term: Term,
}

impl Renewal {
    /// Puts the next text. Breaks off when the object is another's.
    fn renew(&mut self, text: Vec<u8>) -> ControlFlow<()> {
        #[expect(clippy::disallowed_methods, reason = "a lease ends by time")]
        let begun = Instant::now();
        self.tried.push(text.clone());
        match self.put(text.clone()) {
            Ok(Some(version)) => self.succeed(begun, version, text),
            Ok(None) => return self.find_again(begun, &text),
            Err(_) => {} // the next try may reach the service; what is offered is safe in any case
        }
        ControlFlow::Continue(())
    }

    fn put(&self, text: Vec<u8>) -> Result<Option<UpdateVersion>, StoreError> {
        put(&self.bucket, &self.place, text, PutMode::Update(self.version.clone()))
    }

    fn succeed(&mut self, begun: Instant, version: UpdateVersion, text: Vec<u8>) {
        self.version = version;
        self.tried = vec![text];
        // After its own object is there again: a collection that begins now sees it.
        self.is_away = self.is_away && self.is_collected();
        if !self.is_away {
            self.term.renew(begun);
        }
    }

    fn is_collected(&self) -> bool {
        match self.bucket.get(&self.bucket.place(COLLECT)) {
            Ok(Some((bytes, _))) => bytes != FREE,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Looks at an object that is not as it was left. The answer to an earlier renewal may be lost, so that the object is
    /// ours all the same; a place among those who write, which others may have taken for dead, is taken again, unless a
    /// collection goes on.
    fn find_again(&mut self, begun: Instant, text: &[u8]) -> ControlFlow<()> {
        match self.bucket.get(&self.place) {
            Ok(Some((bytes, version))) if self.tried.iter().any(|tried| *tried == bytes) => {
                self.succeed(begun, version, bytes.to_vec());
            }
            Ok(_) if self.is_kept => return ControlFlow::Break(()), // it was taken over: nothing here is ours any more
            Ok(_) => {
                self.is_away = true;
                if let Ok(Some(version)) = put(&self.bucket, &self.place, text.to_vec(), PutMode::Create) {
                    self.succeed(begun, version, text.to_vec());
                }
            }
            Err(_) => {}
        }
        ControlFlow::Continue(())
    }

    /// Also when stopping was asked for.
    fn give_up(&self) {
        let Self { bucket, place, version, is_kept, .. } = self;
        if *is_kept {
            let mode = PutMode::Update(version.clone());
            drop(bucket.wait(bucket.0.objects.put_opts(place, PutPayload::from_static(FREE), mode.into())));
        } else {
            drop(bucket.delete(vec![place.clone()])); // what is left counts as dead soon
        }
    }
}
