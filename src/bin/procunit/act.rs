//! Doing something to each of several procs, some at a time, and telling what came of it.

use futures_util::{StreamExt as _, stream};
use procunit::id::{ProcId, UnitName};
use procunit::launcher::AdoptError;
use procunit::report::{Report, VERSION};
use procunit::spec::defaults;
use procunit::{ProcHandle, ProcManager};
use serde::Serialize;

use crate::args::{Format, Global};
use crate::select::Selected;
use crate::{exit, show};

/// What came of one proc, as it is told in JSON.
#[derive(Debug, Serialize)]
struct Outcome {
    version: u32,
    id: ProcId,
    unit: Option<UnitName>,
    /// What was done; null where it failed.
    done: Option<Done>,
    /// Why it was not done.
    error: Option<String>,
    /// The proc as it was then.
    report: Option<Report>,
}

/// What was done to a proc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    /// It was ended and removed.
    Stopped,
    /// It was ended by SIGKILL.
    Killed,
    /// A signal was sent.
    Signalled,
    /// It was over, and was removed.
    Removed,
    /// Nothing was left to do.
    Nothing,
}

/// What was done, and the same in words.
pub(crate) struct Deed {
    pub(crate) done: Done,
    pub(crate) words: String,
    pub(crate) report: Option<Report>,
}

/// Does `deed` to each, up to 16 at a time, and tells what came of each as soon as it is known. The exit code says
/// whether all went well.
pub(crate) async fn on_each<F, D>(global: &Global, selected: &Selected, deed: F) -> anyhow::Result<u8>
where
    F: Fn(Report) -> D,
    D: Future<Output = anyhow::Result<Deed>>,
{
    let deeds = selected.reports.iter().map(|report| {
        let deed = deed(report.clone());
        async move { (report, deed.await) }
    });
    let mut deeds = stream::iter(deeds).buffer_unordered(defaults::STOP_CONCURRENCY.get());
    let (mut outcomes, mut failed) = (Vec::new(), false);
    while let Some((report, came)) = deeds.next().await {
        failed |= came.is_err();
        tell(global, &report.id, &came)?;
        let outcome = Outcome::of(report, came);
        if global.output == Format::Jsonl {
            show::json_line(&outcome)?;
        }
        outcomes.push(outcome);
    }
    if global.output == Format::Json {
        outcomes.sort_by(|one, other| one.id.cmp(&other.id));
        show::json_list("results", &outcomes)?;
    }
    let missing = selected.tell_missing();
    Ok(match (failed, missing) {
        (true, _) => exit::FAILED,
        (false, true) => exit::NO_PROC,
        (false, false) => 0,
    })
}

/// Takes hold of a proc that was seen; `None` where it is gone by now.
pub(crate) async fn hold(manager: &ProcManager, report: &Report) -> anyhow::Result<Option<ProcHandle>> {
    match manager.adopt(&report.id).await {
        Ok(handle) => Ok(Some(handle)),
        Err(AdoptError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Nothing was there any more when its turn came.
pub(crate) fn gone() -> Deed {
    Deed { done: Done::Nothing, words: "gone already".to_owned(), report: None }
}

impl Outcome {
    fn of(report: &Report, came: anyhow::Result<Deed>) -> Self {
        let (done, error, then) = match came {
            Ok(deed) => (Some(deed.done), None, deed.report),
            Err(error) => (None, Some(format!("{error:#}")), None),
        };
        Self { version: VERSION, id: report.id.clone(), unit: report.unit.clone(), done, error, report: then }
    }
}

/// Tells people what came of one.
fn tell(global: &Global, id: &ProcId, came: &anyhow::Result<Deed>) -> anyhow::Result<()> {
    match (came, global.output) {
        (Err(error), _) => show::say(format_args!("procunit: {id}: {error:#}")),
        (Ok(_), Format::Name) => show::line(id)?,
        (Ok(deed), Format::Table | Format::Wide) if !global.quiet => {
            show::line(format_args!("{id}: {}", deed.words))?;
        }
        (Ok(_), _) => {}
    }
    Ok(())
}
