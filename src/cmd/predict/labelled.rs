//! Where labelled photos come from: a folder of them, or a support file that keeps their features.

use std::path::Path;

use mlsm_data::{Links, OwnPhotos};
use mlsm_pipelines::support::{NewPhotos, Support};
use mlsm_pipelines::{
    Assembly, Config, Execution, Preparation, Purpose, Scene, assemble, imported_weights, prepare_beside,
};

use super::{NODE, PRESET, chosen};
use crate::error::CliError;
use crate::settings::{NamedConfig, Settings};

/// Labelled photos, and the photos asked for.
pub struct Labelled {
    /// The configuration that predicts.
    pub config: NamedConfig,
    /// The photos.
    pub own: OwnPhotos,
    file: Option<Support>,
}

/// What predicts, or makes a support file.
pub struct Prepared {
    /// The configuration.
    pub config: NamedConfig,
    /// The photos.
    pub scene: Scene,
    /// The graph of what is to be computed.
    pub assembly: Assembly,
    /// The node of the row.
    pub node: String,
}

impl Labelled {
    /// Lists the photos; of a support file, those asked for alone.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, of the folders, or of the file.
    pub fn open(support: &Path, query: &Path, settings: &Settings) -> Result<Self, CliError> {
        if support.exists() && !support.is_dir() {
            let file = Support::read(support)?;
            let config = config_of(&file)?;
            let own = file.asking(query, links(&config.config))?;
            return Ok(Self { config, own, file: Some(file) });
        }
        let config = settings.load_config_or(PRESET)?;
        let own = OwnPhotos::open(support, query, links(&config.config))?;
        Ok(Self { config, own, file: None })
    }

    /// Assembles the graph: with a support file, of the photos asked for alone.
    ///
    /// # Errors
    /// [`CliError`] when the configuration, the weights or the row do not fit.
    pub fn prepare(self, row: Option<&str>, with: &Preparation<'_>, settings: &Settings) -> Result<Prepared, CliError> {
        let Self { config, own, file } = self;
        let execution = Execution { device: settings.device };
        let Some(file) = file else {
            let scene = prepare_beside(own, &config.config, with)?;
            let assembly = assemble(&config.config, &scene, &execution)?;
            let node = chosen(&assembly, row)?;
            return Ok(Prepared { config, scene, assembly, node });
        };
        if let Some(row) = row.filter(|row| *row != file.row()) {
            let why = format!("the support file was made for row {}", file.row());
            let fix = "leave --row out, or build a support file for the other row";
            return Err(CliError::usage(format!("cannot predict with row {row}"), why, fix));
        }
        check_given(&file, with, settings)?;
        wired(&file, config, (own, NewPhotos::AskedFor), with, settings)
    }
}

/// Lays a support file's features under photos that are asked for, or that are to join it.
///
/// # Errors
/// [`CliError`] when the file was made by another version of the program or with other weights.
pub fn wired(
    file: &Support,
    config: NamedConfig,
    (own, new): (OwnPhotos, NewPhotos),
    with: &Preparation<'_>,
    settings: &Settings,
) -> Result<Prepared, CliError> {
    let scene = file.prepare(own, with)?;
    let whole = assemble(&config.config, &scene, &Execution { device: settings.device })?;
    let node = format!("{NODE}{}", file.row());
    let assembly = file.wire(whole, &scene, (&node, new), with.store)?;
    Ok(Prepared { config, scene, assembly, node })
}

/// Refuses a configuration that is given beside the file and is not its own.
fn check_given(file: &Support, with: &Preparation<'_>, settings: &Settings) -> Result<(), CliError> {
    let Some(given) = settings.given_config(PRESET)? else { return Ok(()) };
    let look = Preparation { purpose: Purpose::Plan, ..*with };
    Ok(file.check_config(&given.config, &imported_weights(&given.config, &look)?)?)
}

/// Returns the configuration of a support file.
///
/// # Errors
/// [`CliError`] when this program does not know a key of it.
pub fn config_of(file: &Support) -> Result<NamedConfig, CliError> {
    Ok(NamedConfig { name: file.preset().to_owned(), config: file.config()?, origins: Default::default() })
}

/// Says what becomes of links below folders.
pub fn links(config: &Config) -> Links {
    if config.data.follow_links { Links::Followed } else { Links::LeftOut }
}
