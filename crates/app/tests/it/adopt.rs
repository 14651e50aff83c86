//! Topics that were there before their contracts: imported, planned, applied, and left as they were.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::apply::ask;
use crate::program::{Ran, Served, run};

const ORDER: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"orderId","type":"string"}]}"#;
const REFUND: &str = r#"{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}"#;
const LINE_PROTO: &str =
    "syntax = \"proto3\";\npackage shop;\n\nmessage Line {\n  int64 count = 1;\n}\n";
const BASKET_PROTO: &str = "syntax = \"proto3\";\npackage shop;\n\nimport \"line.proto\";\n\n\
    message Basket {\n  string id = 1;\n  Line line = 2;\n}\n";
const LINE: &str = r#"{"type":"record","name":"Line","namespace":"shop","fields":[{"name":"count","type":"long"}]}"#;
const STOCK: &str = r#"{"type":"record","name":"Stock","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"line","type":"shop.Line"}]}"#;

struct Cluster {
    served: Served,
    directory: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let directory = tempdir().unwrap();
        let served = Served::start(&directory.path().join("data"), &[]);
        Self { served, directory }
    }

    fn out(&self) -> String {
        self.directory
            .path()
            .join("out")
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// Makes a topic through the Kafka port.
    fn topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let configs = settings.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![topic]);
        let address = self.served.door("kafka").replace("http://", "");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let created = runtime.block_on(ask(&address, 5, &request));
        assert_eq!(created.topics[0].error_code, 0, "{created:?}");
    }

    /// Registers a schema with the command for it.
    fn register(&self, subject: &str, file: &str, text: &str, references: &[&str]) {
        let path = self.directory.path().join(file);
        fs::write(&path, text).unwrap();
        let registry = self.served.door("registry");
        let mut arguments = vec!["schema", "register", subject, path.to_str().unwrap()];
        arguments.extend(["--registry", &registry]);
        for reference in references {
            arguments.extend(["--reference", reference]);
        }
        let ran = run(&arguments);
        assert_eq!(ran.code, 0, "{ran}");
    }

    fn import(&self, more: &[&str]) -> Ran {
        let (out, registry) = (self.out(), self.served.door("registry"));
        let mut arguments = vec!["contract", "import", "cluster", "--from", &self.served.url];
        arguments.extend(["--registry", &registry, "--out", &out]);
        arguments.extend(more);
        run(&arguments).redacted(&[
            (&self.served.url, "URL"),
            (&registry, "REGISTRY"),
            (&out, "DIR"),
        ])
    }

    fn contract(&self, word: &str) -> Value {
        let out = self.out();
        let arguments = [
            "contract",
            word,
            &out,
            "--to",
            &self.served.url,
            "-o",
            "json",
        ];
        let ran = run(&arguments);
        assert_eq!(ran.code, 0, "{ran}");
        ran.json()
    }

    /// Partitions and settings of every topic, and the versions of every subject.
    fn state(&self) -> BTreeMap<String, Value> {
        let url = &self.served.url;
        let topics = run(&["topic", "list", "--url", url, "-o", "json"]).json();
        let registry = self.served.door("registry");
        let schemas = run(&["schema", "list", "--registry", &registry, "-o", "json"]).json();
        let topics = topics["topics"].as_array().unwrap().iter().map(|topic| {
            let name = topic["name"].as_str().unwrap().to_owned();
            let kept = ["partitions", "config", "settings", "records", "id"];
            let kept = kept.map(|key| topic[key].clone());
            (name, json!(kept))
        });
        let schemas = schemas["schemas"].as_array().unwrap().iter().map(|schema| {
            let subject = schema["subject"].as_str().unwrap().to_owned();
            (subject, schema.clone())
        });
        topics.chain(schemas).collect()
    }
}

/// What a plan does, without the documents that come into force.
fn done(plan: &Value) -> Vec<String> {
    let actions = plan["actions"].as_array().unwrap().iter();
    actions
        .filter(|action| action["do"] != "put-document")
        .map(|action| format!("{} {}", action["do"], action["topic"]).replace('"', ""))
        .collect()
}

