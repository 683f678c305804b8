//! Who a run is to OpenLineage, and where its events go: the flag, and the variables that its clients read.
//!
//! `OPENLINEAGE_URL`, `OPENLINEAGE_ENDPOINT` and `OPENLINEAGE_API_KEY` name the service, `OPENLINEAGE_NAMESPACE` the namespace
//! of the jobs, `OPENLINEAGE_PARENT_ID` and `OPENLINEAGE_ROOT_PARENT_ID` (`namespace/job/run`) what started this run, such as
//! the task of a scheduler. `OPENLINEAGE_DISABLED=true` sends nothing.

use std::time::Duration;

use mlsm_store::Digest;
use serde_json::{Value, json};
use url::Url;

use super::facet::{self, facet};
use crate::environment;
use crate::error::CliError;

/// Where events go.
pub enum Target {
    /// To the end of a file.
    File(std::path::PathBuf),
    /// To a service.
    Service {
        /// The address that takes events.
        url: Url,
        /// The key that it asks for.
        api_key: Option<String>,
    },
}

/// A job, and one run of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRun {
    /// The namespace of the job.
    pub namespace: String,
    /// The name of the job.
    pub job: String,
    /// The UUID of the run.
    pub run_id: String,
}

/// Returns where events go, if anywhere. `given`: what `--lineage` names.
///
/// # Errors
/// [`CliError::Usage`] for an address that is none.
pub fn target(given: Option<&str>) -> Result<Option<Target>, CliError> {
    if variable("OPENLINEAGE_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let named = given.map(str::to_owned).or_else(|| variable("OPENLINEAGE_URL"));
    let Some(named) = named else { return Ok(None) };
    if !named.starts_with("http://") && !named.starts_with("https://") {
        return Ok(Some(Target::File(named.into())));
    }
    let endpoint = variable("OPENLINEAGE_ENDPOINT").unwrap_or_else(|| "api/v1/lineage".to_owned());
    let url = service(&named, &endpoint).map_err(|why| {
        let fix = "give the address of the service, such as http://localhost:5000, or a file";
        CliError::usage(format!("cannot send lineage to `{named}`"), why, fix)
    })?;
    Ok(Some(Target::Service { url, api_key: variable("OPENLINEAGE_API_KEY") }))
}

/// An address with a path takes events itself; one without is that of a service whose endpoint does.
fn service(address: &str, endpoint: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|e| e.to_string())?;
    match url.path() {
        "/" => url.join(endpoint.trim_start_matches('/')).map_err(|e| e.to_string()),
        _ => Ok(url),
    }
}

/// Returns the namespace of the jobs.
pub fn namespace() -> String {
    variable("OPENLINEAGE_NAMESPACE").unwrap_or_else(|| "mlsm".to_owned())
}

/// Returns what started this run, and what started that, where the caller said so.
///
/// # Errors
/// [`CliError::Usage`] for a text that names no run.
pub fn parents() -> Result<[Option<JobRun>; 2], CliError> {
    let read = |name: &str| variable(name).map(|text| parent(name, &text)).transpose();
    Ok([read("OPENLINEAGE_PARENT_ID")?, read("OPENLINEAGE_ROOT_PARENT_ID")?])
}

fn parent(name: &str, text: &str) -> Result<JobRun, CliError> {
    let mut parts = text.rsplitn(3, '/');
    let (run_id, job, namespace) = (parts.next(), parts.next(), parts.next());
    match (namespace, job, run_id) {
        (Some(namespace), Some(job), Some(run_id)) if is_uuid(run_id) => {
            Ok(JobRun { namespace: namespace.to_owned(), job: job.to_owned(), run_id: run_id.to_owned() })
        }
        _ => {
            let why = "it is not NAMESPACE/JOB/RUN, where RUN is a UUID";
            Err(CliError::usage(format!("cannot use {name} `{text}`"), why, format!("unset {name}, or mend it")))
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Names a run by a UUID of version 7, which sorts by time: the same name and time give the same one.
pub fn uuid(since_epoch: Duration, name: &str) -> String {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&(since_epoch.as_millis() as u64).to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&Digest::of(name.as_bytes()).as_bytes()[..10]);
    bytes[6] = 0x70 | bytes[6] & 0x0f;
    bytes[8] = 0x80 | bytes[8] & 0x3f;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The facet that names a run's parent, and the first run of all where it is known.
pub fn parent_facet(parent: &JobRun, root: Option<&JobRun>) -> Value {
    let of = |run: &JobRun| json!({ "run": { "runId": run.run_id }, "job": { "namespace": run.namespace, "name": run.job } });
    let mut fields = of(parent);
    if let Some(root) = root {
        fields["root"] = of(root);
    }
    facet(facet::PARENT, fields)
}

fn variable(name: &str) -> Option<String> {
    environment::variable(name)?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_endpoint() {
        let of = |address: &str| service(address, "/api/v1/lineage").unwrap().to_string();
        assert_eq!(of("http://localhost:5000"), "http://localhost:5000/api/v1/lineage");
        assert_eq!(of("https://host/"), "https://host/api/v1/lineage");
        assert_eq!(of("https://host/other?key=1"), "https://host/other?key=1");
        assert!(service("http://", "x").is_err());
    }

    #[test]
    fn the_parent_of_a_run_is_read_from_the_right() {
        let run = "0193c0f0-0000-7000-8000-000000000001";
        let read = |text: &str| parent("OPENLINEAGE_PARENT_ID", text);
        let found = read(&format!("airflow://prod/dag.task/{run}")).unwrap();
        assert_eq!((found.namespace.as_str(), found.job.as_str()), ("airflow://prod", "dag.task"));
        for wrong in ["", run, "a/b", "a/b/c", &format!("b/{run}")] {
            assert_eq!(read(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn a_uuid_states_its_version_and_sorts_by_time() {
        let at = |seconds, name| uuid(Duration::from_secs(seconds), name);
        let first = at(1_700_000_000, "a");
        assert!(is_uuid(&first) && &first[14..15] == "7" && "89ab".contains(&first[19..20]), "{first}");
        assert!(first < at(1_700_000_001, "a") && first != at(1_700_000_000, "b"));
        assert_eq!(first, at(1_700_000_000, "a"));
    }
}
