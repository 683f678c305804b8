use std::fs;

use super::*;

fn table(text: &str) -> Table {
    toml::from_str(text).unwrap()
}

fn set(below: &str, assignments: &[&str]) -> Result<Table, CliError> {
    let mut layers = Layers { table: table(below), ..Layers::default() };
    let assignments: Vec<_> = assignments.iter().map(|a| (*a).to_owned()).collect();
    apply_set(&mut layers, &assignments, Path::new("/here"))?;
    Ok(layers.table)
}

fn environment(below: &str, variables: &[(&str, &str)]) -> Table {
    let mut layers = Layers { table: table(below), ..Layers::default() };
    let variables: Vec<_> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    apply_environment(&mut layers, &variables, Path::new("/here")).unwrap();
    layers.table
}

#[test]
fn a_set_value_is_read_as_toml_and_else_as_a_string() {
    let found = set("", &["a.n=3", "a.x=0.5", "a.on=true", "a.list=[1, 5]", "a.text=concat", "a.quoted=\"3\""]);
    assert_eq!(found.unwrap(), table("[a]\nn = 3\nx = 0.5\non = true\nlist = [1, 5]\ntext = 'concat'\nquoted = '3'"));
}

#[test]
fn a_later_set_wins_and_keeps_its_neighbours() {
    let found = set("[a]\nx = 1\ny = 2", &["a.x=3", "a.x=4"]).unwrap();
    assert_eq!(found, table("[a]\nx = 4\ny = 2"));
}

#[test]
fn a_set_that_is_no_assignment_or_goes_through_a_value_is_refused() {
    for wrong in ["a.x", "=3", "a..x=3", "a.x.y=3"] {
        assert_eq!(set("[a]\nx = 1", &[wrong]).unwrap_err().exit_code(), 2, "{wrong}");
    }
}

#[test]
fn paths_on_the_command_line_are_relative_to_the_working_folder() {
    let found = set("", &["data.path=photos", "splits.file=/abs"]).unwrap();
    assert_eq!(found, table("[data]\npath = '/here/photos'\n[splits]\nfile = '/abs'"));
}

#[test]
fn variables_find_dashed_sections_and_keys_with_underscores() {
    let below = "[meta-train.mlsm-i]\nk_shot = 1";
    let variables = [("MLSM_META_TRAIN__MLSM_I__K_SHOT", "5"), ("MLSM_EVALUATE__N_QUERY", "15"), ("MLSM_SEED", "7")];
    let found = environment(below, &variables);
    assert_eq!(found, table("seed = 7\n[meta-train.mlsm-i]\nk_shot = 5\n[evaluate]\nn_query = 15"));
}

#[test]
fn variables_of_flags_are_no_keys() {
    assert_eq!(environment("", &[("MLSM_STORE", "x"), ("MLSM_TEST_DATA", "y")]), Table::new());
}

