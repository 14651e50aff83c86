//! From texts to typed settings: each parsed once, every mistake told with its place.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use tidegate_contract::Diagnostic;
use tidegate_contract::units::{ByteSize, Duration};
use tidegate_gateway::Issuer;
use tidegate_gateway::tls::{self, Client, Need};

use super::exposure::{Guard, may_listen};
use super::layers::{KAFKA, KAFKA_LOG, Written};
use super::{
    Config, Identity, Ingress, Kafka, KafkaLog, KafkaSetting, Listen, Log, Operations, Registry,
    certificates, issuers, sources,
};

/// The write-ahead log begins with so many segments.
const FIRST_SEGMENTS: u64 = 2;
/// A segment holds the largest groups that a burst may leave it with; a test of `wire.rs` compares.
pub(crate) const LEAST_SEGMENT_BYTES: u64 = 32 * 1024 * 1024;

/// Makes the settings; `problems` were found before.
pub(super) fn config(
    mut values: BTreeMap<String, Written>,
    problems: Vec<Diagnostic>,
    insecure: bool,
) -> Result<Config, Vec<Diagnostic>> {
    let below = format!("{KAFKA}.");
    let of_kafka = values
        .extract_if(.., |key, _| key.starts_with(&below))
        .filter_map(|(key, written)| {
            Some(KafkaSetting {
                name: key[below.len()..].to_owned(),
                value: written.text?,
                origin: written.place.to_string(),
            })
        });
    let settings = of_kafka.collect();
    let below = format!("{KAFKA_LOG}.");
    let of_cluster = values
        .extract_if(.., |key, _| key.starts_with(&below))
        .filter_map(|(key, written)| Some((key[below.len()..].to_owned(), written.text?)));
    let of_cluster = of_cluster.collect();
    let mut read = Reader {
        values,
        problems,
        insecure,
    };
    let config = read.config(settings, of_cluster);
    read.finish(config)
}

/// Reads settings below names; what is wrong is taken down by its key.
type ReadNamed<T> = fn(&BTreeMap<String, Written>, &mut dyn FnMut(&str, String)) -> Vec<T>;

fn asks_for_certificates(tls: &Option<tls::Files>) -> bool {
    tls.as_ref().is_some_and(|files| files.client.is_some())
}

struct Reader {
    values: BTreeMap<String, Written>,
    problems: Vec<Diagnostic>,
    insecure: bool,
}

impl Reader {
    /// Reads every setting. `None` stands for one that is wrong and was taken down.
    fn config(
        &mut self,
        kafka_settings: Vec<KafkaSetting>,
        of_cluster: Vec<(String, String)>,
    ) -> Option<Config> {
        let data = self.optional("data");
        let contracts = self.optional("contracts");
        let sources = self.named(sources::read);
        let region = self.optional("region");
        let hash_key = self.optional("privacy.hash_key");
        let ingress = self.ingress();
        let identity = self.identity();
        let registry_tls = self.tls("registry");
        let registry = self.listen("registry.listen", &registry_tls);
        let kafka = self.value("kafka.listen");
        let kafka = self.guarded(
            kafka,
            "kafka.listen",
            Guard {
                tls: false,
                callers: false,
            },
        );
        let operations_tls = self.tls("operations");
        let operations = self.listen("operations.listen", &operations_tls);
        if let (Some(ingress), Some(identity), Some(registry)) =
            (&ingress, &identity, &registry_tls)
            && !identity.certificates.is_empty()
            && !asks_for_certificates(&ingress.tls)
            && !asks_for_certificates(registry)
        {
            let message =
                "`identity.certificates` needs `client_ca` in `ingress.tls` or `registry.tls`";
            self.refuse("ingress.tls.client_ca", message.to_owned());
        }
        let kafka_log = self.kafka_log(of_cluster);
        let log = self.log();
        Some(Config {
            data: data?,
            contracts: contracts?,
            ingress: ingress?,
            sources,
            identity: identity?,
            region: region?,
            hash_key: hash_key?,
            registry: Registry {
                listen: registry?,
                tls: registry_tls?,
            },
            kafka: Kafka {
                listen: kafka?,
                settings: kafka_settings,
            },
            operations: Operations {
                listen: operations?,
                tls: operations_tls?,
            },
            kafka_log: kafka_log?,
            log: log?,
        })
    }

