//! The photos of a folder that resemble a photo most.

use std::fs;

use serde_json::Value;

use crate::predict::{executed, own_photos, words};
use crate::program::{Answer, mlsm};
use crate::scene::{Scene, config};
use crate::support::alone;

fn similar(scene: &Scene, photo: &str, more: &[String]) -> Answer {
    let (photo, folder) = (scene.path(photo), scene.path("query"));
    let first = words(&["similar", photo.to_str().unwrap(), "--in", folder.to_str().unwrap()]);
    mlsm(&scene.store(), first.into_iter().chain(more.iter().cloned()))
}

/// Paths and scores, in the order of the answer.
fn ranked(answer: &Answer) -> Vec<(String, f64)> {
    let lines = answer.json();
    let line = |line: &Value| (line["path"].as_str().unwrap().to_owned(), line["score"].as_f64().unwrap());
    lines.as_array().unwrap().iter().map(line).collect()
}

/// How many units of a stage were computed.
fn units(answer: &Answer, stage: &str) -> u64 {
    let events = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_stage = events.filter(|e| e["event"] == "node-finished" && e["stage"] == stage);
    of_stage.map(|e| e["shards"]["executed"].as_u64().unwrap()).sum()
}

#[test]
fn a_copy_is_the_most_similar_photo_and_a_second_call_computes_new_photos_alone() {
    let scene = Scene::finished();
    own_photos(&scene);
    let asked = scene.photo_of("novel");
    fs::copy(&asked, scene.path("asked.jpg")).unwrap();
    fs::copy(&asked, scene.path("query/copy.jpg")).unwrap();
    fs::write(scene.path("query/broken.jpg"), "no photo").unwrap();
    let how = |more: &[&str]| [alone(&scene), words(more)].concat();
    let first = similar(&scene, "asked.jpg", &how(&["--output", "json", "--top", "99"])).ok();
    assert!(!executed(&first).contains(&"train-base".to_owned()), "imported weights learn nothing");
    assert!(first.stderr.contains("photos that could not be read, and are not compared: 1"), "{}", first.stderr);
    let lines = ranked(&first);
    assert_eq!(lines.len(), 45);
    assert_eq!((lines[0].0.as_str(), (lines[0].1 * 1e6).round()), ("copy.jpg", 1e6));
    assert!(lines.windows(2).all(|pair| pair[0].1 >= pair[1].1) && lines.iter().all(|line| line.1 >= -1.0));
    let again = similar(&scene, "asked.jpg", &how(&["--output", "json", "--top", "99"])).ok();
    assert_eq!((executed(&again), ranked(&again)), (Vec::new(), lines));
    fs::copy(scene.photo_of("base"), scene.path("query/new.jpg")).unwrap();
    let more = similar(&scene, "asked.jpg", &how(&["--output", "json"])).ok();
    assert_eq!((ranked(&more).len(), units(&more, "extract")), (10, 1), "{}", more.stdout);
    let inside = similar(&scene, "query/copy.jpg", &how(&["--format", "json"])).ok();
    assert!(ranked(&inside).iter().all(|(path, _)| path != "copy.jpg"));
    let csv = scene.path("out.csv");
    similar(&scene, "asked.jpg", &how(&["--out", csv.to_str().unwrap(), "--top", "3"])).ok();
    let text = fs::read_to_string(csv).unwrap();
    assert!(text.starts_with("rank,path,score\n1,copy.jpg,") && text.lines().count() == 4, "{text}");
}

#[test]
fn a_row_of_a_configuration_compares_and_what_cannot_is_refused_with_the_way_out() {
    let scene = Scene::finished();
    own_photos(&scene);
    let asked = "support/".to_owned()
        + fs::read_dir(scene.path("support")).unwrap().next().unwrap().unwrap().file_name().to_str().unwrap()
        + "/1.jpg";
    let tiny = |row: &str| [config(&scene.data()).to_vec(), words(&["--row", row, "--format", "json"])].concat();
    assert_eq!(ranked(&similar(&scene, &asked, &tiny("cl2n-conv")).ok()).len(), 10);
    for row in ["pixels", "mlsm[levels=I,seed=0]"] {
        let refused = similar(&scene, &asked, &tiny(row));
        assert!(refused.code == 2 && refused.stderr.contains("--row` such as cl2n"), "{refused:?}");
    }
    let missing = similar(&scene, "gone.jpg", &tiny("cl2n-conv"));
    assert!(missing.code == 6 && missing.stderr.contains("fix: give one photo"), "{missing:?}");
    let how = alone(&scene);
    let text = fs::read_to_string(scene.path("alone.toml")).unwrap();
    fs::write(scene.path("alone.toml"), text.replace("weights = \"birds.safetensors\"\n", "")).unwrap();
    let refused = similar(&scene, &asked, &how);
    assert!(refused.code == 2 && refused.stderr.contains("train-base:conv learns from"), "{refused:?}");
    fs::write(scene.path("asked.jpg"), "no photo").unwrap();
    fs::write(scene.path("alone.toml"), text).unwrap();
    let unread = similar(&scene, "asked.jpg", &how);
    assert!(unread.code == 6 && unread.stderr.contains("asked.jpg could not be read"), "{unread:?}");
}

#[test]
fn a_photo_is_compared_with_all_photos_of_a_configuration() {
    let scene = Scene::finished();
    let asked = scene.photo_of("novel");
    fs::copy(&asked, scene.path("asked.jpg")).unwrap();
    let photo = scene.path("asked.jpg");
    let among = |node: &str| {
        let arguments = words(&["similar", photo.to_str().unwrap(), "--in", node, "--output", "json", "--top", "999"]);
        mlsm(&scene.store(), arguments.into_iter().chain(config(&scene.data())))
    };
    let answer = among("extract:conv").ok();
    let lines = ranked(&answer);
    assert_eq!(lines.len(), 12 * 16);
    assert!(asked.ends_with(&lines[0].0) && lines[0].1 > 0.999_999 && lines[1].1 < 0.999_999, "{:?}", &lines[..2]);
    assert!(executed(&answer).iter().all(|stage| ["ingest", "crop", "extract"].contains(&stage.as_str())));
    assert!((1..=2).contains(&units(&answer, "extract")), "the photo and its object: {}", answer.stdout);
    let refused = among("extract:nonesuch");
    assert!(refused.code == 2 && refused.stderr.contains("extract:nonesuch"), "{refused:?}");
    let nothing =
        mlsm(&scene.store(), ["similar", photo.to_str().unwrap(), "--in", "extract:conv", "--row", "cl2n-conv"]);
    assert!(nothing.code == 2 && nothing.stderr.contains("leave --row out"), "{nothing:?}");
}
