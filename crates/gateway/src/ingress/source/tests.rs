use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};

use super::*;
use crate::settings::{Algorithm, Encoding, HmacScheme};

const TOLERANCE: Duration = Duration::from_secs(300);

/// The worked example of docs.slack.dev, «Verifying requests from Slack».
const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SLACK_SECONDS: i64 = 1_531_420_618;
const SLACK_BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands\
%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SLACK_SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

/// The example that the tests of Stripe's libraries share (`evt_123`), as async-stripe signs it.
const STRIPE_BODY: &str = r#"{"account":"acct_123","api_version":"2017-05-25","created":1533204620,"data":{"object":{"amount":1000,"currency":"usd","customer":"cus_123","date":1533204620,"description":"Test Invoice Item","discountable":false,"id":"ii_123","invoice":"in_123","livemode":false,"metadata":{},"object":"invoiceitem","period":{"end":1533204620,"start":1533204620},"proration":false,"quantity":3}},"id":"evt_123","livemode":false,"object":"event","pending_webhooks":1,"request":{"id":"req_123","idempotency_key":"idempotency-key-123"},"type":"invoiceitem.created"}"#;
const STRIPE_SECONDS: i64 = 1_533_204_620;
const STRIPE_V1: &str = "5a81ebe328da1df19581cbc6c7377920947ffd30b56eebcc7ba9a6938a090965";
const STRIPE_V0: &str = "63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef";

/// The example that the libraries of Standard Webhooks share.
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const STANDARD_SECONDS: i64 = 1_614_265_330;
const STANDARD_BODY: &str = r#"{"test": 2432232314}"#;
const STANDARD_V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
/// The same text, signed by Python's `cryptography` with the key of RFC 8032 §7.1, test 1.
const STANDARD_PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const STANDARD_V1A: &str =
    "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw==";

/// A request to be verified.
struct Case<'a> {
    provider: Provider,
    secrets: &'a [&'a str],
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    received_seconds: i64,
}

fn headers_of(pairs: &[(&str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    let mut headers = HeaderMap::new();
    pairs.for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

fn delivery<'a>(headers: &'a HeaderMap, body: &str, received_seconds: i64) -> Delivery<'a> {
    Delivery {
        source: "acme",
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        received_ms: received_seconds * 1_000,
    }
}

fn is_verified(case: &Case<'_>) -> bool {
    let secrets = case.secrets.iter().map(|text| Secret::new(*text));
    let source = Source::new(case.provider.clone(), secrets.collect(), TOLERANCE).unwrap();
    let headers = headers_of(case.headers);
    verify(
        &source,
        &delivery(&headers, case.body, case.received_seconds),
    )
    .is_ok()
}

/// Checks that a good request is verified, and none that differs from it in one thing.
fn check(case: &Case<'_>, signature: &str) {
    assert!(is_verified(case), "{signature}");
    let mut wrong = Vec::new();
    let without = case.headers.to_vec();
    for (at, (name, value)) in case.headers.iter().enumerate() {
        let mut missing = without.clone();
        missing.remove(at);
        let mut twice = without.clone();
        twice.push((name, value));
        wrong.extend([missing, twice]);
    }
    let broken = signature.replacen(signature.chars().last().unwrap(), "-", 1);
    let cut = &signature[..signature.len() - 2];
    for bad in [broken.as_str(), cut, "", "="] {
        let replaced = without
            .iter()
            .map(|(name, value)| (*name, if *value == signature { bad } else { *value }));
        wrong.push(replaced.collect());
    }
    for headers in &wrong {
        let case = Case {
            headers,
            provider: case.provider.clone(),
            ..*case
        };
        assert!(!is_verified(&case), "{headers:?}");
    }
    let with = |secrets: &[&str], body: &str, received_seconds| {
        let provider = case.provider.clone();
        is_verified(&Case {
            provider,
            secrets,
            headers: case.headers,
            body,
            received_seconds,
        })
    };
    let at = case.received_seconds;
    let longer = format!("{} ", case.body);
    assert!(!with(case.secrets, &longer, at), "another body");
    let other = match case.provider {
        Provider::Standard => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx",
        _ => "another",
    };
    let own = case.secrets[0];
    let lists: [(&[&str], bool); 3] = [
        (&[other], false),
        (&[own, other], true),
        (&[other, own], true),
    ];
    for (secrets, expected) in lists {
        assert_eq!(with(secrets, case.body, at), expected, "{secrets:?}");
    }
}

/// Checks that a signed time is believed up to the tolerance, either way.
fn check_times(case: &Case<'_>) {
    for (away, expected) in [
        (0, true),
        (300, true),
        (-300, true),
        (301, false),
        (-301, false),
    ] {
        let received_seconds = case.received_seconds + away;
        let case = Case {
            provider: case.provider.clone(),
            received_seconds,
            ..*case
        };
        assert_eq!(is_verified(&case), expected, "{away}");
    }
}

/// The example of GitHub Docs, «Validating webhook deliveries», «Testing».
#[test]
fn github_signs_the_body() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let case = Case {
        provider: Provider::Github,
        secrets: &["It's a Secret to Everybody"],
        headers: &[("x-hub-signature-256", signature)],
        body: "Hello, World!",
        received_seconds: 0,
    };
    check(&case, signature);
    let bare = &[("x-hub-signature-256", &signature[7..])];
    assert!(!is_verified(&Case {
        headers: bare,
        ..case
    }));
}

