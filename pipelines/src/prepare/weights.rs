//! Imported weights: those of a file, or those that the store has by name.

use mlsm_engine::InputSource;
use mlsm_errors::{Explanation, Fix};
use mlsm_store::Digest;

use super::{Preparation, Purpose};
use crate::AssembleError;
use crate::base_net::BaseNetShape;
use crate::config::TrainBase;
use crate::weights;

/// Finds imported weights, or says how to get them.
pub(super) fn find(section: &TrainBase, with: &Preparation<'_>) -> Result<InputSource, AssembleError> {
    let Preparation { store, purpose, .. } = *with;
    if let Some(file) = section.weights_file() {
        let bytes = weights::read(file, &BaseNetShape::of(section).net)?;
        return Ok(InputSource::Known(match purpose {
            Purpose::Plan => Digest::of(&bytes),
            Purpose::Run => store.put(&bytes)?.digest,
        }));
    }
    let name = &section.weights;
    match (weights::find(store, name)?, purpose) {
        (Some(digest), _) => Ok(InputSource::Known(digest)),
        (None, Purpose::Plan) => {
            Ok(InputSource::Pending(format!("weights `{name}` are missing: `mlsm weights fetch {name}`")))
        }
        (None, Purpose::Run) => {
            let said = Explanation::new(format!("weights `{name}` are missing")).because("they are not in this store");
            let (name, store) = (name.clone(), store.root().to_owned());
            Err(AssembleError::Config(said.fix(Fix::FetchWeights { name, store })))
        }
    }
}
