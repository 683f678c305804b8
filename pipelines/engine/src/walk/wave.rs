//! What can be computed of a node now.

use std::collections::BTreeSet;

use mlsm_store::Answer;

use super::Walker;
use crate::plan::{UnitPlan, request};
use crate::queue::Job;
use crate::{Action, EngineError};

/// The units of a node, by what can be done with them.
pub(super) struct Wave {
    pub missing: Vec<Job>,
    /// Units whose inputs are made by units of the same node that must be computed first.
    pub blocked: usize,
    pub plans: Vec<UnitPlan>,
    /// An artifact that was made on a device of another kind than is accepted.
    pub foreign: Option<String>,
}

impl Walker<'_> {
    /// Looks every unit up whose inputs are known; units that read others of this node may have to wait.
    pub(super) fn wave(&mut self, index: usize, executed: &BTreeSet<usize>) -> Result<Wave, EngineError> {
        let node = self.node(index);
        let is_forced = self.bench.is_forced(node);
        let mut wave = Wave { missing: Vec::new(), blocked: 0, plans: Vec::new(), foreign: None };
        let known = node.units.iter().filter_map(|unit| request(unit, &self.answers).ok()?);
        self.bench.store.bring(known.map(|request| request.fingerprint()))?;
        for (i, unit) in node.units.iter().enumerate() {
            let Some(request) = request(unit, &self.answers)? else {
                wave.blocked += 1;
                self.answers[index][i] = None;
                continue;
            };
            let fingerprint = request.fingerprint();
            let found = self.bench.store.answer(&fingerprint)?;
            if let Some(foreign) = found.as_ref().and_then(|m| self.foreign_device(m)) {
                wave.foreign.get_or_insert_with(|| format!("{} {} was made on {foreign}", node.id, unit.key()));
            }
            let is_wanted = found.is_none() || (is_forced && !executed.contains(&i));
            let reason = match (&found, is_wanted) {
                (Some(_), true) => "forced".to_owned(),
                (_, true) => self.history.reason(&node.id, &unit.key(), &request),
                (_, false) => String::new(),
            };
            let action = if is_wanted { Action::Execute } else { Action::Reuse };
            let (key, fingerprint) = (unit.key(), Some(fingerprint));
            wave.plans.push(UnitPlan { key, action, request: None, fingerprint, reason });
            self.answers[index][i] = if is_wanted { None } else { found };
            if is_wanted {
                wave.missing.push(Job::new((index, i), request, unit.task.threads(), &unit.shard));
            }
        }
        Ok(wave)
    }

    /// Returns the device of an artifact whose kind is not accepted.
    fn foreign_device(&self, answer: &Answer) -> Option<String> {
        let (only, device) = (self.bench.options.only_from.as_ref()?, answer.provenance.get("device")?);
        (device.split(':').next() != Some(only)).then(|| device.clone())
    }
}
