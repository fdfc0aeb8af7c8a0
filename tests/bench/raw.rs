//! The least that can be done for the same: `StartTransientUnit` over zbus with the very properties that the library
//! sends, and a wait for `JobRemoved`.
//!
//! The properties are worked out before the clock starts; a tie and slices of 50 units are made on the way, each in
//! the call of the first unit that needs it; the matches are the library's. Nothing is decided from the signals, no
//! end is read and no reference given back: those go with the connection.

use std::collections::{HashMap, HashSet};
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use procunit::bus::{Bus, BusAddress, Connected, ManagerInfo};
use procunit::id::{SliceName, TieName};
use procunit::spec::defaults::PROCS_PER_SLICE;
use procunit::sys::{caller, token::token};
use procunit::unit::property::{ExecCommand, ExecCommandEx, Property, Value};
use procunit::unit::{
    Caller, LaunchContext, SystemdVersion, UnitPlan, UnitStream, UnitStreams, plan, slice_properties,
    tie_plan,
};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use zbus::{Connection, Fd, MessageStream, OwnedObjectPath, Variant};

use crate::library;
use crate::work::{To, Work, per_second};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// One call, ready to be sent.
struct Call {
    plan: UnitPlan,
    aux: Vec<(String, Vec<Property>)>,
}

/// Launches a second. A launch is answered when its start job is over.
pub(crate) async fn rate(work: Work, depth: usize) -> anyhow::Result<f64> {
    // Dropped at the end, and the tie with it: the end of whatever is left of the set.
    Raw::connect().await?.launch(&work, depth).await
}

/// A connection to systemd with a tie of its own, which is the end of what was launched when it is dropped.
pub(crate) struct Raw {
    manager: Manager,
    places: Places,
    tie: PipeReader,
    _held: PipeWriter,
}

impl Raw {
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        let (tie, held) = std::io::pipe()?;
        Ok(Self { manager: Manager::connect().await?, places: Places::new().await?, tie, _held: held })
    }

    /// Launches a second.
    pub(crate) async fn launch(&mut self, work: &Work, depth: usize) -> anyhow::Result<f64> {
        let set = Work::set();
        let calls: Vec<_> =
            (0..work.count).map(|index| self.places.call(work, set, index)).collect::<Result<_, _>>()?;
        let (manager, tie) = (&self.manager, &self.tie);
        // Sent in this order, on one connection: a tie or a slice is there before what is to be in it.
        let launches = stream::iter(calls).map(|call| async move { manager.start(&call, tie).await });
        Ok(per_second(launches, depth).await?.0)
    }
}

/// What the library would send, and where it would put the units.
struct Places {
    token: String,
    caller: Caller,
    info: ManagerInfo,
    version: SystemdVersion,
    /// How many units have got their place.
    placed: usize,
}

impl Places {
    async fn new() -> anyhow::Result<Self> {
        let Connected { info, .. } = Bus::connect(BusAddress::from_env()?).await?;
        let caller = caller::capture().map_err(|(doing, error)| anyhow::Error::from(error).context(doing))?;
        Ok(Self { token: token(10), caller, version: info.version.parse()?, info, placed: 0 })
    }

    fn call(&mut self, work: &Work, set: usize, index: usize) -> anyhow::Result<Call> {
        let (place, tie) = (self.placed, TieName::new(&self.token));
        self.placed += 1;
        // The library's places: the first slice is `app.slice`, the others are its own.
        let slice = match place / PROCS_PER_SLICE.get() {
            0 => SliceName::app(),
            number => SliceName::numbered(&self.token, u32::try_from(number)?),
        };
        let mut aux = Vec::new();
        if place > 0 && place % PROCS_PER_SLICE.get() == 0 {
            aux.push((slice.to_string(), slice_properties()));
        }
        if place == 0 {
            aux.push(tie_plan(&tie, "/usr/bin/cat", &slice));
        }
        let context = LaunchContext {
            version: self.version,
            program: work.program.to_owned(),
            cwd: None,
            caller: self.caller.clone(),
            manager_env: self.info.environment.clone(),
            slice,
            tie: Some(tie),
            streams: streams(work.to),
            extra: Vec::new(),
        };
        Ok(Call { plan: plan(&library::spec(work, set, index)?, &context)?, aux })
    }
}

