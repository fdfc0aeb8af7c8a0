//! Each refusal names its field, and what is accepted stays as it was given.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::id::ProcId;
use crate::signal::Signal;

fn builder(program: &str) -> ProcSpecBuilder {
    ProcSpec::builder(ProcId::new("a").unwrap(), program)
}

fn refusal(builder: ProcSpecBuilder) -> (Field, Flaw) {
    let refused = builder.build().unwrap_err();
    (refused.field().clone(), refused.flaw().clone())
}

fn not_utf8() -> OsString {
    OsStr::from_bytes(b"a\xff").to_owned()
}

#[test]
fn a_bare_spec_has_the_defaults() {
    let spec = builder("true").build().unwrap();
    assert_eq!(spec.argv(), ["true"]);
    assert_eq!(spec.environment(), &Environment::default());
    assert_eq!(spec.lifetime(), Lifetime::Attached);
    assert!(matches!(
        spec.stdio(),
        Stdio { stdin: Input::Null, stdout: Output::Journal, stderr: Output::Journal, terminal: None }
    ));
    let StopPolicy { signal, timeout, backstop, .. } = *spec.stop();
    assert_eq!((signal, timeout.as_secs(), backstop.as_secs()), (Signal::TERM, 10, 90));
    assert!(!spec.stop().is_cut());
}

#[test]
fn each_refusal_names_its_field_and_why() {
    let env_name = |name: &str| Field::EnvName(name.to_owned());
    let env_value = |name: &str| Field::EnvValue(name.to_owned());
    let cases = [
        (builder(""), Field::Program, Flaw::Empty),
        (builder("a\0b"), Field::Program, Flaw::Nul),
        (ProcSpec::builder(ProcId::new("a").unwrap(), not_utf8()), Field::Program, Flaw::NotUtf8),
        (builder("x").arg0("a\0"), Field::Arg(0), Flaw::Nul),
        (builder("x").arg("ok").arg(not_utf8()), Field::Arg(2), Flaw::NotUtf8),
        (builder("x").args(["a", "b\0"]), Field::Arg(2), Flaw::Nul),
        (builder("x").env("", "v"), env_name(""), Flaw::Empty),
        (builder("x").env("A=B", "v"), env_name("A=B"), Flaw::BadName),
        (builder("x").env("A\0", "v"), env_name("A\0"), Flaw::BadName),
        (builder("x").env("1A", "v"), env_name("1A"), Flaw::BadName),
        (builder("x").env("foo.bar", "v"), env_name("foo.bar"), Flaw::BadName),
        (builder("x").env_remove("BASH_FUNC_x%%"), env_name("BASH_FUNC_x%%"), Flaw::BadName),
        (builder("x").env("A", not_utf8()), env_value("A"), Flaw::NotUtf8),
        (builder("x").env("A", "\0"), env_value("A"), Flaw::Nul),
        (builder("x").env("PROCUNIT_ID", "v"), env_name("PROCUNIT_ID"), Flaw::Reserved),
        (builder("x").env_remove("PROCUNIT_RANK"), env_name("PROCUNIT_RANK"), Flaw::Reserved),
        (builder("x").env("INVOCATION_ID", "v"), env_name("INVOCATION_ID"), Flaw::Reserved),
        (builder("x").cwd(""), Field::Cwd, Flaw::Empty),
        (builder("x").cwd(not_utf8()), Field::Cwd, Flaw::NotUtf8),
        (builder("x").umask(0o1000), Field::Umask, Flaw::BadMode(0o1000)),
        (builder("x").label(""), Field::Label, Flaw::Empty),
        (builder("x").label("a\nb"), Field::Label, Flaw::Control('\n')),
        (builder("x").label("a".repeat(257)), Field::Label, Flaw::TooLong { len: 257, max: 256 }),
        (builder("x").backstop(Duration::ZERO), Field::Backstop, Flaw::Zero),
        (builder("x").backstop(Duration::from_nanos(999)), Field::Backstop, Flaw::Zero),
        (builder("x").backstop(Duration::MAX), Field::Backstop, Flaw::NotFinite),
        (builder("x").backstop(Duration::from_micros(u64::MAX)), Field::Backstop, Flaw::NotFinite),
        (builder("x").runtime_max(Duration::ZERO), Field::RuntimeMax, Flaw::Zero),
        (builder("x").runtime_max(Duration::MAX), Field::RuntimeMax, Flaw::NotFinite),
        (builder("x").property("", "v"), Field::Property(String::new()), Flaw::Empty),
        (builder("x").property("Nice", "\0"), Field::Property("Nice".to_owned()), Flaw::Nul),
    ];
    for (builder, field, flaw) in cases {
        assert_eq!(refusal(builder), (field, flaw));
    }
}

