//! `predict`: tells photos of one's own apart, by labelled ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlsm_data::{ClassId, Episode, ImageId, OwnPhotos};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::{Explanation, Fix};
use mlsm_store::{Field, Value};
use tch::Tensor;

use super::extract::floats;
use crate::certainty::{Certainty, HeldOut};
use crate::predictions::{Photo, Predictions, Row};
use crate::recipe::field;
use crate::runtime::Runtime;
use crate::scoring::{Scorer, Scoring};

/// Photos that are scored at once.
const BATCH: usize = 256;

/// Groups of labelled photos that are held out in turn, to fit how sure the row is.
const FOLDS: usize = 10;

/// Labelled photos that are named for each photo.
const NEAREST: usize = 3;

/// What scored a photo, and how high, the closest first.
type Ranked = Vec<(u32, f32)>;

/// Predicts with one row. Outputs: `predictions`, one line for each photo asked for, and `row`, what they have in common.
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
            let said = Explanation::new(format!("class {name} has no labelled photo"));
            let said = said.because("none of its photos could be read").fix("add one that can, or remove its folder");
            return Err(StageError::BadData(said));
        }
        let support: Vec<Vec<ImageId>> = self.classes.keys().map(|class| of_class(class).to_vec()).collect();
        let counts = || support.iter().map(Vec::len);
        let (fewest, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
        if fewest != most && !self.scoring.takes_unequal_shots() {
            let what =
                format!("this row needs as many labelled photos of each class, and there are {fewest} to {most}");
            let said = Explanation::new(what).because("its method learns from all classes together");
            let give = format!("give {fewest} of each");
            return Err(StageError::BadData(
                said.fix(give).fix(Fix::OtherRow { such_as: "cl2n, prototypical or mlsm" }),
            ));
        }
        Ok(support)
    }
}

impl Task for Predict {
    fn stage(&self) -> &'static str {
        "predict"
    }

    fn version(&self) -> u32 {
        6
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { scoring, classes, asked: (class, photos), runtime: _ } = self;
        let mut fields = scoring.fields();
        fields.push(field("asked", i64::from(class.0)));
        fields.push(field("usual_temperature", scoring.temperature(1.0)));
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
        &["row", "predictions"]
    }

    fn threads(&self) -> usize {
        self.runtime.occupied()
    }

    fn wants_device(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        if let Some(ways) = self.scoring.fixed_ways().filter(|ways| *ways != self.classes.len()) {
            let what = format!("this row tells {ways} classes apart, and there are {}", self.classes.len());
            let said = Explanation::new(what).because("its network has an output for each");
            let give = format!("give {ways} classes");
            return Err(StageError::BadData(said.fix(Fix::OtherRow { such_as: "" }).fix(give)));
        }
        let device = self.runtime.device()?;
        let scorer = Scorer::open(&self.scoring, context, device)?;
        let known = scorer.known(&self.scoring, device)?;
        let photos = scorer.photos().classes();
        let support = self.support(photos)?;
        let held_out =
            self.held_out(&support, |episode| rows_of(&scorer.scores(known.as_ref(), episode, device)?))?;
        let (asked, paths) = &self.asked;
        let readable = photos.get(asked).cloned().unwrap_or_default();
        let mut scored = BTreeMap::<ImageId, (Ranked, Ranked)>::new();
        let places: Vec<u32> = (0..support.len() as u32).collect();
        let one_by_one = self.one_by_one(&support);
        for some in readable.chunks(BATCH) {
            context.check()?;
            let score = |classes: Vec<ClassId>, support: Vec<Vec<ImageId>>| {
                let episode = Episode { classes, support, query: vec![some.to_vec()] };
                rows_of(&scorer.scores(known.as_ref(), &episode, device)?)
            };
            let classes = score(self.classes.keys().copied().collect(), support.clone())?;
            let nearest = match &one_by_one {
                Some((classes, photos)) => score(classes.clone(), photos.iter().map(|id| vec![*id]).collect())?,
                None => vec![Vec::new(); some.len()],
            };
            let photos: Vec<u32> = one_by_one.iter().flat_map(|(_, photos)| photos).map(|id| id.0).collect();
            for ((id, of_classes), of_photos) in some.iter().zip(classes).zip(nearest) {
                let mut nearest = ranked(&photos, &of_photos);
                nearest.truncate(NEAREST);
                scored.insert(*id, (ranked(&places, &of_classes), nearest));
            }
            context.progress(scored.len() as u64, readable.len() as u64, "photos", "");
        }
        let row =
            Row { classes: self.classes.values().cloned().collect(), certainty: self.certainty(&support, &held_out) };
        let predictions = Predictions { row, photos: by_path(paths, scored) };
        Ok(Outputs::default()
            .with("row", context.put(&predictions.row_to_json())?)
            .with("predictions", context.put(&predictions.to_parquet()?)?)
            .made_by(&self.runtime.provenance()?))
    }
}

