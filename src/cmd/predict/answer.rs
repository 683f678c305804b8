//! Predictions as a table: a line for each photo, or its likeliest classes on a line each.

use mlsm_pipelines::predictions::{Photo, Predictions};
use polars::prelude::{Column, DataFrame, DataType, PolarsResult};

/// What stands in place of the class of a photo that none of the classes is probable enough for.
pub const UNKNOWN: &str = "unknown";

/// A class that a photo may be of: its rank, name, score and probability.
struct Candidate<'a> {
    path: &'a str,
    rank: Option<u32>,
    name: &'a str,
    score: Option<f32>,
    probability: Option<f64>,
}

/// Returns a line for each photo: the closest class, and the next one. `unknown_below`: how probable a class must be.
pub fn wide(predictions: &Predictions, unknown_below: Option<f64>) -> PolarsResult<DataFrame> {
    let ranked: Vec<Vec<Candidate>> =
        predictions.photos.iter().map(|photo| candidates(predictions, photo, 2)).collect();
    let first = |photo: &Vec<Candidate>| named(&photo[0], unknown_below).to_owned();
    let names = |rank: usize| ranked.iter().map(|p| p.get(rank).map_or("", |c| c.name).to_owned()).collect::<Vec<_>>();
    let scores = |rank: usize| ranked.iter().map(|p| p.get(rank).and_then(|c| c.score)).collect::<Vec<_>>();
    let sure = |rank: usize| ranked.iter().map(|p| p.get(rank).and_then(|c| c.probability)).collect::<Vec<_>>();
    DataFrame::new_infer_height(vec![
        Column::new("path".into(), predictions.photos.iter().map(|photo| photo.path.as_str()).collect::<Vec<_>>()),
        Column::new("class_name".into(), ranked.iter().map(first).collect::<Vec<_>>()),
        Column::new("score".into(), scores(0)),
        Column::new("second_class_name".into(), names(1)),
        Column::new("second_score".into(), scores(1)),
        Column::new("probability".into(), sure(0)),
        Column::new("second_probability".into(), sure(1)),
    ])
}

/// Rounds the probabilities to thousandths, for a table that people read.
pub fn rounded(table: DataFrame) -> PolarsResult<DataFrame> {
    let round = |column: &Column| -> PolarsResult<Column> {
        let rounded = |p: Option<f64>| p.map(|p| (p * 1e3).round() / 1e3);
        Ok(Column::new(column.name().clone(), column.f64()?.iter().map(rounded).collect::<Vec<_>>()))
    };
    let columns =
        table.columns().iter().map(|c| if *c.dtype() == DataType::Float64 { round(c) } else { Ok(c.clone()) });
    DataFrame::new_infer_height(columns.collect::<PolarsResult<Vec<_>>>()?)
}

/// Returns the `top` likeliest classes of each photo, a line each; a photo that could not be read has one empty line.
pub fn long(predictions: &Predictions, top: usize) -> PolarsResult<DataFrame> {
    let lines: Vec<Candidate> =
        predictions.photos.iter().flat_map(|photo| candidates(predictions, photo, top)).collect();
    DataFrame::new_infer_height(vec![
        Column::new("path".into(), lines.iter().map(|c| c.path).collect::<Vec<_>>()),
        Column::new("rank".into(), lines.iter().map(|c| c.rank).collect::<Vec<_>>()),
        Column::new("class_name".into(), lines.iter().map(|c| c.name).collect::<Vec<_>>()),
        Column::new("score".into(), lines.iter().map(|c| c.score).collect::<Vec<_>>()),
        Column::new("probability".into(), lines.iter().map(|c| c.probability).collect::<Vec<_>>()),
    ])
}

/// Counts the photos that are unknown.
pub fn unknown(predictions: &Predictions, unknown_below: f64) -> usize {
    let first = |photo| candidates(predictions, photo, 1).remove(0);
    predictions.photos.iter().filter(|photo| is_unknown(&first(photo), Some(unknown_below))).count()
}

/// Returns the class that is answered for a photo.
pub fn class<'a>(predictions: &'a Predictions, photo: &'a Photo, unknown_below: Option<f64>) -> &'a str {
    named(&candidates(predictions, photo, 1)[0], unknown_below)
}

