use std::collections::BTreeMap;

use mlsm_pipelines::album::Square;
use mlsm_pipelines::results::{AverageRow, PairedRow, ResultRow, Summary};
use serde_json::Value;

use super::content::{
    BoxLine, Configuration, Confusions, Content, CurvePoint, EmbeddingMap, EpisodeShown, Gallery, LineageNode,
    NodeTime, PhotoLine, QueryShown, Shown,
};
use super::to_html;

/// A name that would end whatever it is put into.
const HOSTILE: &str = "\"></script><script>alert('1')</script><!-- &lt; \u{2028}\u{202e}\n";

fn row(levels: &str, seed: i64, accuracy: f64) -> ResultRow {
    let document = serde_json::json!({
        "node": format!("evaluate:mlsm[levels={levels},seed={seed}]"), "method": "mlsm", "levels": levels,
        "backbone": "conv4-np19", "width": null, "image_source": "raw", "weights": "none", "precision": "f32", "pair": "",
        "loss": "", "augmentation": "none", "n_way": 5, "k_shot": 1, "n_query": 15, "episodes": 600, "accuracy": accuracy,
        "ci95": 0.0091, "cam": "", "split_rule": "closerlook", "protocol": "standard", "training_seed": seed,
        "bn_eval": "running", "mode": "frozen", "dataset": "cub", "paper_accuracy": null,
    });
    serde_json::from_value(document).unwrap()
}

fn summary() -> Summary {
    let results = vec![row("I", 0, 0.5), row("I", 1, 0.52), row("I+G", 0, 0.6125)];
    let nodes = results[..2].iter().map(|row| row.node.clone()).collect();
    let averages = vec![AverageRow { nodes, seeds: vec![0, 1], accuracy: 0.51, ci95: 0.007, spread: 0.0141 }];
    let pair = |minus: &str, difference: f64, agreeing: usize| PairedRow {
        row: "mlsm I+G".to_owned(),
        minus: minus.to_owned(),
        k_shot: 1,
        protocol: "standard".to_owned(),
        difference,
        ci95: 0.01,
        spread: Some(0.012),
        seeds: 3,
        agreeing,
    };
    let paired = vec![pair("holds", 0.034, 3), pair("seeds disagree", 0.034, 2), pair("small", 0.001, 3)];
    Summary { results, averages, paired, ..Summary::default() }
}

fn photo() -> PhotoLine {
    PhotoLine {
        image_id: 7,
        path: format!("{HOSTILE}/7.jpg"),
        class_name: HOSTILE.to_owned(),
        size_px: [200.0, 100.0],
        true_box: Some([20.0, 10.0, 100.0, 50.0]),
        ..PhotoLine::default()
    }
}

fn gallery() -> Gallery {
    let line = BoxLine { image_id: 7, drawn: [40.0, 0.0, 100.0, 50.0], iou: Some(0.4567), ..BoxLine::default() };
    let shown = Shown { line, photo: photo(), cam_class: Some(HOSTILE.to_owned()), heat: None, object: None };
    let groups = vec![("Largest IoU", vec![shown])];
    Gallery { node: "crop".to_owned(), part: "novel".to_owned(), boxes: 1, groups }
}

fn classes() -> BTreeMap<i64, String> {
    BTreeMap::from([(1, HOSTILE.to_owned()), (2, "נץ".to_owned())])
}

fn confusions() -> Confusions {
    let counts = BTreeMap::from([((1, 1), 30), ((1, 2), 10), ((2, 2), 5)]);
    let counts = summary().results[..2].iter().map(|row| (row.node.clone(), counts.clone())).collect();
    Confusions { counts, classes: classes(), examples: BTreeMap::from([(1, 7)]) }
}

fn episode() -> EpisodeShown {
    EpisodeShown {
        node: summary().results[0].node.clone(),
        accuracy: 0.5,
        support: vec![7, 8],
        k_shot: 1,
        queries: vec![
            QueryShown { image_id: 7, class_id: 2, predicted_class_id: 2, scores: vec![0.75, 0.25] },
            QueryShown { image_id: 7, class_id: 1, predicted_class_id: 2, scores: vec![0.625, 0.375] },
        ],
        classes: classes(),
        ..EpisodeShown::default()
    }
}

fn curve(step: i64, value: f64) -> CurvePoint {
    let [node, split, metric] = ["train-base:conv", "base", "loss"].map(str::to_owned);
    CurvePoint { node, split, metric, step, value }
}

