//! The variables of the environment: the one place of the program that reads them.

#![expect(clippy::disallowed_methods, reason = "the one place of the program that reads the environment")]

use std::ffi::OsString;
use std::path::PathBuf;

/// Returns a variable that is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns all variables that are text.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

/// Returns the program's folder of caches, which need not be there; `None` when no variable says where a user's lie.
pub fn caches() -> Option<PathBuf> {
    let of_home = || Some(PathBuf::from(variable("HOME")?).join(".cache"));
    Some(variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(of_home)?.join("mlsm"))
}
