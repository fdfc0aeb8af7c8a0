//! Whatever happens to procs, and whatever is asked of them in the meantime: one end per run, the true one, told once to
//! everybody who waits for it.
//!
//! Random scripts of events, calls, losses and reconnects are played through the fake launcher on tokio's paused clock.

#![cfg(feature = "test-util")]

mod act;
mod check;
mod stage;
mod truth;

use std::future::Future;

use proptest::prelude::*;
use tokio::runtime::Builder;

use act::{Act, acts};
use stage::Stage;

/// Runs a future on a clock that stands still while there is anything to do.
fn on_paused_clock<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

fn play(units: bool, acts: &[Act]) {
    on_paused_clock(async {
        let mut stage = Stage::new(units);
        for act in acts {
            stage.play(act).await;
        }
        stage.close().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        // What it finds becomes a test with a name.
        failure_persistence: None,
        // A callback that never comes is waited for anew with each try to make the script smaller.
        max_shrink_time: 120_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_run_has_one_end_and_it_is_the_true_one(units in any::<bool>(), acts in acts()) {
        play(units, &acts);
    }
}
