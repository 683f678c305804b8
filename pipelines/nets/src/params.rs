//! The named tensors of a net: parameters that learn, and buffers (running statistics) that do not.
//!
//! A net keeps [`Slot`]s, not tensors, and looks them up in the `Params` that a forward pass is given. So a method
//! that adapts weights (MAML) runs the same net on [`Params::with_trainable`], and the net itself stays as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::NetError;
use crate::pack::{pack, unpack};

/// Whether a tensor learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has a gradient, and an optimiser may change it.
    Trainable,
    /// It is state of another kind: running statistics of batch normalisation, a centre.
    Buffer,
}

/// What convolutions compute in; tensors are always kept in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 significant bits.
    #[default]
    F32,
    /// Inputs, weights and results of convolutions are rounded to 8 significant bits.
    Bf16,
}

/// The place of one tensor in its [`Params`].
#[derive(Clone, Copy, Debug)]
pub struct Slot(usize);

#[derive(Debug)]
struct Entry {
    name: String,
    tensor: Tensor,
    role: Role,
}

/// Ordered named tensors on one device, all f32.
#[derive(Debug)]
pub struct Params {
    entries: Vec<Entry>,
    device: Device,
    momentum: Option<f64>,
    precision: Precision,
}

impl Params {
    /// No tensors yet.
    pub fn new(device: Device) -> Self {
        Params { entries: Vec::new(), device, momentum: None, precision: Precision::F32 }
    }

    /// The same, with what convolutions compute in.
    pub fn computing_in(self, precision: Precision) -> Self {
        Params { precision, ..self }
    }

