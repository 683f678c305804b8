//! `extract`: embeds one shard of photos or crops with a base CNN.

use std::sync::Arc;

use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::{Explanation, Fix};
use mlsm_nets::{Features, Phase};
use mlsm_store::Field;
use tch::{Device, Kind, Tensor};

use crate::artifact::{Array, Column, ElementType, PackedPixels, embedding_column, encode, table};
use crate::base_net::{BaseNetCache, BaseNetShape};
use crate::config::MapPrecision;
use crate::error::torch_error;
use crate::recipe::{field, word};
use crate::runtime::Runtime;

const FORWARD_BATCH: usize = 64;

/// Embeds packed pixels.
///
/// Inputs: `backbone`, `pixels`. Outputs: `embedding` (image_id, embedding f32 `[n, d]`), `features` (the same as
/// Parquet), and where heads read them `maps` (image_id, map `[n, h, w, c]`).
pub struct Extract {
    /// The network.
    pub shape: BaseNetShape,
    /// Whether and how feature maps are stored.
    pub maps: Option<MapPrecision>,
    /// The class of the shard, a column of the table.
    pub class_id: u32,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
    /// The network, kept between shards.
    pub cache: Arc<BaseNetCache>,
}

impl Task for Extract {
    fn stage(&self) -> &'static str {
        "extract"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { shape, maps, class_id, runtime: _, cache: _ } = self;
        let maps = maps.map(word);
        let mut fields = shape.fields();
        fields.push(field("maps", maps.as_deref().unwrap_or("none")));
        fields.push(field("class_id", i64::from(*class_id)));
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        vec![Port::one("backbone"), Port::one("pixels")]
    }

    fn outputs(&self) -> &'static [&'static str] {
        match self.maps {
            Some(_) => &["embedding", "features", "maps"],
            None => &["embedding", "features"],
        }
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
        let ids = &pixels.ids;
        let (mut embeddings, mut maps, mut map_shape) = (Vec::new(), Vec::new(), vec![0, 0, 0]);
        self.cache.with(context, &self.shape, device, |net| {
            let _guard = tch::no_grad_guard();
            for (batch, images) in pixels.batches(FORWARD_BATCH, device).enumerate() {
                context.check()?;
                let done = (batch * FORWARD_BATCH) as u64;
                context.progress(done, ids.len() as u64, "photos", "");
                let Features { map, embedding } =
                    net.backbone.features(&net.backbone.normalise(&images?), Phase::Evaluate);
                embeddings.extend(floats(&embedding)?);
                if let Some(precision) = self.maps {
                    let last = map.permute([0, 2, 3, 1]).contiguous().to_device(Device::Cpu); // [n, h, w, c]
                    map_shape = last.size()[1..].iter().map(|d| *d as usize).collect();
                    maps.extend(bytes(&last, precision)?);
                }
            }
            Ok(())
        })?;
        let width = embeddings.len().checked_div(ids.len()).unwrap_or(0);
        let packed = Array::f32(&[ids.len(), width], &embeddings);
        let mut outputs = Outputs::default()
            .with("embedding", context.put(&encode(&[("image_id", Array::i64(ids)), ("embedding", packed)])?)?)
            .with("features", context.put(&self.features(ids, width, embeddings)?)?);
        if let Some(precision) = self.maps {
            let element = if precision == MapPrecision::F16 { ElementType::F16 } else { ElementType::F32 };
            let shape: Vec<usize> = std::iter::once(ids.len()).chain(map_shape).collect();
            let array = Array::from_bytes(element, &shape, maps);
            let stored = context.put(&encode(&[("image_id", Array::i64(ids)), ("map", array)])?)?;
            outputs = outputs.with("maps", stored);
        }
        Ok(outputs.made_by(&self.runtime.provenance()?))
    }
}

impl Extract {
    fn features(&self, ids: &[i64], width: usize, embeddings: Vec<f32>) -> Result<Vec<u8>, StageError> {
        table(vec![
            Column::U32("image_id", ids.iter().map(|id| *id as u32).collect()),
            Column::U32("class_id", vec![self.class_id; ids.len()]),
            embedding_column("embedding", width.max(1), embeddings),
        ])
    }
}

/// Copies a tensor's values out as f32.
pub(crate) fn floats(tensor: &Tensor) -> Result<Vec<f32>, StageError> {
    let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
    Vec::<f32>::try_from(&flat).map_err(torch_error)
}

/// Lays a map's values out; refuses those that are no numbers, or become none in f16, for they would spoil every score
/// in silence.
fn bytes(map: &Tensor, precision: MapPrecision) -> Result<Vec<u8>, StageError> {
    let kind = if precision == MapPrecision::F16 { Kind::Half } else { Kind::Float };
    let flat = map.to_kind(kind).contiguous();
    if flat.isfinite().all().int64_value(&[]) == 0 {
        let largest = map.abs().max().double_value(&[]);
        let (why, fix) = match largest.is_finite() {
            true => ("f16 ends at 65504", Fix::set("extract.maps", "\"f32\"")),
            false => ("the training of the base CNN diverged", Fix::lower("train-base.NAME.lr")),
        };
        let what = format!("a feature map holds values up to {largest:.3e}, which cannot be stored");
        let said = Explanation::new(what).because(why).fix(fix).fix("train the base CNN for more steps");
        return Err(StageError::Setup(said));
    }
    let mut bytes = vec![0; flat.numel() * kind.elt_size_in_bytes()];
    flat.f_copy_data_u8(&mut bytes, flat.numel()).map_err(torch_error)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use mlsm_errors::Explain;

    use super::*;

    #[test]
    fn values_that_f16_cannot_hold_are_refused_with_the_key_that_can() {
        let map = Tensor::from_slice(&[1.0f32, 7e4]).reshape([1, 1, 1, 2]);
        let refused = bytes(&map, MapPrecision::F16).unwrap_err().explain();
        assert!(refused.what.contains("7.000e4"), "{refused}");
        assert_eq!(refused.fixes[0], Fix::set("extract.maps", "\"f32\""));
        assert_eq!(bytes(&map, MapPrecision::F32).unwrap().len(), 8);
        let refused = bytes(&(map * f64::NAN), MapPrecision::F32).unwrap_err().explain();
        assert_eq!(refused.why, ["the training of the base CNN diverged"]);
    }
}
