//! What failed and why, with what helps.

use std::error::Error;
use std::fmt;

use crate::Fix;

/// An error that a person can act on. Its `Display` is one line: what failed and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What failed, without a full stop.
    pub what: String,
    /// The reasons, the nearest one first.
    pub why: Vec<String>,
    /// What helps: any one of these.
    pub fixes: Vec<Fix>,
}

impl Explanation {
    /// Says what failed.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: Vec::new(), fixes: Vec::new() }
    }

    /// Takes what failed from an error, and the reasons from its sources. A source that is told already is left out.
    ///
    /// ```
    /// use mlsm_errors::Explanation;
    ///
    /// let error = std::io::Error::other("the cable is loose");
    /// assert_eq!(Explanation::of(&error).what, "the cable is loose");
    /// assert!(Explanation::of(&error).why.is_empty());
    /// ```
    pub fn of(error: &dyn Error) -> Self {
        let mut explanation = Self::new(error.to_string());
        let mut next = error.source();
        while let Some(source) = next {
            let why = source.to_string();
            let is_told = |text: &String| text.contains(&why);
            if !is_told(&explanation.what) && !explanation.why.iter().any(is_told) {
                explanation.why.push(why);
            }
            next = source.source();
        }
        explanation
    }

    /// Describes what only a mistake in the program can cause.
    pub fn defect(what: impl Into<String>) -> Self {
        Self::new(what).because("this is a defect of the program").fix("report it with this message")
    }

    /// Adds a reason.
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Adds the failure below this one as its reasons; what helps is said here.
    pub fn caused_by(mut self, cause: Self) -> Self {
        self.why.push(cause.what);
        self.why.extend(cause.why);
        self
    }

    /// Adds something that helps.
    pub fn fix(mut self, fix: impl Into<Fix>) -> Self {
        self.fixes.push(fix.into());
        self
    }

    /// Names in front where it failed.
    ///
    /// ```
    /// use mlsm_errors::Explanation;
    ///
    /// assert_eq!(Explanation::new("no photo is left").within("crop").what, "crop: no photo is left");
    /// ```
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// Adds another failure of the same kind, so that both can be mended in one round.
    ///
    /// ```
    /// use mlsm_errors::{Explanation, Fix};
    ///
    /// let unreadable = |photo: &str| Explanation::new(format!("cannot read {photo}")).because("it is empty").fix("remove it");
    /// let both = unreadable("a.jpg").and(unreadable("b.jpg"));
    /// assert_eq!(both.what, "cannot read a.jpg");
    /// assert_eq!(both.why, ["it is empty", "cannot read b.jpg: it is empty"]);
    /// assert_eq!(both.fixes, [Fix::from("remove it")]);
    /// ```
    pub fn and(mut self, other: Self) -> Self {
        let mut reasons = other.why.into_iter();
        self.why.push(match reasons.next() {
            Some(first) => format!("{}: {first}", other.what),
            None => other.what,
        });
        self.why.extend(reasons);
        for fix in other.fixes {
            if !self.fixes.contains(&fix) {
                self.fixes.push(fix);
            }
        }
        self
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let separators = std::iter::once(": ").chain(std::iter::repeat("; "));
        separators.zip(&self.why).try_for_each(|(separator, why)| write!(f, "{separator}{why}"))
    }
}

impl From<&str> for Explanation {
    fn from(what: &str) -> Self {
        Self::new(what)
    }
}

impl From<String> for Explanation {
    fn from(what: String) -> Self {
        Self::new(what)
    }
}

/// An error that says what failed, why, and what helps. Its `Display` is only what failed.
///
/// ```
/// use std::fmt;
///
/// use mlsm_errors::{Explain, Explanation, Fix};
///
/// #[derive(Debug)]
/// struct TooFew {
///     have: usize,
/// }
///
/// impl fmt::Display for TooFew {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.write_str("too few classes")
///     }
/// }
///
/// impl std::error::Error for TooFew {}
///
/// impl Explain for TooFew {
///     fn reason(&self) -> Option<String> {
///         Some(format!("there are {}", self.have))
///     }
///
///     fn fixes(&self) -> Vec<Fix> {
///         vec![Fix::lower("n_way")]
///     }
/// }
///
/// let expected = Explanation::new("too few classes").because("there are 3").fix(Fix::lower("n_way"));
/// assert_eq!(TooFew { have: 3 }.explain(), expected);
/// ```
pub trait Explain: Error + Sized {
    /// Returns the reason, where it is not the source of the error.
    fn reason(&self) -> Option<String> {
        None
    }

    /// Returns what helps.
    fn fixes(&self) -> Vec<Fix> {
        Vec::new()
    }

    /// Returns all of it as data. An error that wraps others hands this on to them.
    fn explain(&self) -> Explanation {
        let Explanation { what, why, .. } = Explanation::of(self);
        Explanation { what, why: self.reason().into_iter().chain(why).collect(), fixes: self.fixes() }
    }
}