    /// Reads what stands below names of the operator's own.
    fn named<T>(&mut self, read: ReadNamed<T>) -> Vec<T> {
        let mut wrong = Vec::new();
        let found = read(&self.values, &mut |key, message| {
            wrong.push((key.to_owned(), message));
        });
        for (key, message) in wrong {
            self.refuse(&key, message);
        }
        found
    }

    fn ingress(&mut self) -> Option<Ingress> {
        let tls = self.tls("ingress");
        let listen = self.listen("ingress.listen", &tls);
        let max_connections = self.count("ingress.max_connections", 1_000_000);
        let header_timeout = self.duration("ingress.header_timeout");
        let body_timeout = self.duration("ingress.body_timeout");
        let answer_deadline = self.duration("ingress.answer_deadline");
        let drain_timeout = self.duration("ingress.drain_timeout");
        let write_timeout = self.duration("ingress.write_timeout");
        let max_event_streams = self.count("ingress.max_event_streams", 100_000);
        let max_event = self.memory("ingress.max_event");
        let max_batch = self.memory("ingress.max_batch");
        let max_batch_events = self.count("ingress.max_batch_events", 100_000);
        let max_inflight = self.memory("ingress.max_inflight");
        let ingress = Ingress {
            listen: listen?,
            tls: tls?,
            max_connections: max_connections?,
            header_timeout: header_timeout?,
            body_timeout: body_timeout?,
            answer_deadline: answer_deadline?,
            drain_timeout: drain_timeout?,
            write_timeout: write_timeout?,
            max_event_streams: max_event_streams?,
            max_event_bytes: max_event?,
            max_batch_bytes: max_batch?,
            max_batch_events: max_batch_events?,
            max_inflight_bytes: max_inflight?,
        };
        let largest = ingress.max_batch_bytes.max(ingress.max_event_bytes);
        if ingress.max_inflight_bytes < largest {
            let message = "`ingress.max_inflight` holds not even one body of the largest size";
            self.refuse("ingress.max_inflight", message.to_owned());
        }
        Some(ingress)
    }

    fn identity(&mut self) -> Option<Identity> {
        let required = self.value("identity.required");
        let first_key = self.optional("identity.first_key");
        let certificates = self.named(certificates::read);
        let issuer: Option<Option<String>> = self.optional("identity.oidc.issuer");
        let audience = self.value("identity.oidc.audience");
        let keys_url: Option<Option<String>> = self.optional("identity.oidc.keys_url");
        let tenant_claim = self.optional("identity.oidc.tenant_claim");
        let roles_claim = self.value("identity.oidc.roles_claim");
        let mut issuers = self.named(issuers::read);
        match (issuer?, keys_url?) {
            (None, None) => {}
            (Some(issuer), keys_url) => issuers.insert(
                0,
                Issuer {
                    name: issuers::FIRST.to_owned(),
                    issuer,
                    audience: audience?,
                    keys_url,
                    tenant_claim: tenant_claim?,
                    roles_claim: roles_claim?,
                },
            ),
            (None, Some(_)) => {
                let message = "`identity.oidc.keys_url` needs `issuer` beside it";
                self.refuse("identity.oidc.keys_url", message.to_owned());
            }
        }
        self.refuse_namesakes(&issuers);
        Some(Identity {
            required: required?,
            first_key: first_key?,
            issuers,
            certificates,
        })
    }

    /// Refuses issuers that cannot be told apart by their tokens.
    fn refuse_namesakes(&mut self, all: &[Issuer]) {
        for (place, issuer) in all.iter().enumerate() {
            let earlier = all[..place].iter().find(|it| it.issuer == issuer.issuer);
            if let Some(earlier) = earlier {
                let key = format!("identity.issuers.{}.issuer", issuer.name);
                let message = format!("`{key}` is that of issuer `{}` too", earlier.name);
                self.refuse(&key, message);
            }
        }
    }

