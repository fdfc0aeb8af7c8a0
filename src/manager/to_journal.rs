//! How the journal takes what a run writes to it: a stream each, one for both, or, where it takes none, files.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::outlets::Outlets;
use super::output::RunOutput;
use crate::id::UnitName;
use crate::journal::StdStream;
use crate::journal::pool::Room;
use crate::launcher::{LaunchError, Stream, StreamKinds};
use crate::spec::ProcSpec;

/// See the module.
pub(super) struct ToJournal<'a> {
    outlets: &'a Outlets,
    spec: &'a ProcSpec,
    way: Way,
    /// The one stream of both.
    shared: Option<Arc<OwnedFd>>,
    named: Option<String>,
}

enum Way {
    /// A stream each.
    Own,
    /// One for both, opened here.
    Shared,
    /// One for both, opened by the launcher for each run.
    Launchers,
    /// It takes none.
    Unreachable(String),
}

impl<'a> ToJournal<'a> {
    /// Of a run that has this many streams of the journal's own.
    pub(super) async fn of(
        outlets: &'a Outlets,
        kinds: StreamKinds,
        spec: &'a ProcSpec,
        streams: usize,
        output: &mut RunOutput,
    ) -> Self {
        let shared = if kinds == StreamKinds::Descriptors { Way::Shared } else { Way::Launchers };
        let room = if streams == 0 { Room::Shared } else { outlets.room(streams).await };
        let way = match room {
            Room::Own(lease) if kinds != StreamKinds::PathsOrJournal => {
                output.lease(lease);
                Way::Own
            }
            Room::Own(_) | Room::Shared => shared,
            Room::Full => Way::Unreachable("it has no room for further streams".to_owned()),
        };
        Self { outlets, spec, way, shared: None, named: None }
    }

    /// What `JOURNAL_STREAM` has to say.
    pub(super) fn named(self) -> Option<String> {
        self.named
    }

    /// Opens one of the streams.
    ///
    /// # Errors
    /// Where not even a file can take it.
    pub(super) async fn open(
        &mut self,
        which: StdStream,
        kept: &mut RunOutput,
    ) -> Result<Stream, LaunchError> {
        let opened = match &self.way {
            Way::Own => self.own(which, kept).await,
            Way::Shared => self.shared(kept).await,
            Way::Launchers => {
                kept.share();
                return Ok(Stream::Journal);
            }
            Way::Unreachable(why) => return self.file(which, why, kept).map(by_path),
        };
        match opened {
            Ok(fd) => Ok(Stream::Fd(fd)),
            Err(error) => {
                let why = error.to_string();
                let opened = self.file(which, &why, kept).map(by_path);
                self.way = Way::Unreachable(why);
                opened
            }
        }
    }

    async fn own(&mut self, which: StdStream, kept: &mut RunOutput) -> io::Result<Arc<OwnedFd>> {
        let opened = self.outlets.connect(self.spec.id(), Some(which)).await?;
        // Of two streams systemd names that of standard error, too (`exec_child`, execute.c).
        self.named = opened.inode().ok();
        let fd = opened.fd();
        kept.keep_own(which, opened);
        Ok(fd)
    }

    async fn shared(&mut self, kept: &mut RunOutput) -> io::Result<Arc<OwnedFd>> {
        if let Some(shared) = &self.shared {
            return Ok(Arc::clone(shared));
        }
        let opened = self.outlets.connect(self.spec.id(), None).await?;
        self.named = opened.inode().ok();
        kept.share();
        Ok(Arc::clone(self.shared.insert(opened.fd())))
    }

    /// A file in place of the journal, and its path.
    ///
    /// # Errors
    /// Where there can be none.
    pub(super) fn file(
        &self,
        which: StdStream,
        why: &str,
        kept: &mut RunOutput,
    ) -> Result<(String, File), LaunchError> {
        let path = file_for(self.spec, which).ok_or_else(|| LaunchError::Unreachable {
            what: format!(
                "the journal cannot be reached ({why}), and neither XDG_STATE_HOME nor HOME says where files go"
            ),
            remedy: "set XDG_STATE_HOME, or send its output to a file, a pipe or /dev/null".to_owned(),
            source: io::Error::from(io::ErrorKind::NotFound).into(),
        })?;
        // systemd and reports know text alone.
        let Some(text) = path.to_str() else {
            return Err(LaunchError::Unreachable {
                what: format!(
                    "the journal cannot be reached ({why}), and {} cannot take its place: that path is not UTF-8",
                    path.display()
                ),
                remedy:
                    "set XDG_STATE_HOME to a path that is, or send its output to a file, a pipe or /dev/null"
                        .to_owned(),
                source: io::Error::from(io::ErrorKind::InvalidFilename).into(),
            });
        };
        let dir = |path: &std::path::Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        let made = path.parent().map_or(Ok(()), dir);
        let opened = made.and_then(|()| OpenOptions::new().append(true).create(true).mode(0o600).open(&path));
        let file = opened.map_err(|source| LaunchError::Unreachable {
            what: format!("the journal cannot be reached ({why}), and neither can {}", path.display()),
            remedy: "start systemd-journald, or send its output to a file, a pipe or /dev/null".to_owned(),
            source: source.into(),
        })?;
        self.outlets.warn(self.spec.id(), why, &path);
        kept.fall_back(which, &path, why);
        Ok((text.to_owned(), file))
    }
}

/// Whoever starts a run opens it.
fn by_path((path, _): (String, File)) -> Stream {
    Stream::File(path)
}

/// `$XDG_STATE_HOME/procunit/logs`; the name of a unit has no slash.
fn file_for(spec: &ProcSpec, which: StdStream) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let unit = UnitName::for_proc(spec.id()).to_string();
    let name = unit.strip_suffix(".service").unwrap_or(&unit);
    Some(state.join("procunit/logs").join(format!("{name}.{which}")))
}
