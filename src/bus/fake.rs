//! A scripted user manager at the other end of socket pairs: it speaks D-Bus's real wire protocol with the real
//! client code. There is no bus in between, so it answers for the bus, too.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use zbus::message::{Header, Type};
use zbus::{Connection, DynamicType, Guid, Message, MessageStream, Variant, connection};

use super::connect::{Connect, Connecting, DBUS, DBUS_PATH, Role, SYSTEMD};
use super::decode::{SERVICE, UNIT};
use super::error::BusError;
use super::{BusAddress, Connected, path};

/// What the fake does with a call.
pub(crate) enum Answer {
    /// Answers.
    Reply(Box<dyn FnOnce(&Header<'_>) -> Message + Send>),
    /// Answers once something else is over.
    After(Pin<Box<dyn Future<Output = ()> + Send>>, Box<Self>),
    /// Says nothing, ever.
    Silence,
}

impl Answer {
    /// With that body.
    pub(crate) fn body(body: impl serde::Serialize + DynamicType + Send + 'static) -> Self {
        Self::Reply(Box::new(move |call| Message::method_return(call).build(&body).unwrap()))
    }

    /// With an error of that name.
    pub(crate) fn error(name: &'static str, text: &'static str) -> Self {
        Self::Reply(Box::new(move |call| Message::error(call, name).build(&text).unwrap()))
    }

    /// That answer, once `first` is over; other calls are answered meanwhile.
    pub(crate) fn after(self, first: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::After(Box::pin(first), Box::new(self))
    }

    /// With a job's path.
    pub(crate) fn job(id: u32) -> Self {
        Self::body(zbus::ObjectPath::from_string_unchecked(format!("/org/freedesktop/systemd1/job/{id}")))
    }
}

type Script = Box<dyn FnMut(&Message) -> Answer + Send>;

/// The manager. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    scripts: Mutex<HashMap<String, Script>>,
    seen: Mutex<Vec<String>>,
    signals: Mutex<Option<Connection>>,
    calls: Mutex<Option<Connection>>,
    refusals: AtomicU32,
}

impl Fake {
    /// A client that is connected to a new fake.
    pub(crate) async fn connected() -> (Self, Connected) {
        let fake = Self::default();
        let connected = super::Bus::connect_by(Box::new(fake.clone())).await.unwrap();
        (fake, connected)
    }

    /// From now on calls of `member` are answered by `script`.
    pub(crate) fn on(&self, member: &str, script: impl FnMut(&Message) -> Answer + Send + 'static) {
        self.0.scripts.lock().unwrap().insert(member.to_owned(), Box::new(script));
    }

    /// The calls so far: the member, and its first argument where that is a string.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.0.seen.lock().unwrap().clone()
    }

    /// Lets the next `count` connection attempts fail.
    pub(crate) fn refuse(&self, count: u32) {
        self.0.refusals.store(count, Ordering::SeqCst);
    }

    pub(crate) fn signals(&self) -> Connection {
        self.0.signals.lock().unwrap().clone().unwrap()
    }

    pub(crate) fn calls(&self) -> Connection {
        self.0.calls.lock().unwrap().clone().unwrap()
    }

    /// A `PropertiesChanged` of one interface of a unit.
    pub(crate) async fn changed(&self, unit: &str, interface: &str, properties: &[(&str, Variant<'_>)]) {
        let properties: HashMap<_, _> = properties.iter().map(|(name, value)| (*name, value)).collect();
        let signal =
            Message::signal(path::unit_path(unit), "org.freedesktop.DBus.Properties", "PropertiesChanged")
                .build(&(interface, properties, [""; 0].as_slice()))
                .unwrap();
        self.signals().send(&signal).await.unwrap();
    }

    /// Both halves of a change, as systemd sends them.
    pub(crate) async fn state(&self, unit: &str, main_pid: u32, active_state: &str) {
        self.changed(unit, SERVICE, &[("MainPID", main_pid.into())]).await;
        self.changed(unit, UNIT, &[("ActiveState", active_state.into())]).await;
    }

    pub(crate) async fn job_removed(&self, id: u32, unit: &str, result: &str) {
        let job = zbus::ObjectPath::from_string_unchecked(format!("/org/freedesktop/systemd1/job/{id}"));
        let signal =
            Message::signal("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved")
                .build(&(id, job, unit, result))
                .unwrap();
        self.signals().send(&signal).await.unwrap();
    }

    pub(crate) async fn owner_changed(&self, old: &str, new: &str) {
        let signal =
            Message::signal(DBUS_PATH, DBUS, "NameOwnerChanged").build(&(SYSTEMD, old, new)).unwrap();
        self.signals().send(&signal).await.unwrap();
    }

    /// Answers the calls of one connection until its end.
    async fn serve(self, mut stream: MessageStream) {
        let connection = Connection::from(&stream);
        while let Some(Ok(call)) = stream.next().await {
            if call.message_type() != Type::MethodCall {
                continue;
            }
            tokio::spawn(carry_out(self.answer(&call), connection.clone(), call));
        }
    }

    fn answer(&self, call: &Message) -> Answer {
        let header = call.header();
        let member = header.member().unwrap().as_str();
        let body = call.body();
        let first = body.deserialize_ignore_signature::<&str>().ok();
        let first = first.filter(|_| body.signature().to_string().starts_with(['s', '(']));
        self.0
            .seen
            .lock()
            .unwrap()
            .push(format!("{member} {}", first.unwrap_or_default()).trim_end().to_owned());
        if let Some(script) = self.0.scripts.lock().unwrap().get_mut(member) {
            return script(call);
        }
        match (member, body.deserialize::<(&str, &str)>().map(|(_, property)| property)) {
            ("Get", Ok("Version")) => Answer::body(Variant::from("252.1-fake")),
            ("Get", Ok("Environment")) => Answer::body(Variant::from(vec!["A=1", "B=x=y"])),
            ("AddMatch" | "RefUnit" | "UnrefUnit" | "KillUnit", _) => Answer::body(()),
            ("GetNameOwner", _) => Answer::body(":1.1"),
            _ => Answer::error("org.freedesktop.DBus.Error.UnknownMethod", "not scripted"),
        }
    }
}

async fn carry_out(mut answer: Answer, connection: Connection, call: Message) {
    while let Answer::After(first, then) = answer {
        first.await;
        answer = *then;
    }
    if let Answer::Reply(reply) = answer {
        // The client may be gone already.
        let _ = connection.send(&reply(&call.header())).await;
    }
}

impl Connect for Fake {
    fn connect(&self, role: Role) -> Connecting<'_> {
        Box::pin(async move {
            let less_one = |left: u32| left.checked_sub(1);
            if self.0.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less_one).is_ok() {
                let source = zbus::Error::Handshake("refused by the fake".to_owned()).into();
                return Err(BusError::Unreachable { address: BusAddress::new("fake:"), source });
            }
            let (ours, theirs) = UnixStream::pair().unwrap();
            let server = async {
                let builder = connection::Builder::unix_stream(theirs).server(Guid::generate()).p2p();
                // Before anything else can run on this thread, so no call is missed.
                builder.build().await.map(MessageStream::from)
            };
            let client = connection::Builder::unix_stream(ours).p2p().build();
            let (stream, connection) = tokio::try_join!(server, client).unwrap();
            let slot = match role {
                Role::Signals => &self.0.signals,
                Role::Calls => &self.0.calls,
            };
            *slot.lock().unwrap() = Some(Connection::from(&stream));
            tokio::spawn(self.clone().serve(stream));
            Ok(connection)
        })
    }
}
