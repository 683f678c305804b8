//! From a Grad-CAM map to the box that is cut out of the photo.

/// Which bright pixels of a map the box is drawn around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Region {
    /// All that reach the threshold.
    #[default]
    All,
    /// The largest group of pixels that touch along a side; of equal ones the first, row by row.
    Largest,
}

/// How a box is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxOptions {
    /// Pixels at or above it are bright.
    pub threshold: f32,
    /// Which of them count.
    pub region: Region,
    /// Widens the box on each side by this share of its own width or height, cut off at the image's edge.
    pub margin: f32,
    /// A box of which a side is shorter than this share of the image's side counts as none.
    pub min_box: f32,
}

/// The tight box around the bright pixels of a `px` × `px` map (row by row), as relative `[x0, y0, x1, y1]` in 0..1.
///
/// `None` (the caller falls back to the whole image and counts it) when no pixel reaches the threshold, when the map
/// is all zero, or when a side of the tight box is too short.
///
/// # Panics
/// When `map` does not have `px * px` values.
pub fn cam_box(map: &[f32], px: usize, options: &BoxOptions) -> Option<[f32; 4]> {
    assert_eq!(map.len(), px * px, "a map of {px} x {px} pixels");
    let BoxOptions { threshold, region, margin, min_box } = *options;
    let mut bright: Vec<bool> = map.iter().map(|value| *value >= threshold && *value > 0.0).collect();
    if region == Region::Largest {
        bright = largest(bright, px);
    }
    let [mut left, mut top, mut right, mut bottom] = [px, px, 0, 0];
    for index in (0..bright.len()).filter(|index| bright[*index]) {
        let (x, y) = (index % px, index / px);
        (left, right) = (left.min(x), right.max(x + 1));
        (top, bottom) = (top.min(y), bottom.max(y + 1));
    }
    if right == 0 {
        return None;
    }
    let side = px as f32;
    let (width, height) = ((right - left) as f32 / side, (bottom - top) as f32 / side);
    if width < min_box || height < min_box {
        return None;
    }
    let (x0, y0) = (left as f32 / side - margin * width, top as f32 / side - margin * height);
    let (x1, y1) = (right as f32 / side + margin * width, bottom as f32 / side + margin * height);
    Some([x0.max(0.0), y0.max(0.0), x1.min(1.0), y1.min(1.0)])
}

/// Keeps the largest group of pixels that touch along a side.
fn largest(mut bright: Vec<bool>, px: usize) -> Vec<bool> {
    let mut best = Vec::new();
    for start in 0..bright.len() {
        let mut group = Vec::new();
        let mut waiting = vec![start];
        while let Some(index) = waiting.pop() {
            if !std::mem::take(&mut bright[index]) {
                continue;
            }
            group.push(index);
            let (x, y) = (index % px, index / px);
            let sides = [(x > 0, index.wrapping_sub(1)), (x + 1 < px, index + 1)];
            let ends = [(y > 0, index.wrapping_sub(px)), (y + 1 < px, index + px)];
            waiting.extend(sides.into_iter().chain(ends).filter(|(exists, _)| *exists).map(|(_, next)| next));
        }
        if group.len() > best.len() {
            best = group;
        }
    }
    best.into_iter().for_each(|index| bright[index] = true); // all others were taken
    bright
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4 x 4, two separate bright spots.
    #[rustfmt::skip]
    const SPOTS: [f32; 16] = [
        0.0, 0.0, 0.0, 0.0,
        0.0, 1.0, 0.0, 0.0,
        0.0, 0.2, 0.3, 0.0,
        0.0, 0.0, 0.7, 0.0,
    ];

    fn drawn(map: &[f32], threshold: f32, change: impl Fn(&mut BoxOptions)) -> Option<[f32; 4]> {
        let mut options = BoxOptions { threshold, region: Region::All, margin: 0.0, min_box: 0.0 };
        change(&mut options);
        cam_box(map, 4, &options)
    }

    #[test]
    fn the_box_holds_all_pixels_that_reach_the_threshold() {
        assert_eq!(drawn(&SPOTS, 0.6, |_| ()), Some([0.25, 0.25, 0.75, 1.0]));
        assert_eq!(drawn(&SPOTS, 0.7, |_| ()), Some([0.25, 0.25, 0.75, 1.0]));
        assert_eq!(drawn(&SPOTS, 0.8, |_| ()), Some([0.25, 0.25, 0.5, 0.5]));
    }

    #[test]
    fn the_largest_region_leaves_other_spots_out() {
        let largest = |map: &[f32], threshold| drawn(map, threshold, |o| o.region = Region::Largest);
        assert_eq!(largest(&SPOTS, 0.6), Some([0.25, 0.25, 0.5, 0.5]), "of equal ones the first");
        assert_eq!(largest(&SPOTS, 0.3), Some([0.5, 0.5, 0.75, 1.0]), "corners do not touch");
        assert_eq!(largest(&SPOTS, 0.2), drawn(&SPOTS, 0.2, |_| ()), "one region is all");
        assert_eq!(largest(&[0.0; 16], 0.5), None);
        let mut edges = [0.0; 16];
        (edges[3], edges[4], edges[8]) = (1.0, 1.0, 1.0); // the end of a row does not touch the next one's start
        assert_eq!(largest(&edges, 0.5), Some([0.0, 0.25, 0.25, 0.75]));
    }

    #[test]
    fn a_margin_widens_the_box_up_to_the_edge() {
        assert_eq!(drawn(&SPOTS, 0.8, |o| o.margin = 0.5), Some([0.125, 0.125, 0.625, 0.625]));
        assert_eq!(drawn(&SPOTS, 0.8, |o| o.margin = 9.0), Some([0.0, 0.0, 1.0, 1.0]));
    }

    #[test]
    fn nothing_bright_or_too_small_a_box_falls_back() {
        assert_eq!(drawn(&[0.0; 16], 0.0, |_| ()), None);
        assert_eq!(drawn(&[f32::NAN; 16], 0.3, |_| ()), None);
        assert_eq!(drawn(&SPOTS, 1.1, |_| ()), None);
        assert_eq!(drawn(&SPOTS, 0.8, |o| o.min_box = 0.3), None);
    }
}
