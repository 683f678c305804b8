//! How far a graph is, asked of the store again and again: what is there, and who computes what. The graph is not made anew,
//! no photo is looked at, and what was found once is not asked for again.

use std::collections::BTreeSet;

use mlsm_store::{Fingerprint, Holder, Store};

use crate::plan::{Answers, request};
use crate::{Action, EngineError, Graph, InputSource, Unit};

/// What is known of a graph.
pub struct Survey<'a> {
    graph: &'a Graph,
    answers: Answers,
    /// The fingerprints of the units that are not there, as far as their inputs are known.
    missing: Vec<Vec<Option<Fingerprint>>>,
}

/// How far a node is.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeProgress {
    /// The node's id.
    pub node: String,
    /// The stage's name.
    pub stage: &'static str,
    /// What a run would do with it, as a plan says.
    pub action: Action,
    /// Units that are there.
    pub done: usize,
    /// All its units.
    pub all: usize,
    /// Units that are computed now: the key of each and by whom.
    pub working: Vec<(String, Holder)>,
}

impl<'a> Survey<'a> {
    /// Knows nothing yet.
    pub fn new(graph: &'a Graph) -> Self {
        let lengths = || graph.nodes().iter().map(|node| node.units.len());
        Self {
            graph,
            answers: lengths().map(|units| vec![None; units]).collect(),
            missing: lengths().map(|units| vec![None; units]).collect(),
        }
    }

    /// Asks the store for what was not there before. Takes no lock and makes nothing.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the store cannot be read.
    pub fn look(&mut self, store: &Store) -> Result<Vec<NodeProgress>, EngineError> {
        let glance = store.glance()?;
        for (n, node) in self.graph.nodes().iter().enumerate() {
            for (u, unit) in node.units.iter().enumerate() {
                if self.answers[n][u].is_some() {
                    continue;
                }
                let known = match self.missing[n][u] {
                    Some(fingerprint) => Some(fingerprint),
                    None => request(unit, &self.answers)?.map(|request| request.fingerprint()),
                };
                let found = known.map(|fingerprint| glance.find(&fingerprint)).transpose()?.flatten();
                self.missing[n][u] = known.filter(|_| found.is_none());
                self.answers[n][u] = found;
            }
        }
        self.progress(store)
    }

    fn progress(&self, store: &Store) -> Result<Vec<NodeProgress>, EngineError> {
        let wanted: BTreeSet<Fingerprint> = self.missing.iter().flatten().flatten().copied().collect();
        let holders = store.holders(&wanted)?;
        let node = |(n, node): (usize, &crate::Node)| {
            let (answers, missing) = (&self.answers[n], &self.missing[n]);
            let done = answers.iter().filter(|answer| answer.is_some()).count();
            let holder = |(unit, fingerprint): (&Unit, &Option<Fingerprint>)| {
                Some((unit.key(), holders.get(fingerprint.as_ref()?)?.clone()))
            };
            let is_stale = |(unit, fingerprint): (&Unit, &Option<Fingerprint>)| fingerprint.is_some() || waits(unit);
            let units = || node.units.iter().zip(missing);
            let action = match (done == node.units.len(), units().any(is_stale)) {
                (true, _) => Action::Reuse,
                (false, true) => Action::Execute,
                (false, false) => Action::Unknown,
            };
            let working = units().filter_map(holder).collect();
            NodeProgress { node: node.id.clone(), stage: node.stage, action, done, all: node.units.len(), working }
        };
        Ok(self.graph.nodes().iter().enumerate().map(node).collect())
    }
}

/// Tells whether a unit reads what does not exist yet, and what no other unit makes.
fn waits(unit: &Unit) -> bool {
    unit.inputs.iter().any(|input| matches!(input.source, InputSource::Pending(_)))
}
