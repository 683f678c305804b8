//! Errors as data: what failed, why, and what helps. Nothing here is laid out: the command line does that.
//!
//! ```
//! use mlsm_errors::{Explanation, Fix};
//!
//! let error = Explanation::new("no space left while writing a.bin")
//!     .because("the disk is full")
//!     .fix("free some space")
//!     .fix(Fix::OtherStore);
//! assert_eq!(error.to_string(), "no space left while writing a.bin: the disk is full");
//! assert_eq!(error.fixes, [Fix::from("free some space"), Fix::OtherStore]);
//! ```

mod explanation;
mod fix;

pub use explanation::{Explain, Explanation};
pub use fix::{Change, Fix};
