//! The page of `mlsm predict --report`: each photo with its box, the classes it may be of, and the labelled photos that it
//! resembles most.

use std::collections::BTreeMap;

use mlsm_pipelines::album::Square;
use serde_json::json;

use super::content::{Found, PhotoLine};
use super::escape;
use super::figure::{Block, Choice, Figure, percent};
use super::gallery::rectangle;
use super::page::{Document, Part, details, document, region, room_for_images};
use super::thumbnail::Thumbnails;
use crate::render::table::{Align, TextTable};

/// Photos that are shown; more would make the page too long to read.
const MOST_CARDS: usize = 600;
/// Lines of the table.
const MOST_LINES: usize = 5_000;
/// Bars of the chart of probabilities.
const BARS: usize = 20;

/// What the page is written from.
pub struct Predicted {
    /// The run that predicted.
    pub run_id: String,
    /// The row that predicted.
    pub row: String,
    /// How many labelled photos each class has, by its name.
    pub classes: BTreeMap<String, usize>,
    /// What is to be read beside the predictions.
    pub comments: Vec<String>,
    /// The photos, by path.
    pub photos: Vec<PredictedPhoto>,
    /// Those that could not be read.
    pub unread: Vec<String>,
    /// The stored pixels, by id, labelled photos too.
    pub pixels: BTreeMap<i64, Square>,
    /// What is known of them.
    pub lines: BTreeMap<i64, PhotoLine>,
}

/// One photo.
pub struct PredictedPhoto {
    /// Its id.
    pub image_id: i64,
    /// Its path below the folder that was asked for.
    pub path: String,
    /// The class that is answered, `unknown` included.
    pub answer: String,
    /// Names of the likeliest classes, and their probabilities, the likeliest first.
    pub ranked: Vec<(String, f64)>,
    /// The labelled photos that it resembles most, and how they score.
    pub nearest: Vec<(i64, f32)>,
    /// Its object, as shares of its sides: left, upper, right, lower edge.
    pub object: Option<[f32; 4]>,
}

impl PredictedPhoto {
    fn probability(&self) -> f64 {
        self.ranked.first().map_or(0.0, |(_, probability)| *probability)
    }
}

/// Writes the page as one HTML file that needs nothing else.
pub fn to_html(predicted: &Predicted) -> String {
    let (sure, table) = (how_sure(predicted), all(predicted));
    let taken = [&sure, &table].into_iter().filter_map(|part| part.as_ref().ok()).map(Block::bytes).sum();
    let mut thumbnails = Thumbnails::new(&predicted.pixels, &predicted.lines, room_for_images(taken));
    let photos = photos(predicted, &mut thumbnails);
    let parts: Vec<Part> = vec![("How sure", sure), ("Photos", photos), ("All predictions", table)];
    let labelled: usize = predicted.classes.values().sum();
    let facts = vec![
        ("photos", (predicted.photos.len() + predicted.unread.len()).to_string()),
        ("classes", predicted.classes.len().to_string()),
        ("labelled photos", labelled.to_string()),
        ("predicted by", predicted.row.clone()),
        ("run", predicted.run_id.clone()),
    ];
    let symbols = thumbnails.symbols();
    document(&Document {
        heading: format!("Predictions of {} photos", predicted.photos.len()),
        facts,
        warnings: &[],
        parts,
        symbols,
    })
}

