//! Flags over environment, and the layers of the configuration: preset < file < `MLSM_…` < `--set`.

mod layers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mlsm_pipelines::{Config, DeviceChoice};
use mlsm_remote::{Bucket, Peer};
use mlsm_store::{Access, Patience, Pin, Store};

use crate::cli::{Common, Output};
use crate::environment;
use crate::error::CliError;
use crate::render::stderr;
use crate::{presets, signals};

/// How much is said besides the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors alone.
    Quiet,
    /// Progress.
    Normal,
    /// Every event.
    Verbose,
}

/// What the flags and the environment say, apart from the configuration itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the store; of a place that machines share, the folder of its cache.
    pub store: PathBuf,
    /// The address of a place that machines share.
    shared: Option<String>,
    /// The device asked for.
    pub device: DeviceChoice,
    /// The device as it was written.
    pub device_name: String,
    /// Threads that units computed side by side may keep busy together.
    pub threads: usize,
    /// What stdout carries.
    pub output: Output,
    /// How much is said besides the result.
    pub verbosity: Verbosity,
    /// Whether no remembered digest of a photo is believed.
    rehash: bool,
    config: Option<String>,
    set: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A configuration and the name that ties its runs together.
#[derive(Clone, Debug)]
pub struct NamedConfig {
    /// The name of the preset or the stem of the file.
    pub name: String,
    /// The configuration.
    pub config: Config,
    /// Where each value comes from that is no default, by its key with dots: a file, a preset, a variable or a flag.
    pub origins: BTreeMap<String, String>,
}

/// Whether a command waits for others that use the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It waits until they have finished.
    Allowed,
    /// It ends at once: `--no-wait`.
    Refused,
}

impl Settings {
    /// Fills what flags leave open from the environment, then from defaults.
    ///
    /// # Errors
    /// [`CliError::Usage`] for a device, a number of threads or an output that cannot be read.
    pub fn new(common: Common) -> Result<Self, CliError> {
        let environment = environment::variables().filter(|(key, _)| key.starts_with("MLSM_"));
        Self::with_environment(common, environment.collect())
    }

