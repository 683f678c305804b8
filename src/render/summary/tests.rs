use super::*;

fn row(method: &str, levels: &str, k_shot: usize, accuracy: f64) -> ResultRow {
    let document = serde_json::json!({
        "node": format!("evaluate:{method}"), "method": method, "levels": levels, "backbone": "conv4-np19",
        "image_source": "raw", "weights": "none", "n_way": 5, "k_shot": k_shot, "episodes": 600,
        "accuracy": accuracy, "ci95": 0.0091, "split": "closerlook", "protocol": "standard", "seed": 0, "cam": "",
        "n_query": 15, "mode": "frozen", "dataset": "cub", "paper_accuracy": null,
    });
    serde_json::from_value(document).unwrap()
}

fn summary() -> Summary {
    Summary {
        results: vec![row("mlsm", "I+G", 1, 0.7213), row("mlsm", "I+G", 5, 0.8), row("pixels", "", 1, 0.25)],
        paired: vec![PairedRow {
            row: "mlsm I+G".to_owned(),
            minus: "mlsm I".to_owned(),
            k_shot: 1,
            protocol: "standard".to_owned(),
            difference: 0.034,
            ci95: 0.01,
        }],
        warnings: vec!["boxes < none".to_owned()],
        ..Summary::default()
    }
}

#[test]
fn methods_are_lines_and_shots_are_columns() {
    let text = to_text(&summary());
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.contains(&"method levels object backbone seed 1-shot 5-shot".to_owned()), "{text}");
    assert!(lines.contains(&"mlsm I+G raw conv4-np19 0 72.13 ± 0.91 80.00 ± 0.91".to_owned()), "{text}");
    assert!(lines.contains(&"pixels raw conv4-np19 0 25.00 ± 0.91".to_owned()), "{text}");
}

#[test]
fn differences_carry_their_sign_and_tables_without_rows_are_left_out() {
    let text = to_text(&summary());
    assert!(text.contains("+3.40 ± 1.00"), "{text}");
    assert!(!text.contains("IoU"), "{text}");
    assert!(text.ends_with("warning: boxes < none\n"), "{text}");
}

#[test]
fn markdown_and_html_hold_the_same_tables() {
    assert!(
        to_markdown(&summary(), "Results")
            .contains("| mlsm | I+G | raw | conv4-np19 | 0 | 72.13 ± 0.91 | 80.00 ± 0.91 |")
    );
    let html = to_html(&summary(), "<Results>");
    assert!(html.contains("<h1>&lt;Results&gt;</h1>") && html.contains("72.13 ± 0.91"), "{html}");
    assert!(html.contains("boxes &lt; none"), "{html}");
}
