//! The bench as a manager's process: it launches what it is told to, and holds it until its standard input is closed.
//!
//! A process of its own, so that what it uses can be read from outside and is all for that.

use std::io::{BufRead as _, Write as _};
use std::str::FromStr;
use std::thread;

use anyhow::{Context as _, bail};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::exit_delay;
use crate::library::Library;
use crate::raw::Raw;
use crate::work::{To, Work};

/// As the bench's first argument: be such a process. The second one is a [`Role`].
pub(crate) const HOLD: &str = "__hold";

/// What the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// This library, on a current-thread runtime.
    Library,
    /// This library, on tokio's default runtime.
    LibraryOnThreads,
    /// This library, with what it launches writing to the journal.
    LibraryWithLogs,
    Raw,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::LibraryOnThreads => "library-on-threads",
            Self::LibraryWithLogs => "library-with-logs",
            Self::Raw => "raw",
        }
    }

    fn runtime(self) -> std::io::Result<Runtime> {
        match self {
            Self::Library | Self::LibraryWithLogs | Self::Raw => {
                Builder::new_current_thread().enable_all().build()
            }
            Self::LibraryOnThreads => Runtime::new(),
        }
    }
}

impl FromStr for Role {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let roles = [Self::Library, Self::LibraryOnThreads, Self::LibraryWithLogs, Self::Raw];
        roles.into_iter().find(|role| role.name() == name).with_context(|| format!("no role {name}"))
    }
}

/// What it can be told, a line each.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// So many that stay, with so many launches under way: answered with the launches a second.
    Launch { count: usize, depth: usize },
    /// So many that end: answered with the delays in seconds.
    Delays { count: usize },
    /// The end of all: answered with the seconds it took.
    TerminateAll,
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Launch { count, depth } => write!(f, "launch {count} {depth}"),
            Self::Delays { count } => write!(f, "delays {count}"),
            Self::TerminateAll => write!(f, "terminate-all"),
        }
    }
}

impl FromStr for Order {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["launch", count, depth] => Ok(Self::Launch { count: count.parse()?, depth: depth.parse()? }),
            ["delays", count] => Ok(Self::Delays { count: count.parse()? }),
            ["terminate-all"] => Ok(Self::TerminateAll),
            _ => bail!("no such order: {line}"),
        }
    }
}

/// Obeys until standard input is closed.
pub(crate) fn run(role: Role) -> anyhow::Result<()> {
    role.runtime()?.block_on(async {
        let mut orders = orders();
        let mut holder = Holder::connect(role).await?;
        while let Some(line) = orders.recv().await {
            let figures = holder.obey(line.parse()?).await?;
            let figures: Vec<_> = figures.iter().map(f64::to_string).collect();
            writeln!(std::io::stdout(), "{}", figures.join(" "))?;
        }
        Ok(())
    })
}

/// A thread reads them: one of tokio's that has nothing to do is woken after 10 s, to end.
fn orders() -> mpsc::UnboundedReceiver<String> {
    let (tell, orders) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        lines.map(|line| tell.send(line)).take_while(Result::is_ok).for_each(drop);
    });
    orders
}

enum Holder {
    Library(Library, To),
    Raw(Box<Raw>),
}

impl Holder {
    async fn connect(role: Role) -> anyhow::Result<Self> {
        Ok(match role {
            Role::Library | Role::LibraryOnThreads => Self::Library(Library::connect().await?, To::Null),
            Role::LibraryWithLogs => Self::Library(Library::connect().await?, To::Journal),
            Role::Raw => Self::Raw(Box::new(Raw::connect().await?)),
        })
    }

    async fn obey(&mut self, order: Order) -> anyhow::Result<Vec<f64>> {
        match (self, order) {
            (Self::Library(library, to), Order::Launch { count, depth }) => {
                Ok(vec![library.launch(&Work::long(count).to(*to), depth).await?])
            }
            (Self::Library(library, to), Order::Delays { count }) => {
                let delays = exit_delay::delays(&library.manager, count, *to).await?;
                Ok(delays.iter().map(std::time::Duration::as_secs_f64).collect())
            }
            (Self::Library(library, _), Order::TerminateAll) => {
                Ok(vec![library.terminate_all().await?.as_secs_f64()])
            }
            (Self::Raw(raw), Order::Launch { count, depth }) => {
                Ok(vec![raw.launch(&Work::long(count), depth).await?])
            }
            (Self::Raw(_), order) => bail!("raw has no {order}"),
        }
    }
}
