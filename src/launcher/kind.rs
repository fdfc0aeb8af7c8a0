//! Launchers by name, and the choice among them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::timeout;

use super::{LaunchError, ProcLauncher};

/// How long a bus may hang before [`LauncherKind::Auto`] does without it. Where a user manager is needed, the bus has
/// longer.
const AUTO_WAIT: Duration = Duration::from_secs(5);

/// Which launcher is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LauncherKind {
    /// systemd where its user manager answers, else native.
    #[default]
    Auto,
    /// systemd, or an error.
    Systemd,
    /// Plain child processes.
    Native,
}

/// A launcher that was chosen at run time.
pub struct Chosen {
    /// The launcher.
    pub launcher: Box<dyn ProcLauncher>,
    /// Why it is not systemd, where that was wanted more: for people, one line. What is lost with it is a unit, the
    /// journal and the control group; a detached proc is refused by it.
    pub fallback: Option<LaunchError>,
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen")
            .field("launcher", &self.launcher.name())
            .field("fallback", &self.fallback)
            .finish()
    }
}

impl LauncherKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Systemd, Self::Native];

    /// Its name, as [`FromStr`] takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Systemd => "systemd",
            Self::Native => "native",
        }
    }

    /// Makes the launcher, within a tokio runtime.
    ///
    /// `Auto` gives the bus 5 s to answer.
    ///
    /// # Errors
    /// [`LaunchError::Unreachable`] where systemd is wanted and no user manager answers, or this build has no such
    /// launcher; [`LaunchError::Os`].
    pub async fn connect(self) -> Result<Chosen, LaunchError> {
        match self {
            Self::Systemd => Ok(Chosen { launcher: systemd().await?, fallback: None }),
            Self::Native => Ok(Chosen { launcher: native()?, fallback: None }),
            Self::Auto => match timeout(AUTO_WAIT, systemd()).await.unwrap_or_else(|_| Err(silent())) {
                Ok(launcher) => Ok(Chosen { launcher, fallback: None }),
                Err(why) => {
                    tracing::warn!(%why, "no user manager: procs are plain child processes");
                    Ok(Chosen { launcher: native()?, fallback: Some(why) })
                }
            },
        }
    }
}

impl fmt::Display for LauncherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no launcher of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no launcher {0:?}; there are auto, systemd and native")]
pub struct UnknownLauncher(String);

impl FromStr for LauncherKind {
    type Err = UnknownLauncher;

    /// Blanks around the name and its case do not matter; what is unknown is an error, never a default.
    fn from_str(name: &str) -> Result<Self, UnknownLauncher> {
        let wanted = name.trim();
        let found = Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(wanted));
        found.ok_or_else(|| UnknownLauncher(name.to_owned()))
    }
}

fn silent() -> LaunchError {
    let told = format!("the user bus does not answer; {} s were waited", AUTO_WAIT.as_secs());
    unreachable(told.clone(), told.into())
}

fn unreachable(what: String, source: super::Source) -> LaunchError {
    LaunchError::Unreachable { what, remedy: "`procunit doctor` says what is missing".to_owned(), source }
}

#[cfg(feature = "systemd")]
async fn systemd() -> Result<Box<dyn ProcLauncher>, LaunchError> {
    let connected = super::systemd::SystemdLauncher::connect().await;
    Ok(Box::new(connected.map_err(|error| unreachable(error.to_string(), Box::new(error)))?))
}

#[cfg(not(feature = "systemd"))]
async fn systemd() -> Result<Box<dyn ProcLauncher>, LaunchError> {
    Err(not_built("systemd"))
}

#[cfg(feature = "native")]
fn native() -> Result<Box<dyn ProcLauncher>, LaunchError> {
    Ok(Box::new(super::native::NativeLauncher::new()?))
}

#[cfg(not(feature = "native"))]
fn native() -> Result<Box<dyn ProcLauncher>, LaunchError> {
    Err(not_built("native"))
}

#[cfg(not(all(feature = "systemd", feature = "native")))]
fn not_built(feature: &str) -> LaunchError {
    unreachable(format!("this build has no {feature} launcher"), format!("feature {feature:?} is off").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_any_case_and_with_blanks_around() {
        for kind in LauncherKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(format!(" {} \n", kind.name().to_uppercase()).parse(), Ok(kind));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_says_it() {
        let error = "sytemd".parse::<LauncherKind>().unwrap_err();
        assert_eq!(error.to_string(), "no launcher \"sytemd\"; there are auto, systemd and native");
        assert!("".parse::<LauncherKind>().is_err());
    }
}
