//! What a second run must not do again, after each kind of change.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::scene::{Scene, undisturbed};

/// Redraws a corner of a JPEG so that its pixels change at every size.
fn repaint(photo: &Path) {
    let mut image = image::open(photo).unwrap().into_rgb8();
    let (width, height) = (image.width() / 2, image.height() / 2);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if x < width && y < height {
            pixel.0 = pixel.0.map(|v| 255 - v);
        }
    }
    image.save(photo).unwrap();
}

/// Adds a comment behind the first marker of a JPEG: other bytes, the same pixels.
fn comment(photo: &Path) {
    let mut bytes = fs::read(photo).unwrap();
    let comment = b"\xff\xfe\x00\x09a note!";
    bytes.splice(2..2, comment.iter().copied());
    fs::write(photo, bytes).unwrap();
}

#[test]
fn a_second_run_computes_nothing() {
    let scene = Scene::finished();
    let finished = scene.run(&[]);
    assert_eq!(finished.0["outcome"], "ok");
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    assert!(scene.mlsm(&["run"]).ok().stderr.contains("0 executed"));
    scene.mlsm(&["plan", "--check"]).ok();
}

#[test]
fn a_changed_photo_of_a_novel_class_redoes_one_shard_of_each_stage_and_trains_nothing() {
    let scene = Scene::finished();
    let photo = scene.photo_of("novel");
    repaint(&photo);
    let name = photo.file_name().unwrap().to_str().unwrap();
    assert_eq!(scene.mlsm(&["plan", "--check"]).code, 1);
    let explained = scene.mlsm(&["explain", "ingest"]).ok().stdout;
    assert!(explained.contains(name), "{explained}");

    let finished = scene.run(&[]);
    assert_eq!(finished.executed_stages(), ["ingest", "crop", "extract", "evaluate"]);
    for stage in ["ingest", "crop", "extract"] {
        let shards = finished.shards(stage);
        assert!(shards.iter().all(|n| *n <= 1) && shards.contains(&1), "{stage}: {shards:?}");
    }
}

#[test]
fn a_photo_with_other_bytes_and_the_same_pixels_stops_at_ingest() {
    let scene = Scene::finished();
    comment(&scene.photo_of("base"));
    let finished = scene.run(&[]);
    assert_eq!(finished.executed_stages(), ["ingest"]);
    assert_eq!(finished.shards("ingest"), [1]);
}

#[test]
fn a_touched_photo_redoes_nothing() {
    let scene = Scene::finished();
    let photo = fs::File::options().append(true).open(scene.photo_of("base")).unwrap();
    photo.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    assert_eq!(scene.run(&[]).executed_stages(), Vec::<&str>::new());
}

#[test]
fn a_changed_photo_of_a_base_class_makes_training_stale() {
    let scene = Scene::finished();
    repaint(&scene.photo_of("base"));
    assert_eq!(scene.run(&["ingest"]).shards("ingest"), [1]);
    let plan = scene.mlsm(&["plan", "--output", "json"]).ok().json();
    let action = |stage: &str| {
        let nodes = plan["nodes"].as_array().unwrap().iter().filter(|n| n["stage"] == stage);
        nodes.map(|n| n["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(action("ingest"), ["reuse"]);
    assert!(action("train-base").contains(&"execute".to_owned()), "{plan}");
    assert!(action("crop").contains(&"unknown".to_owned()), "{plan}");
}

#[test]
fn another_split_decodes_nothing_again() {
    let scene = Scene::finished();
    let finished = scene.run(&["ingest", "--set", "splits.seed=99"]);
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    let plan = scene.mlsm(&["plan", "--set", "splits.seed=99", "--output", "json"]).ok().json();
    let stale = plan["nodes"].as_array().unwrap().iter().find(|n| n["stage"] == "train-base").unwrap();
    assert_eq!(stale["action"], "execute", "{plan}");
}

#[test]
fn more_episodes_run_evaluate_alone_and_explain_says_so() {
    let scene = Scene::finished();
    let more = ["--set", "evaluate.episodes=33"];
    let explained = scene.mlsm(&[&["explain", "evaluate"], &more[..]].concat()).ok().stdout;
    assert!(explained.contains("episodes") && explained.contains("33"), "{explained}");
    assert_eq!(scene.run(&more).executed_stages(), ["evaluate"]);
}

#[test]
fn a_forced_stage_is_computed_again_and_what_follows_is_not() {
    let scene = Scene::finished();
    assert_eq!(scene.run(&["--force", "extract"]).executed_stages(), ["extract"]);
}

#[test]
fn damaged_artifacts_are_remade() {
    let scene = Scene::finished();
    let blobs = scene.store().join("blobs");
    let mut damaged = 0;
    for folder in fs::read_dir(&blobs).unwrap().flatten() {
        for blob in fs::read_dir(folder.path()).unwrap().flatten() {
            let mut bytes = fs::read(blob.path()).unwrap();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
                fs::remove_file(blob.path()).unwrap();
                fs::write(blob.path(), bytes).unwrap();
                damaged += 1;
            }
        }
        if damaged > 3 {
            break;
        }
    }
    let verified = scene.mlsm(&["verify"]);
    assert_eq!(verified.code, 1, "{verified:?}");
    assert!(verified.stdout.contains(&format!("\n{damaged} findings: ")), "{}", verified.stdout);
    assert_eq!(scene.mlsm(&["verify", "--repair"]).code, 1);
    let digests = scene.run(&[]).digests();
    assert_eq!(digests, undisturbed().digests());
    scene.mlsm(&["verify"]).ok();
}
