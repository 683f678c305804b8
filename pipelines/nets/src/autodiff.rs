//! Gradients without the traps: libtorch crashes on a loss without a graph and leaves unused inputs undefined.

use tch::Tensor;

use crate::error::NetError;

/// The gradients of a scalar loss by each of `params`, in their order; zeros for a parameter that it does not use.
///
/// The graph is freed. For gradients of gradients call `Tensor::run_backward` with `create_graph`, guarded likewise.
///
/// # Errors
/// [`NetError::NoGraph`] when the loss depends on nothing that requires a gradient.
pub fn gradients(loss: &Tensor, params: &[Tensor]) -> Result<Vec<Tensor>, NetError> {
    if !loss.requires_grad() {
        return Err(NetError::NoGraph);
    }
    let found = Tensor::f_run_backward(&[loss], params, false, false)?;
    let known = |(gradient, param): (Tensor, &Tensor)| if gradient.defined() { gradient } else { param.zeros_like() };
    Ok(found.into_iter().zip(params).map(known).collect())
}

/// Scales all gradients, in place, so that their joint Euclidean norm is at most `max`; returns the norm before.
///
/// Equals `torch.nn.utils.clip_grad_norm_`. Everything is computed on the gradients' device.
pub fn clip_grad_norm(gradients: &mut [Tensor], max: f64) -> f64 {
    let _guard = tch::no_grad_guard();
    let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
    if norms.is_empty() {
        return 0.0;
    }
    let norm = Tensor::stack(&norms, 0).norm().double_value(&[]);
    let factor = max / (norm + 1e-6);
    if factor < 1.0 {
        for gradient in gradients {
            let _ = gradient.g_mul_scalar_(factor);
        }
    }
    norm
}

/// Limits every single gradient to `[-max, max]`, in place. Equals `torch.nn.utils.clip_grad_value_`.
pub fn clip_grad_value(gradients: &mut [Tensor], max: f64) {
    let _guard = tch::no_grad_guard();
    for gradient in gradients {
        let _ = gradient.clamp_(-max, max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::tolerance;
    use tch::Kind;

    fn leaf(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    #[test]
    fn an_unused_parameter_has_a_gradient_of_zeros() {
        let (used, unused) = (leaf(&[1.0, 2.0]), leaf(&[5.0]));
        let found = gradients(&used.square().sum(Kind::Float), &[used, unused]).unwrap();
        assert_eq!(found[0], Tensor::from_slice(&[2.0f32, 4.0]));
        assert_eq!(found[1], Tensor::from_slice(&[0.0f32]));
    }

    #[test]
    fn a_loss_without_a_graph_is_an_error_and_no_crash() {
        let param = leaf(&[1.0]);
        let loss = {
            let _guard = tch::no_grad_guard();
            param.square().sum(Kind::Float)
        };
        assert!(matches!(gradients(&loss, &[param]), Err(NetError::NoGraph)));
    }

    #[test]
    fn clipping_values_limits_each_alone() {
        let mut found = [Tensor::from_slice(&[3.0f32, -0.5, -7.0])];
        clip_grad_value(&mut found, 2.0);
        assert_eq!(found[0], Tensor::from_slice(&[2.0f32, -0.5, -2.0]));
    }

    #[test]
    fn clipping_scales_to_the_joint_norm_and_leaves_small_gradients_alone() {
        let mut found = [Tensor::from_slice(&[3.0f32]), Tensor::from_slice(&[4.0f32])];
        let whole = tolerance(3, 5.0); // a square, a sum and a root
        assert!((clip_grad_norm(&mut found, 10.0) - 5.0).abs() <= whole);
        assert_eq!(found[1].double_value(&[0]), 4.0);
        assert!((clip_grad_norm(&mut found, 1.0) - 5.0).abs() <= whole);
        for (gradient, value) in found.iter().zip([3.0, 4.0]) {
            assert!((gradient.double_value(&[0]) - value / (5.0 + 1e-6)).abs() <= tolerance(5, 1.0));
        }
    }
}
