//! From a Grad-CAM map to the box that is cut out of the photo.

/// The tight box around all pixels of a `px` × `px` map (row by row) that reach `threshold`, as relative
/// `[x0, y0, x1, y1]` in 0..1.
///
/// `margin` widens the box on each side by that share of its own width or height, cut off at the image's edge.
/// `None` (the caller falls back to the whole image and counts it) when no pixel reaches the threshold, when the map
/// is all zero, or when a side of the tight box is shorter than `min_box`, a share of the image's side.
///
/// # Panics
/// When `map` does not have `px * px` values.
pub fn cam_box(map: &[f32], px: usize, threshold: f32, margin: f32, min_box: f32) -> Option<[f32; 4]> {
    assert_eq!(map.len(), px * px, "a map of {px} x {px} pixels");
    let [mut left, mut top, mut right, mut bottom] = [px, px, 0, 0];
    for (index, &value) in map.iter().enumerate() {
        if value >= threshold && value > 0.0 {
            let (x, y) = (index % px, index / px);
            (left, right) = (left.min(x), right.max(x + 1));
            (top, bottom) = (top.min(y), bottom.max(y + 1));
        }
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

    #[test]
    fn the_box_holds_all_pixels_that_reach_the_threshold() {
        assert_eq!(cam_box(&SPOTS, 4, 0.6, 0.0, 0.0), Some([0.25, 0.25, 0.75, 1.0]));
        assert_eq!(cam_box(&SPOTS, 4, 0.7, 0.0, 0.0), Some([0.25, 0.25, 0.75, 1.0]));
        assert_eq!(cam_box(&SPOTS, 4, 0.8, 0.0, 0.0), Some([0.25, 0.25, 0.5, 0.5]));
    }

    #[test]
    fn a_margin_widens_the_box_up_to_the_edge() {
        assert_eq!(cam_box(&SPOTS, 4, 0.8, 0.5, 0.0), Some([0.125, 0.125, 0.625, 0.625]));
        assert_eq!(cam_box(&SPOTS, 4, 0.8, 9.0, 0.0), Some([0.0, 0.0, 1.0, 1.0]));
    }

    #[test]
    fn nothing_bright_or_too_small_a_box_falls_back() {
        assert_eq!(cam_box(&[0.0; 16], 4, 0.0, 0.0, 0.0), None);
        assert_eq!(cam_box(&[f32::NAN; 16], 4, 0.3, 0.0, 0.0), None);
        assert_eq!(cam_box(&SPOTS, 4, 1.1, 0.0, 0.0), None);
        assert_eq!(cam_box(&SPOTS, 4, 0.8, 0.0, 0.3), None);
    }
}