#[test]
fn variables_that_others_set_are_passed_over() {
    let others = [
        ("MLSM_SERVICE_HOST", "10.0.0.7"),
        ("MLSM_SERVICE_PORT", "8080"),
        ("MLSM_PORT", "tcp://10.0.0.7:8080"),
        ("MLSM_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("MLSM_STORE_SERVICE_PORT", "1"),
        ("MLSM_VERSION", "0.1.0"),
        ("MLSM_HOME", "/opt/mlsm"),
        ("MLSM_LOG", "debug"),
        ("MLSM_DATA", "x"),
        ("MLSM_SEED__X", "1"),
        ("MLSM_DATA__", "1"),
        ("MLSM_", "1"),
    ];
    assert_eq!(environment("", &others), Table::new());
}

#[test]
fn a_key_of_texts_takes_what_looks_like_something_else() {
    for text in ["2024", "2024-05-01", "true", "0x10", "07", "1e5", "inf", "[1]", "nan", "1979-05-27T07:32:00Z"] {
        let found = set("", &[&format!("data.path={text}"), &format!("splits.file={text}")]).unwrap();
        let expected = format!("/here/{text}");
        assert_eq!(found["data"]["path"].as_str(), Some(expected.as_str()));
        assert_eq!(found["splits"]["file"].as_str(), Some(expected.as_str()));
        let found = environment("", &[("MLSM_DATA__PATH", text), ("MLSM_TRAIN_BASE__X__WEIGHTS", text)]);
        assert_eq!(found["data"]["path"].as_str(), Some(expected.as_str()));
        assert_eq!(found["train-base"]["x"]["weights"].as_str(), Some(text));
    }
    assert_eq!(set("", &["data.path=\"a b\""]).unwrap()["data"]["path"].as_str(), Some("/here/a b"));
    assert_eq!(set("", &["a.date=2024-05-01"]).unwrap()["a"]["date"].as_str(), Some("2024-05-01"));
}

#[test]
fn a_file_lies_over_what_it_extends_and_its_paths_are_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(folder.path().join("below.toml"), "seed = 1\n[data]\npath = 'low'\nstrict = true").unwrap();
    fs::write(folder.path().join("deep/top.toml"), "extends = '../below.toml'\nseed = 2\n[splits]\nfile = 's.txt'")
        .unwrap();
    let layers = read("deep/top.toml", folder.path()).unwrap();
    let origin = |key: &str| layers.origins[key].as_str();
    assert_eq!([origin("seed"), origin("data.strict")], ["deep/top.toml", "../below.toml"]);
    let found = layers.table;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    assert_eq!(found["seed"].as_integer(), Some(2));
    assert_eq!(found["data"]["strict"].as_bool(), Some(true));
    assert_eq!(found["data"]["path"].as_str(), Some(path("deep/../low").as_str()));
    assert_eq!(found["splits"]["file"].as_str(), Some(path("deep/s.txt").as_str()));
}

#[test]
fn files_that_extend_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "extends = 'b.toml'").unwrap();
    fs::write(folder.path().join("b.toml"), "extends = 'a.toml'").unwrap();
    assert_eq!(read("a.toml", folder.path()).unwrap_err().exit_code(), 2);
}

#[test]
fn weights_from_a_file_are_relative_to_the_configuration_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[train-base.a]\nweights = \"mine.safetensors\"\n[train-base.b]\nweights = \"efficientnet-lite0\"\n";
    fs::write(folder.path().join("a.toml"), text).unwrap();
    let mut layers = read(folder.path().join("a.toml").to_str().unwrap(), Path::new("/here")).unwrap();
    let set = ["train-base.c.weights=yours.safetensors".to_owned()];
    apply_set(&mut layers, &set, Path::new("/here")).unwrap();
    let weights = ["a", "b", "c"].map(|name| layers.table["train-base"][name]["weights"].as_str().unwrap().to_owned());
    let of_file = folder.path().join("mine.safetensors").display().to_string();
    assert_eq!(weights, [of_file, "efficientnet-lite0".to_owned(), "/here/yours.safetensors".to_owned()]);
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "seed = 1\nseed = = 2\n").unwrap();
    let error = read("a.toml", folder.path()).unwrap_err();
    assert!(error.render().contains("line 2"), "{}", error.render());
}

#[test]
fn each_value_knows_the_last_layer_that_set_it() {
    let mut layers = read("tiny", Path::new("/here")).unwrap();
    let variables = [("MLSM_SEED".to_owned(), "3".to_owned()), ("MLSM_EVALUATE__N_QUERY".to_owned(), "4".to_owned())];
    apply_environment(&mut layers, &variables, Path::new("/here")).unwrap();
    apply_set(&mut layers, &["evaluate.n_query=5".to_owned()], Path::new("/here")).unwrap();
    let origin = |key: &str| layers.origins.get(key).map(String::as_str);
    assert_eq!(origin("seed"), Some("MLSM_SEED"));
    assert_eq!(origin("evaluate.n_query"), Some("--set evaluate.n_query=5"));
    assert_eq!(origin("data.synthetic.classes"), Some("preset tiny"));
    assert_eq!(origin("numerics.threads"), None);
}
