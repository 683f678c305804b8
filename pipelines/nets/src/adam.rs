//! Adam whose state can be stored: tch's own keeps its moments to itself, so a killed run could not resume.
//!
//! Source: Kingma and Ba 2015 (arXiv 1412.6980), in the form of `torch.optim.Adam`, β = (0.9, 0.999), ε = 1e-8;
//! weight decay is added to the gradient (L2) or taken off the weights (Loshchilov and Hutter 2019, `torch.optim.AdamW`).

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::error::NetError;
use crate::pack::{pack, unpack};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;
const STEP: &str = "adam.step";

/// How weights are kept small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// So much of each weight is added to its gradient: `torch.optim.Adam(weight_decay=…)`. Zero for none.
    L2(f64),
    /// Each step first takes the learning rate times so much off each weight: `torch.optim.AdamW(weight_decay=…)`.
    Decoupled(f64),
}

/// The optimiser of a fixed list of parameters.
#[derive(Debug)]
pub struct Adam {
    names: Vec<String>,
    params: Vec<Tensor>,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    step: i64,
    lr: f64,
    decay: Decay,
}

impl Adam {
    /// `params`: names and handles as [`crate::Params::trainable`] gives them; several lists may be joined, their
    /// names prefixed by the caller so that each is there once.
    pub fn new(params: Vec<(String, Tensor)>, lr: f64, decay: Decay) -> Self {
        let (names, params): (Vec<_>, Vec<_>) = params.into_iter().unzip();
        let zeros = || params.iter().map(|param| param.detach().zeros_like()).collect::<Vec<_>>();
        Adam { first: zeros(), second: zeros(), names, params, step: 0, lr, decay }
    }

    /// The handles, in the order in which [`Adam::step`] wants the gradients.
    pub fn params(&self) -> &[Tensor] {
        &self.params
    }

    /// The learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// Sets the learning rate from the next step on.
    pub fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    /// Steps done so far.
    pub fn steps(&self) -> i64 {
        self.step
    }

    /// Changes every parameter in place by one step.
    ///
    /// # Errors
    /// [`NetError::Shape`] when there are not as many gradients as parameters; [`NetError::Torch`] when one does not
    /// fit its parameter.
    pub fn step(&mut self, gradients: &[Tensor]) -> Result<(), NetError> {
        if gradients.len() != self.params.len() {
            let (expected, found) = (self.params.len().to_string(), vec![gradients.len() as i64]);
            return Err(NetError::Shape { what: "the list of gradients", expected, found });
        }
        let _guard = tch::no_grad_guard();
        self.step += 1;
        let exponent = self.step as f64;
        let rate = self.lr / (1.0 - BETA1.powf(exponent));
        let root = (1.0 - BETA2.powf(exponent)).sqrt();
        for (index, gradient) in gradients.iter().enumerate() {
            let param = &mut self.params[index];
            let decayed = match self.decay {
                Decay::L2(share) if share != 0.0 => Some(gradient + &*param * share),
                Decay::L2(_) => None,
                Decay::Decoupled(share) => {
                    let _ = param.f_mul_scalar_(1.0 - self.lr * share)?;
                    None
                }
            };
            let gradient = decayed.as_ref().unwrap_or(gradient);
            let _ = self.first[index].f_lerp_(gradient, 1.0 - BETA1)?;
            let squared = gradient.f_square()? * (1.0 - BETA2);
            let second = &mut self.second[index];
            let _ = second.f_mul_scalar_(BETA2)?.f_add_(&squared)?;
            let divisor = second.f_sqrt()?.f_div_scalar_(root)?.f_add_scalar_(EPS)?;
            let _ = param.f_sub_(&(&self.first[index] / divisor * rate))?;
        }
        Ok(())
    }

