//! Errors of the configuration: the key, the reason, and the nearest right key.

use mlsm_errors::{Explain, Fix};
use thiserror::Error;

/// A key or value of the configuration that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}")]
pub struct ConfigError {
    /// What was refused.
    pub what: String,
    /// The reason.
    pub why: String,
    /// What to do: any one of these.
    pub fixes: Vec<Fix>,
    /// The dotted key.
    pub path: String,
    /// The names that would have been right.
    pub expected: Vec<String>,
}

impl ConfigError {
    /// Refuses the value of a key.
    pub(crate) fn invalid(path: &str, why: &str) -> Self {
        let what =
            if path.is_empty() { "cannot read the configuration".to_owned() } else { format!("cannot use `{path}`") };
        let fixes = vec!["see configs/README.md for every key, its type and its default".into()];
        Self { what, why: why.to_owned(), fixes, path: path.to_owned(), expected: Vec::new() }
    }

    /// Says what to do in particular.
    pub(crate) fn with_fix(self, fix: impl Into<Fix>) -> Self {
        Self { fixes: vec![fix.into()], ..self }
    }

    /// Refuses a name that refers to nothing.
    pub(crate) fn unknown_name(path: &str, name: &str, known: &[&str]) -> Self {
        let expected: Vec<String> = known.iter().map(|k| (*k).to_owned()).collect();
        Self {
            what: format!("`{path}` names `{name}`, which does not exist"),
            why: format!("there {}", list(&expected)),
            fixes: vec![fix(name, &expected)],
            path: path.to_owned(),
            expected,
        }
    }

    /// Turns serde's message into one with the nearest right name.
    pub(crate) fn from_serde(path: &str, message: &str) -> Self {
        let unknown = ["unknown field", "unknown variant"].iter().any(|start| message.starts_with(start));
        let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
        match quoted.next() {
            Some(found) if unknown => {
                let expected: Vec<String> = quoted.collect();
                let is_field = message.starts_with("unknown field");
                let path = if is_field { join_key(path, &found) } else { path.to_owned() };
                let what = if is_field { format!("unknown key `{path}`") } else { format!("cannot use `{path}`") };
                let why = match is_field {
                    true => format!("here {}", list(&expected)),
                    false => format!("`{found}` is not a value of it; there {}", list(&expected)),
                };
                Self { what, why, fixes: vec![fix(&found, &expected)], path, expected }
            }
            _ => Self::invalid(path, message),
        }
    }
}

impl Explain for ConfigError {
    fn reason(&self) -> Option<String> {
        Some(self.why.clone())
    }

    fn fixes(&self) -> Vec<Fix> {
        self.fixes.clone()
    }
}

/// serde reports the path of the enclosing table or of the field itself, depending on where it noticed.
fn join_key(path: &str, key: &str) -> String {
    match path {
        "" | "." => key.to_owned(),
        path if path == key || path.ends_with(&format!(".{key}")) => path.to_owned(),
        path => format!("{path}.{key}"),
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "are none".to_owned(),
        [one] => format!("is `{one}`"),
        many => format!("are {}", many.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
    }
}

fn fix(found: &str, expected: &[String]) -> Fix {
    let nearest = expected.iter().min_by_key(|name| strsim::damerau_levenshtein(name, found));
    match nearest.filter(|name| strsim::normalized_damerau_levenshtein(name, found) >= 0.5) {
        Some(name) => format!("did you mean `{name}`?").into(),
        None if expected.is_empty() => "remove it".into(),
        None => "use one of these, or remove it".into(),
    }
}