/// What comes closest to the library's streams to the journal is one that systemd opens itself.
fn streams(to: To) -> UnitStreams {
    let stream = match to {
        To::Null => UnitStream::Null,
        To::Journal => UnitStream::Journal,
    };
    UnitStreams { stdout: stream.clone(), stderr: stream, ..UnitStreams::default() }
}

/// systemd's manager, on two connections as in the library: one carries calls, the other brings signals.
struct Manager {
    calls: Connection,
    jobs: Arc<Mutex<Jobs>>,
    reader: AbortHandle,
}

/// Jobs by object path: those somebody waits for, and those that ended before anybody did.
#[derive(Default)]
struct Jobs {
    waiting: HashMap<String, oneshot::Sender<()>>,
    over: HashSet<String>,
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Manager {
    async fn connect() -> anyhow::Result<Self> {
        let signals = Connection::session().await?;
        let stream = MessageStream::from(&signals);
        for rule in [
            format!(
                "type='signal',sender='{SYSTEMD}',interface='org.freedesktop.DBus.Properties',\
                 member='PropertiesChanged',path_namespace='{OBJECT}/unit'"
            ),
            format!("type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved'"),
        ] {
            let bus = "org.freedesktop.DBus";
            signals.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule).await?;
        }
        let jobs = Arc::new(Mutex::new(Jobs::default()));
        let reader = tokio::spawn(read(stream, Arc::clone(&jobs))).abort_handle();
        Ok(Self { calls: Connection::session().await?, jobs, reader })
    }

    async fn start(&self, call: &Call, tie: &PipeReader) -> anyhow::Result<()> {
        let properties = encoded(&call.plan.properties, tie);
        let aux: Vec<_> = call.aux.iter().map(|(name, list)| (name.as_str(), encoded(list, tie))).collect();
        let body = (call.plan.name.as_str(), "replace", properties, aux);
        let answer =
            self.calls.call_method(Some(SYSTEMD), OBJECT, Some(MANAGER), "StartTransientUnit", &body).await?;
        let job: OwnedObjectPath = answer.body().deserialize()?;
        if let Some(end) = self.end_of(job.as_str()) {
            end.await?;
        }
        Ok(())
    }

    /// The end of a job, where it has not come yet.
    fn end_of(&self, job: &str) -> Option<oneshot::Receiver<()>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.over.remove(job) {
            return None;
        }
        let (over, end) = oneshot::channel();
        jobs.waiting.insert(job.to_owned(), over);
        Some(end)
    }
}

/// Takes every signal, as the library has to, and looks into those that end a job.
async fn read(mut stream: MessageStream, jobs: Arc<Mutex<Jobs>>) {
    while let Some(Ok(message)) = stream.next().await {
        if message.header().member().is_none_or(|member| member.as_str() != "JobRemoved") {
            continue;
        }
        let body = message.body();
        let Ok((_, job, _, _)) = body.deserialize::<(u32, zbus::ObjectPath<'_>, &str, &str)>() else {
            continue;
        };
        let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.waiting.remove(job.as_str()) {
            Some(over) => drop(over.send(())),
            None => drop(jobs.over.insert(job.as_str().to_owned())),
        }
    }
}

fn encoded<'a>(properties: &'a [Property], tie: &'a PipeReader) -> Vec<(&'a str, Variant<'a>)> {
    properties.iter().map(|one| (one.name.as_ref(), variant(&one.value, tie))).collect()
}

fn variant<'a>(value: &'a Value, tie: &'a PipeReader) -> Variant<'a> {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I32(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        Value::Str(value) => value.as_str().into(),
        Value::StrList(values) => strings(values).into(),
        Value::Exec(commands) => Variant::new(commands.iter().map(exec).collect::<Vec<_>>()),
        Value::ExecEx(commands) => Variant::new(commands.iter().map(exec_ex).collect::<Vec<_>>()),
        // The bench passes no descriptor but the tie's.
        Value::Fd(_) => Fd::from(tie.as_fd()).into(),
    }
}

fn exec(command: &ExecCommand) -> (&str, Vec<&str>, bool) {
    (&command.path, strings(&command.argv), command.ignore_failure)
}

fn exec_ex(command: &ExecCommandEx) -> (&str, Vec<&str>, Vec<&str>) {
    (&command.path, strings(&command.argv), strings(&command.flags))
}

fn strings(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}
