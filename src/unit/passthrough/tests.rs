//! The table of names and values, as systemd-run sends them.

use super::*;

/// A part of the introspection of a user manager's transient service (252).
fn signature(name: &str) -> Option<String> {
    let rows = [
        ("b", "MemoryAccounting NoNewPrivileges DefaultDependencies SendSIGHUP Delegate"),
        ("i", "Nice OOMScoreAdjust CPUSchedulingPolicy SyslogLevel SyslogFacility WatchdogSignal KillSignal"),
        ("u", "UMask RuntimeDirectoryMode StartLimitBurst ManagedOOMMemoryPressureLimit"),
        (
            "t",
            "TimeoutStartUSec RuntimeMaxUSec CPUQuotaPerSecUSec CPUQuotaPeriodUSec MemoryMax MemorySwapMax",
        ),
        (
            "t",
            "TasksMax CPUWeight IOWeight LimitNOFILE LimitCPU LimitSTACK LimitNICE LimitRTTIME WatchdogUSec",
        ),
        ("t", "TimerSlackNSec CapabilityBoundingSet RestartUSec JobTimeoutUSec"),
        ("s", "OOMPolicy ProtectSystem WorkingDirectory Type"),
        ("as", "Wants RuntimeDirectory ReadOnlyPaths Environment"),
        ("a(ss)", "DeviceAllow"),
        ("a(sasb)", "ExecStartPre"),
    ];
    let found = rows.iter().find(|(_, names)| names.split(' ').any(|known| known == name));
    found.map(|(signature, _)| (*signature).to_owned())
}

fn read(name: &str, value: &str) -> Result<Vec<(String, Value)>, PropertyError> {
    let properties = typed(name, value, &signature)?;
    Ok(properties.into_iter().map(|property| (property.name.into_owned(), property.value)).collect())
}

fn expect<const N: usize>(name: &str, value: &str, expected: [(&str, Value); N]) {
    let expected = expected.map(|(name, value)| (name.to_owned(), value)).to_vec();
    assert!(read(name, value) == Ok(expected), "{name}={value}");
}

#[test]
fn spellings_of_unit_files_become_what_systemd_run_sends() {
    const MIB: u64 = 1024 * 1024;
    expect("TimeoutStartSec", "1min 30s", [("TimeoutStartUSec", 90_000_000_u64.into())]);
    expect("TimeoutStartSec", "0", [("TimeoutStartUSec", u64::MAX.into())]);
    expect("JobTimeoutSec", "90", [("JobTimeoutUSec", 90_000_000_u64.into())]);
    expect("JobTimeoutSec", "infinity", [("JobTimeoutUSec", u64::MAX.into())]);
    expect("JobTimeoutUSec", "90", [("JobTimeoutUSec", 90_u64.into())]);
    expect("JobTimeoutUSec", "90s", [("JobTimeoutUSec", 90_000_000_u64.into())]);
    expect("CPUQuota", "50%", [("CPUQuotaPerSecUSec", 500_000_u64.into())]);
    expect("CPUQuota", "20.5%", [("CPUQuotaPerSecUSec", 205_000_u64.into())]);
    expect("CPUQuota", "300%", [("CPUQuotaPerSecUSec", 3_000_000_u64.into())]);
    expect("CPUQuotaPeriodSec", "100ms", [("CPUQuotaPeriodUSec", 100_000_u64.into())]);
    expect("MemoryMax", "512M", [("MemoryMax", (512 * MIB).into())]);
    expect("MemoryMax", "infinity", [("MemoryMax", u64::MAX.into())]);
    expect("MemoryMax", "50%", [("MemoryMaxScale", 0x8000_0000_u32.into())]);
    expect("MemorySwapMax", "100%", [("MemorySwapMaxScale", u32::MAX.into())]);
    expect("TasksMax", "100", [("TasksMax", 100_u64.into())]);
    expect("TasksMax", "10%", [("TasksMaxScale", 429_496_730_u32.into())]);
    expect("CPUWeight", "idle", [("CPUWeight", 0_u64.into())]);
    expect("TimerSlackNSec", "50", [("TimerSlackNSec", 50_u64.into())]);
    expect("TimerSlackNSec", "1ms", [("TimerSlackNSec", 1_000_000_u64.into())]);
    expect(
        "ManagedOOMMemoryPressureLimit",
        "40%",
        [("ManagedOOMMemoryPressureLimit", 1_717_986_918_u32.into())],
    );
}

#[test]
fn a_limit_sets_hard_first_and_then_soft() {
    let both = |hard: u64, soft: u64| [hard, soft];
    for (name, value, [hard, soft]) in [
        ("LimitNOFILE", "512:1024", both(1024, 512)),
        ("LimitNOFILE", "4096", both(4096, 4096)),
        ("LimitNOFILE", "1024:infinity", both(u64::MAX, 1024)),
        ("LimitCPU", "1min", both(60, 60)),
        ("LimitCPU", "1.5", both(2, 2)),
        ("LimitSTACK", "8M", both(8 << 20, 8 << 20)),
        ("LimitNICE", "-5", both(25, 25)),
        ("LimitNICE", "40", both(40, 40)),
        ("LimitRTTIME", "20ms", both(20_000, 20_000)),
    ] {
        expect(name, value, [(name, hard.into()), (&format!("{name}Soft"), soft.into())]);
    }
}

