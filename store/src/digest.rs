//! The two kinds of 256-bit identity: of bytes, and of requests. They cannot be confused, since they are two types.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A file of so many bytes is read in parts of as many, which all threads digest together.
const LARGE: u64 = 1 << 22;

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not 64 hexadecimal digits")]
pub struct ParseHexError(pub String);

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Returns the 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Returns the first 12 hexadecimal digits, for people.
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseHexError;

            fn from_str(text: &str) -> Result<Self, ParseHexError> {
                Ok(Self(parse(text)?))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(HexDigits).map(Self)
            }
        }
    };
}

identity!(
    /// The BLAKE3 digest of bytes: equal digests, equal bytes.
    Digest
);
identity!(
    /// The identity of a request: stage, version, recipe and the digests of its inputs.
    Fingerprint
);

fn parse(text: &str) -> Result<[u8; 32], ParseHexError> {
    let found = blake3::Hash::from_hex(text).map_err(|_| ParseHexError(text.to_owned()))?;
    Ok(*found.as_bytes())
}

/// Reads an identity out of a document without a copy of its text.
struct HexDigits;

impl Visitor<'_> for HexDigits {
    type Value = [u8; 32];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 hexadecimal digits")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<[u8; 32], E> {
        parse(text).map_err(E::custom)
    }
}

impl Digest {
    /// Digests bytes in memory.
    ///
    /// ```
    /// use mlsm_store::Digest;
    ///
    /// let digest = Digest::of(b"a photo");
    /// assert_eq!(digest, Digest::of(b"a photo"));
    /// assert_eq!(digest.to_string().parse::<Digest>()?, digest);
    /// # Ok::<(), mlsm_store::ParseHexError>(())
    /// ```
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Digests a file and counts its bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of_file(path: &Path) -> io::Result<(Self, u64)> {
        Self::of_file_while(path, &|| true)
    }

    /// Digests a file for as long as `goes_on` says so, which is asked before each part of it.
    ///
    /// # Errors
    /// When the file cannot be read; [`io::ErrorKind::Interrupted`] when it was to go on no longer.
    pub fn of_file_while(path: &Path, goes_on: &dyn Fn() -> bool) -> io::Result<(Self, u64)> {
        let (mut file, mut hasher) = (File::open(path)?, blake3::Hasher::new());
        let is_large = file.metadata()?.len() >= LARGE;
        let (mut buffer, mut bytes) = (vec![0; if is_large { LARGE as usize } else { 1 << 17 }], 0);
        loop {
            if !goes_on() {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "stopping was asked for"));
            }
            match file.read(&mut buffer)? {
                0 => return Ok((Self(*hasher.finalize().as_bytes()), bytes)),
                n => {
                    match is_large {
                        true => hasher.update_rayon(&buffer[..n]),
                        false => hasher.update(&buffer[..n]),
                    };
                    bytes += n as u64;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_blake3_and_survives_writing_and_reading() {
        // The first test vector of the BLAKE3 specification: the empty input.
        let hex = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_string(), hex);
        assert_eq!(hex.parse::<Digest>().unwrap(), Digest::of(b""));
        let json = serde_json::to_string(&Digest::of(b"x")).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), Digest::of(b"x"));
    }

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for length in [300_000, 9_000_001] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| (i % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Digest::of_file(&path).unwrap(), (Digest::of(&bytes), u64::from(length)));
        }
    }

    #[test]
    fn anything_but_64_hexadecimal_digits_is_refused() {
        for text in ["", "ab", &"g".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
