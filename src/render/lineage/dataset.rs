//! Data sets as OpenLineage names them: the photos, the artifacts of nodes, and which node reads which of them.
//!
//! An artifact is named by its node and output, in the namespace of its store; its version is its digest. Photos and tables
//! are files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mlsm_engine::{InputSource, Node};
use mlsm_pipelines::stages::ingest::PHOTO;
use mlsm_pipelines::{Assembly, Config, TableOrigin, dictionary};
use mlsm_store::{Digest, is_address};
use serde_json::{Map, Value, json};

use super::facet::{self, facet};

/// The namespace of files.
pub const FILES: &str = "file";

/// What a node reads and makes, as far as it is known before it runs.
#[derive(Clone, Debug, Default)]
pub struct NodeData {
    /// The stage.
    pub stage: String,
    /// The artifacts that it reads: node and output.
    reads: BTreeSet<(String, String)>,
    /// Whether it reads photos, and how many.
    photos: usize,
    /// The digests of other bytes from outside, such as imported weights, by port.
    imported: BTreeMap<String, Digest>,
    /// The artifacts that it makes.
    makes: BTreeSet<String>,
}

/// All that lineage knows of a graph.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// The namespace of artifacts.
    namespace: String,
    /// The folder, archive or bucket of photos; photos are drawn where there is none.
    photos: Option<String>,
    /// The nodes.
    pub nodes: BTreeMap<String, NodeData>,
    /// Which artifacts become which tables.
    pub origins: Vec<TableOrigin>,
    /// The digests of what was made or found so far, by node and output.
    versions: BTreeMap<(String, String), Digest>,
}

impl Catalogue {
    /// Lists what the nodes of a graph read and make. `store`: its address.
    pub fn new(store: &str, config: &Config, assembly: &Assembly) -> Self {
        let absolute =
            |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
        let photos = config.bucket().map(str::to_owned).or_else(|| config.data_path().map(absolute));
        let nodes = assembly.graph.nodes().iter().map(|node| (node.id.clone(), data_of(node, assembly)));
        Self {
            namespace: format!("mlsm:{store}"),
            photos,
            nodes: nodes.collect(),
            origins: assembly.table_origins(),
            versions: BTreeMap::new(),
        }
    }

    /// Remembers the digests of what a node made.
    pub fn learn(&mut self, node: &str, outputs: &BTreeMap<String, Digest>) {
        let named = outputs.iter().map(|(output, digest)| ((node.to_owned(), output.clone()), *digest));
        self.versions.extend(named);
    }

    /// Describes what a node reads.
    pub fn inputs(&self, data: &NodeData) -> Vec<Value> {
        let artifacts = data.reads.iter().map(|(node, output)| self.artifact(node, output));
        let imported = data.imported.iter().map(|(port, digest)| {
            let version = facet(facet::DATASET_VERSION, json!({ "datasetVersion": digest.to_string() }));
            json!({ "namespace": self.namespace, "name": format!("imported/{port}"), "facets": { "version": version } })
        });
        let photos = (data.photos > 0).then(|| self.photos(data.photos));
        photos.into_iter().chain(imported).chain(artifacts).collect()
    }

    /// Describes what a node makes.
    pub fn outputs(&self, node: &str, data: &NodeData) -> Vec<Value> {
        data.makes.iter().map(|output| self.artifact(node, output)).collect()
    }

    /// Describes the artifacts that become tables.
    pub fn published(&self) -> Vec<Value> {
        let artifacts: BTreeSet<_> = self.origins.iter().map(|origin| (&origin.node, &origin.output)).collect();
        artifacts.into_iter().map(|(node, output)| self.artifact(node, output)).collect()
    }

    /// Names a column of an artifact, for the lineage of columns. `how`: the kind of direct transformation.
    pub fn field(&self, origin: &TableOrigin, column: &str, how: &str) -> Value {
        json!({
            "namespace": self.namespace,
            "name": name(&origin.node, &origin.output),
            "field": column,
            "transformations": [{ "type": "DIRECT", "subtype": how }],
        })
    }

