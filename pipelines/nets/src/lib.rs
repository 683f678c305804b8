//! Backbones, few-shot methods, Grad-CAM, optimisers and weights.
//!
//! Tensors in, tensors out: nothing here knows of files, stores, configurations or episodes. See `README.md`.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files and measure"))]

mod activation;
mod adam;
mod augment;
mod autodiff;
mod backbone;
mod cam;
mod cam_box;
mod classifier;
mod device;
mod draw;
mod error;
mod layers;
mod libtorch;
mod methods;
mod pack;
mod params;
mod phase;
mod process;
mod pth;
#[cfg(test)]
mod rounding;
mod weights;

pub use activation::{Descriptors, class_activation, class_free, descriptor_transform};
pub use adam::{Adam, Decay};
pub use augment::{Augmentation, augment};
pub use autodiff::{clip_grad_norm, clip_grad_value, gradients};
pub use backbone::{
    Backbone, BackboneKind, BackboneSpec, ColourSums, Colours, Features, Input, Norm, backbone, constant_colours,
};
pub use cam::{Cam, CamClass, enlarge_map, grad_cam};
pub use cam_box::{BoxOptions, Region, cam_box};
pub use classifier::{Classifier, Head};
pub use device::{DeviceChoice, pick, set_threads};
pub use error::NetError;
pub use libtorch::{load_torch, torch_folder, torch_library};
pub use methods::{
    AnchorKind, Described, FuseNorm, Fusion, FusionPoint, GapSource, Head as MethodHead, Levels, Loss, METHODS, Method,
    MethodKind, Metric, Mlsm, MlsmOptions, Pair, Prototypical, Reads, Refused, Shape, ShotPool, SimpleShot, Support,
    Switches, TrainingDefaults, VECTOR, cl2n, class_mean_scores, class_means, method,
};
pub use pack::{pack, unpack};
pub use params::{Params, Precision, Role, Slot};
pub use phase::Phase;
pub use process::{keep_heap, leave};
pub use pth::read_pth;
pub use tch::{self, Device, Kind, Tensor};
pub use weights::{Lite0Weights, backbone_weights, lite0_weights};