/// A report with all its parts, and names that may hold anything.
fn whole() -> Content {
    let time = NodeTime {
        node: "crop".to_owned(),
        stage: "crop".to_owned(),
        outcome: "cached".to_owned(),
        seconds: 0.25,
        reason: String::new(),
        earlier: Some(("earlier-run".to_owned(), 12.5)),
    };
    let points = vec![(photo(), [0.5, -1.25])];
    Content {
        run_id: HOSTILE.to_owned(),
        run: Err("no record".to_owned()),
        summary: summary(),
        curves: Ok(vec![curve(10, 3.25), curve(20, 2.125)]),
        confusions: Ok(confusions()),
        episode: Ok(episode()),
        embedding: Ok(EmbeddingMap { points, variance: [0.75, 0.125], ..EmbeddingMap::default() }),
        galleries: Ok(vec![gallery()]),
        photos: BTreeMap::from([(7, Square { side_px: 1, rgb: vec![9; 3] })]),
        lines: BTreeMap::from([(7, photo())]),
        times: Ok(vec![time]),
        lineage: Ok(lineage()),
        configuration: Ok(Configuration { toml: format!("name = '{HOSTILE}'"), preset: None }),
    }
}

/// A row and the photos that it rests on, under hostile names.
fn lineage() -> Vec<LineageNode> {
    let node = |node: &str, reads: &[usize]| LineageNode {
        node: node.to_owned(),
        stage: HOSTILE.to_owned(),
        outcome: "executed".to_owned(),
        reads: reads.iter().copied().collect(),
    };
    vec![node(HOSTILE, &[]), node(&summary().results[0].node, &[0])]
}

/// The figures of a page, by id.
fn figures(html: &str) -> BTreeMap<String, Value> {
    let (_, rest) = html.split_once("id=\"figures\">").expect("the page has figures");
    let (json, _) = rest.split_once("</script>").expect("the element ends");
    let figures: Vec<Value> = serde_json::from_str(json).expect("the data are JSON");
    figures.into_iter().map(|figure| (figure["id"].as_str().unwrap().to_owned(), figure)).collect()
}

/// Numbers, to ten digits: a hundredfold is rounded.
fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| (number.as_f64().unwrap() * 1e10).round() / 1e10).collect()
}

#[test]
fn charts_hold_the_values_of_the_tables() {
    let html = to_html(&whole());
    let figures = figures(&html);
    let accuracy = &figures["accuracy-0"]["choices"][0]["data"];
    assert_eq!(numbers(&accuracy[0]["x"]), [51.0, 61.25]);
    assert_eq!(numbers(&accuracy[0]["error_x"]["array"]), [0.7, 0.91]);
    assert_eq!(numbers(&accuracy[1]["x"]), [50.0, 52.0], "each seed of the row that has several");
    for cell in ["51.00 ± 0.70", "61.25 ± 0.91"] {
        assert!(html.contains(cell), "{cell}");
    }
    let training = &figures["curves"]["choices"][0]["data"][0];
    assert_eq!((numbers(&training["x"]), numbers(&training["y"])), (vec![10.0, 20.0], vec![3.25, 2.125]));
    let confusion = &figures["confusion-matrix"]["choices"][0]["data"][0];
    assert_eq!(confusion["text"], serde_json::json!([[60, 20], [0, 10]]), "both seeds of the row");
    assert_eq!(confusion["z"], serde_json::json!([[0.75, 0.25], [0.0, 1.0]]));
    let map = &figures["embedding-map"]["choices"][0]["data"][0];
    assert_eq!((numbers(&map["x"]), numbers(&map["y"]), &map["customdata"][0]), (vec![0.5], vec![-1.25], &7.into()));
    assert_eq!(numbers(&figures["node-seconds"]["choices"][0]["data"][0]["x"]), [0.25]);
    assert!(html.contains("earlier-run: 12.50 s"));
}

#[test]
fn a_difference_holds_when_it_is_larger_than_its_interval_and_seeds_agree() {
    let figures = figures(&to_html(&whole()));
    let choice = &figures["differences-0"]["choices"][0];
    let rows = |trace: usize| numbers(&choice["data"][trace]["y"]);
    assert_eq!((rows(0), rows(1)), (vec![0.0], vec![1.0, 2.0]));
    assert_eq!(choice["data"][0]["name"], "holds");
    assert_eq!(
        (&choice["layout"]["shapes"][0]["x0"], &choice["layout"]["shapes"][0]["x1"]),
        (&0.0.into(), &0.0.into())
    );
}

#[test]
fn names_may_hold_anything() {
    let html = to_html(&whole());
    assert!(!html.contains("<script>alert"), "a name became part of the page");
    assert_eq!(html.matches("</script>").count(), 3, "data, library, and the script that draws");
    let figures = figures(&html);
    let label = figures["confusion-matrix"]["choices"][0]["data"][0]["x"][0].as_str().unwrap();
    assert!(label.contains("&lt;/script&gt;") && !label.contains('<'), "{label}");
    assert!(html.contains("<bdi>&quot;&gt;&lt;/"), "names keep their direction to themselves");
}

