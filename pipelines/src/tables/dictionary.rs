//! The data dictionary: every published table, every column, its type, unit and meaning.
//!
//! It is data: the writer takes its schema from here, `mlsm tables NAME` prints it, and Parquet files carry it.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};

use Kind::{Flag, Int, Ints, Real, Reals, Text, Time, Vector};

/// A published table.
#[derive(Debug)]
pub struct TableDoc {
    /// Its name in SQL, and the name of its folder.
    pub name: &'static str,
    /// What one row is.
    pub row: &'static str,
    /// Its columns, in order.
    pub columns: &'static [ColumnDoc],
}

/// A column of a published table.
#[derive(Debug)]
pub struct ColumnDoc {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The unit of its values; empty for ids, names and counts.
    pub unit: &'static str,
    /// What its values mean, and when there is none.
    pub meaning: &'static str,
}

/// The types of columns. No column is unsigned: subtraction would wrap below zero in some readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 64-bit whole numbers.
    Int,
    /// 64-bit floating-point numbers.
    Real,
    /// UTF-8 text.
    Text,
    /// True or false.
    Flag,
    /// A time in UTC, in microseconds.
    Time,
    /// Lists of whole numbers.
    Ints,
    /// Lists of 32-bit floating-point numbers.
    Reals,
    /// Lists of 32-bit floating-point numbers, of one length throughout a file.
    Vector,
}

impl Kind {
    /// Returns the name of the type in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Int => "BIGINT",
            Real => "DOUBLE",
            Text => "VARCHAR",
            Flag => "BOOLEAN",
            Time => "TIMESTAMP",
            Ints => "BIGINT[]",
            Reals | Vector => "FLOAT[]",
        }
    }

    /// Returns the type in Arrow; `length`: of the lists of a [`Kind::Vector`].
    fn arrow(self, length: i32) -> DataType {
        match self {
            Int => DataType::Int64,
            Real => DataType::Float64,
            Text => DataType::Utf8,
            Flag => DataType::Boolean,
            Time => DataType::Timestamp(TimeUnit::Microsecond, None),
            Ints => DataType::new_list(DataType::Int64, true),
            Reals => DataType::new_list(DataType::Float32, true),
            Vector => DataType::new_fixed_size_list(DataType::Float32, length, false),
        }
    }
}

impl TableDoc {
    /// Returns the schema of a file of this table, with units and meanings; `length`: of its vectors.
    pub(super) fn schema(&self, length: i32) -> Schema {
        let described = |c: &ColumnDoc| {
            let texts = [("unit", c.unit), ("description", c.meaning)];
            let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
            let texts: HashMap<_, _> = texts.map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
            Field::new(c.name, c.kind.arrow(length), true).with_metadata(texts)
        };
        Schema::new(self.columns.iter().map(described).collect::<Fields>())
    }
}

/// Returns the description of a table.
pub fn describe(table: &str) -> Option<&'static TableDoc> {
    TABLES.iter().find(|doc| doc.name == table)
}

const fn col(name: &'static str, kind: Kind, unit: &'static str, meaning: &'static str) -> ColumnDoc {
    ColumnDoc { name, kind, unit, meaning }
}

const NODE: ColumnDoc = col("node", Text, "", "node of the graph that computed the row");
const IMAGE: ColumnDoc = col("image_id", Int, "", "id of the photo, as in `images`");
const CLASS: ColumnDoc = col("class_id", Int, "", "id of the true class of the photo");
const SPLIT: ColumnDoc = col("split", Text, "", "part of the class: base, val or novel");
const METHOD: ColumnDoc = col("method", Text, "", "few-shot method");
const LEVELS: ColumnDoc =
    col("levels", Text, "", "levels of MLSM that are summed, such as I+G+O; empty for other methods");
const N_WAY: ColumnDoc = col("n_way", Int, "", "classes of an episode");
const K_SHOT: ColumnDoc = col("k_shot", Int, "", "labelled photos of each class of an episode");
const N_QUERY: ColumnDoc = col("n_query", Int, "", "photos to classify of each class of an episode");

