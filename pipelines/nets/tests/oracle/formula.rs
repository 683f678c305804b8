//! The formula that gives both languages the same weights and inputs; see `fixtures/formula.py`.

use mlsm_nets::{Params, Tensor, pack};

/// `count` numbers in [0, 1) from a hash of the name and the index: 32 random bits each.
fn units(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0x811C_9DC5u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (0..count).map(move |index| {
        let mut h = (index as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        h ^= h >> 16;
        h = h.wrapping_mul(0x85EB_CA6B);
        h ^= h >> 13;
        h = h.wrapping_mul(0xC2B2_AE35);
        h ^= h >> 16;
        f64::from(h) / 4_294_967_296.0
    })
}

/// The tensor that the formula gives to a name: its ending and rank decide on the range.
pub fn tensor(name: &str, shape: &[i64]) -> Tensor {
    let count: i64 = shape.iter().product();
    let fan_in: i64 = shape.iter().skip(1).product();
    let scale = (4.0 / fan_in as f64).sqrt();
    let value = |u: f64| match () {
        () if name.ends_with("running_var") => 0.5 + u,
        () if shape.len() >= 2 => (2.0 * u - 1.0) * scale,
        () if name.ends_with("weight") || name.ends_with("factor") => 0.75 + 0.5 * u,
        () => (2.0 * u - 1.0) * 0.1,
    };
    let values: Vec<f32> = units(name, count as usize).map(|u| value(u) as f32).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// Packed pixels `[n, side, side, 3]`, u8, of one of several draws.
pub fn pixels(n: i64, side: i64, draw: i64) -> Tensor {
    let values: Vec<u8> =
        units(&format!("pixels{draw}"), (n * side * side * 3) as usize).map(|u| (u * 256.0) as u8).collect();
    Tensor::from_slice(&values).reshape([n, side, side, 3])
}

/// Gives every tensor of a net the formula's values; `prefix` stands before the net's names in the formula.
pub fn fill(params: &mut Params, prefix: &str) {
    let tensors: Vec<(String, Tensor)> = params
        .all()
        .into_iter()
        .map(|(name, old)| {
            let new = tensor(&format!("{prefix}{name}"), &old.size());
            (name, new)
        })
        .collect();
    params.load(&pack(&tensors, "").unwrap()).unwrap();
}

/// By how many ulps values are moved, and from which draw; no ulps move nothing.
#[derive(Clone, Copy, Default)]
pub struct Noise {
    pub draw: u32,
    pub ulps: u32,
}

/// A tensor whose values are moved at random.
pub fn nudged(tensor: &Tensor, name: &str, Noise { draw, ulps }: Noise) -> Tensor {
    if ulps == 0 {
        return tensor.shallow_clone();
    }
    let step = |u: f64| ((3.0 * u).floor() - 1.0) as f32 * ulps as f32 * f32::EPSILON;
    let steps: Vec<f32> = units(&format!("noise{draw}.{name}"), tensor.numel()).map(step).collect();
    tensor * (Tensor::from_slice(&steps).reshape(tensor.size()) + 1.0)
}

/// Does the same to every tensor of a net.
pub fn nudge(params: &mut Params, noise: Noise) {
    let tensors: Vec<(String, Tensor)> =
        params.all().into_iter().map(|(name, old)| (name.clone(), nudged(&old, &name, noise))).collect();
    params.load(&pack(&tensors, "").unwrap()).unwrap();
}
