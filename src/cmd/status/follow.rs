//! `mlsm status --follow`: the graph is made once, then only the store is asked. It ends when everything is up to date, and
//! computes, locks and writes nothing.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mlsm_engine::{Graph, InputSource, Survey};

use super::facts::Facts;
use super::{line, look, workspace};
use crate::error::CliError;
use crate::render::screen::Screen;
use crate::render::stdout::{self, Reader};
use crate::render::terminal;
use crate::settings::{Settings, Verbosity};
use crate::signals;
use crate::workspace::Workspace;

/// How soon a signal is heard.
const GLANCE: Duration = Duration::from_millis(20);

/// Looks every so many seconds.
pub fn follow(every: u32, settings: &Settings) -> Result<(), CliError> {
    let mut shown = Shown::new(settings);
    let mut silent = settings.clone();
    silent.verbosity = Verbosity::Quiet;
    loop {
        let workspace = workspace(&silent)?;
        let mut survey = Survey::new(&workspace.assembly.graph);
        loop {
            let facts = Facts::of(&look(&mut survey, &workspace)?);
            let is_over = facts.is_current();
            if shown.show(facts, &workspace, settings)? == Reader::Gone || is_over {
                return Ok(());
            }
            pause(Duration::from_secs(u64::from(every)))?;
            if is_pending(&workspace.assembly.graph) {
                break; // photos or weights may have come: there is nothing to list until they have
            }
        }
    }
}

fn is_pending(graph: &Graph) -> bool {
    let mut inputs = graph.nodes().iter().flat_map(|node| &node.units).flat_map(|unit| &unit.inputs);
    inputs.any(|input| matches!(input.source, InputSource::Pending(_)))
}

fn pause(time: Duration) -> Result<(), CliError> {
    #[expect(clippy::disallowed_methods, reason = "how often it looks")]
    let begun = Instant::now();
    while begun.elapsed() < time {
        if signals::asked().load(Ordering::SeqCst) {
            return Err(CliError::Cancelled);
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

/// Where it is shown, and what was shown last.
enum Shown {
    Screen(Screen),
    Lines(Option<Facts>),
}

impl Shown {
    fn new(settings: &Settings) -> Self {
        match !settings.is_json() && std::io::stdout().is_terminal() {
            true => Self::Screen(Screen::default()),
            false => Self::Lines(None),
        }
    }

    fn show(&mut self, facts: Facts, workspace: &Workspace, settings: &Settings) -> Result<Reader, CliError> {
        match self {
            Self::Screen(screen) => screen.draw(&format!("{}\n{}\n", facts.text(terminal::width()), facts.verdict())),
            Self::Lines(last) if last.as_ref() == Some(&facts) => Ok(Reader::There),
            Self::Lines(last) => {
                let reader = stdout::send_json(&line(workspace, settings, &facts)?);
                *last = Some(facts);
                reader
            }
        }
    }
}
