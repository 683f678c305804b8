//! A trained network leaves one store as a file and enters another.

use std::fs;

use serde_json::Value;

use crate::program::{Finished, mlsm};
use crate::scene::{Scene, config};

const LEARNT: &str = "meta-train:mlsm[levels=I+G+O,object=grad-cam,seed=0]";

/// Reads the header of a model file, as any reader of safetensors does, and what it says of itself.
pub fn header_and_about(bytes: &[u8]) -> (Value, Value) {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let about: Value = serde_json::from_str(header["__metadata__"]["mlsm"].as_str().unwrap()).unwrap();
    (header, about["about"].clone())
}

#[test]
fn another_store_takes_an_exported_network_in_and_learns_it_no_more() {
    let scene = Scene::finished();
    let (file, other) = (scene.path("conv.mlsm"), scene.path("other"));
    let path = file.to_str().unwrap();
    scene.mlsm(&["export", "train-base:conv", "--out", path]).ok();
    let bytes = fs::read(&file).unwrap();
    scene.mlsm(&["export", "train-base:conv", "--out", path]).ok();
    assert_eq!(fs::read(&file).unwrap(), bytes, "equal models are equal files");
    assert!(mlsm(&other, ["import", path]).ok().stdout.contains("learns it no more"));
    assert!(mlsm(&other, ["import", path]).ok().stdout.contains("already"));
    let run = ["run", "train-base:conv", "--output", "json"].map(str::to_owned);
    let finished = Finished(mlsm(&other, run.into_iter().chain(config(&scene.data()))).ok().json());
    assert_eq!(finished.executed_stages(), ["ingest"], "its pixels are its inputs");
    let (header, about) = header_and_about(&bytes);
    assert_eq!(header["backbone/block1.conv.weight"]["shape"], serde_json::json!([8, 3, 3, 3]));
    assert_eq!((&about["input"]["size_px"], &about["request"]["stage"]), (&84.into(), &"train-base".into()));
    assert!(about["input"]["mean"][0].as_f64().is_some() && about["request"]["inputs"].as_array().unwrap().len() > 3);
    assert!(!about.to_string().contains(scene.folder().to_str().unwrap()), "it names no path of this machine");
}

#[test]
fn a_row_is_exported_and_what_is_no_model_or_no_whole_file_is_refused_with_the_way_out() {
    let scene = Scene::finished();
    let file = scene.path("mlsm.mlsm");
    let path = file.to_str().unwrap();
    scene.mlsm(&["export", LEARNT, "--out", path]).ok();
    let of_node = fs::read(&file).unwrap();
    scene.mlsm(&["export", LEARNT.strip_prefix("meta-train:").unwrap(), "--out", path]).ok();
    assert_eq!(fs::read(&file).unwrap(), of_node, "a row is named by itself");
    let refused = |arguments: &[&str], code: i32, part: &str| {
        let answer = scene.mlsm(arguments);
        assert!(answer.code == code && answer.stderr.contains(part) && answer.stderr.contains("fix: "), "{answer:?}");
    };
    refused(&["export", "crop", "--out", path], 2, "is no model");
    refused(&["export", "splits", "--out", path], 2, "is no model");
    refused(&["export", "nonesuch", "--out", path], 2, "nonesuch");
    refused(&["export", LEARNT, "--out", path, "--set", "train-base.conv.steps=41"], 2, "has not been computed");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, &bytes).unwrap();
    refused(&["import", path], 6, "is damaged");
    fs::write(&file, "mine").unwrap();
    refused(&["import", path], 6, "is no model file");
    refused(&["import", "gone.mlsm"], 6, "cannot read");
}
