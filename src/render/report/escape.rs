//! Names may hold anything: here they become harmless in HTML, in a chart, and inside `<script>`.

use serde_json::Value;

use crate::render::table::escape_html;

/// The longest name in a chart; the table beside it has the whole.
const LONGEST: usize = 48;
/// How wide a line of a label becomes.
const LINE: usize = 26;

/// Makes a name harmless inside HTML, and isolates its direction of writing from the text around it.
pub fn name(text: &str) -> String {
    format!("<bdi>{}</bdi>", attribute(text).replace('_', "_<wbr>").replace('/', "/<wbr>"))
}

/// Makes text harmless inside HTML, also between quotation marks; control characters are shown by their names.
pub fn attribute(text: &str) -> String {
    let shown: String =
        text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect();
    escape_html(&shown).replace('\'', "&#39;")
}

/// Makes a name harmless in a chart, whose labels are read as a kind of HTML; cut where it is long.
pub fn label(text: &str) -> String {
    let is_direction =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = text.chars().map(|c| if c.is_control() || is_direction(c) { '\u{fffd}' } else { c }).collect();
    let cut = match plain.chars().count() > LONGEST {
        true => plain.chars().take(LONGEST - 1).chain(['…']).collect(),
        false => plain,
    };
    // An entity that stands in the name must not be read as one.
    format!("\u{2068}{}\u{2069}", cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

/// Does the same on several lines, broken between words and where the text has a line break.
pub fn wrapped_label(text: &str) -> String {
    lines(text).iter().map(|line| label(line)).collect::<Vec<_>>().join("<br>")
}

/// Breaks text into the lines of a label.
pub fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for part in text.lines() {
        let mut line = String::new();
        for word in part.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > LINE {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// Writes JSON that may stand inside `<script>`: nothing in it ends the element or opens a comment.
pub fn script(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_script_ends_nothing_and_reads_back_as_it_was() {
        let value = serde_json::json!({"</script><!--<script>": ["\u{2028}\u{2029}&amp;\"'\\", "נץ", "\u{202e}x"]});
        let text = script(&value);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_name_is_text_in_html_in_attributes_and_in_charts() {
        let hostile = "\"><img src=x onerror='a'>&lt;\n";
        assert_eq!(name(hostile), "<bdi>&quot;&gt;&lt;img src=x onerror=&#39;a&#39;&gt;&amp;lt;\\n</bdi>");
        assert_eq!(label("<b>&lt;\u{202e}"), "\u{2068}&lt;b&gt;&amp;lt;\u{fffd}\u{2069}");
        assert_eq!(label(&"x".repeat(60)).chars().count(), LONGEST + 2);
    }

    #[test]
    fn labels_break_between_words_and_at_line_breaks() {
        let label = wrapped_label("mlsm I+G+O (centre-box) by batch\n− mlsm");
        assert_eq!(
            label,
            "\u{2068}mlsm I+G+O (centre-box) by\u{2069}<br>\u{2068}batch\u{2069}<br>\u{2068}− mlsm\u{2069}"
        );
    }
}
