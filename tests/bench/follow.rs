//! Following many procs that write all the time: processor time of `procunit logs -f`, with the journalctl that it runs,
//! against journalctl's own on the same lines, at the same time.

use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use procunit::ProcManager;
use procunit::id::ProcId;
use procunit::launcher::systemd::SystemdLauncher;
use procunit::manager::Concurrency;
use procunit::spec::ProcSpec;
use tokio::time::{Instant, sleep};

use crate::chatter::{CHATTER, WORD};
use crate::figures::Figure;
use crate::gone::alone;
use crate::plan::Follow;
use crate::results::Results;
use crate::table::{Row, Target, Unit};
use crate::usage::Process;
use crate::work::Work;

/// From the start of those who follow to the first line: they have read what was there before.
const SETTLES: Duration = Duration::from_secs(2);
/// From the last line to its arrival, at the most.
const BOUND: Duration = Duration::from_secs(20);

/// Milliseconds of processor time of those who followed, ours first.
type Round = [f64; 3];

pub(crate) async fn measure(plan: &Follow, results: &mut Results) -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.push(alone(round(plan)).await?);
    }
    let shown = |at: usize| {
        let all = Figure::of(rounds.iter().map(|round: &Round| round[at])).median;
        format!("{all:.0} ms in {:.0} s", (plan.every * plan.lines).as_secs_f64())
    };
    let peers = [("journalctl -f", Target::AtMost(2.0)), ("journalctl -f -o json", Target::None)];
    for (at, (peer, target)) in (1..).zip(peers) {
        results.table.push(Row {
            what: format!("CPU of logs -f, {} procs / {peer}", plan.procs),
            figure: Figure::of_ratios(rounds.iter().map(|round| (round[0], round[at]))),
            unit: Unit::Ratio,
            target,
            ours: shown(0),
            theirs: shown(at),
        });
    }
    Ok(())
}

async fn round(plan: &Follow) -> anyhow::Result<Round> {
    let (manager, set) = (ProcManager::new(SystemdLauncher::connect().await?), Work::set());
    let (input, may_write) = std::io::pipe()?;
    let program = std::env::current_exe()?.into_os_string();
    for index in 0..plan.procs {
        let id = ProcId::new(format!("bench{set}:{index}"))?;
        // They do not all write at once.
        let after = plan.every.as_millis() * index as u128 / plan.procs as u128;
        let spec = ProcSpec::builder(id, program.clone()).arg(CHATTER);
        let spec = spec.args([plan.lines.to_string(), plan.every.as_millis().to_string(), after.to_string()]);
        manager.spawn(spec.stdin(OwnedFd::from(input.try_clone()?)).build()?).await?;
    }
    let used = follow(plan, set, may_write).await;
    let summary = manager.terminate_all(None, Concurrency::All, "all was said").await;
    ensure!(summary.failed.is_empty(), "{summary:?}");
    used
}

async fn follow(plan: &Follow, set: usize, may_write: std::io::PipeWriter) -> anyhow::Result<Round> {
    let ours = [env!("CARGO_BIN_EXE_procunit"), "logs", "--follow", "--quiet", &format!("bench{set}:*")]
        .map(str::to_owned);
    let theirs = ["journalctl", "--user", "--follow", "--lines=0", "--quiet"].map(str::to_owned);
    let json = [theirs.as_slice(), &["--output=json".to_owned()]].concat();
    let followers = [Follower::start(&ours)?, Follower::start(&theirs)?, Follower::start(&json)?];
    sleep(SETTLES).await;
    let before = cpu(&followers)?;
    drop(may_write);
    let (all, until) = (plan.procs * plan.lines as usize, Instant::now() + plan.every * plan.lines + BOUND);
    while followers.iter().any(|follower| follower.lines() < all) && Instant::now() < until {
        sleep(Duration::from_millis(20)).await;
    }
    let after = cpu(&followers)?;
    for follower in &followers {
        let (came, name) = (follower.lines(), &follower.name);
        ensure!(came == all, "{came} of {all} lines came to {name}; a rate limit of journald's takes some");
    }
    Ok(std::array::from_fn(|at| after[at] - before[at]))
}

fn cpu(followers: &[Follower; 3]) -> anyhow::Result<Round> {
    let mut all = [0.0; 3];
    for (follower, cpu) in followers.iter().zip(&mut all) {
        for process in Process::new(follower.child.id()).family()? {
            *cpu += process.cpu()?;
        }
    }
    Ok(all)
}

/// Who follows; dropped, it does no more.
struct Follower {
    name: String,
    child: Child,
    lines: Arc<AtomicUsize>,
}

impl Follower {
    fn start(words: &[String]) -> anyhow::Result<Self> {
        let name = words.join(" ");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
        let (lines, stdout) = (Arc::new(AtomicUsize::new(0)), child.stdout.take().context("its output")?);
        let counted = Arc::clone(&lines);
        std::thread::spawn(move || {
            let came = BufReader::new(stdout).lines().map_while(Result::ok);
            came.filter(|line| line.contains(WORD)).for_each(|_| {
                counted.fetch_add(1, Ordering::Relaxed);
            });
        });
        Ok(Self { name, child, lines })
    }

    fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Where it has ended by itself, there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
