//! A small anti-aliased rasteriser: ellipses, polygons and tapered lines, filled by distance.
//!
//! Each pixel's coverage comes from its signed distance to the outline, so edges are smooth without
//! supersampling, and a soft edge (out of focus) is the same code. Shapes live in local coordinates and
//! are placed by an [`Affine`]. Sines come from `libm`, so the same bytes appear on every machine. Absent on
//! purpose: curves, stroking, blending modes.

/// A point or vector, local units or pixels; y grows downwards.
pub(super) type Point = [f32; 2];
/// Red, green, blue in 0..1.
pub(super) type Colour = [f32; 3];

/// The unit vector at `angle` radians: cosine and sine.
pub(super) fn direction(angle: f32) -> Point {
    let (sin, cos) = libm::sincosf(angle);
    [cos, sin]
}

fn length(v: Point) -> f32 {
    (v[0] * v[0] + v[1] * v[1]).sqrt()
}

/// Maps local coordinates to pixels: `p -> m p + t`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine {
    m: [f32; 4],
    t: Point,
    inverse: [f32; 4],
    /// Pixels per local unit, the geometric mean of both axes.
    scale: f32,
}

impl Affine {
    /// Stretches by `stretch` (x, y), turns by `angle` radians, then moves to `to`.
    pub(super) fn new(stretch: Point, angle: f32, to: Point) -> Self {
        let [cos, sin] = direction(angle);
        let m = [cos * stretch[0], -sin * stretch[1], sin * stretch[0], cos * stretch[1]];
        let det = m[0] * m[3] - m[1] * m[2];
        let inverse = [m[3] / det, -m[1] / det, -m[2] / det, m[0] / det];
        Self { m, t: to, inverse, scale: det.abs().sqrt() }
    }

    /// The identity: shapes given in pixels.
    pub(super) fn pixels() -> Self {
        Self::new([1.0, 1.0], 0.0, [0.0, 0.0])
    }

    /// Maps a local point to pixels.
    pub(super) fn map(&self, p: Point) -> Point {
        [self.m[0] * p[0] + self.m[1] * p[1] + self.t[0], self.m[2] * p[0] + self.m[3] * p[1] + self.t[1]]
    }

    fn unmap(&self, p: Point) -> Point {
        let (x, y) = (p[0] - self.t[0], p[1] - self.t[1]);
        [self.inverse[0] * x + self.inverse[1] * y, self.inverse[2] * x + self.inverse[3] * y]
    }
}

/// A filled outline in local coordinates.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// An ellipse turned by the angle whose cosine and sine are `turn`.
    Ellipse { centre: Point, radii: Point, turn: Point },
    /// A closed polygon.
    Polygon(Vec<Point>),
    /// A line from `a` to `b`, `radii` wide at either end, with round ends.
    Line { a: Point, b: Point, radii: Point },
}

impl Shape {
    /// An ellipse turned by `angle` radians.
    pub(super) fn ellipse(centre: Point, radii: Point, angle: f32) -> Self {
        Self::Ellipse { centre, radii, turn: direction(angle) }
    }

    /// Signed distance to the outline, negative inside; exact for polygons, close near an ellipse's edge.
    fn distance(&self, p: Point) -> f32 {
        match self {
            Self::Ellipse { centre, radii, turn } => {
                let (dx, dy) = (p[0] - centre[0], p[1] - centre[1]);
                let (x, y) = (dx * turn[0] + dy * turn[1], dy * turn[0] - dx * turn[1]);
                let (u, v) = (x / radii[0], y / radii[1]);
                let f = length([u, v]);
                if f < 1e-6 {
                    return -radii[0].min(radii[1]);
                }
                let gradient = length([u / radii[0], v / radii[1]]);
                f * (f - 1.0) / gradient
            }
            Self::Polygon(points) => polygon_distance(points, p),
            Self::Line { a, b, radii } => {
                let (h, squared) = segment(*a, *b, p);
                squared.sqrt() - (radii[0] + (radii[1] - radii[0]) * h)
            }
        }
    }

