//! What helps against an error, as data: which words, flags and verbs say it is up to the command line.

use std::path::PathBuf;

/// One thing that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// A sentence without flags or verbs of the program, which starts with a verb in lower case.
    Words(String),
    /// A change of the configuration.
    Key {
        /// The key, with its section where that is certain.
        key: String,
        /// What to do with it.
        change: Change,
    },
    /// Another store.
    OtherStore,
    /// Another device.
    OtherDevice,
    /// Artifacts of any kind of device, where only one kind was accepted.
    AnyDevice,
    /// Fewer threads.
    FewerThreads,
    /// Another row of the configuration to predict with.
    OtherRow {
        /// Rows that would do, in words; empty where any other may do.
        such_as: &'static str,
    },
    /// Waiting until others have finished.
    Wait,
    /// Weights that are to be fetched into a store.
    FetchWeights {
        /// Their name.
        name: String,
        /// The root of the store.
        store: PathBuf,
    },
    /// The list of the nodes of the configuration.
    ListNodes,
    /// A plan of work that is drawn anew.
    NewPlan,
    /// The stage before this one, computed again.
    RedoUpstream,
    /// The repair of the store.
    RepairStore {
        /// What follows it, such as `then run again`; empty when it suffices.
        then: &'static str,
    },
}

/// What to do with a key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Set it to this value, written as in TOML, or to a value of this kind (`FILE`).
    To(String),
    /// Give it a smaller value.
    Lower,
    /// Give it another value.
    Other,
    /// Take it out.
    Remove,
}

impl Fix {
    /// Sets a key of the configuration.
    pub fn set(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Key { key: key.into(), change: Change::To(value.into()) }
    }

    /// Lowers a value of the configuration.
    pub fn lower(key: impl Into<String>) -> Self {
        Self::Key { key: key.into(), change: Change::Lower }
    }

    /// Changes a value of the configuration.
    pub fn other(key: impl Into<String>) -> Self {
        Self::Key { key: key.into(), change: Change::Other }
    }

    /// Takes a key out of the configuration.
    pub fn remove(key: impl Into<String>) -> Self {
        Self::Key { key: key.into(), change: Change::Remove }
    }
}

impl From<&str> for Fix {
    fn from(words: &str) -> Self {
        Self::Words(words.to_owned())
    }
}

impl From<String> for Fix {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}
