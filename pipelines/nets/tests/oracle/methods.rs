//! Every few-shot method on one episode of three classes: scores, loss and gradients in training, scores in evaluation.

use std::collections::BTreeMap;
use std::sync::Mutex;

use mlsm_nets::{
    BackboneKind, BackboneSpec, Device, METHODS, Method, MethodKind, Phase, Reads, Shape, Support, Switches, Tensor,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

use crate::compare::{FLOOR, Fixture, MULTIPLE};
use crate::formula::{fill, nudge, nudged, pixels, tensor};

const WAYS: i64 = 3;
const QUERIES: i64 = 4;

/// Fixture, method, and the switches that are not as by default.
fn cases() -> Vec<(&'static str, &'static str, serde_json::Value)> {
    vec![
        ("prototypical", "prototypical", json!({})),
        ("prototypical-cosine", "prototypical", json!({ "metric": "cosine", "temperature": 0.5 })),
        ("simpleshot", "simpleshot", json!({})),
        ("matching", "matching", json!({})),
        ("matching-fce", "matching", json!({ "fce": true, "fce_steps": 3 })),
        ("relation", "relation", json!({})),
        ("maco", "maco", json!({ "width": 8 })),
        ("maco-kernel3", "maco", json!({ "width": 8, "kernel": 3 })),
        ("maml", "maml", json!({ "inner_steps": 2, "test_steps": 2 })),
        ("maml-first", "maml", json!({ "inner_steps": 2, "test_steps": 2, "order": "first" })),
        ("meta-sgd", "meta-sgd", json!({})),
        ("meta-lstm", "meta-lstm", json!({ "one_shot_steps": 2, "steps": 1, "hidden": 5 })),
        ("baseline", "baseline", json!({})),
        ("baseline++", "baseline++", json!({})),
        ("imprinted", "imprinted", json!({})),
        ("r2d2", "r2d2", json!({})),
        ("frn", "frn", json!({})),
        ("frn-faint", "frn", json!({})),
        ("feat", "feat", json!({})),
        ("siamese", "siamese", json!({})),
        ("triplet", "triplet", json!({ "width": 8 })),
    ]
}

#[test]
fn every_method_equals_pytorch() {
    let differs = |(fixture, name, switches): &(&str, &str, serde_json::Value)| {
        let run = || {
            let kind = mlsm_nets::method(name).unwrap();
            [1, 2].map(|k_shot| compare(fixture, kind, switches.as_object().unwrap().clone(), k_shot))
        };
        std::panic::catch_unwind(run).is_err()
    };
    let failed: Vec<_> = cases().into_iter().filter(differs).map(|(fixture, ..)| fixture).collect();
    assert!(failed.is_empty(), "not as PyTorch has it: {failed:?}");
}

/// MLSM has fixtures of its own.
#[test]
fn no_method_is_without_a_fixture() {
    let cases = cases();
    for kind in METHODS.iter().filter(|kind| !kind.has_levels) {
        assert!(cases.iter().any(|(_, name, _)| *name == kind.name), "{} has no fixture", kind.name);
    }
}

/// The switches of a method's first fixture, whose steps are few: what rounding does there tells what it does here.
fn switches(kind: &MethodKind) -> Switches {
    let case = cases().into_iter().find(|(_, name, _)| *name == kind.name);
    case.map_or_else(Switches::new, |(.., switches)| switches.as_object().unwrap().clone())
}

/// Scores of four queries of three classes by two shots each, with the weights of the formula and with fresh ones;
/// `places`: where each of the ten images stands; `noise`: weights and representations are moved by it (0: by nothing).
fn scores(kind: &MethodKind, places: &[i64; 10], noise: u32) -> [Tensor; 2] {
    let places = Tensor::from_slice(places);
    [true, false].map(|by_formula| {
        let mut method = make(kind, switches(kind));
        if by_formula {
            fill(method.params_mut(), "");
        }
        nudge(method.params_mut(), noise);
        let [image, object] = ["image", "object"].map(|name| match kind.reads {
            Reads::Embeddings => tensor(name, &[10, 24]).index_select(0, &places),
            Reads::Maps => tensor(name, &[10, 6, 7, 7]).abs().index_select(0, &places),
            Reads::Pixels => pixels(10, 84, 0).index_select(0, &places),
        });
        let rows = method.represent(Some(&image), kind.has_levels.then_some(&object), Phase::Evaluate);
        let (shots, queries) = parted(&nudged(&rows, "rows", noise), 2);
        method.head(&support(&shots, 2), Phase::Evaluate).scores(&queries).detach()
    })
}

fn moved(scores: &[Tensor; 2], axis: i64, places: &[i64]) -> [Tensor; 2] {
    scores.each_ref().map(|scores| scores.index_select(axis, &Tensor::from_slice(places)))
}

fn apart(left: &Tensor, right: &Tensor) -> f64 {
    (left - right).abs().max().double_value(&[])
}

/// How far two equal episodes may lie apart: as for a fixture, with what rounding does to the method's scores in PyTorch or
/// what an ulp does here, whichever is more.
fn tolerances(kind: &MethodKind) -> [f64; 2] {
    static KNOWN: Mutex<BTreeMap<&str, [f64; 2]>> = Mutex::new(BTreeMap::new());
    *KNOWN.lock().unwrap().entry(kind.name).or_insert_with(|| {
        let fixture =
            Fixture::read(&if kind.has_levels { "mlsm-default".into() } else { format!("method-{}", kind.name) });
        let rounded = fixture.names("").filter(|name| name.ends_with("scores")).map(|name| fixture.spread(name));
        let rounded = rounded.fold(FLOOR, f64::max);
        let plain = scores(kind, &IN_ORDER, 0);
        let noises: Vec<_> = (1..=4).map(|noise| scores(kind, &IN_ORDER, noise)).collect();
        [0, 1].map(|i| {
            let of_rounding = rounded * plain[i].abs().max().double_value(&[]);
            MULTIPLE * noises.iter().map(|moved| apart(&moved[i], &plain[i])).fold(of_rounding, f64::max)
        })
    })
}

#[track_caller]
fn assert_same(kind: &MethodKind, left: &[Tensor; 2], right: &[Tensor; 2]) {
    for ((left, right), allowed) in left.iter().zip(right).zip(tolerances(kind)) {
        let apart = apart(left, right);
        println!("{}: {:.3} of the tolerance", kind.name, apart / allowed);
        assert!(apart <= allowed, "{}: {apart:e} apart, allowed {allowed:e}", kind.name);
    }
}

#[track_caller]
fn assert_unlike(kind: &MethodKind, left: &[Tensor; 2], right: &[Tensor; 2]) {
    let mut pairs = left.iter().zip(right).zip(tolerances(kind));
    assert!(pairs.any(|((left, right), allowed)| apart(left, right) > 10.0 * allowed), "{}", kind.name);
}

const IN_ORDER: [i64; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

#[test]
fn the_shots_of_a_class_and_the_queries_may_stand_in_any_order() {
    for kind in METHODS {
        let plain = scores(kind, &IN_ORDER, 0);
        assert_same(kind, &scores(kind, &[1, 0, 2, 3, 5, 4, 6, 7, 8, 9], 0), &plain);
        assert_same(kind, &scores(kind, &[0, 1, 2, 3, 4, 5, 8, 6, 9, 7], 0), &moved(&plain, 0, &[2, 0, 3, 1]));
        // A shot of the first class in the second one's place, and the other way round, is another episode.
        assert_unlike(kind, &scores(kind, &[2, 1, 0, 3, 4, 5, 6, 7, 8, 9], 0), &plain);
    }
}

#[test]
fn classes_may_change_places_unless_the_method_says_so() {
    for kind in METHODS {
        let plain = moved(&scores(kind, &IN_ORDER, 0), 1, &[2, 0, 1]);
        let found = scores(kind, &[4, 5, 0, 1, 2, 3, 6, 7, 8, 9], 0);
        match kind.classes_may_swap {
            true => assert_same(kind, &found, &plain),
            false => assert_unlike(kind, &found, &plain),
        }
    }
}

#[test]
fn a_query_is_scored_alone_unless_the_method_says_so() {
    for kind in METHODS {
        // The first query beside itself three times: the same score, where the others play no part.
        let plain = moved(&scores(kind, &IN_ORDER, 0), 0, &[0]);
        let alone = moved(&scores(kind, &[0, 1, 2, 3, 4, 5, 6, 6, 6, 6], 0), 0, &[0]);
        match kind.bn_eval {
            "batch" => assert_unlike(kind, &alone, &plain),
            _ => assert_same(kind, &alone, &plain),
        }
    }
}

/// The fixture of FRN whose penalty is no larger than the 1e-6 beside it.
const FAINT: &str = "frn-faint";

fn compare(case: &str, kind: &MethodKind, switches: Switches, k_shot: i64) {
    let fixture = Fixture::read(&format!("method-{case}"));
    let mut method = make(kind, switches);
    let draw = fixture.draw(&format!("{k_shot}."));
    let images = WAYS * k_shot + QUERIES;
    let given = match kind.reads {
        Reads::Embeddings => tensor(&format!("rows{draw}"), &[images, 24]).abs(),
        Reads::Maps => tensor(&format!("rows{draw}"), &[images, 6, 7, 7]).abs(),
        Reads::Pixels => pixels(images, 84, draw),
    };
    let given = if case == FAINT { given * 1e-3 } else { given };
    let labels = Tensor::from_slice(&[0i64, 2, 1, 1]);
    let is_learnt = !method.params().trainable().is_empty();

    let (shots, queries) = represented(&mut *method, case, &given, k_shot, Phase::Train);
    let scores = method.head(&support(&shots, k_shot), Phase::Train).scores(&queries);
    fixture.check(&format!("{k_shot}.train.scores"), &scores);

    let (shots, queries) = represented(&mut *method, case, &given, k_shot, Phase::Train);
    let loss = method.episode_loss(&support(&shots, k_shot), &queries, &labels);
    match is_learnt {
        true => fixture.check_gradients(&format!("{k_shot}."), &loss, method.params()),
        false => fixture.check(&format!("{k_shot}.loss"), &loss),
    }

    let (shots, queries) = represented(&mut *method, case, &given, k_shot, Phase::Evaluate);
    fixture.check(
        &format!("{k_shot}.eval.scores"),
        &method.head(&support(&shots, k_shot), Phase::Evaluate).scores(&queries),
    );
}

/// Gives a method the formula's weights; then the rows of the support images and of the queries.
fn represented(method: &mut dyn Method, case: &str, given: &Tensor, k_shot: i64, phase: Phase) -> (Tensor, Tensor) {
    fill(method.params_mut(), "");
    if case == FAINT {
        let (_, mut alpha) = method.params().all().into_iter().find(|(name, _)| name == "alpha").unwrap();
        let _ = tch::no_grad(|| alpha.g_sub_scalar_(14.0));
    }
    parted(&method.represent(Some(given), None, phase), k_shot)
}

/// A method for embeddings of 24 numbers or maps of 6 channels, or with a Conv-4 of 2 filters.
fn make(kind: &MethodKind, switches: Switches) -> Box<dyn Method> {
    let shape = Shape {
        backbone: BackboneSpec::new(BackboneKind::Conv4Pooled, 2),
        channels: 6,
        embedding_side: 2,
        n_way: WAYS,
        levels: "I+G+O".parse().unwrap(),
    };
    let switches = kind.resolve(switches).unwrap();
    kind.make(switches, &shape, &mut ChaCha8Rng::seed_from_u64(0), Device::Cpu)
}

/// The rows of the support images, grouped by class, and of the queries behind them.
fn parted(rows: &Tensor, k_shot: i64) -> (Tensor, Tensor) {
    (rows.narrow(0, 0, WAYS * k_shot), rows.narrow(0, WAYS * k_shot, QUERIES))
}

fn support(rows: &Tensor, k_shot: i64) -> Support<'_> {
    Support { rows, n_way: WAYS, k_shot }
}