    fn with_environment(common: Common, environment: Vec<(String, String)>) -> Result<Self, CliError> {
        let variable =
            |name: &str| environment.iter().find(|(k, v)| k == name && !v.is_empty()).map(|(_, v)| v.clone());
        let device_name = common.device.or_else(|| variable("MLSM_DEVICE")).unwrap_or_else(|| "auto".to_owned());
        let device = device_name.parse::<DeviceChoice>().map_err(|_| {
            let why = "a device is `auto`, `cpu`, `cuda` or `cuda:N`";
            CliError::usage(format!("cannot use device `{device_name}`"), why, "give `--device cpu`")
        })?;
        let threads = match (common.threads, variable("MLSM_THREADS")) {
            (Some(threads), _) => Some(threads),
            (None, Some(text)) => Some(text.parse().map_err(|_| not_a_count(&text))?),
            (None, None) => None,
        };
        if threads == Some(0) {
            return Err(not_a_count("0"));
        }
        let output = match (common.output, variable("MLSM_OUTPUT").as_deref()) {
            (Some(output), _) => output,
            (None, Some("json")) => Output::Json,
            (None, Some("text") | None) => Output::Text,
            (None, Some(other)) => {
                let what = format!("cannot use MLSM_OUTPUT `{other}`");
                return Err(CliError::usage(what, "an output is `text` or `json`", "unset MLSM_OUTPUT"));
            }
        };
        let store = common.store.or_else(|| variable("MLSM_STORE")).unwrap_or_else(|| ".mlsm".to_owned());
        let (store, shared) = match Place::of(&store) {
            Place::Folder(path) => (path, None),
            Place::Shared(url) => (cache_of(&url, variable("MLSM_CACHE"))?, Some(url)),
        };
        Ok(Self {
            store,
            shared,
            device,
            device_name,
            threads: threads.unwrap_or_else(all_cores),
            output,
            verbosity: match (common.quiet, common.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, 0) => Verbosity::Normal,
                (false, _) => Verbosity::Verbose,
            },
            rehash: common.rehash,
            config: common.config.or_else(|| variable("MLSM_CONFIG")),
            set: common.set,
            environment,
        })
    }

    /// Tells whether stdout carries JSON alone.
    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// Tells whether the store is the cache of a place that machines share.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Returns where the store is: the address that machines share, or the whole path of the folder.
    pub fn address(&self) -> String {
        let path = || std::path::absolute(&self.store).unwrap_or_else(|_| self.store.clone());
        self.shared.clone().unwrap_or_else(|| path().display().to_string())
    }

    /// Opens the place that machines share, where the store is the cache of one.
    ///
    /// # Errors
    /// [`CliError::Store`] when it cannot be used.
    pub fn open_bucket(&self) -> Result<Option<Bucket>, CliError> {
        self.open_bucket_for(Access::ReadOnly)
    }

    fn open_bucket_for(&self, access: Access) -> Result<Option<Bucket>, CliError> {
        let open = |url: &String| Bucket::open(url, credentials(), access, signals::asked());
        Ok(self.shared.as_ref().map(open).transpose()?)
    }

    /// Returns how a store waits: it obeys signals, and says for whom it waits.
    pub fn patience(&self, waiting: Waiting) -> Patience {
        let patience = Patience::new(signals::asked());
        let patience = if waiting == Waiting::Refused { patience.without_waiting() } else { patience };
        match self.is_json() || self.verbosity == Verbosity::Quiet {
            true => patience,
            false => patience.telling(stderr::line),
        }
    }

    /// Opens the store, and waits for a collection that has it to itself.
    ///
    /// # Errors
    /// As [`Settings::open_store_with`].
    pub fn open_store(&self, access: Access) -> Result<Store, CliError> {
        self.open_store_with(access, Waiting::Allowed)
    }

    /// Opens the store. That of a place that machines share is its cache, which is always written; who opens it for
    /// writing also takes a place among those who write there.
    ///
    /// # Errors
    /// [`CliError::Store`] when it cannot be used, or is busy and waiting is refused.
    pub fn open_store_with(&self, access: Access, waiting: Waiting) -> Result<Store, CliError> {
        let patience = self.patience(waiting);
        let store = match self.open_bucket_for(access)? {
            None => Store::open_with(&self.store, access, &patience)?,
            Some(bucket) => self.open_cache(bucket, access, &patience)?,
        };
        if self.rehash {
            store.rehash();
        }
        Ok(store)
    }

    /// Opens the store to look at it; a place where none is yet counts as an empty one.
    ///
    /// # Errors
    /// [`CliError::Store`] when something else is there.
    pub fn look_at_store(&self) -> Result<Store, CliError> {
        match !self.is_shared() && Store::is_absent(&self.store)? {
            true => Ok(Store::absent(&self.store)),
            false => self.open_store(Access::ReadOnly),
        }
    }

    fn open_cache(&self, bucket: Bucket, access: Access, patience: &Patience) -> Result<Store, CliError> {
        let store = Store::open_with(&self.store, Access::ReadWrite, patience)?;
        let place = access.is_writing().then(|| bucket.join()).transpose()?;
        let here: BTreeSet<String> = store.runs().list()?.into_iter().map(|run| run.run_id).collect();
        for run_id in bucket.runs()?.difference(&here) {
            patience.check()?;
            bucket.run(run_id)?.map(|record| store.runs().append(&record)).transpose()?;
        }
        let pins = bucket.pins()?;
        for run_id in pins.symmetric_difference(&store.pinned()) {
            let pin = if pins.contains(run_id) { Pin::Set } else { Pin::Removed };
            store.pin(run_id, pin)?;
        }
        store.connect(Box::new(bucket), place);
        if access.is_writing() {
            store.offer_pending()?;
        }
        Ok(store)
    }

    /// Merges the layers of the configuration and checks the result.
    ///
    /// # Errors
    /// [`CliError::Usage`] when none is named or a file cannot be read, [`CliError::Config`] when a key is refused.
    pub fn load_config(&self) -> Result<NamedConfig, CliError> {
        let Some(reference) = &self.config else {
            let fix = format!("give `--config FILE`, or a preset: {}", presets::names().join(", "));
            return Err(CliError::usage("no configuration", "neither --config nor MLSM_CONFIG names one", fix));
        };
        self.load(reference)
    }

    /// Tells whether a flag or the environment names a configuration, or sets a key of it.
    pub fn has_configuration(&self) -> bool {
        self.config.is_some() || !self.set.is_empty()
    }

    /// Returns the name of the configuration, whether it can be read or not; empty where none is named.
    pub fn config_name(&self) -> String {
        self.config.as_deref().map(name_of).unwrap_or_default()
    }

    /// Does the same with a preset where none is named.
    ///
    /// # Errors
    /// As [`Settings::load_config`].
    pub fn load_config_or(&self, preset: &str) -> Result<NamedConfig, CliError> {
        self.load(self.config.as_deref().unwrap_or(preset))
    }

    /// Returns the configuration where flags or `MLSM_CONFIG` ask for one: a name, or keys over a preset.
    ///
    /// # Errors
    /// As [`Settings::load_config`].
    pub fn given_config(&self, preset: &str) -> Result<Option<NamedConfig>, CliError> {
        let is_given = self.config.is_some() || !self.set.is_empty();
        is_given.then(|| self.load_config_or(preset)).transpose()
    }

    fn load(&self, reference: &str) -> Result<NamedConfig, CliError> {
        let here = std::env::current_dir().map_err(|source| {
            let why = source.to_string();
            CliError::usage("cannot find the working folder", why, "change to a folder that exists")
        })?;
        let mut layers = layers::read(reference, &here)?;
        layers::apply_environment(&mut layers, &self.environment, &here)?;
        layers::apply_set(&mut layers, &self.set, &here)?;
        let mut config = Config::from_table(layers.table)?;
        config.resolve_paths(&here);
        Ok(NamedConfig { name: name_of(reference), config, origins: layers.origins })
    }
}

