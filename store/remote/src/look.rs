//! Who holds leases, for people who look.
//!
//! Whoever waits for a lease sees how long it stays as it is, and compares no clocks. A single look cannot wait: it goes by
//! the service's time of the last renewal and this machine's clock, and is wrong where the two differ by more than a lease
//! lasts. Who looks again goes by what has changed in between. Nothing is decided by either.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use mlsm_store::{Fingerprint, Holder, StoreError};
use object_store::ObjectMeta;

use crate::Bucket;
use crate::lease::FREE;

/// A lease as it was when it was looked at last.
pub(crate) struct Seen {
    version: Option<String>,
    modified: SystemTime,
    /// Since when it has stayed as it is.
    since: Instant,
    holder: Holder,
    lives: bool,
}

impl Seen {
    fn is_same(&self, meta: &ObjectMeta) -> bool {
        self.version == meta.e_tag && self.modified == SystemTime::from(meta.last_modified)
    }

    fn is_held(&self, lease: Duration) -> bool {
        self.lives && self.since.elapsed() <= lease
    }
}

/// How much older than it is an object may look: some services tell the second alone.
const TICK: Duration = Duration::from_secs(1);

/// Returns who holds the leases of requests.
pub(crate) fn holders(
    bucket: &Bucket,
    wanted: &BTreeSet<Fingerprint>,
) -> Result<BTreeMap<Fingerprint, Holder>, StoreError> {
    let mut watched = bucket.0.watched.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut held = BTreeMap::new();
    for meta in bucket.list("locks")?.into_iter().filter(|meta| meta.size > FREE.len() as u64) {
        let name = meta.location.filename().unwrap_or_default();
        let Some(fingerprint) = name.parse::<Fingerprint>().ok().filter(|found| wanted.contains(found)) else {
            continue;
        };
        let place = meta.location.clone();
        if !watched.get(&place).is_some_and(|seen| seen.is_same(&meta)) {
            match read(bucket, meta, watched.contains_key(&place))? {
                Some(seen) => drop(watched.insert(place.clone(), seen)),
                None => drop(watched.remove(&place)), // it was given up meanwhile
            }
        }
        if let Some(seen) = watched.get(&place).filter(|seen| seen.is_held(bucket.0.lease)) {
            held.insert(fingerprint, seen.holder.clone());
        }
    }
    Ok(held)
}

/// Reads a lease that is new or has changed. `has_changed`: somebody has put it since it was looked at last.
fn read(bucket: &Bucket, meta: ObjectMeta, has_changed: bool) -> Result<Option<Seen>, StoreError> {
    let Some((bytes, _)) = bucket.get(&meta.location)? else { return Ok(None) };
    if bytes == FREE {
        return Ok(None);
    }
    let modified = SystemTime::from(meta.last_modified);
    let age = modified.elapsed().unwrap_or_default(); // a time to come is no age
    let holder = Holder::from_text(&String::from_utf8_lossy(&bytes));
    #[expect(clippy::disallowed_methods, reason = "a lease ends by time")]
    let since = Instant::now();
    let lives = holder.is_named() && (has_changed || age <= bucket.0.lease + TICK);
    Ok(Some(Seen { version: meta.e_tag, modified, since, holder, lives }))
}
