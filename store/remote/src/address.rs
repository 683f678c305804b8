//! Addresses of buckets, read as people name them: what stands after the bucket is a prefix, to the letter. Read as the
//! address of a page, `s3://birds/run#1` would be `s3://birds/run`.

use object_store::path::Path;
use url::Url;

/// Schemes whose address is `scheme://bucket/prefix`.
const SCHEMES: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "adl", "abfs"];

/// Where a bucket is, and the prefix in it.
#[derive(Debug)]
pub(crate) struct Address {
    /// The address without its prefix, as the client of the service reads it.
    pub(crate) service: Url,
    /// The prefix; nothing when only the client of the service can tell it.
    pub(crate) prefix: Option<Path>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// In words, when it is none.
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let url = |text: &str| Url::parse(text).map_err(|e| e.to_string());
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme)) else {
            return Ok(Self { service: url(text)?, prefix: None });
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['#', '?', '%', ' ']) {
            return Err(format!("`{bucket}` is no name of a bucket"));
        }
        let parts: Vec<_> = prefix.split('/').filter(|part| !part.is_empty()).collect();
        let prefix = Path::parse(parts.join("/")).map_err(|e| e.to_string())?;
        Ok(Self { service: url(&format!("{scheme}://{bucket}"))?, prefix: Some(prefix) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_what_it_looks_like() {
        for (text, bucket, prefix) in [
            ("s3://birds/run#1", "birds", "run#1"),
            ("s3://birds/a b/c?d", "birds", "a b/c?d"),
            ("gs://birds/50%20off/é", "birds", "50%20off/é"),
            ("az://birds/x/", "birds", "x"),
            ("s3://birds", "birds", ""),
        ] {
            let address = Address::of(text).unwrap();
            assert_eq!(address.service.host_str(), Some(bucket), "{text}");
            assert_eq!(address.prefix.unwrap().as_ref(), prefix, "{text}");
        }
    }

    #[test]
    fn what_is_no_bucket_is_refused() {
        for text in ["s3:///prefix", "s3://", "s3://a#b/c", "s3://birds/../other"] {
            assert!(Address::of(text).is_err(), "{text}");
        }
    }
}
