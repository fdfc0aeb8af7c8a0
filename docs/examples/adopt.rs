//! A manager that dies in the middle, and another one that takes its detached procs over: systemd kept them, and
//! remembers how the one that ended meanwhile did so.
//!
//! Needs a systemd user manager.

use std::error::Error;
use std::process::Command;

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::manager::Concurrency;
use procunit::spec::{Lifetime, Output, ProcSpec};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(group) => launch_and_crash(&group).await,
        None => take_over().await,
    }
}

async fn launch_and_crash(group: &str) -> Result<(), Box<dyn Error>> {
    let manager = ProcManager::new(SystemdLauncher::connect().await?);
    for (name, script) in [("server", "exec sleep 600"), ("batch", "exit 3"), ("worker", "exec sleep 600")] {
        let spec = ProcSpec::builder(ProcId::new(format!("{group}/{name}"))?, "sh")
            .args(["-c", script])
            .lifetime(Lifetime::Detached)
            .stdout(Output::Null);
        let proc = manager.spawn(spec.build()?).await?;
        if name == "batch" {
            proc.wait().await?;
        }
    }
    // No destructor runs, nobody is told.
    std::process::abort()
}

async fn take_over() -> Result<(), Box<dyn Error>> {
    let group = format!("example-{}", std::process::id());
    let crashed = Command::new(std::env::current_exe()?).arg(&group).status()?;
    println!("the first manager died: {}", !crashed.success());

    let manager = ProcManager::new(SystemdLauncher::connect().await?);
    // Every detached proc of this user: `adopt_all`. Here those of the group alone.
    let found = manager.adopt_where(|found| found.id.as_str().starts_with(&group)).await?;
    for proc in &found.adopted {
        println!("{}: {}", proc.id().as_str().trim_start_matches(&group), proc.status().kind());
    }
    let ended = manager.terminate_all(None, Concurrency::All, "the example is over").await;
    println!("ended {} of {}", ended.ok, ended.attempted);
    for proc in &found.adopted {
        proc.reap().await;
    }
    Ok(())
}
