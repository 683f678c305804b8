//! Boxes on photos: those that fit best and worst, and those where nothing was found; with heat map and cut object.

use mlsm_pipelines::results::Summary;

use super::content::{Found, Gallery, Shown};
use super::escape;
use super::figure::Block;
use super::page::{details, region};
use super::thumbnail::Thumbnails;
use crate::render::summary::{Topic, sections};

/// Lays the measured boxes out, and the photos.
pub fn block(galleries: &Found<Vec<Gallery>>, summary: &Summary, thumbnails: &mut Thumbnails<'_>) -> Found<Block> {
    let mut html = String::new();
    for section in sections(summary).iter().filter(|s| matches!(s.topic, Topic::Boxes | Topic::Sources)) {
        html += &format!("<h3>{}</h3>\n", escape::attribute(&section.title));
        html += &region(&section.title, &section.table.to_html(), &section.note);
    }
    match galleries {
        Ok(galleries) => html += &shown(galleries, thumbnails),
        Err(why) if html.is_empty() => return Err(why.clone()),
        Err(why) => html += &format!("<p>No photos are shown: {}.</p>\n", escape::attribute(why)),
    }
    Ok(Block { id: "boxes", title: "Boxes".to_owned(), html, figures: Vec::new() })
}

fn shown(galleries: &[Gallery], thumbnails: &mut Thumbnails<'_>) -> String {
    let mut html = "<h3>Boxes on photos</h3>\n<p>Solid line: the drawn box. Dashed line: the true box. Red: the heat map \
                    that the box was drawn from, as stored. Last: the object as it was cut out. Photos are squashed as the \
                    network reads them, and drawn in their own shape.</p>\n"
        .to_owned();
    for (i, gallery) in galleries.iter().enumerate() {
        let mut inside = String::new();
        for (title, boxes) in &gallery.groups {
            let cards: Vec<_> = boxes.iter().filter_map(|shown| card(shown, thumbnails)).collect();
            inside += &match cards.is_empty() {
                true => String::new(),
                false => format!("<h4>{title}</h4>\n<ul class=\"cards\">\n{}</ul>\n", cards.concat()),
            };
        }
        if inside.is_empty() {
            inside = "<p>Left out, so that the file stays below 15 MB.</p>\n".to_owned();
        }
        let title = format!("{}: {} boxes on photos of {} classes", gallery.node, gallery.boxes, gallery.part);
        html += &match i {
            0 => details(&title, &inside).replacen("<details", "<details open", 1),
            _ => details(&title, &inside),
        };
    }
    html
}

/// A photo with its boxes, the same with its heat map, and the object.
fn card(shown: &Shown, thumbnails: &mut Thumbnails<'_>) -> Option<String> {
    let Shown { line, photo, cam_class, heat, object } = shown;
    let width = photo.size_px[0];
    let fit = match (line.is_fallback, line.iou) {
        (true, _) => "nothing found, the whole photo was taken".to_owned(),
        (false, Some(iou)) => format!("IoU {iou:.2}"),
        (false, None) => "no true box is known".to_owned(),
    };
    let boxes =
        photo.true_box.map_or(String::new(), |b| rectangle(b, width, "true")) + &rectangle(line.drawn, width, "drawn");
    let alt = format!("photo {} of class {} with the drawn box: {fit}", photo.path, photo.class_name);
    let mut views = vec![thumbnails.photo(line.image_id, &alt, &boxes)?];
    if let Some(heat) = heat.as_ref().and_then(|map| thumbnails.heat(line.image_id, map)) {
        views.extend(thumbnails.photo(line.image_id, "the same photo under its heat map", &heat));
    }
    views.extend(object.as_ref().and_then(|object| thumbnails.square(object, "the object that was cut out")));
    let seen = cam_class.as_ref().map_or(String::new(), |class| format!(", map of class {}", escape::name(class)));
    Some(format!(
        "<li><figure><div class=\"views\">{}</div><figcaption><strong>{}</strong><br>{fit}{seen}<br><span \
         class=\"path\">{}</span></figcaption></figure></li>\n",
        views.concat(),
        escape::name(&photo.class_name),
        escape::name(&photo.path)
    ))
}

/// A box in hundredths of the photo's width, twice: a pale line under the coloured one is seen on any photo.
pub fn rectangle([x, y, w, h]: [f64; 4], width: f64, kind: &str) -> String {
    let [x, y, w, h] = [x, y, w, h].map(|length| 100.0 * length / width);
    let place = format!("x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\"");
    format!("<rect class=\"under\" {place}/><rect class=\"{kind}\" {place}/>")
}
