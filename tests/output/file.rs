//! Output that is appended to a file.

use procunit::launcher::LaunchError;
use procunit::spec::{Output, RestartPolicy};

use crate::bed::{Bed, clear, end_of, ms, spawn};
use crate::live::within;

each_backend![
    runs_append_whatever_the_lifetime,
    both_streams_may_share_one,
    one_that_cannot_be_opened_is_named_and_nothing_is_left,
    a_named_pipe_without_a_reader_is_an_error_and_holds_nobody_up,
    a_relative_one_is_refused,
];

async fn runs_append_whatever_the_lifetime(bed: &Bed) {
    let manager = bed.manager().await;
    for &lifetime in bed.lifetimes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out file");
        std::fs::write(&path, "before\n").expect("a file");
        let output = Output::File(path.to_str().expect("text").to_owned());
        let policy = RestartPolicy::on_failure().max(2).delay(ms(10));
        let spec =
            bed.sh("echo line; exit 1").stdout(output.clone()).restart(Some(policy)).lifetime(lifetime);
        let handle = spawn(&manager, spec).await;
        end_of(&handle).await;
        let written = std::fs::read_to_string(&path).expect("a file");
        let expected = "before\nline\nline\nline\n";
        assert_eq!(written, expected, "{lifetime:?}");
        let again = crate::bed::sh_as(bed.id(), "echo again").stdout(output).lifetime(lifetime);
        let again = spawn(&manager, again).await;
        end_of(&again).await;
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), expected.to_owned() + "again\n");
        clear(&again).await;
        let report = within("a report", handle.report()).await.expect("a report");
        assert_eq!(report.output.stdout, Some(format!("file:{}", path.display())));
        clear(&handle).await;
    }
}

async fn both_streams_may_share_one(bed: &Bed) {
    let manager = bed.manager().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("both");
    let output = || Output::File(path.to_str().expect("text").to_owned());
    let script = "for n in 1 2 3; do echo out $n; echo err $n >&2; done";
    end_of(&spawn(&manager, bed.sh(script).stdout(output()).stderr(output())).await).await;
    let written = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(written, "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
}

async fn one_that_cannot_be_opened_is_named_and_nothing_is_left(bed: &Bed) {
    let manager = bed.manager().await;
    let id = bed.id();
    for (path, kind) in [
        ("/no/such/directory/file", std::io::ErrorKind::NotFound),
        ("/proc", std::io::ErrorKind::IsADirectory),
    ] {
        let spec = crate::bed::sh_as(id.clone(), "echo").stdout(Output::File(path.to_owned()));
        let refused = within("a launch", manager.spawn(spec.build().expect("a spec"))).await;
        match refused.expect_err("no file") {
            LaunchError::OutputFile { path: told, source } => {
                assert_eq!((told.as_str(), source.kind()), (path, kind));
            }
            other => panic!("{other:?}"),
        }
        assert!(manager.get(&id).await.is_none(), "it is known");
    }
    end_of(&spawn(&manager, crate::bed::sh_as(id, "echo")).await).await;
}

async fn a_named_pipe_without_a_reader_is_an_error_and_holds_nobody_up(bed: &Bed) {
    let manager = bed.manager().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
    let output = || Output::File(path.to_str().expect("text").to_owned());
    let spec = bed.sh("echo").stdout(output()).build().expect("a spec");
    let refused = within("an answer", manager.spawn(spec)).await.expect_err("nobody reads");
    assert!(matches!(refused, LaunchError::OutputFile { .. }), "{refused:?}");

    let reader = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&path).expect("a reader");
    let handle = spawn(&manager, bed.sh("head -c 1M /dev/zero").stdout(output())).await;
    // More than it holds: it was to wait, and had not if the pipe were one that nobody waits for.
    assert_eq!(crate::text::all_of(reader).await.len(), 1024 * 1024);
    assert_eq!(end_of(&handle).await, crate::bed::stopped(0));
}

async fn a_relative_one_is_refused(bed: &Bed) {
    let refused = bed.sh("echo").stderr(Output::File("out".to_owned())).build().expect_err("from where?");
    assert!(refused.to_string().contains("is not an absolute path"), "{refused}");
}