#[test]
fn stripe_signs_time_and_body_with_every_valid_secret() {
    let signature = format!("t={STRIPE_SECONDS},v1={STRIPE_V1},v0={STRIPE_V0}");
    let case = Case {
        provider: Provider::Stripe,
        secrets: &["secret"],
        headers: &[("stripe-signature", &signature)],
        body: STRIPE_BODY,
        received_seconds: STRIPE_SECONDS,
    };
    assert!(is_verified(&case));
    check_times(&case);
    let zeros = "0".repeat(64);
    for (signature, expected) in [
        (format!("t={STRIPE_SECONDS},v1={STRIPE_V1}"), true),
        (
            format!("t={STRIPE_SECONDS},v1={zeros},v1={STRIPE_V1}"),
            true,
        ),
        (format!("v1={STRIPE_V1},t={STRIPE_SECONDS}"), true),
        (format!("t={STRIPE_SECONDS},v1={zeros}"), false),
        (format!("t={STRIPE_SECONDS},v0={STRIPE_V1}"), false),
        (format!("t={},v1={STRIPE_V1}", STRIPE_SECONDS + 1), false),
        (format!("t=+{STRIPE_SECONDS},v1={STRIPE_V1}"), false),
        (format!("v1={STRIPE_V1}"), false),
        (format!("t={STRIPE_SECONDS}"), false),
        (
            format!("t={STRIPE_SECONDS}{},v1={STRIPE_V1}", ",v1=0".repeat(99)),
            false,
        ),
    ] {
        let headers = [("stripe-signature", signature.as_str())];
        let provider = Provider::Stripe;
        let case = Case {
            provider,
            headers: &headers,
            ..case
        };
        assert_eq!(is_verified(&case), expected, "{signature}");
    }
    let other = Case {
        provider: Provider::Stripe,
        body: "{}",
        ..case
    };
    assert!(!is_verified(&other));
}

/// Shopify publishes no example; this one was made with OpenSSL for a handler of its webhooks.
#[test]
fn shopify_signs_the_body_in_base64() {
    let signature = "QNyObTlKbMx2qDlPF/ZOZcBqg5OgPg+2oky3zldc0Gw=";
    let case = Case {
        provider: Provider::Shopify,
        secrets: &["test-webhook-secret"],
        headers: &[("x-shopify-hmac-sha256", signature)],
        body: r#"{"id":1234567890,"email":"customer@example.com","total_price":"123.45"}"#,
        received_seconds: 0,
    };
    check(&case, signature);
}

#[test]
fn slack_signs_version_time_and_body() {
    let seconds = SLACK_SECONDS.to_string();
    let case = Case {
        provider: Provider::Slack,
        secrets: &[SLACK_SECRET],
        headers: &[
            ("x-slack-signature", SLACK_SIGNATURE),
            ("x-slack-request-timestamp", &seconds),
        ],
        body: SLACK_BODY,
        received_seconds: SLACK_SECONDS,
    };
    check(&case, SLACK_SIGNATURE);
    check_times(&case);
}

