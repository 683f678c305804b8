//! `[cam]`, `[extract]`: where objects are, and how features are stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::in_range;
use crate::config::ConfigError;

/// What the object level of a row looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectSource {
    /// The box of Grad-CAM.
    GradCam,
    /// The box of CAM, for localisers with a head on the mean.
    Cam,
    /// The box of deep descriptor transforming.
    Ddt,
    /// The box of the mean activation with a centre prior: no class is asked.
    ClassFree,
    /// The whole photo once more: is O just a second pass?
    WholeTwice,
    /// A fixed box in the centre, 70 % of each side.
    CentreBox,
    /// The true box of the data set.
    OracleBox,
}

impl ObjectSource {
    pub(super) const ALL: [Self; 7] =
        [Self::GradCam, Self::Cam, Self::Ddt, Self::ClassFree, Self::WholeTwice, Self::CentreBox, Self::OracleBox];

    /// Tells whether a localiser finds the object.
    pub fn is_located(self) -> bool {
        matches!(self, Self::GradCam | Self::Cam | Self::Ddt | Self::ClassFree)
    }

    /// Tells whether a localiser finds the object without asking for a class.
    pub fn is_class_free(self) -> bool {
        matches!(self, Self::Ddt | Self::ClassFree)
    }

    /// Returns the name as in the configuration and in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::GradCam => "grad-cam",
            Self::Cam => "cam",
            Self::Ddt => "ddt",
            Self::ClassFree => "class-free",
            Self::WholeTwice => "whole-twice",
            Self::CentreBox => "centre-box",
            Self::OracleBox => "oracle-box",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == name)
    }
}

/// Whose evidence is drawn, where a localiser asks for a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CamClass {
    /// The base class with the largest logit.
    Argmax,
    /// The photo's own class where it is a base class, else the one with the largest logit.
    LabelIfBase,
    /// The five base classes with the largest logits.
    TopkMean,
}

/// Which bright places of a map count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CamRegion {
    /// All of them.
    All,
    /// The largest connected group.
    LargestComponent,
}

/// Which pixels a crop is cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CropFrom {
    /// The photo itself, reopened and checked: all its detail.
    Original,
    /// The squashed pixels that the localiser saw (likely the paper's way).
    Squashed,
}

/// `[cam]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cam {
    /// The base CNN, by name, whose maps locate objects.
    pub localiser: String,
    /// What O looks at in sections that do not say: one of the located sources.
    pub method: ObjectSource,
    /// Whose evidence is drawn, for `grad-cam` and `cam`.
    pub class: CamClass,
    /// The map that `ddt` and `class-free` read: 0 is the localiser's last, 1 that of the layer before it.
    pub layers_back: usize,
    /// Which places that reach the threshold count.
    pub region: CamRegion,
    /// Positions of the min–max normalised map at or above it belong to the object.
    pub threshold: f64,
    /// Further thresholds whose boxes are measured, not used.
    pub audit: Vec<f64>,
    /// The share of the box's side that is added on each side.
    pub margin: f64,
    /// A box narrower than this share of the photo's side counts as empty.
    pub min_box: f64,
    /// Which pixels a crop is cut from.
    pub crop_from: CropFrom,
}

impl Default for Cam {
    fn default() -> Self {
        Self {
            localiser: String::new(),
            method: ObjectSource::GradCam,
            class: CamClass::Argmax,
            layers_back: 0,
            region: CamRegion::All,
            threshold: 0.3,
            audit: Vec::new(),
            margin: 0.0,
            min_box: 0.05,
            crop_from: CropFrom::Original,
        }
    }
}

impl Cam {
    /// Returns what tables say of the boxes of an object source: nothing where no localiser draws them.
    pub fn label(&self, object: ObjectSource) -> String {
        let back = match self.layers_back {
            n if n > 0 && object.is_class_free() => format!("[layers_back={n}]"),
            _ => String::new(),
        };
        if object.is_located() { format!("{}{back}@{}", self.localiser, self.threshold) } else { String::new() }
    }

    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        for threshold in self.audit.iter().chain([&self.threshold]) {
            in_range("cam.threshold", *threshold, 0.0, 1.0)?;
        }
        if !self.method.is_located() {
            let why = format!("`{}` is a control, not a localiser", self.method.name());
            let fix = "use grad-cam, cam, ddt or class-free; controls stand in `meta-train.NAME.object`".to_owned();
            return Err(ConfigError::invalid("cam.method", &why).with_fix(fix));
        }
        in_range("cam.margin", self.margin, 0.0, 2.0)?;
        in_range("cam.min_box", self.min_box, 0.0, 1.0)
    }
}

/// The number format of stored feature maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MapPrecision {
    /// Half the space; heads are trained on the rounded values.
    F16,
    /// As computed.
    F32,
}

/// `[extract]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Extract {
    /// The number format of stored feature maps; embeddings are always f32.
    pub maps: MapPrecision,
}

impl Default for Extract {
    fn default() -> Self {
        Self { maps: MapPrecision::F16 }
    }
}
