//! How a recipe is written down: keys in a fixed order, every value in the words of the configuration.
//!
//! Nothing is left out because it has its default, and no name of the program's own types gets in: a recipe changes only
//! where its stage's version does (`tests/pipelines/recipes.txt` holds it to that).

use mlsm_store::{Field, Value};
use serde::Serialize;

/// Names a value of a recipe.
pub(crate) fn field(key: &str, value: impl Into<Value>) -> Field {
    Field { key: key.to_owned(), value: value.into() }
}

/// Returns the word that a configuration uses for one of several choices.
///
/// # Panics
/// When a choice carries data: only plain ones have a word.
pub(crate) fn word(choice: impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(word)) => word,
        other => panic!("a choice is written as one word, not as {other:?}"),
    }
}
