//! Keeps libtorch out of the executable until it computes, see `README.md`, "How libtorch is loaded".
//!
//! torch-sys' C++ half, `libtch.a`, becomes a shared library that depends on libtorch. The executable is linked with one
//! jump per C function instead (`jumps.rs`), so no symbol of `libtch.a` is missing and the linker leaves libtorch out.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "cargo passes variables to build scripts and reads what they print"
)]

mod jumps;
mod library;

use std::env;
use std::path::{Path, PathBuf};

use crate::jumps::Target;

fn main() {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-env-changed=LIBTORCH_STATIC");
    println!("cargo:rustc-check-cfg=cfg(libtorch_on_demand)");
    let Ok(libtorch) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    // Where libtorch is linked in, tests find it with no variable exported.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}");
    if is_static() {
        return;
    }
    let Some(target) = Target::of(&variable("CARGO_CFG_TARGET_OS"), &variable("CARGO_CFG_TARGET_ARCH")) else { return };
    on_demand(target, Path::new(&libtorch));
}

/// Makes the shared library and the jumps to it.
fn on_demand(target: Target, libtorch: &Path) {
    let out = PathBuf::from(variable("OUT_DIR"));
    let archive = library::find_archive(&out, libtorch);
    println!("cargo:rerun-if-changed={}", archive.display());
    let (functions, callbacks) = (library::functions(&archive), library::callbacks(&archive));
    let table = jumps::table_name(&functions, &callbacks);
    let made = library::link(&archive, libtorch, &out, &target.library(&functions, &callbacks, &table));
    cc::Build::new()
        .file(library::write(&out.join("jumps.S"), &target.executable(&functions, &callbacks)))
        .link_lib_modifier("+whole-archive") // all or nothing: one function of libtch.a would need libtorch
        .compile("mlsm_torch_jumps");
    println!("cargo:rustc-cfg=libtorch_on_demand");
    println!("cargo:rustc-env=MLSM_TORCH_LIBRARY={}", made.display());
    println!("cargo:rustc-env=MLSM_TORCH_TABLE={table}");
}

/// Tells whether torch-sys was asked to link libtorch statically: then there is nothing to load.
fn is_static() -> bool {
    env::var("LIBTORCH_STATIC").is_ok_and(|value| !["0", "false", "FALSE"].contains(&value.as_str()))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
