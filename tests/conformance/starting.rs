//! A spawn answers when exec has succeeded, or says why not and leaves nothing.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use procunit::launcher::LaunchError;
use procunit::spec::{Lifetime, ProcSpecBuilder};
use procunit::status::StatusKind;
use procunit::{ProcManager, ProcStatus};

use crate::bed::{Bed, clear, end_of, now, sh_as, spawn, stopped};
use crate::live::{eventually, within};

each_backend![
    spawn_answers_when_the_program_runs,
    a_program_that_is_over_at_once_is_no_failed_launch,
    what_cannot_be_started_is_refused_by_name_and_leaves_nothing,
    an_exec_that_the_kernel_refuses_is_a_failed_setup_or_a_doubt,
    a_doubt_stands_with_an_exit_that_could_have_been_a_failed_setup,
    an_id_that_is_not_over_is_refused_and_its_proc_lives_on,
    a_launch_whose_caller_goes_away_leaves_nothing,
    a_refused_launch_leaves_the_record_of_the_run_before,
];

async fn spawn_answers_when_the_program_runs(bed: &Bed) {
    let manager = bed.manager().await;
    let before = now();
    let handle = spawn(&manager, bed.sleeper()).await;
    let ProcStatus::Running { started_at } = handle.status() else { panic!("{}", handle.status()) };
    assert!(before <= started_at && started_at <= now(), "{before} {started_at}");
    let pid = handle.pid().expect("a pid");
    // Its command line is there a little later.
    let runs = fs::read_link(format!("/proc/{pid}/exe")).expect("it is there");
    assert_eq!(runs, Path::new("/bin/sleep").canonicalize().expect("its path"), "exec has happened");
    clear(&handle).await;
}

async fn a_program_that_is_over_at_once_is_no_failed_launch(bed: &Bed) {
    let manager = bed.manager().await;
    for _ in 0..20 {
        let handle = spawn(&manager, bed.spec("/bin/false")).await;
        assert_eq!(end_of(&handle).await, stopped(1));
        assert!(handle.pid().is_some(), "it had a process");
    }
}

/// A program, its directory, whether this is the error, and what it names.
type Case<'a> = (&'a str, &'a str, &'a dyn Fn(&LaunchError) -> bool, &'a str);

fn file(directory: &Path, name: &str, content: &[u8], mode: u32) {
    let path = directory.join(name);
    fs::write(&path, content).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
}

async fn refusal(manager: &ProcManager, spec: ProcSpecBuilder) -> LaunchError {
    let spec = spec.build().expect("a spec");
    within("a launch", manager.spawn(spec)).await.expect_err("nothing that can be started")
}

async fn what_cannot_be_started_is_refused_by_name_and_leaves_nothing(bed: &Bed) {
    let manager = bed.manager().await;
    let dir = tempfile::tempdir().expect("a directory");
    file(dir.path(), "data", b"just data\n", 0o644);
    file(dir.path(), "no-interpreter", b"#!/nope/sh\n", 0o755);
    let is_missing = |error: &LaunchError| matches!(error, LaunchError::NotFound { .. });
    let cannot = |error: &LaunchError| matches!(error, LaunchError::NotExecutable { .. });
    let by_interpreter = |error: &LaunchError| matches!(error, LaunchError::Interpreter { .. });
    let by_cwd = |error: &LaunchError| matches!(error, LaunchError::WorkingDirectory { .. });
    let cases: [Case; 7] = [
        ("no-such-program-here", ".", &is_missing, "no-such-program-here"),
        ("./no-such-program", ".", &is_missing, "./no-such-program"),
        ("./data", ".", &cannot, "data"),
        ("/", ".", &cannot, "/"),
        ("./no-interpreter", ".", &by_interpreter, "/nope/sh"),
        ("/bin/true", "/nope/nowhere", &by_cwd, "/nope/nowhere"),
        ("/bin/true", "data", &by_cwd, "data"),
    ];
    for (program, cwd, is_the_one, named) in cases {
        let spec = bed.spec(program).cwd(dir.path().join(cwd));
        let error = refusal(&manager, spec).await;
        assert!(is_the_one(&error), "{program} in {cwd}: {error:?}");
        assert!(error.to_string().contains(named), "{program} in {cwd}: {error}");
        if bed.is_systemd() {
            assert_eq!(bed.units().await, [""; 0], "{program} in {cwd}");
        }
    }
}

