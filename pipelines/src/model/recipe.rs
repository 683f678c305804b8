//! What a model is made by: one row of a section, and what identifies it.

use mlsm_data::Part;
use mlsm_engine::Port;
use mlsm_nets::{Levels, MethodKind, Reads, Shape, Switches};
use mlsm_store::{Field, Value};

use crate::base_net::BaseNetShape;
use crate::config::{BackboneMode, MetaTrain, ObjectSource, TrainBase};
use crate::recipe::field;
use crate::stages::ports::{self, Side};

/// The model of one row: a method with its switches, one set of levels and one object source out of a section's lists.
#[derive(Clone, Debug)]
pub struct ModelRecipe {
    /// The method.
    pub method: &'static MethodKind,
    /// Its switches, every default filled in.
    pub(super) switches: Switches,
    /// How F_φ comes about.
    pub mode: BackboneMode,
    pub(super) base: BaseNetShape,
    pub(super) share_encoder: bool,
    n_way: usize,
    /// The levels that are summed, of a method that has some.
    pub levels: Levels,
    /// What the object level looks at, or what a method without levels looks at instead of the whole photo.
    pub object: Option<ObjectSource>,
}

impl ModelRecipe {
    /// Takes one row out of a checked section.
    pub fn new(section: &MetaTrain, base: &TrainBase, levels: Levels, object: Option<ObjectSource>) -> Self {
        Self {
            method: section.kind(),
            switches: section.switches.clone(),
            mode: section.mode(),
            base: BaseNetShape::of(base),
            share_encoder: section.share_encoder,
            n_way: section.n_way,
            levels,
            object,
        }
    }

    /// Returns what identifies the model in a recipe. The object source stands for rows, which are inputs.
    pub fn fields(&self) -> Vec<Field> {
        let Self { method, switches, mode, base, share_encoder, n_way, levels, object: _ } = self;
        let mut fields = vec![field("method", method.name), field("mode", mode.name())];
        fields.extend(switches.iter().map(|(key, value)| field(&format!("switch.{key}"), recipe_value(value))));
        fields.extend(base.fields());
        // What plays no part in this model is written as nothing, so that it may take any value.
        let is_whole = method.reads == Reads::Pixels;
        fields.extend([
            field("share_encoder", self.has_encoder().then_some(*share_encoder)),
            field("levels", method.has_levels.then(|| levels.to_string())),
            field("outputs", is_whole.then_some(*n_way as i64)),
        ]);
        fields
    }

    /// Returns the same model on pixels, with the base CNN in front of a method that learnt on its stored features.
    pub fn on_pixels(&self) -> Self {
        match self.mode {
            BackboneMode::Frozen => Self { mode: BackboneMode::BaseInit, share_encoder: true, ..self.clone() },
            _ => self.clone(),
        }
    }

    /// Tells whether F_φ stands in front of the method.
    pub(super) fn has_encoder(&self) -> bool {
        self.mode != BackboneMode::Frozen && self.method.reads != Reads::Pixels
    }

    /// Returns the output of `extract` that is read, or `pixels`.
    pub fn array(&self) -> &'static str {
        match self.method.reads {
            _ if self.mode != BackboneMode::Frozen => "pixels",
            Reads::Maps => "map",
            Reads::Embeddings => "embedding",
            Reads::Pixels => "pixels",
        }
    }

    /// Returns the number of classes that the network has outputs for, where it cannot tell another number apart.
    pub fn fixed_ways(&self) -> Option<usize> {
        (self.method.reads == Reads::Pixels).then_some(self.n_way)
    }

    /// Tells whether rows of objects are read beside those of images.
    pub fn reads_objects(&self) -> bool {
        self.method.has_levels && self.levels.object
    }

    /// Returns the ports for the rows of a part.
    pub fn row_ports(&self, part: Part) -> Vec<Port> {
        let mut read = vec![Port::many(ports::rows(Side::Image, part))];
        if self.reads_objects() {
            read.push(Port::many(ports::rows(Side::Object, part)));
        }
        read
    }

    pub(super) fn shape(&self) -> Shape {
        let embedding_side = self.base.embedding_side();
        Shape {
            backbone: self.base.net,
            channels: self.base.embedding_dim() / (embedding_side * embedding_side),
            embedding_side,
            n_way: self.n_way as i64,
            levels: self.levels,
        }
    }
}

/// A switch as a recipe holds it.
fn recipe_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) if number.is_i64() => Value::Int(whole),
            _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(values) => Value::List(values.iter().map(recipe_value).collect()),
        serde_json::Value::Object(_) => unreachable!("switches are not nested"),
    }
}
