//! The anatomy: turns a species into the fills of one bird, facing right, in units of its body's length.
//!
//! The body's centre is the origin. Parts come back to front; a mark is clipped by the part it sits on.

use std::f32::consts::PI;

use super::raster::{Colour, Fill, Paint, Point, Shape, direction};
use super::species::{BreastMark, Build, Marks, Plumage, Species, TailEnd};

/// How one bird holds itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stance {
    /// Head lowered (positive) or raised, body lengths.
    pub(super) nod: f32,
    /// Tail lifted beyond its usual angle, radians.
    pub(super) tail: f32,
    /// Wing turned from rest, radians.
    pub(super) wing: f32,
    /// Whether the wing is raised, as in flight.
    pub(super) raised: bool,
}

/// All fills of a bird of the species, back to front.
pub(super) fn bird(species: &Species, plumage: &Plumage, stance: &Stance) -> Vec<Fill> {
    let (build, marks) = (&species.build, &species.marks);
    let mut fills = Vec::with_capacity(40);
    legs(&mut fills, build, plumage);
    tail(&mut fills, build, plumage, marks, stance);
    body(&mut fills, build, plumage, marks);
    head(&mut fills, build, plumage, marks, stance);
    wing(&mut fills, build, plumage, marks, stance);
    fills
}

fn flat(colour: Colour) -> Paint {
    Paint::Flat(colour)
}

fn darker(colour: Colour, share: f32) -> Colour {
    colour.map(|c| c * share)
}

fn legs(fills: &mut Vec<Fill>, build: &Build, plumage: &Plumage) {
    let hip = build.body_depth * 0.4;
    for x in [-0.06, 0.08] {
        let shape = Shape::Line { a: [x, hip], b: [x + 0.03, hip + 0.06 + build.legs], radii: [0.025, 0.018] };
        fills.push(Fill::whole(shape, flat(plumage.legs)));
    }
}

fn tail(fills: &mut Vec<Fill>, build: &Build, plumage: &Plumage, marks: &Marks, stance: &Stance) {
    let lift = build.tail_lift + stance.tail;
    let along = direction(PI + lift);
    let across = [-along[1], along[0]];
    let root = [-0.36, -0.02];
    let at =
        |l: f32, w: f32| -> Point { [root[0] + along[0] * l + across[0] * w, root[1] + along[1] * l + across[1] * w] };
    let length = build.tail_length + 0.1;
    let outline = match build.tail_end {
        TailEnd::Square => vec![at(0.0, 0.08), at(length, 0.09), at(length, -0.09), at(0.0, -0.08)],
        TailEnd::Forked => {
            vec![at(0.0, 0.08), at(length, 0.15), at(length * 0.65, 0.0), at(length, -0.15), at(0.0, -0.08)]
        }
        TailEnd::Fan => vec![
            at(0.0, 0.07),
            at(length * 0.8, 0.2),
            at(length * 0.96, 0.1),
            at(length, 0.0),
            at(length * 0.96, -0.1),
            at(length * 0.8, -0.2),
            at(0.0, -0.07),
        ],
    };
    let tail = Shape::Polygon(outline);
    fills.push(Fill::whole(tail.clone(), flat(plumage.tail)));
    if let Some(colour) = marks.tail_tip {
        let tip = Shape::Line { a: at(length, 0.3), b: at(length, -0.3), radii: [0.13, 0.13] };
        fills.push(Fill::on(&tail, tip, flat(colour)));
    }
}

fn body(fills: &mut Vec<Fill>, build: &Build, plumage: &Plumage, marks: &Marks) {
    let depth = build.body_depth / 2.0;
    let body = Shape::ellipse([0.0, 0.0], [0.5, depth], 0.12);
    let shade =
        Paint::Gradient { from: plumage.back, to: plumage.belly, at: [[0.0, -depth * 0.15], [0.0, depth * 0.25]] };
    fills.push(Fill::whole(body.clone(), shade));
    if let Some(colour) = marks.rump {
        fills.push(Fill::on(&body, Shape::ellipse([-0.42, -0.04], [0.15, 0.2], 0.0), flat(colour)));
    }
    let breast = Shape::ellipse([0.34, depth * 0.25], [0.26, depth * 0.95], 0.3);
    fills.push(Fill::on(&body, breast, flat(plumage.breast)));
    breast_marks(fills, &body, depth, marks);
}

fn breast_marks(fills: &mut Vec<Fill>, body: &Shape, depth: f32, marks: &Marks) {
    let paint = flat(marks.breast_mark);
    match marks.breast {
        BreastMark::Plain => {}
        BreastMark::Band => {
            let band = Shape::Line { a: [0.16, depth], b: [0.46, -depth * 0.3], radii: [0.05, 0.05] };
            fills.push(Fill::on(body, band, paint));
        }
        BreastMark::Spots => {
            for (row, column) in (0..3).flat_map(|row| (0..4).map(move |column| (row, column))) {
                let (row, column) = (row as f32, column as f32);
                let x = 0.12 + column * 0.1 + (row % 2.0) * 0.05;
                let spot = Shape::ellipse([x, depth * (0.2 + row * 0.27)], [0.026, 0.026], 0.0);
                fills.push(Fill::on(body, spot, paint));
            }
        }
        BreastMark::Streaks => {
            for streak in 0..4 {
                let x = 0.1 + streak as f32 * 0.1;
                let line = Shape::Line { a: [x, depth * 0.15], b: [x - 0.08, depth], radii: [0.018, 0.014] };
                fills.push(Fill::on(body, line, paint));
            }
        }
    }
}