    /// Box around the shape once placed: `[x0, y0, x1, y1]` in pixels; generous for stretched lines.
    pub(super) fn extent(&self, place: &Affine) -> [f32; 4] {
        match self {
            Self::Ellipse { centre, radii, turn } => {
                let [x, y] = place.map(*centre);
                let (a, b) = (radii[0], radii[1]);
                let (ax, ay) = (turn[0] * a, turn[1] * a);
                let (bx, by) = (-turn[1] * b, turn[0] * b);
                let m = place.m;
                let w = length([m[0] * ax + m[1] * ay, m[0] * bx + m[1] * by]);
                let h = length([m[2] * ax + m[3] * ay, m[2] * bx + m[3] * by]);
                [x - w, y - h, x + w, y + h]
            }
            Self::Polygon(points) => around(points.iter().map(|p| (place.map(*p), 0.0))),
            Self::Line { a, b, radii } => {
                around([(*a, radii[0]), (*b, radii[1])].into_iter().map(|(p, r)| (place.map(p), r * place.scale)))
            }
        }
    }
}

fn around(points: impl Iterator<Item = (Point, f32)>) -> [f32; 4] {
    points.fold([f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY], |e, (p, r)| {
        [e[0].min(p[0] - r), e[1].min(p[1] - r), e[2].max(p[0] + r), e[3].max(p[1] + r)]
    })
}

/// Position along a–b (0..1) of the point nearest to `p`, and its squared distance.
fn segment(a: Point, b: Point, p: Point) -> (f32, f32) {
    let (ex, ey) = (b[0] - a[0], b[1] - a[1]);
    let (wx, wy) = (p[0] - a[0], p[1] - a[1]);
    let h = ((wx * ex + wy * ey) / (ex * ex + ey * ey).max(1e-12)).clamp(0.0, 1.0);
    let (dx, dy) = (wx - ex * h, wy - ey * h);
    (h, dx * dx + dy * dy)
}

fn polygon_distance(points: &[Point], p: Point) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut previous = points.len() - 1;
    for current in 0..points.len() {
        let (a, b) = (points[previous], points[current]);
        nearest = nearest.min(segment(a, b, p).1);
        if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) + a[0] {
            inside = !inside;
        }
        previous = current;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

/// What a shape is filled with, in local coordinates.
#[derive(Debug, Clone, Copy)]
pub(super) enum Paint {
    /// One colour.
    Flat(Colour),
    /// `from` at the first point, `to` at the second, and between them in between.
    Gradient { from: Colour, to: Colour, at: [Point; 2] },
}

impl Paint {
    fn at(&self, p: Point) -> Colour {
        match self {
            Self::Flat(colour) => *colour,
            Self::Gradient { from, to, at: [a, b] } => {
                let (ex, ey) = (b[0] - a[0], b[1] - a[1]);
                let h = ((p[0] - a[0]) * ex + (p[1] - a[1]) * ey) / (ex * ex + ey * ey).max(1e-12);
                mix(*from, *to, h.clamp(0.0, 1.0))
            }
        }
    }
}

/// `a` at 0, `b` at 1.
pub(super) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

/// One shape with its paint, shown only inside `clip` where that is given.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    /// Outline.
    pub(super) shape: Shape,
    /// Outline that cuts it off: a mark never leaves the part it sits on.
    pub(super) clip: Option<Shape>,
    /// Colour.
    pub(super) paint: Paint,
}

impl Fill {
    /// A shape shown whole.
    pub(super) fn whole(shape: Shape, paint: Paint) -> Self {
        Self { shape, clip: None, paint }
    }

    /// A mark on a part: shown only where `part` is.
    pub(super) fn on(part: &Shape, shape: Shape, paint: Paint) -> Self {
        Self { shape, clip: Some(part.clone()), paint }
    }
}

/// A square picture being drawn.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    /// Side in pixels.
    pub(super) size: usize,
    /// Row by row.
    pub(super) pixels: Vec<Colour>,
}

impl Canvas {
    /// A square canvas of one colour.
    pub(super) fn new(size: usize, colour: Colour) -> Self {
        Self { size, pixels: vec![colour; size * size] }
    }

