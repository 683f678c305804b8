//! What can go wrong with nets and their weights, by what the caller can do about it.

use mlsm_errors::{Explain, Fix};
use tch::TchError;
use thiserror::Error;

/// The reason why a net, its weights or a device cannot be used.
#[derive(Debug, Error)]
pub enum NetError {
    /// Weights lack a tensor that the net needs.
    #[error("the weights do not fit: tensor `{name}` is missing")]
    Missing {
        /// The tensor's name.
        name: String,
    },
    /// Weights hold a tensor that the net does not have.
    #[error("the weights do not fit: tensor `{name}` is not part of the net")]
    Unexpected {
        /// The tensor's name.
        name: String,
    },
    /// A tensor of the weights has another shape than the net's.
    #[error("the weights do not fit: tensor `{name}` has shape {found:?}, expected {expected:?}")]
    WrongShape {
        /// The tensor's name.
        name: String,
        /// The net's shape.
        expected: Vec<i64>,
        /// The shape in the weights.
        found: Vec<i64>,
    },
    /// A tensor is stored in an element type that is not read here.
    #[error("tensor `{name}` holds elements of type {found}, expected {expected}")]
    WrongKind {
        /// The tensor's name.
        name: String,
        /// The types that are read.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// An argument has a shape that the operation does not take.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// What was given.
        what: &'static str,
        /// The expected shape, in words.
        expected: String,
        /// The shape found.
        found: Vec<i64>,
    },
    /// A gradient was asked for where no graph was recorded.
    #[error("the loss depends on no parameter that requires a gradient")]
    NoGraph,
    /// A word is not one of those that a switch knows.
    #[error("unknown {what} `{given}`")]
    UnknownName {
        /// What the word should name.
        what: &'static str,
        /// The word as given.
        given: String,
        /// The words that exist.
        known: &'static str,
    },
    /// The bytes are no safetensors file, or a damaged one.
    #[error("the tensors cannot be read")]
    NotSafetensors {
        /// The reader's reason.
        source: safetensors::SafeTensorError,
    },
    /// The tensors could not be laid out as a safetensors file.
    #[error("the tensors cannot be written as safetensors")]
    CannotWrite {
        /// The writer's reason.
        source: safetensors::SafeTensorError,
    },
    /// The bytes are no PyTorch weight file that can be read here.
    #[error("the PyTorch weight file cannot be read")]
    BadPth {
        /// What is wrong with it.
        why: String,
    },
    /// A PyTorch weight file asks for code that a state dict never needs.
    #[error("the PyTorch weight file was refused")]
    UnsafePth {
        /// Module and name as written in the file.
        global: String,
    },
    /// The device that was asked for is not there.
    #[error("device {device} cannot be used")]
    DeviceAbsent {
        /// The device as written by the user.
        device: String,
        /// The reason.
        why: String,
    },
    /// libtorch is not there, or not the one that this program was made for.
    #[error("libtorch cannot be loaded")]
    TorchAbsent {
        /// The loader's reason.
        why: String,
    },
    /// libtorch refused an operation.
    #[error("libtorch failed")]
    Torch(TchError),
}

impl Explain for NetError {
    fn reason(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } | Self::Unexpected { .. } | Self::WrongShape { .. } => {
                "they were made for another net".to_owned()
            }
            Self::WrongKind { .. } => "other types are not read".to_owned(),
            Self::Shape { .. } => "the tensors of an operation do not fit each other".to_owned(),
            Self::NoGraph => "it was made under no_grad or from constants".to_owned(),
            Self::UnknownName { known, .. } => format!("there are: {known}"),
            Self::NotSafetensors { .. } => "it is not a whole safetensors file".to_owned(),
            Self::UnsafePth { global } => {
                format!("it asks for `{global}`, which a plain state dict never does and which could run code")
            }
            Self::BadPth { why } | Self::DeviceAbsent { why, .. } | Self::TorchAbsent { why } => why.clone(),
            Self::Torch(error) => first_sentence(error),
            Self::CannotWrite { .. } => return None,
        })
    }

    fn fixes(&self) -> Vec<Fix> {
        let words = match self {
            Self::Missing { .. } | Self::Unexpected { .. } => "give weights that were made for this net",
            Self::WrongShape { .. } => "give weights that were made for a net of this size",
            Self::WrongKind { .. } => "convert the weights first",
            Self::Shape { .. } | Self::NoGraph | Self::CannotWrite { .. } => "report it with this message",
            Self::UnknownName { .. } => "use one of them",
            Self::NotSafetensors { .. } => "make the file again",
            Self::BadPth { .. } => "download it again, or convert it to safetensors",
            Self::UnsafePth { .. } => "save it again as torch.save(model.state_dict(), …)",
            Self::DeviceAbsent { .. } => return vec![Fix::OtherDevice, "mend the driver or the libtorch".into()],
            Self::TorchAbsent { .. } => {
                "`make build` links this program to libtorch 2.11; a program that was copied needs its \
                 libmlsm_torch.so beside it"
            }
            Self::Torch(_) => "where memory ran out, use a smaller batch; otherwise report it with this message",
        };
        vec![words.into()]
    }
}

impl From<TchError> for NetError {
    fn from(error: TchError) -> Self {
        NetError::Torch(error)
    }
}

/// The first line of libtorch's message; the rest is a C++ stack of many screens.
fn first_sentence(error: &TchError) -> String {
    let text = error.to_string();
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_libtorch_error_shows_its_first_line_only() {
        let said = |text: &str| NetError::from(TchError::Torch(text.into())).explain().to_string();
        assert_eq!(said("\nmat1 and mat2 do not fit\nframe #0: at::native"), "libtorch failed: Internal torch error:");
        assert_eq!(
            said("mat1 and mat2 do not fit\nframe #0: at::native"),
            "libtorch failed: Internal torch error: mat1 and mat2 do not fit"
        );
    }

    #[test]
    fn a_misfit_names_tensor_and_both_shapes() {
        let error = NetError::WrongShape { name: "a.weight".into(), expected: vec![2, 3], found: vec![3, 2] };
        assert!(error.to_string().contains("`a.weight` has shape [3, 2], expected [2, 3]"));
    }
}