    /// What convolutions compute in.
    pub(crate) fn compute_kind(&self) -> Kind {
        if self.precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float }
    }

    /// Adds a copy of a tensor under a new name, on the device; it requires a gradient when it is trainable.
    ///
    /// # Panics
    /// When the name is taken: two layers of one net would share a tensor by accident.
    pub fn add(&mut self, name: impl Into<String>, tensor: &Tensor, role: Role) -> Slot {
        let name = name.into();
        assert!(self.get(&name).is_none(), "tensor `{name}` is added twice");
        // A copy: `to_device` and `to_kind` share memory when they have nothing to do.
        let tensor = tensor.detach().to_device(self.device).to_kind(Kind::Float).copy();
        let tensor = tensor.set_requires_grad(role == Role::Trainable);
        self.entries.push(Entry { name, tensor, role });
        Slot(self.entries.len() - 1)
    }

    /// The share of a new batch in running statistics, where it is not each layer's own.
    pub(crate) fn momentum(&self) -> Option<f64> {
        self.momentum
    }

    /// The device of all tensors.
    pub fn device(&self) -> Device {
        self.device
    }

    /// All names, in the order of the net.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.tensor)
    }

    /// The tensor in this slot of the `Params` that gave it, or of a copy by [`Params::with_trainable`].
    pub fn at(&self, slot: Slot) -> &Tensor {
        &self.entries[slot.0].tensor
    }

    /// Names and handles of the tensors that learn, in the order of the net; a handle shares the tensor's memory.
    pub fn trainable(&self) -> Vec<(String, Tensor)> {
        self.handles(|entry| entry.role == Role::Trainable)
    }

    /// Names and handles of all tensors, in the order of the net.
    pub fn all(&self) -> Vec<(String, Tensor)> {
        self.handles(|_| true)
    }

    /// The same net with other tensors in the trainable places, in the order of [`Params::trainable`]; buffers are
    /// shared. For weights adapted inside an episode: gradients flow through `tensors`.
    ///
    /// # Panics
    /// When the counts differ.
    pub fn with_trainable(&self, tensors: &[Tensor]) -> Params {
        let mut given = tensors.iter();
        let mut next = || given.next().expect("as many tensors as the net has trainable ones").shallow_clone();
        let entries: Vec<Entry> = self
            .entries
            .iter()
            .map(|entry| Entry {
                name: entry.name.clone(),
                tensor: if entry.role == Role::Trainable { next() } else { entry.tensor.shallow_clone() },
                role: entry.role,
            })
            .collect();
        assert!(given.next().is_none(), "more tensors were given than the net has trainable ones");
        Params { entries, device: self.device, momentum: self.momentum, precision: self.precision }
    }

    /// The same net with running statistics of its own that begin anew, means 0, variances 1. `momentum`: the share of a
    /// new batch in them.
    pub fn with_fresh_statistics(&self, momentum: f64) -> Params {
        let fresh = |entry: &Entry| match entry.name.rsplit('.').next() {
            Some("running_mean") => entry.tensor.zeros_like(),
            Some("running_var") => entry.tensor.ones_like(),
            _ => entry.tensor.shallow_clone(),
        };
        let entries =
            self.entries.iter().map(|entry| Entry { name: entry.name.clone(), tensor: fresh(entry), role: entry.role });
        let (device, precision) = (self.device, self.precision);
        Params { entries: entries.collect(), device, momentum: Some(momentum), precision }
    }

    /// All tensors as safetensors bytes: f32, C order, sorted names. Equal weights give equal bytes.
    ///
    /// # Errors
    /// [`NetError::Torch`] when a tensor cannot be copied from its device.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, NetError> {
        pack(&self.all(), "")
    }

    /// Replaces every tensor by the one of equal name in safetensors bytes; handles given out before see the change.
    ///
    /// # Errors
    /// [`NetError::Missing`], [`NetError::Unexpected`], [`NetError::WrongShape`], [`NetError::WrongKind`] (only f32
    /// is read), [`NetError::NotSafetensors`]. After an error no tensor has changed.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        let (mut given, _) = unpack(bytes)?;
        let mut found = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let tensor = given.remove(&entry.name).ok_or_else(|| NetError::Missing { name: entry.name.clone() })?;
            check(entry, &tensor)?;
            found.push(tensor);
        }
        if let Some(name) = given.into_keys().next() {
            return Err(NetError::Unexpected { name });
        }
        let _guard = tch::no_grad_guard();
        for (entry, tensor) in self.entries.iter_mut().zip(&found) {
            entry.tensor.f_copy_(tensor)?;
        }
        Ok(())
    }

    /// Replaces the tensors that safetensors bytes hold, each by its name, and leaves the others: a backbone's weights
    /// for a net that has more than a backbone.
    ///
    /// # Errors
    /// As [`Params::load`], but no tensor is missing. After an error no tensor has changed.
    pub fn load_part(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        let (given, _) = unpack(bytes)?;
        for (name, tensor) in &given {
            let entry = self.entries.iter().find(|entry| entry.name == *name);
            check(entry.ok_or_else(|| NetError::Unexpected { name: name.clone() })?, tensor)?;
        }
        let _guard = tch::no_grad_guard();
        for entry in &mut self.entries {
            if let Some(tensor) = given.get(&entry.name) {
                entry.tensor.f_copy_(tensor)?;
            }
        }
        Ok(())
    }

    fn handles(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<(String, Tensor)> {
        let entries = self.entries.iter().filter(|entry| wanted(entry));
        entries.map(|entry| (entry.name.clone(), entry.tensor.shallow_clone())).collect()
    }
}

