//! Photos straight from an archive, and archives that mean harm.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::scene::Scene;

/// Packs with the system's `tar`.
fn tar(folder: &Path, arguments: &[&str]) {
    let status = Command::new("tar").current_dir(folder).args(arguments).status().expect("tar starts");
    assert!(status.success(), "tar {arguments:?}");
}

/// Runs the tiny configuration over an archive.
fn run(scene: &Scene, archive: &Path) -> crate::program::Answer {
    let data = format!("data.path={:?}", archive.display().to_string());
    crate::program::mlsm(&scene.store(), ["run", "--config", "tiny", "--output", "json", "--set", &data])
}

#[test]
fn an_archive_gives_what_its_folder_gave() {
    let scene = Scene::finished();
    tar(&scene.path(""), &["czf", "photos.tgz", "photos"]);
    let finished = crate::program::Finished(run(&scene, &scene.path("photos.tgz")).ok().json());
    assert_eq!(finished.executed_stages(), Vec::<&str>::new(), "the artifacts of the folder serve");
    for (how, name) in [("cJf", "photos.tar.xz"), ("cjf", "photos.tar.bz2"), ("cf", "photos.zip")] {
        tar(&scene.path(""), &[how, name, "photos"]); // the last is a tar in truth: content decides
        let finished = crate::program::Finished(run(&scene, &scene.path(name)).ok().json());
        assert_eq!(finished.executed_stages(), Vec::<&str>::new(), "{name}");
    }
    tar(&scene.path(""), &["rf", "photos.zip", "photos/classes.txt"]);
    run(&scene, &scene.path("photos.zip")).ok();
    fs::remove_file(scene.path("photos.tgz")).unwrap();
    assert_eq!(run(&scene, &scene.path("photos.tgz")).code, 6, "an archive that is gone is an error");
}

#[test]
fn a_hard_link_inside_an_archive_is_a_file_of_it() {
    let scene = Scene::photos();
    fs::hard_link(scene.path("photos/images.txt"), scene.path("photos/hard.txt")).unwrap();
    tar(&scene.path(""), &["czf", "hard.tgz", "photos"]);
    let data = format!("data.path={:?}", scene.path("hard.tgz").display().to_string());
    crate::program::mlsm(&scene.store(), ["plan", "--config", "tiny", "--set", &data]).ok();
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing_behind() {
    let scene = Scene::photos();
    let here = scene.path("");
    let outside = here.join("outside.txt");
    fs::write(&outside, "x").unwrap();
    symlink("/etc", here.join("photos/link")).unwrap();
    tar(&here, &["czf", "symlink.tgz", "photos"]);
    fs::remove_file(here.join("photos/link")).unwrap();
    tar(&here.join("photos"), &["czPf", "../parent.tgz", "images.txt", "../outside.txt"]);
    tar(&here, &["czPf", "absolute.tgz", "photos", outside.to_str().unwrap()]);
    tar(&here, &["czf", "whole.tgz", "photos"]);
    let whole = fs::read(here.join("whole.tgz")).unwrap();
    fs::write(here.join("truncated.tgz"), &whole[..whole.len() / 2]).unwrap();
    for name in ["symlink", "parent", "absolute", "truncated"] {
        let answer = run(&scene, &here.join(format!("{name}.tgz")));
        assert_eq!(answer.code, 6, "{name}: {}", answer.stderr);
        for part in ["why: ", "fix: "] {
            assert!(answer.stderr.contains(part), "{name}: {}", answer.stderr);
        }
        let left: Vec<_> = ["datasets", "staging", "blobs", "manifests"]
            .into_iter()
            .flat_map(|folder| {
                fs::read_dir(scene.store().join(folder)).into_iter().flatten().flatten().map(|entry| entry.path())
            })
            .collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}
