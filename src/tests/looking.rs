//! Verbs that look touch nothing: not a store, not what is no store, and not a store that others use.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use crate::program::{Answer, command, mlsm};
use crate::scene::{Scene, config};

/// Every verb that looks, with what it needs.
fn verbs(scene: &Scene) -> Vec<Vec<String>> {
    let with_config = [&["plan"][..], &["graph"], &["status"], &["explain", "crop"], &["config", "show", "--origin"]];
    let plain = [
        &["doctor"][..],
        &["query", "SELECT node, accuracy FROM results"],
        &["tables"],
        &["report"],
        &["report", "--out", concat!(env!("CARGO_TARGET_TMPDIR"), "/looked-at.html")],
        &["runs"],
        &["diff", "a", "b"],
        &["verify"],
        &["gc"],
        &["weights", "list"],
    ];
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let config = config(&scene.data());
    let with_config = with_config.iter().map(|verb| [words(verb), config.to_vec()].concat());
    with_config.chain(plain.iter().map(|verb| words(verb))).collect()
}

/// Contents, times and mode of a file, as `picture` sees them.
type Seen = (Option<Vec<u8>>, i64, i64, u64);

/// Everything below a folder: kind and bytes, time of change, inode.
fn picture(folder: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        let stat = fs::symlink_metadata(&path).unwrap();
        let bytes = if stat.is_file() { fs::read(&path).ok() } else { None };
        found.insert(path.clone(), (bytes, stat.mtime(), stat.mtime_nsec(), stat.ino()));
        if stat.is_dir() {
            found.extend(picture(&path));
        }
    }
    found
}

/// Looks with every verb, and insists that nothing changed.
fn look(scene: &Scene, case: &str) {
    for verb in verbs(scene) {
        let before = picture(scene.folder());
        let begun = Instant::now();
        let answer = mlsm(&scene.store(), &verb);
        assert!(begun.elapsed() < Duration::from_secs(60), "{case}, {verb:?}: it waited");
        assert!(answer.code >= 0 && answer.code != 3, "{case}, {verb:?}: {answer:?}");
        assert!(picture(scene.folder()) == before, "{case}: {verb:?} changed something");
    }
}

#[test]
fn looking_touches_nothing_wherever_it_looks() {
    look(&Scene::photos(), "an absent store");
    let empty = Scene::photos();
    fs::create_dir(empty.store()).unwrap();
    look(&empty, "an empty folder");
    let foreign = Scene::photos();
    fs::create_dir_all(foreign.store().join("staging/mine")).unwrap();
    fs::create_dir_all(foreign.store().join("tables")).unwrap();
    fs::write(foreign.store().join("staging/mine/thesis.txt"), "years of work").unwrap();
    look(&foreign, "a folder that only looks like a store");
    let run = foreign.mlsm(&["run"]);
    assert!(run.code == 4 && run.stderr.contains("fix: "), "{run:?}");
    assert!(foreign.store().join("staging/mine/thesis.txt").exists());
    let newer = Scene::finished();
    fs::write(newer.store().join("format"), "9\n").unwrap();
    look(&newer, "a newer store");
}

#[test]
fn looking_at_a_store_in_use_waits_for_nobody_and_a_run_that_must_not_wait_says_so() {
    let scene = Scene::finished();
    let locks = ["collect", "writers"].map(|name| {
        let lock = fs::File::options().read(true).write(true).open(scene.store().join("locks").join(name)).unwrap();
        lock.lock().unwrap();
        lock
    });
    look(&scene, "a store that a collection has to itself");
    let busy = scene.mlsm(&["run", "--no-wait"]);
    assert!(busy.code == 5 && busy.stderr.contains("a collection has the store to itself"), "{busy:?}");
    drop(locks);
    scene.mlsm(&["run", "--no-wait"]).ok();
}

#[test]
fn looking_at_a_store_that_cannot_be_written_answers_all_the_same() {
    let scene = Scene::finished();
    let forbid = |mode: u32| {
        for path in picture(&scene.store()).into_keys().filter(|path| path.is_dir()).chain([scene.store()]) {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    forbid(0o555);
    look(&scene, "a read-only store");
    scene.mlsm(&["plan", "--check"]).ok();
    forbid(0o755);
}

#[test]
fn text_is_never_wider_than_the_terminal_and_steers_none() {
    let scene = Scene::finished();
    let verbs = [verbs(&scene), vec![vec!["tables".to_owned(), "results".to_owned()]]].concat();
    for (columns, verb) in [40, 80, 120].into_iter().flat_map(|columns| verbs.iter().map(move |verb| (columns, verb))) {
        let answer =
            Answer::of(command(&scene.store()).args(verb).env("COLUMNS", columns.to_string()).output().unwrap());
        for line in answer.stdout.lines().chain(answer.stderr.lines()) {
            // Lines that are copied into another tool stay whole.
            let is_copied = ["duckdb ", "polars ", "pandas ", "pyarrow "].iter().any(|tool| line.starts_with(tool));
            assert!(is_copied || line.width() <= columns, "{verb:?} at {columns} columns: {line}");
            assert!(!line.chars().any(char::is_control), "{verb:?}: {line:?}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let scene = Scene::finished();
    for verb in [&["report"][..], &["query", "SELECT * FROM images"], &["runs"], &["completions", "bash"]] {
        let mut child = crate::program::start(&scene.store(), verb.iter().copied());
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{verb:?}");
    }
}

#[test]
fn a_photo_changed_in_place_with_its_size_and_time_kept_is_read_again() {
    let scene = Scene::finished();
    let (photo, other) = (scene.photo_of("novel"), scene.photo_of("base"));
    let time = fs::metadata(&photo).unwrap().modified().unwrap();
    let (mut bytes, size) = (fs::read(&other).unwrap(), fs::metadata(&photo).unwrap().len() as usize);
    bytes.resize(size.max(bytes.len()), 0); // bytes after the end of a JPEG are not read
    fs::write(&photo, &bytes[..]).unwrap();
    fs::File::options().write(true).open(&photo).unwrap().set_modified(time).unwrap();
    assert_eq!(scene.mlsm(&["plan", "--check"]).code, 1, "the change is seen");
    assert!(scene.run(&[]).executed_stages().contains(&"ingest"));
}
