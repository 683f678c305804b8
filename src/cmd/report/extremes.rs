//! The boxes that a gallery shows, picked while the table `crops` is read: few are in memory, however many there are.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::Array as _;
use mlsm_store::Published;

use super::columns::each;
use crate::error::CliError;
use crate::render::report::content::BoxLine;

/// Boxes of each kind.
const MOST: usize = 4;

/// The boxes of all nodes, by node and part.
#[derive(Default)]
pub struct Extremes(BTreeMap<(String, String), OfNode>);

/// The boxes of one node on photos of one part.
#[derive(Default)]
struct OfNode {
    boxes: usize,
    is_located: bool,
    best: Vec<BoxLine>,
    worst: Vec<BoxLine>,
    fallback: Vec<BoxLine>,
    unmeasured: Vec<BoxLine>,
}

/// What is shown of one node.
pub struct Kept {
    /// The node.
    pub node: String,
    /// The part.
    pub part: String,
    /// How many boxes it drew there.
    pub boxes: usize,
    /// The boxes, under a title.
    pub groups: Vec<(&'static str, Vec<BoxLine>)>,
}

impl Extremes {
    /// Reads the table; `None` where there is none.
    ///
    /// # Errors
    /// [`CliError`] when it is damaged or of another layout.
    pub fn read(published: &Published) -> Result<Option<Self>, CliError> {
        let mut found = Self::default();
        let columns = [
            "image_id",
            "node",
            "split",
            "box_x",
            "box_y",
            "box_w",
            "box_h",
            "cam_class_id",
            "cam_peak",
            "fallback",
            "iou",
        ];
        let is_there = each(published, "crops", &columns, &mut |rows| {
            let (image, node, split) = (rows.ints("image_id")?, rows.texts("node")?, rows.texts("split")?);
            let (class, peak, iou) = (rows.ints("cam_class_id")?, rows.reals("cam_peak")?, rows.reals("iou")?);
            let (fallback, boxes) = (rows.flags("fallback")?, rows.boxes()?);
            for i in 0..rows.rows() {
                let Some(drawn) = boxes.get(i) else { continue };
                let line = BoxLine {
                    image_id: image.value(i),
                    drawn,
                    cam_class_id: class.is_valid(i).then(|| class.value(i)),
                    is_fallback: fallback.value(i),
                    iou: iou.is_valid(i).then(|| iou.value(i)),
                };
                found.add(node.value(i), split.value(i), line, peak.is_valid(i));
            }
            Ok(())
        })?;
        Ok(is_there.then_some(found))
    }

    fn add(&mut self, node: &str, part: &str, line: BoxLine, is_located: bool) {
        let of = self.0.entry((node.to_owned(), part.to_owned())).or_default();
        of.boxes += 1;
        of.is_located |= is_located;
        match (line.is_fallback, line.iou) {
            (true, _) => keep(&mut of.fallback, line, |_| 0.0),
            (false, None) => keep(&mut of.unmeasured, line, |_| 0.0),
            (false, Some(_)) => {
                keep(&mut of.best, line.clone(), |line| -line.iou.unwrap_or_default());
                keep(&mut of.worst, line, |line| line.iou.unwrap_or_default());
            }
        }
    }

    /// Returns the photos of all boxes that are kept.
    pub fn images(&self) -> BTreeSet<i64> {
        let lines =
            |of: &OfNode| [&of.best, &of.worst, &of.fallback, &of.unmeasured].map(|lines| lines.clone()).concat();
        self.0.values().flat_map(lines).map(|line| line.image_id).collect()
    }

    /// Returns each node once, on novel classes where it has drawn boxes there. Nodes that look for nothing, such as the
    /// whole photo or the true box, are left out unless there are no others.
    pub fn of_nodes(self) -> Vec<Kept> {
        let is_any_located = self.0.values().any(|of| of.is_located);
        let mut nodes = BTreeMap::<String, (String, OfNode)>::new();
        let rank = |part: &str| ["novel", "val", "base"].iter().position(|known| *known == part);
        for ((node, part), of) in self.0.into_iter().filter(|(_, of)| of.is_located || !is_any_located) {
            match nodes.get(&node) {
                Some((known, _)) if rank(known) <= rank(&part) => {}
                _ => drop(nodes.insert(node, (part, of))),
            }
        }
        nodes.into_iter().map(|(node, (part, of))| of.kept(node, part)).collect()
    }
}

impl OfNode {
    fn kept(self, node: String, part: String) -> Kept {
        let Self { boxes, is_located: _, best, mut worst, fallback, unmeasured } = self;
        worst.retain(|line| !best.contains(line));
        let groups = vec![
            ("Largest IoU", best),
            ("Smallest IoU", worst),
            ("Nothing found: the whole photo was taken", fallback),
            ("Without a true box", unmeasured),
        ];
        Kept { node, part, boxes, groups }
    }
}

/// Keeps the few lines of the smallest rank, smallest first; of equal ones those of the smaller id.
fn keep(lines: &mut Vec<BoxLine>, line: BoxLine, rank: fn(&BoxLine) -> f64) {
    let order = |a: &BoxLine, b: &BoxLine| rank(a).total_cmp(&rank(b)).then(a.image_id.cmp(&b.image_id));
    let place = lines.partition_point(|known| order(known, &line).is_lt());
    lines.insert(place, line);
    lines.truncate(MOST);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(image_id: i64, iou: Option<f64>, is_fallback: bool) -> BoxLine {
        BoxLine { image_id, iou, is_fallback, ..BoxLine::default() }
    }

    #[test]
    fn the_best_the_worst_and_the_fallbacks_of_novel_classes_are_kept() {
        let mut extremes = Extremes::default();
        for image in 1..=20 {
            extremes.add("crop", "novel", line(image, Some(image as f64 / 20.0), false), true);
            extremes.add("crop", "base", line(image + 100, Some(1.0), false), true);
            extremes.add("crop[source=whole]", "novel", line(image, Some(0.2), false), false);
        }
        extremes.add("crop", "novel", line(21, Some(0.9), true), true);
        let kept = extremes.of_nodes();
        assert_eq!(kept.len(), 1, "the whole photo is no localiser");
        let ids = |i: usize| kept[0].groups[i].1.iter().map(|line| line.image_id).collect::<Vec<_>>();
        assert_eq!((kept[0].part.as_str(), kept[0].boxes), ("novel", 21));
        assert_eq!((ids(0), ids(1), ids(2), ids(3)), (vec![20, 19, 18, 17], vec![1, 2, 3, 4], vec![21], vec![]));
    }

    #[test]
    fn few_boxes_are_shown_once() {
        let mut extremes = Extremes::default();
        extremes.add("crop", "novel", line(1, Some(0.5), false), true);
        extremes.add("crop", "novel", line(2, None, false), true);
        let kept = extremes.of_nodes();
        let counts: Vec<_> = kept[0].groups.iter().map(|(_, lines)| lines.len()).collect();
        assert_eq!(counts, [1, 0, 0, 1]);
    }
}
