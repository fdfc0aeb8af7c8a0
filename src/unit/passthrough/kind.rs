//! Which property takes which kind of value, and its name on D-Bus.

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    I32,
    U32,
    I64,
    U64,
    F64,
    Str,
    StrList,
    /// A file mode.
    Octal,
    Signal,
    /// A number that people know by a name.
    Named(&'static [(&'static str, i32)]),
    /// A length of time; a bare number counts `default` microseconds each.
    Micros {
        default: u64,
        zero_is_none: bool,
    },
    /// A length of time whose property counts nanoseconds.
    Nanos,
    /// CPU time as a percentage of one CPU.
    Quota,
    /// A percentage of 2^32 - 1.
    Scale,
    /// Bytes, or a percentage of the machine's.
    Size,
    /// A number, or a percentage of what the machine allows.
    Count,
    /// 1 to 10000, and `idle` where that is one.
    Weight {
        idle: bool,
    },
    /// A resource limit, soft and hard.
    Limit(LimitUnit),
}

/// What a resource limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitUnit {
    Number,
    Bytes,
    Seconds,
    Micros,
    Nice,
}

const SECOND: u64 = 1_000_000;

/// Spellings of a unit file that stand for another name on D-Bus, beyond `...Sec` for `...USec`.
const ALIASES: [(&str, &str); 1] = [("CPUQuota", "CPUQuotaPerSecUSec")];

/// The D-Bus name of a unit file's spelling, where it differs.
pub(super) fn bus_name(name: &str) -> Option<String> {
    let alias = ALIASES.iter().find(|(spelling, _)| *spelling == name).map(|(_, bus)| (*bus).to_owned());
    alias.or_else(|| name.strip_suffix("Sec").map(|stem| format!("{stem}USec")))
}

/// The kind of a property's value: its signature says it, but for those that people write with a unit or a name.
/// `None` where one line of text does not give it.
pub(super) fn of(given: &str, property: &str, signature: &str) -> Option<Kind> {
    match signature {
        "b" => Some(Kind::Bool),
        "x" => Some(Kind::I64),
        "d" => Some(Kind::F64),
        "s" => Some(Kind::Str),
        "as" => Some(Kind::StrList),
        "i" => Some(of_i32(property)),
        "u" => Some(of_u32(property)),
        "t" => of_u64(given, property),
        _ => None,
    }
}

fn of_i32(property: &str) -> Kind {
    let names = NAMED.iter().find(|(name, _)| *name == property).map(|(_, names)| *names);
    match names {
        Some(names) => Kind::Named(names),
        None if property.ends_with("Signal") => Kind::Signal,
        None => Kind::I32,
    }
}

fn of_u32(property: &str) -> Kind {
    match property {
        "UMask" => Kind::Octal,
        "ManagedOOMMemoryPressureLimit" => Kind::Scale,
        _ if property.ends_with("DirectoryMode") => Kind::Octal,
        _ => Kind::U32,
    }
}

/// Sets of names behind one number: what systemd-run works out for them takes tables of the kernel's.
const BIT_SETS: [&str; 5] =
    ["AmbientCapabilities", "CapabilityBoundingSet", "CoredumpFilter", "MountFlags", "RestrictNamespaces"];

fn of_u64(given: &str, property: &str) -> Option<Kind> {
    let kind = match property {
        _ if BIT_SETS.contains(&property) => return None,
        "CPUQuotaPerSecUSec" if given == "CPUQuota" => Kind::Quota,
        "TimerSlackNSec" => Kind::Nanos,
        "TasksMax" => Kind::Count,
        "CPUWeight" | "StartupCPUWeight" => Kind::Weight { idle: true },
        "IOWeight" | "StartupIOWeight" => Kind::Weight { idle: false },
        _ => match property.strip_prefix("Limit") {
            Some(resource) => Kind::Limit(limit_unit(resource)),
            None if property.ends_with("USec") => micros(given, property),
            None if is_memory(property) => Kind::Size,
            None => Kind::U64,
        },
    };
    Some(kind)
}

