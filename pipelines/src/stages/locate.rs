//! `crop`, its first part: where each photo's object is, as maps of the localiser's own size.
//!
//! Four methods, so that what a localiser brings can be told from what any look at the middle brings.

use std::sync::Arc;

use mlsm_data::Part;
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_nets::{CamClass, Descriptors, Phase, class_activation, class_free, descriptor_transform, grad_cam};
use mlsm_store::{Blob, Field};
use tch::{Device, Kind, Tensor};

use super::extract::floats;
use super::ports::{self, Side};
use crate::artifact::{Array, Gallery, PackedPixels, decode, encode};
use crate::base_net::{BaseNet, BaseNetCache, BaseNetShape};
use crate::error::{net_error, torch_error};
use crate::recipe::{field, word};
use crate::runtime::Runtime;

/// The port that takes packed pixels of base photos.
const BASE: &str = ports::rows(Side::Image, Part::Base);

const FORWARD_BATCH: usize = 64;

/// How a map is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapMethod {
    /// Gradients of a base class (paper eq. 2).
    GradCam,
    /// The weights of a base class.
    Cam,
    /// The first principal direction of base photos' descriptors.
    Ddt,
    /// The mean activation, with a centre prior.
    ClassFree,
}

impl MapMethod {
    fn name(self) -> &'static str {
        match self {
            Self::GradCam => "grad-cam",
            Self::Cam => "cam",
            Self::Ddt => "ddt",
            Self::ClassFree => "class-free",
        }
    }
}

/// The base class whose evidence is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedClass {
    /// The one with the largest logit.
    Largest,
    /// Those with the largest logits, [`TOP_CLASSES`] of them.
    TopMean,
    /// This one, by its id.
    Given(u32),
}

/// How many classes speak for an object where several do.
pub const TOP_CLASSES: i64 = 5;

/// Fits deep descriptor transforming to base photos.
///
/// Inputs: `backbone`, and packed pixels of base photos. Output: `fit` (mean_and_direction f32 `[2, c]`).
pub struct FitDescriptors {
    /// The localiser.
    pub shape: BaseNetShape,
    /// How many layers before the last one the descriptors are taken.
    pub layers_back: usize,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
    /// The network, kept between units.
    pub cache: Arc<BaseNetCache>,
}

impl Task for FitDescriptors {
    fn stage(&self) -> &'static str {
        "crop"
    }

    fn version(&self) -> u32 {
        3
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { shape, layers_back, runtime: _, cache: _ } = self;
        let mut fields = vec![field("what", "ddt-fit"), field("layers_back", *layers_back as i64)];
        fields.extend(shape.fields());
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        vec![Port::one("backbone"), Port::many(BASE)]
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["fit"]
    }

    fn threads(&self) -> usize {
        self.runtime.occupied()
    }

    fn wants_device(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let device = self.runtime.device()?;
        let gallery = Gallery::open(context, BASE, "pixels")?;
        let images: Vec<_> = gallery.classes().values().flatten().copied().collect();
        let fitted = self.cache.with(context, &self.shape, device, |net| {
            let _guard = tch::no_grad_guard();
            let mut descriptors = Descriptors::new(device);
            for chunk in images.chunks(FORWARD_BATCH) {
                context.check()?;
                let pixels = gallery.gather(chunk, device)?;
                descriptors.add(&map_before(net, &net.backbone.normalise(&pixels), self.layers_back));
            }
            floats(&descriptors.first_direction())
        })?;
        let packed = Array::f32(&[2, fitted.len() / 2], &fitted);
        let bytes = encode(&[("mean_and_direction", packed)])?;
        Ok(Outputs::default().with("fit", context.put(&bytes)?).made_by(&self.runtime.provenance()?))
    }
}

/// Computes the raw maps of one shard.
///
/// Inputs: `backbone`, `pixels`; `head` and `classes` for the methods that ask a class; `fit` for DDT. Output: `cam`
/// (image_id, raw f32 `[n, h, w]`, class_id, or -1 where no class is asked, peak).
pub struct LocateObjects {
    /// How a map is made.
    pub method: MapMethod,
    /// Whose evidence is drawn, where a class is asked.
    pub class: AskedClass,
    /// The localiser.
    pub shape: BaseNetShape,
    /// How many layers before the last one the map is taken, for the methods that ask no class.
    pub layers_back: usize,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
    /// The network, kept between shards.
    pub cache: Arc<BaseNetCache>,
}