/// Reads a preset as it is built in, whatever files and variables say; `None` where there is none of that name.
pub fn preset(name: &str) -> Option<Config> {
    presets::find(name)?;
    let no_folder = Path::new("/dev/null"); // no file of that name is read instead
    Config::from_table(layers::read(name, no_folder).ok()?.table).ok()
}

fn name_of(reference: &str) -> String {
    let stem = Path::new(reference).file_stem().map(|s| s.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| reference.to_owned())
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Where a store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a local folder.
    Folder(PathBuf),
    /// Where machines share it, by its address.
    Shared(String),
}

impl Place {
    /// Reads a path or an address; `file://` is a folder.
    pub fn of(text: &str) -> Self {
        match text.split_once("://") {
            Some(("file", path)) => Self::Folder(PathBuf::from(path)),
            Some(_) => Self::Shared(text.trim_end_matches('/').to_owned()),
            None => Self::Folder(PathBuf::from(text)),
        }
    }
}

/// What the environment says of object stores: credentials, addresses, regions.
pub fn credentials() -> Vec<(String, String)> {
    let of_services = |key: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| key.starts_with(prefix));
    let found = environment::variables().filter(|(key, _)| of_services(key));
    found.map(|(key, value)| (key.to_lowercase(), value)).collect()
}

/// The folder that holds what was used of a place that machines share.
fn cache_of(url: &str, given: Option<String>) -> Result<PathBuf, CliError> {
    let variable = |name: &str| environment::variable(name).map(PathBuf::from);
    let of_user = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let folder = given.map(PathBuf::from).or_else(|| Some(of_user()?.join("mlsm/stores")));
    let folder = folder.ok_or_else(|| {
        CliError::usage("no folder for the cache", "neither MLSM_CACHE nor HOME is set", "set MLSM_CACHE to a folder")
    })?;
    Ok(folder.join(mlsm_store::Digest::of(url.as_bytes()).short()))
}

fn not_a_count(text: &str) -> CliError {
    let what = format!("cannot use {text} threads");
    CliError::usage(what, "a number of threads is a whole number above 0", "give `--threads 2`, or leave it out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(common: Common, environment: &[(&str, &str)]) -> Result<Settings, CliError> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::with_environment(common, environment)
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let common = Common { store: Some("flag".into()), ..Common::default() };
        let environment = [("MLSM_STORE", "variable"), ("MLSM_THREADS", "3"), ("MLSM_OUTPUT", "json")];
        let settings = settings(common, &environment).unwrap();
        assert_eq!(settings.store, PathBuf::from("flag"));
        assert_eq!(settings.threads, 3);
        assert!(settings.is_json());
    }

    #[test]
    fn an_unusable_device_or_count_is_a_usage_error() {
        for variable in [("MLSM_DEVICE", "gpu"), ("MLSM_THREADS", "many"), ("MLSM_THREADS", "0")] {
            assert_eq!(settings(Common::default(), &[variable]).unwrap_err().exit_code(), 2, "{variable:?}");
        }
    }

    #[test]
    fn without_a_configuration_the_error_names_the_way_to_give_one() {
        let error = settings(Common::default(), &[]).unwrap().load_config().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.render().contains("--config FILE"), "{}", error.render());
    }

    #[test]
    fn runs_of_a_file_are_tied_together_by_its_stem() {
        assert_eq!(name_of("configs/demo.toml"), "demo");
        assert_eq!(name_of("demo"), "demo");
    }
}