fn head(fills: &mut Vec<Fill>, build: &Build, plumage: &Plumage, marks: &Marks, stance: &Stance) {
    let r = build.head;
    let depth = build.body_depth / 2.0;
    let [x, y]: Point = [0.40 + build.neck * 0.5, -depth * 0.55 - r * 0.45 - build.neck + stance.nod];
    let neck = Shape::Line { a: [0.30, -depth * 0.1], b: [x, y], radii: [depth * 0.62, r * 0.8] };
    let skull = Shape::ellipse([x, y], [r * 1.05, r], 0.0);
    if build.crest > 0.0 {
        let crest =
            vec![[x + r * 0.4, y - r * 0.8], [x - r * 0.7, y - r * 0.8 - build.crest], [x - r * 0.9, y - r * 0.1]];
        fills.push(Fill::whole(Shape::Polygon(crest), flat(marks.crown.unwrap_or(plumage.head))));
    }
    let bill = vec![
        [x + r * 0.75, y - build.bill_depth * 0.7],
        [x + r + build.bill_length * 0.6, y - build.bill_depth * 0.4 + build.bill_droop * 0.2],
        [x + r + build.bill_length, y + build.bill_droop + build.bill_depth * 0.2],
        [x + r * 0.75, y + build.bill_depth * 0.7],
    ];
    fills.push(Fill::whole(Shape::Polygon(bill), flat(plumage.bill)));
    fills.push(Fill::on(&neck, neck.clone(), flat(plumage.head)));
    fills.push(Fill::whole(skull.clone(), flat(plumage.head)));
    if let Some(colour) = marks.throat {
        fills.push(Fill::on(
            &neck,
            Shape::ellipse([x + r * 0.35, y + r * 0.95], [r * 0.8, r * 0.6], 0.3),
            flat(colour),
        ));
    }
    if let Some(colour) = marks.crown {
        fills.push(Fill::on(
            &skull,
            Shape::ellipse([x - r * 0.1, y - r * 0.95], [r * 1.2, r * 0.75], 0.0),
            flat(colour),
        ));
    }
    face(fills, &skull, [x, y], r, marks);
}

fn face(fills: &mut Vec<Fill>, skull: &Shape, centre: Point, r: f32, marks: &Marks) {
    let eye = [centre[0] + r * 0.3, centre[1] - r * 0.1];
    if let Some(colour) = marks.eye_stripe {
        let stripe = Shape::Line {
            a: [eye[0] + r * 0.7, eye[1] + r * 0.1],
            b: [eye[0] - r * 1.3, eye[1]],
            radii: [r * 0.16; 2],
        };
        fills.push(Fill::on(skull, stripe, flat(colour)));
    }
    if let Some(colour) = marks.eye_ring {
        fills.push(Fill::on(skull, Shape::ellipse(eye, [r * 0.36; 2], 0.0), flat(colour)));
    }
    fills.push(Fill::whole(Shape::ellipse(eye, [r * 0.18; 2], 0.0), flat([0.04, 0.04, 0.04])));
}

fn wing(fills: &mut Vec<Fill>, build: &Build, plumage: &Plumage, marks: &Marks, stance: &Stance) {
    let depth = build.body_depth / 2.0;
    let angle = if stance.raised { PI * 0.36 } else { -0.08 } + stance.wing;
    let [cos, sin] = direction(angle);
    let root: Point = [0.16, -depth * 0.3];
    // Along the wing from its root backwards, across it downwards.
    let at = |l: f32, w: f32| -> Point { [root[0] - cos * l + sin * w, root[1] - sin * l + cos * w] };
    let long = 0.36;
    let wing = Shape::ellipse(at(long * 0.8, 0.0), [long, depth * 0.58], angle);
    fills.push(Fill::whole(wing.clone(), flat(plumage.wing)));
    if let Some(colour) = marks.wing_tip {
        fills.push(Fill::on(&wing, Shape::ellipse(at(long * 1.75, 0.0), [long * 0.6, depth], angle), flat(colour)));
    }
    if let Some((bars, colour)) = marks.wing_bars {
        for bar in 0..bars {
            let l = long * (0.45 + 0.42 * bar as f32);
            let line = Shape::Line { a: at(l, depth), b: at(l + 0.08, -depth), radii: [0.034; 2] };
            fills.push(Fill::on(&wing, line, flat(colour)));
        }
    }
    let feather = darker(plumage.wing, 0.75);
    let edge = Shape::Line { a: at(long * 0.3, depth * 0.5), b: at(long * 1.7, depth * 0.28), radii: [0.016; 2] };
    fills.push(Fill::on(&wing, edge, flat(feather)));
}
