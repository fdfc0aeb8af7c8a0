//! One proc as its caller wants it: checked, and then fixed.

use std::ffi::OsString;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::builder::ProcSpecBuilder;
use super::environment::Environment;
use super::restart::RestartPolicy;
use super::stdio::Stdio;
use super::stop::StopPolicy;
use crate::id::ProcId;

/// How long a proc may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// It ends when the manager that launched it does, however that ends.
    #[default]
    Attached,
    /// It outlives its manager, and its end stays readable until it is reaped.
    Detached,
}

/// What is to run, and how it is to be ended. Made by [`ProcSpecBuilder`]; it never changes.
///
/// `Debug` shows the names of environment variables, never their values.
#[derive(Debug, Clone)]
pub struct ProcSpec {
    pub(super) id: ProcId,
    pub(super) program: String,
    pub(super) argv: Vec<String>,
    pub(super) environment: Environment,
    pub(super) cwd: Option<String>,
    pub(super) umask: Option<u32>,
    pub(super) rank: Option<u32>,
    pub(super) label: Option<String>,
    pub(super) stdio: Stdio,
    pub(super) forward: Option<bool>,
    pub(super) aggregate: Option<bool>,
    pub(super) stop: StopPolicy,
    pub(super) lifetime: Lifetime,
    pub(super) runtime_max: Option<Duration>,
    pub(super) restart: Option<RestartPolicy>,
    pub(super) replace_ended: bool,
    pub(super) properties: Vec<(String, String)>,
}

impl ProcSpec {
    /// Starts a spec of `program` under `id`.
    ///
    /// The program is a path, or a bare name that the launcher looks up on the `PATH` of the proc's environment.
    pub fn builder(id: ProcId, program: impl Into<OsString>) -> ProcSpecBuilder {
        ProcSpecBuilder::new(id, program.into())
    }

    /// What the caller calls it.
    pub fn id(&self) -> &ProcId {
        &self.id
    }

    /// The program as it was given: a path, or a name to look up.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The whole argument vector, `argv[0]` included; never empty.
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// The environment: its base and the changes.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The working directory as it was given; the caller's where there is none.
    pub fn cwd(&self) -> Option<&str> {
        self.cwd.as_deref()
    }

    /// The file mode creation mask; the caller's where there is none.
    pub fn umask(&self) -> Option<u32> {
        self.umask
    }

    /// Its number among its like, passed as `PROCUNIT_RANK`.
    pub fn rank(&self) -> Option<u32> {
        self.rank
    }

    /// What people read in its place; the id where there is none.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// `label @ host`: what people read of it where it runs, and its `PROCUNIT_PROCESS_NAME`.
    pub fn process_name(&self, host: &str) -> String {
        format!("{} @ {host}", self.label().unwrap_or(self.id().as_str()))
    }

    /// The standard streams.
    pub fn stdio(&self) -> &Stdio {
        &self.stdio
    }

    /// Whether its lines go to the channel of a manager that has one; the manager's to say where there is no word on it.
    pub fn forward(&self) -> Option<bool> {
        self.forward
    }

    /// Whether its lines go to the files of a manager that has such; the same.
    pub fn aggregate(&self) -> Option<bool> {
        self.aggregate
    }

    /// How it is ended.
    pub fn stop(&self) -> &StopPolicy {
        &self.stop
    }

    /// Whether it ends with its manager.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// The longest it may run; `None` is as long as it likes.
    pub fn runtime_max(&self) -> Option<Duration> {
        self.runtime_max
    }

    /// What it is started again by when a run of it is over; `None` is nothing.
    pub fn restart(&self) -> Option<&RestartPolicy> {
        self.restart.as_ref()
    }

    /// Whether an ended proc of the same id makes way for it.
    pub fn replaces_ended(&self) -> bool {
        self.replace_ended
    }

    /// Service properties by name, as given; the launcher types them.
    pub fn properties(&self) -> &[(String, String)] {
        &self.properties
    }
}
