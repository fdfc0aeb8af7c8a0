//! Launches a program and waits for its exact end; launches another one and ends it.
//!
//! Runs where a systemd user manager answers, and as plain child processes where none does.

use std::time::Duration;

use procunit::id::ProcId;
use procunit::launcher::LauncherKind;
use procunit::manager::ProcEvent;
use procunit::spec::Output;
use procunit::{ProcManager, ProcStatus};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chosen = LauncherKind::Auto.connect().await?;
    let manager = ProcManager::builder(chosen.launcher)
        .defaults(|spec| spec.stdout(Output::Inherit).stderr(Output::Inherit))
        .build();
    let name = |last: &str| ProcId::new(format!("example-{}/{last}", std::process::id()));

    let greets = manager.spec(name("greets")?, "sh").args(["-c", "echo hello from a proc; exit 3"]);
    let proc = manager.spawn(greets.build()?).await?;
    // The end as it was: 3, not "failed".
    assert!(matches!(proc.wait().await?, ProcStatus::Stopped { exit_code: 3, .. }));
    let mut events = proc.events();
    while let Some(ProcEvent::Transition(moved)) = events.next().await {
        println!("greets: {} -> {} ({})", moved.from, moved.to.kind(), moved.cause);
    }

    let sleeps = manager.spawn(manager.spec(name("sleeps")?, "sleep").arg("600").build()?).await?;
    let end = sleeps.terminate(Some(Duration::from_secs(5)), "the example is over").await?;
    println!("sleeps: {end}");
    let report = sleeps.report().await.ok_or("no report")?;
    println!("ended {}", report.ended_by.ok_or("not over")?);
    Ok(())
}
