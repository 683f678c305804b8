//! What a row of results is, apart from what was measured on it: known when the graph is assembled, stored in no artifact.
//!
//! A column is added here alone: the Parquet table, the summary and the report take their columns from
//! [`RowSpec::columns`].

use serde::{Deserialize, Serialize};

/// The description of a row. Names are those of the columns; empty where a column does not apply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowSpec {
    /// The section of the configuration, or the baseline.
    pub method: String,
    /// The levels that are summed.
    pub levels: String,
    /// What the object level looks at, or what a method without levels looks at: `raw` for the whole photo.
    pub image_source: String,
    /// The backbone; `none` for raw pixels.
    pub backbone: String,
    /// The filters of a backbone whose width is a choice.
    pub width: Option<i64>,
    /// How the backbone was trained: `frozen`, `end-to-end` or `base-init`.
    pub mode: String,
    /// Imported weights, of the backbone or of the localiser; `none` without.
    pub weights: String,
    /// What the backbone's convolutions compute in.
    pub precision: String,
    /// What the similarity net sees of a pair.
    pub pair: String,
    /// What training in episodes minimises.
    pub loss: String,
    /// Augmentation of the training that the backbone comes from.
    pub augmentation: String,
    /// The localiser, the layer of its map and the threshold, as `NAME@THRESHOLD` or `NAME[layers_back=N]@THRESHOLD`.
    pub cam: String,
    /// Which statistics batch normalisation uses.
    pub bn_eval: String,
    /// Classes of an episode.
    pub n_way: i64,
    /// Labelled photos of each class.
    pub k_shot: i64,
    /// Queries of each class.
    pub n_query: i64,
    /// The name of the protocol.
    pub protocol: String,
    /// The name of the data set.
    pub dataset: String,
    /// The rule that assigned classes to parts.
    pub split_rule: String,
    /// The seed of the row's training.
    pub training_seed: i64,
    /// The figure that the paper prints, 0 to 1.
    pub paper_accuracy: Option<f64>,
}

/// The value of a row in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A name.
    Text(String),
    /// A number, where the column applies.
    Int(Option<i64>),
    /// A share of 1, where there is one.
    Real(Option<f64>),
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Int(value) => value.map_or(Ok(()), |value| write!(f, "{value}")),
            Self::Real(value) => value.map_or(Ok(()), |value| write!(f, "{value}")),
        }
    }
}

/// One column of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowColumn {
    /// The name in Parquet and SQL.
    pub name: &'static str,
    /// The value.
    pub cell: Cell,
    /// The heading in printed tables, of a column that tells rows of one table apart.
    pub heading: Option<&'static str>,
    /// The value that printed tables leave blank.
    pub usual: &'static str,
}

impl RowSpec {
    /// Returns every column, in the order of the table `results`.
    pub fn columns(&self) -> Vec<RowColumn> {
        let text = |name, value: &str| hidden(name, Cell::Text(value.to_owned()));
        let int = |name, value: i64| hidden(name, Cell::Int(Some(value)));
        vec![
            text("method", &self.method).printed("method", ""),
            text("levels", &self.levels).printed("levels", ""),
            text("image_source", &self.image_source).printed("object", ""),
            text("backbone", &self.backbone).printed("backbone", "none"),
            hidden("width", Cell::Int(self.width)).printed("width", ""),
            text("mode", &self.mode).printed("mode", "frozen"),
            text("weights", &self.weights).printed("weights", "none"),
            text("precision", &self.precision),
            text("pair", &self.pair).printed("pair", ""),
            text("loss", &self.loss).printed("loss", ""),
            text("augmentation", &self.augmentation).printed("augmentation", "none"),
            text("cam", &self.cam),
            text("bn_eval", &self.bn_eval).printed("batch norm", "running"),
            int("n_way", self.n_way),
            int("k_shot", self.k_shot),
            int("n_query", self.n_query),
            text("protocol", &self.protocol),
            text("dataset", &self.dataset),
            text("split_rule", &self.split_rule),
            int("training_seed", self.training_seed).printed("seed", ""),
            hidden("paper_accuracy", Cell::Real(self.paper_accuracy)),
        ]
    }
}

fn hidden(name: &'static str, cell: Cell) -> RowColumn {
    RowColumn { name, cell, heading: None, usual: "" }
}

impl RowColumn {
    fn printed(self, heading: &'static str, usual: &'static str) -> Self {
        Self { heading: Some(heading), usual, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_a_column_of_the_same_name() {
        let fields = serde_json::to_value(RowSpec::default()).unwrap();
        let columns = RowSpec::default().columns();
        let mut names: Vec<_> = columns.iter().map(|column| column.name).collect();
        names.sort_unstable();
        let mut fields: Vec<_> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(names, fields);
    }
}
