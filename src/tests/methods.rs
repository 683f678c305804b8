//! Every method learns. It takes minutes, so it runs on demand: `make methods-smoke`.

use std::path::Path;

use mlsm_nets::METHODS;
use serde_json::Value;

use crate::program::mlsm;

#[test]
#[ignore = "takes minutes: make methods-smoke"]
fn every_method_ends_above_its_untrained_accuracy() {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("methods-smoke"); // kept: a second run computes nothing
    mlsm(&store, ["run", "--config", "methods-smoke"]).ok();
    let sql = "SELECT node, step, metric, value FROM training WHERE split = 'val' AND metric LIKE '%_1_shot'";
    let points = mlsm(&store, ["query", sql, "--format", "json"]).ok().json();
    let points = points.as_array().unwrap();
    let mut failed = Vec::new();
    for kind in METHODS {
        let own =
            || points.iter().filter(|p| p["node"].as_str().unwrap().starts_with(&format!("meta-train:{}[", kind.name)));
        let last = own().filter_map(|p| p["step"].as_i64()).max().unwrap_or_else(|| panic!("{} is missing", kind.name));
        let at = |step: i64, metric: &str| {
            let is_it = |p: &&Value| p["step"] == step && p["metric"] == format!("{metric}_1_shot");
            100.0 * own().find(is_it).and_then(|p| p["value"].as_f64()).unwrap()
        };
        let [before, after] = [0, last].map(|step| (at(step, "accuracy"), at(step, "ci95")));
        println!("{:<14} {:6.2} ± {:.2} -> {:6.2} ± {:.2}", kind.name, before.0, before.1, after.0, after.1);
        if after.0 - after.1 <= before.0 + before.1 {
            failed.push(kind.name);
        }
    }
    assert!(failed.is_empty(), "not above their untrained accuracy: {failed:?}");
}