    /// Reads the files of a door's TLS: none, or certificate and key and perhaps what callers show.
    #[expect(clippy::option_option, reason = "wrong, not there, or there")]
    fn tls(&mut self, door: &'static str) -> Option<Option<tls::Files>> {
        let certificate_key = format!("{door}.tls.certificate");
        let client_key = format!("{door}.tls.client");
        let certificate: Option<Option<PathBuf>> = self.optional(&certificate_key);
        let key: Option<Option<PathBuf>> = self.optional(&format!("{door}.tls.key"));
        let authorities: Option<Option<PathBuf>> = self.optional(&format!("{door}.tls.client_ca"));
        let revoked: Option<Option<PathBuf>> = self.optional(&format!("{door}.tls.client_crl"));
        let need: Option<String> = self.value(&client_key);
        let need = match need?.as_str() {
            "optional" => Need::Optional,
            "required" => Need::Required,
            other => {
                let message = format!("`{client_key}` is `optional` or `required`, not `{other}`");
                self.refuse(&client_key, message);
                return None;
            }
        };
        let client = authorities?.map(|authorities| (authorities, need));
        match (certificate?, key?, client, revoked?) {
            (Some(certificate), Some(key), Some((authorities, need)), revoked) => {
                let client = Some(Client {
                    authorities,
                    revoked,
                    need,
                });
                Some(Some(tls::Files {
                    certificate,
                    key,
                    client,
                }))
            }
            (Some(_), Some(_), None, None) if need == Need::Required => {
                let message = format!("`{client_key}: required` needs `{door}.tls.client_ca`");
                self.refuse(&client_key, message);
                None
            }
            (Some(certificate), Some(key), None, None) => Some(Some(tls::Files {
                certificate,
                key,
                client: None,
            })),
            (None, None, None, None) => Some(None),
            (Some(_), Some(_), None, Some(_)) => {
                let message = format!("`{door}.tls.client_crl` needs `{door}.tls.client_ca`");
                self.refuse(&format!("{door}.tls.client_crl"), message);
                None
            }
            _ => {
                let message = format!("`{door}.tls` needs `certificate` and `key`");
                self.refuse(&certificate_key, message);
                None
            }
        }
    }

    #[expect(clippy::option_option, reason = "wrong, not there, or there")]
    fn listen(&mut self, key: &str, tls: &Option<Option<tls::Files>>) -> Option<Listen> {
        let listen = self.value(key);
        // Where the files are wrong, that is told, and no more.
        let tls = tls.as_ref().is_none_or(Option::is_some);
        let asks = self.values["identity.required"].text.as_deref() == Some("true");
        // Metrics and health are the same for all.
        let callers = asks || key == "operations.listen";
        self.guarded(listen, key, Guard { tls, callers })
    }

    /// Refuses an address that other machines reach where nothing guards the door.
    fn guarded(&mut self, listen: Option<Listen>, key: &str, guard: Guard) -> Option<Listen> {
        let Listen(address) = listen?;
        if may_listen(address, guard, self.insecure) {
            return listen;
        }
        let way = match key {
            "kafka.listen" => "the Kafka port has no TLS yet: listen".to_owned(),
            _ if !guard.tls => {
                let door = key.trim_end_matches(".listen");
                format!("the door has no TLS: set `{door}.tls`, listen")
            }
            _ => "nobody is asked who he is: set `identity.required`, listen".to_owned(),
        };
        let message = format!(
            "`{address}` is reached from other machines, and {way} on an address such as \
             `127.0.0.1:{}`, or start with `--insecure`",
            address.port()
        );
        self.refuse(key, message);
        None
    }

    #[expect(clippy::option_option, reason = "wrong, not there, or there")]
    fn kafka_log(&mut self, settings: Vec<(String, String)>) -> Option<Option<KafkaLog>> {
        let brokers: Option<Option<String>> = self.optional("kafka_log.brokers");
        let token_file = self.optional("kafka_log.token_file");
        let replication = self.optional("kafka_log.replication");
        let min_insync = self.optional("kafka_log.min_insync");
        let peer = self.value("kafka_log.peer.listen");
        let peer_advertised = self.optional("kafka_log.peer.advertised");
        let peer_secret = self.optional("kafka_log.peer.secret");
        let Some(brokers) = brokers? else {
            if !settings.is_empty() {
                let message =
                    "`kafka_log.settings` are of a cluster: name it in `kafka_log.brokers`";
                self.refuse("kafka_log.brokers", message.to_owned());
                return None;
            }
            return Some(None);
        };
        let peer_secret = peer_secret?;
        let Listen(peer) = peer?;
        if !peer.ip().is_loopback() && peer_secret.is_none() {
            let message =
                "`kafka_log.peer` is reached from other machines: set `kafka_log.peer.secret`";
            self.refuse("kafka_log.peer.listen", message.to_owned());
            return None;
        }
        Some(Some(KafkaLog {
            brokers,
            settings,
            token_file: token_file?,
            replication: replication?,
            min_insync: min_insync?,
            peer,
            peer_advertised: peer_advertised?,
            peer_secret,
        }))
    }

