//! What can go wrong at a launcher: one enum per operation, sources kept.

use std::path::PathBuf;

use crate::id::ProcId;
use crate::spec::SpecError;
use crate::status::FailReason;
use crate::unit::PropertyError;

/// The error underneath: a bus error, an OS error, or that of a launcher of the caller's own.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a proc was not started. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The spec cannot be launched as it stands.
    #[error("invalid spec: {0}")]
    InvalidSpec(#[from] SpecError),
    /// A service property cannot be passed on.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// A proc of this id is not over, or a detached one that is over has not been removed.
    #[error("{id} exists already; stop or remove it first, or choose another name")]
    AlreadyExists {
        /// The id.
        id: ProcId,
    },
    /// A unit has the name that this proc's would have, and procunit did not make it.
    #[error(
        "{unit} exists and was not started by procunit; end it with `systemctl --user stop {unit}`, or choose \
         another name"
    )]
    NotOurs {
        /// The unit.
        unit: String,
    },
    /// The proc of this id is over, but another client still holds its unit.
    #[error("{id} is over, but another client still holds its unit; try again when that client lets go")]
    NameHeld {
        /// The id.
        id: ProcId,
    },
    /// The main process of an earlier run of this id is over, and systemd is still ending what it left behind.
    #[error(
        "{id} is over, but what it left behind is still being ended; try again when that is done, or kill it first"
    )]
    StillEnding {
        /// The id.
        id: ProcId,
    },
    /// No program of that name.
    #[error("{program}: not found{}", searched.as_deref().map(|path| format!(" in {path}")).unwrap_or_default())]
    NotFound {
        /// What was looked for, as the caller wrote it.
        program: String,
        /// The PATH that was searched, for a bare name.
        searched: Option<String>,
    },
    /// The file that its output was to be appended to cannot be opened.
    #[error("cannot append its output to {path}")]
    OutputFile {
        /// The file.
        path: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// There is such a file, and it cannot be executed.
    #[error("{path}: {why}", path = path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The program names another one that has to run it, and that one cannot be executed.
    #[error("{path}: its interpreter {interpreter}: {why}", path = path.display(), interpreter = interpreter.display())]
    Interpreter {
        /// The program.
        path: PathBuf,
        /// What its `#!` line or its ELF header names.
        interpreter: PathBuf,
        /// Why that cannot be executed.
        why: &'static str,
    },
    /// The working directory cannot be used.
    #[error("working directory {path}: {source}", path = path.display())]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The process could not be set up, so that the program was never executed.
    #[error("{id} was not started: {reason}")]
    Setup {
        /// The id.
        id: ProcId,
        /// The step that failed, or why there was no process.
        reason: FailReason,
        /// The kernel's answer to that step. systemd tells the step alone.
        #[source]
        source: Option<std::io::Error>,
    },
    /// Somebody stopped it before the program was executed.
    #[error("{id} was stopped before its program ran (start job: {result})")]
    Interrupted {
        /// The id.
        id: ProcId,
        /// systemd's word for the end of the start job.
        result: String,
    },
    /// The launcher cannot be reached.
    #[error("{what}; {remedy}")]
    Unreachable {
        /// What cannot be reached.
        what: String,
        /// What to do about it.
        remedy: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// The launcher said no.
    #[error("{id} was refused: {message} ({name}){}", unnamed(properties))]
    Rejected {
        /// The id.
        id: ProcId,
        /// The launcher's own name of the error, such as `org.freedesktop.DBus.Error.AccessDenied`.
        name: String,
        /// Its words.
        message: String,
        /// The spec's own properties, `NAME=VALUE`, where those words name none of them: one may be why.
        properties: Vec<String>,
        /// The error.
        #[source]
        source: Source,
    },
    /// This launcher has no way to do what the spec asks for.
    #[error("{id}: {why}")]
    Unsupported {
        /// The id.
        id: ProcId,
        /// What it cannot do, and what could.
        why: String,
    },
    /// The manager is gone.
    #[error("the manager is gone")]
    Closed,
    /// The operating system said no.
    #[error("{doing}: {source}")]
    Os {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

fn unnamed(properties: &[String]) -> String {
    match properties {
        [] => String::new(),
        some => format!("; see what was asked for with -p {}", some.join(" -p ")),
    }
}

#[cfg(feature = "systemd")]
impl LaunchError {
    /// The same, with the spec's own properties where a refusal might be about one of them and does not say which.
    pub(crate) fn about(mut self, asked: &[(String, String)]) -> Self {
        if let Self::Rejected { message, properties, .. } = &mut self {
            // Both spellings of a time: systemd names `JobTimeoutUSec` where `JobTimeoutSec` was asked for.
            let is_named =
                |(name, _): &(String, String)| message.contains(name.strip_suffix("Sec").unwrap_or(name));
            if !asked.iter().any(is_named) {
                *properties = asked.iter().map(|(name, value)| format!("{name}={value}")).collect();
            }
        }
        self
    }
}

/// Why a signal or a stop was not delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// Nothing of the proc is there to take it.
    #[error("nothing of it is left")]
    Gone,
    /// The launcher has no way to do that.
    #[error("the launcher cannot do that: {0}")]
    Unsupported(&'static str),
    /// The launcher could not deliver it.
    #[error("not delivered: {0}")]
    Failed(#[source] Source),
}

/// Why a proc was not adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// No proc of this id is known, running or ended.
    #[error("no proc {id}")]
    NotFound {
        /// The id.
        id: ProcId,
    },
    /// A unit has the name, and procunit did not make it.
    #[error("{unit} was not started by procunit: {why}")]
    NotOurs {
        /// The unit.
        unit: String,
        /// What tells.
        why: &'static str,
    },
    /// A unit has the name, and it stands in a file: procunit makes none.
    #[error("{unit} was not started by procunit: it is no transient unit")]
    NotTransient {
        /// The unit.
        unit: String,
    },
    /// The units that the launcher sees are another user's.
    #[error("{unit} belongs to user {owner}, and this is user {user}; run it as that user")]
    OtherOwner {
        /// The unit.
        unit: String,
        /// The number of the user whose it is.
        owner: u32,
        /// The number of the user who asks.
        user: u32,
    },
    /// The manager is gone.
    #[error("the manager is gone")]
    Closed,
    /// This manager holds it already.
    #[error("{id} is held already")]
    AlreadyHeld {
        /// The id.
        id: ProcId,
    },
    /// The launcher could not be asked.
    #[error("cannot look at {id}: {source}")]
    Launcher {
        /// The id.
        id: ProcId,
        /// Why.
        #[source]
        source: Source,
    },
}

/// Why the procs could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list procs: {0}")]
pub struct SurveyError(#[source] pub Source);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str) -> LaunchError {
        LaunchError::Rejected {
            id: ProcId::new("web").unwrap(),
            name: "org.x.Bad".to_owned(),
            message: message.to_owned(),
            properties: Vec::new(),
            source: "underneath".into(),
        }
    }

    #[test]
    fn a_refusal_that_names_no_property_shows_those_that_were_asked_for() {
        let asked = [("DevicePolicy".to_owned(), "foo".to_owned()), ("Nice".to_owned(), "5".to_owned())];
        assert_eq!(
            refused("Invalid argument").about(&asked).to_string(),
            "web was refused: Invalid argument (org.x.Bad); see what was asked for with -p DevicePolicy=foo -p Nice=5"
        );
        for message in ["Cannot set property Nice", "Invalid DevicePolicy setting: foo"] {
            let told = refused(message).about(&asked).to_string();
            assert_eq!(told, format!("web was refused: {message} (org.x.Bad)"));
        }
        let timeout = [("JobTimeoutSec".to_owned(), "1".to_owned())];
        assert!(!refused("Bad JobTimeoutUSec").about(&timeout).to_string().contains("-p"));
        assert!(!refused("Invalid argument").about(&[]).to_string().contains("-p"));
    }
}