/// Counts photos by the probability of what was answered, and classes.
fn how_sure(predicted: &Predicted) -> Found<Block> {
    if predicted.photos.is_empty() {
        return Err("no photo could be read".to_owned());
    }
    let comments: String = predicted.comments.iter().map(|c| format!("<p>{}</p>\n", escape::attribute(c))).collect();
    let mut bars = vec![0usize; BARS];
    for photo in &predicted.photos {
        bars[((photo.probability() * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    let middle = |bar: usize| 100.0 * (bar as f64 + 0.5) / BARS as f64;
    let width = 100.0 / BARS as f64;
    let below_half: usize = bars[..BARS / 2].iter().sum();
    let note =
        format!("{below_half} of {} photos have a class that is less probable than 50 %.", predicted.photos.len());
    let data = vec![json!({
        "type": "bar", "x": (0..BARS).map(middle).collect::<Vec<_>>(), "y": bars, "width": width,
        "marker": {"color": "--series-0", "line": {"color": "--bg", "width": 1}}, "hoverinfo": "text",
        "hovertext": bars.iter().enumerate().map(|(i, n)| {
            format!("{:.0} to {:.0} %: {n} photos", i as f64 * width, (i + 1) as f64 * width)
        }).collect::<Vec<_>>(),
    })];
    let layout = json!({
        "height": 280, "xaxis": {"title": {"text": "probability of the predicted class, %"}, "range": [0, 100]},
        "yaxis": {"title": {"text": "photos"}, "rangemode": "tozero"},
    });
    let figure = Figure {
        id: "probabilities".to_owned(),
        label: format!("Bars: how many photos have a predicted class of which probability. {note}"),
        note,
        chooser: "",
        choices: vec![Choice { name: "photos".to_owned(), data, layout }],
        first: 0,
    };
    let by_class = region(
        "Photos by predicted class",
        &by_class(predicted).to_html(),
        "of the photos that are predicted as this class",
    );
    Ok(Block {
        id: "sure",
        title: "How sure".to_owned(),
        html: comments + &figure.html() + &by_class,
        figures: vec![figure],
    })
}

fn by_class(predicted: &Predicted) -> TextTable {
    let mut table = TextTable::new(&[
        ("class", Align::Left),
        ("labelled", Align::Right),
        ("predicted", Align::Right),
        ("mean probability, %", Align::Right),
        ("least probable, %", Align::Right),
    ]);
    let mut answers: BTreeMap<&str, Vec<f64>> =
        predicted.classes.keys().map(|name| (name.as_str(), Vec::new())).collect();
    for photo in &predicted.photos {
        answers.entry(&photo.answer).or_default().push(photo.probability());
    }
    for (name, probabilities) in answers {
        let labelled = predicted.classes.get(name).map_or(String::new(), usize::to_string);
        let mean = probabilities.iter().sum::<f64>() / probabilities.len() as f64;
        let least = probabilities.iter().copied().fold(f64::NAN, f64::min);
        let [mean, least] =
            [mean, least].map(|p| if p.is_nan() { String::new() } else { format!("{:.1}", percent(p)) });
        table.row(vec![name.to_owned(), labelled, probabilities.len().to_string(), mean, least]);
    }
    table
}

/// Shows the photos by predicted class, the least probable first: those a person should look at.
fn photos(predicted: &Predicted, thumbnails: &mut Thumbnails<'_>) -> Found<Block> {
    let mut least_sure: Vec<&PredictedPhoto> = predicted.photos.iter().collect();
    least_sure.sort_by(|a, b| a.probability().total_cmp(&b.probability()).then_with(|| a.path.cmp(&b.path)));
    let mut cards = BTreeMap::<&str, Vec<String>>::new();
    let mut shown = 0;
    for photo in least_sure.iter().take(MOST_CARDS) {
        if let Some(card) = card(photo, predicted, thumbnails) {
            cards.entry(&photo.answer).or_default().push(card);
            shown += 1;
        }
    }
    if shown == 0 {
        return Err("the store has no squashed pixels of these photos".to_owned());
    }
    let left_out = match predicted.photos.len() - shown {
        0 => String::new(),
        n => format!(" The {n} most probable ones are left out, so that the page stays small."),
    };
    let section = |(at, (class, cards)): (usize, (&str, Vec<String>))| {
        let inside = format!("<ul class=\"cards\">\n{}</ul>\n", cards.concat());
        let block = details(&format!("{class}: {} photos", cards.len()), &inside);
        if at == 0 { block.replacen("<details", "<details open", 1) } else { block }
    };
    let html = format!(
        "<p>By predicted class, the least probable first. Left: the photo, with the box of its object where the row has one. \
         Beside it: the labelled photos that it resembles most, the closest first.{left_out}</p>\n{}",
        cards.into_iter().enumerate().map(section).collect::<String>()
    );
    Ok(Block { id: "photos", title: "Photos".to_owned(), html, figures: Vec::new() })
}

/// A photo, its likeliest classes, and the labelled photos that it resembles most.
fn card(photo: &PredictedPhoto, predicted: &Predicted, thumbnails: &mut Thumbnails<'_>) -> Option<String> {
    let line = predicted.lines.get(&photo.image_id)?;
    let [width, height] = line.size_px;
    let over = photo.object.map_or(String::new(), |object| {
        let [left, upper, right, lower] = object.map(f64::from);
        rectangle([left * width, upper * height, (right - left) * width, (lower - upper) * height], width, "drawn")
    });
    let mut views = vec![thumbnails.photo(
        photo.image_id,
        &format!("photo {}, predicted as {}", photo.path, photo.answer),
        &over,
    )?];
    let mut named = Vec::new();
    for (image_id, score) in &photo.nearest {
        let class = predicted.lines.get(image_id).map_or("", |line| line.class_name.as_str());
        views.extend(thumbnails.photo(*image_id, &format!("labelled photo of class {class}"), ""));
        named.push(format!("{} ({score:.3})", escape::name(class)));
    }
    let likely: Vec<_> =
        photo.ranked.iter().take(3).map(|(name, p)| format!("{} {:.1} %", escape::name(name), percent(*p))).collect();
    let resembles = if named.is_empty() { String::new() } else { format!("<br>resembles {}", named.join(", ")) };
    Some(format!(
        "<li><figure><div class=\"views four\">{}</div><figcaption><strong>{}</strong><br>{}{resembles}<br><span \
         class=\"path\">{}</span></figcaption></figure></li>\n",
        views.concat(),
        escape::name(&photo.answer),
        likely.join(", "),
        escape::name(&photo.path)
    ))
}

fn all(predicted: &Predicted) -> Found<Block> {
    let mut table = TextTable::new(&[
        ("path", Align::Left),
        ("class", Align::Left),
        ("probability, %", Align::Right),
        ("second class", Align::Left),
        ("probability of it, %", Align::Right),
    ]);
    for photo in predicted.photos.iter().take(MOST_LINES) {
        let [first, second] = [0, 1].map(|rank| photo.ranked.get(rank));
        let of = |class: Option<&(String, f64)>| class.map_or(String::new(), |(_, p)| format!("{:.1}", percent(*p)));
        let name = second.map_or(String::new(), |(name, _)| name.clone());
        table.row(vec![photo.path.clone(), photo.answer.clone(), of(first), name, of(second)]);
    }
    let left_out = match predicted.photos.len().saturating_sub(MOST_LINES) {
        0 => String::new(),
        n => format!("{n} more photos are in the table that `--out` writes"),
    };
    let unread: String = predicted.unread.iter().map(|path| format!("<li>{}</li>\n", escape::name(path))).collect();
    let unread = match predicted.unread.len() {
        0 => String::new(),
        n => details(&format!("Photos that could not be read: {n}"), &format!("<ul>\n{unread}</ul>\n")),
    };
    let html = region("All predictions", &table.to_html(), &left_out) + &unread;
    Ok(Block { id: "all", title: "All predictions".to_owned(), html, figures: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predicted() -> Predicted {
        let line = |image_id: i64, path: &str, class: &str| {
            let (path, class_name) = (path.to_owned(), class.to_owned());
            (image_id, PhotoLine { image_id, path, class_name, size_px: [200.0, 100.0], ..PhotoLine::default() })
        };
        let photo = |image_id: i64, path: &str, answer: &str, p: f64| PredictedPhoto {
            image_id,
            path: path.to_owned(),
            answer: answer.to_owned(),
            ranked: vec![("owl".to_owned(), p), ("<wren>".to_owned(), 1.0 - p)],
            nearest: vec![(7, -0.25)],
            object: Some([0.25, 0.5, 0.75, 1.0]),
        };
        Predicted {
            run_id: "r".to_owned(),
            row: "cl2n".to_owned(),
            classes: BTreeMap::from([("owl".to_owned(), 2), ("<wren>".to_owned(), 1)]),
            comments: vec!["the probabilities are rough".to_owned()],
            photos: vec![photo(1, "a.jpg", "owl", 0.9), photo(2, "b.jpg", "unknown", 0.55)],
            unread: vec!["c<.jpg".to_owned()],
            pixels: [1, 2, 7].map(|id| (id, Square { side_px: 2, rgb: vec![9; 12] })).into(),
            lines: [line(1, "a.jpg", ""), line(2, "b.jpg", ""), line(7, "x.jpg", "owl")].into(),
        }
    }

    #[test]
    fn a_photo_is_shown_with_its_box_its_classes_and_what_it_resembles() {
        let html = to_html(&predicted());
        assert!(html.contains("Predictions of 2 photos"));
        let plain = html.replace("<bdi>", "").replace("</bdi>", "");
        assert!(plain.contains("<strong>owl</strong><br>owl 90.0 %, &lt;wren&gt; 10.0 %<br>resembles owl (-0.250)"));
        assert!(html.contains("<rect class=\"drawn\" x=\"25.00\" y=\"25.00\" width=\"50.00\" height=\"25.00\"/>"));
        assert!(html.contains("c&lt;.jpg") && html.contains("the probabilities are rough") && !html.contains("<wren>"));
        assert_eq!(html.matches("data:image/jpeg").count(), 3, "each photo lies in the page once");
    }

    #[test]
    fn the_least_probable_photos_come_first_and_classes_without_a_photo_are_listed() {
        let predicted = predicted();
        let text = by_class(&predicted).to_text();
        let lines: Vec<Vec<&str>> = text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines,
            [vec!["<wren>", "1", "0"], vec!["owl", "2", "1", "90.0", "90.0"], vec!["unknown", "1", "55.0", "55.0"]]
        );
    }

    #[test]
    fn without_pixels_the_table_remains_and_says_why() {
        let html = to_html(&Predicted { pixels: BTreeMap::new(), ..predicted() });
        assert!(html.contains("no squashed pixels") && html.contains("All predictions"));
    }
}
