//! A support file predicts as the folder that it was made from, and nothing else passes for one.

use std::fs;
use std::path::Path;

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::predict::{executed, own_photos, predict, words};
use crate::program::{Answer, command, mlsm};
use crate::scene::{Scene, config};
use crate::weights;

const LEARNT: &str = "mlsm[levels=I+G+O,object=grad-cam,seed=0]";

/// Runs `mlsm support` with its words.
fn support(scene: &Scene, arguments: &[String]) -> Answer {
    mlsm(&scene.store(), words(&["support"]).into_iter().chain(arguments.iter().cloned()))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Makes a file of the labelled photos; `how`: the configuration and the row.
fn build(scene: &Scene, how: &[String]) -> Answer {
    let (folder, out) = (text(&scene.path("support")), text(&scene.path("birds.support")));
    support(scene, &[words(&["build", &folder, "--out", &out]), how.to_vec()].concat())
}

/// Predicts with the file, in a store that has nothing else.
fn by_file(scene: &Scene, more: &[&str]) -> Answer {
    let (file, query) = (text(&scene.path("birds.support")), text(&scene.path("query")));
    mlsm(&scene.path("other"), [&["predict", "--support", &file, "--query", &query], more].concat())
}

/// The classes that the file lists, with their numbers of photos.
fn listed(scene: &Scene) -> Vec<(String, u64)> {
    let answer = support(scene, &words(&["list", &text(&scene.path("birds.support")), "--output", "json"])).ok().json();
    let classes = answer["classes"].as_array().unwrap().iter();
    classes.map(|line| (line["class_name"].as_str().unwrap().to_owned(), line["photos"].as_u64().unwrap())).collect()
}

/// A configuration without other photos, as the preset `own` is: imported weights, class means, objects of no class.
pub fn alone(scene: &Scene) -> Vec<String> {
    weights::export(scene, &scene.path("birds.safetensors"));
    let text = "[data]\non_bad_image = \"skip\"\n[train-base.conv]\nbackbone = \"conv4-np19\"\nwidth = 8\nhead = \"gap\"\n\
                steps = 1\nholdout = 0.0\nweights = \"birds.safetensors\"\n[cam]\nlocaliser = \"conv\"\nthreshold = 0.3\n\
                [evaluate]\nbaselines = [\"cl2n:conv+class-free\"]\n";
    fs::write(scene.path("alone.toml"), text).unwrap();
    words(&["--config", scene.path("alone.toml").to_str().unwrap()])
}

#[test]
fn a_support_file_predicts_as_its_folder_to_the_last_digit_and_needs_nothing_else() {
    let scene = Scene::finished();
    own_photos(&scene);
    for row in [LEARNT, "cl2n-conv"] {
        let how = [words(&["--row", row]), config(&scene.data()).to_vec()].concat();
        let asked = [words(&["--format", "json", "--top", "9"]), how.clone()].concat();
        let of_folder = predict(&scene, &asked).ok();
        build(&scene, &how).ok();
        for folder in ["support", "photos"] {
            fs::rename(scene.path(folder), scene.path("away")).unwrap();
            let _ = fs::remove_dir_all(scene.path("other"));
            let of_file = by_file(&scene, &["--format", "json", "--top", "9"]).ok();
            assert_eq!(of_file.stdout, of_folder.stdout, "{row}");
            assert!(of_file.stderr.contains(" of 20 labelled photos are right"), "{}", of_file.stderr);
            fs::rename(scene.path("away"), scene.path(folder)).unwrap();
        }
        let _ = fs::remove_dir_all(scene.path("other"));
        let stages = executed(&by_file(&scene, &["--output", "json"]).ok());
        assert_eq!(stages.last().map(String::as_str), Some("predict"), "{stages:?}");
        let new = ["ingest", "crop", "extract", "predict"];
        assert!(stages.iter().all(|stage| new.contains(&stage.as_str())), "{row}: {stages:?}");
    }
    assert_eq!(listed(&scene).iter().map(|(_, photos)| *photos).collect::<Vec<_>>(), [5; 4]);
    let page = scene.path("birds.html");
    by_file(&scene, &["--report", page.to_str().unwrap()]).ok();
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("Predictions of 44 photos") && html.matches("<br>resembles <bdi>").count() == 44);
    assert_eq!(html.matches("data:image/jpeg").count(), 44, "the photos asked for have pictures");
}