/// Returns the likeliest classes of a photo, and their probabilities.
pub fn likeliest(predictions: &Predictions, photo: &Photo, top: usize) -> Vec<(String, f64)> {
    let candidates = candidates(predictions, photo, top);
    candidates.into_iter().filter_map(|c| Some((c.name.to_owned(), c.probability?))).collect()
}

fn named<'a>(closest: &Candidate<'a>, unknown_below: Option<f64>) -> &'a str {
    if is_unknown(closest, unknown_below) { UNKNOWN } else { closest.name }
}

fn is_unknown(closest: &Candidate<'_>, unknown_below: Option<f64>) -> bool {
    closest.probability.zip(unknown_below).is_some_and(|(probability, least)| probability < least)
}

/// Returns the first classes of a photo; of one that could not be read, one without a name.
fn candidates<'a>(predictions: &'a Predictions, photo: &'a Photo, top: usize) -> Vec<Candidate<'a>> {
    let path = photo.path.as_str();
    if photo.ranked.is_empty() {
        return vec![Candidate { path, rank: None, name: "", score: None, probability: None }];
    }
    let scores: Vec<f32> = photo.ranked.iter().map(|(_, score)| *score).collect();
    let probabilities = predictions.row.certainty.probabilities(&scores);
    let classes = photo.ranked.iter().zip(probabilities).zip(1..);
    let candidate = |((&(class, score), probability), rank)| {
        let name = predictions.row.classes[class as usize].as_str();
        Candidate { path, rank: Some(rank), name, score: Some(score), probability: Some(probability) }
    };
    classes.take(top).map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use mlsm_pipelines::Certainty;
    use mlsm_pipelines::predictions::Row;

    use super::*;

    fn predictions() -> Predictions {
        let certainty = Certainty { temperature: 1.0, held_out: 0, right: 0 };
        let classes = ["owl", "wren", "kite"].map(str::to_owned).to_vec();
        let photo = |path: &str, ranked: &[(u32, f32)]| Photo {
            path: path.to_owned(),
            ranked: ranked.to_vec(),
            nearest: Vec::new(),
        };
        let sure = photo("a.jpg", &[(1, 2.0), (0, 0.0), (2, -1.0)]);
        let unsure = photo("b.jpg", &[(2, 0.1), (1, 0.0), (0, 0.0)]);
        Predictions { row: Row { classes, certainty }, photos: vec![sure, unsure, photo("c.jpg", &[])] }
    }

    fn text(frame: &DataFrame, column: &str) -> Vec<String> {
        frame.column(column).unwrap().str().unwrap().iter().map(|t| t.unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_photo_below_the_threshold_is_unknown() {
        let predictions = predictions();
        let all = wide(&predictions, None).unwrap();
        let shown = rounded(all.clone()).unwrap();
        assert_eq!(shown.column("probability").unwrap().f64().unwrap().get(0), Some(0.844));
        assert_eq!(shown.column("score").unwrap(), all.column("score").unwrap());
        assert_eq!(text(&all, "class_name"), ["wren", "kite", ""]);
        assert_eq!(text(&all, "second_class_name"), ["owl", "wren", ""]);
        assert_eq!(text(&wide(&predictions, Some(0.5)).unwrap(), "class_name"), ["wren", UNKNOWN, ""]);
        assert_eq!((unknown(&predictions, 0.5), unknown(&predictions, 0.0)), (1, 0));
        let probability = all.column("probability").unwrap().f64().unwrap().get(0).unwrap();
        assert!((probability - 1.0 / (1.0 + (-2.0f64).exp() + (-3.0f64).exp())).abs() < 1e-12);
    }

    #[test]
    fn the_likeliest_classes_stand_on_a_line_each() {
        let lines = long(&predictions(), 2).unwrap();
        assert_eq!(text(&lines, "path"), ["a.jpg", "a.jpg", "b.jpg", "b.jpg", "c.jpg"]);
        assert_eq!(text(&lines, "class_name"), ["wren", "owl", "kite", "wren", ""]);
        assert_eq!(long(&predictions(), 9).unwrap().height(), 7);
    }
}