/// Whether a read tensor may take the entry's place.
fn check(entry: &Entry, tensor: &Tensor) -> Result<(), NetError> {
    if tensor.kind() != Kind::Float {
        let found = format!("{:?}", tensor.kind());
        return Err(NetError::WrongKind { name: entry.name.clone(), expected: "f32", found });
    }
    if tensor.size() != entry.tensor.size() {
        let (expected, found) = (entry.tensor.size(), tensor.size());
        return Err(NetError::WrongShape { name: entry.name.clone(), expected, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Params {
        let mut params = Params::new(Device::Cpu);
        params.add("w", &Tensor::from_slice(&[1.0f32, 2.0]), Role::Trainable);
        params.add("mean", &Tensor::from_slice(&[3.0f32]), Role::Buffer);
        params
    }

    #[test]
    fn only_parameters_learn() {
        let params = two();
        assert_eq!(params.names().collect::<Vec<_>>(), ["w", "mean"]);
        assert_eq!(params.trainable().len(), 1);
        assert!(params.get("w").unwrap().requires_grad());
        assert!(!params.get("mean").unwrap().requires_grad());
    }

    #[test]
    fn loaded_weights_are_seen_through_handles_given_out_before() {
        let mut params = two();
        let handle = params.trainable().remove(0).1;
        let mut other = two();
        other.entries[0].tensor = Tensor::from_slice(&[7.0f32, 8.0]);
        params.load(&other.to_safetensors().unwrap()).unwrap();
        assert_eq!(handle.double_value(&[1]), 8.0);
        assert!(handle.requires_grad());
    }

    #[test]
    fn two_names_never_share_memory() {
        let mut params = Params::new(Device::Cpu);
        let zeros = Tensor::from_slice(&[0.0f32]);
        params.add("a", &zeros, Role::Trainable);
        params.add("b", &zeros, Role::Buffer);
        let tensors = [("a".to_owned(), zeros.ones_like()), ("b".to_owned(), zeros.shallow_clone())];
        params.load(&pack(&tensors, "").unwrap()).unwrap();
        assert_eq!(params.get("b").unwrap().double_value(&[0]), 0.0);
    }

    #[test]
    fn weights_that_do_not_fit_are_refused_and_change_nothing() {
        let mut params = two();
        let before = params.to_safetensors().unwrap();
        let w = || ("w".to_owned(), Tensor::from_slice(&[9.0f32, 9.0]));
        let mean = || ("mean".to_owned(), Tensor::from_slice(&[9.0f32]));
        let mut refuse = |tensors: &[(String, Tensor)]| {
            let error = params.load(&pack(tensors, "").unwrap()).unwrap_err();
            assert_eq!(params.to_safetensors().unwrap(), before);
            error
        };
        assert!(matches!(refuse(&[w()]), NetError::Missing { name } if name == "mean"));
        let extra = ("x".to_owned(), Tensor::from_slice(&[1.0f32]));
        assert!(matches!(refuse(&[w(), mean(), extra]), NetError::Unexpected { name } if name == "x"));
        let long = ("mean".to_owned(), Tensor::from_slice(&[1.0f32, 2.0]));
        assert!(matches!(refuse(&[w(), long]), NetError::WrongShape { expected, .. } if expected == [1]));
        let whole = ("mean".to_owned(), Tensor::from_slice(&[1i64]));
        assert!(matches!(refuse(&[w(), whole]), NetError::WrongKind { .. }));
    }

    #[test]
    fn a_part_of_the_tensors_is_loaded_and_the_others_stay() {
        let mut params = two();
        let named = |name: &str| pack(&[(name.to_owned(), Tensor::from_slice(&[9.0f32, 8.0]))], "").unwrap();
        params.load_part(&named("w")).unwrap();
        assert_eq!(params.get("w").unwrap().double_value(&[1]), 8.0);
        assert_eq!(params.get("mean").unwrap().double_value(&[0]), 3.0);
        assert!(matches!(params.load_part(&named("x")), Err(NetError::Unexpected { name }) if name == "x"));
        assert!(matches!(params.load_part(&named("mean")), Err(NetError::WrongShape { .. })));
    }

    #[test]
    fn adapted_weights_leave_the_net_alone() {
        let params = two();
        let adapted = params.with_trainable(&[Tensor::from_slice(&[5.0f32, 5.0])]);
        assert_eq!(adapted.get("w").unwrap().double_value(&[0]), 5.0);
        assert_eq!(params.get("w").unwrap().double_value(&[0]), 1.0);
    }
}
