//! Invented species names: pronounceable, of no real bird.

use rand_chacha::ChaCha8Rng;

use crate::streams::Draw;

const FIRST: [&str; 16] = [
    "Amber", "Bramble", "Cinder", "Dusk", "Ember", "Frost", "Gravel", "Harrow", "Inland", "Juniper", "Larch",
    "Mottled", "Northern", "Ochre", "Pale", "Quarry",
];
const START: [&str; 12] = ["Bre", "Cal", "Dor", "Fen", "Gri", "Hol", "Mar", "Nel", "Pir", "Sul", "Tar", "Vel"];
const END: [&str; 12] = ["bick", "dle", "fin", "gant", "let", "mire", "nock", "pet", "rill", "sard", "tock", "wen"];

/// Draws a name such as `Amber_Tarlet`; the class number keeps two equal ones apart.
pub(super) fn species_name(rng: &mut ChaCha8Rng) -> String {
    let mut pick = |words: &[&'static str]| words[rng.below(words.len())];
    format!("{}_{}{}", pick(&FIRST), pick(&START), pick(&END))
}