    fn photos(&self, count: usize) -> Value {
        // A bucket is a namespace of its own, its prefix the name.
        let prefix_at = |address: &str| address.match_indices('/').nth(2).map_or(address.len(), |(at, _)| at);
        let (namespace, name, text) = match &self.photos {
            Some(path) if is_address(path) => {
                let (bucket, prefix) = path.split_at(prefix_at(path));
                (bucket, prefix, "Labelled photos.")
            }
            Some(path) => (FILES, path.as_str(), "Labelled photos."),
            None => (self.namespace.as_str(), "photos", "Photos that mlsm drew."),
        };
        json!({
            "namespace": namespace,
            "name": name,
            "facets": { "documentation": facet(facet::DATASET_DOCUMENTATION, json!({ "description": text })) },
            "inputFacets": { "inputStatistics": facet(facet::INPUT_STATISTICS, json!({ "fileCount": count })) },
        })
    }

    /// Describes an artifact: its version where it is known, its columns where it becomes a table.
    fn artifact(&self, node: &str, output: &str) -> Value {
        let kind = if output == "weights" { "MODEL" } else { "JOB_OUTPUT" };
        let mut facets =
            Map::from_iter([("datasetType".to_owned(), facet(facet::DATASET_TYPE, json!({ "datasetType": kind })))]);
        if let Some(digest) = self.versions.get(&(node.to_owned(), output.to_owned())) {
            let version = facet(facet::DATASET_VERSION, json!({ "datasetVersion": digest.to_string() }));
            facets.insert("version".to_owned(), version);
        }
        let origin = self.origins.iter().find(|origin| origin.node == node && origin.output == output);
        if let Some(origin) = origin {
            facets.insert("schema".to_owned(), schema(origin.table, &origin.constants));
        }
        json!({ "namespace": self.namespace, "name": name(node, output), "facets": facets })
    }
}

/// The name of an artifact in the namespace of its store.
fn name(node: &str, output: &str) -> String {
    format!("{node}/{output}")
}

/// Describes the columns of a table, but those `without`: name, type, meaning and unit.
pub fn schema(table: &str, without: &[&str]) -> Value {
    let columns = dictionary::describe(table).map(|doc| doc.columns).unwrap_or_default();
    let columns = columns.iter().filter(|column| !without.contains(&column.name));
    let fields = columns.enumerate().map(|(place, column)| {
        let unit = if column.unit.is_empty() { String::new() } else { format!(" [{}]", column.unit) };
        let meaning = format!("{}{unit}", column.meaning);
        json!({
            "name": column.name,
            "type": column.kind.sql(),
            "description": meaning,
            "ordinal_position": place + 1,
        })
    });
    facet(facet::SCHEMA, json!({ "fields": fields.collect::<Vec<_>>() }))
}

fn data_of(node: &Node, assembly: &Assembly) -> NodeData {
    let mut data = NodeData { stage: node.stage.to_owned(), ..NodeData::default() };
    let mut photos = BTreeSet::new();
    for unit in &node.units {
        data.makes.extend(unit.task.outputs().iter().map(|output| (*output).to_owned()));
        for input in &unit.inputs {
            match &input.source {
                InputSource::Output(from, output) => {
                    let read = &assembly.graph.node(from.node).id;
                    if *read != node.id {
                        data.reads.insert((read.clone(), (*output).to_owned()));
                    }
                }
                InputSource::Known(_) if input.port == PHOTO => {
                    photos.extend(input.item.as_ref().map(|item| item.id.as_str()));
                }
                InputSource::Known(digest) => drop(data.imported.insert(input.port.to_owned(), *digest)),
                InputSource::Pending(_) => {}
            }
        }
    }
    data.photos = photos.len();
    data
}
