//! libtorch, loaded when something is computed: a program that only looks starts without it.
//!
//! `build/` links torch-sys' C++ half into `libmlsm_torch.so`, and the program with jumps through a table. Loading the
//! library exchanges that table, once. Where libtorch is linked in (not Linux, or static), nothing remains to be done.

use std::path::PathBuf;

use crate::error::NetError;

/// Loads libtorch; the first call in a process takes a third of a second.
///
/// # Errors
/// [`NetError::TorchAbsent`] when the library, or the libtorch that it needs, cannot be loaded.
pub fn load_torch() -> Result<(), NetError> {
    #[cfg(libtorch_on_demand)]
    on_demand::load()?;
    Ok(())
}

/// Returns the shared library that calls libtorch, whether it is loaded or not; `None` where libtorch is linked in.
pub fn torch_library() -> Option<PathBuf> {
    #[cfg(libtorch_on_demand)]
    return Some(on_demand::place());
    #[cfg(not(libtorch_on_demand))]
    None
}

/// Returns the folder of the libtorch that this process has loaded; `None` where none is, or its place is not known.
pub fn torch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    let loaded =
        paths.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libtorch_cpu")));
    loaded?.parent().map(PathBuf::from)
}

#[cfg(libtorch_on_demand)]
mod on_demand {
    use std::ffi::{CStr, CString, c_void};
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use crate::error::NetError;

    const NAME: &str = "libmlsm_torch.so";
    /// The library of the build, where none was laid beside the program.
    const BUILT: &str = env!("MLSM_TORCH_LIBRARY");
    /// The library's table and its pointer to our callbacks; the names are made of the functions in them.
    const SYMBOLS: [&str; 2] =
        [concat!(env!("MLSM_TORCH_TABLE"), "\0"), concat!(env!("MLSM_TORCH_TABLE"), "_callbacks\0")];

    unsafe extern "C" {
        /// Where the jumps find their functions.
        #[link_name = "mlsm_torch_table"]
        static CURRENT: AtomicPtr<c_void>;
        /// The functions of this program that the library calls back.
        #[link_name = "mlsm_torch_callbacks"]
        static CALLBACKS: c_void;
    }

    /// Loads the library and lets the jumps lead into it.
    pub fn load() -> Result<(), NetError> {
        static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
        let loaded = LOADED.get_or_init(|| {
            let table = open(&place())?;
            // SAFETY: the jumps define this pointer and read it whole; the table has their functions in their order.
            unsafe { CURRENT.store(table, Ordering::Release) };
            Ok(())
        });
        loaded.clone().map_err(|why| NetError::TorchAbsent { why })
    }

    /// Returns the first library found: beside the program, in the `lib` beside its folder, where it was built.
    pub fn place() -> PathBuf {
        let program = std::env::current_exe().unwrap_or_default();
        let beside = program.parent().map(|folder| [folder.join(NAME), folder.join("../lib").join(NAME)]);
        beside.into_iter().flatten().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(BUILT))
    }

    /// Opens the library, gives it the functions that it calls back, and returns its table.
    fn open(path: &Path) -> Result<*mut c_void, String> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: the names are NUL-terminated; loading runs libtorch's static constructors and no code of ours; the
        // library is never closed, so its table stays where it is. The second symbol is a pointer to be set, as both
        // halves are made by one build script, which the table's name proves.
        unsafe {
            let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
            if library.is_null() {
                return Err(last_error());
            }
            let [table, callbacks] = SYMBOLS.map(|symbol| libc::dlsym(library, symbol.as_ptr().cast()));
            if table.is_null() || callbacks.is_null() {
                return Err(format!("{} was made by another build of this program", path.display()));
            }
            *callbacks.cast::<*const c_void>() = &raw const CALLBACKS;
            Ok(table)
        }
    }

    /// # Safety
    /// Called right after a call of the loader that failed, in the same thread.
    unsafe fn last_error() -> String {
        // SAFETY: dlerror returns null or a string that lives until the next call; it is copied at once.
        unsafe {
            let text = libc::dlerror();
            if text.is_null() {
                "no reason given".to_owned()
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            }
        }
    }

    /// The first call of a function of libtorch before [`load`]: loads it, or ends the program with the reason, as a C
    /// function cannot fail. Stages call [`load`] first, so that they can report the reason as theirs.
    #[unsafe(no_mangle)]
    extern "C" fn mlsm_torch_demanded() {
        if let Err(error) = load() {
            use std::io::Write as _;

            use mlsm_errors::Explain;
            let _ = writeln!(std::io::stderr(), "error: {}", error.explain());
            crate::leave(2);
        }
    }
}
