//! For which job of a scheduler this process works: `mlsm status` shows it beside what the process computes.

use mlsm_store::Holder;

use crate::environment;

/// Takes over what the scheduler says.
pub fn announce() {
    let variable = |name: &str| environment::variable(name).map(|value| value.to_string_lossy().into_owned());
    if let Some(job) = named(variable) {
        Holder::work_for(&job);
    }
}

/// Names the job by the variables that a scheduler sets. `MLSM_JOB` is for those that set none, such as Ray.
fn named(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let of_array = || Some(format!("slurm {}_{}", variable("SLURM_ARRAY_JOB_ID")?, variable("SLURM_ARRAY_TASK_ID")?));
    let of_slurm = || Some(format!("slurm {}", variable("SLURM_JOB_ID")?));
    let of_kubernetes = || {
        let index = variable("JOB_COMPLETION_INDEX")?;
        Some(format!("kubernetes pod {}, index {index}", variable("HOSTNAME").unwrap_or_default()))
    };
    variable("MLSM_JOB").or_else(of_array).or_else(of_slurm).or_else(of_kubernetes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(environment: &[(&str, &str)]) -> Option<String> {
        let find = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        named(find)
    }

    #[test]
    fn every_scheduler_is_known_by_its_variables() {
        let array = [("SLURM_JOB_ID", "14"), ("SLURM_ARRAY_JOB_ID", "12"), ("SLURM_ARRAY_TASK_ID", "3")];
        assert_eq!(job(&array).as_deref(), Some("slurm 12_3"));
        assert_eq!(job(&array[..1]).as_deref(), Some("slurm 14"));
        let pod = [("JOB_COMPLETION_INDEX", "7"), ("HOSTNAME", "mlsm-1a-7-x2")];
        assert_eq!(job(&pod).as_deref(), Some("kubernetes pod mlsm-1a-7-x2, index 7"));
        assert_eq!(job(&[("MLSM_JOB", "ray 01, task 5"), pod[0]]).as_deref(), Some("ray 01, task 5"));
        assert_eq!(job(&[("HOSTNAME", "laptop")]), None);
    }
}
