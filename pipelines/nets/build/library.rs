//! The shared library: torch-sys' C++ half, linked against libtorch.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, time};

/// Finds the archive that torch-sys' build script made for this libtorch: the newest one in cargo's folder of build
/// scripts. Cargo states the place to nobody but the linker.
pub fn find_archive(out: &Path, libtorch: &Path) -> PathBuf {
    let folder = out.ancestors().find(|path| path.ends_with("build")).expect("cargo keeps OUT_DIR in a folder `build`");
    let mut archives = Vec::new();
    collect(folder, 4, &mut archives);
    let stated = format!("cargo:libtorch_lib={}\n", libtorch.display());
    archives.retain(|archive| {
        let output = archive.parent().and_then(Path::parent).map(|script| script.join("output"));
        output.and_then(|path| fs::read_to_string(path).ok()).is_some_and(|text| text.contains(&stated))
    });
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).unwrap_or(time::UNIX_EPOCH);
    archives.into_iter().max_by_key(changed).unwrap_or_else(|| {
        panic!(
            "no libtch.a of torch-sys for {} in {}: remove that folder and build again",
            libtorch.display(),
            folder.display()
        )
    })
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let is_torch = path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("torch-sys"));
        if path.ends_with("out/libtch.a") {
            found.push(path);
        } else if depth > 0 && is_torch && path.is_dir() {
            collect(&path, depth - 1, found);
        }
    }
}

/// Lists the C functions that the archive defines, sorted; names of C++ are left out, as nobody calls them from Rust.
pub fn functions(archive: &Path) -> Vec<String> {
    let names = symbols(archive, "--defined-only", " T ", |name| !name.starts_with("_Z"));
    assert!(names.iter().any(|name| name == "at_new_tensor"), "{} defines no at_new_tensor", archive.display());
    names
}

/// Lists the functions of the tch crate that the archive calls back, sorted.
pub fn callbacks(archive: &Path) -> Vec<String> {
    symbols(archive, "--undefined-only", " U ", |name| name.starts_with("tch_"))
}

fn symbols(archive: &Path, which: &str, kind: &str, is_wanted: fn(&str) -> bool) -> Vec<String> {
    let output = run(Command::new("nm").args([which, "--extern-only"]).arg(archive));
    let names = output.lines().filter_map(|line| line.split_once(kind)).map(|(_, name)| name.trim());
    let mut names: Vec<String> = names.filter(|name| is_wanted(name)).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// Links the shared library in `out` and returns its path.
///
/// It looks for libtorch in the folder of the build, then in a `torch` package beside its own folder or the folder above:
/// so a Python package that holds it finds PyTorch in the same environment.
pub fn link(archive: &Path, libtorch: &Path, out: &Path, table: &str) -> PathBuf {
    let made = out.join("libmlsm_torch.so");
    let compiler = cc::Build::new().cpp(true).get_compiler();
    let mut command = compiler.to_command();
    command
        .args(["-shared", "-o"])
        .arg(&made)
        .arg(write(&out.join("table.S"), table))
        .arg("-Wl,--whole-archive")
        .arg(archive)
        .args(["-Wl,--no-whole-archive", "-Wl,--as-needed", "-Wl,--no-undefined", "-Wl,-Bsymbolic-functions", "-s"])
        .arg(format!("-L{}", libtorch.display()))
        .args(["-ltorch_cpu", "-lc10", "-ldl"])
        .arg(format!("-Wl,-rpath,{}", libtorch.display()))
        .args(["-Wl,-rpath,$ORIGIN/../torch/lib", "-Wl,-rpath,$ORIGIN/../../torch/lib"]);
    run(&mut command);
    made
}

/// Writes a file of the build and returns its path.
pub fn write(path: &Path, text: &str) -> PathBuf {
    fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    path.to_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let program = command.get_program().to_string_lossy();
    assert!(output.status.success(), "{program} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
