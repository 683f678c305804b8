//! The figures that the paper gives, to stand beside ours.
//!
//! Its Table I (5-way, 100 episodes; all rows but Relation Networks and MLSM are quoted from Hilliard et al. 2018, so from
//! other episodes and another split) and Table II (MLSM's levels with Grad-CAM crops).

use crate::config::ObjectSource;
use crate::scoring::Scoring;

/// Table I: method, 1-shot, 5-shot.
const METHODS: [(&str, f64, f64); 6] = [
    ("maml", 0.3843, 0.5915),
    ("meta-lstm", 0.4043, 0.4965),
    ("matching", 0.4934, 0.5931),
    ("prototypical", 0.4527, 0.5635),
    ("relation", 0.4669, 0.5586),
    ("maco", 0.6076, 0.7496),
];

/// Table II: levels, 1-shot, 5-shot.
const LEVELS: [(&str, f64, f64); 3] = [("I", 0.50, 0.59), ("I+G", 0.51, 0.61), ("I+G+O", 0.645, 0.705)];

/// Returns the paper's 5-way accuracy of a row, when it has one.
pub fn accuracy(scoring: &Scoring, k_shot: usize) -> Option<f64> {
    let Scoring::Method { recipe, .. } = scoring else { return None };
    let levels = recipe.levels.to_string();
    let row = match recipe.method.has_levels {
        true if recipe.reads_objects() && recipe.object != Some(ObjectSource::GradCam) => None,
        true => LEVELS.iter().find(|(name, ..)| *name == levels),
        false if recipe.object.is_some() => None,
        false => METHODS.iter().find(|(name, ..)| *name == recipe.method.name),
    };
    let (_, one, five) = row?;
    match k_shot {
        1 => Some(*one),
        5 => Some(*five),
        _ => None,
    }
}
