//! Every built-in default and bound, in one place. Nothing here depends on a machine.
//!
//! What overrides them, strongest first: a builder's call, a flag, a `PROCUNIT_*` variable, the config file.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::signal::Signal;

/// What asks a proc to end.
pub const STOP_SIGNAL: Signal = Signal::TERM;
/// From the stop signal to SIGKILL.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// From SIGKILL to giving up on seeing the end.
pub const KILL_WAIT: Duration = Duration::from_secs(5);
/// The unit's own stop timeout, which ends a proc whose caller died in the middle of a stop.
pub const BACKSTOP: Duration = Duration::from_secs(90);
/// What `procunit run` adds to its stop timeout to get the backstop of an attached proc.
pub const RUN_BACKSTOP_MARGIN: Duration = Duration::from_secs(5);
/// Until a proc that declares readiness must be ready.
pub const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Procs between delivery of the stop signal and their end at one time, when many are ended.
pub const STOP_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");
/// Launches that a manager on systemd has under way at one time. It has one thread, which 4 keep at work; that 8 and 16
/// are no faster was measured with programs that are in memory (252, 2 cores), and some are not.
pub const LAUNCHES_AT_ONCE: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");
/// The same, of plain children: one thread makes them, and each on its way holds a handful of descriptors.
pub const NATIVE_LAUNCHES_AT_ONCE: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");
/// From the first answer of systemd or the bus that there is no room now, how long a start is tried again.
pub const TRY_AGAIN_FOR: Duration = Duration::from_secs(10);
/// Lines of standard error that a report shows.
pub const TAIL_LINES: usize = 20;
/// How long the streams this process reads itself are drained once a proc is over.
pub const TAIL_DRAIN: Duration = Duration::from_millis(50);
/// Ends that a manager remembers.
pub const EXIT_RECORDS: usize = 10_000;
/// Ended detached units kept per user; the oldest go first.
pub const ENDED_DETACHED_UNITS: usize = 1_000;
/// Transitions kept per proc.
pub const TRANSITIONS_KEPT: usize = 64;
/// Procs in one slice: launching into a slice slows down as it fills (measured, 252: 270 a second into an empty
/// slice, 143 into one with 3,000 units; flat with 50 to a slice).
pub const PROCS_PER_SLICE: NonZeroUsize = NonZeroUsize::new(50).expect("not zero");
/// Journald streams a manager opens itself; 252's journald serves about 4,092 for the whole host (measured).
pub const OWNED_JOURNAL_STREAMS: usize = 1_024;

/// How long the streams of a proc that is over are kept, so that the end of its log can be asked for.
pub const STREAMS_KEPT: Duration = Duration::from_secs(30);
/// How long a report that is asked for waits until the journal has all that its proc wrote.
pub const LOG_END_WAIT: Duration = Duration::from_secs(2);
/// How long journalctl may take for the last lines of a proc, and a millisecond more for each of them.
pub const LAST_LINES_WAIT: Duration = Duration::from_secs(5);

/// From the end of a run to its restart, where a policy names no other: systemd's own (systemd.service(5)).
pub const RESTART_DELAY: Duration = Duration::from_millis(100);
/// Runs kept per proc; of a restarted one the newest.
pub const RUNS_KEPT: usize = 64;

/// Bytes in one line of a unit file; systemd refuses to load a longer one (`LONG_LINE_MAX`, fileio.h), so that a
/// reload would break a running unit.
pub const UNIT_LINE_MAX: usize = 1024 * 1024;
/// Environment entries a proc can have (`ENVIRONMENT_ASSIGNMENTS_MAX`, env-util.h).
pub const ENVIRONMENT_ENTRIES_MAX: usize = 16 * 1024;
/// Bytes in one argument, and in one environment entry as `NAME=VALUE`, without the NUL at its end (`MAX_ARG_STRLEN`,
/// linux/binfmts.h). Kernels with pages over 4 KiB take more; a spec means the same on all.
pub const EXEC_STRING_MAX: usize = 128 * 1024 - 1;
/// Bytes in a label: it ends up in the unit's description and in one environment value.
pub const LABEL_MAX: usize = 256;