#[test]
fn too_many_environment_entries_are_refused() {
    let entries = |count: usize| builder("x").envs((0..count).map(|index| (format!("V{index}"), "")));
    assert!(entries(16_384).build().is_ok());
    let (field, flaw) = refusal(entries(16_385));
    assert_eq!((field, flaw), (Field::Environment, Flaw::TooMany { count: 16_385, max: 16_384 }));
}

#[test]
fn a_message_reads_as_one_sentence_and_shows_no_value() {
    let message = |builder: ProcSpecBuilder| builder.build().unwrap_err().to_string();
    assert_eq!(message(builder("x").arg(not_utf8())), "argument 1 is not UTF-8, which D-Bus cannot carry");
    assert_eq!(message(builder("x").umask(0o1777)), "the umask is 0o1777; 0777 is the most");
    let secret = message(builder("x").env("TOKEN", "s3cret\0"));
    let expected = "the value of environment variable \"TOKEN\" has a NUL byte, which no argument, variable or path \
                    can carry";
    assert_eq!(secret, expected);
}

#[test]
fn a_string_that_exec_does_not_take_is_refused_by_name() {
    let long = |len: usize| "x".repeat(len);
    let max = defaults::EXEC_STRING_MAX;
    assert!(builder("x").arg(long(max)).env("A", long(max - 2)).build().is_ok());
    let too_long = |len, max| Flaw::TooLong { len, max };
    assert_eq!(refusal(builder("x").arg(long(max + 1))), (Field::Arg(1), too_long(max + 1, max)));
    // `A=` counts with the value.
    let value = Field::EnvValue("A".to_owned());
    assert_eq!(refusal(builder("x").env("A", long(max - 1))), (value, too_long(max - 1, max - 2)));
}

#[test]
fn debug_shows_the_names_of_variables_and_no_value() {
    let spec = builder("x").env("TOKEN", "s3cret").env_remove("GONE");
    for shown in [format!("{spec:?}"), format!("{:?}", spec.build().unwrap())] {
        assert!(shown.contains("TOKEN") && shown.contains("GONE") && !shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn a_timeout_beyond_the_backstop_is_cut_and_says_so() {
    let second = Duration::from_secs(1);
    let stop = |timeout, backstop| {
        builder("x").stop_timeout(timeout).backstop(backstop).build().unwrap().stop().clone()
    };
    assert!(!stop(second, second).is_cut());
    let cut = stop(second * 3, second * 2);
    assert!(cut.is_cut());
    assert_eq!((cut.timeout, cut.asked()), (second * 2, second * 3));
    assert!(stop(Duration::MAX, second).is_cut());
    assert_eq!(stop(Duration::ZERO, second).timeout, Duration::ZERO);
}

#[test]
fn settings_of_the_command_and_systemds_names_pass_where_they_can() {
    let spec = builder("x").env("PROCUNIT_LAUNCHER", "native").env_remove("NOTIFY_SOCKET").build().unwrap();
    assert_eq!(spec.environment().changes["PROCUNIT_LAUNCHER"].as_deref(), Some("native"));
    assert_eq!(spec.environment().changes["NOTIFY_SOCKET"], None);
}

#[test]
fn the_current_program_is_launched_again_with_its_own_arguments() {
    let spec = ProcSpec::current(ProcId::new("a").unwrap()).unwrap().build().unwrap();
    assert_eq!(OsStr::new(spec.program()), std::env::current_exe().unwrap());
    assert!(spec.argv().iter().map(OsString::from).eq(std::env::args_os()));
}

proptest! {
    #[test]
    fn what_d_bus_can_carry_arrives_as_it_was_given(
        args in proptest::collection::vec("[^\0]{0,8}", 0..4),
        name in "[A-Za-z_][A-Za-z0-9_]{0,8}",
        value in "[^\0]{0,8}",
    ) {
        prop_assume!(!PER_SERVICE.contains(&name.as_str()));
        let spec = builder("x").args(&args).env(&name, &value).build().unwrap();
        prop_assert_eq!(&spec.argv()[1..], &args[..]);
        prop_assert_eq!(spec.environment().changes[&name].as_ref(), Some(&value));
    }

    #[test]
    fn no_bytes_make_the_builder_panic(program: Vec<u8>, arg: Vec<u8>, name: Vec<u8>, value: Vec<u8>) {
        let os = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let spec = ProcSpec::builder(ProcId::new("a").unwrap(), os(&program)).arg(os(&arg)).env(os(&name), os(&value));
        let carried = [&program, &arg, &value].into_iter().all(|bytes| value_flaw(bytes).is_none());
        prop_assert_eq!(spec.build().is_ok(), carried && !program.is_empty() && name_flaw(&name).is_none());
    }
}
