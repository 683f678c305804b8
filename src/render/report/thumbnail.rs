//! Photos inside the page: each once as a JPEG, shown in as many places as wanted.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use mlsm_pipelines::album::{HeatMap, Square};

use super::content::PhotoLine;
use super::escape;

/// The quality of JPEGs.
const QUALITY: u8 = 82;
/// The colour of heat: red, green, blue.
const HEAT: [u8; 3] = [255, 60, 0];
/// How opaque the hottest place is.
const HEAT_OPACITY: f32 = 190.0;

/// The images of a page.
pub struct Thumbnails<'a> {
    photos: &'a BTreeMap<i64, Square>,
    lines: &'a BTreeMap<i64, PhotoLine>,
    shown: BTreeMap<i64, String>,
    /// Bytes that the page still has room for.
    room: usize,
}

impl<'a> Thumbnails<'a> {
    /// Begins with the photos that may be shown. `room`: bytes of all images.
    pub fn new(photos: &'a BTreeMap<i64, Square>, lines: &'a BTreeMap<i64, PhotoLine>, room: usize) -> Self {
        Self { photos, lines, shown: BTreeMap::new(), room }
    }

    /// Shows a whole photo in its own shape with something drawn over it, whose lengths are in hundredths of the width;
    /// `None` where the photo is not at hand, or the page is full.
    pub fn photo(&mut self, image_id: i64, alt: &str, over: &str) -> Option<String> {
        if !self.shown.contains_key(&image_id) {
            let jpeg = jpeg(self.photos.get(&image_id)?)?;
            let address = self.admit("image/jpeg", &jpeg)?;
            self.shown.insert(image_id, address);
        }
        let height = self.height(image_id);
        let picture = format!("<use href=\"#photo-{image_id}\" width=\"100\" height=\"{height:.2}\"/>");
        Some(framed(height, alt, &(picture + over)))
    }

    /// Shows an image that stands in one place.
    pub fn square(&mut self, square: &Square, alt: &str) -> Option<String> {
        let address = self.admit("image/jpeg", &jpeg(square)?)?;
        Some(framed(100.0, alt, &picture(&address, 100.0)))
    }

    /// Returns a heat map to be drawn over its photo.
    pub fn heat(&mut self, image_id: i64, map: &HeatMap) -> Option<String> {
        let address = self.admit("image/png", &heat_png(map)?)?;
        Some(picture(&address, self.height(image_id)))
    }

    /// The height of a photo in hundredths of its width.
    fn height(&self, image_id: i64) -> f64 {
        self.lines.get(&image_id).map_or(100.0, |line| 100.0 * line.size_px[1] / line.size_px[0])
    }

    /// Returns the photos themselves, to be laid somewhere on the page.
    pub fn symbols(&self) -> String {
        let symbol = |(id, address): (&i64, &String)| {
            format!(
                "<symbol id=\"photo-{id}\" viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\">{}</symbol>\n",
                picture(address, 100.0)
            )
        };
        let symbols: String = self.shown.iter().map(symbol).collect();
        format!("<svg class=\"store\" width=\"0\" height=\"0\" aria-hidden=\"true\">\n{symbols}</svg>\n")
    }

    /// Makes an address of bytes while there is room.
    fn admit(&mut self, kind: &str, bytes: &[u8]) -> Option<String> {
        let address = format!("data:{kind};base64,{}", STANDARD.encode(bytes));
        self.room = self.room.checked_sub(address.len())?;
        Some(address)
    }
}

fn framed(height: f64, alt: &str, inner: &str) -> String {
    let alt = escape::attribute(alt);
    format!("<svg class=\"photo\" viewBox=\"0 0 100 {height:.2}\" role=\"img\" aria-label=\"{alt}\">{inner}</svg>")
}

fn picture(address: &str, height: f64) -> String {
    format!("<image href=\"{address}\" width=\"100\" height=\"{height:.2}\" preserveAspectRatio=\"none\"/>")
}

fn jpeg(square: &Square) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    encoder.write_image(&square.rgb, square.side_px, square.side_px, ExtendedColorType::Rgb8).ok()?;
    Some(bytes)
}

/// Paints a map, the hotter the less transparent; between its smallest and its largest value.
fn heat_png(map: &HeatMap) -> Option<Vec<u8>> {
    let (low, high) = map.values.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    let range = if high > low { high - low } else { 1.0 };
    let opacity = |value: &f32| ((value - low) / range * HEAT_OPACITY) as u8;
    let rgba: Vec<u8> = map.values.iter().flat_map(|v| [HEAT[0], HEAT[1], HEAT[2], opacity(v)]).collect();
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(&rgba, map.width as u32, map.height as u32, ExtendedColorType::Rgba8)
        .ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_lies_in_the_page_once_however_often_it_is_shown() {
        let photos = BTreeMap::from([(7, Square { side_px: 2, rgb: vec![200; 12] })]);
        let lines = BTreeMap::from([(7, PhotoLine { size_px: [200.0, 100.0], ..PhotoLine::default() })]);
        let mut thumbnails = Thumbnails::new(&photos, &lines, 10_000);
        for alt in ["first \"one\"", "second"] {
            assert!(thumbnails.photo(7, alt, "").unwrap().contains("href=\"#photo-7\" width=\"100\" height=\"50.00\""));
        }
        assert_eq!(thumbnails.photo(8, "absent", ""), None);
        assert_eq!(thumbnails.symbols().matches("data:image/jpeg").count(), 1);
        assert!(thumbnails.photo(7, "a \"b\"", "").unwrap().contains("aria-label=\"a &quot;b&quot;\""));
    }

    #[test]
    fn heat_grows_with_the_value_and_a_flat_map_has_none() {
        let alpha = |values: &[f32]| -> Vec<u8> {
            let map = HeatMap { width: values.len(), height: 1, values: values.to_vec() };
            let png = image::load_from_memory(&heat_png(&map).unwrap()).unwrap().to_rgba8();
            png.pixels().map(|p| p.0[3]).collect()
        };
        assert_eq!(alpha(&[-1.0, 0.0, 1.0]), [0, 95, 190]);
        assert_eq!(alpha(&[3.0, 3.0]), [0, 0]);
    }
}
