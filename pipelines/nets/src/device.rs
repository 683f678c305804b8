//! Where tensors live: parses the user's choice, loads CUDA when asked for, says why a device cannot be used.
//!
//! The program loads the CPU libtorch only. CUDA registers itself when `libtorch_cuda.so` is loaded, and only if that
//! happens before the first CUDA query of the process: so every query goes through [`pick`].

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use mlsm_errors::Explain;
use tch::{Cuda, Device};

use crate::error::NetError;
use crate::libtorch::{load_torch, torch_folder};

/// The device that the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA when a card can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA card of this index; an error when it is absent.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let unknown =
            || NetError::UnknownName { what: "device", given: text.to_owned(), known: "auto, cpu, cuda, cuda:N" };
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(DeviceChoice::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// Resolves the choice to a device of this machine; loads CUDA's library unless the CPU is asked for.
///
/// # Errors
/// [`NetError::DeviceAbsent`] when a named CUDA card cannot be used, with the reason.
pub fn pick(choice: DeviceChoice) -> Result<Device, NetError> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(if cuda_cards() > 0 { Device::Cuda(0) } else { Device::Cpu }),
        DeviceChoice::Cuda(index) if index < cuda_cards() => Ok(Device::Cuda(index)),
        DeviceChoice::Cuda(_) => {
            load_torch()?;
            let why = match load_cuda() {
                Err(reason) => format!("this libtorch has no CUDA ({reason})"),
                Ok(()) => format!("CUDA is there, with {} cards that can be used", cuda_cards()),
            };
            Err(NetError::DeviceAbsent { device: choice.to_string(), why })
        }
    }
}

/// Sets how many threads one tensor operation uses. It changes last bits of results: record it with them.
pub fn set_threads(count: u16) {
    tch::set_num_threads(i32::from(count));
}

/// How many CUDA cards can be used.
fn cuda_cards() -> usize {
    match load_cuda() {
        Ok(()) => usize::try_from(Cuda::device_count()).unwrap_or(0),
        Err(_) => 0,
    }
}

/// Loads `libtorch_cuda.so` once per process, before any CUDA query.
fn load_cuda() -> Result<(), &'static str> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED
        .get_or_init(|| {
            load_torch().map_err(|error| error.explain().to_string())?;
            open_cuda_library()
        })
        .as_ref()
        .copied()
        .map_err(String::as_str)
}

/// Opens CUDA's library in the folder of the libtorch that is loaded, else wherever the loader finds one.
#[cfg(unix)]
fn open_cuda_library() -> Result<(), String> {
    use std::ffi::{CStr, CString};
    use std::os::unix::ffi::OsStrExt as _;

    const NAME: &str = "libtorch_cuda.so";
    let beside = torch_folder().map(|folder| folder.join(NAME)).filter(|path| path.exists());
    let path = beside.map_or_else(|| NAME.into(), |path| path.into_os_string());
    let path = CString::new(path.as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: the name is NUL-terminated; dlerror's string is copied at once; loading registers kernels in the library's
    // own static constructors and runs no code of ours.
    unsafe {
        if !libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            return Ok(());
        }
        let reason = libc::dlerror();
        if reason.is_null() {
            return Err(format!("{NAME} cannot be loaded"));
        }
        Err(CStr::from_ptr(reason).to_string_lossy().into_owned())
    }
}

#[cfg(not(unix))]
fn open_cuda_library() -> Result<(), String> {
    Err("loading CUDA is written for Unix only".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_survives_writing_and_reading() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0), DeviceChoice::Cuda(3)] {
            assert_eq!(choice.to_string().parse::<DeviceChoice>().unwrap(), choice);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        assert!("gpu".parse::<DeviceChoice>().is_err());
        assert!("cuda:x".parse::<DeviceChoice>().is_err());
    }

    #[test]
    fn the_cpu_is_always_there_and_an_absurd_card_never() {
        assert_eq!(pick(DeviceChoice::Cpu).unwrap(), Device::Cpu);
        assert!(pick(DeviceChoice::Auto).is_ok());
        let error = pick(DeviceChoice::Cuda(9999)).unwrap_err();
        assert!(error.to_string().contains("cuda:9999"), "{error}");
    }
}
