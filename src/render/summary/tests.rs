use super::*;

fn row(method: &str, levels: &str, k_shot: usize, accuracy: f64) -> ResultRow {
    let document = serde_json::json!({
        "node": format!("evaluate:{method}"), "method": method, "levels": levels, "backbone": "conv4-np19", "width": null,
        "image_source": "raw", "weights": "none", "precision": "f32", "pair": "", "loss": "", "augmentation": "none",
        "n_way": 5, "k_shot": k_shot, "n_query": 15, "episodes": 600, "accuracy": accuracy, "ci95": 0.0091, "cam": "",
        "split_rule": "closerlook", "protocol": "standard", "training_seed": 0, "bn_eval": "running", "mode": "frozen",
        "dataset": "cub", "paper_accuracy": null,
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
            spread: Some(0.012),
            seeds: 3,
            agreeing: 2,
        }],
        warnings: vec!["boxes < none".to_owned()],
        ..Summary::default()
    }
}

#[test]
fn methods_are_lines_and_shots_are_columns() {
    let text = to_text(&summary(), None);
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.contains(&"method levels object backbone seed 1-shot 5-shot".to_owned()), "{text}");
    assert!(lines.contains(&"mlsm I+G raw conv4-np19 0 72.13 ± 0.91 80.00 ± 0.91".to_owned()), "{text}");
    assert!(lines.contains(&"pixels raw conv4-np19 0 25.00 ± 0.91".to_owned()), "{text}");
}

#[test]
fn the_seeds_of_a_row_are_one_line_with_their_spread_and_each_stands_below() {
    let mut results = vec![row("mlsm", "I", 1, 0.5), row("mlsm", "I", 1, 0.52), row("pixels", "", 1, 0.25)];
    for (seed, result) in results.iter_mut().enumerate() {
        (result.spec.training_seed, result.node) = (seed as i64, format!("{}:{seed}", result.node));
    }
    let nodes = results[..2].iter().map(|r| r.node.clone()).collect();
    let averages = vec![AverageRow { nodes, seeds: vec![0, 1], accuracy: 0.51, ci95: 0.007, spread: 0.0141 }];
    let text = to_text(&Summary { results, averages, ..Summary::default() }, None);
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let place =
        |wanted: &str| lines.iter().position(|line| line == wanted).unwrap_or_else(|| panic!("{wanted}\n{text}"));
    let title = place("Each seed");
    assert!(place("mlsm I raw conv4-np19 0, 1 51.00 ± 0.70 1.41") < title);
    assert!(place("pixels raw conv4-np19 2 25.00 ± 0.91") < title);
    assert!(place("mlsm I raw conv4-np19 1 52.00 ± 0.91") > title);
}

#[test]
fn the_papers_figures_stand_beside_and_unlike_weights_are_named() {
    let mut results = vec![row("mlsm", "I", 1, 0.5), row("pixels", "", 1, 0.25)];
    (results[0].spec.paper_accuracy, results[0].spec.weights) = (Some(0.645), "lite0".to_owned());
    let text = to_text(&Summary { results, ..Summary::default() }, None);
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.contains(&"mlsm I raw conv4-np19 lite0 0 50.00 ± 0.91 64.50".to_owned()), "{text}");
    assert!(text.contains("rows with outside weights have seen other photos"), "{text}");
}

#[test]
fn differences_carry_their_sign_and_tables_without_rows_are_left_out() {
    let text = to_text(&summary(), None);
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.contains(&"mlsm I+G mlsm I +3.40 ± 1.00 1.20 2/3".to_owned()), "{text}");
    assert!(text.contains("spread: standard deviation between seeds of training"), "{text}");
    assert!(!text.contains("IoU"), "{text}");
    assert!(text.ends_with("warning: boxes < none\n"), "{text}");
}

#[test]
fn markdown_holds_the_same_tables() {
    assert!(
        to_markdown(&summary(), "Results")
            .contains("| mlsm | I+G | raw | conv4-np19 | 0 | 72.13 ± 0.91 | 80.00 ± 0.91 |")
    );
}
