//! What a configuration may say, and what of it identifies results.

use std::collections::BTreeSet;

use mlsm_errors::{Explain, Fix};
use mlsm_pipelines::Config;
use toml::{Table, Value};

/// A small configuration with one section of each kind.
pub const WHOLE: &str = r#"
[data.synthetic]
classes = 12
images_per_class = 30
size_px = 32
[splits]
rule = "random"
ratios = [0.34, 0.33, 0.33]
[train-base.conv]
width = 4
[train-base.other]
width = 4
[cam]
localiser = "conv"
[meta-train.mlsm]
embedding = "conv"
n_way = 4
[evaluate]
n_way = 4
baselines = ["pixels", "cl2n:conv", "cl2n:conv+grad-cam"]
"#;

/// Reads [`WHOLE`] with keys set, each written as `section.key=value`.
pub fn with(changes: &[(&str, &str)]) -> Result<Config, mlsm_pipelines::ConfigError> {
    let mut table: Table = WHOLE.parse().unwrap();
    for (path, value) in changes {
        let value: Table = format!("value = {value}").parse().unwrap();
        let mut keys: Vec<&str> = path.split('.').collect();
        let last = keys.pop().unwrap();
        let mut section = &mut table;
        for key in keys {
            section = section.entry(key).or_insert_with(|| Value::Table(Table::new())).as_table_mut().unwrap();
        }
        section.insert(last.to_owned(), value["value"].clone());
    }
    Config::from_table(table)
}

fn keys(table: &Table, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => keys(inner, found),
            _ => drop(found.insert(key.clone())),
        }
    }
}

#[test]
fn every_key_is_explained_in_the_reference() {
    let reference = include_str!("../../../configs/README.md");
    let mut found: BTreeSet<String> =
        ["path", "file", "seed", "seeds", "episodes", "n_query", "predictions"].map(str::to_owned).into();
    keys(&with(&[]).unwrap().resolved(), &mut found);
    found.extend(["tasks", "clip", "clip_value", "image_source"].map(str::to_owned));
    for kind in mlsm_nets::METHODS {
        assert!(reference.contains(&format!("### `{}`", kind.name)), "{}", kind.name);
        found.extend(kind.keys());
    }
    assert!(found.len() > 50, "{found:?}");
    let unexplained: Vec<_> = found.iter().filter(|key| !reference.contains(&format!("| `{key}` |"))).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

#[test]
fn defaults_filled_in_read_back_as_the_same_configuration() {
    let config = with(&[]).unwrap();
    assert_eq!(Config::from_table(config.resolved()).unwrap(), config);
}

#[test]
fn where_photos_lie_does_not_identify_a_configuration() {
    let digest = |path: &str| with(&[("data.path", path)]).unwrap().digest();
    assert_eq!(digest("'/here'"), digest("'/there'"));
    assert_ne!(with(&[]).unwrap().digest(), with(&[("seed", "1")]).unwrap().digest());
}

#[test]
fn what_does_not_fit_is_refused_with_its_key_and_a_fix() {
    let refused: [(&str, &str, &[&str]); 16] = [
        ("train-base.conv.backbon", "'conv4-np19'", &["train-base.conv.backbon", "did you mean `backbone`"]),
        ("train-base.conv.backbone", "'resnet'", &["train-base.conv.backbone", "conv4-np19"]),
        ("train-base.conv.head", "'gapp'", &["train-base.conv.head", "did you mean `gap`"]),
        ("train-base.conv.weights", "'efficientnet-lite0'", &["train-base.conv.weights", "do not fit backbone"]),
        (
            "train-base.conv",
            "{ backbone = 'efficientnet-lite0', weights = 'efficientnet-lite0' }",
            &["train-base.conv.weights", "head = \"gap\""],
        ),
        ("train-base.conv.lr", "-1", &["train-base.conv.lr", "-1"]),
        ("cam.localiser", "'con'", &["cam.localiser", "did you mean `conv`"]),
        ("cam.method", "'oracle-box'", &["cam.method", "is a control"]),
        ("cam.method", "'cam'", &["cam.localiser", "head = \"gap\""]),
        ("cam.layers_back", "4", &["cam.layers_back", "4 layers", "below 4"]),
        ("cam.threshold", "1.5", &["cam.threshold", "1.5"]),
        ("meta-train.mlsm.embedding", "'cnov'", &["meta-train.mlsm.embedding", "did you mean `conv`"]),
        ("meta-train.mlsm.levels", "'I+X'", &["meta-train.mlsm.levels", "X"]),
        ("meta-train.mlsm.train_shot", "[]", &["meta-train.mlsm.train_shot", "empty"]),
        ("evaluate.baselines", "['cl2n']", &["evaluate.baselines", "cl2n:NAME"]),
        ("numerics.threads", "0", &["numerics.threads", "0"]),
    ];
    for (key, value, words) in refused {
        let said = with(&[(key, value)]).unwrap_err().explain();
        let fixes = said.fixes.iter().map(|fix| match fix {
            Fix::Words(text) => text.clone(),
            other => format!("{other:?}"),
        });
        let text = [said.to_string()].into_iter().chain(fixes).collect::<Vec<_>>().join("; ");
        for word in words {
            assert!(text.contains(word), "{key} = {value}: no `{word}` in: {text}");
        }
    }
}

#[test]
fn the_order_of_keys_plays_no_part() {
    let sections = [
        "[splits]\nrule = \"random\"\nseed = 3\n",
        "[train-base.conv]\nsteps = 5\nbackbone = \"conv4-np19\"\n",
        "[meta-train.mlsm]\nembedding = \"conv\"\nloss = \"bce\"\npair = \"concat\"\nepisodes = 4\nval_every = 2\nlevels = \"I\"\n",
    ];
    let reordered = |section: &str| {
        let (head, keys) = section.split_once('\n').unwrap();
        let keys: Vec<_> = keys.lines().rev().collect();
        format!("{head}\n{}\n", keys.join("\n"))
    };
    let read = |text: String| Config::from_table(text.parse().unwrap()).unwrap();
    let first = read(sections.concat());
    let second = read(sections.iter().rev().map(|section| reordered(section)).collect());
    assert_eq!(first.digest(), second.digest());
    let switches = |config: &Config| format!("{:?}", config.meta_train["mlsm"].switches);
    assert_eq!(switches(&first), switches(&second), "recipes list them in this order");
}
