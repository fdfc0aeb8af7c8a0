//! A manager's process, seen from the bench: see [`hold`](crate::hold) for its own side.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::hold::{HOLD, Order, Role};
use crate::usage::Process;

/// The longest that one order may take: thousands of launches on a machine with other work.
const BOUND: Duration = Duration::from_secs(300);

/// The process. Dropping it ends it, and what it holds with it.
pub(crate) struct Held {
    role: Role,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    pub(crate) process: Process,
}

impl Held {
    pub(crate) fn start(role: Role) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([HOLD, role.name()]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let orders = child.stdin.take().context("its standard input")?;
        let answers = BufReader::new(child.stdout.take().context("its standard output")?).lines();
        let process = Process::new(child.id().context("it is over")?);
        Ok(Self { role, child, orders, answers, process })
    }

    /// Launches a second.
    pub(crate) async fn launch(&mut self, count: usize, depth: usize) -> anyhow::Result<f64> {
        self.one(Order::Launch { count, depth }).await
    }

    /// Exit delays in seconds.
    pub(crate) async fn delays(&mut self, count: usize) -> anyhow::Result<Vec<f64>> {
        self.ask(Order::Delays { count }).await
    }

    /// Seconds until all of them are gone.
    pub(crate) async fn terminate_all(&mut self) -> anyhow::Result<f64> {
        self.one(Order::TerminateAll).await
    }

    /// Waits until it is over: what it holds ends with it.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        drop(self.orders);
        let status = timeout(BOUND, self.child.wait()).await.context("it does not end")??;
        ensure!(status.success(), "the process of {}: {status}", self.role.name());
        Ok(())
    }

    async fn one(&mut self, order: Order) -> anyhow::Result<f64> {
        self.ask(order).await?.first().copied().with_context(|| format!("{order}: no figure"))
    }

    async fn ask(&mut self, order: Order) -> anyhow::Result<Vec<f64>> {
        let asked = format!("{order}, of {}", self.role.name());
        self.orders.write_all(format!("{order}\n").as_bytes()).await.with_context(|| asked.clone())?;
        let answer = timeout(BOUND, self.answers.next_line()).await;
        let answer = answer.with_context(|| format!("{asked}: not done after {BOUND:?}"))??;
        // What went wrong is on standard error.
        let answer = answer.with_context(|| format!("{asked}: its process has ended"))?;
        answer.split(' ').map(|figure| Ok(figure.parse()?)).collect()
    }
}
