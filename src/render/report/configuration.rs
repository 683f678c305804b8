//! What was asked for, and the commands that ask for it again.

use super::content::{Configuration, Found};
use super::escape;
use super::figure::Block;
use super::page::details;

/// Lays the configuration out.
pub fn block(configuration: &Configuration, run_id: &str) -> Found<Block> {
    let Configuration { toml, preset } = configuration;
    let by_preset = preset.as_ref().map_or(String::new(), |preset| {
        format!(
            "<p>The preset says the same as the configuration below:</p>\n<pre tabindex=\"0\"><code>mlsm run --config \
             {preset}</code></pre>\n"
        )
    });
    let html = format!(
        "{by_preset}<p>With the configuration below, saved as <code>resolved.toml</code>:</p>\n<pre tabindex=\"0\"><code>\
         mlsm plan --config resolved.toml    # what would be computed, and why\n\
         mlsm run --config resolved.toml\n\
         mlsm report --run {run} --out report.html    # this page, from a store that has the run</code></pre>\n{all}",
        run = escape::attribute(run_id),
        all = details(
            "Every key of the configuration",
            &format!(
                "<pre tabindex=\"0\" role=\"region\" aria-label=\"The resolved configuration\"><code>{}</code></pre>\n",
                multiline(toml)
            )
        )
    );
    Ok(Block { id: "configuration", title: "How to repeat it".to_owned(), html, figures: Vec::new() })
}

fn multiline(text: &str) -> String {
    text.lines().map(escape::attribute).collect::<Vec<_>>().join("\n")
}
