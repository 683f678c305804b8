//! Embeddings of novel photos, projected on their two directions of most variance, for a map.

use std::collections::BTreeMap;

use arrow::array::{AsArray, FixedSizeListArray};
use arrow::datatypes::Float32Type;
use mlsm_store::Published;

use super::columns::{bytes, each};
use crate::error::CliError;
use crate::render::report::content::{EmbeddingMap, Found, PhotoLine};

/// Photos of a map: more would hide each other.
const MOST_PHOTOS: usize = 320;
/// A larger table of features is not read for a map.
const MOST_BYTES: u64 = 1 << 30;
/// Photos that are read to choose them from, each class as many.
const MOST_READ: usize = 20_000;
/// Steps of the power iteration; its directions are drawn, not measured with.
const STEPS: usize = 60;

/// Embeddings by photo: the class, and the vector.
type Vectors = BTreeMap<i64, (i64, Vec<f32>)>;

/// What was read: the node, and its embeddings of novel photos.
pub struct Embeddings {
    node: String,
    vectors: Vectors,
}

/// Reads the embeddings that the first node made of whole photos.
///
/// # Errors
/// [`CliError`] when a table is damaged or of another layout.
pub fn read(published: &Published) -> Result<Found<Embeddings>, CliError> {
    if bytes(published, "features") > MOST_BYTES {
        return Ok(Err("the table `features` has more than 1 GiB, and is not read for a map".to_owned()));
    }
    let mut found: Option<Embeddings> = None;
    let columns = ["image_id", "class_id", "split", "node", "source", "embedding"];
    let is_there = each(published, "features", &columns, &mut |rows| {
        let (image, class) = (rows.ints("image_id")?, rows.ints("class_id")?);
        let (split, node, source) = (rows.texts("split")?, rows.texts("node")?, rows.texts("source")?);
        let embedding = rows.vectors("embedding")?;
        for i in (0..rows.rows()).filter(|i| split.value(*i) == "novel" && source.value(*i) == "image") {
            let of =
                found.get_or_insert_with(|| Embeddings { node: node.value(i).to_owned(), vectors: Vectors::new() });
            if of.node == node.value(i) && of.vectors.len() < MOST_READ {
                of.vectors.insert(image.value(i), (class.value(i), vector(embedding, i)));
            }
        }
        Ok(())
    })?;
    let why = if is_there { "no whole photo of a novel class was embedded" } else { "the run has no table `features`" };
    Ok(found.map(Embeddings::fewer).filter(|found| found.vectors.len() > 2).ok_or_else(|| why.to_owned()))
}

fn vector(embeddings: &FixedSizeListArray, row: usize) -> Vec<f32> {
    let values = embeddings.value(row);
    values.as_primitive_opt::<Float32Type>().map_or_else(Vec::new, |values| values.values().to_vec())
}

impl Embeddings {
    /// Keeps as many photos of each class as the map has room for, those of the smallest ids.
    fn fewer(mut self) -> Self {
        let mut classes = BTreeMap::<i64, usize>::new();
        self.vectors.values().for_each(|(class, _)| *classes.entry(*class).or_default() += 1);
        let most = (MOST_PHOTOS / classes.len().max(1)).max(1);
        classes.values_mut().for_each(|count| *count = 0);
        self.vectors.retain(|_, (class, _)| {
            let count = classes.entry(*class).or_default();
            *count += 1;
            *count <= most
        });
        self
    }

    /// Returns the photos of the map.
    pub fn images(&self) -> impl Iterator<Item = i64> {
        self.vectors.keys().copied()
    }

    /// Projects them.
    pub fn map(self, lines: &BTreeMap<i64, PhotoLine>) -> EmbeddingMap {
        let (images, vectors): (Vec<_>, Vec<_>) = self.vectors.into_iter().map(|(image, (_, v))| (image, v)).unzip();
        let dim = vectors.first().map_or(0, Vec::len);
        let (places, variance) = projected(&vectors);
        let points = images.iter().zip(places).filter_map(|(image, place)| Some((lines.get(image)?.clone(), place)));
        EmbeddingMap { node: self.node, dim, variance, points: points.collect() }
    }
}

