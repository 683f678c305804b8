//! Five steps of Adam at a changing rate, without weight decay and with each kind of it.

use mlsm_nets::{Adam, Decay, Tensor};

use crate::compare::Fixture;
use crate::formula::tensor;

const SHAPES: [&[i64]; 2] = [&[3, 5], &[7]];

#[test]
fn adam_equals_pytorch() {
    let fixture = Fixture::read("adam");
    for (name, decay) in [("plain", Decay::L2(0.0)), ("decay", Decay::L2(0.1)), ("decoupled", Decay::Decoupled(0.1))] {
        let param = |i: usize| tensor(&format!("adam{i}"), SHAPES[i]).set_requires_grad(true);
        let mut adam = Adam::new((0..2).map(|i| (i.to_string(), param(i))).collect(), 1e-2, decay);
        for step in 0..5 {
            adam.set_lr(1e-2 / f64::from(step + 1));
            let gradients: Vec<Tensor> = (0..2).map(|i| tensor(&format!("grad{i}.{step}"), SHAPES[i])).collect();
            adam.step(&gradients).unwrap();
        }
        for (i, param) in adam.params().iter().enumerate() {
            fixture.check(&format!("{name}.{i}"), param);
        }
    }
}
