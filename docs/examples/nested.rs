//! A proc that is itself a manager: it has attached procs of its own, and they end with it.
//!
//! Needs a systemd user manager.

use std::error::Error;
use std::time::Duration;

use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::spec::{Output, ProcSpec};

/// In the environment of the inner manager: what the names of its procs begin with.
const GROUP: &str = "EXAMPLE_GROUP";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match std::env::var(GROUP) {
        Ok(group) => inner(&group).await,
        Err(_) => outer().await,
    }
}

async fn inner(group: &str) -> Result<(), Box<dyn Error>> {
    let manager = ProcManager::new(SystemdLauncher::connect().await?);
    for number in 1..=2 {
        let id = ProcId::new(format!("{group}/inner-{number}"))?;
        manager.spawn(ProcSpec::builder(id, "sleep").arg("600").stdout(Output::Null).build()?).await?;
    }
    println!("ready");
    std::future::pending().await
}

async fn outer() -> Result<(), Box<dyn Error>> {
    let group = format!("example-{}", std::process::id());
    let manager = ProcManager::new(SystemdLauncher::connect().await?);
    // This very program, told to be the other one.
    let (ready, out) = std::io::pipe()?;
    let spec = ProcSpec::current(ProcId::new(format!("{group}/outer"))?)?.env(GROUP, &group);
    let proc = manager.spawn(spec.stdout(Output::from(std::os::fd::OwnedFd::from(out))).build()?).await?;
    let said = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(ready), &mut line).map(|_| line)
    });
    println!("the inner manager says: {}", said.await??.trim());
    println!("there are {} procs", running(&manager, &group).await?);

    let end = proc.terminate(None, "the example is over").await?;
    println!("the inner manager: {end}");
    let gone = async {
        while running(&manager, &group).await? > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await??;
    println!("its procs ended with it");
    Ok(())
}

/// How many procs of the group are not over, whoever launched them.
async fn running(manager: &ProcManager, group: &str) -> Result<usize, Box<dyn Error>> {
    let seen = manager.survey().await?;
    let ours = seen.iter().filter(|seen| seen.id.as_str().starts_with(group) && !seen.status.is_exit());
    Ok(ours.count())
}
