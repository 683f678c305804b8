//! Failures within one thread, for this crate's own tests: at one step the process dies, a write tears, or the disk is
//! full; and what a loss of power would take then.

#![expect(clippy::disallowed_methods, reason = "takes back what a simulated crash loses")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::Step;

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before the step: it and all later steps do nothing.
    Death,
    /// The process dies within the step: half of a write is done.
    Tear,
    /// The step alone fails, as on a full disk; the program lives on.
    Full,
}

#[derive(Default)]
struct State {
    fault: Option<(Fault, usize)>,
    count: usize,
    is_tearing: bool,
    volatile: Power,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Runs `work` with a fault at step `at`. Returns its result, the number of steps, and what was not yet durable.
pub(crate) fn under<T>(fault: Option<(Fault, usize)>, work: impl FnOnce() -> T) -> (T, usize, Power) {
    STATE.with(|s| *s.borrow_mut() = Some(State { fault, ..State::default() }));
    let result = work();
    let state = STATE.with(|s| s.borrow_mut().take()).expect("set above");
    (result, state.count, state.volatile)
}

pub(crate) fn before(step: Step<'_>) -> io::Result<()> {
    STATE.with(|s| match s.borrow_mut().as_mut() {
        Some(state) => state.before(step),
        None => Ok(()),
    })
}

pub(crate) fn tears() -> bool {
    STATE.with(|s| s.borrow_mut().as_mut().is_some_and(|state| std::mem::take(&mut state.is_tearing)))
}

impl State {
    fn before(&mut self, step: Step<'_>) -> io::Result<()> {
        let now = self.count;
        self.count += 1;
        match self.fault {
            Some((Fault::Full, at)) if now == at => Err(io::ErrorKind::StorageFull.into()),
            Some((Fault::Death | Fault::Tear, at)) if now >= at => {
                self.is_tearing = self.fault == Some((Fault::Tear, now)) && matches!(step, Step::Write(..));
                if self.is_tearing {
                    self.volatile.note(step);
                }
                Err(io::Error::other("the process is dead"))
            }
            _ => {
                self.volatile.note(step);
                Ok(())
            }
        }
    }
}

/// What a loss of power takes away: bytes that were not synced, names whose folder was not synced.
#[derive(Default)]
pub(crate) struct Power {
    /// Files and how many of their bytes are durable.
    bytes: BTreeMap<PathBuf, u64>,
    /// New names, with what they replaced.
    names: Vec<(PathBuf, Old)>,
    folders: Vec<PathBuf>,
}

/// What a name stood for before.
enum Old {
    Nothing,
    File(Vec<u8>),
    Link(PathBuf),
}

impl Old {
    fn of(path: &Path) -> Self {
        match (fs::read_link(path), fs::read(path)) {
            (Ok(target), _) => Self::Link(target),
            (_, Ok(bytes)) => Self::File(bytes),
            _ => Self::Nothing,
        }
    }
}

/// Follows files to the place to which they, or the tree around them, are renamed.
fn moved(bytes: BTreeMap<PathBuf, u64>, inner: impl Fn(&Path) -> Option<&Path>, to: &Path) -> BTreeMap<PathBuf, u64> {
    let place = |path: PathBuf| match inner(&path) {
        Some(inner) if inner.as_os_str().is_empty() => to.to_owned(),
        Some(inner) => to.join(inner),
        None => path,
    };
    bytes.into_iter().map(|(path, durable)| (place(path), durable)).collect()
}

impl Power {
    fn note(&mut self, step: Step<'_>) {
        match step {
            Step::Create(path) => drop(self.bytes.insert(path.to_owned(), 0)),
            Step::Write(path, _) => {
                let durable = fs::metadata(path).map_or(0, |m| m.len());
                self.bytes.entry(path.to_owned()).or_insert(durable);
            }
            Step::Sync(path) => drop(self.bytes.remove(path)),
            Step::SyncTree(root) => self.bytes.retain(|path, _| !path.starts_with(root)),
            Step::SyncFolder(folder) => {
                self.names.retain(|(name, _)| name.parent() != Some(folder));
                self.folders.retain(|made| made.parent() != Some(folder));
            }
            Step::Rename(from, to) => {
                self.bytes = moved(std::mem::take(&mut self.bytes), |path| path.strip_prefix(from).ok(), to);
                self.names.push((to.to_owned(), Old::of(to)));
            }
            Step::MakeFolder(path) if !path.exists() => self.folders.push(path.to_owned()),
            Step::Exchange(new, old) => {
                self.bytes = moved(std::mem::take(&mut self.bytes), |path| path.strip_prefix(new).ok(), old);
            }
            Step::MakeFolder(_) | Step::Remove => {}
        }
    }

    /// Takes it away.
    pub(crate) fn fails(self) {
        for (name, old) in self.names.into_iter().rev() {
            let is_folder = fs::symlink_metadata(&name).is_ok_and(|m| m.is_dir());
            let _ = if is_folder { fs::remove_dir_all(&name) } else { fs::remove_file(&name) };
            match old {
                Old::Nothing => {}
                Old::File(bytes) => fs::write(&name, bytes).unwrap(),
                Old::Link(target) => std::os::unix::fs::symlink(target, &name).unwrap(),
            }
        }
        for (path, durable) in self.bytes {
            if let Ok(file) = OpenOptions::new().write(true).open(&path) {
                let length = file.metadata().unwrap().len();
                file.set_len(durable + length.saturating_sub(durable) / 2).unwrap();
            }
        }
        for folder in self.folders {
            let _ = fs::remove_dir_all(folder);
        }
    }
}
