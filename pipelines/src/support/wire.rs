//! A support file in a graph: what it holds is known, and only photos that are asked for, or added, are computed.

use std::collections::{BTreeMap, BTreeSet};

use mlsm_data::{Class, ClassId, Dataset, OwnPhotos, Part, Photo, Shard, ShardOptions, counted, shards};
use mlsm_engine::{InputSource, Unit, UnitRef};
use mlsm_store::{Digest, Output, Store};

use super::gather::of_row;
use super::{NewPhotos, Support, SupportError, Whole, recipes};
use crate::assemble::{AssembleError, Assembly};
use crate::config::Config;
use crate::prepare::photos::{by_content, own_digests};
use crate::prepare::{Preparation, Scene, Source};
use crate::weights;

impl Support {
    /// Prepares the scene in which its features are known. `own`: its labelled photos beside those asked for, or photos that
    /// are to join it, of which those that it has are left out.
    ///
    /// # Errors
    /// [`AssembleError`]: weights that are not those of the file, photos that cannot be read, a request to stop.
    pub fn prepare(&self, own: OwnPhotos, with: &Preparation<'_>) -> Result<Scene, AssembleError> {
        self.check_weights(with.store)?;
        let by_path = own_digests(&own, with)?;
        let is_known = |photo: &Photo| {
            let digest = by_path.get(&photo.image_id);
            digest.is_some_and(|digest| self.has(photo.class_id, digest))
        };
        let (own, digests) = by_content(own.without(is_known), &by_path);
        let base_classes: BTreeSet<ClassId> = self.base.values().copied().collect();
        let unnamed = base_classes.iter().map(|class_id| Class { class_id: *class_id, name: class_id.to_string() });
        let photo = |(image_id, class_id): (&mlsm_data::ImageId, &ClassId)| {
            let (image_id, class_id) = (*image_id, *class_id);
            Photo { image_id, class_id, path: "(features alone)".to_owned(), bbox: None }
        };
        let classes = own.classes().iter().cloned().chain(unnamed).collect();
        let photos = own.photos().iter().cloned().chain(self.base.iter().map(photo)).collect();
        let labelled = if self.about.labelled_are_base { Part::Base } else { Part::Novel };
        let part = |class: &Class| if class.class_id == own.query_class() { Part::Novel } else { labelled };
        let parts = own.classes().iter().map(|class| (class.class_id, part(class)));
        let parts = parts.chain(base_classes.iter().map(|class_id| (*class_id, Part::Base))).collect();
        let dataset = Dataset::new(std::path::PathBuf::new(), classes, photos);
        let source = Source {
            warnings: counted(own.left_out()).into_iter().collect(),
            pending: Some("a support file keeps its features alone".to_owned()),
            own: Some(own),
            parts: Some(parts),
            ..Source::of(dataset, digests, "own".to_owned())
        };
        let weights = self.about.weights.iter().map(|(name, digest)| (name.clone(), InputSource::Known(*digest)));
        Ok(Scene { source, split: None, weights: weights.collect() })
    }

    /// Compares named weights with those of the store.
    fn check_weights(&self, store: &Store) -> Result<(), AssembleError> {
        for Whole { weights: name, digest, .. } in &self.about.wholes {
            let Some(name) = name else { continue };
            let (path, name) = (self.path.clone(), name.clone());
            match weights::find(store, &name)? {
                Some(found) if found == *digest => {}
                Some(found) => {
                    return Err(SupportError::OtherWeights { path, name, expected: *digest, found }.into());
                }
                None => return Err(SupportError::MissingWeights { path, name, store: store.root().to_owned() }.into()),
            }
        }
        Ok(())
    }

    /// Refuses a configuration, given beside the file, that is not the one that made it, and imported weights that are
    /// others.
    ///
    /// # Errors
    /// [`SupportError::OtherConfig`].
    pub fn check_config(&self, given: &Config, imported: &BTreeMap<String, Digest>) -> Result<(), SupportError> {
        let refuse = |why| Err(SupportError::OtherConfig { path: self.path.clone(), why });
        let (made, given) = (self.config()?.resolved(), given.without_paths().resolved());
        if let Some(why) = differing_keys(&made, &given) {
            return refuse(why);
        }
        let other = |(base, digest): &(&String, &Digest)| imported.get(*base).is_some_and(|found| found != *digest);
        match self.about.weights.iter().find(other) {
            Some((base, _)) => refuse(format!("the weights of train-base.{base} are others")),
            None => Ok(()),
        }
    }

