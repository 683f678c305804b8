//! Boxes around objects, in pixels.

use serde::{Deserialize, Serialize};

/// A box in pixels of the upright photo; `x`, `y` is its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl BoundingBox {
    /// Cuts off what lies outside of a photo of that size; what lies wholly outside keeps no area.
    pub fn clip(&self, width: u32, height: u32) -> BoundingBox {
        let (x, w) = clip_span(self.x, self.w, width as f32);
        let (y, h) = clip_span(self.y, self.h, height as f32);
        BoundingBox { x, y, w, h }
    }

    /// Intersection over union with another box, 0 to 1; 0 when neither has an area.
    pub fn iou(&self, other: &BoundingBox) -> f32 {
        let overlap_w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let overlap_h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        let overlap = overlap_w.max(0.0) * overlap_h.max(0.0);
        let union = self.w * self.h + other.w * other.h - overlap;
        if union > 0.0 { (overlap / union).min(1.0) } else { 0.0 }
    }

    /// `[x0, y0, x1, y1]` in shares of a photo's sides.
    pub fn relative(&self, width: u32, height: u32) -> [f32; 4] {
        let (width, height) = (width as f32, height as f32);
        [self.x / width, self.y / height, (self.x + self.w) / width, (self.y + self.h) / height]
    }

    /// The box of `[x0, y0, x1, y1]` in shares of a photo's sides.
    pub fn from_relative([x0, y0, x1, y1]: [f32; 4], width: u32, height: u32) -> BoundingBox {
        let (width, height) = (width as f32, height as f32);
        BoundingBox { x: x0 * width, y: y0 * height, w: (x1 - x0) * width, h: (y1 - y0) * height }
    }
}

fn clip_span(start: f32, length: f32, side: f32) -> (f32, f32) {
    let end = (start + length).clamp(0.0, side);
    let clipped = start.clamp(0.0, side);
    (clipped, (end - clipped).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rectangle(x: f32, y: f32, w: f32, h: f32) -> BoundingBox {
        BoundingBox { x, y, w, h }
    }

    #[test]
    fn a_box_inside_the_photo_is_kept() {
        assert_eq!(rectangle(1.0, 2.0, 3.0, 4.0).clip(10, 10), rectangle(1.0, 2.0, 3.0, 4.0));
    }

    #[test]
    fn an_overshooting_box_is_cut_at_every_edge() {
        assert_eq!(rectangle(-5.0, -1.0, 100.0, 100.0).clip(10, 20), rectangle(0.0, 0.0, 10.0, 20.0));
        assert_eq!(rectangle(8.0, 18.0, 4.0, 4.0).clip(10, 20), rectangle(8.0, 18.0, 2.0, 2.0));
    }

    #[test]
    fn a_box_outside_the_photo_keeps_no_area() {
        let clipped = rectangle(30.0, 30.0, 5.0, 5.0).clip(10, 10);
        assert_eq!((clipped.w, clipped.h), (0.0, 0.0));
    }

    #[test]
    fn iou_has_its_hand_computed_values() {
        let square = rectangle(0.0, 0.0, 4.0, 4.0);
        assert_eq!(square.iou(&square), 1.0);
        assert_eq!(square.iou(&rectangle(2.0, 0.0, 4.0, 4.0)), 8.0 / 24.0);
        assert_eq!(square.iou(&rectangle(4.0, 0.0, 4.0, 4.0)), 0.0);
        assert_eq!(rectangle(1.0, 1.0, 0.0, 0.0).iou(&rectangle(1.0, 1.0, 0.0, 0.0)), 0.0);
    }

    #[test]
    fn iou_is_at_most_one_where_sums_are_rounded() {
        let found = rectangle(60.0, 2.0, 5.273, 304.0);
        assert_eq!(found.iou(&found), 1.0);
    }

    #[test]
    fn shares_and_pixels_are_inverse() {
        let square = rectangle(10.0, 20.0, 30.0, 40.0);
        assert_eq!(square.relative(100, 200), [0.1, 0.1, 0.4, 0.3]);
        let back = BoundingBox::from_relative([0.125, 0.25, 0.5, 0.75], 80, 40);
        assert_eq!(back, rectangle(10.0, 10.0, 30.0, 20.0));
    }
}
