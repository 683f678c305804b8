//! Compares this crate with PyTorch: `fixtures/make.py` wrote down what PyTorch computes from the same formula.

mod adam;
mod compare;
mod conv4;
mod formula;
mod lite0;
mod methods;
mod mlsm;
mod resnet;