#[test]
fn what_exists_comes_under_contracts_as_it_is() {
    let cluster = Cluster::start();
    let hour = [("retention.ms", "3600000")];
    cluster.topic("shop.orders", 6, &hour);
    cluster.topic("shop.refunds", 1, &[("max.message.bytes", "200000")]);
    cluster.topic("shop.baskets", 2, &[("cleanup.policy", "delete")]);
    cluster.topic("ShopStock", 3, &[]);
    cluster.topic("shop.clicks", 3, &[("retention.ms", "1209600000")]);
    cluster.topic("shop.prices", 1, &[("retention.ms", "-1")]);
    cluster.register("shop.orders-value", "order.avsc", ORDER, &[]);
    cluster.register("shop.refunds-value", "refund.json", REFUND, &[]);
    cluster.register("line.proto", "line.proto", LINE_PROTO, &[]);
    let line = ["line.proto=line.proto@1"];
    cluster.register("shop.baskets-value", "basket.proto", BASKET_PROTO, &line);
    cluster.register("shop.lines-value", "line.avsc", LINE, &[]);
    let line = ["shop.Line=shop.lines-value@1"];
    cluster.register("ShopStock-value", "stock.avsc", STOCK, &line);
    let before = cluster.state();

    let owner = ["--owner", "team-shop", "--pager", "mailto:shop@example.com"];
    let ran = cluster.import(&owner);
    insta::assert_snapshot!("import_cluster", ran);
    let read = |file: &str| fs::read_to_string(Path::new(&cluster.out()).join(file)).unwrap();
    insta::assert_snapshot!("import_cluster_file", read("shop.orders.yaml"));
    assert_eq!(read("schemas/shop.orders.avsc"), ORDER);

    let plan = cluster.contract("plan");
    let mut expected = [
        "ShopStock",
        "shop.baskets",
        "shop.clicks",
        "shop.orders",
        "shop.refunds",
    ]
    .map(|topic| format!("adopt-topic {topic}"));
    expected.sort();
    let mut found = done(&plan);
    found.sort();
    assert_eq!(found, expected, "{plan:#}");
    assert_eq!(
        (&plan["refusals"], &plan["change"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(cluster.contract("apply")["applied"], true);
    assert_eq!(cluster.state(), before);
    assert_eq!(cluster.contract("apply")["applied"], false);
    assert_eq!(cluster.state(), before);

    // They have contracts now.
    let ran = cluster.import(&[&owner[..], &["-o", "json"]].concat());
    assert_eq!(ran.json()["contracts"], json!([]), "{ran}");
}

#[test]
fn files_that_are_there_are_not_written_over() {
    let cluster = Cluster::start();
    cluster.topic("shop.orders", 1, &[]);
    cluster.topic("shop.refunds", 1, &[]);
    let first = cluster.import(&["--topic", "shop.orders"]);
    assert_eq!(first.code, 0, "{first}");
    let path = Path::new(&cluster.out()).join("shop.orders.yaml");
    let made = fs::read_to_string(&path).unwrap();
    fs::write(&path, made.replace("class: fact", "class: command")).unwrap();
    insta::assert_snapshot!("import_cluster_taken", cluster.import(&[]));
    assert!(!Path::new(&cluster.out()).join("shop.refunds.yaml").exists());
    let forced = cluster.import(&["--force"]);
    assert_eq!(forced.code, 0, "{forced}");
    assert_eq!(fs::read_to_string(&path).unwrap(), made);
    assert!(Path::new(&cluster.out()).join("shop.refunds.yaml").exists());
}

#[test]
fn what_cannot_be_imported_is_told() {
    let cluster = Cluster::start();
    cluster.topic("shop.prices", 1, &[("retention.ms", "-1")]);
    let left_out = cluster.import(&["--topic", "shop.prices"]);
    insta::assert_snapshot!("import_cluster_left_out", left_out);
    assert!(!Path::new(&cluster.out()).exists(), "nothing was written");
    insta::assert_snapshot!("import_cluster_absent", cluster.import(&["--topic", "no"]));
    insta::assert_snapshot!(
        "import_cluster_no_team",
        cluster.import(&["--owner", "team-shop"])
    );
    let registry = ["--registry", "http://127.0.0.1:1"];
    let out = cluster.out();
    let arguments = [
        "contract",
        "import",
        "cluster",
        "--out",
        &out,
        "--from",
        &cluster.served.url,
    ];
    let ran = run(&[&arguments[..], &registry].concat());
    insta::assert_snapshot!("import_cluster_unreachable", ran);
}

#[test]
fn a_limit_that_a_contract_has_no_word_for_is_told_before_apply_lifts_it() {
    let cluster = Cluster::start();
    cluster.topic("shop.orders", 1, &[("retention.bytes", "1073741824")]);
    let ran = cluster.import(&["--topic", "shop.orders"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(
        ran.stderr
            .contains("`retention.bytes=1073741824` is lifted"),
        "{ran}"
    );
    let told = "`apply` changes topic `shop.orders`: retention.bytes 1024MiB -> all";
    assert!(ran.stderr.contains(told), "{ran}");
}
