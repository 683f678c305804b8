//! A drawn picture in every form that people's files have, against what Pillow shows of each (`fixtures/make.py`).

use super::{RgbImage, dimensions, open_rgb};
use std::path::Path;

/// The largest difference of a cell's mean: of two inverse transforms, and of two ways to enlarge the colours.
const TOLERANCE: f64 = 2.0;

/// Means of red, green and blue in each of 4 x 4 cells, row by row.
fn cells(image: &RgbImage) -> Vec<f64> {
    let edges = |side: u32, i: u32| (i * side / 4, ((i + 1) * side / 4).max(i * side / 4 + 1));
    let mut means = Vec::new();
    for cell in 0..16 {
        let ((y0, y1), (x0, x1)) = (edges(image.height(), cell / 4), edges(image.width(), cell % 4));
        for channel in 0..3 {
            let values = (y0..y1).flat_map(|y| (x0..x1).map(move |x| f64::from(image.get_pixel(x, y).0[channel])));
            means.push(values.sum::<f64>() / f64::from((y1 - y0) * (x1 - x0)));
        }
    }
    means
}

/// Says how a form differs from its figures.
fn difference(folder: &Path, line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split(',').collect();
    let bytes = std::fs::read(folder.join(fields[0])).unwrap();
    let shown = match (open_rgb(&bytes), fields[1]) {
        (Err(_), "refused") => return None,
        (Ok(_), "refused") => return Some("is decoded, not refused".to_owned()),
        (Err(problem), _) => return Some(format!("is refused: {problem}")),
        (Ok(image), _) => image,
    };
    let size = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
    if shown.dimensions() != size || dimensions(&bytes) != Ok(size) {
        return Some(format!("is {:?} pixels, not {size:?}", shown.dimensions()));
    }
    let figures = fields[3].split(' ').map(|figure| figure.parse::<f64>().unwrap());
    let largest =
        cells(&shown).into_iter().zip(figures).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f64::max);
    (largest > TOLERANCE).then(|| format!("differs by {largest:.1}"))
}

#[test]
fn every_form_shows_what_pillow_shows_or_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let figures = std::fs::read_to_string(folder.join("figures.csv")).unwrap();
    assert!(figures.lines().count() >= 150);
    let named = |line| difference(&folder, line).map(|what| format!("{}: {what}", line.split(',').next().unwrap()));
    let wrong: Vec<String> = figures.lines().filter_map(named).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    for (name, word) in [
        ("arithmetic.jpg", "arithmetic-coded JPEG"),
        ("arithmetic-progressive.jpg", "arithmetic-coded JPEG"),
        ("lossless.jpg", "lossless JPEG"),
        ("hierarchical.jpg", "hierarchical JPEG"),
        ("12-bit.jpg", "12-bit JPEG"),
        ("phone.heic", "HEIC"),
        ("web.avif", "AVIF"),
        ("web.jxl", "JPEG XL"),
        ("raw.dng", "Adobe RAW (DNG)"),
        ("preview-first.tif", "begins with a preview"),
        ("floats.tif", "TIFF (RGB(32)"),
        ("one-scan-missing.jpg", "cut short"),
    ] {
        let problem = open_rgb(&std::fs::read(folder.join(name)).unwrap()).unwrap_err();
        assert!(problem.why().contains(word), "{name}: {problem}");
        assert!(!problem.fix().is_empty());
    }
}