    /// Lays one fill over the picture; `soft_px` is the width of its edge (1 = sharp), `alpha` its opacity.
    ///
    /// `covered`, one value per pixel, keeps the greatest coverage seen: the mask of an object.
    pub(super) fn lay(
        &mut self,
        place: &Affine,
        fill: &Fill,
        soft_px: f32,
        alpha: f32,
        mut covered: Option<&mut [f32]>,
    ) {
        let extent = fill.shape.extent(place);
        let last = self.size as f32 - 1.0;
        let bound = |v: f32| v.clamp(0.0, last) as usize;
        if extent[2] < -soft_px || extent[3] < -soft_px || extent[0] > last + soft_px || extent[1] > last + soft_px {
            return;
        }
        for y in bound(extent[1] - soft_px)..=bound(extent[3] + soft_px) {
            for x in bound(extent[0] - soft_px)..=bound(extent[2] + soft_px) {
                let p = place.unmap([x as f32 + 0.5, y as f32 + 0.5]);
                let cover = |shape: &Shape| (0.5 - shape.distance(p) * place.scale / soft_px).clamp(0.0, 1.0);
                let mut coverage = cover(&fill.shape);
                if coverage <= 0.0 {
                    continue;
                }
                if let Some(clip) = &fill.clip {
                    coverage = coverage.min(cover(clip));
                }
                let at = y * self.size + x;
                self.pixels[at] = mix(self.pixels[at], fill.paint.at(p), coverage * alpha);
                if let Some(mask) = covered.as_deref_mut() {
                    mask[at] = mask[at].max(coverage);
                }
            }
        }
    }

    /// Puts the picture out of focus: the mean over squares of `2 · radius + 1` pixels a side, twice. Beyond the frame its
    /// edge goes on.
    pub(super) fn blur(&mut self, radius: usize) {
        if radius == 0 {
            return;
        }
        for _ in 0..2 {
            (0..self.size).for_each(|row| self.blur_line(radius, row * self.size, 1));
            (0..self.size).for_each(|column| self.blur_line(radius, column, self.size));
        }
    }

