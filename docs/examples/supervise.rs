//! Ten workers, each with an exit monitor. One of them fails, and its own monitor launches it again.

use std::pin::Pin;
use std::process::ExitCode;

use procunit::id::ProcId;
use procunit::launcher::LauncherKind;
use procunit::manager::Concurrency;
use procunit::spec::Output;
use procunit::{ProcManager, ProcStatus};
use tokio::sync::mpsc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const WORKERS: u32 = 10;

/// What a monitor has to tell.
enum News {
    Ended(ProcId, ProcStatus),
    Again(ProcId),
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let manager = ProcManager::builder(LauncherKind::Auto.connect().await?.launcher)
        .defaults(|spec| spec.stdout(Output::Null).stderr(Output::Inherit))
        .build();
    let (tell, mut news) = mpsc::unbounded_channel();
    for rank in 0..WORKERS {
        // The fourth one fails, at first.
        let work = if rank == 3 { "exit 7" } else { "exec sleep 600" };
        work_on(manager.clone(), rank, work, tell.clone()).await?;
    }
    while let Some(told) = news.recv().await {
        match told {
            News::Ended(id, status) => println!("{} ended: {status}", last_part(&id)),
            News::Again(id) => {
                println!("{} runs again", last_part(&id));
                break;
            }
        }
    }
    let summary = manager.terminate_all(None, Concurrency::default(), "the example is over").await;
    println!("ended {} of {} workers", summary.ok, summary.attempted);
    Ok(if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Launches a worker, and again where it fails. Boxed, for it comes to call itself.
fn work_on(
    manager: ProcManager,
    rank: u32,
    work: &'static str,
    tell: mpsc::UnboundedSender<News>,
) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>> {
    Box::pin(async move {
        let id = ProcId::new(format!("example-{}/worker-{rank}", std::process::id()))?;
        manager.spawn(manager.spec(id.clone(), "sh").rank(rank).args(["-c", work]).build()?).await?;
        let (again, told) = (manager.clone(), id.clone());
        // On a thread of its own, when everything of the worker is cleaned up: its id is free.
        let callback = move |status: ProcStatus| {
            let failed = !matches!(status, ProcStatus::Killed { .. });
            let _ = tell.send(News::Ended(told.clone(), status));
            if failed {
                tokio::spawn(async move {
                    if work_on(again, rank, "exec sleep 600", tell.clone()).await.is_ok() {
                        let _ = tell.send(News::Again(told));
                    }
                });
            }
        };
        manager.on_exit(&id, callback).await?;
        Ok(())
    })
}

fn last_part(id: &ProcId) -> &str {
    id.as_str().rsplit('/').next().unwrap_or_default()
}
