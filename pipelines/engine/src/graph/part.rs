//! Parts of a graph, and the order in which units can be computed by many machines.

use std::collections::{BTreeMap, BTreeSet};

use mlsm_store::Digest;

use super::{Graph, GraphError, InputSource, NodeIndex, Unit, UnitRef};

impl Graph {
    /// Returns a unit by its position.
    pub fn unit(&self, at: UnitRef) -> &Unit {
        &self.nodes[at.node.0].units[at.unit]
    }

    /// Returns the position of a unit by the id of its node and its own key.
    pub fn find(&self, node: &str, unit: &str) -> Option<UnitRef> {
        let at = self.nodes.iter().position(|n| n.id == node)?;
        let unit = self.nodes[at].units.iter().position(|u| u.key() == unit)?;
        Some(UnitRef { node: NodeIndex(at), unit })
    }

    /// Returns a graph of some of the units. What they read of the others is known: `known` returns its digest.
    ///
    /// # Errors
    /// What `known` returns, and [`GraphError`] when a unit no longer fits.
    pub fn part<E: From<GraphError>>(
        &self,
        is_kept: impl Fn(UnitRef) -> bool,
        mut known: impl FnMut(UnitRef, &'static str) -> Result<Digest, E>,
    ) -> Result<Self, E> {
        let mut part = Self::new();
        let mut moved = BTreeMap::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let mut begun = None;
            for (u, unit) in node.units.iter().enumerate() {
                if !is_kept(UnitRef { node: NodeIndex(n), unit: u }) {
                    continue;
                }
                let mut unit = unit.clone();
                for input in &mut unit.inputs {
                    let InputSource::Output(from, output) = &input.source else { continue };
                    input.source = match moved.get(&(from.node, from.unit)) {
                        Some(from) => InputSource::Output(*from, output),
                        None => InputSource::Known(known(*from, output)?),
                    };
                }
                let index = match begun {
                    Some(index) => index,
                    None => *begun.insert(part.begin(node.id.clone(), node.stage)?),
                };
                moved.insert((NodeIndex(n), u), part.add(index, unit)?);
            }
        }
        Ok(part)
    }

    /// Returns the positions of all units that some need, themselves included.
    pub fn needed_for(&self, units: &[UnitRef]) -> BTreeSet<(NodeIndex, usize)> {
        self.below(units.iter().map(|at| (at.node, at.unit)).collect())
    }

    /// Returns the units that a node rests on, its own included, as positions of nodes and of units in them.
    pub fn units_below(&self, id: &str) -> BTreeSet<(NodeIndex, usize)> {
        let own = |n: usize| (0..self.nodes[n].units.len()).map(move |u| (NodeIndex(n), u));
        let found = self.nodes.iter().position(|node| node.id == id);
        self.below(found.into_iter().flat_map(own).collect())
    }

    /// Returns the units that some rest on, themselves included.
    fn below(&self, mut pending: Vec<(NodeIndex, usize)>) -> BTreeSet<(NodeIndex, usize)> {
        let mut below: BTreeSet<_> = pending.iter().copied().collect();
        while let Some((node, unit)) = pending.pop() {
            let found = reads(&self.nodes[node.0].units[unit]).map(|from| (from.node, from.unit));
            pending.extend(found.filter(|from| below.insert(*from)));
        }
        below
    }

    /// Returns the level of every unit, by node: 0 for one whose inputs all exist, else one more than the highest level of a
    /// unit that it reads and that `is_there` does not know. Units of one level do not read each other.
    pub fn levels(&self, is_there: impl Fn(UnitRef) -> bool) -> Vec<Vec<usize>> {
        let mut levels: Vec<Vec<usize>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            levels.push(Vec::with_capacity(node.units.len()));
            for unit in &node.units {
                let of = |from: UnitRef| if is_there(from) { 0 } else { levels[from.node.0][from.unit] + 1 };
                let level = reads(unit).map(of).max().unwrap_or(0);
                levels.last_mut().expect("the node was begun").push(level);
            }
        }
        levels
    }
}

/// Returns the units that a unit reads.
fn reads(unit: &Unit) -> impl Iterator<Item = UnitRef> {
    unit.inputs.iter().filter_map(|input| match &input.source {
        InputSource::Output(from, _) => Some(*from),
        InputSource::Known(_) | InputSource::Pending(_) => None,
    })
}
