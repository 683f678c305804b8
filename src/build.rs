//! Embeds the presets of `configs/` and points the binary at the libtorch it was linked against.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "cargo passes variables to build scripts and reads what they print"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    if let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
    // A program at a fixed place has none of its 300,000 addresses to correct when it starts.
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    println!("cargo:rerun-if-changed=configs");
    println!("cargo:rerun-if-changed=src/build.rs");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let mut presets: Vec<_> = fs::read_dir(Path::new(&root).join("configs"))
        .map(|entries| entries.flatten().map(|e| e.path()).collect())
        .unwrap_or_default();
    presets.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    presets.sort();
    let mut code = String::from("&[\n");
    for path in presets {
        let name = path.file_stem().expect("a listed file has a name").to_string_lossy();
        writeln!(code, "    ({name:?}, include_str!({path:?})),").expect("a string takes everything");
        println!("cargo:rerun-if-changed={}", path.display());
    }
    code.push(']');
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("presets.rs"), code).expect("cargo's own folder is writable");
}