#[test]
fn classes_and_photos_join_and_leave_a_file_as_if_it_had_been_built_so() {
    let scene = Scene::finished();
    own_photos(&scene);
    let how = alone(&scene);
    let of_folder = || predict(&scene, &[words(&["--format", "json"]), how.clone()].concat()).ok().stdout;
    let of_file = || by_file(&scene, &["--format", "json"]).ok().stdout;
    let whole = of_folder();
    let mut classes: Vec<_> =
        fs::read_dir(scene.path("support")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    classes.sort();
    let later = scene.path("later");
    fs::create_dir_all(later.join(&classes[1])).unwrap();
    fs::rename(scene.path("support").join(&classes[0]), later.join(&classes[0])).unwrap();
    let without = of_folder();
    build(&scene, &how).ok();
    assert_eq!(of_file(), without);
    let file = text(&scene.path("birds.support"));
    let add = || support(&scene, &words(&["add", &file, later.to_str().unwrap()]));
    add().ok();
    assert_eq!(of_file(), whole);
    let before = fs::read(&file).unwrap();
    let again = add().ok();
    assert!(again.stdout.contains("4 classes, 20 labelled photos"), "{}", again.stdout);
    assert_eq!(fs::read(&file).unwrap(), before, "photos that it has change nothing");
    let remove = |names: &[&str]| support(&scene, &words(&[&["remove", &file], names].concat()));
    remove(&[&classes[0]]).ok();
    assert_eq!(of_file(), without);
    // More photos of a class that is there: those of another class, so that the difference shows.
    fs::create_dir_all(later.join(&classes[1])).unwrap();
    fs::rename(later.join(&classes[0]).join("1.jpg"), later.join(&classes[1]).join("other.jpg")).unwrap();
    fs::remove_dir_all(later.join(&classes[0])).unwrap();
    add().ok();
    let counts = listed(&scene);
    assert_eq!(counts.iter().map(|(_, photos)| *photos).collect::<Vec<_>>(), [6, 5, 5]);
    assert_ne!(of_file(), without);
    let unknown = remove(&["no such class"]);
    assert!(unknown.code == 2 && unknown.stderr.contains(&classes[1]), "{unknown:?}");
    let few = remove(&[&classes[1], &classes[2]]);
    assert!(few.code == 2 && few.stderr.contains("1 would remain"), "{few:?}");
}

#[test]
fn what_is_no_whole_file_of_this_configuration_is_refused_with_the_way_out() {
    let scene = Scene::finished();
    own_photos(&scene);
    let tiny = config(&scene.data()).to_vec();
    let pixels = build(&scene, &[words(&["--row", "pixels"]), tiny.clone()].concat());
    assert!(pixels.code == 2 && pixels.stderr.contains("keeps features alone"), "{pixels:?}");
    let cl2n = words(&["--row", "cl2n-conv"]);
    build(&scene, &[cl2n.clone(), tiny.clone()].concat()).ok();
    by_file(&scene, &["--row", "cl2n-conv", "--config", "tiny"]).ok();
    let file = scene.path("birds.support");
    let refused = |more: &[&str], code: i32, parts: &[&str]| {
        let answer = by_file(&scene, more);
        assert_eq!(answer.code, code, "{answer:?}");
        parts.iter().chain(&["birds.support", "why: ", "fix: "]).for_each(|part| {
            assert!(answer.stderr.contains(part), "{part}: {}", answer.stderr);
        });
    };
    let set = ["--config", "tiny", "--set", "train-base.conv.width=12"];
    refused(&set, 2, &["another configuration", "`train-base.conv.width` is 8 in it and 12 here"]);
    let row = by_file(&scene, &["--row", "pixels"]);
    assert!(row.code == 2 && row.stderr.contains("made for row cl2n-conv"), "{row:?}");
    let whole = fs::read(&file).unwrap();
    let damage = |bytes: &[u8], said: &str| {
        fs::write(&file, bytes).unwrap();
        refused(&[], 6, &[said]);
    };
    for columns in [40, 80, 120] {
        let mut list = command(&scene.path("no store"));
        list.args(["support", "list", file.to_str().unwrap()]).env("COLUMNS", columns.to_string());
        let listed = Answer::of(list.output().unwrap()).ok();
        assert!(listed.stdout.lines().all(|line| line.width() <= columns), "{}", listed.stdout);
    }
    assert!(!scene.path("no store").exists(), "to list needs no store");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    damage(&flipped, "is damaged");
    damage(&whole[..whole.len() - 1], "is damaged");
    damage(b"", "is no support file");
    damage(&fs::read(scene.photo_of("base")).unwrap(), "is no support file");
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&whole[8..8 + header]).unwrap();
    assert!(header["extract:conv/image/embedding/embedding"]["shape"][0].as_u64() >= Some(20), "{header}");
}

#[test]
fn a_network_that_learnt_from_the_labelled_photos_goes_with_them() {
    let scene = Scene::finished();
    own_photos(&scene);
    let how = alone(&scene);
    let text_of = fs::read_to_string(scene.path("alone.toml")).unwrap();
    fs::write(scene.path("alone.toml"), text_of.replace("weights = \"birds.safetensors\"\n", "")).unwrap();
    build(&scene, &how).ok();
    let of_folder = predict(&scene, &[words(&["--format", "json"]), how].concat()).ok();
    assert_eq!(by_file(&scene, &["--format", "json"]).ok().stdout, of_folder.stdout);
    let file = text(&scene.path("birds.support"));
    for words in [["remove", &file, "wren"], ["add", &file, &text(&scene.path("query"))]] {
        let refused = support(&scene, &words.map(str::to_owned));
        assert!(refused.code == 2 && refused.stderr.contains("train-base:conv learnt from"), "{refused:?}");
    }
}
