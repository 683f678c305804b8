//! Matching Networks: a query's class is where its attention over the support images goes.
//!
//! Source: Vinyals et al. 2016, eq. 1 and 2, and section 2.1.2 for the full-context embeddings (`fce`); scale and ReLU of
//! the cosines as in Chen et al. 2019 ("A Closer Look at Few-shot Classification"), whose code adds 1e-6 before the
//! logarithm, too.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Described, Head, Method, Reads, Shape, Support, prototypes};
use crate::layers::LstmCell;
use crate::params::Params;
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MatchingOptions {
    /// What cosines are multiplied by before the softmax.
    pub scale: f64,
    /// Whether negative cosines count as 0.
    pub relu: bool,
    /// Whether embeddings depend on the whole support set.
    pub fce: bool,
    /// With `fce`, how often a query looks at the support set; 0: as often as there are support images.
    pub fce_steps: u64,
}

impl Default for MatchingOptions {
    fn default() -> Self {
        Self { scale: 100.0, relu: true, fce: false, fce_steps: 0 }
    }
}

/// The method.
#[derive(Debug)]
pub struct Matching {
    options: MatchingOptions,
    params: Params,
    context: Option<Context>,
}

/// The full-context embeddings: of the support set read forwards and backwards, and of a query that attends to it.
#[derive(Debug)]
struct Context {
    forwards: LstmCell,
    backwards: LstmCell,
    query: LstmCell,
}

struct Attention<'a> {
    method: &'a Matching,
    support: Tensor,     // [n_way * k_shot, d]
    memberships: Tensor, // [n_way * k_shot, n_way]: 1 where an image is of the class
}

impl Described for Matching {
    type Options = MatchingOptions;
    const NAME: &'static str = "matching";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Vinyals et al. 2016, eq. 1 and 2";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("scale", options.scale)
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let length = shape.embedding_dim();
        let context = options.fce.then(|| Context {
            forwards: LstmCell::new(&mut params, "support.forwards.", length, length, rng),
            backwards: LstmCell::new(&mut params, "support.backwards.", length, length, rng),
            query: LstmCell::new(&mut params, "query.", 2 * length, length, rng),
        });
        Self { options, params, context }
    }
}

impl Method for Matching {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let memberships = support.labels().one_hot(support.n_way).to_kind(Kind::Float);
        let support = match &self.context {
            Some(context) => context.support(&self.params, support.rows),
            None => support.rows.shallow_clone(),
        };
        Box::new(Attention { method: self, support, memberships })
    }

    fn episode_loss(&self, support: &Support<'_>, queries: &Tensor, labels: &Tensor) -> Tensor {
        self.head(support, Phase::Train).scores(queries).nll_loss(&labels.to_device(queries.device()))
    }
}

impl Head for Attention<'_> {
    /// Logarithms of the attention that each class gets.
    fn scores(&self, queries: &Tensor) -> Tensor {
        let Matching { options, params, context } = self.method;
        let queries = match context {
            Some(context) => context.query(params, queries, &self.support, options.fce_steps),
            None => queries.shallow_clone(),
        };
        let cosines = prototypes::unit_rows(&queries).matmul(&prototypes::unit_rows(&self.support).transpose(0, 1));
        let cosines = if options.relu { cosines.relu() } else { cosines };
        let attention = (cosines * options.scale).softmax(-1, queries.kind()); // [q, n_way * k_shot]
        (attention.matmul(&self.memberships) + 1e-6).log()
    }
}

impl Context {
    /// `[n, d]`: each row and what a forward and a backward pass over all rows say at it.
    fn support(&self, params: &Params, rows: &Tensor) -> Tensor {
        let count = rows.size()[0];
        let pass = |cell: &LstmCell, order: &mut dyn Iterator<Item = i64>| {
            let zeros = rows.narrow(0, 0, 1).zeros_like();
            let (mut hidden, mut cells) = (zeros.shallow_clone(), zeros);
            let mut outputs = Vec::new();
            for row in order {
                (hidden, cells) = cell.forward(params, &rows.narrow(0, row, 1), &hidden, &cells);
                outputs.push(hidden.shallow_clone());
            }
            outputs
        };
        let forwards = pass(&self.forwards, &mut (0..count));
        let mut backwards = pass(&self.backwards, &mut (0..count).rev());
        backwards.reverse();
        rows + Tensor::cat(&forwards, 0) + Tensor::cat(&backwards, 0)
    }

    /// `[q, d]`: each query after it has looked at the support set so many times.
    fn query(&self, params: &Params, queries: &Tensor, support: &Tensor, steps: u64) -> Tensor {
        let steps = if steps == 0 { support.size()[0] } else { steps as i64 };
        let (mut hidden, mut cells) = (queries.shallow_clone(), queries.zeros_like());
        for _ in 0..steps {
            let attention = hidden.matmul(&support.transpose(0, 1)).softmax(-1, queries.kind());
            let seen = Tensor::cat(&[queries, &attention.matmul(support)], 1);
            let (output, next) = self.query.forward(params, &seen, &hidden, &cells);
            (hidden, cells) = (output + queries, next);
        }
        hidden
    }
}