/// What the kernel alone can tell: a format that a handler of binfmt_misc might know. Below systemd 256 nothing tells
/// that from the program's own 203.
async fn an_exec_that_the_kernel_refuses_is_a_failed_setup_or_a_doubt(bed: &Bed) {
    let manager = bed.manager().await;
    let dir = tempfile::tempdir().expect("a directory");
    file(dir.path(), "junk", b"\0\x01\x02", 0o755);
    let spec = bed.spec("./junk").cwd(dir.path()).build().expect("a spec");
    match within("a launch", manager.spawn(spec)).await {
        Err(error) => {
            assert!(matches!(error, LaunchError::Setup { .. }), "{error:?}");
            assert!(error.to_string().contains("executing the program"), "{error}");
            let told = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
            assert!(bed.is_systemd() || told.is_some(), "native has the kernel's answer: {error:?}");
        }
        Ok(handle) => {
            assert_eq!(end_of(&handle).await, stopped(203));
            let report = within("a report", handle.report()).await.expect("a record");
            assert_eq!(report.doubts.len(), 1, "{report:?}");
        }
    }
}

/// Whether there is a doubt depends on systemd's version; that the code is told as it is, does not.
async fn a_doubt_stands_with_an_exit_that_could_have_been_a_failed_setup(bed: &Bed) {
    let manager = bed.manager().await;
    for (code, may_doubt) in [(199, false), (200, true), (243, true), (244, false)] {
        let handle = spawn(&manager, bed.sh(&format!("exit {code}"))).await;
        assert_eq!(end_of(&handle).await, stopped(code));
        let report = within("a report", handle.report()).await.expect("a record");
        let doubts = report.doubts.iter().filter(|doubt| doubt.contains(&code.to_string())).count();
        assert_eq!(doubts, report.doubts.len(), "{:?}", report.doubts);
        assert!(doubts == 0 || (may_doubt && bed.is_systemd()), "exit {code}: {:?}", report.doubts);
    }
}

async fn an_id_that_is_not_over_is_refused_and_its_proc_lives_on(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let handle = spawn(&manager, bed.sleeper().lifetime(lifetime)).await;
        // Natively no other manager can know of it.
        let other = if bed.is_systemd() { Some(bed.manager().await) } else { None };
        for manager in std::iter::once(&manager).chain(&other) {
            let error = refusal(manager, sh_as(handle.id().clone(), "exit 1")).await;
            assert!(matches!(&error, LaunchError::AlreadyExists { id } if id == handle.id()), "{error:?}");
        }
        assert_eq!(handle.status().kind(), StatusKind::Running);
        clear(&handle).await;
    }
}

async fn a_launch_whose_caller_goes_away_leaves_nothing(bed: &Bed) {
    let manager = bed.manager().await;
    let lifetime = if bed.is_systemd() { Lifetime::Detached } else { Lifetime::Attached };
    for delay in (0..40_000).step_by(2_000) {
        let spec = bed.sleeper().lifetime(lifetime).build().expect("a spec");
        let launch = manager.spawn(spec);
        let patience = std::time::Duration::from_micros(if bed.is_systemd() { delay } else { delay / 10 });
        if let Ok(answer) = tokio::time::timeout(patience, launch).await {
            clear(&answer.expect("started")).await;
        }
    }
    // While its manager is there.
    let none = || async {
        let units = if bed.is_systemd() { bed.units().await } else { Vec::new() };
        (units.is_empty() && bed.processes().is_empty()).then_some(())
    };
    eventually(crate::live::BOUND, "nothing of what nobody waited for", none).await;
}

async fn a_refused_launch_leaves_the_record_of_the_run_before(bed: &Bed) {
    let manager = bed.manager().await;
    let first = spawn(&manager, bed.spec("/bin/false")).await;
    within("nothing left", first.gone()).await.expect("an end");
    let error = refusal(&manager, crate::bed::quiet(first.id().clone(), "/nowhere/no-such-program")).await;
    assert!(matches!(error, LaunchError::NotFound { .. }), "{error:?}");
    let kept = within("a look", manager.get(first.id())).await.expect("its record");
    assert_eq!((kept.run(), kept.status()), (first.run(), first.status()));
}
