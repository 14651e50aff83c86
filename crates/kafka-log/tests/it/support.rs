//! An Apache Kafka of one node, shared by the tests of this binary. It ends with the process, however that ends.

use std::net::TcpListener;
use std::sync::OnceLock;

use tokio::sync::{Mutex, MutexGuard};

use crate::held::Held;

pub(crate) struct Kafka {
    pub(crate) bootstrap: String,
    /// The port of a second listener, which sends its clients to the port above it: a proxy's.
    pub(crate) detour: u16,
    _held: Held,
}

/// Returns the cluster of this process, and the turn to use it: a test that empties it is alone.
pub(crate) async fn kafka() -> (&'static Kafka, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    let turn = TURN.lock().await;
    let kafka = KAFKA.get_or_init(|| {
        let port = free_ports();
        let detour = port + 2;
        let settings = [
            format!(
                "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{},DETOUR://127.0.0.1:{detour}",
                port + 1
            ),
            format!(
                "advertised.listeners=PLAINTEXT://127.0.0.1:{port},DETOUR://127.0.0.1:{}",
                detour + 1
            ),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DETOUR:PLAINTEXT".to_owned(),
            "inter.broker.listener.name=PLAINTEXT".to_owned(),
            "log.message.timestamp.after.max.ms=9223372036854775807".to_owned(),
            "group.min.session.timeout.ms=1000".to_owned(),
        ];
        let port_option = port.to_string();
        let mut options = vec!["--port", &port_option];
        options.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let held = Held::start(&options);
        Kafka {
            bootstrap: held.bootstrap.clone(),
            detour,
            _held: held,
        }
    });
    (kafka, turn)
}

/// Finds four ports in a row, below those that the system gives to outgoing connections.
fn free_ports() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut ports = (first..31_000).step_by(4);
    ports.find(|port| (*port..port + 4).all(is_free)).unwrap()
}