#[test]
fn standard_webhooks_sign_id_time_and_body() {
    let seconds = STANDARD_SECONDS.to_string();
    let both = format!("v1,AAAA {STANDARD_V1} {STANDARD_V1A}");
    for (secret, signature) in [
        (STANDARD_SECRET, STANDARD_V1),
        (&STANDARD_SECRET["whsec_".len()..], STANDARD_V1),
        (STANDARD_PUBLIC, STANDARD_V1A),
        (STANDARD_SECRET, &both),
        (STANDARD_PUBLIC, &both),
    ] {
        let case = Case {
            provider: Provider::Standard,
            secrets: &[secret],
            headers: &[
                ("webhook-signature", signature),
                ("webhook-id", STANDARD_ID),
                ("webhook-timestamp", &seconds),
            ],
            body: STANDARD_BODY,
            received_seconds: STANDARD_SECONDS,
        };
        check_times(&case);
        if signature != both {
            check(&case, signature);
        }
    }
    // A public key is no shared secret: who knows it must not be able to sign.
    let as_v1 = [
        ("webhook-signature", STANDARD_V1),
        ("webhook-id", STANDARD_ID),
    ];
    let headers = [as_v1[0], as_v1[1], ("webhook-timestamp", seconds.as_str())];
    let case = Case {
        provider: Provider::Standard,
        secrets: &[STANDARD_PUBLIC],
        headers: &headers,
        body: STANDARD_BODY,
        received_seconds: STANDARD_SECONDS,
    };
    assert!(!is_verified(&case));
}

fn scheme() -> HmacScheme {
    HmacScheme {
        header: "X-Signature".to_owned(),
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: String::new(),
        timestamp: None,
        id: Some("X-Event-Id".to_owned()),
        event_type: Some("X-Event".to_owned()),
    }
}

/// RFC 4231 §4.3, the second test case.
#[test]
fn any_hmac_is_verified_in_the_form_that_settings_say() {
    let (sha256, sha512) = (Algorithm::Sha256, Algorithm::Sha512);
    let (hex, base64) = (Encoding::Hex, Encoding::Base64);
    let hex_256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    let hex_512 = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
    let base64_512 =
        "Fkt6e/z4GeLjlfvnO1bgo4e9ZCIugx/WECcM1+olBVSXWL91wFqZSm0DT2X48Ob9yuqxo01Ka0tjbgcKOLznNw==";
    for (algorithm, encoding, prefix, signature) in [
        (sha256, hex, "", hex_256.to_owned()),
        (sha256, hex, "", hex_256.to_uppercase()),
        (sha512, hex, "sha512=", format!("sha512={hex_512}")),
        (sha512, base64, "", base64_512.to_owned()),
    ] {
        let prefix = prefix.to_owned();
        let scheme = HmacScheme {
            algorithm,
            encoding,
            prefix,
            ..scheme()
        };
        let case = Case {
            provider: Provider::Hmac(scheme),
            secrets: &["Jefe"],
            headers: &[("x-signature", &signature)],
            body: "what do ya want for nothing?",
            received_seconds: 0,
        };
        check(&case, &signature);
    }
    // Stripe's text is signed as `time.body` too.
    let timestamp = Some("X-Time".to_owned());
    let case = Case {
        provider: Provider::Hmac(HmacScheme {
            timestamp,
            ..scheme()
        }),
        secrets: &["secret"],
        headers: &[("x-signature", STRIPE_V1), ("x-time", "1533204620")],
        body: STRIPE_BODY,
        received_seconds: STRIPE_SECONDS,
    };
    check(&case, STRIPE_V1);
    check_times(&case);
}

#[test]
fn a_source_needs_secrets_of_its_provider() {
    let made = |provider: Provider, texts: &[&str]| {
        let secrets = texts.iter().map(|text| Secret::new(*text)).collect();
        Source::new(provider, secrets, TOLERANCE).map(|_| ()).ok()
    };
    assert_eq!(made(Provider::Github, &[]), None);
    assert_eq!(made(Provider::Github, &["s"]), Some(()));
    assert_eq!(made(Provider::Standard, &["hunter2!"]), None);
    assert_eq!(
        made(Provider::Standard, &[STANDARD_SECRET, "whpk_AAAA"]),
        None
    );
    assert_eq!(
        made(Provider::Standard, &[STANDARD_SECRET, STANDARD_PUBLIC]),
        Some(())
    );
}

