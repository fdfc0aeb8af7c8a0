//! What cannot be started is refused by name.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use procunit::launcher::LaunchError;
use procunit::spec::{Lifetime, ProcSpecBuilder};
use procunit::status::FailReason;

use crate::common::{manager, spec, within};

pub(crate) fn make_executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

async fn refusal(spec: ProcSpecBuilder) -> LaunchError {
    within("a launch", manager().spawn(spec.build().unwrap())).await.expect_err("it was started")
}

#[tokio::test]
async fn a_missing_program_a_directory_and_a_plain_file_are_told_apart() {
    let missing = refusal(spec("no-such-program-here")).await;
    assert!(matches!(missing, LaunchError::NotFound { .. }), "{missing}");
    let directory = refusal(spec("/")).await;
    assert!(matches!(directory, LaunchError::NotExecutable { why: "is a directory", .. }), "{directory}");
    let plain = refusal(spec("/etc/passwd")).await;
    assert!(matches!(plain, LaunchError::NotExecutable { .. }), "{plain}");
}

#[tokio::test]
async fn a_missing_working_directory_is_named() {
    let refused = refusal(spec("true").cwd("/no/such/directory")).await;
    assert!(matches!(refused, LaunchError::WorkingDirectory { .. }), "{refused}");
    assert!(refused.to_string().contains("/no/such/directory"), "{refused}");
}

/// What the kernel alone can tell: formats that a handler of `binfmt_misc` might know.
#[tokio::test]
async fn an_exec_that_fails_is_told_with_its_step_and_the_kernels_answer() {
    let dir = tempfile::tempdir().unwrap();
    for content in [&b"MZ\0\x01"[..], b"\x7fELF\x02\x01"] {
        let path = dir.path().join("program");
        make_executable(&path, content);
        let refused = refusal(spec(path.to_str().unwrap())).await;
        let LaunchError::Setup { reason: FailReason::Setup { step }, .. } = &refused else {
            panic!("{refused}");
        };
        assert_eq!(step.name(), "EXEC");
        let source = refused.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!(source.and_then(std::io::Error::raw_os_error), Some(nix::libc::ENOEXEC));
    }
}

#[tokio::test]
async fn a_detached_proc_and_a_service_property_need_a_user_manager() {
    let detached = refusal(spec("true").lifetime(Lifetime::Detached)).await.to_string();
    assert!(
        detached.ends_with("the native launcher cannot outlive its process; a user manager is needed"),
        "{detached}"
    );
    let property = refusal(spec("true").property("MemoryMax", "1G")).await.to_string();
    assert!(property.contains("MemoryMax"), "{property}");
}

#[tokio::test]
async fn nobody_can_be_adopted_and_nothing_is_to_be_seen() {
    let manager = manager();
    let id = procunit::id::ProcId::new("anybody").unwrap();
    assert!(manager.adopt(&id).await.is_err());
    assert!(manager.survey().await.unwrap().is_empty());
}