#[test]
fn an_episode_has_the_support_of_each_class_and_marks_what_is_wrong() {
    let html = to_html(&whole());
    let (_, episode) = html.split_once("<h2 id=\"episode\">").unwrap();
    let (first, second) = episode.split_once("<h3><bdi>&quot;").expect("the class of the first query stands first");
    assert!(first.contains("<h3><bdi>נץ</bdi></h3>\n<p>1 of 1 queries are right."), "{first}");
    assert!(first.contains("class=\"support\"") && first.contains("✓ 0.750"), "{first}");
    assert!(second.contains("✗ <bdi>נץ</bdi>, 0.625") && second.contains("0 of 1 queries"));
    assert!(second.contains("<td class=\"number\">0.3750</td>"), "every score is in the table");
}

#[test]
fn boxes_lie_in_hundredths_of_the_photos_width() {
    let html = to_html(&whole());
    assert!(html.contains("<svg class=\"photo\" viewBox=\"0 0 100 50.00\" role=\"img\""));
    assert!(html.contains("<rect class=\"drawn\" x=\"20.00\" y=\"0.00\" width=\"50.00\" height=\"25.00\"/>"));
    assert!(html.contains("<rect class=\"true\" x=\"10.00\" y=\"5.00\" width=\"50.00\" height=\"25.00\"/>"));
    assert!(html.contains("IoU 0.46"));
}

#[test]
fn what_is_not_there_is_left_out_with_its_reason_and_without_figures_there_is_no_library() {
    let why = |word: &str| format!("no {word} here");
    let content = Content {
        summary: Summary::default(),
        curves: Err(why("training")),
        confusions: Err(why("predictions")),
        galleries: Err(why("boxes")),
        episode: Err(why("episode")),
        embedding: Err(why("embedding")),
        times: Err(why("nodes")),
        lineage: Err(why("lineage")),
        configuration: Err(why("configuration")),
        photos: BTreeMap::new(),
        ..whole()
    };
    let html = to_html(&content);
    for word in ["training", "predictions", "boxes", "episode", "embedding", "nodes", "lineage", "configuration"] {
        assert!(html.contains(&format!(": {}.</li>", why(word))), "{word}: {html}");
    }
    assert!(!html.contains("<script") && html.len() < 20_000);
}

#[test]
fn headings_go_down_a_level_at_a_time_and_every_colour_is_in_the_style_sheet() {
    let html = to_html(&whole());
    let levels = html.match_indices("<h").filter_map(|(at, _)| html[at + 2..].chars().next()?.to_digit(10));
    let mut before = 0;
    for level in levels {
        assert!(level <= before + 1, "h{level} follows h{before}");
        before = level;
    }
    let (page, _) = html.split_once("</style>").unwrap();
    let colour = |name: &str| assert_eq!(page.matches(&format!("{name}:")).count(), 2, "{name}, light and dark");
    (0..8).for_each(|i| colour(&format!("--series-{i}")));
    (0..3).for_each(|i| colour(&format!("--heat-{i}")));
    colour("--muted");
}

#[test]
fn a_page_stays_below_15_mb_however_much_there_is_to_show() {
    let mut content = whole();
    let classes: BTreeMap<i64, String> = (0..120).map(|i| (i, format!("class {i}"))).collect();
    let counts: BTreeMap<_, _> = classes.keys().flat_map(|a| classes.keys().map(move |b| ((*a, *b), 7))).collect();
    let rows = (0..60).map(|i| row(&format!("I{i}"), 0, 0.5));
    content.summary.results = rows.collect();
    let counts = content.summary.results.iter().map(|row| (row.node.clone(), counts.clone())).collect();
    content.confusions = Ok(Confusions { counts, classes, examples: BTreeMap::new() });
    let node = |i: i64| format!("meta-train:mlsm[levels=I+G+O,object=grad-cam,seed={i}]");
    let points =
        (0..60).flat_map(|i| (0..2000).map(move |step| CurvePoint { node: node(i), ..curve(step, 1.0 / 3.0) }));
    content.curves = Ok(points.collect());
    let noise = (0..256 * 256 * 3_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let square = Square { side_px: 256, rgb: noise };
    content.photos = (0..300).map(|i| (i, square.clone())).collect();
    content.embedding.as_mut().unwrap().points =
        (0..300).map(|image_id| (PhotoLine { image_id, ..photo() }, [0.0, 0.0])).collect();
    let html = to_html(&content);
    assert!(html.len() < 15_000_000, "{} bytes", html.len());
    assert!(html.len() > 9_000_000, "the room is used: {} bytes", html.len());
    assert!(html.contains("most accurate of 60 rows."), "what is not drawn is said");
}
