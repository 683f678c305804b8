//! A backbone's weights from a file.

use std::fs;
use std::path::Path;

use crate::model::header_and_about;
use crate::scene::Scene;

/// Copies the base CNN's backbone out of the store.
pub fn export(scene: &Scene, file: &Path) {
    let finished = scene.run(&[]);
    let nodes = finished.digests();
    let (_, _, outputs) = nodes.iter().find(|(node, ..)| *node == "train-base:conv").unwrap();
    let digest = outputs["backbone"].as_str().unwrap();
    fs::copy(scene.store().join("blobs").join(&digest[..2]).join(&digest[2..]), file).unwrap();
}

#[test]
fn a_backbone_from_a_file_is_kept_and_named_in_the_results_and_its_path_plays_no_part() {
    let scene = Scene::finished();
    let set = |name: &str| format!("train-base.conv.weights={:?}", scene.path(name).display().to_string());
    export(&scene, &scene.path("birds.safetensors"));
    let finished = scene.run(&["--set", &set("birds.safetensors")]);
    assert_eq!(finished.executed_stages().first(), Some(&"train-base"));
    let found = scene.query("SELECT DISTINCT weights FROM results WHERE method = 'mlsm'");
    assert_eq!(found[0]["weights"], "birds.safetensors");

    let model = scene.path("conv.mlsm");
    scene
        .mlsm(&["export", "train-base:conv", "--out", model.to_str().unwrap(), "--set", &set("birds.safetensors")])
        .ok();
    let (_, about) = header_and_about(&fs::read(model).unwrap());
    assert_eq!(about["rests_on"][0]["weights"], "birds.safetensors");

    fs::create_dir(scene.path("elsewhere")).unwrap();
    fs::rename(scene.path("birds.safetensors"), scene.path("elsewhere/birds.safetensors")).unwrap();
    let again = scene.run(&["--set", &set("elsewhere/birds.safetensors")]);
    assert_eq!(again.executed_stages(), Vec::<&str>::new());
}

#[test]
fn weights_that_are_not_there_or_do_not_fit_are_refused_with_their_name() {
    let scene = Scene::finished();
    let file = scene.path("birds.safetensors");
    let set = format!("train-base.conv.weights={:?}", file.display().to_string());
    let refused = |more: &[&str], part: &str| {
        let answer = scene.mlsm(&[&["run", "--set", &set], more].concat());
        assert_eq!(answer.code, 2, "{}", answer.stderr);
        for part in [part, "birds.safetensors", "fix: "] {
            assert!(answer.stderr.contains(part), "{part}: {}", answer.stderr);
        }
    };
    refused(&[], "No such file");
    export(&scene, &file);
    refused(&["--set", "train-base.conv.width=12"], "block1.conv.weight");
    refused(&["--set", "train-base.conv.backbone=\"resnet12\""], "layer1.0");
    fs::write(&file, b"no weights").unwrap();
    refused(&[], "safetensors");
}
