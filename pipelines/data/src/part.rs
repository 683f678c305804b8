//! Parts of a split, and the two of them that training may name.

use crate::DataError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A part of a split of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Classes to train on.
    Base,
    /// Classes to select a model on.
    Val,
    /// Classes to evaluate on; their labels are read as truth by evaluation alone.
    Novel,
}

impl Part {
    /// The three parts, in the order of their training.
    pub const ALL: [Part; 3] = [Part::Base, Part::Val, Part::Novel];

    /// Its name in files, tables and configs.
    pub fn name(self) -> &'static str {
        match self {
            Part::Base => "base",
            Part::Val => "val",
            Part::Novel => "novel",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Part {
    type Err = DataError;

    /// # Errors
    /// [`DataError::UnknownPart`] for any word but `base`, `val` and `novel`.
    fn from_str(word: &str) -> Result<Self, DataError> {
        Part::ALL
            .into_iter()
            .find(|part| part.name() == word)
            .ok_or_else(|| DataError::UnknownPart { word: word.to_owned() })
    }
}

/// A part that training and selection may name: code that takes one cannot ask for a novel class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainPart {
    /// Classes to train on.
    Base,
    /// Classes to select a model on.
    Val,
}

impl From<TrainPart> for Part {
    fn from(part: TrainPart) -> Part {
        match part {
            TrainPart::Base => Part::Base,
            TrainPart::Val => Part::Val,
        }
    }
}

impl fmt::Display for TrainPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Part::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlsm_errors::Explain;

    #[test]
    fn every_part_is_read_back_from_its_name() {
        for part in Part::ALL {
            assert_eq!(part.to_string().parse::<Part>().unwrap(), part);
        }
    }

    #[test]
    fn an_unknown_part_is_named_in_the_error() {
        let error = "test".parse::<Part>().unwrap_err();
        assert!(error.is_config());
        let said = error.explain().to_string();
        assert!(said.contains("`test`") && said.contains("base, val and novel"), "{said}");
    }

    #[test]
    fn training_can_name_base_and_val_only() {
        assert_eq!(Part::from(TrainPart::Base), Part::Base);
        assert_eq!(Part::from(TrainPart::Val), Part::Val);
        assert_eq!(TrainPart::Val.to_string(), "val");
    }
}
