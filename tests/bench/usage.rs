//! What a process has used of the machine, read in `/proc` from outside: looking does not wake it.

use std::fs;

use anyhow::Context as _;
use zbus::Connection;

/// The unit of the times in `/proc/PID/stat`, in milliseconds: `USER_HZ` is 100 on every architecture that matters here.
const TICK: f64 = 10.0;

/// A process, by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        Self(pid)
    }

    /// The first that has this name, as the kernel shortens it.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let is_named = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let pids =
            fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.into_iter().find(is_named).map(Self).with_context(|| format!("no process is called {name}"))
    }

    /// The owner of a name on the session bus. The bus itself owns `org.freedesktop.DBus`.
    async fn owner_of(name: &str) -> anyhow::Result<Self> {
        let (connection, bus) = (Connection::session().await?, "org.freedesktop.DBus");
        let method = "GetConnectionUnixProcessID";
        let answer =
            connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), method, &name).await?;
        Ok(Self(answer.body().deserialize()?))
    }

    /// Resident memory in KiB: `Rss` of `smaps_rollup`, which is counted page by page. What `status` shows is put
    /// together from counters that may lag behind.
    pub(crate) fn resident_kib(self) -> anyhow::Result<f64> {
        field(&self.read("smaps_rollup")?, "Rss:").context("no Rss")
    }

    /// Milliseconds of processor time of all its threads, also of those that are over, in user mode and in the kernel.
    pub(crate) fn cpu(self) -> anyhow::Result<f64> {
        let stat = self.read("stat")?;
        // The name before it may hold anything.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
        let ticks = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
        Ok(TICK * f64::from(ticks.context("no times in stat")?))
    }

    /// How often any of its threads has left a processor, by itself or not: a thread that was woken has to leave it
    /// again.
    pub(crate) fn switches(self) -> anyhow::Result<f64> {
        let mut switches = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let status = fs::read_to_string(task?.path().join("status"))?;
            for kind in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                switches += field(&status, kind).with_context(|| format!("no {kind}"))?;
            }
        }
        Ok(switches)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.0))?.count())
    }

    /// Itself, its children, and theirs.
    pub(crate) fn family(self) -> anyhow::Result<Vec<Self>> {
        let mut family = vec![self];
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            for child in children.split_whitespace() {
                family.extend(Self(child.parse()?).family()?);
            }
        }
        Ok(family)
    }

    fn read(self, file: &str) -> anyhow::Result<String> {
        let file = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))
    }
}

/// Whose work a launch is, in the order of a [`Cpu`].
pub(crate) const EVERYBODY: [&str; 3] = ["its own process", "the user manager", "the bus"];

/// Processor time of each of them, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu(pub(crate) [f64; EVERYBODY.len()]);

impl Cpu {
    pub(crate) fn less(self, before: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] - before.0[at]))
    }

    /// Of each of so many launches.
    pub(crate) fn by(self, launches: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        Self(self.0.map(|all| all / launches as f64))
    }
}

/// A manager's process and those that work for it.
pub(crate) struct Everybody([Process; EVERYBODY.len()]);

impl Everybody {
    pub(crate) async fn with(own: Process) -> anyhow::Result<Self> {
        let systemd = Process::owner_of("org.freedesktop.systemd1").await?;
        Ok(Self([own, systemd, Process::owner_of("org.freedesktop.DBus").await?]))
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let [own, systemd, bus] = self.0;
        Ok(Cpu([own.cpu()?, systemd.cpu()?, bus.cpu()?]))
    }
}

/// The number behind the name of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}
