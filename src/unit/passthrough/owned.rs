//! Properties that are not free: the lifecycle contract gives each proc a value of its own, and another would make
//! statuses, ends or environments untrue.

/// The way to ask for the same thing, for a property that cannot be given by name; `None` for a free one.
pub(super) fn instead_of(name: &str) -> Option<&'static str> {
    // Both spellings of one property share a row.
    let stem = name.strip_suffix("USec").or_else(|| name.strip_suffix("Sec")).unwrap_or(name);
    let row = OWNED.iter().find(|(names, _)| names.contains(&stem));
    row.map(|(_, instead)| *instead).or_else(|| by_prefix(name))
}

/// Whole families.
fn by_prefix(name: &str) -> Option<&'static str> {
    const FAMILIES: [(&str, &str); 4] = [
        ("Exec", "the command to run stands after --"),
        ("StandardInput", "pass standard input to procunit itself, or use run -d for none"),
        ("StandardOutput", "redirect procunit's own output, or use run -d for the journal"),
        ("StandardError", "redirect procunit's own standard error, or use run -d for the journal"),
    ];
    // Not commands but paths, and free.
    if matches!(name, "ExecPaths" | "ExecSearchPath") {
        return None;
    }
    FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, instead)| *instead)
}

const OWNED: [(&[&str], &str); 17] = [
    (&["Type", "ExitType", "NotifyAccess", "PIDFile", "GuessMainPID", "BusName"], "every proc is Type=exec"),
    (&["Environment", "PassEnvironment"], "use -e NAME=VALUE"),
    (&["EnvironmentFile", "EnvironmentFiles"], "use --env-file FILE"),
    (&["UnsetEnvironment"], "use --clean-env and -e NAME=VALUE"),
    (&["WorkingDirectory"], "use -C DIR"),
    (
        &["Restart", "RestartMaxDelay", "RestartSteps", "StartLimitBurst", "StartLimitInterval"],
        "use --restart, --restart-delay and --restart-max-delay",
    ),
    (
        &["RestartForceExitStatus", "RestartMode", "RestartPreventExitStatus", "SuccessExitStatus"],
        "an exit code is told as it is, and --restart goes by it",
    ),
    (&["RemainAfterExit", "CollectMode"], "use run -d for a proc whose end is kept"),
    (&["RuntimeMax", "RuntimeRandomizedExtra"], "use --timeout DUR"),
    (&["KillSignal", "RestartKillSignal"], "use --stop-signal SIG"),
    (&["TimeoutStop", "TimeoutAbort"], "use --stop-timeout DUR"),
    (&["Timeout"], "use TimeoutStartSec and --stop-timeout DUR"),
    (
        &["KillMode", "SendSIGKILL", "FinalKillSignal", "TimeoutStopFailureMode"],
        "a stop ends the whole tree, by SIGKILL at last",
    ),
    (&["Slice", "BindsTo", "After", "AddRef"], "it decides where a proc lives and what it ends with"),
    (
        &["RefuseManualStart", "RefuseManualStop", "StopWhenUnneeded"],
        "every proc can be started and stopped, and stops only when asked",
    ),
    (&["SyslogIdentifier", "Description"], "they carry the proc's name: use -n NAME"),
    (
        &["TTYPath", "TTYReset", "TTYVHangup", "TTYVTDisallocate"],
        "use -t for a terminal of its own; what it is like is taken from this one",
    ),
];