    /// Keeps of a graph what works on new photos, and the node of the row where they are asked for; all else is known. Known
    /// artifacts are put into the store.
    ///
    /// # Errors
    /// [`AssembleError::Config`] when the file was made by another version of the program, [`AssembleError::Store`].
    pub fn wire(
        &self,
        assembly: Assembly,
        scene: &Scene,
        (node, new): (&str, NewPhotos),
        store: &Store,
    ) -> Result<Assembly, AssembleError> {
        let own = scene.source.own.as_ref().expect("the scene was prepared by the file");
        let (graph, asked_for) = (&assembly.graph, new == NewPhotos::AskedFor);
        if let Some(why) = recipes::difference(&self.about.recipes, &of_row(&assembly, node, own), asked_for) {
            return Err(SupportError::OtherProgram { path: self.path.clone(), why }.into());
        }
        let max_photos = self.config()?.data.shard_photos;
        let shards = shards(&scene.source.dataset, &ShardOptions { max_photos });
        let is_new = |class: ClassId| own.has(class) && (!asked_for || class == own.query_class());
        let of_new: BTreeSet<&str> = shards.iter().filter(|s| is_new(s.class_id)).map(|s| s.id.as_str()).collect();
        let below = graph.units_below(node);
        let is_kept = |at: UnitRef| {
            let (known, unit) = (graph.node(at.node), graph.unit(at));
            let is_row = asked_for && known.id == node;
            // Sizes and small pixels of photos asked for are what a page shows, whether the row reads them or not.
            let is_shown = asked_for && known.stage == "ingest";
            is_row || (is_shown || below.contains(&(at.node, at.unit))) && of_new.contains(unit.shard.as_str())
        };
        let mut found = BTreeMap::new();
        let known = |at: UnitRef, output: &'static str| -> Result<Digest, AssembleError> {
            if let Some(digest) = found.get(&(at.node, at.unit, output)) {
                return Ok(*digest);
            }
            let (node, unit) = (&graph.node(at.node).id, graph.unit(at));
            let digest = self.put(node, unit, output, (&shards, store))?;
            found.insert((at.node, at.unit, output), digest);
            Ok(digest)
        };
        let graph = graph.part(is_kept, known)?;
        Ok(Assembly { graph, ..assembly })
    }

    /// Puts an artifact into the store as the unit made it.
    fn put(
        &self,
        node: &str,
        unit: &Unit,
        output: &str,
        (shards, store): (&[Shard], &Store),
    ) -> Result<Digest, AssembleError> {
        let of_shard = shards.iter().find(|shard| shard.id == unit.shard);
        let made = match of_shard {
            Some(shard) => {
                let photos = shard.photos.iter().map(|photo| i64::from(photo.image_id.0)).collect();
                let rows = self.rows.get(&[node.to_owned(), unit.aspect.clone(), output.to_owned()]);
                rows.map(|rows| store.put(&rows.artifact(&photos))).transpose()?
            }
            None => self.put_whole([node, &unit.key(), output], store)?,
        };
        let lacking = || {
            let why = format!("it lacks {output} of {node}");
            SupportError::OtherProgram { path: self.path.clone(), why }
        };
        Ok(made.map(|made| made.digest).ok_or_else(lacking)?)
    }

    fn put_whole(&self, name: [&str; 3], store: &Store) -> Result<Option<Output>, AssembleError> {
        let is_it = |(whole, _): &(&Whole, _)| [&whole.node, &whole.unit, &whole.output].map(String::as_str) == name;
        Ok(match self.about.wholes.iter().zip(&self.wholes).find(is_it) {
            Some((_, Some(bytes))) => Some(store.put(bytes)?),
            Some((whole, None)) => Some(Output { digest: whole.digest, bytes: 0 }),
            None => None,
        })
    }
}

/// Says which keys of two configurations differ; `None` where none does.
fn differing_keys(made: &toml::Table, given: &toml::Table) -> Option<String> {
    const SHOWN: usize = 3;
    let [made, given] = [made, given].map(|table| keys("", table));
    let names: BTreeSet<&String> = made.keys().chain(given.keys()).collect();
    let value = |of: &BTreeMap<String, String>, name: &String| of.get(name).cloned().unwrap_or("absent".to_owned());
    let differ = names.into_iter().filter(|name| made.get(*name) != given.get(*name));
    let said: Vec<String> = differ
        .map(|name| format!("`{name}` is {} in it and {} here", value(&made, name), value(&given, name)))
        .collect();
    let more = said.len().saturating_sub(SHOWN);
    let listed = said.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    match (said.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(listed),
        (_, more) => Some(format!("{listed}; and {more} more keys differ")),
    }
}

/// Lists the keys of a table, with dots between sections.
fn keys(before: &str, table: &toml::Table) -> BTreeMap<String, String> {
    let of_one = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::Table(below) => keys(&format!("{before}{key}."), below),
        value => BTreeMap::from([(format!("{before}{key}"), value.to_string())]),
    };
    table.iter().flat_map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_that_differ_are_told_by_their_keys() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let made = table("seed = 0\n[train-base.conv]\nwidth = 8\n");
        assert_eq!(differing_keys(&made, &made), None);
        let said = differing_keys(&made, &table("seed = 0\n[train-base.conv]\nwidth = 12\n")).unwrap();
        assert_eq!(said, "`train-base.conv.width` is 8 in it and 12 here");
        let said = differing_keys(&made, &table("a = 1\nb = 1\nc = 1\nd = 1\nseed = 0\n")).unwrap();
        assert!(
            said.ends_with("; and 2 more keys differ") && said.starts_with("`a` is absent in it and 1 here"),
            "{said}"
        );
    }
}
