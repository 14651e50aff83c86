//! The embedded log keeps the promise that every log keeps.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tidegate_broker::env::Clock;
use tidegate_broker::{Broker, Options};
use tidegate_event_log::conformance::{Subject, run_all};

/// The machine's clock, and what the test lets pass on top.
struct TestClock {
    start: Instant,
    ahead: Mutex<Duration>,
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap() + *self.ahead.lock().unwrap();
        i64::try_from(wall.as_millis()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed() + *self.ahead.lock().unwrap()
    }
}

/// A log of its own in a directory of its own. It stops when it is dropped.
struct Guard {
    broker: Broker,
    _directory: tempfile::TempDir,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.broker.stop();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test's own clock begins here"
)]
fn subject() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock {
        start: Instant::now(),
        ahead: Mutex::default(),
    });
    let options = Options {
        wal_segment_bytes: 32 << 20,
        ..Options::new(directory.path())
    };
    let broker = Broker::open_by(options, clock.clone()).unwrap();
    Subject::new(Arc::new(broker.clone()))
        .with_clock(move |by| {
            *clock.ahead.lock().unwrap() += by;
            // The sequencer tells log time once a tick.
            std::thread::sleep(Duration::from_millis(60));
        })
        .keeping(Guard {
            broker,
            _directory: directory,
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_log_conforms() {
    run_all(async || subject()).await;
}