    fn log(&mut self) -> Option<Log> {
        let segment = self.bytes("log.wal.segment");
        let budget = self.bytes("log.wal.budget");
        let writes_in_flight = self.count("log.wal.writes_in_flight", 64);
        let hot_memory = self.memory("log.hot_memory");
        let claims_budget = self.bytes("log.claims_budget");
        let ship_size = self.bytes("log.ship.size");
        let ship_after = self.duration("log.ship.after");
        let checkpoint_size = self.bytes("log.checkpoint.size");
        let checkpoint_after = self.duration("log.checkpoint.after");
        let checkpoint_objects = self.count("log.checkpoint.objects", 10_000);
        let delete_after = self.duration("log.delete_after");
        let (segment, budget) = (segment?, budget?);
        if segment < LEAST_SEGMENT_BYTES {
            let message = "`log.wal.segment` is at least `32MiB`".to_owned();
            self.refuse("log.wal.segment", message);
        }
        if budget < FIRST_SEGMENTS * segment {
            let message = format!(
                "`log.wal.budget` holds fewer than {FIRST_SEGMENTS} segments of `log.wal.segment`"
            );
            self.refuse("log.wal.budget", message);
        }
        Some(Log {
            wal_segment_bytes: segment,
            wal_budget_bytes: budget,
            writes_in_flight: writes_in_flight?,
            hot_memory_bytes: hot_memory?,
            claims_budget_bytes: claims_budget?,
            ship_bytes: ship_size?,
            ship_after: ship_after?,
            checkpoint_bytes: checkpoint_size?,
            checkpoint_after: checkpoint_after?,
            checkpoint_objects: u64::try_from(checkpoint_objects?).expect("it is at most 10,000"),
            delete_after: delete_after?,
        })
    }

    /// Reads a setting that may be `null`.
    fn optional<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<Option<T>> {
        let written = self
            .values
            .get(key)
            .expect("the default declares every key");
        let Some(text) = &written.text else {
            return Some(None);
        };
        match text.parse() {
            Ok(value) => Some(Some(value)),
            Err(error) => {
                self.refuse(key, format!("`{key}`: {error}"));
                None
            }
        }
    }

    fn value<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        let value = self.optional(key)?;
        if value.is_none() {
            self.refuse(key, format!("`{key}` needs a value"));
        }
        value
    }

    fn duration(&mut self, key: &str) -> Option<std::time::Duration> {
        self.value::<Duration>(key).map(Into::into)
    }

    fn bytes(&mut self, key: &str) -> Option<u64> {
        self.value::<ByteSize>(key).map(ByteSize::as_bytes)
    }

    /// Reads a size of something kept in memory.
    fn memory(&mut self, key: &str) -> Option<usize> {
        let bytes = self.bytes(key)?;
        usize::try_from(bytes).ok()
    }

    fn count(&mut self, key: &str, most: usize) -> Option<usize> {
        let count: String = self.value(key)?;
        match count.parse() {
            Ok(count) if (1..=most).contains(&count) => Some(count),
            _ => {
                self.refuse(
                    key,
                    format!("`{key}`: `{count}` is not a number from 1 to {most}"),
                );
                None
            }
        }
    }

    fn refuse(&mut self, key: &str, message: String) {
        let problem = self.values[key].place.error(message, None);
        self.problems.push(problem);
    }

    fn finish(mut self, config: Option<Config>) -> Result<Config, Vec<Diagnostic>> {
        match config {
            Some(config) if self.problems.is_empty() => Ok(config),
            _ => {
                self.problems
                    .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
                Err(self.problems)
            }
        }
    }
}
