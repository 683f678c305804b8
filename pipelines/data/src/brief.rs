//! Words of files and of their decoders, short enough for a message: a hostile file says megabytes.

/// The most characters that are quoted.
const MOST: usize = 300;

/// Returns a text, or what it begins with.
pub(crate) fn brief(text: impl Into<String>) -> String {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters_and_others_stay() {
        assert_eq!(brief("a  b"), "a  b");
        assert_eq!(brief("ü".repeat(MOST)), "ü".repeat(MOST));
        assert_eq!(brief("ü".repeat(MOST + 1)), "ü".repeat(MOST) + " …");
    }
}
