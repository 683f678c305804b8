//! Compares this crate with PyTorch: `fixtures/make.py` wrote down what PyTorch computes from the same formula.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests make files, measure and print"
)]

mod adam;
mod compare;
mod conv4;
mod formula;
mod large;
mod lite0;
mod methods;
mod mlsm;
mod resnet;
