//! Input that cannot be used: the exit code, what, why and how to fix; and nothing is lost.

use std::fs;
use std::path::Path;

use crate::program::{Answer, command, mlsm};
use crate::scene::Scene;

#[track_caller]
fn refuses(answer: &Answer, code: i32, words: &[&str]) {
    assert_eq!(answer.code, code, "{answer:?}");
    for word in ["error: ", "why: ", "fix: "].iter().chain(words) {
        assert!(answer.stderr.contains(word), "no `{word}` in: {}", answer.stderr);
    }
}

fn edit(path: &Path, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, change(&text)).unwrap();
}

/// Replaces the second line of a metadata file.
fn second_line(scene: &Scene, file: &str, line: &str) {
    edit(&scene.data().join(file), |text| {
        let mut lines: Vec<_> = text.lines().collect();
        lines[1] = line;
        lines.join("\n") + "\n"
    });
}

#[test]
fn bad_metadata_is_named_with_file_and_line() {
    let scene = Scene::photos();
    let absent = ["run", "--config", "tiny", "--set", "data.path=/no/such/folder"];
    refuses(&mlsm(&scene.store(), absent), 6, &["/no/such/folder"]);
    let broken: [(&str, &str, &str); 4] = [
        ("bounding_boxes.txt", "2 1.0 2.0 3.0", "bounding_boxes.txt"),
        ("image_class_labels.txt", "2 999", "999"),
        ("images.txt", "1 001.x/again.jpg", "images.txt"),
        ("images.txt", "2 ../../outside.jpg", "images.txt"),
    ];
    for (file, line, word) in broken {
        let path = scene.data().join(file);
        let before = fs::read(&path).unwrap();
        second_line(&scene, file, line);
        refuses(&scene.mlsm(&["run"]), 6, &[word, "2"]);
        fs::write(&path, before).unwrap();
    }
    edit(&scene.data().join("image_class_labels.txt"), |text| text.lines().take(5).map(|l| format!("{l}\n")).collect());
    refuses(&scene.mlsm(&["run"]), 6, &["image_class_labels.txt"]);
    fs::remove_file(scene.data().join("image_class_labels.txt")).unwrap();
    refuses(&scene.mlsm(&["run"]), 6, &["image_class_labels.txt"]);
}

