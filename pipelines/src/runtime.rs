//! Where computing happens: resolved when the first node must execute, recorded as provenance, never in a recipe.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use mlsm_engine::StageError;
use mlsm_errors::{Explain, Explanation};
use mlsm_nets::DeviceChoice;
use tch::Device;

/// The libtorch that the program is made for; a fitting one is checked when it is set up.
const LIBTORCH_VERSION: &str = "2.11.0";

/// The device and torch's threads, shared by the stages of one process.
pub struct Runtime {
    choice: DeviceChoice,
    threads: usize,
    device: OnceLock<Result<Device, Explanation>>,
}

impl Runtime {
    /// Remembers what was asked for; nothing of torch is touched yet.
    pub fn new(choice: DeviceChoice, threads: usize) -> Self {
        Self { choice, threads, device: OnceLock::new() }
    }

    /// Returns the device; the first call loads what it needs and sets torch up.
    ///
    /// # Errors
    /// [`StageError::Setup`] when the device asked for is not there.
    pub fn device(&self) -> Result<Device, StageError> {
        let resolved = self.device.get_or_init(|| {
            mlsm_nets::load_torch().and_then(|()| mlsm_nets::pick(self.choice)).map_err(|e| e.explain())
        });
        let device = resolved.clone().map_err(StageError::Setup)?;
        self.use_threads(self.threads);
        Ok(device)
    }

    /// Returns how many threads a unit keeps busy that computes here: torch's own, or all there are where a CUDA card
    /// computes, whose memory units do not share.
    pub fn occupied(&self) -> usize {
        match self.device() {
            Ok(Device::Cuda(_)) => usize::MAX,
            _ => self.threads,
        }
    }

    /// Sets torch's threads inside one operation, for the thread that calls: what a checkpoint was made with is what it
    /// goes on with.
    pub fn use_threads(&self, threads: usize) {
        tch::get_num_threads(); // a thread's first question takes over the count that any thread has set last
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    }

    /// Returns torch's threads as configured.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Returns what a manifest says of how its bytes came about.
    ///
    /// # Errors
    /// As [`Runtime::device`].
    pub fn provenance(&self) -> Result<BTreeMap<String, String>, StageError> {
        let device = match self.device()? {
            Device::Cuda(n) => format!("cuda:{n}"),
            _ => "cpu".to_owned(),
        };
        let facts = [
            ("device", device),
            ("cpu", cpu_model()),
            ("torch_threads", tch::get_num_threads().to_string()),
            ("libtorch", LIBTORCH_VERSION.to_owned()),
        ];
        Ok(facts.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    line.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.trim().to_owned())
}
