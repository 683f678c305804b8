//! Points tests at the libtorch they were linked against, so that they run with no variable exported.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "cargo passes variables to build scripts and reads what they print"
)]
fn main() {
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