/// What a request means: `id source type time`, `challenge …`, or the problem's slug.
fn told(provider: Provider, headers: &[(&str, &str)], body: &str) -> String {
    let source = Source {
        provider,
        secrets: Vec::new(),
        tolerance: TOLERANCE,
    };
    let headers = headers_of(headers);
    match read(&source, &delivery(&headers, body, 0)) {
        Ok(Meaning::Event(event)) => {
            assert_eq!(event.data.as_deref(), Some(body.as_bytes()));
            let time = event.time.as_deref().unwrap_or("-");
            format!("{} {} {} {time}", event.id, event.source, event.event_type)
        }
        Ok(Meaning::Challenge(text)) => format!("challenge {text}"),
        Err(problem) => problem.kind().slug().to_owned(),
    }
}

#[test]
fn a_request_means_what_its_provider_says() {
    let github = [
        ("x-github-event", "issue_comment"),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
    ];
    let shopify = [
        ("x-shopify-topic", "orders/create"),
        (
            "x-shopify-webhook-id",
            "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        ),
        ("x-shopify-shop-domain", "a-shop.myshopify.com"),
        ("x-shopify-triggered-at", "2023-03-29T18:00:27.877041743Z"),
    ];
    let standard = [("webhook-id", "msg_1")];
    let contact =
        r#"{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{}}"#;
    let own = [("x-event", "invoice.paid"), ("x-event-id", "7")];
    let slack = r#"{"type":"event_callback","event_id":"Ev1","event_time":1355517523,"event":{"type":"app_mention"}}"#;
    let question = r#"{"token":"t","challenge":"3eZbrw1a","type":"url_verification"}"#;
    let nothing: &[(&str, &str)] = &[];
    for (provider, headers, body, expected) in [
        (
            Provider::Github,
            &github[..],
            "{}",
            "72d3162e-cc78-11e3-81ab-4c9367dc0958 https://github.com com.github.issue_comment -",
        ),
        (Provider::Github, &github[..1], "{}", "bad-request"),
        (
            Provider::Github,
            &[("x-github-event", "../push"), github[1]],
            "{}",
            "bad-request",
        ),
        (
            Provider::Stripe,
            nothing,
            STRIPE_BODY,
            "evt_123 https://stripe.com com.stripe.invoiceitem.created 2018-08-02T10:10:20.000Z",
        ),
        (
            Provider::Stripe,
            nothing,
            r#"{"id":"evt_1"}"#,
            "bad-request",
        ),
        (
            Provider::Stripe,
            nothing,
            r#"{"id":"evt_1","type":"a b"}"#,
            "bad-request",
        ),
        (Provider::Stripe, nothing, r#"{"id":1}"#, "malformed-json"),
        (
            Provider::Stripe,
            nothing,
            r#"{"id":"a","id":"b"}"#,
            "malformed-json",
        ),
        (Provider::Stripe, nothing, "[", "malformed-json"),
        (
            Provider::Shopify,
            &shopify[..],
            "{}",
            "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043 https://a-shop.myshopify.com \
             com.shopify.orders.create 2023-03-29T18:00:27.877041743Z",
        ),
        (Provider::Shopify, &shopify[..2], "{}", "bad-request"),
        (
            Provider::Slack,
            nothing,
            slack,
            "Ev1 https://slack.com com.slack.app_mention 2012-12-14T20:38:43.000Z",
        ),
        (Provider::Slack, nothing, question, "challenge 3eZbrw1a"),
        (
            Provider::Slack,
            nothing,
            r#"{"type":"url_verification"}"#,
            "bad-request",
        ),
        (
            Provider::Slack,
            nothing,
            r#"{"type":"event_callback"}"#,
            "bad-request",
        ),
        (
            Provider::Standard,
            &standard[..],
            contact,
            "msg_1 /sources/acme acme.contact.created 2022-11-03T20:26:10.344522Z",
        ),
        (Provider::Standard, &standard[..], "{}", "bad-request"),
        (
            Provider::Hmac(scheme()),
            &own[..],
            "{}",
            "7 /sources/acme acme.invoice.paid -",
        ),
        (Provider::Hmac(scheme()), &own[..1], "{}", "bad-request"),
        (
            Provider::Hmac(HmacScheme {
                id: None,
                event_type: None,
                ..scheme()
            }),
            nothing,
            "{}",
            " /sources/acme acme -",
        ),
    ] {
        assert_eq!(
            told(provider, headers, body),
            expected,
            "{headers:?} {body}"
        );
    }
}
