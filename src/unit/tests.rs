//! Whole plans: golden texts, and what a proc would see of them.

use std::ffi::OsString;
use std::time::Duration;

use proptest::prelude::*;

use super::property::{Property, Value};
use super::*;
use crate::id::{ProcId, SliceName, TieName};
use crate::spec::{
    Field, Flaw, Input, Lifetime, OWN, Output, PER_SERVICE, ProcSpec, ProcSpecBuilder, RestartPolicy,
    SpecError, defaults,
};

fn builder(program: &str) -> ProcSpecBuilder {
    ProcSpec::builder(ProcId::new("shop/web/0").unwrap(), program)
}

fn launch(version: u32) -> LaunchContext {
    let env = [("HOME", "/home/u"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin"), ("TERM", "xterm")];
    LaunchContext {
        version: SystemdVersion(version),
        program: "/bin/sh".to_owned(),
        cwd: None,
        caller: Caller {
            env: env.map(|(name, value)| (name.into(), value.into())).to_vec(),
            cwd: "/home/u/shop".to_owned(),
            umask: 0o22,
            nofile: (1024, 524_288),
            host: "box".to_owned(),
        },
        manager_env: [("HOME", "/home/u"), ("LOGNAME", "u"), ("QT_ACCESSIBILITY", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        slice: SliceName::numbered("t0k3n", 0),
        tie: None,
        streams: UnitStreams::default(),
        extra: Vec::new(),
    }
}

/// The plan of a spec whose streams are opened as it says.
fn plan(spec: &ProcSpec, launch: &LaunchContext) -> Result<UnitPlan, SpecError> {
    let stdio = spec.stdio();
    let stream = |output: &Output| match output {
        Output::Null => UnitStream::Null,
        Output::Journal => UnitStream::Journal,
        _ => UnitStream::Descriptor,
    };
    let streams = UnitStreams {
        stdin: !matches!(stdio.stdin, Input::Null),
        stdout: stream(&stdio.stdout),
        stderr: stream(&stdio.stderr),
        terminal: stdio.terminal.clone(),
        ..launch.streams.clone()
    };
    super::plan(spec, &LaunchContext { streams, ..launch.clone() })
}

/// One line per property, for people.
fn render(properties: &[Property]) -> String {
    let lines = properties.iter().map(|property| format!("{}={}", property.name, shown(&property.value)));
    lines.chain([String::new()]).collect::<Vec<_>>().join("\n")
}

fn shown(value: &Value) -> String {
    let join = |commands: Vec<String>| commands.join("; ");
    match value {
        Value::Bool(value) => format!("{value}"),
        Value::I32(value) => format!("i {value}"),
        Value::U32(value) => format!("u {value}"),
        Value::I64(value) => format!("x {value}"),
        Value::U64(value) => format!("t {value}"),
        Value::F64(value) => format!("d {value}"),
        Value::Str(value) => format!("{value:?}"),
        Value::StrList(list) => format!("{list:?}"),
        Value::Exec(list) => join(list.iter().map(|c| format!("{:?} {:?}", c.path, c.argv)).collect()),
        Value::ExecEx(list) => {
            join(list.iter().map(|c| format!("{:?} {:?} {:?}", c.path, c.argv, c.flags)).collect())
        }
        Value::Fd(slot) => format!("fd {slot:?}"),
    }
}

fn attached() -> (ProcSpec, LaunchContext) {
    let spec = builder("sh")
        .args(["-c", "echo \"$HOME\"; exec cat"])
        .stdin(Input::Inherit)
        .stdout(Output::Inherit)
        .stderr(Output::Inherit)
        .stop_timeout(Duration::from_secs(3))
        .backstop(Duration::from_secs(8))
        .runtime_max(Duration::from_secs(60))
        .build();
    (spec.unwrap(), LaunchContext { tie: Some(TieName::new("t0k3n")), ..launch(252) })
}

/// Attached, with a bound and a delay that grows.
fn restarted() -> (ProcSpec, LaunchContext) {
    let policy = RestartPolicy::on_failure().max(5).delay(Duration::from_secs(1));
    let spec = builder("sleep").arg("100").restart(policy.max_delay(Duration::from_secs(60))).build();
    let tie = Some(TieName::new("t0k3n"));
    (spec.unwrap(), LaunchContext { program: "/bin/sleep".to_owned(), tie, ..launch(252) })
}

/// Detached, again and again.
fn always_restarted() -> (ProcSpec, LaunchContext) {
    let spec =
        builder("sleep").arg("100").restart(RestartPolicy::always()).lifetime(Lifetime::Detached).build();
    (spec.unwrap(), LaunchContext { program: "/bin/sleep".to_owned(), ..launch(252) })
}

#[test]
fn what_this_systemd_does_otherwise_with_restarts_is_said_at_the_launch() {
    let notes = |version: u32, spec: ProcSpecBuilder| {
        let plan = plan(&spec.build().unwrap(), &launch(version)).unwrap();
        plan.notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let growing = || RestartPolicy::always().max_delay(Duration::from_secs(60));
    assert_eq!(notes(254, builder("x").arg("$HOME").restart(growing().max(3))), [""; 0]);
    assert_eq!(notes(252, builder("x").restart(RestartPolicy::always())), [""; 0]);
    assert_eq!(notes(252, builder("x").arg("$HOME")), [""; 0], "nothing starts it again");
    let stays = "the delay of restarts stays 100ms: this systemd has none that grows (254 has)";
    assert_eq!(notes(253, builder("/bin/sh").restart(growing())), [stays]);
    for (spec, word) in [
        (
            builder("/bin/sh").restart(RestartPolicy::always().max(3)).lifetime(Lifetime::Detached),
            "counts restarts anew",
        ),
        (builder("/bin/sh").arg("$HOME").restart(RestartPolicy::always()), "will fail (203)"),
    ] {
        let told = notes(253, spec);
        assert!(told.len() == 1 && told[0].contains(word), "{told:?}");
    }
}

fn detached() -> (ProcSpec, LaunchContext) {
    let spec = builder("sleep")
        .arg("100")
        .lifetime(Lifetime::Detached)
        .label("the shop")
        .rank(7)
        .cwd("/srv")
        .umask(0o77)
        .env("SHOP", "a b")
        .env_remove("TERM")
        .runtime_max(Duration::from_secs(60))
        .build();
    let launch =
        LaunchContext { program: "/bin/sleep".to_owned(), cwd: Some("/srv".to_owned()), ..launch(252) };
    (spec.unwrap(), launch)
}

/// Each argument of one character is 4 bytes in the unit's file, and 10 to the kernel.
#[test]
fn more_than_exec_takes_in_all_is_refused_where_the_stack_limit_is_the_usual_one() {
    let spec = |count| builder("x").args(vec!["x"; count]).build().unwrap();
    assert!(plan(&spec(200_000), &launch(257)).is_ok());
    let refused = plan(&spec(250_000), &launch(257)).err().unwrap();
    assert_eq!(refused.field(), &Field::ExecTotal);
    let extra = vec![Property::new("LimitSTACKSoft", u64::MAX)];
    assert!(plan(&spec(250_000), &LaunchContext { extra, ..launch(257) }).is_ok());
}

#[test]
fn a_plan_is_what_the_golden_text_says() {
    let at = |version, (spec, launch): (ProcSpec, LaunchContext)| {
        let plan = plan(&spec, &LaunchContext { version: SystemdVersion(version), ..launch }).unwrap();
        format!("{}\n{}", plan.name, render(&plan.properties))
    };
    for (version, planned, golden) in [
        (252, attached(), include_str!("golden/attached-252.txt")),
        (257, attached(), include_str!("golden/attached-257.txt")),
        (252, detached(), include_str!("golden/detached-252.txt")),
        (257, detached(), include_str!("golden/detached-257.txt")),
        (252, restarted(), include_str!("golden/restarted-252.txt")),
        (257, restarted(), include_str!("golden/restarted-257.txt")),
        (252, always_restarted(), include_str!("golden/always-252.txt")),
        (257, always_restarted(), include_str!("golden/always-257.txt")),
    ] {
        let planned = at(version, planned);
        assert_eq!(planned, golden, "the plan for {version} is now:\n{planned}");
    }
}

#[test]
fn the_holder_is_what_the_golden_text_says() {
    let (name, properties) = tie_plan(&TieName::new("t0k3n"), "/bin/cat", &SliceName::numbered("t0k3n", 0));
    let planned = format!("{name}\n{}", render(&properties));
    assert_eq!(planned, include_str!("golden/tie.txt"), "the holder is now:\n{planned}");
}

#[test]
fn every_stream_has_a_setting_of_its_own() {
    let file = || std::sync::Arc::new(std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
    let streams = |stdin: Input, stdout: Output, stderr: Output| {
        let spec = builder("x").stdin(stdin).stdout(stdout).stderr(stderr).build().unwrap();
        let plan = plan(&spec, &launch(257)).unwrap();
        let standard: Vec<_> =
            plan.properties.into_iter().filter(|property| property.name.starts_with("Standard")).collect();
        render(&standard)
    };
    assert_eq!(
        streams(Input::Null, Output::Journal, Output::Null),
        "StandardInput=\"null\"\nStandardOutput=\"journal\"\nStandardError=\"null\"\n"
    );
    assert_eq!(
        streams(Input::Fd(file()), Output::Fd(file()), Output::Journal),
        "StandardInputFileDescriptor=fd Stdin\nStandardOutputFileDescriptor=fd Stdout\nStandardOutput=\"null\"\n\
         StandardError=\"journal\"\n"
    );
    // Later runs have no descriptors, and write to the journal.
    assert_eq!(
        streams(Input::Null, Output::Fd(file()), Output::Fd(file())),
        "StandardInput=\"null\"\nStandardOutputFileDescriptor=fd Stdout\nStandardOutput=\"journal\"\n\
         StandardErrorFileDescriptor=fd Stderr\n"
    );
    assert_eq!(
        streams(Input::Null, Output::Null, Output::Fd(file())),
        "StandardInput=\"null\"\nStandardOutput=\"null\"\nStandardErrorFileDescriptor=fd Stderr\n\
         StandardError=\"journal\"\n"
    );
    // The setting beside a passed standard output is never the one that standard error has.
    assert_eq!(
        streams(Input::Null, Output::Fd(file()), Output::Null),
        "StandardInput=\"null\"\nStandardOutputFileDescriptor=fd Stdout\nStandardOutput=\"journal\"\n\
         StandardError=\"null\"\n"
    );
}

#[test]
fn a_terminal_is_in_place_of_all_streams_and_is_what_the_caller_says_it_is() {
    let planned = |spec: ProcSpecBuilder| {
        let plan = plan(&spec.terminal("/dev/pts/7").build().unwrap(), &launch(257)).unwrap();
        let is_asked = |property: &Property| {
            property.name.starts_with("Standard")
                || ["TTYPath", "UnsetEnvironment"].contains(&&*property.name)
        };
        let (asked, rest) = plan.properties.into_iter().partition::<Vec<_>, _>(is_asked);
        (render(&asked), render(&rest))
    };
    let (asked, _) = planned(builder("x").env_remove("TERM"));
    for line in [
        "TTYPath=\"/dev/pts/7\"\nStandardInput=\"tty\"\nStandardOutput=\"tty\"\nStandardError=\"tty\"\n",
        "\"TERM\"",
    ] {
        assert!(asked.contains(line), "{asked}");
    }
    let (asked, rest) = planned(builder("x").env("TERM", "xterm-odd"));
    assert!(!asked.contains("TERM") && rest.contains("TERM=xterm-odd"), "{asked}{rest}");
}

#[test]
fn argv_is_planned_such_that_it_is_exact_or_refused_at_each_start() {
    let names = |version: u32, path: &str, argv: &[&str]| {
        let spec = builder("x").arg0(argv[0]).args(argv[1..].iter().copied()).build().unwrap();
        let plan = plan(&spec, &LaunchContext { program: path.to_owned(), ..launch(version) }).unwrap();
        let exec = plan.properties.into_iter().filter(|property| property.name.starts_with("Exec"));
        exec.map(|property| format!("{}={}", property.name, shown(&property.value))).collect::<Vec<_>>()
    };
    let exact = |path: &str, argv: &[&str]| format!("ExecStartEx={path:?} {argv:?} [\"no-env-expand\"]");
    for (path, argv) in [
        ("/bin/sh", vec!["sh", "-c", "a;b"]),
        ("/bin/sh", vec!["sh", "$HOME"]),
        ("/opt/my app", vec!["app"]),
        ("/opt/a;b", vec!["/opt/a;b"]),
    ] {
        let before_254 = names(253, path, &argv);
        let refusal = format!("ExecStart={:?} [{:?}]", exec::REFUSAL, exec::REFUSAL);
        assert_eq!(before_254, [refusal, "ExecStartEx=".to_owned(), exact(path, &argv)], "{argv:?}");
        assert_eq!(names(254, path, &argv), [exact(path, &argv)], "{argv:?}");
    }
    for (path, argv) in
        [("/bin/sh", vec!["sh", "%n", "\\", "\n", "", "é"]), ("/opt/my app", vec!["/opt/my app"])]
    {
        assert_eq!(names(252, path, &argv), [format!("ExecStart={path:?} {argv:?}")]);
        assert_eq!(names(257, path, &argv), [exact(path, &argv)]);
    }
}

#[test]
fn a_command_line_over_a_mebibyte_is_refused() {
    let planned = |size: usize| {
        let spec = builder("sh").args(vec!["x".repeat(size / 16); 16]).build().unwrap();
        plan(&spec, &launch(252)).map(|_| ()).map_err(|refused| refused.field().clone())
    };
    assert_eq!(planned(1_000_000), Ok(()));
    assert_eq!(planned(1_100_000), Err(Field::Argv));
}

#[test]
fn an_environment_that_is_too_large_is_refused() {
    let planned = |env: Vec<(OsString, OsString)>| {
        let mut launch = launch(252);
        launch.caller.env = env;
        plan(&builder("sh").build().unwrap(), &launch).map(|_| ())
    };
    let long = (0..11).map(|index| (format!("V{index}").into(), "x".repeat(100_000).into())).collect();
    assert!(matches!(planned(long).unwrap_err().flaw(), Flaw::LongLine { .. }));
    let many = (0..20_000).map(|index| (format!("V{index}").into(), "".into())).collect();
    let refused = planned(many).unwrap_err();
    assert_eq!(refused.field(), &Field::Environment);
    assert!(matches!(refused.flaw(), Flaw::TooMany { count: 20_002, max: 16_384 }), "{refused}");
}

#[test]
fn an_inherited_entry_that_exec_does_not_take_is_dropped_and_told() {
    let mut launch = launch(252);
    launch.caller.env.push(("BIG".into(), "x".repeat(defaults::EXEC_STRING_MAX).into()));
    let plan = plan(&builder("sh").build().unwrap(), &launch).unwrap();
    assert!(matches!(&plan.notes[..], [PlanNote::EnvironmentDropped(dropped)] if dropped[0].0 == "BIG"));
}

/// From 255 on such a path does not reach the executor whole (203, measured, 257).
#[test]
fn a_program_whose_path_has_a_line_break_or_ends_in_a_blank_is_refused() {
    for (program, flaw) in
        [("/srv/a\nb", Flaw::Control('\n')), ("/srv/a\rb", Flaw::Control('\r')), ("/srv/a ", Flaw::LostEnd)]
    {
        let launch = LaunchContext { program: program.to_owned(), ..launch(252) };
        let refused = plan(&builder("sh").build().unwrap(), &launch);
        assert_eq!(refused.err(), Some(SpecError::new(Field::Program, flaw)));
    }
}

#[test]
fn a_directory_that_a_unit_file_does_not_keep_is_refused() {
    let refused = |cwd: &str| {
        let launch = LaunchContext { cwd: Some(cwd.to_owned()), ..launch(252) };
        plan(&builder("sh").build().unwrap(), &launch).map(|_| ()).unwrap_err()
    };
    for (cwd, flaw) in [
        ("/a\nExecStart=/bin/true", Flaw::Control('\n')),
        ("/a\\", Flaw::LostEnd),
        ("/a ", Flaw::LostEnd),
        ("a", Flaw::NotAbsolute),
    ] {
        assert_eq!(refused(cwd), SpecError::new(Field::Cwd, flaw));
    }
}

#[test]
fn an_identifier_never_swallows_the_next_line_of_the_unit() {
    assert_eq!(syslog_identifier(&ProcId::new("a b\\c").unwrap()), "a b\\c");
    assert_eq!(syslog_identifier(&ProcId::new("a\\").unwrap()), "procunit-a::5c.service");
}

#[test]
fn the_stop_timeout_is_read_back_from_the_unit() {
    for millis in [0, 1, 10_000, 90_000] {
        let timeout = Duration::from_millis(millis);
        let spec = builder("x").stop_timeout(timeout).build().unwrap();
        let plan = plan(&spec, &launch(252)).unwrap();
        let kept = plan.properties.iter().find(|property| property.name == "TimeoutAbortUSec").unwrap();
        let Value::U64(micros) = kept.value else { panic!("{}", shown(&kept.value)) };
        assert_eq!(stop_timeout(micros), timeout);
    }
}

#[test]
fn what_was_changed_silently_is_said() {
    let mut launch = launch(252);
    launch.caller.env.push(("BASH_FUNC_x%%".into(), "() { :; }".into()));
    let notes = |spec: ProcSpecBuilder, launch: &LaunchContext| {
        let plan = plan(&spec.build().unwrap(), launch).unwrap();
        plan.notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let dropped = "not passed from the environment, as systemd cannot carry it: BASH_FUNC_x%%";
    assert_eq!(notes(builder("x"), &launch), [dropped]);
    assert_eq!(notes(builder("x").clean_env(true), &launch), [""; 0]);
    let cut = "the stop timeout of 2min is beyond the backstop and was cut to 1min 30s";
    assert_eq!(notes(builder("x").stop_timeout(Duration::from_secs(120)), &launch), [dropped, cut]);
}

mod environment {
    //! systemd's own merge, simulated (`exec_child`, execute.c): the manager's variables, its own for the service,
    //! the unit's, less what is unset.

    use std::collections::BTreeMap;

    use super::*;

    type Env = BTreeMap<String, String>;

    /// What systemd sets for a bare user service, by version (measured, 252 and 257).
    fn systemds(version: u32, journaled: bool) -> Env {
        let always = ["INVOCATION_ID", "MANAGERPID", "SYSTEMD_EXEC_PID"];
        let since_254 = ["MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"];
        let names = always.into_iter().chain(since_254.into_iter().filter(|_| version >= 254));
        let names = names.chain(journaled.then_some("JOURNAL_STREAM"));
        names.map(|name| (name.to_owned(), "systemd".to_owned())).collect()
    }

    /// What the program sees.
    fn seen(plan: &UnitPlan, launch: &LaunchContext, journaled: bool) -> Env {
        let list = |name: &str| {
            let property = plan.properties.iter().find(|property| property.name == name);
            match property.map(|property| property.value.clone()) {
                Some(Value::StrList(list)) => list,
                _ => Vec::new(),
            }
        };
        let mut env: Env = launch.manager_env.iter().cloned().collect();
        env.extend(systemds(launch.version.0, journaled));
        env.extend(list("Environment").iter().map(|entry| {
            let (name, value) = entry.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        }));
        env.retain(|name, _| !list("UnsetEnvironment").contains(name));
        env
    }

    fn name() -> impl Strategy<Value = String> {
        // Few names, so that the sources meet; some of systemd's and of ours among them.
        prop_oneof![
            4 => "[A-C]",
            1 => proptest::sample::select(PER_SERVICE.to_vec()).prop_map(str::to_owned),
            1 => proptest::sample::select(OWN.to_vec()).prop_map(str::to_owned),
            1 => proptest::sample::select(vec!["PATH", "HOME", "PROCUNIT_LAUNCHER"]).prop_map(str::to_owned),
            1 => Just("BASH_FUNC_f%%".to_owned()),
        ]
    }

    fn env() -> impl Strategy<Value = Env> {
        proptest::collection::btree_map(name(), "[a-z =$%\n]{0,4}", 0..8)
    }

    fn output() -> impl Strategy<Value = Output> {
        prop_oneof![Just(Output::Null), Just(Output::Inherit), Just(Output::Journal)]
    }

    proptest! {
        #[test]
        fn a_proc_sees_its_callers_environment_and_nothing_of_the_managers(
            caller in env(),
            mut manager in env(),
            changes in proptest::collection::btree_map("[A-C]", proptest::option::of("[a-z]{0,2}"), 0..3),
            clean: bool,
            rank in proptest::option::of(0_u32..9),
            stdout in output(),
            stderr in output(),
            version in proptest::sample::select(vec![252_u32, 257]),
        ) {
            // systemd accepts no such name.
            manager.remove("BASH_FUNC_f%%");
            let journaled = [&stdout, &stderr].into_iter().any(|output| matches!(output, Output::Journal));
            let inherits = [&stdout, &stderr].into_iter().any(|output| matches!(output, Output::Inherit));
            let mut spec = builder("x").clean_env(clean).stdout(stdout.clone()).stderr(stderr.clone());
            for (name, value) in &changes {
                spec = match value {
                    Some(value) => spec.env(name, value),
                    None => spec.env_remove(name),
                };
            }
            if let Some(rank) = rank {
                spec = spec.rank(rank);
            }
            let mut launch = launch(version);
            launch.caller.env = caller.iter().map(|(name, value)| (name.into(), value.into())).collect();
            launch.manager_env = manager.into_iter().collect();

            // What the contract says, independently of how it is done.
            let mut expected: Env = caller
                .into_iter()
                .filter(|(name, _)| !clean || ["PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR"].contains(&&**name))
                .filter(|(name, _)| !name.contains('%'))
                .filter(|(name, _)| {
                    !PER_SERVICE.contains(&&**name) || (name == "JOURNAL_STREAM" && inherits && !journaled)
                })
                .filter(|(name, _)| !OWN.contains(&&**name))
                .collect();
            for (name, value) in changes {
                match value {
                    Some(value) => expected.insert(name, value),
                    None => expected.remove(&name),
                };
            }
            expected.extend(systemds(version, journaled));
            expected.insert("PROCUNIT_ID".to_owned(), "shop/web/0".to_owned());
            expected.insert("PROCUNIT_PROCESS_NAME".to_owned(), "shop/web/0 @ box".to_owned());
            expected.extend(rank.map(|rank| ("PROCUNIT_RANK".to_owned(), rank.to_string())));

            let plan = plan(&spec.build().unwrap(), &launch).unwrap();
            prop_assert_eq!(seen(&plan, &launch, journaled), expected);
        }
    }

    #[test]
    fn of_several_inherited_entries_with_one_name_the_first_counts() {
        let mut launch = launch(252);
        launch.caller.env = vec![("A".into(), "1".into()), ("A".into(), "2".into())];
        let plan = plan(&builder("x").build().unwrap(), &launch).unwrap();
        assert_eq!(seen(&plan, &launch, true).get("A").map(String::as_str), Some("1"));
    }

    #[test]
    fn a_directory_variable_of_the_caller_does_not_hide_the_units_own() {
        let mut launch = launch(252);
        launch.caller.env = vec![("RUNTIME_DIRECTORY".into(), "/run/caller".into())];
        let inherited = |launch: &LaunchContext| {
            let plan = plan(&builder("x").build().unwrap(), launch).unwrap();
            seen(&plan, launch, true).contains_key("RUNTIME_DIRECTORY")
        };
        assert!(inherited(&launch));
        launch.extra = vec![Property::new("RuntimeDirectory", vec!["own".to_owned()])];
        assert!(!inherited(&launch));
    }

    #[test]
    fn one_of_systemds_is_hidden_only_from_who_asks() {
        let spec = builder("x").env_remove("INVOCATION_ID").build().unwrap();
        let launch = launch(257);
        let seen = seen(&plan(&spec, &launch).unwrap(), &launch, true);
        assert!(!seen.contains_key("INVOCATION_ID"));
        assert!(seen.contains_key("SYSTEMD_EXEC_PID"));
    }
}
