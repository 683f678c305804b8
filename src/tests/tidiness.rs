//! What the layout promises: directions between crates, and how long a file may be. Who may write, print, read the
//! environment or a clock is clippy's to check: `.clippy.toml`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const LONGEST_FILE: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut pending: Vec<_> = ["src", "store", "pipelines"].iter().map(|f| root().join(f)).collect();
    let mut files = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn crates_depend_only_downwards_and_torch_and_polars_stay_in_their_places() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed: [(&str, &[&str]); 8] = [
        (
            "mlsm",
            &[
                "mlsm-data",
                "mlsm-engine",
                "mlsm-errors",
                "mlsm-nets",
                "mlsm-pipelines",
                "mlsm-remote",
                "mlsm-store",
                "arrow",
                "parquet",
                "polars",
                "torch-sys",
            ],
        ),
        (
            "mlsm-pipelines",
            &[
                "mlsm-data",
                "mlsm-engine",
                "mlsm-errors",
                "mlsm-nets",
                "mlsm-store",
                "arrow",
                "parquet",
                "tch",
                "torch-sys",
            ],
        ),
        ("mlsm-engine", &["mlsm-errors", "mlsm-store"]),
        ("mlsm-nets", &["mlsm-errors", "tch", "torch-sys"]),
        ("mlsm-data", &["mlsm-errors"]),
        ("mlsm-store", &["mlsm-errors"]),
        ("mlsm-errors", &[]),
        ("mlsm-remote", &["mlsm-store"]),
    ];
    let guarded =
        |name: &str| name.starts_with("mlsm") || ["arrow", "parquet", "polars", "tch", "torch-sys"].contains(&name);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let (_, allowed) = allowed.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("unknown crate {name}"));
        // Tests may look further: `kind` is null for what ends up in the crate itself.
        let dependencies = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
        for dependency in dependencies.map(|d| d["name"].as_str().unwrap()).filter(|d| guarded(d)) {
            assert!(allowed.contains(&dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_bear() {
    for path in sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_file_begins_with_what_it_is() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let is_test = path.file_name().is_some_and(|n| n == "tests.rs") || path.iter().any(|p| p == "tests");
        assert!(is_test || text.starts_with("//!"), "{} has no first line of documentation", path.display());
    }
}
