//! What a collection would remove, by what was read of a place: nothing here looks at a disk.

use std::collections::{BTreeMap, BTreeSet};

use super::{ConfigurationCost, GcOptions, GcPlan, Inventory, Other, Stored, name};
use crate::runs::last_complete;
use crate::{Digest, Fingerprint, Manifest, RunRecord};

/// Stages whose artifacts came from outside and cannot be remade.
const IMPORTED: &[&str] = &["weights"];

impl Inventory {
    /// Of a place that has nothing besides: runs (oldest first), pinned runs, answers and artifacts.
    pub fn new(
        runs: Vec<RunRecord>,
        pinned: BTreeSet<String>,
        manifests: Vec<(Manifest, Stored)>,
        blobs: BTreeMap<Digest, Stored>,
    ) -> Self {
        let (pending, uses) = (BTreeSet::new(), BTreeMap::new());
        Self { runs, pinned, manifests, blobs, pending, uses, others: Vec::new(), outdated: BTreeSet::new() }
    }

    /// Plans a collection.
    pub fn plan(&self, options: &GcOptions) -> GcPlan {
        let mut kept = self.kept_runs(options);
        loop {
            let plan = self.plan_for(&kept, options);
            let is_large = options.max_bytes.is_some_and(|most| plan.kept_bytes > most);
            match self.oldest_droppable(&kept).filter(|_| is_large) {
                Some(run_id) => drop(kept.remove(&run_id)),
                None => return GcPlan { configurations: self.costs(&plan), ..plan },
            }
        }
    }

    fn plan_for(&self, kept: &BTreeSet<String>, options: &GcOptions) -> GcPlan {
        let named: BTreeSet<Fingerprint> = self.runs.iter().flat_map(RunRecord::reached).collect();
        let kept_runs = self.runs.iter().filter(|r| kept.contains(&r.run_id));
        let reached: BTreeSet<Fingerprint> = kept_runs.flat_map(RunRecord::reached).collect();
        let is_young = |stored: &Stored| stored.modified >= options.unrecorded_before;
        let mut plan = GcPlan::default();
        let (mut live, mut maker) = (BTreeSet::<Digest>::new(), BTreeMap::<Digest, &str>::new());
        let mut read = BTreeSet::<Digest>::new(); // by answers that are kept
        for (manifest, stored) in &self.manifests {
            let (fingerprint, stage) = (manifest.fingerprint, manifest.request.stage.as_str());
            let is_kept = reached.contains(&fingerprint)
                || self.pending.contains(&fingerprint)
                || IMPORTED.contains(&stage)
                || (!named.contains(&fingerprint) && is_young(stored));
            let outputs = manifest.outputs.values().map(|o| o.digest);
            if is_kept {
                live.extend(outputs);
                read.extend(manifest.request.inputs.iter().map(|input| input.digest));
            } else {
                maker.extend(outputs.map(|digest| (digest, stage)));
                plan.doomed_manifests.push(fingerprint);
                plan.bytes += stored.bytes;
            }
        }
        for (digest, stored) in &self.blobs {
            if live.contains(digest) || (!maker.contains_key(digest) && is_young(stored)) {
                plan.kept_bytes += stored.bytes;
                continue;
            }
            let stage = maker.get(digest).copied().unwrap_or("no manifest");
            *plan.by_stage.entry(stage.to_owned()).or_default() += stored.bytes;
            plan.bytes += stored.bytes;
            plan.doomed_blobs.push(*digest);
        }
        let known: BTreeSet<&str> = self.runs.iter().map(|run| run.run_id.as_str()).collect();
        for (path, other) in &self.others {
            let bytes = match other {
                Other::Tables { run_id, .. } | Other::Run { run_id, .. } | Other::Use { run_id, .. }
                    if kept.contains(run_id) =>
                {
                    continue;
                }
                Other::Run { run_id, .. } if !known.contains(run_id.as_str()) => continue, // damaged: `verify` says so
                Other::Dataset { photos, stored } if is_young(stored) || !photos.is_disjoint(&read) => continue,
                Other::Leftover { stored, is_done } if is_young(stored) && !is_done => continue,
                Other::Lock(stored) if is_young(stored) => continue,
                Other::Tables { bytes, .. } => {
                    bytes.iter().for_each(|(table, n)| *plan.by_table.entry(table.clone()).or_default() += n);
                    bytes.values().sum()
                }
                Other::Dataset { stored: Stored { bytes, .. }, .. }
                | Other::Leftover { stored: Stored { bytes, .. }, .. }
                | Other::Lock(Stored { bytes, .. })
                | Other::Run { bytes, .. }
                | Other::Use { bytes, .. } => {
                    *plan.by_folder.entry(path.parent().map(name).unwrap_or_default()).or_default() += bytes;
                    *bytes
                }
            };
            plan.bytes += bytes;
            plan.doomed_paths.push(path.clone());
        }
        plan.manifests = plan.doomed_manifests.len();
        plan.blobs = plan.doomed_blobs.len();
        plan.kept_runs = kept.iter().cloned().collect();
        let ids = self.runs.iter().map(|r| r.run_id.clone());
        plan.dropped_runs = ids.filter(|id| !kept.contains(id)).collect();
        plan.doomed_digests = self.outdated.clone();
        plan
    }