#[test]
fn plain_values_are_typed_by_their_signature() {
    expect("NoNewPrivileges", "yes", [("NoNewPrivileges", true.into())]);
    expect("SendSIGHUP", "off", [("SendSIGHUP", false.into())]);
    expect("Nice", "-5", [("Nice", (-5_i32).into())]);
    expect("OOMPolicy", "continue", [("OOMPolicy", "continue".into())]);
    expect("UMask", "027", [("UMask", 0o27_u32.into())]);
    expect("CPUSchedulingPolicy", "batch", [("CPUSchedulingPolicy", 3_i32.into())]);
    expect("SyslogLevel", "4", [("SyslogLevel", 4_i32.into())]);
    expect("SyslogFacility", "local0", [("SyslogFacility", 16_i32.into())]);
    expect("WatchdogSignal", "SIGINT", [("WatchdogSignal", 2_i32.into())]);
    let paths = ["/a", "/b c", "/d\"e"].map(str::to_owned).to_vec();
    expect("ReadOnlyPaths", r#"/a  "/b c" '/d"e'"#, [("ReadOnlyPaths", paths.into())]);
}

#[test]
fn a_value_of_another_kind_is_refused_with_what_would_do() {
    for (name, value) in [
        ("NoNewPrivileges", "maybe"),
        ("Nice", "5.5"),
        ("MemoryMax", "12X"),
        ("MemoryMax", "101%"),
        ("CPUQuota", "50"),
        ("CPUQuota", "0%"),
        ("CPUQuota", "1.234%"),
        ("CPUWeight", "0"),
        ("IOWeight", "idle"),
        ("LimitNOFILE", "2048:1024"),
        ("LimitNICE", "+20"),
        ("TimeoutStartSec", "5 parsecs"),
        ("TasksMax", "5K"),
        ("UMask", "9"),
        ("OOMPolicy", "stop\nExecStart=/bin/true"),
        ("OOMPolicy", "stop\\"),
        ("ReadOnlyPaths", "'/a"),
        ("SyslogLevel", "loud"),
    ] {
        let refused = read(name, value);
        assert!(
            matches!(&refused, Err(PropertyError::Value { name: of, .. }) if of == name),
            "{name}={value}: {:?}",
            refused.err()
        );
    }
    let message = read("MemoryMax", "12X").err().map(|error| error.to_string());
    let expected = "\"12X\" is no value for property \"MemoryMax\": it takes a size such as 512M, a percentage such as 50%, or \
         infinity";
    assert_eq!(message.as_deref(), Some(expected));
}

#[test]
fn what_the_contract_owns_is_refused_with_the_flag_to_use() {
    for (name, instead) in [
        ("ExecStartPre", "after --"),
        ("ExecStart", "after --"),
        ("Type", "Type=exec"),
        ("Environment", "-e NAME=VALUE"),
        ("TimeoutStopSec", "--stop-timeout"),
        ("TimeoutStopUSec", "--stop-timeout"),
        ("TimeoutSec", "--stop-timeout"),
        ("KillSignal", "--stop-signal"),
        ("RuntimeMaxSec", "--timeout"),
        ("RuntimeMaxUSec", "--timeout"),
        ("RuntimeRandomizedExtraSec", "--timeout"),
        ("Restart", "--restart"),
        ("RestartSec", "--restart-delay"),
        ("RestartUSec", "--restart-delay"),
        ("RestartMaxDelaySec", "--restart-max-delay"),
        ("StartLimitBurst", "--restart"),
        ("StartLimitIntervalSec", "--restart"),
        ("SuccessExitStatus", "told as it is"),
        ("TTYPath", "use -t"),
        ("WorkingDirectory", "-C DIR"),
        ("StandardOutputFileToAppend", "redirect"),
        ("Slice", "lives"),
        ("RemainAfterExit", "run -d"),
    ] {
        match read(name, "x") {
            Err(PropertyError::Owned { instead: said, .. }) => {
                assert!(said.contains(instead), "{name}: {said}");
            }
            other => panic!("{name}: {:?}", other.err()),
        }
    }
}

#[test]
fn a_misspelt_name_gets_the_nearest_that_this_systemd_has() {
    for (name, meant) in [
        ("MemoyMax", Some("MemoryMax")),
        ("memorymax", Some("MemoryMax")),
        ("CPUQouta", Some("CPUQuota")),
        ("TimeoutStartSecs", Some("TimeoutStartSec")),
        ("TaskMax", Some("TasksMax")),
        // Near `PrivateTmp`, which this manager does not have.
        ("PrivateTmpp", None),
        ("Colour", None),
        ("", None),
    ] {
        let expected = PropertyError::Unknown { name: name.to_owned(), suggestion: meant };
        assert_eq!(read(name, "1").err(), Some(expected));
    }
    let message = read("MemoyMax", "1").err().map(|error| error.to_string());
    assert_eq!(
        message.as_deref(),
        Some("this systemd has no service property \"MemoyMax\"; did you mean MemoryMax?")
    );
}

#[test]
fn types_that_a_line_does_not_give_are_refused() {
    for name in ["DeviceAllow", "CapabilityBoundingSet"] {
        assert!(matches!(read(name, "x"), Err(PropertyError::Unsupported { .. })), "{name}");
    }
}
