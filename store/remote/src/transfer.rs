//! Moving answers between stores: only what is missing, artifacts before answers, so that a transfer that was cut off is
//! taken up where it was.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlsm_store::{Fingerprint, RunRecord, Store, StoreError, side_by_side};

use crate::Peer;

/// What is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every answer and run.
    All,
    /// What these runs reached, by their ids.
    Runs(BTreeSet<String>),
}

/// What a transfer did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Answers that were brought.
    pub manifests: usize,
    /// Bytes of artifacts that were brought.
    pub bytes: u64,
    /// Answers that were there already.
    pub kept: usize,
    /// Answers of which another realisation is there, which stays.
    pub differing: usize,
    /// Answers that could not be brought, since the peer's are no longer whole.
    pub broken: usize,
    /// Runs that were brought.
    pub runs: usize,
}

/// Copies answers of a store to a peer. `progress`: answers done, of how many.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use mlsm_remote::{Bucket, Selection, pull, push};
/// use mlsm_store::{Access, Request, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let here = Store::open(&folder.path().join("here"), Access::ReadWrite)?;
/// let request = Request { stage: "crop".to_owned(), version: 1, recipe: Vec::new(), inputs: Vec::new() };
/// let outputs = BTreeMap::from([("boxes".to_owned(), here.put(b"1 2 3 4")?)]);
/// here.commit(request.clone(), outputs, BTreeMap::new())?;
///
/// let bucket = Bucket::in_memory()?;
/// assert_eq!(push(&here, &bucket, &Selection::All, &|_, _| {})?.manifests, 1);
/// let there = Store::open(&folder.path().join("there"), Access::ReadWrite)?;
/// pull(&there, &bucket, &Selection::All, &|_, _| {})?;
/// assert!(there.lookup(&request.fingerprint())?.is_some());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`Peer`]; what was brought before stays.
pub fn push(
    store: &Store,
    peer: &dyn Peer,
    selection: &Selection,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Moved, StoreError> {
    let _place = peer.join()?;
    let records = chosen_runs(store.runs().list()?, selection);
    let theirs = peer.fingerprints()?;
    let wanted = fingerprints(&records, selection, || Ok(store.fingerprints()))?;
    let (done, wanted) = (AtomicUsize::new(0), Vec::from_iter(wanted));
    let each = side_by_side(&wanted, |fingerprint| {
        progress(done.fetch_add(1, Ordering::Relaxed), wanted.len());
        let mut moved = Moved::default();
        let Some(manifest) = store.lookup(fingerprint)? else { return Ok(moved) }; // collected since
        let is_there = theirs.contains(fingerprint);
        let standing = match is_there {
            true => peer.manifest(fingerprint)?,
            false => None,
        };
        let standing = match standing {
            Some(standing) => standing,
            None => {
                let (bytes, standing) = peer.send(store, &manifest)?;
                moved.bytes = bytes;
                standing
            }
        };
        moved.count(is_there, standing.outputs == manifest.outputs);
        Ok(moved)
    })?;
    let mut moved = Moved::sum(each);
    let known = peer.runs()?;
    for record in records.iter().filter(|record| !known.contains(&record.run_id)) {
        peer.keep_run(record)?;
        moved.runs += 1;
    }
    Ok(moved)
}

/// Brings answers of a peer into a store. `progress`: answers done, of how many.
///
/// # Errors
/// Those of [`Peer`]; what was brought before stays.
pub fn pull(
    store: &Store,
    peer: &dyn Peer,
    selection: &Selection,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Moved, StoreError> {
    let runs = side_by_side(&Vec::from_iter(peer.runs()?), |run_id| peer.run(run_id))?;
    let records = chosen_runs(runs.into_iter().flatten().collect(), selection);
    let ours = store.fingerprints();
    let wanted = fingerprints(&records, selection, || peer.fingerprints())?;
    let (done, wanted) = (AtomicUsize::new(0), Vec::from_iter(wanted));
    let each = side_by_side(&wanted, |fingerprint| {
        progress(done.fetch_add(1, Ordering::Relaxed), wanted.len());
        let mut moved = Moved::default();
        let Some(manifest) = peer.manifest(fingerprint)? else { return Ok(Moved { broken: 1, ..moved }) };
        let is_there = ours.contains(fingerprint);
        let standing = if is_there { store.lookup(fingerprint)? } else { None };
        let standing = match standing {
            Some(standing) => standing,
            None => {
                let Some(bytes) = peer.receive(store, &manifest)? else { return Ok(Moved { broken: 1, ..moved }) };
                moved.bytes = bytes;
                store.adopt(manifest.clone())?
            }
        };
        moved.count(is_there, standing.outputs == manifest.outputs);
        Ok(moved)
    })?;
    let mut moved = Moved::sum(each);
    let known: BTreeSet<String> = store.runs().list()?.into_iter().map(|run| run.run_id).collect();
    for record in records.iter().filter(|record| !known.contains(&record.run_id)) {
        store.runs().append(record)?;
        moved.runs += 1;
    }
    Ok(moved)
}

impl Moved {
    fn sum(each: Vec<Moved>) -> Self {
        each.into_iter().fold(Self::default(), |sum, one| Self {
            manifests: sum.manifests + one.manifests,
            bytes: sum.bytes + one.bytes,
            kept: sum.kept + one.kept,
            differing: sum.differing + one.differing,
            broken: sum.broken + one.broken,
            runs: sum.runs + one.runs,
        })
    }

    fn count(&mut self, was_there: bool, is_same: bool) {
        match (was_there, is_same) {
            (_, false) => self.differing += 1,
            (true, true) => self.kept += 1,
            (false, true) => self.manifests += 1,
        }
    }
}

fn chosen_runs(records: Vec<RunRecord>, selection: &Selection) -> Vec<RunRecord> {
    let is_chosen = |record: &RunRecord| match selection {
        Selection::All => true,
        Selection::Runs(ids) => ids.contains(&record.run_id),
    };
    records.into_iter().filter(is_chosen).collect()
}

fn fingerprints(
    records: &[RunRecord],
    selection: &Selection,
    all: impl FnOnce() -> Result<BTreeSet<Fingerprint>, StoreError>,
) -> Result<BTreeSet<Fingerprint>, StoreError> {
    match selection {
        Selection::All => all(),
        Selection::Runs(_) => Ok(records.iter().flat_map(RunRecord::reached).collect()),
    }
}