/// Writes one bad photo of each kind over photos of a novel class; returns their names.
fn spoil(scene: &Scene) -> Vec<String> {
    let folder = scene.photo_of("novel").parent().unwrap().to_owned();
    let mut photos: Vec<_> = fs::read_dir(&folder).unwrap().flatten().map(|e| e.path()).collect();
    photos.sort();
    let whole = fs::read(&photos[0]).unwrap();
    fs::write(&photos[0], &whole[..whole.len() / 2]).unwrap();
    fs::write(&photos[1], b"").unwrap();
    fs::write(&photos[2], b"<html>404 not found</html>").unwrap();
    fs::write(&photos[3], huge(&whole)).unwrap();
    photos[..4].iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Rewrites the frame header of a JPEG to claim 30,000 × 30,000 pixels.
fn huge(jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    let frame = bytes.windows(2).position(|w| w == [0xff, 0xc0] || w == [0xff, 0xc2]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&30_000u16.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&30_000u16.to_be_bytes());
    bytes
}

#[test]
fn bad_photos_are_all_named_at_once_or_skipped_and_listed() {
    let scene = Scene::finished();
    let names = spoil(&scene);
    let words: Vec<_> = names.iter().map(String::as_str).collect();
    refuses(&scene.mlsm(&["run"]), 6, &words);
    let checked = mlsm(&scene.store(), ["data", "check", scene.data().to_str().unwrap()]);
    assert_eq!(checked.code, 6, "{checked:?}");

    let skipping = ["--set", "data.on_bad_image=skip"];
    scene.run(&skipping);
    let skipped = scene.query("SELECT path FROM skipped ORDER BY path");
    let skipped: Vec<_> = skipped.as_array().unwrap().iter().map(|r| r["path"].as_str().unwrap()).collect();
    assert_eq!(skipped.len(), 4, "{skipped:?}");
    assert!(names.iter().all(|name| skipped.iter().any(|path| path.ends_with(name.as_str()))), "{skipped:?}");
}

#[test]
fn absent_photos_are_counted_and_an_error_only_when_strict() {
    let scene = Scene::finished();
    fs::remove_file(scene.photo_of("novel")).unwrap();
    refuses(&scene.mlsm(&["run", "--set", "data.strict=true"]), 6, &["absent"]);
    let finished = scene.mlsm(&["run"]).ok();
    assert!(finished.stderr.contains("warning: ") && finished.stderr.contains('1'), "{}", finished.stderr);
}

#[test]
fn too_few_classes_or_photos_for_an_episode_are_counted() {
    let scene = Scene::finished();
    refuses(&scene.mlsm(&["run", "--set", "evaluate.n_way=50"]), 6, &["50"]);
    refuses(&scene.mlsm(&["run", "--set", "evaluate.n_query=1000"]), 6, &["1001", "16"]);
    scene.mlsm(&["plan", "--check"]).ok();
}

#[test]
fn a_misspelt_key_names_the_nearest_right_one() {
    let scene = Scene::photos();
    refuses(&scene.mlsm(&["plan", "--set", "evaluate.episods=3"]), 2, &["evaluate.episods", "`episodes`"]);
    refuses(&scene.mlsm(&["plan", "--set", "evalaute.episodes=3"]), 2, &["evalaute", "`evaluate`"]);
    refuses(&scene.mlsm(&["plan", "--set", "evaluate.episodes=many"]), 2, &["evaluate.episodes"]);
    refuses(&mlsm(&scene.store(), ["plan", "--config", "tinny"]), 2, &["`tiny`"]);
    refuses(&mlsm(&scene.store(), ["plan"]), 2, &["--config"]);
    refuses(&scene.mlsm(&["run", "no-such-stage"]), 2, &["no-such-stage", "evaluate"]);
}

#[test]
fn a_split_whose_parts_overlap_is_refused() {
    let scene = Scene::photos();
    let file = scene.path("split.toml");
    fs::write(&file, "base = [1, 2, 3, 4, 5, 6]\nval = [6, 7, 8]\nnovel = [9, 10, 11, 12]\n").unwrap();
    let set = format!("splits.file={:?}", file.display().to_string());
    let answer = scene.mlsm(&["run", "--set", "splits.rule=file", "--set", &set]);
    refuses(&answer, 2, &["class 6", "base", "val"]);
}

#[test]
fn a_device_that_is_not_there_is_a_usage_error() {
    let scene = Scene::photos();
    refuses(&scene.mlsm(&["run", "--device", "cuda:99"]), 2, &["cuda:99"]);
    refuses(&scene.mlsm(&["run", "--device", "gpu"]), 2, &["gpu"]);
}

#[test]
fn weights_that_are_not_there_name_the_command_that_fetches_them() {
    let scene = Scene::photos();
    let base = "{ backbone = \"efficientnet-lite0\", weights = \"efficientnet-lite0\", head = \"gap\" }";
    let set = format!("train-base.lite0={base}");
    let answer = scene.mlsm(&["run", "--set", &set, "--set", "cam.localiser=lite0"]);
    refuses(&answer, 2, &["mlsm weights fetch efficientnet-lite0"]);
    let unknown = mlsm(&scene.store(), ["weights", "fetch", "resnet"]);
    refuses(&unknown, 2, &["resnet", "efficientnet-lite0"]);
}

#[test]
fn a_store_that_cannot_be_used_says_why() {
    let scene = Scene::finished();
    let file = scene.path("file");
    fs::write(&file, "").unwrap();
    let answer = command(&file.join("store")).args(["run", "--config", "tiny"]).output().unwrap();
    refuses(&Answer::of(answer), 4, &["file"]);
    refuses(&mlsm(&scene.path("nothing"), ["query", "SELECT 1"]), 2, &["nothing"]);
    refuses(&mlsm(&scene.path("nothing"), ["runs"]), 4, &["nothing"]);

    edit(&scene.store().join("format"), |text| text.replace('1', "999"));
    refuses(&scene.mlsm(&["run"]), 4, &["999"]);
}
