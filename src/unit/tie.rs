//! The holder: a service that ends exactly when the process of its manager does.
//!
//! Its standard input is the read end of a pipe whose write end the manager keeps and hands to nobody. However the
//! manager ends, the kernel closes the write end, the holder reads the end of the stream and exits, and what is
//! bound to it is stopped: 4 ms after a SIGKILL of the manager, with another child of it still alive (measured,
//! 252).

use super::property::{ExecCommand, FdSlot, Property};
use crate::id::{SliceName, TieName};

/// The name and the properties of a manager's holder.
///
/// `program` is an absolute path of a program that reads its standard input to the end and leaves on SIGTERM, such
/// as `/bin/cat`. The caller has checked that it is there: a `Type=simple` start does not tell. What that type saves
/// is the wait for the holder's exec before each proc's own (measured: 6 to 14 ms, 252 and 257).
pub fn tie_plan(tie: &TieName, program: &str, slice: &SliceName) -> (String, Vec<Property>) {
    // Its own name as argv[0]: a program of many names (busybox, uutils) goes by it.
    let argv = vec![program.to_owned()];
    let command = ExecCommand { path: program.to_owned(), argv, ignore_failure: false };
    let properties = vec![
        Property::new("Type", "simple"),
        Property::new("Description", "ends when its procunit manager does"),
        Property::new("ExecStart", vec![command]),
        Property::new("StandardInputFileDescriptor", FdSlot::Tie),
        Property::new("StandardOutput", "null"),
        Property::new("StandardError", "null"),
        Property::new("Slice", slice.as_str()),
        Property::new("CollectMode", "inactive-or-failed"),
        Property::new("KillMode", "control-group"),
        Property::new("TimeoutStopUSec", super::micros(STOP_TIMEOUT)),
        // One start and never another: the start of a proc that is tied to it while somebody stops it would start it
        // again, without the pipe (seen on 257).
        Property::new("StartLimitIntervalUSec", u64::MAX),
        Property::new("StartLimitBurst", 1_u32),
    ];
    (tie.as_str().to_owned(), properties)
}

/// The holder has nothing to save.
const STOP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