    /// Everything that a resumed run needs: step, first and second moments, as named tensors. The learning rate is
    /// not part of it: the schedule sets it at each step.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = |kind: &str, tensors: &[Tensor]| -> Vec<(String, Tensor)> {
            let pairs = self.names.iter().zip(tensors);
            pairs.map(|(name, tensor)| (format!("adam.{kind}.{name}"), tensor.shallow_clone())).collect()
        };
        let mut state = named("m", &self.first);
        state.extend(named("v", &self.second));
        state.push((STEP.to_owned(), Tensor::from_slice(&[self.step])));
        state
    }

    /// Takes over what [`Adam::state`] gave; other names in `state` are ignored, so a whole checkpoint may be passed.
    ///
    /// # Errors
    /// [`NetError::Missing`] or [`NetError::WrongShape`]; nothing has changed then.
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<(), NetError> {
        let find = |name: String, like: &[i64]| -> Result<&Tensor, NetError> {
            let tensor = state.get(&name).ok_or_else(|| NetError::Missing { name: name.clone() })?;
            if tensor.size() != like {
                return Err(NetError::WrongShape { name, expected: like.to_vec(), found: tensor.size() });
            }
            Ok(tensor)
        };
        let all = |kind: &str| -> Result<Vec<Tensor>, NetError> {
            let pairs = self.names.iter().zip(&self.params);
            pairs
                .map(|(name, param)| {
                    let moment = find(format!("adam.{kind}.{name}"), &param.size())?;
                    Ok(moment.to_device(param.device()).to_kind(Kind::Float).copy())
                })
                .collect()
        };
        let (first, second) = (all("m")?, all("v")?);
        self.step = find(STEP.to_owned(), &[1])?.int64_value(&[0]);
        (self.first, self.second) = (first, second);
        Ok(())
    }

    /// [`Adam::state`] as safetensors bytes; equal states give equal bytes.
    ///
    /// # Errors
    /// [`NetError::Torch`] when a tensor cannot be copied from its device.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, NetError> {
        pack(&self.state(), "")
    }

    /// Reads what [`Adam::to_safetensors`] wrote.
    ///
    /// # Errors
    /// [`NetError::NotSafetensors`], and those of [`Adam::load_state`].
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        self.load_state(&unpack(bytes)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::tolerance;

    fn param() -> Tensor {
        Tensor::from_slice(&[1.0f32, -2.0, 3.0]).set_requires_grad(true)
    }

    /// A gradient that depends on parameter and step, so that a lost moment or step would show.
    fn gradient(param: &Tensor, step: i64) -> Tensor {
        (param.detach() * (step + 1) as f64).sin()
    }

    fn run(adam: &mut Adam, steps: std::ops::Range<i64>) {
        for step in steps {
            let found = gradient(&adam.params()[0], step);
            adam.step(&[found]).unwrap();
        }
    }

    #[test]
    fn the_first_step_moves_each_weight_by_the_learning_rate() {
        let mut adam = Adam::new(vec![("w".into(), param())], 0.1, Decay::L2(0.0));
        adam.step(&[Tensor::from_slice(&[5.0f32, -0.01, 0.0])]).unwrap();
        let moved = &adam.params()[0];
        // Two moments, a root, three quotients, a product and a difference; the epsilon of 1e-8 beside a root of 3e-4.
        let allowed = tolerance(8, 2.0) + 0.1 * 1e-8 / 0.01;
        assert!((moved.double_value(&[0]) - 0.9).abs() <= allowed);
        assert!((moved.double_value(&[1]) + 1.9).abs() <= allowed);
        assert_eq!(moved.double_value(&[2]), 3.0);
    }

    #[test]
    fn a_resumed_run_ends_bit_equal_with_an_undisturbed_one() {
        let mut whole = Adam::new(vec![("w".into(), param())], 0.01, Decay::L2(0.1));
        run(&mut whole, 0..7);
        let mut begun = Adam::new(vec![("w".into(), param())], 0.01, Decay::L2(0.1));
        run(&mut begun, 0..3);
        let (bytes, kept) = (begun.to_safetensors().unwrap(), begun.params()[0].detach().copy());
        drop(begun);
        let mut resumed = Adam::new(vec![("w".into(), kept.set_requires_grad(true))], 0.01, Decay::L2(0.1));
        resumed.load(&bytes).unwrap();
        run(&mut resumed, 3..7);
        assert_eq!(resumed.params()[0], whole.params()[0]);
        assert_eq!(resumed.to_safetensors().unwrap(), whole.to_safetensors().unwrap());
        assert_eq!(resumed.steps(), 7);
    }

    #[test]
    fn a_state_of_other_parameters_is_refused() {
        let mut adam = Adam::new(vec![("w".into(), param())], 0.01, Decay::L2(0.0));
        let other = Adam::new(vec![("u".into(), param())], 0.01, Decay::L2(0.0));
        assert!(matches!(adam.load(&other.to_safetensors().unwrap()), Err(NetError::Missing { .. })));
        assert!(matches!(adam.step(&[]), Err(NetError::Shape { .. })));
    }
}
