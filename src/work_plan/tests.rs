use super::*;

fn unit(node: &str, unit: &str, level: usize, seconds: Option<f64>) -> PlannedUnit {
    let (node, unit) = (node.to_owned(), unit.to_owned());
    PlannedUnit { node, unit, level, reads: Vec::new(), threads: 1, wants_gpu: false, seconds }
}

fn task(level: usize, first: usize, units: usize) -> PlannedTask {
    PlannedTask { level, first, units, threads: 1, wants_gpu: false, seconds: 30.0 }
}

fn plan() -> WorkPlan {
    let units = vec![unit("a", "1", 0, Some(20.0)), unit("a", "2", 0, Some(20.0)), unit("b", "", 1, None)];
    WorkPlan {
        format: FORMAT,
        version: "0".to_owned(),
        drawn: "2026-01-01T00:00:00.000Z".to_owned(),
        config_name: "tiny".to_owned(),
        config: String::new(),
        photos: None,
        units,
        tasks: vec![task(0, 0, 2), task(1, 2, 1)],
    }
}

fn read(bytes: &[u8]) -> Result<WorkPlan, CliError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    WorkPlan::read(file.path())
}

#[test]
fn a_plan_is_read_as_it_was_written() {
    assert_eq!(read(&plan().to_json()).unwrap(), plan());
    assert_eq!(plan().levels(), [0..1, 1..2]);
    assert_eq!(
        plan().summary(),
        "3 units in 2 tasks, on 2 levels; 40 s of computing by earlier runs, and 1 units of which none says"
    );
}

#[test]
fn what_is_no_plan_is_refused_in_words() {
    let earlier = String::from_utf8(plan().to_json())
        .unwrap()
        .replace("\"format\":2", "\"format\":1")
        .replace("\"photos\"", "\"old\"");
    let later = WorkPlan { format: 3, ..plan() };
    let beyond = WorkPlan { tasks: vec![task(0, 2, 2)], ..plan() };
    for (bytes, why) in [
        (b"no plan".to_vec(), "no plan of work"),
        (earlier.into_bytes(), "its format has version 1, and this program reads version 2"),
        (later.to_json(), "its format has version 3"),
        (beyond.to_json(), "units that it does not have"),
    ] {
        let said = read(&bytes).unwrap_err().render();
        assert!(said.contains(why) && said.contains("mlsm plan --out"), "{said}");
    }
    assert!(WorkPlan::read(Path::new("/nowhere/plan.json")).unwrap_err().render().contains("name a file that exists"));
}