    /// Replaces each pixel of one row or column by the mean of its neighbours there.
    fn blur_line(&mut self, radius: usize, first: usize, step: usize) {
        let line: Vec<Colour> = (0..self.size).map(|i| self.pixels[first + i * step]).collect();
        let near = |i: usize, offset: usize| line[(i + offset).saturating_sub(radius).min(self.size - 1)];
        for i in 0..self.size {
            let sum =
                (0..=2 * radius).map(|offset| near(i, offset)).fold([0.0; 3], |a, b| [0, 1, 2].map(|c| a[c] + b[c]));
            self.pixels[first + i * step] = sum.map(|c| c / (2 * radius + 1) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(shape: Shape, place: &Affine, size: usize) -> f32 {
        let mut canvas = Canvas::new(size, [0.0; 3]);
        let mut mask = vec![0.0; size * size];
        canvas.lay(place, &Fill::whole(shape, Paint::Flat([1.0; 3])), 1.0, 1.0, Some(&mut mask));
        assert!(canvas.pixels.iter().zip(&mask).all(|(pixel, covered)| (pixel[0] - covered).abs() < 1e-6));
        mask.iter().sum()
    }

    #[test]
    fn a_blurred_point_is_spread_over_two_means_and_nothing_is_lost() {
        let mut canvas = Canvas::new(15, [0.0; 3]);
        canvas.pixels[7 * 15 + 7] = [1.0, 0.5, 0.0];
        canvas.blur(1);
        let share = [0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0]; // a mean of three, twice, in ninths
        for (y, x) in (4..=10).flat_map(|y| (4..=10).map(move |x| (y, x))) {
            let expected = share[y - 4] * share[x - 4] / 81.0;
            assert!((canvas.pixels[y * 15 + x][0] - expected).abs() < 1e-6, "{x} {y}");
        }
        let sum = canvas.pixels.iter().fold([0.0; 3], |a, b| [0, 1, 2].map(|c| a[c] + b[c]));
        assert!((sum[0] - 1.0).abs() < 1e-5 && (sum[1] - 0.5).abs() < 1e-5 && sum[2] == 0.0);
    }

    #[test]
    fn one_colour_stays_as_it_is_up_to_the_frame() {
        let mut canvas = Canvas::new(9, [0.25, 0.5, 0.75]);
        canvas.blur(4);
        assert!(canvas.pixels.iter().all(|pixel| *pixel == [0.25, 0.5, 0.75]));
    }

    #[test]
    fn the_coverage_of_a_shape_sums_to_its_area() {
        let middle = Affine::new([1.0, 1.0], 0.4, [40.0, 40.0]);
        let pi = std::f32::consts::PI;
        // One pixel of blur along the outline leaves less than 2 % of error at these sizes.
        let close = |got: f32, want: f32| assert!((got / want - 1.0).abs() < 0.02, "{got} for {want}");
        close(area(Shape::ellipse([0.0; 2], [20.0, 20.0], 0.0), &middle, 80), pi * 400.0);
        close(area(Shape::ellipse([3.0, 1.0], [24.0, 10.0], 0.7), &middle, 80), pi * 240.0);
        close(
            area(Shape::Polygon(vec![[-15.0, -10.0], [15.0, -10.0], [15.0, 10.0], [-15.0, 10.0]]), &middle, 80),
            600.0,
        );
        close(area(Shape::Line { a: [-15.0, 0.0], b: [15.0, 0.0], radii: [5.0, 5.0] }, &middle, 80), 300.0 + pi * 25.0);
        let doubled = Affine::new([-2.0, 2.0], 0.0, [40.0, 40.0]);
        close(area(Shape::ellipse([0.0; 2], [10.0, 6.0], 0.2), &doubled, 80), pi * 240.0);
    }

    #[test]
    fn an_extent_holds_all_that_is_covered() {
        let place = Affine::new([1.7, 1.2], 0.9, [50.0, 45.0]);
        for shape in [
            Shape::ellipse([2.0, -3.0], [14.0, 5.0], 0.5),
            Shape::Polygon(vec![[-9.0, -9.0], [12.0, 0.0], [-4.0, 8.0]]),
            Shape::Line { a: [-8.0, 2.0], b: [9.0, -3.0], radii: [3.0, 1.0] },
        ] {
            let [x0, y0, x1, y1] = shape.extent(&place);
            for (y, x) in (0..100).flat_map(|y| (0..100).map(move |x| (y as f32, x as f32))) {
                let inside = shape.distance(place.unmap([x, y])) < 0.0;
                assert!(!inside || (x >= x0 - 1.0 && x <= x1 + 1.0 && y >= y0 - 1.0 && y <= y1 + 1.0), "{shape:?}");
            }
        }
    }

    #[test]
    fn a_mark_never_leaves_its_part() {
        let part = Shape::ellipse([20.0, 20.0], [8.0, 8.0], 0.0);
        let mut canvas = Canvas::new(40, [0.0; 3]);
        let mark = Fill::on(&part, Shape::ellipse([26.0, 20.0], [9.0, 9.0], 0.0), Paint::Flat([1.0; 3]));
        canvas.lay(&Affine::pixels(), &mark, 1.0, 1.0, None);
        assert!(canvas.pixels[20 * 40 + 24][0] > 0.99);
        assert_eq!(canvas.pixels[20 * 40 + 32], [0.0; 3]);
    }

    #[test]
    fn what_lies_outside_the_frame_is_left_out() {
        assert_eq!(area(Shape::ellipse([-30.0, 10.0], [8.0, 8.0], 0.0), &Affine::pixels(), 40), 0.0);
        let half = area(Shape::ellipse([0.0, 20.0], [10.0, 10.0], 0.0), &Affine::pixels(), 40);
        assert!((half / (std::f32::consts::PI * 50.0) - 1.0).abs() < 0.02, "{half}");
    }

    #[test]
    fn a_gradient_runs_from_its_first_colour_to_its_second() {
        let paint = Paint::Gradient { from: [0.0; 3], to: [1.0, 0.5, 0.0], at: [[0.0, 0.0], [0.0, 2.0]] };
        assert_eq!(paint.at([7.0, -1.0]), [0.0; 3]);
        assert_eq!(paint.at([7.0, 1.0]), [0.5, 0.25, 0.0]);
        assert_eq!(paint.at([7.0, 9.0]), [1.0, 0.5, 0.0]);
    }
}
