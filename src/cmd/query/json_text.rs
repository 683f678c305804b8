//! JSON that DuckDB writes, made valid: numbers without a value become null, at any depth.

use std::borrow::Cow;

/// What DuckDB writes for numbers that JSON does not have.
const NO_NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// Returns the line with null for each such number; texts are left as they are.
pub fn without_nan(line: &[u8]) -> Cow<'_, [u8]> {
    let mut made = Vec::new();
    let (mut copied, mut at, mut in_text) = (0, 0, false);
    while at < line.len() {
        match line[at] {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'-' | b'I' | b'N' if !in_text => {
                if let Some(found) = NO_NUMBERS.iter().find(|name| line[at..].starts_with(name)) {
                    made.extend_from_slice(&line[copied..at]);
                    made.extend_from_slice(b"null");
                    copied = at + found.len();
                    at = copied;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(line);
    }
    made.extend_from_slice(&line[copied..]);
    Cow::Owned(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_a_value_are_null_and_texts_stay() {
        let line = br#"{"NaN":NaN,"a":[1,-Infinity,{"b \"NaN\" ":Infinity}],"c":"NaN, inf","d":null,"e":-1}"#;
        let found = without_nan(line);
        let value: serde_json::Value = serde_json::from_slice(&found).unwrap();
        let expected = serde_json::json!({
            "NaN": null, "a": [1, null, {"b \"NaN\" ": null}], "c": "NaN, inf", "d": null, "e": -1
        });
        assert_eq!(value, expected);
        assert!(matches!(without_nan(b"{\"a\":1}"), Cow::Borrowed(_)));
    }
}