    /// Says of each configuration that ended well once what its next run would have to compute again.
    fn costs(&self, plan: &GcPlan) -> Vec<ConfigurationCost> {
        let doomed: BTreeSet<&Fingerprint> = plan.doomed_manifests.iter().collect();
        let mut last = BTreeMap::<(&str, Digest), &RunRecord>::new();
        for run in self.runs.iter().filter(|run| run.is_complete()) {
            last.insert((&run.config_name, run.config_digest), run);
        }
        let cost = |run: &RunRecord| {
            let mut recompute = BTreeMap::<String, usize>::new();
            for node in &run.nodes {
                let units = node.units.values().filter(|fingerprint| doomed.contains(fingerprint)).count();
                if units > 0 {
                    *recompute.entry(node.stage.clone()).or_default() += units;
                }
            }
            let RunRecord { config_name, config_digest, run_id, .. } = run.clone();
            ConfigurationCost { config_name, config_digest, run_id, used: self.used(run).to_owned(), recompute }
        };
        last.into_values().map(cost).collect()
    }

    /// Returns when a run was last used: it ended then, or a later one found all that it reached.
    fn used<'a>(&'a self, run: &'a RunRecord) -> &'a str {
        self.uses.get(&run.run_id).map_or(run.finished.as_str(), |used| used.max(&run.finished).as_str())
    }

    fn kept_runs(&self, options: &GcOptions) -> BTreeSet<String> {
        let mut kept = self.pinned.clone();
        let mut counts: BTreeMap<(&str, Digest, bool), usize> = BTreeMap::new();
        let mut latest_first: Vec<&RunRecord> = self.runs.iter().collect();
        latest_first.sort_by(|a, b| (self.used(b), &b.run_id).cmp(&(self.used(a), &a.run_id)));
        let last = last_complete(&self.runs);
        for run in latest_first {
            let count = counts.entry((&run.config_name, run.config_digest, run.is_complete())).or_default();
            let is_recent = options.runs_before.as_ref().is_some_and(|before| run.finished >= *before);
            let is_unused = options.unused_before.as_ref().is_some_and(|before| self.used(run) < before.as_str());
            let is_last = last.contains(run.run_id.as_str());
            if (*count < options.keep_runs.max(1) && !is_unused) || is_recent || is_last {
                kept.insert(run.run_id.clone());
            }
            *count += 1;
        }
        kept
    }

    /// The kept run that was used longest ago and is neither pinned, nor current, nor the last complete one of a name.
    fn oldest_droppable(&self, kept: &BTreeSet<String>) -> Option<String> {
        let last = last_complete(&self.runs);
        let is_droppable = |run: &&RunRecord| {
            let id = &run.run_id;
            kept.contains(id) && !self.pinned.contains(id) && !last.contains(id.as_str())
        };
        let oldest = self.runs.iter().filter(is_droppable).min_by_key(|run| (self.used(run), &run.run_id));
        oldest.map(|run| run.run_id.clone())
    }
}
