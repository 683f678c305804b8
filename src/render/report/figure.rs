//! A chart: data for Plotly, and what it shows in words for who does not see it.

use serde_json::{Value, json};

use super::escape;

/// A chart, or several of which one is shown at a time.
pub struct Figure {
    /// The id of its element.
    pub id: String,
    /// What it shows, for who does not see it.
    pub label: String,
    /// What can be read off it, printed below.
    pub note: String,
    /// What the reader chooses by.
    pub chooser: &'static str,
    /// The charts.
    pub choices: Vec<Choice>,
    /// Which of them is shown first.
    pub first: usize,
}

/// One chart.
pub struct Choice {
    /// What the reader chooses it by.
    pub name: String,
    /// The traces. Colours are names of the style sheet, such as `--accent`.
    pub data: Vec<Value>,
    /// The layout, laid over that of all charts.
    pub layout: Value,
}

impl Figure {
    /// Lays its place out; without JavaScript the note alone is seen.
    pub fn html(&self) -> String {
        let (id, label) = (escape::attribute(&self.id), escape::attribute(&self.label));
        let option = |(i, choice): (usize, &Choice)| {
            let selected = if i == self.first { " selected" } else { "" };
            format!("<option value=\"{i}\"{selected}>{}</option>", escape::attribute(&choice.name))
        };
        let options: String = self.choices.iter().enumerate().map(option).collect();
        let chooser = match self.choices.len() {
            0 | 1 => String::new(),
            _ => format!(
                "<p class=\"chooser\"><label for=\"{id}-choice\">{}</label> <select id=\"{id}-choice\" data-of=\"{id}\">{options}\
                 </select></p>\n",
                self.chooser
            ),
        };
        format!(
            "<figure>\n{chooser}<div class=\"plot\" id=\"{id}\" role=\"img\" aria-label=\"{label}\"></div>\n\
             <figcaption>{}</figcaption>\n</figure>\n",
            escape::attribute(&self.note)
        )
    }

    /// Writes the data.
    pub fn json(&self) -> Value {
        let choice = |choice: &Choice| json!({"name": choice.name, "data": choice.data, "layout": choice.layout});
        json!({"id": self.id, "first": self.first, "choices": self.choices.iter().map(choice).collect::<Vec<_>>()})
    }
}

/// A part of the page.
pub struct Block {
    /// The id of its heading.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// Its HTML, headings from `h3` on.
    pub html: String,
    /// The figures that lie in it.
    pub figures: Vec<Figure>,
}

impl Block {
    /// Returns how many bytes of the page it takes.
    pub fn bytes(&self) -> usize {
        self.html.len() + self.figures.iter().map(|figure| figure.json().to_string().len()).sum::<usize>()
    }
}

/// Returns the axis of rows: one line each, the first on top, named on its left.
pub fn axis_of_rows(labels: &[String]) -> Value {
    let places: Vec<usize> = (0..labels.len()).collect();
    let texts: Vec<_> = labels.iter().map(|label| escape::wrapped_label(label)).collect();
    json!({"tickvals": places, "ticktext": texts, "range": [labels.len() as f64 - 0.5, -0.5], "automargin": true, "zeroline": false})
}

/// Returns the height of a chart with these rows: room for all lines of each name.
pub fn height_of_rows(labels: &[String]) -> usize {
    let lines = labels.iter().map(|label| escape::lines(label).len()).max().unwrap_or(1);
    96 + (14 + 15 * lines).max(30) * labels.len().max(1)
}

/// Returns a vertical line over the whole chart.
pub fn line_at(x: f64) -> Value {
    json!({"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
           "line": {"color": "--muted", "width": 1.5, "dash": "dot"}})
}

/// A share of 1 in percent, as charts and tables have it.
pub fn percent(share: f64) -> f64 {
    100.0 * share
}
