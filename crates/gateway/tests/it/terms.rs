//! Contracts that are in force only where their terms are kept.

use tidegate_gateway::{ContractSource, Gateway, Identity, Parts, RandomIds, Secret, Settings};

use crate::harness::{contracts_of, fresh_log};
use crate::identity::FIRST_KEY;

fn contract(audience: &str) -> String {
    format!(
        r#"
apiVersion: contract/v1
kind: EventContract
metadata: {{name: orders}}
spec:
  class: fact
  audience: {audience}
  schema: {{file: order.json}}
  key: {{from: $.customer}}
"#
    )
}

#[tokio::test]
async fn other_companies_read_only_where_callers_are_known() {
    for (audience, required, expected) in [
        ("internal", false, ""),
        ("partner", true, ""),
        ("public", true, ""),
        (
            "partner",
            false,
            "contract `orders` cannot be in force here: it is for `partner` readers, and nobody is asked who he is here\n\
             hint: set `identity.required`, or use `audience: internal`",
        ),
        (
            "public",
            false,
            "contract `orders` cannot be in force here: it is for `public` readers, and nobody is asked who he is here\n\
             hint: set `identity.required`, or use `audience: internal`",
        ),
    ] {
        let (log, clock) = fresh_log().await;
        let identity = Identity {
            required,
            first_key: Some(Secret::new(FIRST_KEY)),
            ..Identity::default()
        };
        let started = Gateway::start(Parts {
            log,
            contracts: ContractSource::Folder(contracts_of(&contract(audience))),
            settings: Settings {
                identity,
                ..Settings::default()
            },
            clock,
            ids: std::sync::Arc::new(RandomIds),
        });
        let told = started.await.err().map(|error| error.to_string());
        assert_eq!(told.unwrap_or_default(), expected, "{audience} {required}");
    }
}