impl Predict {
    fn episode(&self, support: Vec<Vec<ImageId>>, query: Vec<ImageId>) -> Episode {
        Episode { classes: self.classes.keys().copied().collect(), support, query: vec![query] }
    }

    /// The labelled photos as a class each, where the score of a class depends on its own photos alone: which of them a photo
    /// resembles most.
    fn one_by_one(&self, support: &[Vec<ImageId>]) -> Option<(Vec<ClassId>, Vec<ImageId>)> {
        let of_class = |(class, photos): (&ClassId, &Vec<ImageId>)| vec![*class; photos.len()];
        let classes = self.classes.keys().zip(support).flat_map(of_class).collect();
        self.scoring.takes_unequal_shots().then(|| (classes, support.concat()))
    }

    /// Fits how sure the row is. Held-out photos met class means of fewer photos than those asked for: the temperature fitted on
    /// them is carried over in the ratio of the usual ones.
    fn certainty(&self, support: &[Vec<ImageId>], held_out: &HeldOut) -> Certainty {
        // The harmonic mean: a class is as far from sure as its few photos scatter.
        let mean = |count: fn(usize) -> usize| {
            support.len() as f64 / support.iter().map(|photos| 1.0 / count(photos.len()) as f64).sum::<f64>()
        };
        let kept = mean(|n| if n > 1 { n - n.div_ceil(FOLDS) } else { n });
        let [then, now] = [kept, mean(|n| n)].map(|k_shot| self.scoring.temperature(k_shot));
        let fitted = held_out.fit(then);
        Certainty { temperature: fitted.temperature * now / then, ..fitted }
    }

    /// Predicts labelled photos by the others: with at most [`FOLDS`] folds, each photo of a class that has two is held out
    /// once.
    fn held_out(
        &self,
        support: &[Vec<ImageId>],
        scores: impl Fn(&Episode) -> Result<Vec<Vec<f32>>, StageError>,
    ) -> Result<HeldOut, StageError> {
        let mut held_out = HeldOut::default();
        let most = support.iter().map(Vec::len).max().unwrap_or(0);
        for fold in 0..most.min(FOLDS) {
            let is_out = |photos: &[ImageId], at: usize| photos.len() > 1 && at % FOLDS == fold;
            let keep = |out: bool, photos: &Vec<ImageId>| -> Vec<ImageId> {
                let chosen = photos.iter().enumerate().filter(|(at, _)| is_out(photos, *at) == out);
                chosen.map(|(_, photo)| *photo).collect()
            };
            let query: Vec<Vec<ImageId>> = support.iter().map(|photos| keep(true, photos)).collect();
            if query.iter().all(Vec::is_empty) {
                continue;
            }
            let truths = query.iter().enumerate().flat_map(|(class, photos)| photos.iter().map(move |_| class));
            let truths: Vec<usize> = truths.collect();
            let kept = support.iter().map(|photos| keep(false, photos)).collect();
            let rows = scores(&self.episode(kept, query.concat()))?;
            rows.into_iter().zip(truths).for_each(|(row, class)| held_out.push(row, class));
        }
        Ok(held_out)
    }
}

/// Returns the scores of each photo: a row of `[q, n_way]`.
fn rows_of(scores: &Tensor) -> Result<Vec<Vec<f32>>, StageError> {
    let n_way = scores.size()[1] as usize;
    Ok(floats(scores)?.chunks_exact(n_way).map(<[f32]>::to_vec).collect())
}

/// Puts what was scored in the order of its scores; of equal scores the first stays first.
fn ranked(whats: &[u32], scores: &[f32]) -> Ranked {
    let mut ranked: Ranked = whats.iter().copied().zip(scores.iter().copied()).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked
}

/// Returns the photos by path; of one that could not be read nothing is predicted.
fn by_path(paths: &BTreeMap<ImageId, String>, mut scored: BTreeMap<ImageId, (Ranked, Ranked)>) -> Vec<Photo> {
    let photo = |(id, path): (&ImageId, &String)| {
        let (ranked, nearest) = scored.remove(id).unwrap_or_default();
        Photo { path: path.clone(), ranked, nearest }
    };
    let mut photos: Vec<Photo> = paths.iter().map(photo).collect();
    photos.sort_by(|a, b| a.path.cmp(&b.path));
    photos
}