/// All tables, by name.
pub const TABLES: &[TableDoc] = &[
    TableDoc {
        name: "crops",
        row: "a box that a localiser drew on a photo",
        columns: &[
            IMAGE,
            col("node", Text, "", "node that drew the box: the localiser and its rule"),
            SPLIT,
            col("box_x", Real, "px", "left edge of the box, in the original photo"),
            col("box_y", Real, "px", "upper edge of the box, in the original photo"),
            col("box_w", Real, "px", "width of the box"),
            col("box_h", Real, "px", "height of the box"),
            col("cam_class_id", Int, "", "base class whose Grad-CAM map was used; null without Grad-CAM"),
            col("cam_peak", Real, "", "largest value of the map before it is scaled; null without Grad-CAM"),
            col("fallback", Flag, "", "true where nothing was found and the whole photo was taken"),
            col("iou", Real, "", "intersection over union with the true box, 0 to 1; null where that is unknown"),
        ],
    },
    TableDoc {
        name: "episodes",
        row: "an episode that a row of `results` was measured on",
        columns: &[
            NODE,
            METHOD,
            LEVELS,
            N_WAY,
            K_SHOT,
            N_QUERY,
            col("episode_seed", Int, "", "seed that the episodes are drawn from"),
            col("episode", Int, "", "index of the episode; equal seeds, ways, shots and indices are the same photos"),
            col("support_ids", Ints, "", "ids of the labelled photos, class after class"),
            col("query_ids", Ints, "", "ids of the photos to classify, class after class"),
            col("accuracy", Real, "share of 1", "queries classified rightly"),
        ],
    },
    TableDoc {
        name: "features",
        row: "an embedding of a photo, or of an object in it; one file for each length of the embedding",
        columns: &[
            IMAGE,
            CLASS,
            SPLIT,
            NODE,
            col("source", Text, "", "what was embedded: image (the whole photo) or object"),
            col("object", Text, "", "rule that located the object, such as grad-cam; null for whole photos"),
            col("dim", Int, "", "length of the embedding"),
            col("embedding", Vector, "", "the embedding, not normalised"),
        ],
    },
    TableDoc {
        name: "images",
        row: "a photo of the data set",
        columns: &[
            col("image_id", Int, "", "id of the photo"),
            col("path", Text, "", "path of the photo within the data set"),
            CLASS,
            col("class_name", Text, "", "name of the class"),
            SPLIT,
            col("width", Int, "px", "width of the upright photo"),
            col("height", Int, "px", "height of the upright photo"),
            col("box_x", Real, "px", "left edge of the true box; null where the data set has none"),
            col("box_y", Real, "px", "upper edge of the true box; null where the data set has none"),
            col("box_w", Real, "px", "width of the true box; null where the data set has none"),
            col("box_h", Real, "px", "height of the true box; null where the data set has none"),
            col("digest", Text, "", "BLAKE3 digest of the file"),
            col("bytes", Int, "bytes", "size of the file"),
        ],
    },
    TableDoc {
        name: "nodes",
        row: "a node of a run of this store",
        columns: &[
            col("run_id", Text, "", "id of the run, as in `runs`"),
            col("node", Text, "", "id of the node"),
            col("stage", Text, "", "stage of the node"),
            col("outcome", Text, "", "executed, cached, failed, skipped or cancelled"),
            col("fingerprint", Text, "", "identity of the request; empty when the node did not finish"),
            col("seconds", Real, "s", "elapsed time"),
            col("reason", Text, "", "why the node was executed; empty when it was not"),
        ],
    },
    TableDoc {
        name: "predictions",
        row: "a query photo of an episode; where the configuration keeps predictions",
        columns: &[
            NODE,
            col("episode", Int, "", "index of the episode, as in `episodes`"),
            IMAGE,
            CLASS,
            col("predicted_class_id", Int, "", "id of the class with the largest score"),
            col("scores", Reals, "", "score of each class, in the order of the episode's classes"),
        ],
    },
    TableDoc {
        name: "results",
        row: "a method measured in one setting on novel classes",
        columns: &[
            NODE,
            METHOD,
            LEVELS,
            col("image_source", Text, "", "raw, or the rule of the boxes that the object level reads"),
            col("backbone", Text, "", "network that embeds; `none` for raw pixels"),
            col("width", Int, "", "filters of a backbone whose width is a choice; null for others"),
            col("mode", Text, "", "how the backbone was trained: frozen, end-to-end or base-init"),
            col("weights", Text, "", "imported weights of the backbone or of the localiser, or none"),
            col("precision", Text, "", "precision of the convolutions: f32 or bf16"),
            col("pair", Text, "", "what the similarity net sees of a pair; empty without such a net"),
            col("loss", Text, "", "what training in episodes minimises; empty where nothing is trained so"),
            col("augmentation", Text, "", "augmentation of the training that the backbone comes from"),
            col("cam", Text, "", "localiser, layer of its map and threshold of the boxes; empty without"),
            col("bn_eval", Text, "", "statistics that batch norm takes in measuring: running, batch or support"),
            N_WAY,
            K_SHOT,
            N_QUERY,
            col("protocol", Text, "", "protocol of training and selection"),
            col("dataset", Text, "", "name of the data set"),
            col("split_rule", Text, "", "rule that assigned the classes to base, val and novel"),
            col("training_seed", Int, "", "seed of the training of the row"),
            col(
                "paper_accuracy",
                Real,
                "share of 1",
                "figure that the paper prints, on other photos; null without one",
            ),
            col("episodes", Int, "", "number of episodes"),
            col("accuracy", Real, "share of 1", "mean over the episodes"),
            col("ci95", Real, "share of 1", "half the 95 % confidence interval of that mean, over episodes"),
        ],
    },
    TableDoc {
        name: "runs",
        row: "a run of this store, up to the publication",
        columns: &[
            col("run_id", Text, "", "id of the run"),
            col("started", Time, "UTC", "start of the run"),
            col("finished", Time, "UTC", "end of the run"),
            col("outcome", Text, "", "ok, failed or cancelled"),
            col("config", Text, "", "name of the configuration"),
            col("config_digest", Text, "", "digest of the resolved configuration"),
            col("version", Text, "", "version of the program"),
            col("device", Text, "", "device that was asked for"),
        ],
    },
    TableDoc {
        name: "skipped",
        row: "a photo that was left out because it could not be decoded",
        columns: &[
            col("image_id", Int, "", "id of the photo"),
            col("path", Text, "", "path of the photo within the data set"),
            CLASS,
            SPLIT,
            col("reason", Text, "", "what the decoder said"),
        ],
    },
    TableDoc {
        name: "splits",
        row: "a class",
        columns: &[
            col("class_id", Int, "", "id of the class"),
            col("class_name", Text, "", "name of the class"),
            col("part", Text, "", "part of the class: base, val or novel"),
        ],
    },
    TableDoc {
        name: "training",
        row: "a value measured during a training",
        columns: &[
            NODE,
            col("step", Int, "", "steps or episodes trained before it was measured"),
            col("split", Text, "", "part of the classes that it was measured on"),
            col("metric", Text, "", "what was measured, such as loss or accuracy"),
            col("value", Real, "", "the value; accuracies are shares of 1"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_and_columns_are_named_once_and_described() {
        assert!(TABLES.is_sorted_by_key(|doc| doc.name));
        for doc in TABLES {
            let names: BTreeSet<_> = doc.columns.iter().map(|c| c.name).collect();
            assert_eq!(names.len(), doc.columns.len(), "{}", doc.name);
            assert!(doc.columns.iter().all(|c| c.meaning.len() > 8), "{}", doc.name);
        }
    }

    #[test]
    fn no_column_is_unsigned() {
        let fields = TABLES.iter().flat_map(|doc| doc.schema(4).fields.iter().cloned().collect::<Vec<_>>());
        assert!(fields.into_iter().all(|field| !field.data_type().is_unsigned_integer()));
    }
}
