//! A map of embeddings: a dot for each photo of a novel class, and the photo itself where the pointer is.

use serde_json::{Value, json};

use super::content::{EmbeddingMap, Found, PhotoLine};
use super::escape;
use super::figure::{Block, Choice, Figure};
use super::page::{details, region};
use super::rows::distinct;
use super::thumbnail::Thumbnails;
use crate::render::table::{Align, TextTable};

/// Colours of the style sheet.
const COLOURS: usize = 8;
/// Symbols, for more classes than there are colours.
const SYMBOLS: [&str; 6] = ["circle", "square", "diamond", "cross", "triangle-up", "star"];
/// Classes of a legend; of more, the pointer names them.
const MOST_NAMED: usize = 16;

/// Lays the map out.
pub fn block(map: &EmbeddingMap, thumbnails: &mut Thumbnails<'_>) -> Found<Block> {
    for (photo, _) in &map.points {
        thumbnails.photo(photo.image_id, "", ""); // so that it can be shown at the pointer
    }
    let classes = distinct(map.points.iter().map(|(photo, _)| photo.class_id));
    let [first, second] = map.variance.map(|share| 100.0 * share);
    let note = format!(
        "{} photos of {} novel classes, embedded by {} in {} dimensions and projected on the two directions of most variance \
         ({first:.0} % and {second:.0} %). Classes that overlap here may still lie apart in the other directions.",
        map.points.len(),
        classes.len(),
        map.node,
        map.dim
    );
    let data = classes.iter().enumerate().map(|(place, class)| trace(map, *class, place)).collect();
    let layout = json!({
        "height": 460 + 8 * classes.len().min(MOST_NAMED), "showlegend": classes.len() <= MOST_NAMED,
        "xaxis": {"title": {"text": "first direction"}, "zeroline": false},
        "yaxis": {"title": {"text": "second direction"}, "zeroline": false},
    });
    let figure = Figure {
        id: "embedding-map".to_owned(),
        label: format!("Map of embeddings. {note} The table below has all places."),
        note,
        chooser: "",
        choices: vec![Choice { name: "map".to_owned(), data, layout }],
        first: 0,
    };
    let places = region("Places", &places(map).to_html(), "in the unit of the embedding");
    let html = format!("{}{}", figure.html(), details("Places of every photo", &places));
    Ok(Block { id: "embeddings", title: "Map of embeddings".to_owned(), html, figures: vec![figure] })
}

fn trace(map: &EmbeddingMap, class: i64, place: usize) -> Value {
    let of_class: Vec<_> = map.points.iter().filter(|(photo, _)| photo.class_id == class).collect();
    let coordinate = |axis: usize| of_class.iter().map(|(_, place)| rounded(place[axis])).collect::<Vec<_>>();
    let hover = |photo: &PhotoLine| format!("{}<br>{}", escape::label(&photo.class_name), escape::label(&photo.path));
    json!({
        "type": "scatter", "mode": "markers", "name": escape::label(of_class.first().map_or("", |(p, _)| &p.class_name)),
        "x": coordinate(0), "y": coordinate(1),
        "customdata": of_class.iter().map(|(photo, _)| photo.image_id).collect::<Vec<_>>(),
        "hovertext": of_class.iter().map(|(photo, _)| hover(photo)).collect::<Vec<_>>(), "hoverinfo": "text",
        "marker": {"size": 8, "color": format!("--series-{}", place % COLOURS),
                   "symbol": SYMBOLS[(place / COLOURS + place) % SYMBOLS.len()]},
    })
}

fn rounded(value: f64) -> f64 {
    (1e4 * value).round() / 1e4
}

fn places(map: &EmbeddingMap) -> TextTable {
    let numbers = ["photo", "first direction", "second direction"].map(|name| (name, Align::Right));
    let mut table = TextTable::new(&[&[("class", Align::Left)], numbers.as_slice()].concat());
    for (photo, [x, y]) in &map.points {
        table.row(vec![photo.class_name.clone(), photo.image_id.to_string(), format!("{x:.4}"), format!("{y:.4}")]);
    }
    table
}