/// Projects vectors on the two directions of most variance, by power iteration; returns the places, and the share of the
/// variance in each direction.
fn projected(vectors: &[Vec<f32>]) -> (Vec<[f64; 2]>, [f64; 2]) {
    let dim = vectors.first().map_or(0, Vec::len);
    let mean: Vec<f64> =
        (0..dim).map(|d| vectors.iter().map(|v| f64::from(v[d])).sum::<f64>() / vectors.len() as f64).collect();
    let mut rest: Vec<Vec<f64>> =
        vectors.iter().map(|v| v.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect()).collect();
    let whole: f64 = rest.iter().flatten().map(|value| value * value).sum();
    let (mut places, mut variance) = (vec![[0.0; 2]; vectors.len()], [0.0; 2]);
    for axis in 0..2 {
        let direction = direction(&rest, dim);
        for (row, place) in rest.iter_mut().zip(&mut places) {
            let along = dot(row, &direction);
            place[axis] = along;
            row.iter_mut().zip(&direction).for_each(|(value, d)| *value -= along * d);
        }
        variance[axis] =
            places.iter().map(|place| place[axis] * place[axis]).sum::<f64>() / whole.max(f64::MIN_POSITIVE);
    }
    (places, variance)
}

/// The unit vector along which rows vary most.
fn direction(rows: &[Vec<f64>], dim: usize) -> Vec<f64> {
    let mut direction: Vec<f64> = (0..dim).map(|d| 1.0 + (d % 7) as f64).collect(); // not along an axis
    for _ in 0..STEPS {
        let mut next = vec![0.0; dim];
        for row in rows {
            let along = dot(row, &direction);
            next.iter_mut().zip(row).for_each(|(sum, value)| *sum += along * value);
        }
        let length = dot(&next, &next).sqrt();
        if length == 0.0 {
            break;
        }
        direction = next.into_iter().map(|value| value / length).collect();
    }
    let length = dot(&direction, &direction).sqrt().max(f64::MIN_POSITIVE);
    direction.into_iter().map(|value| value / length).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directions_of_most_variance_are_found() {
        // Four corners of a rectangle, 6 by 2, that lies across the axes, moved away from the origin.
        let (long, short) = ([0.6, 0.8, 0.0], [0.8, -0.6, 0.0]);
        let corner = |a: f64, b: f64| (0..3).map(|d| (a * long[d] + b * short[d] + 5.0) as f32).collect::<Vec<_>>();
        let corners = [corner(3.0, 1.0), corner(3.0, -1.0), corner(-3.0, 1.0), corner(-3.0, -1.0)];
        let (places, variance) = projected(&corners);
        for [x, y] in &places {
            assert!((x.abs() - 3.0).abs() < 1e-5 && (y.abs() - 1.0).abs() < 1e-5, "{places:?}");
        }
        assert!((variance[0] - 0.9).abs() < 1e-6 && (variance[1] - 0.1).abs() < 1e-6, "{variance:?}");
    }

    #[test]
    fn a_map_has_as_many_photos_of_each_class() {
        let vectors = (0..1000).map(|i| (i, (i % 2 + i64::from(i > 700), vec![i as f32]))).collect();
        let fewer = Embeddings { node: String::new(), vectors }.fewer();
        let of = |class: i64| fewer.vectors.values().filter(|(known, _)| *known == class).count();
        assert_eq!((of(0), of(1), of(2)), (106, 106, 106));
    }

    #[test]
    fn equal_embeddings_lie_in_one_place() {
        assert_eq!(projected(&[vec![1.0, 2.0], vec![1.0, 2.0]]), (vec![[0.0; 2]; 2], [0.0; 2]));
    }
}
