//! Reads a fixture and compares a result with PyTorch's, relative to the largest value, at least 1.

use std::collections::BTreeMap;
use std::path::Path;

use mlsm_nets::{Cam, Kind, Params, Tensor, gradients, unpack};

/// Forward passes: both sides compute in f32, in other orders.
pub const FORWARD: f64 = 1e-5;
/// Gradients: as above, over some thousand summands each.
pub const GRADIENT: f64 = 1e-4;

/// PyTorch's results by name.
pub struct Fixture(BTreeMap<String, Tensor>);

impl Fixture {
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{name}.safetensors"));
        Fixture(unpack(&std::fs::read(path).unwrap()).unwrap().0)
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("the fixture has no `{name}`"))
    }

    /// The draw of the pixels that the training figures were made with.
    pub fn draw(&self) -> i64 {
        self.get("draw").int64_value(&[0])
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Compares an even sample of `found` (as `make.py` takes it) with the stored one.
    pub fn check(&self, name: &str, found: &Tensor, tolerance: f64) {
        let flat = found.detach().contiguous().flatten(0, -1);
        let sample = flat.slice(0, None, None, flat.size()[0] / 64 + 1).to_kind(Kind::Double);
        let expected = self.get(name).to_kind(Kind::Double);
        assert_eq!(sample.size(), expected.size(), "{name}");
        let scale = expected.abs().max().double_value(&[]).max(1.0);
        let apart = (sample - expected).abs().max().double_value(&[]);
        assert!(apart <= tolerance * scale, "{name}: {apart:e} apart, allowed {:e}", tolerance * scale);
    }

    /// Compares loss and gradients of every parameter whose gradient is stored under `prefix`.
    pub fn check_gradients(&self, prefix: &str, loss: &Tensor, params: &Params) {
        self.check(&format!("{prefix}loss"), loss, FORWARD);
        let (names, tensors): (Vec<String>, Vec<Tensor>) = params.trainable().into_iter().unzip();
        let mut checked = 0;
        for (name, gradient) in names.iter().zip(gradients(loss, &tensors).unwrap()) {
            if self.0.contains_key(&format!("{prefix}grad.{name}")) {
                self.check(&format!("{prefix}grad.{name}"), &gradient, GRADIENT);
                self.check(&format!("{prefix}norm.{name}"), &gradient.norm(), GRADIENT);
                checked += 1;
            }
        }
        let stored = self.names().filter(|name| name.starts_with(&format!("{prefix}grad."))).count();
        assert_eq!(checked, stored, "every stored gradient belongs to a parameter");
    }

    pub fn check_cam(&self, prefix: &str, cam: &Cam) {
        assert_eq!(&cam.class, self.get(&format!("{prefix}.class")));
        self.check(&format!("{prefix}.raw"), &cam.raw, GRADIENT);
        self.check(&format!("{prefix}.map"), &cam.map, GRADIENT);
        self.check(&format!("{prefix}.peak"), &cam.peak, GRADIENT);
    }
}
