//! A way to the bus that can be cut and mended. Descriptors do not cross it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use procunit::bus::BusAddress;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// See the module.
pub(crate) struct Relay {
    directory: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    _accepting: JoinSet<()>,
}

#[derive(Default)]
struct State {
    cut: bool,
    through: JoinSet<()>,
}

impl Relay {
    /// A way to this user's bus.
    pub(crate) fn start() -> Self {
        let address = BusAddress::from_env().expect("a user manager to test with").to_string();
        let path = address.strip_prefix("unix:path=").and_then(|path| path.split(',').next());
        let bus = PathBuf::from(path.expect("the bus has a path"));
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("bus")).expect("a socket");
        let state = Arc::new(Mutex::new(State::default()));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, bus, Arc::clone(&state)));
        Self { directory, state, _accepting: accepting }
    }

    /// Its address.
    pub(crate) fn address(&self) -> BusAddress {
        BusAddress::new(format!("unix:path={}/bus", self.directory.path().display()))
    }

    /// Ends every connection, and each further one at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cut = true;
        state.through.abort_all();
    }

    /// From now on connections go through again.
    pub(crate) fn mend(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cut = false;
    }
}

async fn accept(listener: UnixListener, bus: PathBuf, state: Arc<Mutex<State>>) {
    while let Ok((mut here, _)) = listener.accept().await {
        let bus = bus.clone();
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.cut {
            state.through.spawn(async move {
                let mut there = UnixStream::connect(&bus).await.expect("the bus");
                // Ends with either side, or by being cut.
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            });
        }
    }
}
