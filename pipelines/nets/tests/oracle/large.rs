//! The large backbones with the formula's weights: map, embedding and gradients as timm has them, and files that name tensors
//! as torchvision does.

use std::path::Path;

use mlsm_nets::{
    Backbone, BackboneKind, BackboneSpec, Classifier, Device, Head, Kind, Phase, Tensor, backbone, backbone_weights,
    pack, unpack,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::compare::Fixture;
use crate::formula::{fill, pixels, tensor};

fn net(kind: BackboneKind) -> Box<dyn Backbone + Send> {
    backbone(&BackboneSpec::new(kind, 64), &mut ChaCha8Rng::seed_from_u64(0), Device::Cpu)
}

/// `side`: of the photos; `small`: of those whose gradients are compared.
fn compare(kind: BackboneKind, side: i64, small: Option<i64>) {
    let fixture = Fixture::read(&kind.to_string());
    let mut net = net(kind);
    fill(net.params_mut(), "");
    let found = net.features(&net.normalise(&pixels(2, side, fixture.draw("eval."))), Phase::Evaluate);
    fixture.check("eval.map", &found.map);
    fixture.check("eval.embedding", &found.embedding);
    assert_eq!(found.map.size()[1], net.channels());
    assert_eq!(found.embedding.size(), [2, net.embedding_dim()]);
    if let Some(side) = small {
        let found = net.features(&net.normalise(&pixels(2, side, fixture.draw("slopes."))), Phase::Evaluate);
        fixture.check("slopes.map", &found.map);
        let mut head = Classifier::new(&*net, Head::Gap, 5, &mut ChaCha8Rng::seed_from_u64(0));
        fill(head.params_mut(), "");
        let [weight, bias] = ["weight", "bias"].map(|name| head.params().get(name).unwrap().shallow_clone());
        let logits = found.embedding.linear(&weight, Some(&bias));
        let loss = logits.log_softmax(-1, Kind::Float).nll_loss(&Tensor::from_slice(&[1i64, 3]));
        fixture.check_gradients("slopes.", &loss, net.params());
    }
}

#[test]
fn resnet50_equals_timm() {
    compare(BackboneKind::ResNet50, 96, None);
}

#[test]
fn efficientnet_b0_equals_timm() {
    compare(BackboneKind::EfficientNetB0, 96, Some(64));
}

#[test]
fn convnext_tiny_equals_timm() {
    compare(BackboneKind::ConvNextTiny, 96, Some(64));
}

#[test]
fn vit_s16_equals_timm() {
    compare(BackboneKind::VitS16, 224, Some(64));
}

#[test]
fn vit_b16_equals_timm() {
    compare(BackboneKind::VitB16, 64, None);
}

#[test]
fn vit_s14_equals_timm() {
    compare(BackboneKind::VitS14, 224, Some(56));
}

#[test]
fn vit_b14_equals_timm() {
    compare(BackboneKind::VitB14, 56, None);
}

/// The tensors of a published net, by the formula.
fn published(fixture: &str) -> Vec<(String, Tensor)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/names").join(format!("{fixture}.txt"));
    let names = std::fs::read_to_string(path).unwrap();
    let made = |line: &str| {
        let (name, shape) = line.split_once(' ').unwrap();
        let shape: Vec<i64> =
            shape.split('x').filter(|side| !side.is_empty()).map(|side| side.parse().unwrap()).collect();
        (name.to_owned(), tensor(name, &shape))
    };
    names.lines().map(made).collect()
}

fn compare_file(fixture: &str, kind: BackboneKind) {
    let file = pack(&published(fixture), "").unwrap();
    let weights = backbone_weights(&BackboneSpec::new(kind, 64), &file).unwrap();
    let mut net = net(kind);
    net.params_mut().load(&weights).unwrap();
    let fixture = Fixture::read(fixture);
    let found = net.features(&net.normalise(&pixels(2, 224, fixture.draw(""))), Phase::Evaluate);
    assert_eq!(found.map.size(), [2, net.channels(), net.map_px(), net.map_px()]);
    fixture.check("embedding", &found.embedding);
}

#[test]
fn a_file_of_torchvisions_efficientnet_gives_its_embedding() {
    compare_file("torchvision-efficientnet-b0", BackboneKind::EfficientNetB0);
}

#[test]
fn a_file_of_torchvisions_convnext_gives_its_embedding() {
    compare_file("torchvision-convnext-tiny", BackboneKind::ConvNextTiny);
}

#[test]
fn a_file_of_torchvisions_vit_gives_its_embedding() {
    compare_file("torchvision-vit-b16", BackboneKind::VitB16);
}

/// DINOv2 publishes positions of photos of 518 pixels, and the token of masked patches. How positions are brought to fewer
/// patches is compared with timm above, in photos of 56 pixels; here that a file's are.
#[test]
fn positions_of_larger_photos_are_brought_to_fewer_patches() {
    let made = net(BackboneKind::VitS14);
    let mut tensors = made.params().all();
    let at = tensors.iter().position(|(name, _)| name == "pos_embed").unwrap();
    let same = Tensor::arange(384, (Kind::Float, Device::Cpu)) / 384.0; // at every place
    tensors[at].1 = same.expand([1, 1 + 37 * 37, 384], true);
    tensors.push(("mask_token".to_owned(), same.reshape([1, 384])));
    let spec = BackboneSpec::new(BackboneKind::VitS14, 64);
    let read = backbone_weights(&spec, &pack(&tensors, "").unwrap()).unwrap();
    let found = &unpack(&read).unwrap().0["pos_embed"];
    assert_eq!(found.size(), [1, 257, 384]);
    let apart = (found - &same).abs().max().double_value(&[]);
    assert!(apart <= 16.0 * f64::from(f32::EPSILON), "{apart}: weights of at most 4 x 37 / 16 places sum to 1");
}
