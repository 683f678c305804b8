//! Facets: the named parts of an event, each with the address of the schema that it follows.

use serde_json::{Value, json};

/// What makes the events, as a package URL.
pub const PRODUCER: &str = concat!("pkg:generic/mlsm@", env!("CARGO_PKG_VERSION"));

/// Where the schemas are published.
const SPEC: &str = "https://openlineage.io/spec";
/// The schema of an event.
pub const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// What a facet of this program's own follows: the schema of any facet of a run.
const ANY_OF_RUN: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet";

/// A facet of the standard that is used here: its schema and the schema's version.
#[derive(Clone, Copy)]
pub struct Kind(&'static str, &'static str);

pub const COLUMN_LINEAGE: Kind = Kind("ColumnLineageDatasetFacet", "1-2-0");
pub const DATASET_DOCUMENTATION: Kind = Kind("DocumentationDatasetFacet", "1-1-0");
pub const DATASET_TYPE: Kind = Kind("DatasetTypeDatasetFacet", "1-0-1");
pub const DATASET_VERSION: Kind = Kind("DatasetVersionDatasetFacet", "1-0-1");
pub const ERROR_MESSAGE: Kind = Kind("ErrorMessageRunFacet", "1-0-1");
pub const EXECUTION_PARAMETERS: Kind = Kind("ExecutionParametersRunFacet", "1-0-0");
pub const INPUT_STATISTICS: Kind = Kind("InputStatisticsInputDatasetFacet", "1-0-0");
pub const JOB_DOCUMENTATION: Kind = Kind("DocumentationJobFacet", "1-1-0");
pub const JOB_TYPE: Kind = Kind("JobTypeJobFacet", "2-0-4");
pub const OUTPUT_STATISTICS: Kind = Kind("OutputStatisticsOutputDatasetFacet", "1-0-2");
pub const PARENT: Kind = Kind("ParentRunFacet", "1-2-0");
pub const PROCESSING_ENGINE: Kind = Kind("ProcessingEngineRunFacet", "1-1-1");
pub const QUALITY: Kind = Kind("DataQualityMetricsDatasetFacet", "1-0-0");
pub const SCHEMA: Kind = Kind("SchemaDatasetFacet", "1-2-0");
pub const SOURCE_CODE: Kind = Kind("SourceCodeJobFacet", "1-0-1");

/// Makes a facet of the standard.
pub fn facet(Kind(name, version): Kind, fields: Value) -> Value {
    headed(&format!("{SPEC}/facets/{version}/{name}.json#/$defs/{name}"), fields)
}

/// Makes a facet of a run that the standard does not have.
pub fn own(fields: Value) -> Value {
    headed(ANY_OF_RUN, fields)
}

fn headed(schema: &str, fields: Value) -> Value {
    let mut facet = json!({ "_producer": PRODUCER, "_schemaURL": schema });
    if let (Some(head), Value::Object(fields)) = (facet.as_object_mut(), fields) {
        head.extend(fields);
    }
    facet
}

/// What a kind of job is: the run itself or a part of it.
pub fn job_type(kind: &str) -> Value {
    facet(JOB_TYPE, json!({ "processingType": "BATCH", "integration": "MLSM", "jobType": kind }))
}

/// The facet that says what went wrong.
pub fn error_message(message: &str) -> Value {
    facet(ERROR_MESSAGE, json!({ "message": message, "programmingLanguage": "RUST" }))
}

/// Says in a sentence what a stage does.
pub fn documentation(stage: &str) -> Value {
    let text = match stage {
        "splits" => "Assigns each class to base, val or novel.",
        "ingest" => "Reads the photos of each class, checks them and packs their pixels.",
        "train-base" => "Trains a network on the base classes.",
        "crop" => "Draws a box around the object on each photo and cuts it out.",
        "extract" => "Computes embeddings and feature maps of photos and of objects.",
        "meta-train" => "Trains a few-shot method in episodes on base classes, selected on val classes.",
        "evaluate" => "Measures a row on episodes of novel classes.",
        "publish" => "Lays the artifacts of the run out as Parquet tables.",
        _ => "A stage of mlsm.",
    };
    facet(JOB_DOCUMENTATION, json!({ "description": text }))
}
