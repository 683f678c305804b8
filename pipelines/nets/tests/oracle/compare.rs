//! Reads a fixture and compares our f32 results with PyTorch's f64 ones.
//!
//! A tolerance is [`MULTIPLE`] times the distance of PyTorch's own f32 results from its f64 one, the largest over many
//! kernels and over weights and inputs moved by an ulp (`fixtures/reference.py` measures it). No test states another.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use mlsm_nets::{Cam, Kind, Params, Tensor, gradients, unpack};

/// How many times farther than PyTorch's f32 ours may lie. Another CPU's kernel sums in an order that was not measured,
/// and we fold, multiply out and pool in other places than PyTorch: up to 2.5 times was seen. A wrong sign, a missing
/// mean or another epsilon moves a result by hundreds of times.
pub const MULTIPLE: f64 = 8.0;
/// The distance that counts where PyTorch happened to lie closer: half an ulp of the largest value, which rounding the
/// result alone may cost.
pub const FLOOR: f64 = 1.0 / (1 << 24) as f64;

/// PyTorch's results by name.
pub struct Fixture {
    name: String,
    tensors: BTreeMap<String, Tensor>,
    /// The largest share of a tolerance that was needed, and for what.
    worst: RefCell<(f64, String)>,
}

impl Fixture {
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{name}.safetensors"));
        let tensors = unpack(&std::fs::read(path).unwrap()).unwrap().0;
        Fixture { name: name.to_owned(), tensors, worst: RefCell::default() }
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{} has no `{name}`", self.name))
    }

    /// The draw of the inputs that the results under `prefix` were made with.
    pub fn draw(&self, prefix: &str) -> i64 {
        self.get(&format!("{prefix}draw")).int64_value(&[0])
    }

    /// The results that begin with `prefix`, without it.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let is_result = |name: &&str| !name.ends_with(".f32") && !name.ends_with(".spread");
        self.tensors.keys().filter_map(move |name| name.strip_prefix(prefix)).filter(is_result)
    }

    /// How far apart rounding puts a result, as a share of its largest value.
    pub fn spread(&self, name: &str) -> f64 {
        self.get(&format!("{name}.spread")).double_value(&[0]) / self.get(name).abs().max().double_value(&[])
    }

    /// How far a result may lie from PyTorch's f64 one.
    pub fn tolerance(&self, name: &str) -> f64 {
        let spread = self.get(&format!("{name}.spread")).double_value(&[0]);
        MULTIPLE * spread.max(FLOOR * self.get(name).abs().max().double_value(&[]))
    }

    /// Compares an even sample of `found` (as `fixtures/formula.py` takes it) with the stored one.
    pub fn check(&self, name: &str, found: &Tensor) {
        let flat = found.detach().contiguous().flatten(0, -1);
        let sample = flat.slice(0, None, None, flat.size()[0] / 64 + 1).to_kind(Kind::Double);
        let expected = self.get(name);
        assert_eq!(sample.size(), expected.size(), "{}: {name}", self.name);
        let (apart, allowed) = ((sample - expected).abs().max().double_value(&[]), self.tolerance(name));
        assert!(apart <= allowed, "{}: {name} is {apart:e} apart, allowed {allowed:e}", self.name);
        let mut worst = self.worst.borrow_mut();
        if apart > worst.0 * allowed {
            *worst = (apart / allowed, name.to_owned());
        }
    }

    /// Compares loss and gradients of every parameter whose gradient is stored under `prefix`.
    pub fn check_gradients(&self, prefix: &str, loss: &Tensor, params: &Params) {
        self.check(&format!("{prefix}loss"), loss);
        let (names, tensors): (Vec<String>, Vec<Tensor>) = params.trainable().into_iter().unzip();
        let mut checked = 0;
        for (name, gradient) in names.iter().zip(gradients(loss, &tensors).unwrap()) {
            if self.tensors.contains_key(&format!("{prefix}grad.{name}")) {
                self.check(&format!("{prefix}grad.{name}"), &gradient);
                self.check(&format!("{prefix}norm.{name}"), &gradient.norm());
                checked += 1;
            }
        }
        let stored = self.names(&format!("{prefix}grad.")).count();
        assert_eq!(checked, stored, "every stored gradient belongs to a parameter");
    }

    pub fn check_cam(&self, prefix: &str, cam: &Cam) {
        assert_eq!(&cam.class, self.get(&format!("{prefix}.class")));
        self.check(&format!("{prefix}.raw"), &cam.raw);
        self.check(&format!("{prefix}.map"), &cam.map);
        self.check(&format!("{prefix}.peak"), &cam.peak);
    }
}

/// With `--nocapture`, how much of the tolerances this machine needs.
impl Drop for Fixture {
    fn drop(&mut self) {
        let (share, name) = &*self.worst.borrow();
        println!("{}: {share:.3} of the tolerance of {name}", self.name);
    }
}
