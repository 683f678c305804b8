//! libtorch is loaded where something is computed, and nowhere else.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Answer, command_of, mlsm};
use crate::scene::{Scene, config};

const LIBRARY: &str = "libmlsm_torch.so";

/// A copy of the program in a folder of its own.
fn copy_of_program(scene: &Scene) -> PathBuf {
    let folder = scene.path("elsewhere");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("mlsm");
    fs::copy(env!("CARGO_BIN_EXE_mlsm"), &program).unwrap();
    program
}

/// A copy of the program beside a library that cannot be loaded.
fn without_libtorch(scene: &Scene) -> PathBuf {
    let program = copy_of_program(scene);
    fs::write(program.with_file_name(LIBRARY), "no library").unwrap();
    program
}

fn answer(program: &Path, scene: &Scene, words: &[&str]) -> Answer {
    let all = words.iter().map(|word| (*word).to_owned()).chain(config(&scene.data()));
    Answer::of(command_of(program, &scene.store()).args(all).output().expect("the program starts"))
}

#[test]
fn looking_and_a_run_with_nothing_to_do_never_load_libtorch() {
    let scene = Scene::finished();
    let program = without_libtorch(&scene);
    let verbs: [&[&str]; 11] = [
        &["status"],
        &["plan"],
        &["plan", "--set", "seed=9"],
        &["explain", "evaluate"],
        &["runs"],
        &["tables"],
        &["report"],
        &["query", "SELECT count(*) FROM images"],
        &["gc"],
        &["export", "train-base:conv", "--out", concat!(env!("CARGO_TARGET_TMPDIR"), "/looked-at.mlsm")],
        &["run"],
    ];
    for words in verbs {
        let found = answer(&program, &scene, words);
        assert_eq!(found.code, 0, "{words:?}: {}", found.stderr);
    }
    Answer::of(command_of(&program, &scene.store()).arg("--version").output().unwrap()).ok();
}

#[test]
fn a_run_that_must_compute_without_libtorch_says_what_why_and_fix() {
    let scene = Scene::finished();
    let program = without_libtorch(&scene);
    let found = answer(&program, &scene, &["run", "--set", "seed=9"]);
    assert_eq!(found.code, 2, "{}", found.stderr);
    for part in ["libtorch cannot be loaded", "  why: ", &format!("elsewhere/{LIBRARY}"), "  fix: "] {
        assert!(found.stderr.contains(part), "{part}: {}", found.stderr);
    }
    let checks = Answer::of(command_of(&program, &scene.store()).arg("doctor").output().unwrap());
    assert_eq!(checks.code, 1, "{}", checks.stdout);
    assert!(checks.stdout.contains("cannot be loaded"), "{}", checks.stdout);
}

#[test]
fn a_library_of_another_build_is_refused_by_name() {
    let scene = Scene::finished();
    let program = copy_of_program(&scene);
    // Any library that can be loaded; it holds no functions of this program.
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc =
        maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..])).find(|path| path.contains("/libc.so"));
    fs::copy(libc.expect("the tests are linked with a libc"), program.with_file_name(LIBRARY)).unwrap();
    let found = answer(&program, &scene, &["run", "--set", "seed=9"]);
    assert_eq!(found.code, 2, "{}", found.stderr);
    assert!(found.stderr.contains("was made by another build"), "{}", found.stderr);
}

#[test]
fn a_program_that_was_copied_with_its_library_computes() {
    let scene = Scene::finished();
    let checks = mlsm(&scene.store(), ["doctor", "--output", "json"]).ok().json();
    let checks = checks.as_array().expect("doctor lists checks");
    let found = checks.iter().find(|check| check["check"] == "libtorch").expect("one is of libtorch")["found"].clone();
    let library = found.as_str().and_then(|found| found.split_once("through ")).expect("it names the library").1;
    let program = copy_of_program(&scene);
    fs::copy(library, program.with_file_name(LIBRARY)).unwrap();
    answer(&program, &scene, &["run", "--force", "evaluate"]).ok();
    let checks = answer(&program, &scene, &["doctor"]).ok();
    assert!(checks.stdout.contains(&format!("elsewhere/{LIBRARY}")), "{}", checks.stdout);
}
