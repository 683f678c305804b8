//! `predict`: tells photos of one's own apart, by labelled ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlsm_data::{ClassId, Episode, ImageId, OwnPhotos};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_store::{Field, Value};

use super::extract::floats;
use crate::artifact::{Column, table};
use crate::recipe::field;
use crate::runtime::Runtime;
use crate::scoring::{Scorer, Scoring};

/// Photos that are scored at once.
const BATCH: usize = 256;

/// Predicts with one row. Output: `predictions`, one line for each photo asked for.
pub struct Predict {
    scoring: Scoring,
    /// The names of the classes.
    classes: BTreeMap<ClassId, String>,
    /// The class that stands for those asked for, and its photos with their paths.
    asked: (ClassId, BTreeMap<ImageId, String>),
    runtime: Arc<Runtime>,
}

impl Predict {
    /// Predicts the photos that are asked for.
    pub fn new(own: &OwnPhotos, scoring: Scoring, runtime: Arc<Runtime>) -> Self {
        let named = own.classes().iter().filter(|class| class.class_id != own.query_class());
        let classes = named.map(|class| (class.class_id, class.name.clone())).collect();
        let asked = own.asked().map(|(id, path)| (id, path.to_owned())).collect();
        Self { scoring, classes, asked: (own.query_class(), asked), runtime }
    }

    /// The labelled photos as the support of an episode, each once.
    fn support(&self, photos: &BTreeMap<ClassId, Vec<ImageId>>) -> Result<Vec<Vec<ImageId>>, StageError> {
        let of_class = |class: &ClassId| photos.get(class).map(Vec::as_slice).unwrap_or_default();
        if let Some((_, name)) = self.classes.iter().find(|(class, _)| of_class(class).is_empty()) {
            return Err(StageError::BadData(format!(
                "class {name} has no labelled photo\n  why: none of its photos could be read\n  fix: add one that can, or \
                 remove its folder"
            )));
        }
        let support: Vec<Vec<ImageId>> = self.classes.keys().map(|class| of_class(class).to_vec()).collect();
        let counts = || support.iter().map(Vec::len);
        let (fewest, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
        if fewest != most && !self.scoring.takes_unequal_shots() {
            return Err(StageError::BadData(format!(
                "this row needs as many labelled photos of each class, and there are {fewest} to {most}\n  why: its method \
                 learns from all classes together\n  fix: give {fewest} of each, or choose a --row such as cl2n, \
                 prototypical or mlsm"
            )));
        }
        Ok(support)
    }
}

impl Task for Predict {
    fn stage(&self) -> &'static str {
        "predict"
    }

    fn version(&self) -> u32 {
        3
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { scoring, classes, asked: (class, photos), runtime: _ } = self;
        let mut fields = scoring.fields();
        fields.push(field("asked", i64::from(class.0)));
        fields.extend(classes.iter().map(|(class, name)| field(&format!("class {class}"), name.as_str())));
        let paths =
            photos.iter().map(|(id, path)| Value::from(vec![Value::from(i64::from(id.0)), path.as_str().into()]));
        fields.push(field("photos", Value::List(paths.collect())));
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        self.scoring.ports()
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["predictions"]
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        if let Some(ways) = self.scoring.fixed_ways().filter(|ways| *ways != self.classes.len()) {
            return Err(StageError::BadData(format!(
                "this row tells {ways} classes apart, and there are {}\n  why: its network has an output for each\n  fix: \
                 choose another --row, or give {ways} classes",
                self.classes.len()
            )));
        }
        let device = self.runtime.device()?;
        let scorer = Scorer::open(&self.scoring, context, device)?;
        let known = scorer.known(&self.scoring, device)?;
        let photos = scorer.photos().classes();
        let support = self.support(photos)?;
        let (asked, paths) = &self.asked;
        let readable = photos.get(asked).cloned().unwrap_or_default();
        let mut scores = BTreeMap::<ImageId, Vec<f32>>::new();
        for some in readable.chunks(BATCH) {
            context.check()?;
            let (classes, query) = (self.classes.keys().copied().collect(), vec![some.to_vec()]);
            let episode = Episode { classes, support: support.clone(), query };
            let rows = floats(&scorer.scores(known.as_ref(), &episode, device)?)?;
            scores.extend(some.iter().copied().zip(rows.chunks_exact(self.classes.len()).map(<[f32]>::to_vec)));
            context.progress(scores.len() as u64, readable.len() as u64, "photos", "");
        }
        let bytes = self.predictions(paths, &scores)?;
        Ok(Outputs::default().with("predictions", context.put(&bytes)?).made_by(&self.runtime.provenance()?))
    }
}

impl Predict {
    /// A line for each photo, by path; of one that could not be read nothing is predicted.
    fn predictions(
        &self,
        paths: &BTreeMap<ImageId, String>,
        scores: &BTreeMap<ImageId, Vec<f32>>,
    ) -> Result<Vec<u8>, StageError> {
        let mut lines: Vec<(&str, Vec<(f32, &str)>)> = Vec::new();
        for (id, path) in paths {
            let of_photo = scores.get(id).map(Vec::as_slice).unwrap_or_default();
            let mut ranked: Vec<_> = of_photo.iter().copied().zip(self.classes.values().map(String::as_str)).collect();
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
            lines.push((path, ranked));
        }
        lines.sort_by_key(|(path, _)| *path);
        let name = |rank: usize| lines.iter().map(|(_, r)| r.get(rank).map_or("", |r| r.1).to_owned()).collect();
        let score = |rank: usize| lines.iter().map(|(_, r)| r.get(rank).map(|r| r.0)).collect();
        table(vec![
            Column::Text("path", lines.iter().map(|(path, _)| (*path).to_owned()).collect()),
            Column::Text("class_name", name(0)),
            Column::F32("score", score(0)),
            Column::Text("second_class_name", name(1)),
            Column::F32("second_score", score(1)),
        ])
    }
}