/// In the unit file's spelling a bare number is in seconds, in D-Bus's in microseconds. A start or job timeout of
/// zero is none (systemd.service(5), systemd.unit(5)).
fn micros(given: &str, property: &str) -> Kind {
    let default = if given == property { 1 } else { SECOND };
    let zero_is_none = property.starts_with("Timeout") || property.starts_with("Job");
    Kind::Micros { default, zero_is_none }
}

fn is_memory(property: &str) -> bool {
    ["Memory", "StartupMemory", "DefaultMemory", "DefaultStartupMemory"]
        .iter()
        .any(|prefix| property.starts_with(prefix))
}

/// setrlimit(2); `NICE` counts from 20 down (systemd.exec(5), "Process Properties").
fn limit_unit(resource: &str) -> LimitUnit {
    match resource.strip_suffix("Soft").unwrap_or(resource) {
        "AS" | "CORE" | "DATA" | "FSIZE" | "MEMLOCK" | "MSGQUEUE" | "RSS" | "STACK" => LimitUnit::Bytes,
        "CPU" => LimitUnit::Seconds,
        "RTTIME" => LimitUnit::Micros,
        "NICE" => LimitUnit::Nice,
        _ => LimitUnit::Number,
    }
}

/// syslog(3).
const LEVELS: &[(&str, i32)] = &[
    ("emerg", 0),
    ("alert", 1),
    ("crit", 2),
    ("err", 3),
    ("warning", 4),
    ("notice", 5),
    ("info", 6),
    ("debug", 7),
];

/// Numbers that people know by name: sched(7), ioprio_set(2), syslog(3), set_mempolicy(2).
const NAMED: [(&str, &[(&str, i32)]); 6] = [
    ("CPUSchedulingPolicy", &[("other", 0), ("fifo", 1), ("rr", 2), ("batch", 3), ("idle", 5)]),
    ("IOSchedulingClass", &[("none", 0), ("realtime", 1), ("best-effort", 2), ("idle", 3)]),
    ("LogLevelMax", LEVELS),
    ("NUMAPolicy", &[("default", 0), ("preferred", 1), ("bind", 2), ("interleave", 3), ("local", 4)]),
    (
        "SyslogFacility",
        &[
            ("kern", 0),
            ("user", 1),
            ("mail", 2),
            ("daemon", 3),
            ("auth", 4),
            ("syslog", 5),
            ("lpr", 6),
            ("news", 7),
            ("uucp", 8),
            ("cron", 9),
            ("authpriv", 10),
            ("ftp", 11),
            ("local0", 16),
            ("local1", 17),
            ("local2", 18),
            ("local3", 19),
            ("local4", 20),
            ("local5", 21),
            ("local6", 22),
            ("local7", 23),
        ],
    ),
    ("SyslogLevel", LEVELS),
];

impl Kind {
    /// What a value of this kind looks like.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Bool => "yes or no",
            Self::I32 | Self::I64 => "a whole number",
            Self::U32 | Self::U64 => "a whole number from 0 on",
            Self::F64 => "a number",
            Self::Str => "one line of text that does not end in a backslash",
            Self::StrList => "words, those with blanks in quotes",
            Self::Octal => "a file mode such as 022",
            Self::Signal => "a signal such as TERM, SIGTERM or 15",
            Self::Named(_) => "one of the names in systemd.exec(5), or its number",
            Self::Micros { .. } | Self::Nanos => "a length of time such as 90, 5min 20s or infinity",
            Self::Quota => "a percentage of one CPU such as 50% or 200%",
            Self::Scale => "a percentage from 0% to 100%",
            Self::Size => "a size such as 512M, a percentage such as 50%, or infinity",
            Self::Count => "a whole number, a percentage such as 50%, or infinity",
            Self::Weight { idle: true } => "1 to 10000, or idle",
            Self::Weight { idle: false } => "1 to 10000",
            Self::Limit(_) => "a limit such as 1024, 512:1024 (soft:hard) or infinity",
        }
    }
}
