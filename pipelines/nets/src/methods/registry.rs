//! The methods by name, with what a pipeline must know of one before it is made.

use rand_chacha::ChaCha8Rng;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tch::Device;

use super::{Baseline, BaselinePlus, Feat, Frn, Imprinted, Maco, Maml, Matching, MetaLstm, MetaSgd, Method, Mlsm};
use super::{Prototypical, R2d2, Reads, Relation, Shape, Siamese, SimpleShot, Triplet};

/// The switches of a method, by key; those that [`MethodKind::resolve`] returned hold every default.
pub type Switches = Map<String, Value>;

/// What a method says of itself, so that a line in [`METHODS`] is all that the registry needs.
pub trait Described: Method + Sized + 'static {
    /// The switches, each with its default.
    type Options: Serialize + DeserializeOwned + Default + JsonSchema;
    /// The name in configurations and tables.
    const NAME: &'static str;
    /// What it is given of an image.
    const READS: Reads;
    /// Paper and equation.
    const SOURCE: &'static str;
    /// Whether it sums levels, and so reads images and objects.
    const HAS_LEVELS: bool = false;
    /// What batch normalisation goes by in evaluation: `running` statistics, those of the query `batch`, or those of the
    /// episode's `support`.
    const BN_EVAL: &'static str = "running";
    /// Whether classes may change places, and their scores with them: not where an output's weights belong to a place.
    const CLASSES_MAY_SWAP: bool = true;
    /// What its paper trains with where that is unlike the other methods.
    const TRAINING: TrainingDefaults = TrainingDefaults { clip: 0.5, clip_value: 0.0, tasks: 1 };

    /// Refuses switches that do not go together: key and reason.
    ///
    /// # Errors
    /// The key and why its value cannot be used.
    fn check(_options: &Self::Options) -> Result<(), (&'static str, String)> {
        Ok(())
    }

    /// Draws fresh weights from `rng`.
    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self;
}

/// Defaults of training that a method's paper sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingDefaults {
    /// The largest norm of a module's gradient; 0 for none.
    pub clip: f64,
    /// The largest size of a single gradient; 0 for none.
    pub clip_value: f64,
    /// Episodes whose gradients make one step.
    pub tasks: u64,
}

/// A method as the registry knows it.
#[derive(Clone, Copy, Debug)]
pub struct MethodKind {
    /// The name in configurations and tables.
    pub name: &'static str,
    /// What it is given of an image.
    pub reads: Reads,
    /// Whether it sums levels, and so reads images and objects.
    pub has_levels: bool,
    /// Paper and equation.
    pub source: &'static str,
    /// What batch normalisation goes by in evaluation: `running`, `batch` or `support`.
    pub bn_eval: &'static str,
    /// Whether classes may change places with the default switches, and their scores with them.
    pub classes_may_swap: bool,
    /// What its paper trains with.
    pub training: TrainingDefaults,
    resolve: fn(Switches) -> Result<Switches, Refused>,
    schema: fn(&mut SchemaGenerator) -> Schema,
    make: fn(Switches, &Shape, &mut ChaCha8Rng, Device) -> Box<dyn Method>,
}

/// A switch that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The key, or nothing where the message names it.
    pub key: String,
    /// The reason, in serde's words where serde gives it.
    pub reason: String,
}

/// Every method.
pub const METHODS: &[MethodKind] = &[
    kind::<Mlsm>(),
    kind::<Prototypical>(),
    kind::<Matching>(),
    kind::<Relation>(),
    kind::<Maco>(),
    kind::<Maml>(),
    kind::<MetaSgd>(),
    kind::<MetaLstm>(),
    kind::<SimpleShot>(),
    kind::<Baseline>(),
    kind::<BaselinePlus>(),
    kind::<Imprinted>(),
    kind::<R2d2>(),
    kind::<Frn>(),
    kind::<Feat>(),
    kind::<Siamese>(),
    kind::<Triplet>(),
];

/// Finds a method by name.
///
/// ```
/// let mlsm = mlsm_nets::method("mlsm").expect("it is registered");
/// assert!(mlsm.has_levels);
/// assert!(mlsm_nets::method("nonesuch").is_none());
/// ```
pub fn method(name: &str) -> Option<&'static MethodKind> {
    METHODS.iter().find(|kind| kind.name == name)
}

const fn kind<M: Described>() -> MethodKind {
    MethodKind {
        name: M::NAME,
        reads: M::READS,
        has_levels: M::HAS_LEVELS,
        source: M::SOURCE,
        bn_eval: M::BN_EVAL,
        classes_may_swap: M::CLASSES_MAY_SWAP,
        training: M::TRAINING,
        resolve: resolve::<M>,
        schema: |generator| M::Options::json_schema(generator),
        make: |switches, shape, rng, device| {
            let options = serde_json::from_value(Value::Object(switches)).expect("the switches were resolved");
            Box::new(M::make(options, shape, rng, device))
        },
    }
}

fn resolve<M: Described>(given: Switches) -> Result<Switches, Refused> {
    let options: M::Options = serde_path_to_error::deserialize(Value::Object(given)).map_err(|e| {
        let key = e.path().to_string();
        Refused { key: if key == "." { String::new() } else { key }, reason: e.inner().to_string() }
    })?;
    M::check(&options).map_err(|(key, reason)| Refused { key: key.to_owned(), reason })?;
    match serde_json::to_value(&options) {
        Ok(Value::Object(resolved)) => Ok(resolved),
        _ => unreachable!("options are plain structs"),
    }
}

impl MethodKind {
    /// Fills in every default and refuses unknown keys and values that cannot be used.
    ///
    /// # Errors
    /// [`Refused`] names the key and the reason.
    pub fn resolve(&self, given: Switches) -> Result<Switches, Refused> {
        (self.resolve)(given)
    }

    /// The keys of the switches.
    pub fn keys(&self) -> Vec<String> {
        self.resolve(Switches::new()).map(|all| all.into_iter().map(|(key, _)| key).collect()).unwrap_or_default()
    }

    /// Describes the switches as JSON Schema.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }

    /// Draws a method's weights from `rng`. `switches`: as [`MethodKind::resolve`] returned them.
    ///
    /// # Panics
    /// When the switches were not resolved.
    pub fn make(&self, switches: Switches, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Box<dyn Method> {
        (self.make)(switches, shape, rng, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_name_of_its_own_a_source_and_defaults_that_resolve_to_themselves() {
        for (index, kind) in METHODS.iter().enumerate() {
            assert!(METHODS[..index].iter().all(|other| other.name != kind.name), "{}", kind.name);
            assert!(kind.source.contains("20"), "{} cites a year", kind.name);
            let defaults = kind.resolve(Switches::new()).unwrap();
            assert_eq!(kind.resolve(defaults.clone()).unwrap(), defaults, "{}", kind.name);
            assert!(defaults.values().all(|value| !value.is_null()), "{}: a configuration has no null", kind.name);
        }
    }

    #[test]
    fn a_misspelt_switch_is_refused_with_the_right_ones() {
        let given = serde_json::json!({ "temprature": 2.0 });
        let refused = method("prototypical").unwrap().resolve(given.as_object().unwrap().clone()).unwrap_err();
        assert!(refused.reason.starts_with("unknown field `temprature`"), "{refused:?}");
        assert!(refused.reason.contains("`temperature`"), "{refused:?}");
    }
}
