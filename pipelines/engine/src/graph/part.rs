//! Parts of a graph: some units with all that they need, and the order in which units can be computed by many machines.

use std::collections::BTreeMap;

use super::{Graph, InputSource, Node, NodeIndex, Unit, UnitRef};

impl Graph {
    /// Returns a unit by the id of its node and its own key.
    pub fn find(&self, node: &str, unit: &str) -> Option<UnitRef> {
        let at = self.nodes.iter().position(|n| n.id == node)?;
        let unit = self.nodes[at].units.iter().position(|u| u.key() == unit)?;
        Some(UnitRef { node: NodeIndex(at), unit })
    }

    /// Returns the graph of some units and all that they need. Ids and keys stay.
    #[must_use]
    pub fn part(&self, units: &[UnitRef]) -> Self {
        let mut kept: Vec<Vec<bool>> = self.nodes.iter().map(|node| vec![false; node.units.len()]).collect();
        units.iter().for_each(|unit| kept[unit.node.0][unit.unit] = true);
        for (n, node) in self.nodes.iter().enumerate().rev() {
            for (u, unit) in node.units.iter().enumerate().rev() {
                if kept[n][u] {
                    reads(unit).for_each(|from| kept[from.node.0][from.unit] = true);
                }
            }
        }
        let (mut part, mut places) = (Self::new(), BTreeMap::new());
        for (n, node) in self.nodes.iter().enumerate() {
            let mut units = Vec::new();
            for (u, unit) in node.units.iter().enumerate().filter(|(u, _)| kept[n][*u]) {
                places.insert((n, u), UnitRef { node: NodeIndex(part.nodes.len()), unit: units.len() });
                let mut unit = unit.clone();
                for input in &mut unit.inputs {
                    if let InputSource::Output(from, _) = &mut input.source {
                        *from = places[&(from.node.0, from.unit)];
                    }
                }
                units.push(unit);
            }
            if !units.is_empty() {
                part.nodes.push(Node { id: node.id.clone(), stage: node.stage, units });
            }
        }
        part
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
