use mlsm_store::Field;

use super::*;
use crate::{Context, Outputs, StageError};

/// Reads `maps` and any number of `photo`, makes `boxes`.
struct Draw;

impl Task for Draw {
    fn stage(&self) -> &'static str {
        "crop"
    }

    fn version(&self) -> u32 {
        1
    }

    fn recipe(&self) -> Vec<Field> {
        Vec::new()
    }

    fn inputs(&self) -> Vec<Port> {
        vec![Port::one("maps"), Port::many("photo")]
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["boxes"]
    }

    fn run(&self, _context: &Context<'_>) -> Result<Outputs, StageError> {
        Ok(Outputs::default())
    }
}

fn known() -> InputSource {
    InputSource::Known(Digest::of(b"bytes"))
}

fn photo(id: &str) -> UnitInput {
    UnitInput::item("photo", Item { id: id.to_owned(), key: 1 }, known())
}

/// A graph whose node `first` has one unit, with the answer to adding another unit behind it.
fn adding(inputs: impl Fn(UnitRef) -> Vec<UnitInput>) -> Result<UnitRef, GraphError> {
    let mut graph = Graph::new();
    let first = graph.begin("first", "crop").unwrap();
    let made = graph.add(first, Unit::only(Arc::new(Draw), vec![UnitInput::one("maps", known())])).unwrap();
    let second = graph.begin("second", "crop").unwrap();
    graph.add(second, Unit::only(Arc::new(Draw), inputs(made)))
}

#[test]
fn inputs_that_fit_are_taken_and_named_in_the_request() {
    let maps = |made: UnitRef| UnitInput::one("maps", made.output("boxes"));
    assert!(adding(|made| vec![maps(made), photo("1"), photo("2")]).is_ok());
    assert_eq!(photo("17 a.jpg").name(), "photo/17 a.jpg");
    assert_eq!(UnitInput::one("maps", known()).name(), "maps");
}

#[test]
fn a_misspelt_output_is_refused_before_anything_runs() {
    let error = adding(|made| vec![UnitInput::one("maps", made.output("boxs"))]).unwrap_err();
    assert_eq!(error.to_string(), "second reads `boxs` of first, which makes boxes");
}

#[test]
fn a_port_that_does_not_exist_or_is_filled_wrongly_is_refused() {
    let error = adding(|_| vec![UnitInput::one("map", known())]).unwrap_err();
    assert_eq!(error.to_string(), "second has no input `map`; its inputs are maps, photo");
    assert!(matches!(adding(|_| vec![photo("1")]), Err(GraphError::WrongCount { port: "maps", found: 0, .. })));
    let twice = |_| vec![UnitInput::one("maps", known()), UnitInput::one("maps", known())];
    assert!(matches!(adding(twice), Err(GraphError::WrongCount { found: 2, .. })));
    let unnamed = |_| vec![UnitInput::one("maps", known()), UnitInput::one("photo", known())];
    assert!(matches!(adding(unnamed), Err(GraphError::UnknownPort { .. })));
}

#[test]
fn a_unit_that_is_not_there_yet_and_an_id_that_is_taken_are_refused() {
    let later = |made: UnitRef| vec![UnitInput::one("maps", UnitRef { unit: 7, ..made }.output("boxes"))];
    assert!(matches!(adding(later), Err(GraphError::Later { output: "boxes", .. })));
    let mut graph = Graph::new();
    graph.begin("one", "crop").unwrap();
    assert_eq!(graph.begin("one", "crop"), Err(GraphError::TakenId("one".to_owned())));
}

/// `first` is read by `left` and `right`, `left` by the first unit of `last`, `right` by its second.
fn forked() -> (Graph, Vec<UnitRef>) {
    let (mut graph, mut units) = (Graph::new(), Vec::new());
    for (id, reads) in [("first", &[][..]), ("left", &[0]), ("right", &[0]), ("last", &[1, 2])] {
        let node = graph.begin(id, "crop").unwrap();
        let sources: Vec<InputSource> = match reads {
            [] => vec![known()],
            reads => reads.iter().map(|from: &usize| units[*from]).map(|u: UnitRef| u.output("boxes")).collect(),
        };
        for (at, source) in sources.into_iter().enumerate() {
            let inputs = vec![UnitInput::one("maps", source)];
            let unit = Unit { shard: at.to_string(), ..Unit::only(Arc::new(Draw), inputs) };
            units.push(graph.add(node, unit).unwrap());
        }
    }
    (graph, units)
}

#[test]
fn some_units_with_all_that_they_need_are_a_graph() {
    let (graph, units) = forked();
    assert_eq!(graph.find("last", "1"), Some(units[4]));
    assert_eq!((graph.find("last", "2"), graph.find("lost", "0")), (None, None));
    let needed = graph.needed_for(&[units[4]]);
    let known =
        |at: UnitRef, _| Err(GraphError::Later { unit: graph.unit(at).key(), output: "none is read of the others" });
    let part = graph.part(|at| needed.contains(&(at.node, at.unit)), known).unwrap();
    let ids: Vec<_> = part.nodes().iter().map(|node| (node.id.as_str(), node.units.len())).collect();
    assert_eq!(ids, [("first", 1), ("right", 1), ("last", 1)]);
    assert_eq!(part.nodes()[2].units[0].key(), "1");
    let read: Vec<_> = part.upstream(&part.nodes()[2]).map(|from| part.node(from).id.as_str()).collect();
    assert_eq!(read, ["right"]);
}

#[test]
fn the_level_of_a_unit_counts_what_must_be_computed_before_it() {
    let (graph, units) = forked();
    assert_eq!(graph.levels(|_| false), [vec![0], vec![1], vec![1], vec![2, 2]]);
    assert_eq!(graph.levels(|unit| unit == units[0] || unit == units[1]), [vec![0], vec![0], vec![0], vec![0, 1]]);
}

#[test]
fn a_part_of_a_graph_knows_what_it_reads_of_the_rest() {
    let mut graph = Graph::new();
    let mut add = |id: &str, shard: &str, maps: InputSource| {
        let node = graph.nodes().iter().position(|node| node.id == id).map(NodeIndex);
        let node = node.unwrap_or_else(|| graph.begin(id, "crop").unwrap());
        let only = Unit::only(Arc::new(Draw), vec![UnitInput::one("maps", maps)]);
        graph.add(node, Unit { shard: shard.to_owned(), ..only }).unwrap()
    };
    let net = add("net", "", known());
    let old = add("maps", "old", net.output("boxes"));
    let new = add("maps", "new", net.output("boxes"));
    add("read", "old", old.output("boxes"));
    add("read", "new", new.output("boxes"));
    add("beside", "new", known());
    let below = graph.units_below("read");
    assert_eq!((below.len(), graph.units_below("maps").len()), (5, 3));
    let mut asked = Vec::new();
    let part: Result<Graph, GraphError> = graph.part(
        |at| below.contains(&(at.node, at.unit)) && graph.unit(at).shard == "new",
        |at, output| {
            asked.push((at, output));
            Ok(Digest::of(b"known"))
        },
    );
    let part = part.unwrap();
    assert_eq!(asked, [(net, "boxes")]);
    assert_eq!(part.nodes().iter().map(|node| node.id.as_str()).collect::<Vec<_>>(), ["maps", "read"]);
    assert_eq!(part.nodes()[0].units[0].inputs[0].source, InputSource::Known(Digest::of(b"known")));
    let moved = UnitRef { node: NodeIndex(0), unit: 0 };
    assert_eq!(part.nodes()[1].units[0].inputs[0].source, moved.output("boxes"));
}