impl Task for LocateObjects {
    fn stage(&self) -> &'static str {
        "crop"
    }

    fn version(&self) -> u32 {
        3
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { method, class, shape, layers_back, runtime: _, cache: _ } = self;
        let mut fields = vec![field("what", method.name()), field("layers_back", *layers_back as i64)];
        fields.extend(shape.fields());
        fields.push(field("head", word(shape.head)));
        match class {
            AskedClass::Largest => {}
            AskedClass::TopMean => fields.push(field("class", format!("mean of the top {TOP_CLASSES}"))),
            AskedClass::Given(id) => fields.push(field("class", *id)),
        }
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        let asked: &[_] = match self.method {
            MapMethod::GradCam | MapMethod::Cam => &["backbone", "head", "classes", "pixels"],
            MapMethod::Ddt => &["backbone", "fit", "pixels"],
            MapMethod::ClassFree => &["backbone", "pixels"],
        };
        asked.iter().map(|name| Port::one(name)).collect()
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["cam"]
    }

    fn threads(&self) -> usize {
        self.runtime.occupied()
    }

    fn wants_device(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let device = self.runtime.device()?;
        let pixels = PackedPixels::open(context)?;
        let fit = if self.method == MapMethod::Ddt { Some(read_fit(&context.open("fit")?, device)?) } else { None };
        let (mut raw, mut classes, mut peaks, mut side) = (Vec::new(), Vec::new(), Vec::new(), 0);
        self.cache.with(context, &self.shape, device, |net| {
            for images in pixels.batches(FORWARD_BATCH, device) {
                context.check()?;
                let x = net.backbone.normalise(&images?);
                let (maps, chosen) = self.maps(net, &x, fit.as_ref())?;
                side = maps.size()[1] as usize;
                raw.extend(floats(&maps)?);
                peaks.extend(floats(&maps.amax([1i64, 2].as_slice(), false))?);
                classes.extend(class_ids(net, chosen, x.size()[0])?);
            }
            Ok(())
        })?;
        let bytes = encode(&[
            ("image_id", Array::i64(&pixels.ids)),
            ("raw", Array::f32(&[pixels.ids.len(), side, side], &raw)),
            ("class_id", Array::i64(&classes)),
            ("peak", Array::f32(&[pixels.ids.len()], &peaks)),
        ])?;
        Ok(Outputs::default().with("cam", context.put(&bytes)?).made_by(&self.runtime.provenance()?))
    }
}

impl LocateObjects {
    /// Says whose evidence is drawn in each of `count` images.
    fn class(&self, net: &BaseNet, count: i64) -> Result<CamClass, StageError> {
        Ok(match self.class {
            AskedClass::Largest => CamClass::ArgMax,
            AskedClass::TopMean => CamClass::TopMean(TOP_CLASSES),
            AskedClass::Given(id) => {
                let index = net.classes.iter().position(|class| *class == i64::from(id));
                let index = index.ok_or_else(|| StageError::defect(format!("class {id} is no base class")))?;
                CamClass::Given(Tensor::full([count], index as i64, (Kind::Int64, Device::Cpu)))
            }
        })
    }

    /// Returns the raw maps `[n, h, w]` and, where a class was asked, its index `[n]`.
    fn maps(&self, net: &BaseNet, x: &Tensor, fit: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>), StageError> {
        let head = || net.head.as_ref().ok_or_else(|| StageError::defect("the localiser has no head"));
        if self.method == MapMethod::GradCam {
            let cam = grad_cam(net.backbone.as_ref(), head()?, x, self.class(net, x.size()[0])?).map_err(net_error)?;
            return Ok((cam.raw, Some(cam.class)));
        }
        let _guard = tch::no_grad_guard();
        let features = map_before(net, x, self.layers_back);
        match (self.method, fit) {
            (MapMethod::Cam, _) => {
                let class = self.class(net, x.size()[0])?;
                let (maps, class) = class_activation(&features, head()?, class).map_err(net_error)?;
                Ok((maps, Some(class)))
            }
            (MapMethod::Ddt, Some(fit)) => Ok((descriptor_transform(&features, fit), None)),
            _ => Ok((class_free(&features), None)),
        }
    }
}

/// The map of so many layers before the last one.
fn map_before(net: &BaseNet, x: &Tensor, layers_back: usize) -> Tensor {
    let layers = net.backbone.kind().depth() - layers_back;
    net.backbone.map_after(layers, net.backbone.params(), x, Phase::Evaluate)
}

fn class_ids(net: &BaseNet, chosen: Option<Tensor>, count: i64) -> Result<Vec<i64>, StageError> {
    let Some(chosen) = chosen else { return Ok(vec![-1; count as usize]) };
    let chosen = Vec::<i64>::try_from(&chosen.to_device(Device::Cpu)).map_err(torch_error)?;
    Ok(chosen.into_iter().map(|index| net.classes[index as usize]).collect())
}

fn read_fit(blob: &Blob, device: Device) -> Result<Tensor, StageError> {
    let view = decode(blob, "mean_and_direction")?;
    let shape: Vec<i64> = view.shape.iter().map(|d| *d as i64).collect();
    let fit = Tensor::f_from_data_size(&blob[view.range], &shape, Kind::Float).map_err(torch_error)?;
    Ok(fit.to_device(device))
}
